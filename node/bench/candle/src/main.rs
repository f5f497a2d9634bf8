//! Measures candle on a GGUF file in the way of `shoal-node bench`: `candle-peer FILE.gguf` prints a
//! JSON object. `RAYON_NUM_THREADS` sets the number of threads.

use std::{fs::File, io::BufReader, time::Instant};

use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor, quantized::gguf_file::Content};
use candle_transformers::models::{quantized_gemma3, quantized_llama, quantized_qwen2};

const PREFILL: usize = 256;
const PROMPT: usize = 16;
/// Streams side by side, and steps that are timed with so many.
const STREAMS: [(usize, usize); 3] = [(1, 48), (4, 24), (8, 16)];

enum Model {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
    Gemma3(quantized_gemma3::ModelWeights),
}

impl Model {
    fn open(path: &str) -> Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let content = Content::read(&mut file)?;
        let kind = content.metadata.get("general.architecture").context("no architecture")?;
        let (kind, cpu) = (kind.to_string()?.clone(), Device::Cpu);
        Ok(match kind.as_str() {
            "llama" => {
                Self::Llama(quantized_llama::ModelWeights::from_gguf(content, &mut file, &cpu)?)
            }
            "qwen2" => {
                Self::Qwen2(quantized_qwen2::ModelWeights::from_gguf(content, &mut file, &cpu)?)
            }
            "gemma3" => {
                Self::Gemma3(quantized_gemma3::ModelWeights::from_gguf(content, &mut file, &cpu)?)
            }
            kind => bail!("this program has no {kind} model of candle"),
        })
    }

    /// One step of a batch: `tokens` are `[streams, new]`. Position 0 starts new sequences.
    fn step(&mut self, tokens: &[u32], streams: usize, position: usize) -> Result<f32> {
        let tokens =
            Tensor::new(tokens, &Device::Cpu)?.reshape((streams, tokens.len() / streams))?;
        let logits = match self {
            Self::Llama(model) => model.forward(&tokens, position),
            Self::Qwen2(model) => model.forward(&tokens, position),
            Self::Gemma3(model) => model.forward(&tokens, position),
        }?;
        Ok(logits.flatten_all()?.get(0)?.to_scalar::<f32>()?)
    }
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("candle-peer FILE.gguf")?;
    let mut model = Model::open(&path)?;
    let prompt: Vec<u32> = (0..PREFILL as u32).map(|index| index * 7919 % 30_000 + 100).collect();
    model.step(&prompt, 1, 0)?;
    let start = Instant::now();
    model.step(&prompt, 1, 0)?;
    let mut results =
        serde_json::json!({ "prefill 256": PREFILL as f64 / start.elapsed().as_secs_f64() });
    for (streams, steps) in STREAMS {
        // One token at a time: candle's output head needs a contiguous tensor, which several streams
        // with several tokens each are not.
        for (position, token) in prompt[..PROMPT].iter().enumerate() {
            model.step(&vec![*token; streams], streams, position)?;
        }
        let start = Instant::now();
        for step in 0..steps {
            model.step(&vec![prompt[step % PROMPT]; streams], streams, PROMPT + step)?;
        }
        let rate = (streams * steps) as f64 / start.elapsed().as_secs_f64();
        results[format!("{streams} stream{}", if streams > 1 { "s" } else { "" })] = rate.into();
    }
    println!("{results}");
    Ok(())
}
