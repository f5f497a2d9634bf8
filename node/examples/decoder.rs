//! How fast a decoder reads and writes, without tokenizer, queue or network around it.
//!
//! ```text
//! cargo run --release -p shoal-node --example decoder -- MODEL [QUANT] [THREADS] [DEVICE]
//! ```

use std::{error::Error, time::Instant};

use shoal_node::{
    engine::burn::decoder::{Settings, open, shape_of},
    model::{
        files::Files,
        step::{Decode, PAGE, Span, Want},
        weights::Weights,
    },
};

const PROMPT: usize = 256;
const WRITTEN: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("which model?")?;
    let mut settings = Settings { context: Some(2048), ..Settings::default() };
    if let Some(quant) = arguments.next() {
        settings.quant = quant.parse()?;
    }
    if let Some(threads) = arguments.next() {
        settings.threads = threads.parse()?;
    }
    if let Some(device) = arguments.next() {
        settings.device = device.parse()?;
    }
    let begun = Instant::now();
    let files = Files::open(&model)?;
    let shape = shape_of(&files, settings.context)?;
    let mut decoder = open(shape, &Weights::open(&files)?, settings)?;
    show(&format!("loaded in {:.2} s", begun.elapsed().as_secs_f64()));
    for streams in [1, 4, 8] {
        speed(&mut *decoder, streams)?;
    }
    Ok(())
}

fn speed(decoder: &mut dyn Decode, streams: usize) -> Result<(), Box<dyn Error>> {
    let pages = (PROMPT + WRITTEN).div_ceil(PAGE);
    decoder.reserve(pages * streams);
    let all: Vec<u32> = (0..u32::try_from(pages * streams)?).collect();
    let prompt: Vec<u32> = (0..u32::try_from(PROMPT)?).map(|id| 5 + id * 7 % 250).collect();
    let begun = Instant::now();
    for pages in all.chunks(pages) {
        decoder.step(&[Span { tokens: &prompt, past: 0, pages, want: Want::Last }])?;
    }
    let read = (streams * PROMPT) as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    for step in 0..WRITTEN {
        let token = [prompt[step]];
        let span = |pages| Span { tokens: &token, past: PROMPT + step, pages, want: Want::Last };
        let spans: Vec<Span<'_>> = all.chunks(pages).map(span).collect();
        decoder.step(&spans)?;
    }
    let written = (streams * WRITTEN) as f64 / begun.elapsed().as_secs_f64();
    show(&format!("{streams} streams: reads {read:.0} tok/s, writes {written:.1} tok/s"));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the example is for")]
fn show(line: &str) {
    println!("{line}");
}
