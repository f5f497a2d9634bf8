//! How long steps take, as measured, and what follows for the next one. No output depends on it.

/// A step beside which answers wait for their next token.
const WRITING_S: f64 = 0.08;

/// A step that only reads prompts: who arrives meanwhile waits for it.
const READING_S: f64 = 0.4;

/// Two tiles of the kernels: less does not use the weights that are read for it.
const CHUNK_MIN: usize = 16;
/// More does not read faster.
const CHUNK_MAX: usize = 512;

/// Before anything was measured: cheap on the slowest machine.
const CHUNK_FIRST: usize = 64;

/// How much the newest measurement counts.
const NEWEST: f64 = 0.2;

/// Rows of answers for which the time of a step is remembered one by one.
const ROWS: usize = 32;

/// Times of steps.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Seconds of a step with so many rows of answers and no prompt.
    writing: [Option<f64>; ROWS],
    /// Seconds for a token of a prompt.
    reading: Option<f64>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { writing: [None; ROWS], reading: None }
    }

    /// A step read so many tokens of answers and of prompts in this time.
    pub(super) fn took(&mut self, writing: usize, reading: usize, seconds: f64) {
        if reading == 0 {
            if let Some(entry) = self.writing.get_mut(writing) {
                *entry = Some(mixed(*entry, seconds));
            }
        } else if reading >= CHUNK_MIN / 2 {
            let beside = self.writing(writing).unwrap_or(0.0);
            // At least a tenth: what was measured alone may have been measured on a busier machine.
            let alone = (seconds - beside).max(seconds * 0.1);
            self.reading = Some(mixed(self.reading, alone / reading as f64));
        }
    }

    /// Tokens of prompts that the next step reads beside so many answers.
    pub(super) fn chunk(&self, writing: usize) -> usize {
        let Some(token) = self.reading else { return CHUNK_FIRST };
        let time = if writing > 0 { WRITING_S } else { READING_S };
        // The cast saturates, and the clamp bounds it.
        ((time / token.max(1e-9)) as usize).clamp(CHUNK_MIN, CHUNK_MAX)
    }

    /// How much longer a step takes with `rows` than with `fewer`: 1 is no longer. `None`: nobody
    /// has tried.
    pub(super) fn ratio(&self, rows: usize, fewer: usize) -> Option<f64> {
        Some(self.writing(rows)? / self.writing(fewer)?.max(1e-9))
    }

    /// Whether steps of so many rows are remembered by themselves.
    pub(super) fn knows(&self, rows: usize) -> bool {
        rows < ROWS
    }

    fn writing(&self, rows: usize) -> Option<f64> {
        self.writing.get(rows).copied().flatten()
    }
}

fn mixed(old: Option<f64>, new: f64) -> f64 {
    old.map_or(new, |old| old + NEWEST * (new - old))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_the_machine_the_shorter_the_chunk() {
        let chunk = |seconds: f64, writing| {
            let mut pace = Pace::new();
            pace.took(0, 100, seconds);
            pace.chunk(writing)
        };
        assert_eq!(Pace::new().chunk(1), CHUNK_FIRST);
        assert_eq!((chunk(10.0, 1), chunk(0.001, 1)), (CHUNK_MIN, CHUNK_MAX));
        assert_eq!((chunk(0.1, 1), chunk(0.1, 0)), (80, 400));
    }

    #[test]
    fn the_time_of_answers_is_not_put_down_to_the_prompt() {
        let mut pace = Pace::new();
        pace.took(4, 0, 0.05);
        pace.took(4, 100, 0.15);
        assert_eq!(pace.chunk(1), 80);
        pace.took(8, 0, 0.06);
        assert!((pace.ratio(8, 4).unwrap() - 1.2).abs() < 1e-9);
        assert_eq!(pace.ratio(5, 4), None);
    }
}
