//! How fast a model runs on this machine, measured in a moment before it serves.

use std::time::{Duration, Instant};

use shoal_proto::hello::Speed;

use super::step::{Broken, Decode, PAGE, Span, Want};

/// Tokens of a prompt that are read at once: long enough that every kernel is at its best.
const PROMPT: usize = 128;

/// Sequences side by side in the last measurement.
const STREAMS: usize = 8;

/// Steps that are taken before any is timed: weights and pages are touched for the first time.
const WARM: usize = 1;

/// Measures for at most about `limit`; what there was no time for stays 0. `weights` is how many
/// bytes of them a step reads, 0 where nobody knows. Pages that it wrote are free afterwards.
///
/// # Errors
/// [`Broken`] as the model says it.
pub fn measure<D: Decode + ?Sized>(
    decoder: &mut D,
    weights: u64,
    limit: Duration,
) -> Result<Speed, Broken> {
    let prompt = PROMPT.min(decoder.context().saturating_sub(1)).max(1);
    let each = (prompt + 1).div_ceil(PAGE);
    let pages: Vec<u32> = (0..).take(each * STREAMS).collect();
    decoder.reserve(pages.len());
    // A third for each of the three, so that a slow machine says something of all.
    let share = limit / 3;
    let tokens: Vec<u32> = (0..).map(|token| token % 16).take(prompt).collect();
    let first = pages.get(..each).unwrap_or_default();
    let prefill = rate(share, prompt, || {
        let span = Span { tokens: &tokens, past: 0, pages: first, want: Want::Last };
        decoder.step(&[span])
    })?;
    let mut decode = |streams: usize| {
        // What the pages hold does not matter for how long it takes to read them.
        let one = |pages| Span { tokens: &[1], past: prompt, pages, want: Want::Last };
        let spans: Vec<Span<'_>> = pages.chunks(each).take(streams).map(one).collect();
        let prompts = |pages| Span { tokens: &tokens, past: 0, pages, want: Want::Nothing };
        if streams > 1 {
            for pages in pages.chunks(each).skip(1) {
                decoder.step(&[prompts(pages)])?;
            }
        }
        rate(share, streams, || decoder.step(&spans))
    };
    let one = decode(1)?;
    // Their prompts have to be read first: not on a machine that takes long for one.
    let affordable = prefill > 0.0 && (PROMPT * STREAMS) as f64 / prefill < share.as_secs_f64();
    let eight = if affordable { decode(STREAMS)? } else { 0.0 };
    let bandwidth = one * weights as f64 / 1e6;
    let [prefill, decode, decode_eight, bandwidth] = [prefill, one, eight, bandwidth].map(whole);
    Ok(Speed { prefill, decode, decode_eight, bandwidth })
}

/// Tokens a second of a step of so many; at least one is timed, whatever the limit.
fn rate<T>(
    limit: Duration,
    tokens: usize,
    mut step: impl FnMut() -> Result<T, Broken>,
) -> Result<f64, Broken> {
    let begun = Instant::now();
    for _ in 0..WARM {
        step()?;
    }
    if begun.elapsed() > limit {
        return Ok(tokens as f64 / begun.elapsed().as_secs_f64());
    }
    let (timed, mut steps) = (Instant::now(), 0u32);
    while steps == 0 || begun.elapsed() < limit {
        step()?;
        steps += 1;
    }
    Ok(tokens as f64 * f64::from(steps) / timed.elapsed().as_secs_f64().max(1e-9))
}

/// Saturates.
fn whole(rate: f64) -> u32 {
    rate.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fake::Fake;

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
        assert_eq!(steps.seen().len(), 2);
    }
}
