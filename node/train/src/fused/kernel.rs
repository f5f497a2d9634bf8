//! The row-wise loops: RMS norm, SwiGLU and cross-entropy, forward and backward.

use super::simd::{dot, exp, madd, simd, softmax};

simd! {
    /// `y = x / sqrt(mean(x^2) + eps) * gamma`, row by row (Zhang and Sennrich, 2019).
    pub(super) fn rms_norm(x: &[f32], gamma: &[f32], eps: f32, y: &mut [f32]) {
        let width = gamma.len();
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            let r = 1.0 / (dot::<FMA>(x, x) / width as f32 + eps).sqrt();
            for ((y, x), g) in y.iter_mut().zip(x).zip(gamma) {
                *y = x * r * g;
            }
        }
    }

    /// `dx = r g dy - x r^3 mean(x g dy)`, `dgamma = sum over rows of dy x r`.
    pub(super) fn rms_norm_back(
        x: &[f32], gamma: &[f32], eps: f32, dy: &[f32], dx: &mut [f32], dgamma: &mut [f32],
    ) {
        let width = gamma.len();
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
        let mut weighted = vec![0f32; width];
        for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(width)) {
            let r = 1.0 / (dot::<FMA>(x, x) / width as f32 + eps).sqrt();
            for ((w, dy), g) in weighted.iter_mut().zip(dy).zip(gamma) {
                *w = dy * g;
            }
            let pull = r * r * dot::<FMA>(x, &weighted) / width as f32;
            for ((dx, x), w) in dx.iter_mut().zip(x).zip(&weighted) {
                *dx = r * (w - x * pull);
            }
            for ((dg, x), dy) in dgamma.iter_mut().zip(x).zip(dy) {
                *dg = madd::<FMA>(dy * r, *x, *dg);
            }
        }
    }

    /// `y = silu(gate) * up`.
    pub(super) fn swiglu(gate: &[f32], up: &[f32], y: &mut [f32]) {
        for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
            *y = g / (1.0 + exp::<FMA>(-g)) * u;
        }
    }

    /// With s = sigmoid(gate): `dgate = dy up s (1 + gate (1 - s))`, `dup = dy gate s`.
    pub(super) fn swiglu_back(
        gate: &[f32], up: &[f32], dy: &[f32], dgate: &mut [f32], dup: &mut [f32],
    ) {
        let read = gate.iter().zip(up).zip(dy);
        for (((g, u), dy), (dg, du)) in read.zip(dgate.iter_mut().zip(dup)) {
            let s = 1.0 / (1.0 + exp::<FMA>(-g));
            *du = dy * g * s;
            *dg = dy * u * s * madd::<FMA>(*g, 1.0 - s, 1.0);
        }
    }

    /// Mean cross-entropy in nats over the rows of `logits`, which become its gradient.
    pub(super) fn cross_entropy(logits: &mut [f32], targets: &[u32]) -> f32 {
        let (rows, mut loss) = (targets.len(), 0f64);
        let width = logits.len() / rows.max(1);
        let share = 1.0 / rows.max(1) as f32;
        for (row, target) in logits.chunks_exact_mut(width.max(1)).zip(targets) {
            softmax::<FMA>(row);
            match row.get_mut(*target as usize) {
                Some(p) => {
                    loss -= f64::from(p.max(1e-30).ln());
                    *p -= 1.0;
                }
                // A target outside of the vocabulary: `fit` refuses a loss that is not finite.
                None => loss = f64::NAN,
            }
            for value in row.iter_mut() {
                *value *= share;
            }
        }
        (loss / rows.max(1) as f64) as f32
    }
}
