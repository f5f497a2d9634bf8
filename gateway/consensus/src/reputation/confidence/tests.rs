//! Tests of P(right).
