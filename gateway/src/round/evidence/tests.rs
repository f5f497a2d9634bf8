//! What this chapter promises.
