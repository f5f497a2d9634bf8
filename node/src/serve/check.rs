//! What can be seen to be wrong with an ask before any work is done.

use shoal_engine::EngineError;
use shoal_proto::generate::{Generate, Sampling};

use super::bad_request;

/// As in OpenAI's API.
const STOPS_MAX: usize = 4;

/// Refuses what no model could answer.
pub(super) fn generate(ask: &Generate) -> Result<(), EngineError> {
    if ask.messages.is_empty() {
        return Err(bad_request("there is no message to answer"));
    }
    match &ask.sampling {
        Some(sampling) => check_sampling(sampling),
        None => Ok(()),
    }
}

fn check_sampling(sampling: &Sampling) -> Result<(), EngineError> {
    let sound = [
        (sampling.temperature.is_none_or(|t| (0.0..=2.0).contains(&t)), "temperature is 0 to 2"),
        (sampling.top_p.is_none_or(|p| p > 0.0 && p <= 1.0), "top_p is above 0 and at most 1"),
        (sampling.max_tokens.is_none_or(|max| max > 0), "max_tokens is at least 1"),
        (sampling.stop.len() <= STOPS_MAX, "there are at most 4 stop texts"),
        (sampling.stop.iter().all(|stop| !stop.is_empty()), "a stop text is not empty"),
    ];
    match sound.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(bad_request(rule)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shoal_proto::generate::{ChatMessage, Fault};

    use super::*;

    fn ask(sampling: Sampling) -> Generate {
        let message = ChatMessage {
            role: "user".to_owned(),
            content: "hello".to_owned(),
            ..ChatMessage::default()
        };
        Generate { messages: vec![message], sampling: Some(sampling), ..Generate::default() }
    }

    #[test]
    fn an_ask_without_messages_is_refused() {
        let error = generate(&Generate::default()).unwrap_err();
        assert_eq!(error.fault, Fault::BadRequest);
    }

    #[test]
    fn each_rule_of_sampling_holds() {
        let bad = [
            Sampling { temperature: Some(2.1), ..Sampling::default() },
            Sampling { temperature: Some(f32::NAN), ..Sampling::default() },
            Sampling { top_p: Some(0.0), ..Sampling::default() },
            Sampling { top_p: Some(f32::NAN), ..Sampling::default() },
            Sampling { max_tokens: Some(0), ..Sampling::default() },
            Sampling { stop: vec![String::new()], ..Sampling::default() },
            Sampling { stop: vec!["x".to_owned(); 5], ..Sampling::default() },
        ];
        for sampling in bad {
            assert!(generate(&ask(sampling.clone())).is_err(), "{sampling:?}");
        }
    }

    proptest! {
        #[test]
        fn what_openai_allows_is_allowed(temperature in 0f32..=2.0, top_p in 0.001f32..=1.0, max in 1u32.., seed: i64) {
            let sampling = Sampling {
                temperature: Some(temperature),
                top_p: Some(top_p),
                seed: Some(seed),
                max_tokens: Some(max),
                stop: vec!["\n".to_owned()],
                ..Sampling::default()
            };
            prop_assert_eq!(generate(&ask(sampling)), Ok(()));
        }
    }
}
