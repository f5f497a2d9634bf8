//! Rotary positions (Su et al., 2021), in the half-split layout of Hugging Face checkpoints.

/// Cosines and sines for every position up to the model's limit. Computed once, on the host.
#[derive(Debug)]
pub(crate) struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rope {
    /// Angle of dimension `i` at position `p`: `p / theta^(2 i / head_dim)`.
    pub(crate) fn new(positions: usize, head_dim: usize, theta: f32) -> Self {
        let half = head_dim / 2;
        let angles = (0..positions).flat_map(|p| {
            (0..half).map(move |i| p as f32 / theta.powf(2.0 * i as f32 / head_dim as f32))
        });
        let (cos, sin) = angles.map(|a| (a.cos(), a.sin())).unzip();
        Self { cos, sin, half }
    }

    /// `head_dim / 2` cosines and sines.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "without a rotation a position would look like 0")]
    pub(crate) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let own = position * self.half..(position + 1) * self.half;
        (&self.cos[own.clone()], &self.sin[own])
    }
}
