//! A model for tests. Its next token depends on all tokens before it, read back through the pages, so
//! that a wrong page shows.

use std::sync::{Arc, Condvar, Mutex};

use crate::{
    defaults::Defaults,
    files::Files,
    pipeline::{Pooling, TextPipeline},
    step::{Broken, Decode, PAGE, Span},
    template::{Choice, Template},
    testing::{Kept, tiny},
    tokenizer::Tokenizer,
};

/// Tokens of the tiny vocabulary: fifteen letters, then these.
pub(crate) const VOCAB: usize = 18;
pub(super) const END: u32 = 16;

/// Letters that make the model fail when it reads them.
pub(super) const BREAKS: u32 = 13;
pub(super) const PANICS: u32 = 14;

pub(super) fn pipeline() -> Arc<TextPipeline> {
    pipeline_from(&tiny(64, Kept::F32))
}

/// The text side of a tiny model.
pub(super) fn pipeline_from(folder: &tempfile::TempDir) -> Arc<TextPipeline> {
    let files = Files::folder(folder.path()).unwrap();
    let tokenizer = Tokenizer::read(&files, VOCAB).unwrap();
    let template = Template::read(&files, &Choice::Own).unwrap();
    Arc::new(TextPipeline::new(tokenizer, template, Defaults::greedy(), Pooling::Mean))
}

/// The model.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(super) context: usize,
    /// How many of the last tokens decide the next one: with few of them the model repeats itself.
    pub(crate) memory: usize,
    /// Whether [`BREAKS`] and [`PANICS`] make it fail.
    pub(super) fragile: bool,
    /// Token and position in each place of each page.
    cells: Vec<Option<(u32, usize)>>,
    steps: Steps,
}

/// Records the model's steps, and can hold them up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    /// Tokens of each span of each step.
    spans: Vec<Vec<usize>>,
    /// Steps that may be taken; `None`: any number.
    budget: Option<usize>,
}

impl Steps {
    /// Tokens of each span of each step so far.
    pub(crate) fn spans(&self) -> Vec<Vec<usize>> {
        self.0.0.lock().unwrap().spans.clone()
    }

    /// Tokens read so far.
    pub(super) fn tokens(&self) -> usize {
        self.spans().iter().flatten().sum()
    }

    /// Allows no more steps.
    pub(super) fn hold(&self) {
        self.0.0.lock().unwrap().budget.get_or_insert(0);
    }

    /// Allows more steps.
    pub(super) fn allow(&self, steps: usize) {
        *self.0.0.lock().unwrap().budget.get_or_insert(0) += steps;
        self.0.1.notify_all();
    }

    /// Allows any number of steps.
    pub(super) fn release(&self) {
        self.0.0.lock().unwrap().budget = None;
        self.0.1.notify_all();
    }

    fn take(&self, spans: &[Span<'_>]) {
        let (state, change) = &*self.0;
        let mut state =
            change.wait_while(state.lock().unwrap(), |state| state.budget == Some(0)).unwrap();
        if let Some(budget) = &mut state.budget {
            *budget -= 1;
        }
        state.spans.push(spans.iter().map(|span| span.tokens.len()).collect());
    }
}

impl Fake {
    pub(crate) fn new(context: usize) -> (Self, Steps) {
        let steps = Steps::default();
        let fake = Self {
            context,
            memory: usize::MAX,
            fragile: false,
            cells: Vec::new(),
            steps: steps.clone(),
        };
        (fake, steps)
    }

    /// The logits after `tokens`, without any pages.
    pub(crate) fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let from = tokens.len().saturating_sub(self.memory);
        let seed = tokens[from..].iter().fold(7, |seed, token| mix(seed ^ u64::from(*token)));
        (0..VOCAB as u64).map(|token| 4.0 * unit(seed ^ (token << 32))).collect()
    }

    fn rows(&mut self, spans: &[Span<'_>], row: impl Fn(&Self, &[u32]) -> Vec<f32>) -> Vec<f32> {
        self.steps.take(spans);
        let mut rows = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            let end = span.past + span.tokens.len();
            assert!(!span.tokens.is_empty() && end <= self.context);
            assert!(span.pages.len() * PAGE >= end, "no room");
            let own = &span.pages[span.past / PAGE..];
            let is_shared = spans
                .iter()
                .enumerate()
                .filter(|(position, _)| *position != index)
                .flat_map(|(_, span)| span.pages)
                .any(|page| own.contains(page));
            assert!(!is_shared, "a page that is not its own");
            for (position, token) in (span.past..).zip(span.tokens) {
                self.cells[cell(span, position)] = Some((*token, position));
            }
        }
        for span in spans {
            let end = span.past + span.tokens.len();
            let tokens: Vec<u32> = (0..end).map(|position| self.token(span, position)).collect();
            for upto in end + 1 - span.want.rows(span.tokens.len())..=end {
                rows.extend(row(self, &tokens[..upto]));
            }
        }
        rows
    }

    /// The token at a position, read back from its page.
    fn token(&self, span: &Span<'_>, position: usize) -> u32 {
        let (token, written_at) = self.cells[cell(span, position)].expect("never written");
        assert_eq!(written_at, position, "another's page");
        token
    }

    fn check(&self, spans: &[Span<'_>]) -> Result<(), Broken> {
        if !self.fragile {
            return Ok(());
        }
        assert!(!contains(spans, PANICS), "told to panic");
        if contains(spans, BREAKS) { Err(Broken) } else { Ok(()) }
    }
}

fn contains(spans: &[Span<'_>], letter: u32) -> bool {
    spans.iter().any(|span| span.tokens.contains(&letter))
}

fn cell(span: &Span<'_>, position: usize) -> usize {
    span.pages[position / PAGE] as usize * PAGE + position % PAGE
}

/// As in SplitMix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// In [-1, 1).
fn unit(seed: u64) -> f32 {
    (mix(seed) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

impl Decode for Fake {
    fn vocab(&self) -> usize {
        VOCAB
    }

    fn context(&self) -> usize {
        self.context
    }

    fn width(&self) -> usize {
        4
    }

    fn page_bytes(&self) -> usize {
        100
    }

    fn reserve(&mut self, pages: usize) {
        self.cells = vec![None; pages * PAGE];
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        self.check(spans)?;
        Ok(self.rows(spans, |fake, tokens| fake.logits(tokens)))
    }

    fn hidden(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        self.check(spans)?;
        Ok(self.rows(spans, |fake, tokens| fake.logits(tokens)[..4].to_vec()))
    }
}
