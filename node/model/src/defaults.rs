//! How a model likes to be sampled, where an ask leaves it open.

use serde_json::{Map, Value, json};
use shoal_proto::generate::Sampling;

use super::{LoadError, files::Files, gguf::Metadata, tokenizer};

/// `generation_config.json`, as Hugging Face reads it, or a GGUF file's `general.sampling.*`. Greedy
/// where nothing is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    temperature: f32,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

impl Defaults {
    pub fn read(files: &Files) -> Result<Self, LoadError> {
        match files.gguf() {
            Some(gguf) => Ok(Self::from(&of_gguf(gguf.metadata()))),
            None => Ok(Self::from(&tokenizer::json(files, "generation_config.json")?)),
        }
    }

    /// Values out of their range are as good as absent.
    fn from(config: &Value) -> Self {
        let number = |name| config.get(name).and_then(Value::as_f64).map(|x| x as f32);
        let samples = config.get("do_sample").and_then(Value::as_bool).unwrap_or(false);
        let repetition_penalty = number("repetition_penalty").filter(|x| *x > 0.0 && x.is_finite());
        if !samples {
            return Self { temperature: 0.0, repetition_penalty, ..Self::greedy() };
        }
        let top_k = config.get("top_k").and_then(Value::as_u64);
        Self {
            temperature: number("temperature").filter(|x| (0.0..=2.0).contains(x)).unwrap_or(1.0),
            top_p: number("top_p").filter(|x| *x > 0.0 && *x <= 1.0),
            top_k: top_k.and_then(|k| u32::try_from(k).ok()),
            min_p: number("min_p").filter(|x| (0.0..=1.0).contains(x)),
            repetition_penalty,
        }
    }

    /// The likeliest token each time.
    pub(crate) fn greedy() -> Self {
        Self { temperature: 0.0, top_p: None, top_k: None, min_p: None, repetition_penalty: None }
    }

    /// The ask's own wishes come first.
    pub(crate) fn fill(&self, asked: Sampling) -> Sampling {
        Sampling {
            temperature: asked.temperature.or(Some(self.temperature)),
            top_p: asked.top_p.or(self.top_p),
            top_k: asked.top_k.or(self.top_k),
            min_p: asked.min_p.or(self.min_p),
            repetition_penalty: asked.repetition_penalty.or(self.repetition_penalty),
            ..asked
        }
    }
}

/// What a GGUF file says, in the words of a `generation_config.json`. A file that says anything of how
/// tokens are drawn wants them drawn, unless its temperature is 0.
fn of_gguf(metadata: &Metadata) -> Value {
    const NAMES: [(&str, &str); 5] = [
        ("temp", "temperature"),
        ("top_k", "top_k"),
        ("top_p", "top_p"),
        ("min_p", "min_p"),
        ("penalty_repeat", "repetition_penalty"),
    ];
    let mut config = Map::new();
    for (name, ours) in NAMES {
        let key = format!("general.sampling.{name}");
        let whole = metadata.unsigned(&key).map(|number| json!(number));
        if let Some(number) = whole.or_else(|| metadata.float(&key).map(|number| json!(number))) {
            config.insert(ours.to_owned(), number);
        }
    }
    let drawn = config.keys().any(|name| name != "repetition_penalty");
    let cold = metadata.float("general.sampling.temp").is_some_and(|degree| degree <= 0.0);
    config.insert("do_sample".to_owned(), json!(drawn && !cold));
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bytes::Bytes,
        gguf::{self, Gguf, made::Made},
    };

    #[test]
    fn a_model_that_says_nothing_is_greedy_and_one_that_samples_says_how() {
        let silent = Defaults::from(&json!({ "top_p": 0.9 })).fill(Sampling::default());
        assert_eq!((silent.temperature, silent.top_p), (Some(0.0), None));
        let config = json!({ "do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 7.0 });
        let filled = Defaults::from(&config).fill(Sampling::default());
        assert_eq!((filled.temperature, filled.top_k, filled.top_p), (Some(0.7), Some(20), None));
    }

    #[test]
    fn a_gguf_file_says_it_in_its_own_words() {
        let file = |pairs: &[(&str, gguf::Value)]| {
            let made = Made::default();
            let made = pairs.iter().fold(made, |made, (key, value)| {
                made.pair(&format!("general.sampling.{key}"), value.clone())
            });
            let gguf = Gguf::parse("made".to_owned(), Bytes::Made(made.bytes().into())).unwrap();
            Defaults::from(&of_gguf(gguf.metadata()))
        };
        use gguf::Value::{Float, Signed};
        assert_eq!(file(&[]), Defaults::greedy());
        let said = file(&[("temp", Float(0.5)), ("top_k", Signed(20)), ("top_p", Float(0.75))]);
        let expected = Defaults { temperature: 0.5, top_p: Some(0.75), top_k: Some(20), ..said };
        assert_eq!(said, expected);
        assert_eq!(file(&[("min_p", Float(0.25))]).temperature, 1.0, "drawn from all that is left");
        let cold =
            file(&[("temp", Signed(0)), ("top_k", Signed(-1)), ("penalty_repeat", Float(1.5))]);
        assert_eq!(cold, Defaults { repetition_penalty: Some(1.5), ..Defaults::greedy() });
    }

    #[test]
    fn what_the_ask_says_stands() {
        let config = json!({ "do_sample": true, "top_k": 20, "repetition_penalty": 1.1 });
        let asked = Sampling { temperature: Some(0.5), top_k: Some(0), ..Sampling::default() };
        let filled = Defaults::from(&config).fill(asked.clone());
        assert_eq!(filled, Sampling { repetition_penalty: Some(1.1), ..asked });
    }
}
