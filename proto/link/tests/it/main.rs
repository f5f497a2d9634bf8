//! Tests of links through the public interface, over QUIC and over the pipe.

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
