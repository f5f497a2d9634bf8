//! The middle of a feed-forward block: an activation, times a second projection.
#![expect(
    clippy::indexing_slicing,
    reason = "the pool gives ranges inside the length it was given"
)]

use crate::{
    Error, Pool,
    error::check_length,
    isa::{Kernel, dispatch},
    math::times_sigmoid,
    shared_slice::SharedSlice,
    simd::Simd,
};

/// The activation function of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e^-x)`: Llama, Qwen, Mistral, Phi.
    Silu,
    /// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`: Gemma.
    GeluTanh,
}

/// `gate = activation(gate) * up`, value by value.
///
/// # Errors
/// When the lengths differ.
pub fn gated(
    pool: &Pool,
    activation: Activation,
    gate: &mut [f32],
    up: &[f32],
) -> Result<(), Error> {
    /// Values that a thread takes at a time, in whole vectors. One thread alone does up to so many.
    const CHUNK: usize = 1 << 13;
    check_length("the second projection", up.len(), gate.len())?;
    let len = gate.len();
    let gate = SharedSlice::new(gate);
    pool.chunks(len, CHUNK, |range| {
        #[expect(unsafe_code, reason = "ranges of one slice")]
        // SAFETY: `chunks` gives each element once.
        let gate = unsafe { gate.part(range.clone()) };
        dispatch(pool.isa(), Gate { activation, gate, up: &up[range] });
    });
    Ok(())
}

struct Gate<'a> {
    activation: Activation,
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for Gate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (gates, gate_tail) = self.gate.as_chunks_mut::<16>();
        let (ups, up_tail) = self.up.as_chunks::<16>();
        for (gate, up) in gates.iter_mut().zip(ups) {
            let active = activate(s, self.activation, s.load(gate));
            s.store(s.mul(active, s.load(up)), gate);
        }
        // The tail goes through the same arithmetic, so that a value's place does not matter.
        let mut tail = [0.0; 16];
        for (tail, gate) in tail.iter_mut().zip(&*gate_tail) {
            *tail = *gate;
        }
        let active = activate(s, self.activation, s.load(&tail));
        s.store(active, &mut tail);
        for ((gate, up), active) in gate_tail.iter_mut().zip(up_tail).zip(tail) {
            *gate = active * up;
        }
    }
}

#[inline(always)]
fn activate<S: Simd>(s: S, activation: Activation, x: S::F) -> S::F {
    match activation {
        Activation::Silu => times_sigmoid(s, x, x),
        // (1 + tanh u) / 2 = 1 / (1 + e^-2u)
        Activation::GeluTanh => {
            let cube = s.mul(s.mul(x, x), x);
            let u = s.fma(cube, s.splat(0.044_715), x);
            times_sigmoid(s, x, s.mul(u, s.splat(2.0 * 0.797_884_6)))
        }
    }
}
