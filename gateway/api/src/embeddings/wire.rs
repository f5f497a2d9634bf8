//! Embeddings as they stand on the wire.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use shoal_consensus::embedding::Vectors;

/// The answer.
#[derive(Debug, Serialize)]
pub struct List {
    object: &'static str,
    data: Vec<Embedding>,
    /// The model whose space the vectors are of, which `shoal` leaves to the swarm: vectors of
    /// two models cannot be compared.
    model: String,
    pub usage: Usage,
}

#[derive(Debug, Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

/// A vector in the form that was asked for.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Numbers {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Serialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    total_tokens: u32,
}

impl List {
    /// Encodes the outcome.
    pub fn of(vectors: Vectors, dimensions: Option<usize>, base64: bool) -> Self {
        let Vectors { model, vectors, prompt_tokens } = vectors;
        let data = vectors.into_iter().enumerate().map(|(index, mut vector)| {
            if let Some(count) = dimensions {
                shorten(&mut vector, count);
            }
            let embedding = if base64 { packed(&vector) } else { Numbers::Float(vector) };
            Embedding { object: "embedding", index, embedding }
        });
        let data = data.collect();
        let usage = Usage { prompt_tokens, total_tokens: prompt_tokens };
        Self { object: "list", data, model, usage }
    }
}

/// Keeps the first numbers and brings the vector back to length 1; a zero stays zero.
fn shorten(vector: &mut Vec<f32>, count: usize) {
    vector.truncate(count);
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

fn packed(vector: &[f32]) -> Numbers {
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
        let mut nothing = vec![0.0, 1.0];
        shorten(&mut nothing, 1);
        assert_eq!(nothing, [0.0]);
    }

    #[test]
    fn base64_is_of_little_endian_floats() {
        // 1.0 is 00 00 80 3f, -2.0 is 00 00 00 c0.
        assert_eq!(packed(&[1.0, -2.0]), Numbers::Base64("AACAPwAAAMA=".into()));
    }
}
