//! What a link promises, seen from outside: the same of QUIC and of the pipe.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod raw;
