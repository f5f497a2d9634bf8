//! Stop texts, for endpoints that do not know them: an answer ends before the first one.

/// Holds back what may become a stop text.
#[derive(Debug, Default)]
pub(super) struct Stops {
    stops: Vec<String>,
    rest: String,
    is_hit: bool,
}

impl Stops {
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, ..Self::default() }
    }

    /// Adds text. Returns the part that certainly belongs to the answer.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.is_hit {
            return String::new();
        }
        self.rest.push_str(text);
        let start = self.stops.iter().filter_map(|stop| self.rest.find(stop.as_str())).min();
        self.is_hit = start.is_some();
        let safe = start.unwrap_or_else(|| self.rest.len() - self.pending_bytes());
        let rest = self.rest.split_off(safe);
        std::mem::replace(&mut self.rest, rest)
    }

    /// Whether a stop text came.
    pub(super) fn is_hit(&self) -> bool {
        self.is_hit
    }

    /// The text that was held back, at the end of an answer.
    pub(super) fn finish(self) -> String {
        if self.is_hit { String::new() } else { self.rest }
    }

    /// Bytes at the end that may begin a stop text.
    fn pending_bytes(&self) -> usize {
        let prefixes = self
            .stops
            .iter()
            .flat_map(|stop| stop.char_indices().skip(1).filter_map(|(end, _)| stop.get(..end)));
        prefixes.filter(|prefix| self.rest.ends_with(prefix)).map(str::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_before_a_stop_text_however_it_is_cut() {
        let mut stops = Stops::new(&["\nUser:".to_owned(), String::new()]);
        let texts = ["One\n", "Us", "ers\nUse", "r: two"].map(|text| stops.push(text));
        assert_eq!(texts.concat(), "One\nUsers");
        assert!(stops.is_hit() && stops.finish().is_empty());
        let mut stops = Stops::new(&["\nUser:".to_owned()]);
        assert_eq!((stops.push("One\nUs"), stops.finish()), ("One".to_owned(), "\nUs".to_owned()));
    }
}
