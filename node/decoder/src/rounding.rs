//! The cost of quantisation: the perplexity of a text, and how far the predictions are from those of
//! the unrounded weights.

use std::fmt;

use shoal_model::{Broken, Comparison, Files, LoadError, Quant, compare};

use super::{LoadedModel, Options};

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
pub enum RoundingError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the text has no tokens that the model can read")]
    Text,
}

/// One quantisation, compared with the unrounded weights.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub quant: Quant,
    /// Bytes of weights.
    pub bytes: u64,
    pub reading: Comparison,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quant, bytes, reading } = self;
        write!(
            f,
            "{:<6} {:>9.1} MB  perplexity {:>9.4}  KL {:.6} nats  same arg max {:.2} %  ({} tokens)",
            quant.to_string(),
            *bytes as f64 / 1e6,
            reading.perplexity(),
            reading.mean_divergence(),
            100.0 * reading.agreement(),
            reading.tokens,
        )
    }
}

/// Reads a text with the weights kept as `quant` says and with the weights unrounded.
///
/// # Errors
/// When the model does not load, cannot read the text, or its numbers are broken.
pub fn measure(
    files: &Files,
    options: &Options,
    quant: Quant,
    text: &str,
) -> Result<Row, RoundingError> {
    let mut model = LoadedModel::open(files.clone(), &Options { quant, ..options.without_talk() })?;
    let exact = Options { quant: Quant::None, ..options.without_talk() };
    let mut reference = LoadedModel::open(files.clone(), &exact)?;
    let tokens = model.pipeline.tokenizer.encode(text).filter(|tokens| tokens.len() > 1);
    let tokens = tokens.ok_or(RoundingError::Text)?;
    let reading = compare(&mut *model.decoder, &mut *reference.decoder, &tokens)?;
    Ok(Row { quant, bytes: model.decoder.weight_bytes(), reading })
}
