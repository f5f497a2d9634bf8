//! Measures how fast a model runs on this machine, before it serves.

use std::time::{Duration, Instant};

use shoal_proto::hello::Speed;

use super::step::{Broken, Decode, PAGE, Span, Want};

/// Tokens of the prompt, in one step: enough for the full speed of every kernel.
const PROMPT: usize = 128;

/// Sequences side by side in the last measurement.
const STREAMS: usize = 8;

/// Untimed steps at the start, which touch weights and pages for the first time.
const WARM: usize = 1;

/// Measures for at most about `limit`; a measurement without time for it stays 0. `weights`: the bytes
/// that a step reads, or 0 if unknown. The pages are free afterwards.
///
/// # Errors
/// [`Broken`] when a step of the model fails.
pub fn measure<D: Decode + ?Sized>(
    decoder: &mut D,
    weights: u64,
    limit: Duration,
) -> Result<Speed, Broken> {
    let prompt = PROMPT.min(decoder.context().saturating_sub(1)).max(1);
    let pages_each = (prompt + 1).div_ceil(PAGE);
    let pages: Vec<u32> = (0..).take(pages_each * STREAMS).collect();
    decoder.reserve(pages.len());
    // A third of the time for each measurement, so that a slow machine gets each of them.
    let share = limit / 3;
    let tokens: Vec<u32> = (0..).map(|token| token % 16).take(prompt).collect();
    let first = pages.get(..pages_each).unwrap_or_default();
    let prefill = rate(share, prompt, || {
        let span = Span { tokens: &tokens, past: 0, pages: first, want: Want::Last };
        decoder.step(&[span])
    })?;
    // The content of the pages does not change how long a step takes.
    let spans: Vec<Span<'_>> = pages
        .chunks(pages_each)
        .map(|pages| Span { tokens: &[1], past: prompt, pages, want: Want::Last })
        .collect();
    let single = spans.get(..1).unwrap_or_default();
    let decode = rate(share, 1, || decoder.step(single))?;
    // The prompts have to be read first, which takes too long on a slow machine.
    let is_affordable = prefill > 0.0 && (PROMPT * STREAMS) as f64 / prefill < share.as_secs_f64();
    let mut decode_eight = 0.0;
    if is_affordable {
        for pages in pages.chunks(pages_each).skip(1) {
            let span = Span { tokens: &tokens, past: 0, pages, want: Want::Nothing };
            decoder.step(&[span])?;
        }
        decode_eight = rate(share, STREAMS, || decoder.step(&spans))?;
    }
    let bandwidth = decode * weights as f64 / 1e6;
    let [prefill, decode, decode_eight, bandwidth] =
        [prefill, decode, decode_eight, bandwidth].map(whole);
    Ok(Speed { prefill, decode, decode_eight, bandwidth })
}

/// Tokens a second of a step of `tokens` tokens; times at least one step, whatever the limit.
fn rate<T>(
    limit: Duration,
    tokens: usize,
    mut step: impl FnMut() -> Result<T, Broken>,
) -> Result<f64, Broken> {
    let start = Instant::now();
    for _ in 0..WARM {
        step()?;
    }
    if start.elapsed() > limit {
        return Ok(tokens as f64 / start.elapsed().as_secs_f64());
    }
    let (measurement, mut steps) = (Instant::now(), 0u32);
    while steps == 0 || start.elapsed() < limit {
        step()?;
        steps += 1;
    }
    Ok(tokens as f64 * f64::from(steps) / measurement.elapsed().as_secs_f64().max(1e-9))
}

/// Rounds, and saturates at the limits of `u32`.
fn whole(rate: f64) -> u32 {
    rate.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::fake::Fake;

    #[test]
    fn everything_is_measured_within_a_context_of_any_length() {
        for context in [1, 16, 200, 4000] {
            let (mut fake, _) = Fake::new(context + 1);
            let speed = measure(&mut fake, 1_000_000, Duration::from_millis(30)).unwrap();
            assert!(speed.prefill > 0 && speed.decode > 0 && speed.bandwidth > 0, "{speed:?}");
        }
    }

    #[test]
    fn a_machine_without_time_still_says_something() {
        let (mut fake, steps) = Fake::new(400);
        let speed = measure(&mut fake, 0, Duration::ZERO).unwrap();
        assert!(speed.prefill > 0 && speed.decode > 0, "{speed:?}");
        assert_eq!((speed.decode_eight, speed.bandwidth), (0, 0));
        assert_eq!(steps.spans().len(), 2);
    }
}
