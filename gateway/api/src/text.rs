//! A complete text as a stream sends it: in pieces.

/// Most characters of a complete text in one event. A model generates about as much at a time, so
/// that apps show a growing text.
const PIECE_CHARS: usize = 24;

/// About the most events of one complete text. The pieces of a very long text are longer: each
/// event takes memory beside its text, and many short ones would take a multiple of the text's own.
const PIECES: usize = 512;

/// Cuts a complete text into pieces of at most [`PIECE_CHARS`] characters, or longer ones if these
/// were more than [`PIECES`]. A piece ends after a space where it has one. The pieces joined are
/// the text.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let chars = PIECE_CHARS.max(text.len() / PIECES);
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = rest.char_indices().nth(chars).map_or(rest.len(), |(offset, _)| offset);
        let (window_text, _) = rest.split_at(window);
        let end = if window == rest.len() {
            window
        } else {
            window_text.rfind(' ').map_or(window, |space| space + 1)
        };
        let (piece, tail) = rest.split_at(end);
        rest = tail;
        Some(piece)
    })
}

/// The part of a text after its first `offset` bytes, which are sent already. A text that is not
/// longer than that has no more to send.
pub(crate) fn rest(text: &str, offset: usize) -> &str {
    text.get(offset..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_a_text_are_the_text_and_never_empty(text in "(\\PC| ){0,200}") {
            let pieces = pieces(&text).collect::<Vec<_>>();
            prop_assert_eq!(pieces.concat(), text.as_str());
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.chars().count() <= PIECE_CHARS));
        }
    }

    #[test]
    fn pieces_end_between_words() {
        let pieces = pieces("The sum of the two numbers is 432.").collect::<Vec<_>>();
        assert_eq!(pieces, ["The sum of the two ", "numbers is 432."]);
    }
}
