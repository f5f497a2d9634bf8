//! What the messages promise, seen from outside.

#[cfg(test)]
mod document;
