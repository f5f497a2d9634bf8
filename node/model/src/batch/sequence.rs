//! One stream of tokens through the model: what was read, where it is kept, and who learns from it.

use std::mem;

use shoal_engine::{EngineError, judge::TIE};
use shoal_proto::{
    embed::Vector,
    generate::{Done, Finish},
    judge::Score,
};

use super::{
    cache::{Cache, Hold, pages_of},
    draft::Draft,
    job::{Job, Letters, Purpose},
    learn::{Pool, Scorer, verdict},
    pace::Pace,
    schedule::{Turn, View},
    write::{Said, Writer},
};
use crate::{
    pipeline::TextPipeline,
    step::{Broken, PAGE, Span, Want},
};

/// A sequence, waiting or running.
#[derive(Debug)]
pub(super) struct Sequence<'w> {
    /// The ask that it belongs to, and which part of its result it is.
    pub(super) ask: u64,
    pub(super) part: usize,
    tokens: Vec<u32>,
    /// The last so many tokens are a guess.
    drafted: usize,
    /// Tokens that the pages hold.
    past: usize,
    /// The first token after which somebody wants to know what comes next.
    next: usize,
    hold: Hold,
    /// Tokens that were read for others before it first came in.
    cached: Option<usize>,
    reader: Reader<'w>,
}

#[derive(Debug)]
enum Reader<'w> {
    Write(Box<TextReply<'w>>),
    Score(Scorer),
    /// The letters, P(first), and the tokens of the critique before it.
    Verdict {
        letters: Letters,
        is: f64,
        written: usize,
    },
    Embed(Pool),
    /// Nothing: it is over.
    Over,
}

/// An answer, and guesses at it.
#[derive(Debug)]
struct TextReply<'w> {
    writer: Writer<'w>,
    draft: Draft,
    /// It is a critique: what is put after it, and the letters of its verdict.
    ruling: Option<(Vec<u32>, Letters)>,
}

/// What a sequence does not own and needs when it was read.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) words: &'a TextPipeline,
    pub(super) vocab: usize,
    pub(super) cache: &'a mut Cache,
}

/// A part of an ask's result.
#[derive(Debug)]
pub(super) enum Part {
    Done(Box<Done>),
    Score(Score),
    Verdict { first: f64, written: usize },
    Vector(Vector),
}

impl Part {
    /// A pair of which nothing can be said.
    pub(super) const TIE: Self = Self::Verdict { first: TIE, written: 0 };
}

/// What a turn brought.
#[derive(Debug, Default)]
pub(super) struct News {
    /// More of an answer.
    pub(super) text: String,
    /// The sequence is over: this is what it was for.
    pub(super) part: Option<Part>,
    /// Guessed tokens that were right, of those that were guessed.
    pub(super) guessed: (usize, usize),
}

impl<'w> Sequence<'w> {
    pub(super) fn new(ask: u64, part: usize, job: Job, words: &'w TextPipeline) -> Self {
        let reader = match job.purpose {
            Purpose::Write(answer) => Reader::Write(Box::new(TextReply {
                writer: Writer::new(words, *answer, &job.tokens),
                draft: Draft::new(),
                ruling: None,
            })),
            Purpose::Reason(reasoning) => Reader::Write(Box::new(TextReply {
                writer: Writer::new(words, reasoning.critique, &job.tokens),
                draft: Draft::new(),
                ruling: Some((reasoning.lead, reasoning.letters)),
            })),
            Purpose::Score { targets, beyond } => Reader::Score(Scorer::new(targets, beyond)),
            Purpose::Verdict(letters) => Reader::Verdict { letters, is: 0.5, written: 0 },
            Purpose::Embed(pooling) => Reader::Embed(Pool::new(pooling)),
        };
        Self {
            ask,
            part,
            tokens: job.tokens,
            drafted: 0,
            past: 0,
            next: job.next,
            hold: Hold::none(),
            cached: None,
            reader,
        }
    }

    /// Begins with what was read before. The first time, says how many tokens that are.
    pub(super) fn enter(&mut self, cache: &mut Cache) -> Option<usize> {
        self.hold = cache.find(self.needless());
        self.past = self.hold.shared();
        let first = self.cached.is_none();
        self.cached.get_or_insert(self.past);
        first.then_some(self.past)
    }

    /// Tokens that are known of it.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Gives its pages back. What it has learnt stays: it may come in again.
    pub(super) fn leave(&mut self, cache: &mut Cache) {
        cache.release(mem::replace(&mut self.hold, Hold::none()));
        self.forget_draft();
        self.past = 0;
    }

    /// Tokens that need not be read when somebody has read them.
    pub(super) fn needless(&self) -> &[u32] {
        self.tokens.get(..self.next).unwrap_or_default()
    }

    /// Pages that it needs for what is known of it and one token more.
    pub(super) fn pages_needed(&self) -> usize {
        pages_of(self.tokens.len() + 1)
    }

    /// Pages that it has.
    pub(super) fn pages_held(&self) -> usize {
        self.hold.pages().len()
    }

    /// Pages of `tokens` that this sequence is about to read, beyond those that it has read.
    pub(super) fn is_reading_for(&self, tokens: &[u32]) -> usize {
        if self.is_writing() {
            return 0;
        }
        let equal = self.tokens.iter().zip(tokens).take_while(|(ours, theirs)| ours == theirs);
        let pages = equal.count() / PAGE;
        if pages * PAGE > self.past { pages } else { 0 }
    }

    /// Guesses what it writes next, for a step of `rows` rows without the guess, where that is
    /// likely to save time. Says how many tokens.
    pub(super) fn guess(&mut self, rows: usize, pace: &Pace) -> usize {
        if !self.is_writing() {
            return 0;
        }
        let Reader::Write(writing) = &mut self.reader else { return 0 };
        // The last token that may be written is nobody's guess: nothing is asked after it.
        let most = writing.writer.left().saturating_sub(1);
        self.drafted = writing.draft.propose(&mut self.tokens, most, rows, pace);
        self.drafted
    }

    /// Whether its vectors are wanted in place of logits.
    pub(super) fn is_embedding(&self) -> bool {
        matches!(self.reader, Reader::Embed(_))
    }

    /// Whether it is writing, with its prompt read.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.reader, Reader::Write(_)) && self.past == self.next
    }

    pub(super) fn view(&self, serial: u64, served: u64) -> View {
        let silent = if self.past < self.next { self.next + 1 - self.past } else { 0 };
        let unread = self.tokens.len() - self.past;
        View { serial, unread, silent, writing: self.is_writing(), served }
    }

    /// Makes room for a turn.
    pub(super) fn grow(&mut self, turn: &Turn, cache: &mut Cache) -> bool {
        cache.grow(&mut self.hold, self.past + turn.tokens)
    }

    /// The tokens that a turn reads; `None` when the sequence has not so many.
    pub(super) fn span(&self, turn: &Turn) -> Option<Span<'_>> {
        let tokens = self.tokens.get(self.past..self.past + turn.tokens)?;
        Some(Span { tokens, past: self.past, pages: self.hold.pages(), want: turn.want })
    }

    /// A turn was read: `rows` are those that it wanted.
    pub(super) fn read<'r>(
        &mut self,
        turn: &Turn,
        rows: impl Iterator<Item = &'r [f32]>,
        around: Around<'_>,
    ) -> Result<News, EngineError> {
        let Around { words, vocab, cache } = around;
        let (had, drafted) = (self.tokens.len() - self.drafted, self.drafted);
        self.past += turn.tokens;
        let mut said = Said::default();
        for row in rows {
            match &mut self.reader {
                Reader::Write(writing) => {
                    let at = self.tokens.len() - self.drafted;
                    let token = writing.writer.take(row, &mut said)?;
                    let guessed = self.drafted > 0 && self.tokens.get(at) == Some(&token);
                    if guessed && said.end.is_none() {
                        self.drafted -= 1;
                        continue;
                    }
                    self.forget_draft();
                    self.tokens.push(token);
                    // What was read of a wrong guess is written over.
                    self.past = self.tokens.len() - 1;
                    self.next = self.past;
                    break;
                }
                Reader::Score(scorer) => scorer.take(words, row)?,
                Reader::Verdict { letters, is, .. } => *is = verdict(row, letters)?,
                Reader::Embed(pool) => pool.take(row),
                Reader::Over => return Err(Broken.into()),
            }
        }
        if turn.want != Want::Nothing && !matches!(self.reader, Reader::Write(_)) {
            self.next = self.past;
        }
        cache.keep(&mut self.hold, self.tokens.get(..self.past).unwrap_or_default());
        let right = (self.tokens.len() - had).saturating_sub(1).min(drafted);
        if let Reader::Write(writing) = &mut self.reader {
            writing.draft.learn(right, drafted);
        }
        if said.end.is_some() && self.rules(words) {
            return Ok(News { guessed: (right, drafted), ..News::default() });
        }
        let part =
            if self.is_over(turn, &said) { Some(self.finish(&mut said, vocab)?) } else { None };
        Ok(News { text: said.text, part, guessed: (right, drafted) })
    }

    /// A critique is over: its verdict is what is likeliest next. `false`: it is none.
    fn rules(&mut self, words: &TextPipeline) -> bool {
        let Reader::Write(writing) = &mut self.reader else { return false };
        let Some((lead, letters)) = writing.ruling.take() else { return false };
        let (written, stopped) = (writing.writer.written(), writing.writer.is_stopped());
        if self.tokens.last().is_some_and(|last| words.tokenizer.is_end(*last)) {
            self.tokens.pop();
        }
        // It stopped where it came to its verdict; else it is led there.
        if !stopped {
            self.tokens.extend(lead);
        }
        self.next = self.tokens.len() - 1;
        self.past = self.past.min(self.next);
        self.reader = Reader::Verdict { letters, is: 0.5, written };
        true
    }

    /// Whether nothing more is to be learnt.
    fn is_over(&self, turn: &Turn, said: &Said) -> bool {
        match self.reader {
            Reader::Write(_) => said.end.is_some(),
            Reader::Verdict { .. } => turn.want != Want::Nothing,
            Reader::Score(_) | Reader::Embed(_) => self.past == self.tokens.len(),
            Reader::Over => true,
        }
    }

    fn finish(&mut self, said: &mut Said, vocab: usize) -> Result<Part, EngineError> {
        let cached = self.cached.unwrap_or(0);
        Ok(match mem::replace(&mut self.reader, Reader::Over) {
            Reader::Write(writing) => {
                let finish = said.end.unwrap_or(Finish::Length);
                Part::Done(Box::new(writing.writer.finish(finish, cached, said)))
            }
            Reader::Score(scorer) => Part::Score(scorer.finish(vocab)),
            Reader::Verdict { is, written, .. } => Part::Verdict { first: is, written },
            Reader::Embed(pool) => Part::Vector(pool.finish()?),
            Reader::Over => return Err(Broken.into()),
        })
    }

    fn forget_draft(&mut self) {
        self.tokens.truncate(self.tokens.len() - self.drafted);
        self.drafted = 0;
    }
}
