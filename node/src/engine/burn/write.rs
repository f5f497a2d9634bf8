//! Writes an answer: one token after the other, until the model, a stop text or a limit ends it.

use burn::tensor::{Int, Tensor, TensorData};
use shoal_proto::generate::{ChatMessage, Done, Fault, Finish, Generate};

use super::{llama::KvCache, load::Loaded};
use crate::{
    engine::EngineError,
    model::{
        sample::{LogSum, Sampler},
        step::Broken,
        stop::Stops,
    },
};

/// Tokens that are read in one go: between two of them a cancelled reader stops.
const CHUNK: usize = 256;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Halt {
    Failed(EngineError),
    /// Nobody waits for it any more.
    Gone,
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

impl From<Broken> for Halt {
    fn from(_: Broken) -> Self {
        Self::Failed(EngineError::new(Fault::Engine, "the model's numbers are broken"))
    }
}

/// Who the answer is for. The model asks after each token whether anybody is still there.
pub(super) trait Asker {
    /// Hands over text; it is never empty.
    fn piece(&mut self, text: String);
    /// Whether nobody waits any more.
    fn gone(&self) -> bool;
}

/// Writes an answer to a conversation.
pub(super) fn write(model: &Loaded, ask: &Generate, asker: &mut impl Asker) -> Result<Done, Halt> {
    let sampling = model.defaults.fill(ask.sampling.clone().unwrap_or_default());
    let prompt = model.prompt(&ask.messages)?;
    let room = model.context().saturating_sub(prompt.len());
    let limit = sampling.max_tokens.unwrap_or(model.answer_tokens);
    let limit = room.min(usize::try_from(limit).unwrap_or(usize::MAX));
    let (mut cache, mut token) = model.read(&prompt, &|| asker.gone())?;

    let mut sampler = Sampler::new(&sampling, &prompt);
    let mut words = model.tokenizer.decoder();
    let mut stops = Stops::new(&sampling.stop);
    let mut answer = Answer { asker, text: String::new() };
    let (mut logprob, mut written, mut finish) = (0.0, Vec::new(), Finish::Length);
    let mut ended = false;
    while written.len() < limit {
        if answer.asker.gone() {
            return Err(Halt::Gone);
        }
        let logits = model.next(&mut cache, token)?;
        let choice = sampler.choose(&logits, None)?;
        token = choice.token;
        written.push(token);
        if model.tokenizer.is_end(token) {
            logprob += model.end(&logits)?;
            (finish, ended) = (Finish::Stop, true);
            break;
        }
        logprob += choice.logprob;
        answer.tell(stops.push(&words.push(token)));
        if stops.hit() {
            finish = Finish::Stop;
            break;
        }
    }
    answer.tell(stops.push(&words.finish()));
    answer.tell(stops.finish());
    Ok(Done {
        finish: finish.into(),
        prompt_tokens: count(prompt.len()),
        completion_tokens: count(written.len()),
        logprob: (ended && model.reads_as(&answer.text, &written)).then_some(logprob),
        ..Done::default()
    })
}

/// What was told so far.
struct Answer<'a, A> {
    asker: &'a mut A,
    text: String,
}

impl<A: Asker> Answer<'_, A> {
    fn tell(&mut self, text: String) {
        if !text.is_empty() {
            self.text.push_str(&text);
            self.asker.piece(text);
        }
    }
}

impl Loaded {
    /// The tokens of a conversation, up to where the answer begins; never empty, and with room
    /// for at least one more in the context.
    pub(super) fn prompt(&self, messages: &[ChatMessage]) -> Result<Vec<u32>, EngineError> {
        let refused = |why: &str| EngineError::new(Fault::BadRequest, why);
        let text = self
            .template
            .render(messages, None, "")
            .map_err(|_| refused("the model's chat template refuses this conversation"))?;
        let tokens = self
            .tokenizer
            .encode(&text)
            .filter(|tokens| !tokens.is_empty())
            .ok_or_else(|| refused("the model has no words for this conversation"))?;
        if tokens.len() < self.context() {
            return Ok(tokens);
        }
        Err(EngineError::context_length(self.card.context))
    }

    /// Reads all but the last token, which begins the next step.
    pub(super) fn read(
        &self,
        prompt: &[u32],
        gone: &dyn Fn() -> bool,
    ) -> Result<(KvCache, u32), Halt> {
        let mut cache = self.llama.cache();
        let (last, before) = prompt.split_last().ok_or(Broken)?;
        for chunk in before.chunks(CHUNK) {
            if gone() {
                return Err(Halt::Gone);
            }
            // One row of logits that nobody needs is cheap beside the chunk.
            self.llama.next_logits(self.row(chunk), &mut [&mut cache]);
        }
        Ok((cache, *last))
    }

    /// Whether who reads `text` sees the tokens that were written, but for the last, which ended
    /// it. A sampled word may be cut into other tokens than the tokenizer would; then nobody who
    /// has only the text can come to the writer's certainty, and there is none to claim.
    fn reads_as(&self, text: &str, written: &[u32]) -> bool {
        let read = self.tokenizer.encode(text);
        read.as_deref() == written.split_last().map(|(_, before)| before)
    }

    /// The natural logarithm of the probability that the answer ends here, in whichever way.
    pub(super) fn end(&self, logits: &[f32]) -> Result<f64, Broken> {
        let index = |end| usize::try_from(end).unwrap_or(usize::MAX);
        let ends: Vec<usize> = self.tokenizer.ends().map(index).collect();
        LogSum::of(logits)?.logprob_of_any(logits, ends.into_iter())
    }

    /// The logits after one more token.
    fn next(&self, cache: &mut KvCache, token: u32) -> Result<Vec<f32>, Broken> {
        floats(self.llama.next_logits(self.row(&[token]), &mut [cache]))
    }

    /// Tokens as a batch of one row.
    pub(super) fn row(&self, tokens: &[u32]) -> Tensor<2, Int> {
        let ids: Vec<i32> = tokens.iter().map(|id| id.cast_signed()).collect();
        let shape = [1, ids.len()];
        Tensor::from_data(TensorData::new(ids, shape), &self.device)
    }
}

/// The numbers of a tensor, row after row.
pub(super) fn floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Broken> {
    tensor.into_data().try_into_vec::<f32>().map_err(|_| Broken)
}

pub(super) fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
