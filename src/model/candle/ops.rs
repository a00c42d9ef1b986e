//! The element-wise operations of the network, written as plain loops that the compiler vectorises, shared among
//! threads where there are many rows. Matrix products are candle's.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// From this many values on, rows are shared among threads.
const PARALLEL: usize = 32 * 1024;

/// The values of a contiguous tensor on the CPU.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) =
        layout.contiguous_offsets().ok_or_else(|| Error::msg("the values are not contiguous"))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Runs `row(index, row)` for each row of `width` values.
fn each_row(data: &mut [f32], width: usize, row: impl Fn(usize, &mut [f32]) + Sync) {
    if data.len() < PARALLEL {
        data.chunks_mut(width).enumerate().for_each(|(i, r)| row(i, r));
    } else {
        data.par_chunks_mut(width).enumerate().for_each(|(i, r)| row(i, r));
    }
}

/// `e^x` to five digits, without branches, so that loops over it are vectorised.
fn exp(x: f32) -> f32 {
    /// Adding 1.5 * 2^23 leaves the rounded number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0) * std::f32::consts::LOG2_E;
    let rounded = x + ROUND;
    let f = x - (rounded - ROUND);
    let tail = 0.001_333_356 + f * 0.000_154_035_3;
    let series = 1.0
        + f * (std::f32::consts::LN_2
            + f * (0.240_226_5 + f * (0.055_504_11 + f * (0.009_618_129 + f * tail))));
    let power = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    f32::from_bits(power) * series
}

/// Root mean square norm of each row, times `weight`.
pub(super) struct RmsNorm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) epsilon: f32,
}

impl CustomOp1 for RmsNorm<'_> {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut data = values(storage, layout)?.to_vec();
        let width = self.weight.len();
        each_row(&mut data, width, |_, row| {
            let squares: f32 = row.iter().map(|x| x * x).sum();
            let scale = (squares / width as f32 + self.epsilon).sqrt().recip();
            for (x, w) in row.iter_mut().zip(self.weight) {
                *x *= scale * w;
            }
        });
        Ok((CpuStorage::F32(data), layout.shape().clone()))
    }
}

/// `silu(gate) * up`.
pub(super) struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        const PIECE: usize = 4096;
        let mut data = values(gate, gate_layout)?.to_vec();
        let up = values(up, up_layout)?;
        each_row(&mut data, PIECE, |i, piece| {
            for (g, u) in piece.iter_mut().zip(&up[i * PIECE..]) {
                *g = *g / (1.0 + exp(-*g)) * u;
            }
        });
        Ok((CpuStorage::F32(data), gate_layout.shape().clone()))
    }
}

/// Sines and cosines of the rotary embedding for the positions of one batch.
pub(super) struct Angles {
    half: usize,
    pairs: bool,
    /// Per position `half` cosines, then `half` sines.
    table: Vec<f32>,
}

impl Angles {
    /// For `count` positions from `start`; `pairs` as in [`super::gguf::Dimensions::rope_pairs`].
    pub(super) fn new(frequencies: &[f32], pairs: bool, start: usize, count: usize) -> Self {
        let half = frequencies.len();
        let mut table = Vec::with_capacity(count * half * 2);
        for position in start..start + count {
            table.extend(frequencies.iter().map(|f| (position as f32 * f).cos()));
            table.extend(frequencies.iter().map(|f| (position as f32 * f).sin()));
        }
        Self { half, pairs, table }
    }
}

/// From one row per position, with the heads side by side, to one block per head (`[heads, positions, width]`);
/// rotated when there are angles, scaled, and with a bias added first.
pub(super) struct ToHeads<'a> {
    pub(super) heads: usize,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) angles: Option<&'a Angles>,
    pub(super) scale: f32,
}

impl CustomOp1 for ToHeads<'_> {
    fn name(&self) -> &'static str {
        "to-heads"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let source = values(storage, layout)?;
        let (positions, all) = layout.shape().dims2()?;
        let width = all / self.heads;
        let mut data = vec![0.0; source.len()];
        each_row(&mut data, width, |i, out| {
            let (head, position) = (i / positions, i % positions);
            out.copy_from_slice(&source[position * all + head * width..][..width]);
            if let Some(bias) = self.bias {
                out.iter_mut().zip(&bias[head * width..]).for_each(|(x, b)| *x += b);
            }
            if let Some(angles) = self.angles {
                rotate(out, angles, position);
            }
            out.iter_mut().for_each(|x| *x *= self.scale);
        });
        Ok((CpuStorage::F32(data), Shape::from((self.heads, positions, width))))
    }
}

fn rotate(head: &mut [f32], angles: &Angles, position: usize) {
    let half = angles.half;
    let (cos, sin) = angles.table[position * half * 2..][..half * 2].split_at(half);
    for i in 0..half {
        let (a, b) = if angles.pairs { (2 * i, 2 * i + 1) } else { (i, i + half) };
        let (x, y) = (head[a], head[b]);
        head[a] = x * cos[i] - y * sin[i];
        head[b] = x * sin[i] + y * cos[i];
    }
}

/// Softmax of attention scores `[kv heads, group * positions, past + positions]`, each position seeing itself and
/// what came before.
pub(super) struct CausalSoftmax {
    pub(super) positions: usize,
    pub(super) past: usize,
}

impl CustomOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut data = values(storage, layout)?.to_vec();
        let width = self.past + self.positions;
        each_row(&mut data, width, |i, row| {
            let (seen, unseen) = row.split_at_mut(self.past + i % self.positions + 1);
            let top = seen.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
            seen.iter_mut().for_each(|x| *x = exp(*x - top));
            let scale = seen.iter().sum::<f32>().recip();
            seen.iter_mut().for_each(|x| *x *= scale);
            unseen.fill(0.0);
        });
        Ok((CpuStorage::F32(data), layout.shape().clone()))
    }
}

/// Copies the values out of a tensor.
pub(super) fn to_vec(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close() {
        for i in -860..880 {
            let x = i as f32 / 10.0;
            let (got, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((got / exact - 1.0).abs() < 1e-5, "{x}: {got} {exact}");
        }
        assert!(exp(-1e9) < 1e-37 && exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn a_position_sees_only_what_came_before() {
        let scores =
            Tensor::from_vec(vec![1.0_f32; 2 * 2 * 3], (2, 2, 3), &candle_core::Device::Cpu)
                .unwrap();
        let out = scores.apply_op1_no_bwd(&CausalSoftmax { positions: 2, past: 1 }).unwrap();
        let third = 1.0 / 3.0;
        let expected = [0.5, 0.5, 0.0, third, third, third];
        for (got, want) in to_vec(&out).unwrap().iter().zip(expected.iter().chain(&expected)) {
            assert!((got - want).abs() < 1e-6);
        }
    }
}
