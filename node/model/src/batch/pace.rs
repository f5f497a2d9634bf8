//! Measured step times, and the size of the next step that follows from them. No output depends on it.

/// Seconds of a step while answers are under way: each of them waits this long for its next token.
const ANSWER_STEP_S: f64 = 0.08;

/// Seconds of a step that only reads prompts: a request that arrives meanwhile waits this long.
const PROMPT_STEP_S: f64 = 0.4;

/// Two tiles of the kernels. Fewer tokens waste the weights that a step reads.
const CHUNK_MIN: usize = 16;
/// More tokens do not make reading faster.
const CHUNK_MAX: usize = 512;

/// Used before the first measurement: cheap on the slowest machine.
const CHUNK_FIRST: usize = 64;

/// Weight of the newest measurement.
const NEWEST: f64 = 0.2;

/// Step times are stored for each number of answer rows below this.
const ROWS: usize = 32;

/// Times of steps.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Seconds of a step with this many rows of answers and no prompt.
    answer_steps: [Option<f64>; ROWS],
    /// Seconds for each token of a prompt.
    prompt_token: Option<f64>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { answer_steps: [None; ROWS], prompt_token: None }
    }

    /// Records a step of this many tokens of answers and of prompts.
    pub(super) fn record(&mut self, answer_tokens: usize, prompt_tokens: usize, seconds: f64) {
        if prompt_tokens == 0 {
            if let Some(entry) = self.answer_steps.get_mut(answer_tokens) {
                *entry = Some(average(*entry, seconds));
            }
        } else if prompt_tokens >= CHUNK_MIN / 2 {
            let answers_s = self.answer_step(answer_tokens).unwrap_or(0.0);
            // At least a tenth: the machine may have been busier when the answers were measured.
            let prompts_s = (seconds - answers_s).max(seconds * 0.1);
            let token_s = prompts_s / prompt_tokens as f64;
            self.prompt_token = Some(average(self.prompt_token, token_s));
        }
    }

    /// Tokens of prompts for the next step, beside this many tokens of answers.
    pub(super) fn chunk(&self, answer_tokens: usize) -> usize {
        let Some(token) = self.prompt_token else { return CHUNK_FIRST };
        let time = if answer_tokens > 0 { ANSWER_STEP_S } else { PROMPT_STEP_S };
        // The cast saturates, and the clamp bounds it.
        ((time / token.max(1e-9)) as usize).clamp(CHUNK_MIN, CHUNK_MAX)
    }

    /// How much longer a step takes with `rows` than with `fewer`: 1 is equally long. `None`: not
    /// measured.
    pub(super) fn ratio(&self, rows: usize, fewer: usize) -> Option<f64> {
        Some(self.answer_step(rows)? / self.answer_step(fewer)?.max(1e-9))
    }

    /// Whether the time of steps of this many rows is recorded.
    pub(super) fn records(&self, rows: usize) -> bool {
        rows < ROWS
    }

    fn answer_step(&self, rows: usize) -> Option<f64> {
        self.answer_steps.get(rows).copied().flatten()
    }
}

fn average(old: Option<f64>, new: f64) -> f64 {
    old.map_or(new, |old| old + NEWEST * (new - old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(seconds: f64, answer_tokens: usize) -> usize {
        let mut pace = Pace::new();
        pace.record(0, 100, seconds);
        pace.chunk(answer_tokens)
    }

    #[test]
    fn the_slower_the_machine_the_shorter_the_chunk() {
        assert_eq!(Pace::new().chunk(1), CHUNK_FIRST);
        assert_eq!((chunk(10.0, 1), chunk(0.001, 1)), (CHUNK_MIN, CHUNK_MAX));
        assert_eq!((chunk(0.1, 1), chunk(0.1, 0)), (80, 400));
    }

    #[test]
    fn the_time_of_answers_is_not_put_down_to_the_prompt() {
        let mut pace = Pace::new();
        pace.record(4, 0, 0.05);
        pace.record(4, 100, 0.15);
        assert_eq!(pace.chunk(1), 80);
        pace.record(8, 0, 0.06);
        assert!((pace.ratio(8, 4).unwrap() - 1.2).abs() < 1e-9);
        assert_eq!(pace.ratio(5, 4), None);
    }
}
