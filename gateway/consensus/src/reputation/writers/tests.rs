//! Tests of what is expected of a writer.
