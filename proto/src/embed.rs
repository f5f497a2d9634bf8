//! A piece of work: turn texts into vectors.

use crate::wire::Nonsense;

/// Texts of one piece of work at most.
pub const INPUTS_MAX: usize = 256;

/// Gateway to node: embed these texts. Answered by one [`Embedded`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Embed {
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
}

impl Embed {
    /// Holds what every node may rely on; [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Nonsense> {
        if self.inputs.len() > INPUTS_MAX {
            return Err(Nonsense("more than 256 texts"));
        }
        Ok(())
    }
}

/// Node to gateway: the vectors, of length 1, one for each text, in order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Embedded {
    #[prost(message, repeated, tag = "1")]
    pub vectors: Vec<Vector>,
    /// Tokens read.
    #[prost(uint32, tag = "2")]
    pub prompt_tokens: u32,
}

/// A point of the model's space.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Vector {
    #[prost(float, repeated, tag = "1")]
    pub values: Vec<f32>,
}

impl Embedded {
    /// Holds the vectors against what was `asked`; for the gateway to call.
    ///
    /// # Errors
    /// What is wrong: one too many or too few, of different sizes, or with numbers that are none.
    pub fn check(&self, asked: &Embed) -> Result<(), Nonsense> {
        if self.vectors.len() != asked.inputs.len() {
            return Err(Nonsense("not one vector for each text"));
        }
        let size = self.vectors.first().map_or(0, |vector| vector.values.len());
        if self.vectors.iter().any(|vector| vector.values.len() != size || size == 0) {
            return Err(Nonsense("vectors of different sizes, or empty ones"));
        }
        if self.vectors.iter().flat_map(|vector| &vector.values).any(|x| !x.is_finite()) {
            return Err(Nonsense("a vector with a number that is not finite"));
        }
        Ok(())
    }
}
