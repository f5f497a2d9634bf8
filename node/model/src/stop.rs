//! Stop texts: an answer ends where the first of them is complete, and nothing of it is shown.

/// Holds back what may become a stop text.
#[derive(Debug)]
pub(crate) struct Stops {
    stops: Vec<String>,
    held: String,
    hit: bool,
}

impl Stops {
    /// Empty stop texts are none.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new(), hit: false }
    }

    /// Takes text in; gives out what is certainly part of the answer.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.hit {
            return String::new();
        }
        self.held.push_str(text);
        // The stop that is complete first; of those, the one that began first.
        let found = self.stops.iter().filter_map(|stop| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        let safe = match found.min() {
            Some((_, start)) => {
                self.hit = true;
                start
            }
            None => self.held.len() - self.maybe(),
        };
        let rest = self.held.split_off(safe);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether a stop text was there.
    pub(crate) fn hit(&self) -> bool {
        self.hit
    }

    /// The answer is over: what was held back is part of it, unless a stop text was there.
    pub(crate) fn finish(self) -> String {
        if self.hit { String::new() } else { self.held }
    }

    /// Bytes at the end of the held text that may be the beginning of a stop text.
    fn maybe(&self) -> usize {
        let beginnings = self.stops.iter().flat_map(|stop| {
            stop.char_indices().skip(1).map(|(end, _)| stop.get(..end).unwrap_or_default())
        });
        let ends = beginnings.filter(|beginning| self.held.ends_with(beginning));
        ends.map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The answer when each character comes by itself: the simplest reading of the rule.
    fn slow(text: &str, stops: &[String]) -> (String, bool) {
        for (end, c) in text.char_indices() {
            let so_far = &text[..end + c.len_utf8()];
            let complete = stops.iter().filter(|stop| so_far.ends_with(stop.as_str()));
            if let Some(longest) = complete.map(String::len).max() {
                return (so_far[..so_far.len() - longest].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    proptest! {
        #[test]
        fn pieces_cut_anywhere_give_the_same_answer(
            pieces in proptest::collection::vec("[abß]{0,4}", 0..12),
            stops in proptest::collection::vec("[abß]{1,4}", 0..4),
        ) {
            let mut filter = Stops::new(&stops);
            let mut answer = String::new();
            for piece in &pieces {
                answer.push_str(&filter.push(piece));
            }
            let hit = filter.hit();
            answer.push_str(&filter.finish());
            prop_assert_eq!((answer, hit), slow(&pieces.concat(), &stops));
        }

        #[test]
        fn what_is_given_out_is_never_taken_back(
            pieces in proptest::collection::vec("[ab]{0,3}", 0..12),
            stops in proptest::collection::vec("[ab]{1,4}", 1..4),
        ) {
            let whole = slow(&pieces.concat(), &stops).0;
            let mut filter = Stops::new(&stops);
            let mut answer = String::new();
            for piece in &pieces {
                answer.push_str(&filter.push(piece));
                prop_assert!(whole.starts_with(&answer));
            }
        }
    }

    #[test]
    fn without_stop_texts_nothing_is_held_back() {
        let mut filter = Stops::new(&[]);
        assert_eq!(filter.push("all of it"), "all of it");
    }
}
