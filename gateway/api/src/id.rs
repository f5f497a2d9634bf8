//! Random names for answers.

/// 16 random bytes as 32 hex digits.
pub fn hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}
