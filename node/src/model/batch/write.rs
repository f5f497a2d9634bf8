//! An answer as it is written: one token after the other, until the model, a stop text or a limit
//! ends it.

use std::mem;

use shoal_proto::generate::{Done, Finish, Sampling, TokenLogprob};

use crate::model::{
    sample::{Choice, Sampler},
    step::Broken,
    stop::Stops,
    tokenizer::Decoder,
    words::Words,
};

/// One answer.
#[derive(Debug)]
pub(super) struct Writer<'w> {
    words: &'w Words,
    sampler: Sampler,
    decoder: Decoder<'w>,
    stops: Stops,
    limit: usize,
    /// The likeliest tokens to report beside each one; `None`: report nothing.
    report: Option<usize>,
    prompt: usize,
    text: String,
    written: Vec<u32>,
    logprob: f64,
    tokens: Vec<TokenLogprob>,
}

/// What a token did to the answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// The text that is certain with it.
    pub(super) text: String,
    /// Why the answer is over.
    pub(super) end: Option<Finish>,
}

impl<'w> Writer<'w> {
    /// An answer of at most `limit` tokens to a prompt.
    pub(super) fn new(words: &'w Words, sampling: &Sampling, limit: usize, prompt: &[u32]) -> Self {
        Self {
            words,
            sampler: Sampler::new(sampling, prompt),
            decoder: words.tokenizer.decoder(),
            stops: Stops::new(&sampling.stop),
            limit,
            report: sampling.logprobs.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            prompt: prompt.len(),
            text: String::new(),
            written: Vec::new(),
            logprob: 0.0,
            tokens: Vec::new(),
        }
    }

    /// Tokens that may still be written.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.written.len())
    }

    /// Chooses the next token from the logits after the last one.
    pub(super) fn take(&mut self, logits: &[f32], said: &mut Said) -> Result<u32, Broken> {
        let choice = self.sampler.choose(logits, None)?;
        let token = choice.token;
        self.written.push(token);
        self.logprob += self.words.logprob(logits, &choice.normaliser, token)?;
        if self.words.tokenizer.is_end(token) {
            said.end = Some(Finish::Stop);
        } else {
            self.tell(logits, &choice, said)?;
            if self.stops.hit() {
                said.end = Some(Finish::Stop);
            } else if self.left() == 0 {
                said.end = Some(Finish::Length);
            }
        }
        Ok(token)
    }

    fn tell(&mut self, logits: &[f32], choice: &Choice, said: &mut Said) -> Result<(), Broken> {
        let text = self.decoder.push(choice.token);
        self.say(&text, said);
        let Some(count) = self.report else { return Ok(()) };
        let top = self.sampler.likeliest(logits, count).to_vec();
        let named = |token: u32| -> Result<TokenLogprob, Broken> {
            let index = usize::try_from(token).map_err(|_| Broken)?;
            let logprob = choice.normaliser.logprob(logits, index)?;
            let bytes = self.words.tokenizer.decode(&[token]).into_bytes();
            Ok(TokenLogprob { bytes, logprob, top: Vec::new() })
        };
        // A token that cannot be has no logarithm to report.
        let top = top.iter().filter_map(|(token, _)| named(*token).ok()).collect();
        self.tokens.push(TokenLogprob { top, ..named(choice.token)? });
        Ok(())
    }

    fn say(&mut self, text: &str, said: &mut Said) {
        let certain = self.stops.push(text);
        self.text.push_str(&certain);
        said.text.push_str(&certain);
    }

    /// The answer is over, for this reason. What was held back comes into `said`.
    pub(super) fn finish(mut self, finish: Finish, cached: usize, said: &mut Said) -> Done {
        let rest = mem::replace(&mut self.decoder, self.words.tokenizer.decoder()).finish();
        self.say(&rest, said);
        let stopped = self.stops.hit();
        let held = mem::replace(&mut self.stops, Stops::new(&[])).finish();
        self.text.push_str(&held);
        said.text.push_str(&held);
        let last = self.written.last();
        let ended = !stopped && last.is_some_and(|last| self.words.tokenizer.is_end(*last));
        if stopped {
            cut(&mut self.tokens, self.text.len());
        }
        Done {
            finish: finish.into(),
            prompt_tokens: count(self.prompt),
            completion_tokens: count(self.written.len()),
            logprob: (ended && self.words.reads_as(&self.text, &self.written))
                .then_some(self.logprob.min(0.0)),
            tokens: self.tokens,
            cached_tokens: count(cached),
            ..Done::default()
        }
    }
}

/// Takes away what a stop text took from the answer: the tokens' bytes are those of the text.
fn cut(tokens: &mut Vec<TokenLogprob>, mut bytes: usize) {
    let mut kept = 0;
    for token in tokens.iter_mut() {
        if bytes == 0 {
            break;
        }
        token.bytes.truncate(bytes);
        bytes -= token.bytes.len();
        kept += 1;
    }
    tokens.truncate(kept);
}

/// For the wire.
pub(super) fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
