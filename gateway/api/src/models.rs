//! The answers of `GET /v1/models`.

use std::collections::BTreeSet;

use serde::Serialize;

/// A model that can be asked.
#[derive(Debug, Serialize)]
pub struct Model {
    /// The name that requests use.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// In Unix seconds.
    pub created: u64,
    /// `shoal` for the swarm's modes, `member` for a member's model.
    pub owned_by: &'static str,
    /// What its nodes say it is good at. OpenAI has no such key, so that it is absent without tags.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
}

/// A list without pages.
#[derive(Debug, Serialize)]
pub struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

impl<T> List<T> {
    /// A list of `data`, in this order.
    pub fn new(data: Vec<T>) -> Self {
        Self { object: "list", data }
    }
}
