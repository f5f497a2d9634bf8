//! What proto promises, from the outside.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod document;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod raw;
