//! What proto promises, from the outside.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod ends;
