//! Vectors from an endpoint's `/embeddings`.

use serde_json::{Value, json};
use shoal_engine::EngineError;
use shoal_proto::{
    embed::{Embed, Embedded, Vector},
    generate::Fault,
};

use super::{call::EMBEDDINGS, endpoint::Endpoint};

impl Endpoint {
    /// One request for all texts; the vectors come back with length 1.
    pub(super) async fn vectors(&self, ask: &Embed) -> Result<Embedded, EngineError> {
        if !self.can.embeddings {
            return Err(EngineError::new(Fault::Unsupported, "the upstream makes no vectors"));
        }
        if ask.inputs.is_empty() {
            return Ok(Embedded::default());
        }
        let body = json!({ "model": self.model, "input": ask.inputs });
        let reply = self.ask(EMBEDDINGS, body).await?;
        let mut vectors = vec![Vector::default(); ask.inputs.len()];
        let data = reply.get("data").and_then(Value::as_array).ok_or_else(nonsense)?;
        for (at, entry) in data.iter().enumerate() {
            // The order is that of the texts, but the index is what counts.
            let index = entry.get("index").and_then(Value::as_u64);
            let index = index.map_or(Some(at), |index| usize::try_from(index).ok());
            let place = index.and_then(|index| vectors.get_mut(index)).ok_or_else(nonsense)?;
            *place = vector(entry.get("embedding")).ok_or_else(nonsense)?;
        }
        let tokens = reply.pointer("/usage/prompt_tokens").and_then(Value::as_u64).unwrap_or(0);
        let prompt_tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.costs.count(prompt_tokens, 0);
        let result = Embedded { vectors, prompt_tokens };
        result.check(ask).map_err(|_| nonsense())?;
        Ok(result)
    }
}

fn vector(embedding: Option<&Value>) -> Option<Vector> {
    let numbers = embedding?.as_array()?;
    let values: Option<Vec<f64>> = numbers.iter().map(Value::as_f64).collect();
    let values = values?;
    let length = values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 1.0 };
    Some(Vector { values: values.into_iter().map(|x| (x * scale) as f32).collect() })
}

fn nonsense() -> EngineError {
    EngineError::new(Fault::Engine, "the upstream sent no such vectors")
}
