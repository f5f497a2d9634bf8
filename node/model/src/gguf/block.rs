//! GGUF's storage of weights: blocks of a few weights with their scales, in several kinds. The layouts
//! are those of `ggml-common.h`. One small function reads each kind (`simple`, `k`); it is the scalar
//! reference and gives the same bits as `dequantize` of the `gguf` package.

mod simple;
mod k;

use half::{bf16, f16};
use shoal_kernel::{Block, SuperBlock};

use super::read::Fault;

/// The supported kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(non_camel_case_types, reason = "the names of llama.cpp")]
pub(crate) enum Kind {
    F32,
    F16,
    BF16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// Number of weights in a block, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) weights: usize,
    pub(crate) bytes: usize,
}

/// Code in the file, name, and kind if it is supported.
const KINDS: &[(u32, &str, Option<Kind>)] = &[
    (0, "F32", Some(Kind::F32)),
    (1, "F16", Some(Kind::F16)),
    (2, "Q4_0", Some(Kind::Q4_0)),
    (3, "Q4_1", Some(Kind::Q4_1)),
    (6, "Q5_0", Some(Kind::Q5_0)),
    (7, "Q5_1", Some(Kind::Q5_1)),
    (8, "Q8_0", Some(Kind::Q8_0)),
    (9, "Q8_1", None),
    (10, "Q2_K", Some(Kind::Q2_K)),
    (11, "Q3_K", Some(Kind::Q3_K)),
    (12, "Q4_K", Some(Kind::Q4_K)),
    (13, "Q5_K", Some(Kind::Q5_K)),
    (14, "Q6_K", Some(Kind::Q6_K)),
    (15, "Q8_K", None),
    (16, "IQ2_XXS", None),
    (17, "IQ2_XS", None),
    (18, "IQ3_XXS", None),
    (19, "IQ1_S", None),
    (20, "IQ4_NL", None),
    (21, "IQ3_S", None),
    (22, "IQ2_S", None),
    (23, "IQ4_XS", None),
    (24, "I8", None),
    (25, "I16", None),
    (26, "I32", None),
    (27, "I64", None),
    (28, "F64", None),
    (29, "IQ1_M", None),
    (30, "BF16", Some(Kind::BF16)),
    (34, "TQ1_0", None),
    (35, "TQ2_0", None),
    (39, "MXFP4", None),
    (40, "NVFP4", None),
];

impl Kind {
    /// The kind of a code in the table of tensors.
    pub(super) fn from_code(code: u32) -> Result<Self, Fault> {
        match KINDS.iter().find(|(number, ..)| *number == code) {
            Some((_, _, Some(kind))) => Ok(*kind),
            Some((_, name, None)) => {
                let names: Vec<_> = KINDS
                    .iter()
                    .filter(|(.., kind)| kind.is_some())
                    .map(|(_, name, _)| *name)
                    .collect();
                Err(format!("weights as {name} are not read; these are: {}", names.join(", ")))
            }
            None => Err(format!("weights of the unknown type {code}")),
        }
    }

    pub(crate) fn layout(self) -> Layout {
        let (weights, bytes) = match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q2_K => (256, 84),
            Self::Q3_K => (256, 110),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
        };
        Layout { weights, bytes }
    }

    /// Bytes of a row of `weights` weights, which are whole blocks.
    pub(crate) fn row(self, weights: usize) -> usize {
        let layout = self.layout();
        weights / layout.weights * layout.bytes
    }

    /// Writes the weights of whole blocks to `out`. Stops at the end of the shorter one.
    pub(crate) fn widen(self, blocks: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for_each_block(blocks, out, |block, [out]| *out = f32::from_le_bytes(*block))
            }
            Self::F16 => {
                for_each_block(blocks, out, |b, [out]| *out = f16::from_le_bytes(*b).to_f32())
            }
            Self::BF16 => {
                for_each_block(blocks, out, |b, [out]| *out = bf16::from_le_bytes(*b).to_f32())
            }
            Self::Q8_0 => for_each_block(blocks, out, simple::q8_0),
            Self::Q4_0 => for_each_block(blocks, out, simple::q4_0),
            Self::Q4_1 => for_each_block(blocks, out, simple::q4_1),
            Self::Q5_0 => for_each_block(blocks, out, simple::q5_0),
            Self::Q5_1 => for_each_block(blocks, out, simple::q5_1),
            Self::Q2_K => for_each_block(blocks, out, k::q2_k),
            Self::Q3_K => for_each_block(blocks, out, k::q3_k),
            Self::Q4_K => for_each_block(blocks, out, k::q4_k),
            Self::Q5_K => for_each_block(blocks, out, k::q5_k),
            Self::Q6_K => for_each_block(blocks, out, k::q6_k),
        }
    }

    /// The weights from `32 * index` of a row as the stored integers, for kinds with one scale for 32
    /// weights: Q8_0 and Q5_0 (codes around zero), Q4_0 (codes of 0 to 15, where 8 is zero) and Q4_1
    /// (such codes above a minimum).
    pub(crate) fn block(self, row: &[u8], index: usize) -> Option<Block> {
        match self {
            Self::Q8_0 => block_at(row, index).map(simple::q8_0_codes),
            Self::Q4_0 => block_at(row, index).map(simple::q4_0_codes),
            Self::Q4_1 => block_at(row, index).map(simple::q4_1_codes),
            Self::Q5_0 => block_at(row, index).map(simple::q5_0_codes),
            _ => None,
        }
    }

    /// The same for the weights from `256 * index`, of Q4_K and Q6_K.
    pub(crate) fn super_block(self, row: &[u8], index: usize) -> Option<SuperBlock> {
        match self {
            Self::Q4_K => block_at(row, index).map(k::q4_k_codes),
            Self::Q6_K => block_at(row, index).map(k::q6_k_codes),
            _ => None,
        }
    }
}

/// Block `index` of a row.
fn block_at<const BYTES: usize>(row: &[u8], index: usize) -> Option<&[u8; BYTES]> {
    row.as_chunks().0.get(index)
}

/// Calls `widen` for each block and its weights.
fn for_each_block<const BYTES: usize, const WEIGHTS: usize>(
    blocks: &[u8],
    out: &mut [f32],
    widen: impl Fn(&[u8; BYTES], &mut [f32; WEIGHTS]),
) {
    let (blocks, _) = blocks.as_chunks::<BYTES>();
    let (out, _) = out.as_chunks_mut::<WEIGHTS>();
    for (block, out) in blocks.iter().zip(out) {
        widen(block, out);
    }
}

#[cfg(test)]
mod tests;
