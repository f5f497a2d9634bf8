//! Random names.

/// 16 random bytes as 32 hex digits.
pub(super) fn hex() -> String {
    format!("{:032x}", rand::random::<u128>())
}
