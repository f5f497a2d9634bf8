//! The answer of `POST /v1/embeddings`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use shoal_consensus::embedding::Vectors;

use crate::usage::PromptUsage;

/// The vectors of all texts, in the order of the request.
#[derive(Debug, Serialize)]
pub struct List {
    object: &'static str,
    data: Vec<Embedding>,
    /// The model that made the vectors. The client needs its name if the swarm chose it: vectors of
    /// two models cannot be compared.
    model: String,
    /// The tokens of all texts.
    pub usage: PromptUsage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

/// A vector in the form that the client wants.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Numbers {
    Float(Vec<f32>),
    Base64(String),
}

impl List {
    /// The answer with these vectors, cut to `dimensions`.
    pub fn new(vectors: Vectors, dimensions: Option<usize>, base64: bool) -> Self {
        let Vectors { model, vectors, prompt_tokens } = vectors;
        let data = vectors.into_iter().enumerate().map(|(index, mut vector)| {
            if let Some(count) = dimensions {
                shorten(&mut vector, count);
            }
            let embedding = if base64 { base64_of_floats(&vector) } else { Numbers::Float(vector) };
            Embedding { object: "embedding", index, embedding }
        });
        let data = data.collect();
        Self { object: "list", data, model, usage: PromptUsage::new(prompt_tokens) }
    }
}

/// Keeps the first numbers and scales the vector to length 1. A zero vector stays zero.
fn shorten(vector: &mut Vec<f32>, count: usize) {
    vector.truncate(count);
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

fn base64_of_floats(vector: &[f32]) -> Numbers {
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    Numbers::Base64(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortened_vector_has_length_1_again() {
        let mut vector = vec![0.6, 0.0, 0.8];
        shorten(&mut vector, 2);
        assert_eq!(vector, [1.0, 0.0]);
        let mut zero = vec![0.0, 1.0];
        shorten(&mut zero, 1);
        assert_eq!(zero, [0.0]);
    }

    #[test]
    fn base64_is_of_little_endian_floats() {
        // 1.0 is 00 00 80 3f, -2.0 is 00 00 00 c0.
        assert_eq!(base64_of_floats(&[1.0, -2.0]), Numbers::Base64("AACAPwAAAMA=".into()));
    }
}
