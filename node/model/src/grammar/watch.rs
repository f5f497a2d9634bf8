//! Answers that may call functions but need not: free until a call begins, and held to its
//! grammar until it ends.

use llguidance::Matcher;

use crate::{step::Broken, tools::Dialect};

/// A call's beginning is a mark, or a few letters of JSON: nothing before them matters.
const TAIL_MAX: usize = 256;

/// Watches for calls.
pub(crate) struct Watch {
    dialect: Dialect,
    /// The grammar of one call, at its beginning.
    call: Matcher,
    inside: Option<Matcher>,
    /// The bytes behind the last call, the newest of them.
    tail: Vec<u8>,
    /// Nothing but blanks (and what stands between calls) since the last call.
    bare: bool,
}

impl Watch {
    pub(super) fn new(dialect: Dialect, call: Matcher) -> Self {
        Self { dialect, call, inside: None, tail: Vec::new(), bare: true }
    }

    /// What holds the call that is being written.
    pub(super) fn inside(&mut self) -> Option<&mut Matcher> {
        self.inside.as_mut()
    }

    pub(super) fn accept(&mut self, token: u32) -> Result<(), Broken> {
        let Some(call) = &mut self.inside else { return self.listen(token) };
        call.consume_token(token).map_err(|_| Broken)?;
        if call.is_stopped() {
            self.inside = None;
            self.tail.clear();
            self.bare = true;
        }
        Ok(())
    }

    /// Looks for the beginning of a call in free text.
    fn listen(&mut self, token: u32) -> Result<(), Broken> {
        let words = self.call.tok_env().map_err(|_| Broken)?;
        let trie = words.tok_trie();
        self.tail.extend(trie.decode(&[token]));
        let Some(start) = self.start() else {
            let old = self.tail.len().saturating_sub(TAIL_MAX);
            self.tail.drain(..old);
            self.bare &= old == 0;
            return Ok(());
        };
        // What is written of the call already may have been cut into tokens in another way, which
        // does not matter to a grammar.
        let begun = trie.greedy_tokenize(self.tail.get(start..).unwrap_or_default());
        let mut call = self.call.clone();
        let read = call.try_consume_tokens(&begun).map_err(|_| Broken)?;
        self.tail.clear();
        // What begins like a call and is none is text.
        self.bare = false;
        if read == begun.len() && !call.is_stopped() {
            self.inside = Some(call);
        }
        Ok(())
    }

    /// Where a call begins.
    fn start(&self) -> Option<usize> {
        let mark = self.dialect.opener().as_bytes();
        let marked = self.tail.windows(mark.len()).position(|part| part == mark);
        if marked.is_some() || self.dialect != Dialect::Llama || !self.bare {
            return marked;
        }
        let between = |byte: &&u8| byte.is_ascii_whitespace() || **byte == b';';
        let start = self.tail.iter().take_while(between).count();
        self.tail.get(start..)?.starts_with(br#"{"name": ""#).then_some(start)
    }
}
