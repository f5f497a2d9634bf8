//! A model's sampling settings, for what an ask leaves open.

use serde_json::{Map, Value, json};
use shoal_proto::generate::Sampling;

use super::{LoadError, files::Files, gguf::Metadata, tokenizer};

/// The settings of `generation_config.json`, as Hugging Face reads it, or of a GGUF file's
/// `general.sampling.*`. Greedy if there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    temperature: f32,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

impl Defaults {
    /// Reads the settings of a model.
    ///
    /// # Errors
    /// When `generation_config.json` exists and is invalid.
    pub fn read(files: &Files) -> Result<Self, LoadError> {
        match files.gguf() {
            Some(gguf) => Ok(Self::from(&from_gguf(gguf.metadata()))),
            None => Ok(Self::from(&tokenizer::json(files, "generation_config.json")?)),
        }
    }

    /// Ignores values that are out of range.
    fn from(config: &Value) -> Self {
        let [temperature, top_p, min_p, repetition_penalty] =
            ["temperature", "top_p", "min_p", "repetition_penalty"]
                .map(|name| config.get(name).and_then(Value::as_f64).map(|x| x as f32));
        let samples = config.get("do_sample").and_then(Value::as_bool).unwrap_or(false);
        let repetition_penalty = repetition_penalty.filter(|x| *x > 0.0 && x.is_finite());
        if !samples {
            return Self { temperature: 0.0, repetition_penalty, ..Self::greedy() };
        }
        let top_k = config.get("top_k").and_then(Value::as_u64);
        Self {
            temperature: temperature.filter(|x| (0.0..=2.0).contains(x)).unwrap_or(1.0),
            top_p: top_p.filter(|x| *x > 0.0 && *x <= 1.0),
            top_k: top_k.and_then(|k| u32::try_from(k).ok()),
            min_p: min_p.filter(|x| (0.0..=1.0).contains(x)),
            repetition_penalty,
        }
    }

    /// Always the likeliest token.
    pub(crate) fn greedy() -> Self {
        Self { temperature: 0.0, top_p: None, top_k: None, min_p: None, repetition_penalty: None }
    }

    /// The ask's settings, with these where the ask sets none.
    pub(crate) fn fill(&self, ask: Sampling) -> Sampling {
        Sampling {
            temperature: ask.temperature.or(Some(self.temperature)),
            top_p: ask.top_p.or(self.top_p),
            top_k: ask.top_k.or(self.top_k),
            min_p: ask.min_p.or(self.min_p),
            repetition_penalty: ask.repetition_penalty.or(self.repetition_penalty),
            ..ask
        }
    }
}

/// The settings of a GGUF file under the keys of a `generation_config.json`. A file with any setting of
/// sampling samples, unless its temperature is 0.
fn from_gguf(metadata: &Metadata) -> Value {
    const NAMES: [(&str, &str); 5] = [
        ("temp", "temperature"),
        ("top_k", "top_k"),
        ("top_p", "top_p"),
        ("min_p", "min_p"),
        ("penalty_repeat", "repetition_penalty"),
    ];
    let mut config = Map::new();
    for (name, config_key) in NAMES {
        let key = format!("general.sampling.{name}");
        let whole = metadata.unsigned(&key).map(|number| json!(number));
        if let Some(number) = whole.or_else(|| metadata.float(&key).map(|number| json!(number))) {
            config.insert(config_key.to_owned(), number);
        }
    }
    let samples = config.keys().any(|name| name != "repetition_penalty");
    let cold = metadata.float("general.sampling.temp").is_some_and(|degree| degree <= 0.0);
    config.insert("do_sample".to_owned(), json!(samples && !cold));
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bytes::Bytes,
        gguf::{self, Gguf, tests::builder::GgufBuilder},
    };

    /// The defaults of a GGUF file with these settings.
    fn file(pairs: &[(&str, gguf::Value)]) -> Defaults {
        let builder = pairs.iter().fold(GgufBuilder::default(), |builder, (key, value)| {
            builder.pair(&format!("general.sampling.{key}"), value.clone())
        });
        let bytes = Bytes::Memory(builder.bytes().into());
        let gguf = Gguf::parse("builder".to_owned(), bytes).unwrap();
        Defaults::from(&from_gguf(gguf.metadata()))
    }

    #[test]
    fn a_model_that_says_nothing_is_greedy_and_one_that_samples_says_how() {
        let silent = Defaults::from(&json!({ "top_p": 0.9 })).fill(Sampling::default());
        assert_eq!((silent.temperature, silent.top_p), (Some(0.0), None));
        let config = json!({ "do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 7.0 });
        let sampling = Defaults::from(&config).fill(Sampling::default());
        assert_eq!(
            (sampling.temperature, sampling.top_k, sampling.top_p),
            (Some(0.7), Some(20), None)
        );
    }

    #[test]
    fn a_gguf_file_says_it_in_its_own_words() {
        use gguf::Value::{Float, Signed};
        assert_eq!(file(&[]), Defaults::greedy());
        let defaults = file(&[("temp", Float(0.5)), ("top_k", Signed(20)), ("top_p", Float(0.75))]);
        let reference =
            Defaults { temperature: 0.5, top_p: Some(0.75), top_k: Some(20), ..defaults };
        assert_eq!(defaults, reference);
        assert_eq!(file(&[("min_p", Float(0.25))]).temperature, 1.0, "drawn from all that is left");
        let cold =
            file(&[("temp", Signed(0)), ("top_k", Signed(-1)), ("penalty_repeat", Float(1.5))]);
        assert_eq!(cold, Defaults { repetition_penalty: Some(1.5), ..Defaults::greedy() });
    }

    #[test]
    fn what_the_ask_says_stands() {
        let config = json!({ "do_sample": true, "top_k": 20, "repetition_penalty": 1.1 });
        let ask = Sampling { temperature: Some(0.5), top_k: Some(0), ..Sampling::default() };
        let sampling = Defaults::from(&config).fill(ask.clone());
        assert_eq!(sampling, Sampling { repetition_penalty: Some(1.1), ..ask });
    }
}
