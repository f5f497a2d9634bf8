//! The thread that drives the model: one step after the other, for everybody who asked.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, TryRecvError},
    time::Instant,
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
    reply::{Reply, broken},
    requests::Requests,
    schedule::{Budget, Turn, plan},
    sequence::{Around, News, Part, Sequence},
};
use crate::{
    pipeline::TextPipeline,
    step::{Broken, Decode, PAGE, Span},
};

/// Bytes of logits in one step, beside those of answers: a judge of a vocabulary of 150,000
/// scores 55 tokens a step and not a whole page of text.
const ROWS_BYTES: usize = 32 << 20;

/// A request, cut into jobs.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) reply: Reply,
    pub(super) place: OwnedSemaphorePermit,
    /// `None`: nothing is to be done for this part, a pair that stays undecided.
    pub(super) jobs: Vec<Option<Job>>,
    /// Tokens to be read for it.
    pub(super) read: usize,
}

/// Everything that the thread owns.
pub(super) struct Runner<'w, D> {
    decoder: D,
    words: &'w TextPipeline,
    /// Sequences that run at the same time.
    most: usize,
    cache: Cache,
    requests: Requests,
    queue: Queue<u64, Sequence<'w>>,
    /// By when they came in: who came last gives way first.
    running: BTreeMap<u64, Sequence<'w>>,
    next: u64,
    pace: Pace,
    guesses: bool,
    metrics: Metrics,
}

impl<'w, D: Decode> Runner<'w, D> {
    /// Reserves the pages of the cache.
    pub(super) fn new(
        mut decoder: D,
        words: &'w TextPipeline,
        pages: usize,
        options: &Options,
        metrics: Metrics,
    ) -> Self {
        decoder.reserve(pages);
        Self {
            decoder,
            words,
            most: options.sequences.max(1),
            cache: Cache::new(pages),
            requests: Requests::default(),
            queue: Queue::new(),
            running: BTreeMap::new(),
            next: 0,
            pace: Pace::new(),
            guesses: options.guesses,
            metrics,
        }
    }

    /// Serves until nobody can ask any more.
    pub(super) fn run(mut self, inbox: &Receiver<Prepared>) {
        while self.intake(inbox) {
            // A bug in the model's code costs the answers under way, not the node.
            if catch_unwind(AssertUnwindSafe(|| self.turn())).is_err() {
                tracing::error!("the model's code panicked");
                self.reset();
            }
        }
        self.requests.fail_all(&broken("the model was closed"));
    }

    /// Takes in what is there; waits when there is nothing else to do. `false`: it is over.
    fn intake(&mut self, inbox: &Receiver<Prepared>) -> bool {
        if self.running.is_empty() && self.queue.len() == 0 {
            match inbox.recv() {
                Ok(prepared) => self.take(prepared),
                Err(_) => return false,
            }
        }
        loop {
            match inbox.try_recv() {
                Ok(prepared) => self.take(prepared),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, prepared: Prepared) {
        let Prepared { reply, place, jobs, read } = prepared;
        let ask = self.requests.add(reply, place, jobs.len(), read);
        let mut sequences = Vec::with_capacity(jobs.len());
        for (part, job) in jobs.into_iter().enumerate() {
            match job {
                Some(job) => sequences.push(Sequence::new(ask, part, job, self.words)),
                None => self.requests.part(ask, part, Part::TIE),
            }
        }
        self.queue.push(ask, sequences);
    }

    /// Everything that happens between two looks at the inbox.
    fn turn(&mut self) {
        self.dismiss();
        self.admit();
        if self.guesses {
            self.guess();
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
        self.metrics.waiting.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
        self.metrics.pages(self.cache.in_use(), self.cache.available());
    }

    /// Lets go of what nobody waits for any more.
    fn dismiss(&mut self) {
        for ask in self.requests.gone() {
            self.drop_sequences(ask);
        }
    }

    fn drop_sequences(&mut self, ask: u64) {
        self.queue.remove(ask);
        let of_ask = |_: &u64, sequence: &mut Sequence<'w>| sequence.ask == ask;
        for (_, mut sequence) in self.running.extract_if(.., of_ask) {
            sequence.leave(&mut self.cache);
        }
    }

    /// Lets in who has a place and room.
    fn admit(&mut self) {
        while self.running.len() < self.most {
            let (running, cache) = (&self.running, &mut self.cache);
            let Some(mut sequence) = self.queue.next(|next| decide(next, running, cache)) else {
                return;
            };
            if let Some(found) = sequence.enter(&mut self.cache) {
                self.metrics.found(found, sequence.tokens());
            }
            self.running.insert(self.next, sequence);
            self.next += 1;
        }
    }

    /// Guesses at answers as long as a step is hardly longer for it.
    fn guess(&mut self) {
        let mut rows = self.running.values().filter(|sequence| sequence.is_writing()).count();
        for sequence in self.running.values_mut() {
            rows += sequence.guess(rows, &self.pace);
        }
    }

    fn plan(&self) -> Vec<Turn> {
        let view = |(serial, sequence): (&u64, &Sequence<'w>)| {
            sequence.view(*serial, self.requests.served(sequence.ask))
        };
        let views: Vec<_> = self.running.iter().map(view).collect();
        let writing = views.iter().filter(|view| view.writing).map(|view| view.unread).sum();
        let row_bytes = size_of::<f32>() * self.decoder.vocab().max(self.decoder.width()).max(1);
        plan(&views, Budget { tokens: self.pace.chunk(writing), rows: ROWS_BYTES / row_bytes })
    }

    /// Makes room for each turn, the oldest first; who came last gives way when there is none.
    fn make_room(&mut self, mut turns: Vec<Turn>) -> Vec<Turn> {
        turns.sort_by_key(|turn| turn.serial);
        let mut ready = Vec::with_capacity(turns.len());
        for turn in turns {
            while let Some(sequence) = self.running.get_mut(&turn.serial) {
                if sequence.grow(&turn, &mut self.cache) {
                    ready.push(turn);
                    break;
                }
                if let Some((_, mut last)) = self.running.pop_last() {
                    self.metrics.gave_way.inc();
                    last.leave(&mut self.cache);
                    self.queue.push_front(last.ask, last);
                }
            }
        }
        ready.retain(|turn| self.running.contains_key(&turn.serial));
        ready
    }

    fn step(&mut self, turns: &[Turn]) {
        let embeds =
            |turn: &&Turn| self.running.get(&turn.serial).is_some_and(Sequence::is_embedding);
        let (vectors, logits): (Vec<&Turn>, Vec<&Turn>) = turns.iter().partition(embeds);
        for (turns, hidden) in [(logits, false), (vectors, true)] {
            if turns.is_empty() {
                continue;
            }
            let begun = Instant::now();
            let result = self.compute(&turns, hidden);
            if let Ok(rows) = result {
                self.note(&turns, begun.elapsed().as_secs_f64());
                self.deal(&turns, &rows, hidden);
                continue;
            }
            // Somebody's numbers are broken. One by one it shows whose; what is written twice is
            // the same both times.
            for turn in turns {
                match self.compute(&[turn], hidden) {
                    Ok(rows) => self.deal(&[turn], &rows, hidden),
                    Err(broken) => self.fail(turn.serial, broken.into()),
                }
            }
        }
    }

    fn compute(&mut self, turns: &[&Turn], hidden: bool) -> Result<Vec<f32>, Broken> {
        // A turn left out would give its rows to the next one.
        let spans = turns.iter().map(|turn| self.running.get(&turn.serial)?.span(turn));
        let spans: Vec<Span<'_>> = spans.collect::<Option<_>>().ok_or(Broken)?;
        if hidden { self.decoder.hidden(&spans) } else { self.decoder.step(&spans) }
    }

    /// How long a step took.
    fn note(&mut self, turns: &[&Turn], seconds: f64) {
        let (mut writing, mut reading) = (0, 0);
        for turn in turns {
            let Some(sequence) = self.running.get(&turn.serial) else { continue };
            if sequence.is_writing() {
                writing += turn.tokens;
            } else {
                reading += turn.tokens;
                self.requests.serve(sequence.ask, turn.tokens);
            }
        }
        self.metrics.read(writing, reading);
        self.pace.took(writing, reading, seconds);
    }

    /// Gives each its rows.
    fn deal(&mut self, turns: &[&Turn], rows: &[f32], hidden: bool) {
        let vocab = self.decoder.vocab();
        let width = if hidden { self.decoder.width() } else { vocab };
        let mut rows = rows.chunks_exact(width.max(1));
        for turn in turns {
            let own = rows.by_ref().take(turn.want.rows(turn.tokens)).collect::<Vec<_>>();
            let Some(sequence) = self.running.get_mut(&turn.serial) else { continue };
            let around = Around { words: self.words, vocab, cache: &mut self.cache };
            match sequence.read(turn, own.into_iter(), around) {
                Ok(news) => self.tell(turn.serial, news),
                Err(error) => self.fail(turn.serial, error),
            }
        }
    }

    fn tell(&mut self, serial: u64, news: News) {
        let Some(sequence) = self.running.get_mut(&serial) else { return };
        let (ask, at) = (sequence.ask, sequence.part);
        self.metrics.guessed(news.guessed.0, news.guessed.1);
        self.requests.tell(ask, &news.text);
        if let Some(part) = news.part {
            sequence.leave(&mut self.cache);
            self.running.remove(&serial);
            self.requests.part(ask, at, part);
        }
    }

    /// One sequence is broken, and its ask with it.
    fn fail(&mut self, serial: u64, error: EngineError) {
        let Some(ask) = self.running.get(&serial).map(|sequence| sequence.ask) else { return };
        self.requests.fail(ask, error);
        self.drop_sequences(ask);
    }

    /// Nothing that was under way is to be trusted any more.
    fn reset(&mut self) {
        self.requests.fail_all(&broken("the model's code panicked"));
        self.queue = Queue::new();
        for (_, mut sequence) in std::mem::take(&mut self.running) {
            sequence.leave(&mut self.cache);
        }
        self.cache.clear();
    }
}

/// Whether a sequence may come in beside those that run.
fn decide(
    next: &Sequence<'_>,
    running: &BTreeMap<u64, Sequence<'_>>,
    cache: &mut Cache,
) -> Decision {
    let found = cache.find(next.needless());
    let known = found.pages().len();
    // What it needs, those that run still need, and a page for each: somebody always goes on.
    let promised: usize = running
        .values()
        .map(|other| 1 + other.pages_needed().saturating_sub(other.pages_held()))
        .sum();
    let fits = next.pages_needed() - known + promised <= cache.available();
    cache.release(found);
    // Somebody is about to read what it begins with: then it need not.
    let pages = next.needless().len() / PAGE;
    let ahead =
        running.values().map(|other| other.is_reading_for(next.needless()).min(pages)).max();
    if ahead.is_some_and(|ahead| ahead > known) {
        Decision::Pass
    } else if fits || running.is_empty() {
        Decision::Admit
    } else {
        Decision::Stop
    }
}
