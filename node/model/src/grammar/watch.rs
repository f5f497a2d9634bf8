//! Answers with optional calls: unconstrained until a call starts, and held to the call's grammar
//! until it ends.

use llguidance::Matcher;

use crate::{step::Broken, tools::Dialect};

/// Bytes of text to keep: a call starts with a tag or a few characters of JSON, both shorter than this.
const TAIL_MAX: usize = 256;

/// Watches an answer for calls.
pub(crate) struct Watch {
    dialect: Dialect,
    /// The grammar of one call, in its initial state.
    call: Matcher,
    current_call: Option<Matcher>,
    /// The last bytes after the last call.
    tail: Vec<u8>,
    /// Only whitespace and separators since the last call.
    bare: bool,
}

impl Watch {
    pub(super) fn new(dialect: Dialect, call: Matcher) -> Self {
        Self { dialect, call, current_call: None, tail: Vec::new(), bare: true }
    }

    /// The matcher of the call under way.
    pub(super) fn matcher(&mut self) -> Option<&mut Matcher> {
        self.current_call.as_mut()
    }

    pub(super) fn accept(&mut self, token: u32) -> Result<(), Broken> {
        let Some(call) = &mut self.current_call else { return self.search(token) };
        call.consume_token(token).map_err(|_| Broken)?;
        if call.is_stopped() {
            self.current_call = None;
            self.tail.clear();
            self.bare = true;
        }
        Ok(())
    }

    /// Searches free text for the start of a call.
    fn search(&mut self, token: u32) -> Result<(), Broken> {
        let env = self.call.tok_env().map_err(|_| Broken)?;
        let trie = env.tok_trie();
        self.tail.extend(trie.decode(&[token]));
        let Some(start) = self.start() else {
            let old = self.tail.len().saturating_sub(TAIL_MAX);
            self.tail.drain(..old);
            self.bare &= old == 0;
            return Ok(());
        };
        // The model may have written the start of the call in other tokens. The grammar does not care.
        // `start` lies within the tail.
        let prefix = trie.greedy_tokenize(self.tail.get(start..).ok_or(Broken)?);
        let mut call = self.call.clone();
        let read = call.try_consume_tokens(&prefix).map_err(|_| Broken)?;
        self.tail.clear();
        // Text that starts like a call and is none stays text.
        self.bare = false;
        if read == prefix.len() && !call.is_stopped() {
            self.current_call = Some(call);
        }
        Ok(())
    }

    /// The index where a call starts.
    fn start(&self) -> Option<usize> {
        let opener = self.dialect.opener().as_bytes();
        let index = self.tail.windows(opener.len()).position(|part| part == opener);
        if index.is_some() || self.dialect != Dialect::Llama || !self.bare {
            return index;
        }
        let start =
            self.tail.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b';')?;
        self.tail.get(start..)?.starts_with(br#"{"name": ""#).then_some(start)
    }
}
