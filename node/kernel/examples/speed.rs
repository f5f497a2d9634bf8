//! The speed of the products on this machine, compared with its memory.
//!
//! `cargo run --release -p shoal-kernel --example speed [-- --threads 2 --model smol|qwen --formats
//! q8,q4,q4min,q4k,q6k --tokens 1,4,8,256 --layers 28]`; `SHOAL_ISA` selects the instruction set. It
//! runs the products of all layers and the output head in their order, and nothing else, so the result
//! is an upper bound of tokens a second. Weights are random, times are medians.
#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "a program for the terminal")]

use std::{convert::Infallible, time::Instant};

use shoal_kernel::{Format, Matrix, Output, Pool, linear, memory_bandwidth};

/// A decoder's products.
struct Shape {
    name: &'static str,
    hidden_size: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    vocabulary: usize,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "smol",
        hidden_size: 576,
        inner: 1536,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        dim: 64,
        vocabulary: 49152,
    },
    Shape {
        name: "qwen",
        hidden_size: 1536,
        inner: 8960,
        layers: 28,
        heads: 12,
        kv_heads: 2,
        dim: 128,
        vocabulary: 151_936,
    },
];

/// A layer's products. Each list has one input.
type Layer = [Vec<Matrix>; 4];

fn main() {
    let threads = option("threads").and_then(|n| n.parse().ok()).unwrap_or(2);
    let pool = Pool::new(threads);
    let bandwidth = memory_bandwidth(&pool) / 1e9;
    println!("{pool:?}; memory reads at {bandwidth:.1} GB/s");
    let tokens: Vec<usize> = option("tokens")
        .unwrap_or_else(|| "1,4,8,256".into())
        .split(',')
        .filter_map(|n| n.parse().ok())
        .collect();
    let model = option("model");
    let formats = option("formats").unwrap_or_else(|| "q8,q4,q4min,q4k,q6k".into());
    for shape in SHAPES.iter().filter(|shape| model.as_ref().is_none_or(|m| m == shape.name)) {
        for (name, format) in
            FORMATS.iter().filter(|(name, _)| formats.split(',').any(|f| f == *name))
        {
            bench(&pool, shape, name, *format, &tokens, bandwidth);
        }
    }
}

const FORMATS: [(&str, Format); 8] = [
    ("q4k", Format::Q4K),
    ("q6k", Format::Q6K),
    ("q8", Format::Q8),
    ("q4", Format::Q4),
    ("q4min", Format::Q4Min),
    ("f32", Format::F32),
    ("bf16", Format::Bf16),
    ("f16", Format::F16),
];

fn option(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| *argument != format!("--{name}"));
    arguments.nth(1)
}

/// Seconds on a clock. With one thread it is the thread's own time on a core, if the system counts it,
/// so that a busy machine does not disturb the measurement.
fn clock(pool: &Pool) -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let on_core = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_core = on_core.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    match on_core {
        Some(nanoseconds) if pool.threads() == 1 => nanoseconds / 1e9,
        _ => START.elapsed().as_secs_f64(),
    }
}

/// A matrix of arbitrary numbers.
fn matrix(format: Format, rows: usize, cols: usize) -> Matrix {
    let packed = Matrix::pack::<Infallible>(format, rows, cols, |row, values| {
        for (col, value) in values.iter_mut().enumerate() {
            *value = ((col * 7919 + row * 104_729) % 1009) as f32 / 1009.0 - 0.5;
        }
        Ok(())
    });
    let Ok(matrix) = packed;
    matrix
}

fn bench(pool: &Pool, shape: &Shape, name: &str, format: Format, tokens: &[usize], bandwidth: f64) {
    let Shape { hidden_size, inner, heads, kv_heads, dim, .. } = *shape;
    let layers = option("layers").and_then(|n| n.parse().ok()).unwrap_or(shape.layers);
    let layers: Vec<Layer> = (0..layers)
        .map(|_| {
            [
                vec![
                    matrix(format, heads * dim, hidden_size),
                    matrix(format, kv_heads * dim, hidden_size),
                    matrix(format, kv_heads * dim, hidden_size),
                ],
                vec![matrix(format, hidden_size, heads * dim)],
                vec![matrix(format, inner, hidden_size), matrix(format, inner, hidden_size)],
                vec![matrix(format, hidden_size, inner)],
            ]
        })
        .collect();
    let head = vec![matrix(format, shape.vocabulary, hidden_size)];
    let bytes: usize = layers.iter().flatten().chain([&head]).flatten().map(Matrix::bytes).sum();
    println!("{} {name}: {:.0} MB of weights", shape.name, bytes as f64 / 1e6);
    for tokens in tokens {
        // The system updates the time on a core only now and then, so a measurement takes a second.
        let rounds = ((1.0 / step(pool, &layers, &head, *tokens).max(4e-3)) as usize).clamp(5, 100);
        let mut times: Vec<f64> =
            (0..rounds).map(|_| step(pool, &layers, &head, *tokens)).collect();
        let mean = times.iter().sum::<f64>() / rounds as f64;
        times.sort_by(f64::total_cmp);
        let (best, median) =
            if pool.threads() == 1 { (mean, mean) } else { (times[0], times[rounds / 2]) };
        let rate = bytes as f64 / best / 1e9;
        println!(
            "  {tokens:4} tokens: {:9.1} tok/s (best {:9.1}), weights at {rate:5.1} GB/s, {:3.0} % of memory",
            *tokens as f64 / median,
            *tokens as f64 / best,
            100.0 * rate / bandwidth,
        );
    }
}

/// Seconds that the products of one step take.
fn step(pool: &Pool, layers: &[Layer], head: &[Matrix], tokens: usize) -> f64 {
    let start = clock(pool);
    for products in layers.iter().flatten() {
        run(pool, products, tokens);
    }
    // A prompt needs the logits of its last token only.
    run(pool, head, if tokens > 8 { 1 } else { tokens });
    clock(pool) - start
}

fn run(pool: &Pool, products: &[Matrix], tokens: usize) {
    thread_local! {
        static X: std::cell::RefCell<(Vec<f32>, Vec<Vec<f32>>)> = const { std::cell::RefCell::new((Vec::new(), Vec::new())) };
    }
    let cols = products.first().map_or(0, Matrix::cols);
    X.with_borrow_mut(|(x, outs)| {
        x.resize(x.len().max(tokens * cols), 0.3);
        outs.resize(outs.len().max(products.len()), Vec::new());
        let mut outputs: Vec<_> = products
            .iter()
            .zip(outs)
            .map(|(matrix, out)| {
                out.resize(out.len().max(tokens * matrix.rows()), 0.0);
                let out = &mut out[..tokens * matrix.rows()];
                Output { matrix, out, add: false, bias: None }
            })
            .collect();
        if let Err(error) = linear(pool, &x[..tokens * cols], tokens, &mut outputs) {
            println!("{error}");
        }
    });
}
