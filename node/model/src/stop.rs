//! Stop texts: an answer ends where the first of them is complete, and does not include it.

/// Holds back what may become a stop text.
#[derive(Debug)]
pub(crate) struct Stops {
    stops: Vec<String>,
    buffer: String,
    hit: bool,
}

impl Stops {
    /// Ignores empty stop texts.
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, buffer: String::new(), hit: false }
    }

    /// Adds text. Returns the part that certainly belongs to the answer.
    pub(crate) fn push(&mut self, text: &str) -> String {
        if self.hit {
            return String::new();
        }
        self.buffer.push_str(text);
        // The stop text that is complete first; of those, the one that starts first.
        let matches = self.stops.iter().filter_map(|stop| {
            let start = self.buffer.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        let safe = match matches.min() {
            Some((_, start)) => {
                self.hit = true;
                start
            }
            None => self.buffer.len() - self.pending_bytes(),
        };
        let rest = self.buffer.split_off(safe);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Whether a stop text occurred.
    pub(crate) fn hit(&self) -> bool {
        self.hit
    }

    /// Ends the answer. Returns the text that was held back, unless a stop text occurred.
    pub(crate) fn finish(self) -> String {
        if self.hit { String::new() } else { self.buffer }
    }

    /// Bytes at the end of the buffer that may start a stop text.
    fn pending_bytes(&self) -> usize {
        let prefixes = self.stops.iter().flat_map(|stop| {
            stop.char_indices().skip(1).map(|(end, _)| stop.get(..end).unwrap_or_default())
        });
        let tails = prefixes.filter(|prefix| self.buffer.ends_with(prefix));
        tails.map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reference implementation that reads one character at a time.
    fn reference(text: &str, stops: &[String]) -> (String, bool) {
        for (end, c) in text.char_indices() {
            let prefix = &text[..end + c.len_utf8()];
            let complete = stops.iter().filter(|stop| prefix.ends_with(stop.as_str()));
            if let Some(longest) = complete.map(String::len).max() {
                return (prefix[..prefix.len() - longest].to_owned(), true);
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
            prop_assert_eq!((answer, hit), reference(&pieces.concat(), &stops));
        }

        #[test]
        fn what_is_given_out_is_never_taken_back(
            pieces in proptest::collection::vec("[ab]{0,3}", 0..12),
            stops in proptest::collection::vec("[ab]{1,4}", 1..4),
        ) {
            let whole = reference(&pieces.concat(), &stops).0;
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
