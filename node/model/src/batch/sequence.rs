//! One stream of tokens through the model: its tokens, its pages, and the consumer of its rows.

use std::mem;

use shoal_engine::{EngineError, judge::TIE};
use shoal_proto::{embed::Vector, generate::Done, judge::Score};

use super::{
    cache::{Cache, Hold, pages_of},
    draft::Draft,
    job::{Job, Letters, Purpose},
    learn::{Pool, Scorer, verdict},
    pace::Pace,
    schedule::{Turn, View},
    write::{Delta, Writer},
};
use crate::{
    pipeline::TextPipeline,
    step::{Broken, PAGE, Span, Want},
};

/// A sequence, in the queue or running.
#[derive(Debug)]
pub(super) struct Sequence<'w> {
    /// The ask that it belongs to, and which part of its result it is.
    pub(super) ask: u64,
    pub(super) part: usize,
    tokens: Vec<u32>,
    /// How many of the last tokens are a draft.
    draft_len: usize,
    /// Tokens that the pages hold.
    past: usize,
    /// Index of the first token after which a row is wanted.
    next: usize,
    hold: Hold,
    /// Tokens that the prefix cache held when it first came in.
    cached_tokens: Option<usize>,
    reader: RowReader<'w>,
}

#[derive(Debug)]
enum RowReader<'w> {
    Answer(Box<AnswerReader<'w>>),
    Score(Scorer),
    /// The letters, P(first), and the tokens of the critique before it.
    Verdict {
        letters: Letters,
        first: f64,
        critique_tokens: usize,
    },
    Embed(Pool),
    /// The sequence is finished.
    Closed,
}

/// An answer, and the draft of its next tokens.
#[derive(Debug)]
struct AnswerReader<'w> {
    writer: Writer<'w>,
    draft: Draft,
    /// For a critique: the tokens that follow it, and the letters of its verdict.
    verdict: Option<(Vec<u32>, Letters)>,
}

/// What a sequence borrows from the runner while it reads its rows.
#[derive(Debug)]
pub(super) struct ReadContext<'a> {
    pub(super) pipeline: &'a TextPipeline,
    pub(super) vocab: usize,
    pub(super) cache: &'a mut Cache,
}

/// A part of an ask's result.
#[derive(Debug)]
pub(super) enum Part {
    Done(Box<Done>),
    Score(Score),
    Verdict { first: f64, critique_tokens: usize },
    Vector(Vector),
}

impl Part {
    /// A pair without a verdict.
    pub(super) const TIE: Self = Self::Verdict { first: TIE, critique_tokens: 0 };
}

/// What a turn brought for the request.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// More of an answer.
    pub(super) text: String,
    /// The sequence is finished: its part of the result.
    pub(super) part: Option<Part>,
    /// Drafted tokens that were right, and all that were drafted.
    pub(super) hits: usize,
    pub(super) draft_len: usize,
}

impl<'w> Sequence<'w> {
    pub(super) fn new(ask: u64, part: usize, job: Job, pipeline: &'w TextPipeline) -> Self {
        let reader = match job.purpose {
            Purpose::Write(answer) => RowReader::Answer(Box::new(AnswerReader {
                writer: Writer::new(pipeline, *answer, &job.tokens),
                draft: Draft::new(),
                verdict: None,
            })),
            Purpose::Reason(spec) => RowReader::Answer(Box::new(AnswerReader {
                writer: Writer::new(pipeline, spec.critique, &job.tokens),
                draft: Draft::new(),
                verdict: Some((spec.lead, spec.letters)),
            })),
            Purpose::Score { targets, beyond } => RowReader::Score(Scorer::new(targets, beyond)),
            Purpose::Verdict(letters) => {
                RowReader::Verdict { letters, first: 0.5, critique_tokens: 0 }
            }
            Purpose::Embed(pooling) => RowReader::Embed(Pool::new(pooling)),
        };
        Self {
            ask,
            part,
            tokens: job.tokens,
            draft_len: 0,
            past: 0,
            next: job.next,
            hold: Hold::empty(),
            cached_tokens: None,
            reader,
        }
    }

    /// Takes the cached prefix. Returns its tokens the first time the sequence comes in.
    pub(super) fn enter(&mut self, cache: &mut Cache) -> Option<usize> {
        self.hold = cache.find(self.shareable());
        self.past = self.hold.shared_positions();
        let first = self.cached_tokens.is_none();
        self.cached_tokens.get_or_insert(self.past);
        first.then_some(self.past)
    }

    /// Tokens so far.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Gives its pages back. Results so far stay: the sequence may come in again.
    pub(super) fn leave(&mut self, cache: &mut Cache) {
        cache.release(mem::replace(&mut self.hold, Hold::empty()));
        self.forget_draft();
        self.past = 0;
    }

    /// Tokens whose pages another sequence may provide.
    pub(super) fn shareable(&self) -> &[u32] {
        // `next` is always the index of a token. If it were not, sharing nothing would cost time only.
        self.tokens.get(..self.next).unwrap_or_default()
    }

    /// Pages for its tokens and one more token.
    pub(super) fn pages_needed(&self) -> usize {
        pages_of(self.tokens.len() + 1)
    }

    /// Pages that it holds.
    pub(super) fn pages_held(&self) -> usize {
        self.hold.pages().len()
    }

    /// Pages of `tokens` that this sequence is about to read, beyond those that it has read.
    pub(super) fn pages_in_common(&self, tokens: &[u32]) -> usize {
        if self.is_writing() {
            return 0;
        }
        let equal = self.tokens.iter().zip(tokens).take_while(|(own, token)| own == token).count();
        let pages = equal / PAGE;
        if pages * PAGE > self.past { pages } else { 0 }
    }

    /// Drafts what it writes next, for a step of `rows` rows without the draft, where that is likely
    /// to save time. Returns the number of drafted tokens.
    pub(super) fn draft(&mut self, rows: usize, pace: &Pace) -> usize {
        if !self.is_writing() {
            return 0;
        }
        let RowReader::Answer(answer) = &mut self.reader else { return 0 };
        // The last token of the limit is not drafted: no row is wanted after it.
        let max = answer.writer.room().saturating_sub(1);
        self.draft_len = answer.draft.propose(&mut self.tokens, max, rows, pace);
        self.draft_len
    }

    /// Whether it wants hidden rows in place of logits.
    pub(super) fn is_embedding(&self) -> bool {
        matches!(self.reader, RowReader::Embed(_))
    }

    /// Whether its prompt is read and its answer is under way.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.reader, RowReader::Answer(_)) && self.past == self.next
    }

    pub(super) fn view(&self, serial: u64, usage: u64) -> View {
        let silent = if self.past < self.next { self.next + 1 - self.past } else { 0 };
        let unread = self.tokens.len() - self.past;
        View { serial, unread, silent, is_answer: self.is_writing(), usage }
    }

    /// Makes room for a turn.
    pub(super) fn grow(&mut self, turn: &Turn, cache: &mut Cache) -> bool {
        cache.grow(&mut self.hold, self.past + turn.tokens)
    }

    /// The tokens that a turn reads; `None` when the sequence has fewer.
    pub(super) fn span(&self, turn: &Turn) -> Option<Span<'_>> {
        let tokens = self.tokens.get(self.past..self.past + turn.tokens)?;
        Some(Span { tokens, past: self.past, pages: self.hold.pages(), want: turn.want })
    }

    /// Consumes the `rows` of a turn.
    pub(super) fn read<'r>(
        &mut self,
        turn: &Turn,
        rows: impl Iterator<Item = &'r [f32]>,
        context: ReadContext<'_>,
    ) -> Result<Progress, EngineError> {
        let ReadContext { pipeline, vocab, cache } = context;
        let (length_before, draft_len) = (self.tokens.len() - self.draft_len, self.draft_len);
        self.past += turn.tokens;
        let mut delta = Delta::default();
        for row in rows {
            match &mut self.reader {
                RowReader::Answer(answer) => {
                    let at = self.tokens.len() - self.draft_len;
                    let token = answer.writer.take(row, &mut delta)?;
                    let is_hit = self.draft_len > 0 && self.tokens.get(at) == Some(&token);
                    if is_hit && delta.end.is_none() {
                        self.draft_len -= 1;
                        continue;
                    }
                    self.forget_draft();
                    self.tokens.push(token);
                    // The cache entries of a wrong draft are overwritten.
                    self.past = self.tokens.len() - 1;
                    self.next = self.past;
                    break;
                }
                RowReader::Score(scorer) => scorer.take(pipeline, row)?,
                RowReader::Verdict { letters, first, .. } => *first = verdict(row, letters)?,
                RowReader::Embed(pool) => pool.take(row),
                RowReader::Closed => return Err(Broken.into()),
            }
        }
        if turn.want != Want::Nothing && !matches!(self.reader, RowReader::Answer(_)) {
            self.next = self.past;
        }
        cache.keep(&mut self.hold, self.tokens.get(..self.past).ok_or(Broken)?);
        let hits = (self.tokens.len() - length_before).saturating_sub(1).min(draft_len);
        if let RowReader::Answer(answer) = &mut self.reader {
            answer.draft.learn(hits, draft_len);
        }
        let mut progress = Progress { hits, draft_len, ..Progress::default() };
        if delta.end.is_some() && self.start_verdict(pipeline) {
            return Ok(progress);
        }
        if self.is_over(turn, &delta) {
            progress.part = Some(self.finish(&mut delta, vocab)?);
        }
        progress.text = delta.text;
        Ok(progress)
    }

    /// Follows a critique with its verdict. `false`: the answer is no critique.
    fn start_verdict(&mut self, pipeline: &TextPipeline) -> bool {
        let RowReader::Answer(answer) = &mut self.reader else { return false };
        let Some((lead, letters)) = answer.verdict.take() else { return false };
        let critique_tokens = answer.writer.token_count();
        let is_stopped = answer.writer.is_stopped();
        if self.tokens.last().is_some_and(|last| pipeline.tokenizer.is_end(*last)) {
            self.tokens.pop();
        }
        // A critique that a stop text ended has come to its verdict; the lead takes any other there.
        if !is_stopped {
            self.tokens.extend(lead);
        }
        self.next = self.tokens.len() - 1;
        self.past = self.past.min(self.next);
        self.reader = RowReader::Verdict { letters, first: 0.5, critique_tokens };
        true
    }

    /// Whether its part of the result is complete.
    fn is_over(&self, turn: &Turn, delta: &Delta) -> bool {
        match self.reader {
            RowReader::Answer(_) => delta.end.is_some(),
            RowReader::Verdict { .. } => turn.want != Want::Nothing,
            RowReader::Score(_) | RowReader::Embed(_) => self.past == self.tokens.len(),
            RowReader::Closed => true,
        }
    }

    fn finish(&mut self, delta: &mut Delta, vocab: usize) -> Result<Part, EngineError> {
        // `enter` sets it before the first turn.
        let cached_tokens = self.cached_tokens.ok_or(Broken)?;
        Ok(match mem::replace(&mut self.reader, RowReader::Closed) {
            RowReader::Answer(answer) => {
                let finish = delta.end.ok_or(Broken)?;
                Part::Done(Box::new(answer.writer.finish(finish, cached_tokens, delta)?))
            }
            RowReader::Score(scorer) => Part::Score(scorer.finish(vocab)),
            RowReader::Verdict { first, critique_tokens, .. } => {
                Part::Verdict { first, critique_tokens }
            }
            RowReader::Embed(pool) => Part::Vector(pool.finish()?),
            RowReader::Closed => return Err(Broken.into()),
        })
    }

    fn forget_draft(&mut self) {
        self.tokens.truncate(self.tokens.len() - self.draft_len);
        self.draft_len = 0;
    }
}
