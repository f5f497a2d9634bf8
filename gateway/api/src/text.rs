//! Finished texts as a stream sends them: in pieces.

/// Most characters of a finished text in one event: about what a model makes at a time, so that
/// apps show it growing.
const PIECE_CHARS: usize = 24;

/// Events of one finished text, about: a very long one comes in longer pieces, or the events that
/// wait would take many times its memory.
const PIECES: usize = 512;

/// Cuts a finished text into pieces of at most [`PIECE_CHARS`] characters, more where that would
/// be very many, that end after a space where there is one. Joined, they are the text.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let chars = PIECE_CHARS.max(text.len() / PIECES);
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = rest.char_indices().nth(chars).map_or(rest.len(), |(at, _)| at);
        let (window_text, _) = rest.split_at(window);
        let end = if window == rest.len() {
            window
        } else {
            window_text.rfind(' ').map_or(window, |space| space + 1)
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_a_text_are_the_text_and_never_empty(text in "(\\PC| ){0,200}") {
            let cut = pieces(&text).collect::<Vec<_>>();
            prop_assert_eq!(cut.concat(), text.as_str());
            prop_assert!(cut.iter().all(|piece| !piece.is_empty() && piece.chars().count() <= PIECE_CHARS));
        }
    }

    #[test]
    fn pieces_end_between_words() {
        let cut = pieces("The sum of the two numbers is 432.").collect::<Vec<_>>();
        assert_eq!(cut, ["The sum of the two ", "numbers is 432."]);
    }
}
