//! How fast this machine runs a model: prefill, decode, and the share of the memory bandwidth.

use std::{
    collections::BTreeMap,
    fmt, fs,
    hint::black_box,
    time::{Duration, Instant},
};

use serde::Serialize;
use shoal_kernel::{Pool, memory_bandwidth};
use shoal_model::{Broken, Decode, Files, LoadError, PAGE, Span, Want};

use super::{DeviceKind, LoadedModel, Options, decoder::Settings};

/// Tokens of the prompt that is read in one step.
const PREFILL: usize = 256;
/// Tokens of the prompt before tokens are written.
const PROMPT: usize = 16;
/// Streams side by side, and steps that are timed with so many.
const STREAMS: [(usize, usize); 3] = [(1, 48), (4, 24), (8, 16)];
/// No step starts after this time: on a slow device a few steps are enough.
const PATIENCE: Duration = Duration::from_secs(10);

/// The measurements. Rates are in tokens per second.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub model: String,
    pub parameters: u64,
    /// Tokens of a prompt.
    pub prefill: f64,
    /// Of all streams together, by the number of streams.
    pub decode: BTreeMap<usize, f64>,
    /// Bytes per second that all threads together read from memory. `None` unless the device is the
    /// CPU: the memory of other devices is not measured.
    pub memory_bandwidth: Option<f64>,
    /// Bytes of weights that a step reads.
    pub weight_bytes: u64,
    /// The most memory that the program had, in bytes; 0 if the system does not report it.
    pub peak_rss: u64,
    /// Seconds from the files to the first step.
    pub load: f64,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("{0} has room for {1} tokens: too few to measure")]
    Context(String, usize),
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {:.1} million parameters", self.model, self.parameters as f64 / 1e6)?;
        writeln!(f, "  prefill    {:>9.1} tokens/s ({PREFILL} at once)", self.prefill)?;
        for (streams, rate) in &self.decode {
            let noun = if *streams == 1 { "stream" } else { "streams" };
            writeln!(f, "  decode     {rate:>9.1} tokens/s ({streams} {noun})")?;
        }
        if let Some(rate) = self.decode.get(&1) {
            let read = rate * self.weight_bytes as f64;
            write!(f, "  bandwidth  {:>9.1} GB/s of weights at one stream", read / 1e9)?;
            if let Some(memory) = self.memory_bandwidth {
                let share = 100.0 * read / memory.max(f64::MIN_POSITIVE);
                write!(f, ", of {:.1} GB/s that memory gives ({share:.0} %)", memory / 1e9)?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "  memory     {:>9.1} MB at most, {:.1} MB of it weights; loaded in {:.2} s",
            megabytes(self.peak_rss),
            megabytes(self.weight_bytes),
            self.load
        )
    }
}

/// Loads a model and measures it.
///
/// # Errors
/// When it does not load, or its numbers are broken.
pub fn measure(files: Files, options: &Options) -> Result<Report, BenchError> {
    let start = Instant::now();
    let LoadedModel { mut decoder, card, .. } = LoadedModel::open(files, &options.without_talk())?;
    let load = start.elapsed().as_secs_f64();
    let peak_rss = peak_rss();
    let decoder = &mut *decoder;
    let prefill = PREFILL.min(decoder.context());
    if decoder.context() <= PROMPT + 1 {
        return Err(BenchError::Context(card.name, decoder.context()));
    }
    let tokens = tokens(decoder.vocab(), prefill);
    let most = STREAMS.iter().map(|(streams, _)| *streams).max().unwrap_or(1);
    let pages_each = (prefill + PAGE).div_ceil(PAGE);
    let pages: Vec<u32> = (0..).take(pages_each * most).collect();
    decoder.reserve(pages.len());
    let first = pages.get(..pages_each).ok_or(Broken)?;
    let whole = Span { tokens: &tokens, past: 0, pages: first, want: Want::Last };
    decoder.step(&[whole])?;
    let start = Instant::now();
    decoder.step(&[whole])?;
    let read = prefill as f64 / start.elapsed().as_secs_f64();
    let mut decode = BTreeMap::new();
    for (streams, steps) in STREAMS {
        decode.insert(streams, decode_rate(decoder, &tokens, &pages, pages_each, streams, steps)?);
    }
    Ok(Report {
        model: card.name,
        parameters: card.parameters,
        prefill: read,
        decode,
        memory_bandwidth: (options.device == DeviceKind::Cpu).then(|| memory(options.threads)),
        weight_bytes: decoder.weight_bytes(),
        peak_rss,
        load,
    })
}

/// Tokens a second of all streams together, each after a short prompt of its own.
fn decode_rate(
    decoder: &mut dyn Decode,
    tokens: &[u32],
    pages: &[u32],
    pages_each: usize,
    streams: usize,
    steps: usize,
) -> Result<f64, Broken> {
    let prompt = tokens.get(..PROMPT).unwrap_or(tokens);
    let rooms: Vec<&[u32]> = pages.chunks(pages_each).take(streams).collect();
    for pages in &rooms {
        decoder.step(&[Span { tokens: prompt, past: 0, pages, want: Want::Nothing }])?;
    }
    let room = decoder.context().min(pages_each * PAGE) - prompt.len();
    let (mut start, mut steps_timed) = (Instant::now(), 0);
    // The first step is not timed: it fills the cache for the others.
    for step in 0..=steps {
        if step == 1 {
            start = Instant::now();
        }
        let past = prompt.len() + step % room;
        let next = tokens.get(step % tokens.len()..).unwrap_or(tokens);
        let next = next.get(..1).unwrap_or(next);
        let mut spans = Vec::with_capacity(streams);
        for pages in &rooms {
            spans.push(Span { tokens: next, past, pages, want: Want::Last });
        }
        black_box(decoder.step(&spans)?);
        steps_timed = step;
        if steps_timed > 0 && start.elapsed() > PATIENCE {
            break;
        }
    }
    Ok((streams * steps_timed) as f64 / start.elapsed().as_secs_f64())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Tokens of a vocabulary, each different from the one before it.
fn tokens(vocab: usize, count: usize) -> Vec<u32> {
    (0..count).filter_map(|index| u32::try_from(index * 7919 % vocab.max(1)).ok()).collect()
}

/// Bytes per second that `threads` threads (0: all cores) read from memory.
fn memory(threads: usize) -> f64 {
    let threads = if threads == 0 { Settings::default().threads } else { threads };
    memory_bandwidth(&Pool::new(threads))
}

/// The most memory that this program had, as Linux reports it; 0 on other systems.
fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
