//! Rotary positions (Su et al., 2021) and the ways to stretch them to longer contexts.

use std::f64::consts::PI;

use serde::Deserialize;
use serde_json::Value;

use super::{Architecture, Rotary, ShapeError, raw::Raw};

/// How fast the pairs of a head turn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RopeShape {
    /// Pair `i` turns by `theta^(-2 i / dims)` a position.
    pub theta: f64,
    /// Dimensions of a head that turn, from the first on: an even number.
    pub dims: usize,
    pub scaling: Scaling,
}

/// How the speeds of the pairs change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scaling {
    /// The speeds stay as they are.
    None,
    /// All speeds divided by this (Chen et al., 2023).
    Linear(f64),
    /// Llama 3.1: slow pairs are divided by `factor`, fast pairs are kept, pairs between are blended.
    Llama3 { factor: f64, low: f64, high: f64, original: f64 },
    /// YaRN (Peng et al., 2023).
    Yarn { factor: f64, fast: f64, slow: f64, original: f64, magnitude: f64 },
    /// LongRoPE (Ding et al., 2024): a factor for each pair; cosines and sines are multiplied by
    /// `magnitude`.
    Each { factors: Vec<f64>, magnitude: f64 },
}

/// The cosines and sines of all positions: `[positions, dims / 2]` each.
#[derive(Clone, Debug)]
pub(crate) struct Angles {
    pub cos: Vec<f32>,
    pub sin: Vec<f32>,
}

impl RopeShape {
    /// Radians per position for each pair, and the factor of cosines and sines.
    pub(crate) fn speeds(&self) -> (Vec<f64>, f64) {
        let pairs = 0..self.dims / 2;
        match &self.scaling {
            Scaling::None => (pairs.map(|pair| self.speed(pair)).collect(), 1.0),
            Scaling::Linear(factor) => (pairs.map(|pair| self.speed(pair) / factor).collect(), 1.0),
            Scaling::Llama3 { factor, low, high, original } => {
                let speeds = pairs.map(|pair| {
                    let speed = self.speed(pair);
                    // Turns within the context that the model was first trained on.
                    let turns = original * speed / (2.0 * PI);
                    let keep = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    keep * speed + (1.0 - keep) * speed / factor
                });
                (speeds.collect(), 1.0)
            }
            Scaling::Yarn { factor, fast, slow, original, magnitude } => {
                let first = self.pair_of(*fast, *original).floor().max(0.0);
                let last = self.pair_of(*slow, *original).ceil().min(self.dims as f64 - 1.0);
                let last = if first == last { last + 0.001 } else { last };
                let speeds = pairs.map(|pair| {
                    let speed = self.speed(pair);
                    let share = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                    speed * (1.0 - share) + speed / factor * share
                });
                (speeds.collect(), *magnitude)
            }
            Scaling::Each { factors, magnitude } => {
                let speeds = pairs.zip(factors).map(|(pair, factor)| self.speed(pair) / factor);
                (speeds.collect(), *magnitude)
            }
        }
    }

    /// Radians per position of a pair without scaling.
    fn speed(&self, pair: usize) -> f64 {
        self.theta.powf(-2.0 * pair as f64 / self.dims as f64)
    }

    /// The pair that makes so many turns within the original context.
    fn pair_of(&self, turns: f64, original: f64) -> f64 {
        self.dims as f64 * (original / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
    }

    /// The tables for the first `positions` positions.
    pub(crate) fn angles(&self, positions: usize) -> Angles {
        let (speeds, magnitude) = self.speeds();
        let angles = (0..positions)
            .flat_map(|position| speeds.iter().map(move |speed| position as f64 * speed));
        let (cos, sin) = angles
            .map(|angle| ((angle.cos() * magnitude) as f32, (angle.sin() * magnitude) as f32))
            .unzip();
        Angles { cos, sin }
    }
}

/// The keys about rotary positions, from `rope_scaling`, `rope_parameters` or beside them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    short_factor: Option<Vec<f64>>,
    long_factor: Option<Vec<f64>>,
}

impl Parameters {
    fn read(value: Option<&Value>) -> Result<Self, ShapeError> {
        // Converted files may have the kind twice, as `type` and as `rope_type`.
        let mut value = value.filter(|value| value.is_object()).cloned().unwrap_or_default();
        if let Some(parameters) =
            value.as_object_mut().filter(|parameters| parameters.contains_key("rope_type"))
        {
            parameters.remove("type");
        }
        let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
        Ok(serde_json::from_value(value)?)
    }
}

/// The context if no cap is set: all positions of the model. For LongRoPE, the positions that the
/// short list is for: transformers computes every sequence that fits them with the short list, and
/// the long list makes it another model.
pub(super) fn usual(raw: &Raw) -> Result<usize, ShapeError> {
    let scaling = raw.rope_scaling.as_ref().filter(|scaling| scaling.is_object());
    let parameters = Parameters::read(raw.rope_parameters.as_ref().or(scaling))?;
    let long = matches!(parameters.rope_type.as_deref(), Some("longrope" | "su"));
    let original = parameters.original_max_position_embeddings.map(|original| original as usize);
    let original = original.or(raw.original_max_position_embeddings);
    Ok(original.filter(|original| long && *original > 0).unwrap_or(raw.max_position_embeddings))
}

/// The rotations that the layers use: one, or two, of which the second is for windowed layers.
pub(super) fn ropes(
    raw: &Raw,
    arch: &'static Architecture,
    dim: usize,
    context: usize,
) -> Result<Vec<RopeShape>, ShapeError> {
    let newest = raw.rope_parameters.as_ref();
    let scaling = raw.rope_scaling.as_ref().filter(|scaling| scaling.is_object());
    let theta = raw.rope_theta.unwrap_or(10_000.0);
    if arch.rotary == Rotary::LocalAndGlobal {
        let global =
            Parameters::read(newest.and_then(|map| map.get("full_attention")).or(scaling))?;
        let local = Parameters::read(newest.and_then(|map| map.get("sliding_attention")))?;
        let near = raw.rope_local_base_freq.unwrap_or(10_000.0);
        return Ok(vec![
            rope(raw, arch, &global, theta, [dim, context])?,
            rope(raw, arch, &local, near, [dim, context])?,
        ]);
    }
    let parameters = Parameters::read(newest.or(scaling))?;
    Ok(vec![rope(raw, arch, &parameters, theta, [dim, context])?])
}

fn rope(
    raw: &Raw,
    arch: &'static Architecture,
    parameters: &Parameters,
    theta: f64,
    [dim, context]: [usize; 2],
) -> Result<RopeShape, ShapeError> {
    let part = parameters.partial_rotary_factor.or(raw.partial_rotary_factor);
    let part = part.filter(|_| arch.rotary == Rotary::Partial).unwrap_or(1.0);
    let dims = (dim as f64 * part) as usize;
    let theta = parameters.rope_theta.unwrap_or(theta);
    // The negated comparison refuses NaN too.
    if !(theta > 0.0 && theta.is_finite()) {
        return Err(ShapeError::Size("rope_theta is not positive"));
    }
    let scaling = scaling(raw, arch, parameters, dims, context)?;
    Ok(RopeShape { theta, dims, scaling })
}

fn scaling(
    raw: &Raw,
    arch: &'static Architecture,
    parameters: &Parameters,
    dims: usize,
    context: usize,
) -> Result<Scaling, ShapeError> {
    let positions = raw.max_position_embeddings as f64;
    let original = raw.original_max_position_embeddings.map(|original| original as f64);
    let original = parameters.original_max_position_embeddings.or(original).unwrap_or(positions);
    Ok(match parameters.rope_type.as_deref().unwrap_or("default") {
        "default" => Scaling::None,
        "linear" => Scaling::Linear(positive(parameters.factor)?),
        "llama3" => {
            let (low, high) = (parameters.low_freq_factor, parameters.high_freq_factor);
            let (low, high) = (positive(low)?, positive(high)?);
            if low >= high {
                return Err(ShapeError::Size("low_freq_factor is not below high_freq_factor"));
            }
            Scaling::Llama3 { factor: positive(parameters.factor)?, low, high, original }
        }
        "yarn" => {
            if parameters.truncate == Some(false) {
                let feature = "yarn scaling without truncate".to_owned();
                return Err(ShapeError::Unsupported { feature, kind: arch.kind });
            }
            let factor = positive(parameters.factor.or(Some(positions / original)))?;
            let (fast, slow) =
                (parameters.beta_fast.unwrap_or(32.0), parameters.beta_slow.unwrap_or(1.0));
            Scaling::Yarn {
                factor,
                fast,
                slow,
                original,
                magnitude: yarn_magnitude(parameters, factor),
            }
        }
        "longrope" | "su" => {
            // The served context decides between the lists, as in llama.cpp. In transformers the
            // length of the sequence decides, but here a row must not depend on how its prompt was
            // cut into steps, and the cache must stay valid when a sequence grows.
            let long = context as f64 > original;
            let factors = if long { &parameters.long_factor } else { &parameters.short_factor };
            let factors = factors.clone().unwrap_or_default();
            if factors.len() != dims / 2 || !factors.iter().all(|factor| *factor > 0.0) {
                let why = "long_factor or short_factor has not one positive number for each pair";
                return Err(ShapeError::Size(why));
            }
            let stretch = parameters.factor.unwrap_or(positions / original);
            let growth = (1.0 + stretch.ln() / original.ln()).sqrt();
            let magnitude = if stretch <= 1.0 { 1.0 } else { growth };
            Scaling::Each { factors, magnitude: parameters.attention_factor.unwrap_or(magnitude) }
        }
        kind => {
            let feature = format!("{kind} scaling of rotary positions");
            return Err(ShapeError::Unsupported { feature, kind: arch.kind });
        }
    })
}

fn positive(factor: Option<f64>) -> Result<f64, ShapeError> {
    factor
        .filter(|factor| *factor > 0.0 && factor.is_finite())
        .ok_or(ShapeError::Size("the scaling of rotary positions has no positive factor"))
}

/// The factor of cosines and sines under YaRN.
fn yarn_magnitude(parameters: &Parameters, factor: f64) -> f64 {
    match (parameters.attention_factor, parameters.mscale, parameters.mscale_all_dim) {
        (Some(magnitude), _, _) => magnitude,
        (None, Some(scale), Some(scale_all_dim)) if scale != 0.0 && scale_all_dim != 0.0 => {
            yarn_growth(factor, scale) / yarn_growth(factor, scale_all_dim)
        }
        _ => yarn_growth(factor, 1.0),
    }
}

fn yarn_growth(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 }
}
