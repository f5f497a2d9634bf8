//! A piece of work: turn texts into vectors.

use crate::invalid::InvalidMessage;

/// Most texts in one piece of work.
pub const INPUTS_MAX: usize = 256;

/// Gateway to node: embed these texts. The answer is one [`Embedded`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Embed {
    /// The texts, at most [`INPUTS_MAX`].
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
}

impl Embed {
    /// Checks what every node relies on. [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        if self.inputs.len() > INPUTS_MAX {
            return Err(InvalidMessage("more than 256 texts"));
        }
        Ok(())
    }

    /// Checks what vectors need. The node calls it and answers a failure with
    /// [`Fault::BadRequest`](crate::generate::Fault::BadRequest).
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_request(&self) -> Result<(), InvalidMessage> {
        if self.inputs.is_empty() {
            return Err(InvalidMessage("there is no text to embed"));
        }
        Ok(())
    }
}

/// Node to gateway: one vector of length 1 for each text, in order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Embedded {
    /// The vectors, all of one size.
    #[prost(message, repeated, tag = "1")]
    pub vectors: Vec<Vector>,
    /// Tokens that the model read.
    #[prost(uint32, tag = "2")]
    pub prompt_tokens: u32,
}

/// A point of the model's embedding space.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Vector {
    /// The coordinates, all finite.
    #[prost(float, repeated, tag = "1")]
    pub values: Vec<f32>,
}

impl Embedded {
    /// Compares the vectors with the request that they answer. The gateway calls it.
    ///
    /// # Errors
    /// The rule that is broken: too many or too few vectors, different sizes, or numbers that are
    /// not finite.
    pub fn check(&self, request: &Embed) -> Result<(), InvalidMessage> {
        if self.vectors.len() != request.inputs.len() {
            return Err(InvalidMessage("not one vector for each text"));
        }
        let size = self.vectors.first().map_or(0, |vector| vector.values.len());
        if self.vectors.iter().any(|vector| vector.values.len() != size || size == 0) {
            return Err(InvalidMessage("vectors of different sizes, or empty ones"));
        }
        if self.vectors.iter().flat_map(|vector| &vector.values).any(|x| !x.is_finite()) {
            return Err(InvalidMessage("a vector with a number that is not finite"));
        }
        Ok(())
    }
}
