//! The thread that drives the model: it takes requests, plans a step, runs it and hands out the rows.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use shoal_engine::EngineError;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Options,
    cache::Cache,
    job::Job,
    metrics::Metrics,
    pace::Pace,
    queue::{Decision, Queue},
    reply::{Reply, engine_fault},
    requests::Requests,
    schedule::{Budget, Turn, plan},
    sequence::{Part, Progress, ReadContext, Sequence},
};
use crate::{
    pipeline::TextPipeline,
    step::{Broken, Decode, PAGE, Span},
};

/// Bytes of logits in one step, beside those of answers. With a vocabulary of 150,000 a judge scores
/// 55 tokens a step and not a whole page of text.
const ROWS_BYTES: usize = 32 << 20;

/// A period of the cache. A prefix that nobody reads for five of them goes: a conversation that pauses
/// for longer is read again, as with hosted models.
const PERIOD: Duration = Duration::from_secs(60);

/// A request that is cut into jobs.
#[derive(Debug)]
pub(super) struct PreparedRequest {
    pub(super) reply: Reply,
    pub(super) place: OwnedSemaphorePermit,
    /// `None`: this part needs no reading, as for a pair that stays undecided.
    pub(super) jobs: Vec<Option<Job>>,
    /// Tokens that the request reads.
    pub(super) read_tokens: usize,
}

/// Everything that the thread owns.
pub(super) struct Runner<'w, D> {
    decoder: D,
    pipeline: &'w TextPipeline,
    /// Sequences that run at the same time.
    max_sequences: usize,
    cache: Cache,
    requests: Requests,
    queue: Queue<u64, Sequence<'w>>,
    /// Ordered by their arrival: the last to arrive gives way first.
    active: BTreeMap<u64, Sequence<'w>>,
    next_serial: u64,
    period_start: Instant,
    pace: Pace,
    speculate: bool,
    metrics: Metrics,
}

impl<'w, D: Decode> Runner<'w, D> {
    /// Reserves the `pages` of the cache.
    pub(super) fn new(
        mut decoder: D,
        pipeline: &'w TextPipeline,
        pages: usize,
        options: &Options,
        metrics: Metrics,
    ) -> Self {
        decoder.reserve(pages);
        Self {
            decoder,
            pipeline,
            max_sequences: options.sequences.max(1),
            cache: Cache::new(pages),
            requests: Requests::default(),
            queue: Queue::new(),
            active: BTreeMap::new(),
            next_serial: 0,
            period_start: Instant::now(),
            pace: Pace::new(),
            speculate: options.speculate,
            metrics,
        }
    }

    /// Serves until every sender of `inbox` is gone.
    pub(super) fn run(mut self, inbox: &Receiver<PreparedRequest>) {
        while self.intake(inbox) {
            // A bug in the model's code costs the answers under way, not the node.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                tracing::error!("the model's code panicked");
                self.reset();
            }
        }
        self.requests.fail_all(&engine_fault("the model was closed"));
    }

    /// Takes the requests in the inbox; blocks when there is no other work. `false`: the inbox is closed.
    fn intake(&mut self, inbox: &Receiver<PreparedRequest>) -> bool {
        if self.active.is_empty() && self.queue.len() == 0 {
            match self.wait(inbox) {
                Some(request) => self.take(request),
                None => return false,
            }
        }
        loop {
            match inbox.try_recv() {
                Ok(request) => self.take(request),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Waits for a request, and meanwhile lets old prefixes go. `None`: the inbox is closed.
    fn wait(&mut self, inbox: &Receiver<PreparedRequest>) -> Option<PreparedRequest> {
        while !self.cache.is_empty() {
            match inbox.recv_timeout(PERIOD.saturating_sub(self.period_start.elapsed())) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Timeout) => self.end_period(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        inbox.recv().ok()
    }

    /// Ends a period of the cache, and gives the memory of pages back that nobody needs.
    fn end_period(&mut self) {
        self.period_start = Instant::now();
        let before = self.decoder.cache_bytes();
        let end = self.cache.end_period();
        self.decoder.release_from(end);
        if self.decoder.cache_bytes() < before {
            shoal_kernel::give_back();
        }
        self.count(0);
    }

    fn take(&mut self, request: PreparedRequest) {
        let PreparedRequest { reply, place, jobs, read_tokens } = request;
        let ask = self.requests.add(reply, place, jobs.len(), read_tokens);
        let mut sequences = Vec::with_capacity(jobs.len());
        for (part, job) in jobs.into_iter().enumerate() {
            match job {
                Some(job) => sequences.push(Sequence::new(ask, part, job, self.pipeline)),
                None => self.requests.finish_part(ask, part, Part::TIE),
            }
        }
        self.queue.push(ask, sequences);
    }

    /// One iteration: admit, plan and step.
    fn turn(&mut self) {
        if self.period_start.elapsed() >= PERIOD {
            self.end_period();
        }
        self.dismiss();
        self.admit();
        if self.speculate {
            self.draft();
        }
        let turns = self.plan();
        let turns = self.make_room(turns);
        self.count(turns.len());
        self.step(&turns);
    }

    fn count(&self, sequences: usize) {
        if sequences > 0 {
            self.metrics.sequences.observe(sequences as f64);
        }
        self.metrics.queue_length.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        self.metrics.pages(self.cache.in_use(), self.cache.available());
        self.metrics.set_cache_bytes(self.decoder.cache_bytes());
    }

    /// Drops the requests whose clients have left.
    fn dismiss(&mut self) {
        for ask in self.requests.remove_abandoned() {
            self.drop_sequences(ask);
        }
    }

    fn drop_sequences(&mut self, ask: u64) {
        self.queue.remove(ask);
        let active = &mut self.active;
        for (_, mut sequence) in active.extract_if(.., |_, sequence| sequence.ask == ask) {
            sequence.leave(&mut self.cache);
        }
    }

    /// Admits sequences from the queue while there are slots and pages.
    fn admit(&mut self) {
        while self.active.len() < self.max_sequences {
            let (active, cache) = (&self.active, &mut self.cache);
            let Some(mut sequence) = self.queue.next(|sequence| decide(sequence, active, cache))
            else {
                return;
            };
            if let Some(cached_pages) = sequence.enter(&mut self.cache) {
                self.metrics.count_prefix(cached_pages, sequence.tokens());
            }
            self.active.insert(self.next_serial, sequence);
            self.next_serial += 1;
        }
    }

    /// Drafts tokens of answers as long as that hardly makes the step longer.
    fn draft(&mut self) {
        let mut rows = self.active.values().filter(|sequence| sequence.is_writing()).count();
        for sequence in self.active.values_mut() {
            rows += sequence.draft(rows, &self.pace);
        }
    }

    fn plan(&self) -> Vec<Turn> {
        let views: Vec<_> = self
            .active
            .iter()
            .map(|(serial, sequence)| sequence.view(*serial, self.requests.usage(sequence.ask)))
            .collect();
        let answer_tokens =
            views.iter().filter(|view| view.is_answer).map(|view| view.unread).sum();
        let row_bytes = size_of::<f32>() * self.decoder.vocab().max(self.decoder.width()).max(1);
        plan(
            &views,
            Budget { tokens: self.pace.chunk(answer_tokens), rows: ROWS_BYTES / row_bytes },
        )
    }

    /// Makes room for each turn, the oldest first. Without room the last sequence to arrive gives way.
    fn make_room(&mut self, mut turns: Vec<Turn>) -> Vec<Turn> {
        turns.sort_by_key(|turn| turn.serial);
        let mut ready = Vec::with_capacity(turns.len());
        for turn in turns {
            while let Some(sequence) = self.active.get_mut(&turn.serial) {
                if sequence.grow(&turn, &mut self.cache) {
                    ready.push(turn);
                    break;
                }
                if let Some((_, mut last)) = self.active.pop_last() {
                    self.metrics.gave_way.inc();
                    last.leave(&mut self.cache);
                    self.queue.push_front(last.ask, last);
                }
            }
        }
        ready.retain(|turn| self.active.contains_key(&turn.serial));
        ready
    }

    fn step(&mut self, turns: &[Turn]) {
        let (vectors, logits): (Vec<&Turn>, Vec<&Turn>) = turns
            .iter()
            .partition(|turn| self.active.get(&turn.serial).is_some_and(Sequence::is_embedding));
        for (turns, wants_hidden) in [(logits, false), (vectors, true)] {
            if turns.is_empty() {
                continue;
            }
            let start = Instant::now();
            let result = self.compute(&turns, wants_hidden);
            if let Ok(rows) = result {
                self.record(&turns, start.elapsed().as_secs_f64());
                self.hand_out(&turns, &rows, wants_hidden);
                continue;
            }
            // The numbers of one sequence are broken. Steps of one turn each show whose they are. A
            // second step over the same tokens writes the same cache entries.
            for turn in turns {
                match self.compute(&[turn], wants_hidden) {
                    Ok(rows) => self.hand_out(&[turn], &rows, wants_hidden),
                    Err(error) => self.fail(turn.serial, error.into()),
                }
            }
        }
    }

    fn compute(&mut self, turns: &[&Turn], wants_hidden: bool) -> Result<Vec<f32>, Broken> {
        // Each turn needs its span: without one, its rows would go to the next turn.
        let spans = turns.iter().map(|turn| self.active.get(&turn.serial)?.span(turn));
        let spans: Vec<Span<'_>> = spans.collect::<Option<_>>().ok_or(Broken)?;
        let wanted_rows: usize = turns.iter().map(|turn| turn.want.rows(turn.tokens)).sum();
        let (rows, width) = match wants_hidden {
            true => (self.decoder.hidden(&spans)?, self.decoder.width()),
            false => (self.decoder.step(&spans)?, self.decoder.vocab()),
        };
        if rows.len() == wanted_rows * width { Ok(rows) } else { Err(Broken) }
    }

    /// Records how long a step took.
    fn record(&mut self, turns: &[&Turn], seconds: f64) {
        let (mut answer_tokens, mut prompt_tokens) = (0, 0);
        for turn in turns {
            // Always there: `compute` has just read it.
            let Some(sequence) = self.active.get(&turn.serial) else { continue };
            if sequence.is_writing() {
                answer_tokens += turn.tokens;
            } else {
                prompt_tokens += turn.tokens;
                self.requests.serve(sequence.ask, turn.tokens);
            }
        }
        self.metrics.count_tokens(answer_tokens, prompt_tokens);
        self.pace.record(answer_tokens, prompt_tokens, seconds);
    }

    /// Gives each turn its rows.
    fn hand_out(&mut self, turns: &[&Turn], rows: &[f32], wants_hidden: bool) {
        let vocab = self.decoder.vocab();
        let width = if wants_hidden { self.decoder.width() } else { vocab };
        let mut rows = rows.chunks_exact(width.max(1));
        for turn in turns {
            let turn_rows = rows.by_ref().take(turn.want.rows(turn.tokens)).collect::<Vec<_>>();
            // Gone if an earlier turn has failed the same ask.
            let Some(sequence) = self.active.get_mut(&turn.serial) else { continue };
            let context = ReadContext { pipeline: self.pipeline, vocab, cache: &mut self.cache };
            match sequence.read(turn, turn_rows.into_iter(), context) {
                Ok(progress) => self.report(turn.serial, progress),
                Err(error) => self.fail(turn.serial, error),
            }
        }
    }

    fn report(&mut self, serial: u64, progress: Progress) {
        // Always there: the progress is that of this sequence.
        let Some(sequence) = self.active.get_mut(&serial) else { return };
        let (ask, at) = (sequence.ask, sequence.part);
        self.metrics.count_draft(progress.hits, progress.draft_len);
        self.requests.push_text(ask, &progress.text);
        if let Some(part) = progress.part {
            sequence.leave(&mut self.cache);
            self.active.remove(&serial);
            self.requests.finish_part(ask, at, part);
        }
    }

    /// Fails the ask that a sequence belongs to.
    fn fail(&mut self, serial: u64, error: EngineError) {
        // Gone if another sequence has failed the same ask, which then has its error.
        let Some(ask) = self.active.get(&serial).map(|sequence| sequence.ask) else { return };
        self.requests.fail(ask, error);
        self.drop_sequences(ask);
    }

    /// Drops every request and clears the cache, after a panic that may have left wrong numbers there.
    fn reset(&mut self) {
        self.requests.fail_all(&engine_fault("the model's code panicked"));
        self.queue = Queue::new();
        for (_, mut sequence) in std::mem::take(&mut self.active) {
            sequence.leave(&mut self.cache);
        }
        self.cache.clear();
    }
}

/// Whether a sequence may come in beside the running ones.
fn decide(
    candidate: &Sequence<'_>,
    active: &BTreeMap<u64, Sequence<'_>>,
    cache: &mut Cache,
) -> Decision {
    let prefix = cache.find(candidate.shareable());
    let cached_pages = prefix.pages().len();
    // Pages that the running sequences still need, and one more for each of them: one of them can
    // always go on.
    let reserve: usize = active
        .values()
        .map(|sequence| 1 + sequence.pages_needed().saturating_sub(sequence.pages_held()))
        .sum();
    let fits = candidate.pages_needed() - cached_pages + reserve <= cache.available();
    cache.release(prefix);
    // A running sequence is about to read the same prefix: the candidate waits and shares its pages.
    let pages = candidate.shareable().len() / PAGE;
    let ahead = active
        .values()
        .map(|sequence| sequence.pages_in_common(candidate.shareable()).min(pages))
        .max();
    if ahead.is_some_and(|ahead| ahead > cached_pages) {
        Decision::Pass
    } else if fits || active.is_empty() {
        Decision::Admit
    } else {
        Decision::Stop
    }
}
