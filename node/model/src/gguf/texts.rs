//! Many short texts in one allocation.

/// A list of texts in one string. A vocabulary has up to a quarter of a million of them, which would take
/// ten times as much memory as separate `String`s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    text: String,
    /// The end of each text; the next text starts there.
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start =
            index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..end)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    pub(super) fn push(&mut self, item: &str) {
        self.text.push_str(item);
        self.ends.push(self.text.len());
    }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let mut list = Self::default();
        texts.into_iter().for_each(|text| list.push(text.as_ref()));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let words = ["", "a", "", "\u{e4}\u{1f41f}", "bc", ""];
        let texts: Texts = words.iter().collect();
        assert_eq!((texts.len(), texts.is_empty()), (6, false));
        assert!(texts.iter().eq(words));
        assert_eq!((texts.get(3), texts.get(6)), (Some("\u{e4}\u{1f41f}"), None));
        assert_eq!(Texts::default().get(0), None);
    }
}
