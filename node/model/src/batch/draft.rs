//! Guesses at an answer's next tokens, taken from the prompt and the answer themselves (prompt
//! lookup decoding, Saxena 2023): what followed the last time that the text read like this. The
//! model reads all guesses in one step, and each token is chosen as it would be without them, so
//! that a right guess saves a step and a wrong one costs a little time and nothing else.

use super::pace::Pace;

/// Tokens that must be equal for a guess: three say more than two.
const EQUAL: [usize; 2] = [3, 2];

/// Guesses to choose from. Eight tokens are one tile of the kernels.
const LENGTHS: [usize; 3] = [2, 4, 7];

/// A text longer than this is looked through from its end only.
const LOOKED_THROUGH: usize = 16 * 1024;

/// How much the newest guess counts.
const NEWEST: f64 = 0.15;

/// After so many times that guessing did not pay, one guess shows whether it still does not.
const RETRY: u32 = 48;

/// A step with a guess in it, before any was measured beside one without: hardly longer, as a
/// model that waits for its memory is. The first guess corrects it.
const UNTRIED: f64 = 1.05;

/// What the guesses for one answer were worth.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// How often a guessed token was right, the newest counting most.
    right: f64,
    /// Times in a row that guessing was not tried.
    idle: u32,
}

impl Draft {
    pub(super) fn new() -> Self {
        Self { right: 0.5, idle: 0 }
    }

    /// Guesses at most `most` tokens after `tokens`, when that is likely to pay in a step of
    /// `rows` rows without them. Appends them; says how many.
    pub(super) fn propose(
        &mut self,
        tokens: &mut Vec<u32>,
        most: usize,
        rows: usize,
        pace: &Pace,
    ) -> usize {
        let Some(count) = self.length(most, rows, pace) else { return 0 };
        let Some(found) = lookup(tokens) else { return 0 };
        let end = (found + count).min(tokens.len());
        let count = end - found;
        tokens.extend_from_within(found..end);
        self.idle = 0;
        count
    }

    /// So many of the guessed tokens were right.
    pub(super) fn learn(&mut self, right: usize, guessed: usize) {
        for at in 0..guessed.min(right + 1) {
            let was = if at < right { 1.0 } else { 0.0 };
            self.right += NEWEST * (was - self.right);
        }
    }

    /// The length with the most tokens for its time, if any beats none.
    fn length(&mut self, most: usize, rows: usize, pace: &Pace) -> Option<usize> {
        // Nothing to compare with yet.
        pace.ratio(rows, rows)?;
        let worth = |count: usize| {
            let tokens: f64 = (0..=count).map(|n| self.right.powi(power(n))).sum();
            tokens / pace.ratio(rows + count, rows).unwrap_or(UNTRIED)
        };
        let fits = LENGTHS.into_iter().filter(|count| *count <= most && pace.knows(rows + count));
        let best = fits.clone().max_by(|a, b| worth(*a).total_cmp(&worth(*b)))?;
        if worth(best) > 1.0 {
            return Some(best);
        }
        self.idle += 1;
        if self.idle.is_multiple_of(RETRY) { fits.min() } else { None }
    }
}

fn power(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Where the text goes on after the last place that reads as its end does.
fn lookup(tokens: &[u32]) -> Option<usize> {
    let from = tokens.len().saturating_sub(LOOKED_THROUGH);
    let text = tokens.get(from..)?;
    EQUAL.into_iter().find_map(|equal| {
        let (before, end) = text.split_at_checked(text.len().checked_sub(equal)?)?;
        // It may overlap the end: a text that repeats one token does.
        let last = end.last()?;
        let mut upto = text.len() - 1;
        loop {
            // The last token first: most places fail there.
            let at = text.get(..upto)?.iter().rposition(|token| token == last)?;
            if at + 1 < equal {
                return None;
            }
            if text.get(at + 1 - equal..=at) == Some(end) && at + 1 - equal < before.len() {
                return Some(from + at + 1);
            }
            upto = at;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose steps take the same time, or more for each row.
    fn machine(row: f64) -> Pace {
        let mut pace = Pace::new();
        for rows in 1..20 {
            pace.took(rows, 0, 1.0 + row * rows as f64);
        }
        pace
    }

    #[test]
    fn a_text_goes_on_as_it_did_the_last_time() {
        assert_eq!(lookup(&[1, 2, 3, 9, 1, 2, 3, 7, 1, 2, 3]), Some(7));
        assert_eq!(lookup(&[5, 2, 3, 9, 1, 2, 3]), Some(3), "two tokens will do");
        assert_eq!(lookup(&[4, 4, 4, 4]), Some(3));
        assert_eq!(lookup(&[1, 2, 3, 4]), None);
        assert_eq!(lookup(&[3, 1, 3]), None, "one token says nothing");
        assert_eq!(lookup(&[]), None);
    }

    #[test]
    fn guessing_goes_on_only_while_it_pays() {
        let text = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3];
        let guessed = |draft: &mut Draft, pace: &Pace| {
            let mut tokens = text.to_vec();
            let count = draft.propose(&mut tokens, 100, 1, pace);
            assert_eq!(tokens[text.len()..], text[3..3 + count]);
            count
        };
        let (free, dear) = (machine(0.0), machine(0.5));
        let mut draft = Draft::new();
        assert_eq!(guessed(&mut draft, &Pace::new()), 0, "nothing is known of the machine");
        assert_eq!(guessed(&mut draft, &free), 7);
        assert_eq!(draft.propose(&mut text.to_vec(), 1, 1, &free), 0, "no room for any");
        for _ in 0..30 {
            draft.learn(0, 7);
        }
        let tries = (0..96).filter(|_| guessed(&mut draft, &dear) > 0).count();
        assert_eq!(tries, 2, "once in a while it is tried again");
        for _ in 0..30 {
            draft.learn(7, 7);
        }
        assert!(guessed(&mut draft, &dear) > 0);
    }
}
