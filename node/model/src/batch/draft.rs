//! Drafts an answer's next tokens from the prompt and the answer themselves (prompt lookup decoding,
//! Saxena 2023): the tokens that followed the last occurrence of the text's end. The model reads the
//! draft in one step, and each token is chosen as it would be without a draft. A right draft saves a
//! step; a wrong one costs a little time and changes nothing.

use super::pace::Pace;

/// Lengths of the end that must occur before, the longer first: three tokens predict better than two.
const MATCH_LENGTHS: [usize; 2] = [3, 2];

/// Lengths of drafts. With the token before it the longest fills one tile of the kernels, 8 rows.
const LENGTHS: [usize; 3] = [2, 4, 7];

/// The lookup searches this many tokens from the text's end.
const LOOKUP_TOKENS: usize = 16 * 1024;

/// Weight of the newest drafted token.
const NEWEST: f64 = 0.15;

/// After this many steps without a draft that pays, one draft measures again.
const RETRY: u32 = 48;

/// Assumed ratio of a step with a draft before one is measured: hardly longer, as for a model that
/// waits for memory. The first draft corrects it.
const RATIO_FIRST: f64 = 1.05;

/// How well the drafts for one answer fare.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Share of drafted tokens that were right, weighted to the newest.
    accuracy: f64,
    /// Steps in a row without a draft.
    idle: u32,
}

impl Draft {
    pub(super) fn new() -> Self {
        Self { accuracy: 0.5, idle: 0 }
    }

    /// Appends at most `max` drafted tokens to `tokens`, when that is likely to save time in a step of
    /// `rows` rows without them. Returns their number.
    pub(super) fn propose(
        &mut self,
        tokens: &mut Vec<u32>,
        max: usize,
        rows: usize,
        pace: &Pace,
    ) -> usize {
        let Some(count) = self.length(max, rows, pace) else { return 0 };
        let Some(start) = lookup(tokens) else { return 0 };
        let end = (start + count).min(tokens.len());
        let count = end - start;
        tokens.extend_from_within(start..end);
        self.idle = 0;
        count
    }

    /// Learns that the first `hits` of the draft's `length` tokens were right.
    pub(super) fn learn(&mut self, hits: usize, length: usize) {
        for index in 0..length.min(hits + 1) {
            let outcome = if index < hits { 1.0 } else { 0.0 };
            self.accuracy += NEWEST * (outcome - self.accuracy);
        }
    }

    /// The length with the most tokens for its time, if it beats a step without a draft.
    fn length(&mut self, max: usize, rows: usize, pace: &Pace) -> Option<usize> {
        // Without a measured step there is nothing to compare with.
        pace.ratio(rows, rows)?;
        let lengths =
            LENGTHS.into_iter().filter(|count| *count <= max && pace.records(rows + count));
        let (best, value) = lengths
            .clone()
            .map(|count| (count, self.value(count, rows, pace)))
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        if value > 1.0 {
            return Some(best);
        }
        self.idle += 1;
        if self.idle.is_multiple_of(RETRY) { lengths.min() } else { None }
    }

    /// Expected tokens of a step with a draft, for the time of a step without one.
    fn value(&self, count: usize, rows: usize, pace: &Pace) -> f64 {
        let tokens: f64 = (0..=count).map(|n| self.accuracy.powi(power(n))).sum();
        tokens / pace.ratio(rows + count, rows).unwrap_or(RATIO_FIRST)
    }
}

fn power(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// The index after the last earlier occurrence of the text's end.
fn lookup(tokens: &[u32]) -> Option<usize> {
    let from = tokens.len().saturating_sub(LOOKUP_TOKENS);
    let text = tokens.get(from..)?;
    MATCH_LENGTHS.into_iter().find_map(|length| {
        let (before, end) = text.split_at_checked(text.len().checked_sub(length)?)?;
        // The occurrence may overlap the end, as in a text that repeats one token.
        let last = end.last()?;
        let mut upto = text.len() - 1;
        loop {
            // The last token is compared first: most positions fail there.
            let at = text.get(..upto)?.iter().rposition(|token| token == last)?;
            if at + 1 < length {
                return None;
            }
            if text.get(at + 1 - length..=at) == Some(end) && at + 1 - length < before.len() {
                return Some(from + at + 1);
            }
            upto = at;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose steps take 1 s and `row` seconds for each row.
    fn machine(row: f64) -> Pace {
        let mut pace = Pace::new();
        for rows in 1..20 {
            pace.record(rows, 0, 1.0 + row * rows as f64);
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

    const TEXT: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3];

    fn draft_length(draft: &mut Draft, pace: &Pace) -> usize {
        let mut tokens = TEXT.to_vec();
        let count = draft.propose(&mut tokens, 100, 1, pace);
        assert_eq!(tokens[TEXT.len()..], TEXT[3..3 + count]);
        count
    }

    #[test]
    fn guessing_goes_on_only_while_it_pays() {
        let (free, dear) = (machine(0.0), machine(0.5));
        let mut draft = Draft::new();
        assert_eq!(draft_length(&mut draft, &Pace::new()), 0, "nothing is known of the machine");
        assert_eq!(draft_length(&mut draft, &free), 7);
        assert_eq!(draft.propose(&mut TEXT.to_vec(), 1, 1, &free), 0, "no room for any");
        for _ in 0..30 {
            draft.learn(0, 7);
        }
        let tries = (0..96).filter(|_| draft_length(&mut draft, &dear) > 0).count();
        assert_eq!(tries, 2, "once in a while it is tried again");
        for _ in 0..30 {
            draft.learn(7, 7);
        }
        assert!(draft_length(&mut draft, &dear) > 0);
    }
}
