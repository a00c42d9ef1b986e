//! Matrices laid out for our own kernels, where the machine has what these need: for every other matrix and machine
//! there are candle's. The weights exist once, in their 4 or 6 bits.

use candle_core::Result;
use candle_core::quantized::{GgmlDType, QTensor};
use rayon::prelude::*;

use super::blocks::{COLUMNS, Format, Q4, Q6, Quantised, ROWS};
use super::lanes::Avx2;

/// Pieces per thread that a product is cut into: enough that a thread which has to wait for a core holds up little.
const PIECES: usize = 8;

/// A matrix.
pub(super) enum Packed {
    /// 4 bits.
    Q4(Rows<Q4>),
    /// 6 bits.
    Q6(Rows<Q6>),
}

/// The rows of a matrix, sixteen at a time.
pub(super) struct Rows<F: Format> {
    blocks: Vec<F::Block>,
    count: usize,
    /// Blocks per sixteen rows.
    across: usize,
    machine: Avx2,
}

impl Packed {
    /// Lays out the matrix, unless there is no kernel for it here.
    pub(super) fn of(tensor: &QTensor) -> Result<Option<Self>> {
        let (rows, columns) = tensor.shape().dims2()?;
        let whole = rows.is_multiple_of(ROWS) && columns.is_multiple_of(COLUMNS);
        let Some(machine) = Avx2::try_new().filter(|_| whole) else { return Ok(None) };
        Ok(match tensor.dtype() {
            GgmlDType::Q4K => Some(Self::Q4(Rows::of(&tensor.data()?, rows, columns, machine))),
            GgmlDType::Q6K => Some(Self::Q6(Rows::of(&tensor.data()?, rows, columns, machine))),
            _ => None,
        })
    }

    fn pieces<'a>(&'a self, out: &'a mut [f32], pieces: &mut Vec<Piece<'a>>) {
        match self {
            Self::Q4(rows) => rows.pieces(out, pieces),
            Self::Q6(rows) => rows.pieces(out, pieces),
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Q4(rows) => rows.count,
            Self::Q6(rows) => rows.count,
        }
    }
}

/// Rounds vectors for [`products`] and [`Packed::some`].
pub(super) fn quantised(values: &[f32]) -> Vec<Quantised> {
    const FEW: usize = 16;
    struct Rounding<'a>(&'a [[f32; COLUMNS]]);
    impl pulp::NullaryFnOnce for Rounding<'_> {
        type Output = Vec<Quantised>;
        #[inline(always)]
        fn call(self) -> Vec<Quantised> {
            let mut rounded = Vec::with_capacity(self.0.len());
            for block in self.0 {
                rounded.push(Quantised::of(block));
            }
            rounded
        }
    }
    let round = |blocks| match Avx2::try_new() {
        Some(machine) => machine.vectorize(Rounding(blocks)),
        None => pulp::NullaryFnOnce::call(Rounding(blocks)),
    };
    let blocks = values.as_chunks().0;
    if blocks.len() <= FEW {
        return round(blocks);
    }
    blocks.par_chunks(FEW).flat_map_iter(round).collect()
}

/// The products of each matrix with `count` vectors, one vector's behind the other's. All are computed in one go, so that
/// threads meet once.
pub(super) fn products(matrices: &[&Packed], xs: &[Quantised], count: usize) -> Vec<Vec<f32>> {
    let mut outs: Vec<Vec<f32>> =
        matrices.iter().map(|matrix| vec![0.0; matrix.rows() * count]).collect();
    let mut pieces = Vec::new();
    for (matrix, out) in matrices.iter().zip(&mut outs) {
        matrix.pieces(out, &mut pieces);
    }
    pieces.into_par_iter().with_max_len(1).for_each(|piece| piece.compute(xs));
    outs
}

impl Packed {
    /// The products of a few rows with one vector; `ids` must ascend.
    pub(super) fn some(&self, xs: &[Quantised], ids: &[u32]) -> Vec<f32> {
        let mut groups: Vec<usize> = ids.iter().map(|id| *id as usize / ROWS).collect();
        groups.dedup();
        let mut outs = vec![[0.0; ROWS]; groups.len()];
        let work = groups.par_iter().zip(&mut outs).with_min_len(8);
        work.for_each(|(group, out)| self.group(*group, out).compute(xs));
        let place = |id: &u32| {
            let group = groups.binary_search(&(*id as usize / ROWS)).unwrap_or_default();
            outs[group][*id as usize % ROWS]
        };
        ids.iter().map(place).collect()
    }

    /// Sixteen rows.
    fn group<'a>(&'a self, index: usize, out: &'a mut [f32; ROWS]) -> Piece<'a> {
        let outs = vec![&mut out[..]];
        match self {
            Self::Q4(rows) => Piece::Q4(rows.part(index, index + 1, outs)),
            Self::Q6(rows) => Piece::Q6(rows.part(index, index + 1, outs)),
        }
    }
}

impl<F: Format> Rows<F> {
    fn of(data: &[u8], count: usize, columns: usize, machine: Avx2) -> Self {
        let across = columns / COLUMNS;
        let mut blocks = vec![F::ZERO; count / ROWS * across];
        let groups = blocks.par_chunks_mut(across).zip(data.par_chunks(ROWS * across * F::BYTES));
        groups.for_each(|(blocks, rows)| {
            for (at, block) in blocks.iter_mut().enumerate() {
                let row = |r| &rows[(r * across + at) * F::BYTES..][..F::BYTES];
                F::lay_out(std::array::from_fn(row), block);
            }
        });
        Self { blocks, count, across, machine }
    }

    /// The rows of some groups of sixteen; `outs` are where their products with each vector belong.
    fn part<'a>(&'a self, from: usize, to: usize, outs: Vec<&'a mut [f32]>) -> Part<'a, F> {
        let blocks = &self.blocks[from * self.across..to * self.across];
        Part { blocks, across: self.across, machine: self.machine, outs }
    }
}

trait Pieces<'a> {
    fn pieces(&'a self, out: &'a mut [f32], pieces: &mut Vec<Piece<'a>>);
}

impl<'a, F: Format> Pieces<'a> for Rows<F>
where
    Piece<'a>: From<Part<'a, F>>,
{
    fn pieces(&'a self, out: &'a mut [f32], pieces: &mut Vec<Piece<'a>>) {
        let groups = self.count / ROWS;
        let most = groups.div_ceil(rayon::current_num_threads() * PIECES);
        let mut parts: Vec<_> = (0..groups)
            .step_by(most)
            .map(|from| self.part(from, (from + most).min(groups), Vec::new()))
            .collect();
        for vector in out.chunks_mut(self.count) {
            for (part, out) in parts.iter_mut().zip(vector.chunks_mut(most * ROWS)) {
                part.outs.push(out);
            }
        }
        pieces.extend(parts.into_iter().map(Piece::from));
    }
}

/// Some rows of a matrix and the places for their products.
enum Piece<'a> {
    Q4(Part<'a, Q4>),
    Q6(Part<'a, Q6>),
}

impl<'a> From<Part<'a, Q4>> for Piece<'a> {
    fn from(part: Part<'a, Q4>) -> Self {
        Self::Q4(part)
    }
}

impl<'a> From<Part<'a, Q6>> for Piece<'a> {
    fn from(part: Part<'a, Q6>) -> Self {
        Self::Q6(part)
    }
}

impl Piece<'_> {
    fn compute(self, xs: &[Quantised]) {
        match self {
            Self::Q4(part) => part.machine.vectorize(Computing { part, xs }),
            Self::Q6(part) => part.machine.vectorize(Computing { part, xs }),
        }
    }
}

struct Part<'a, F: Format> {
    blocks: &'a [F::Block],
    across: usize,
    machine: Avx2,
    outs: Vec<&'a mut [f32]>,
}

struct Computing<'a, 'b, F: Format> {
    part: Part<'a, F>,
    xs: &'b [Quantised],
}

impl<F: Format> Computing<'_, '_, F> {
    /// Sixteen rows times `N` vectors from number `first`.
    #[inline(always)]
    fn tile<const N: usize>(&mut self, rows: &[F::Block], group: usize, first: usize) {
        use super::lanes::Lanes as _;
        let across = self.part.across;
        let vectors = std::array::from_fn(|n| &self.xs[(first + n) * across..][..across]);
        let sums = F::multiply::<_, N>(self.part.machine, rows, vectors);
        for (sums, out) in sums.into_iter().zip(&mut self.part.outs[first..]) {
            if let Some(out) = out.as_chunks_mut().0.get_mut(group) {
                self.part.machine.store(sums, out);
            }
        }
    }
}

impl<F: Format> pulp::NullaryFnOnce for Computing<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let (blocks, across) = (self.part.blocks, self.part.across);
        let count = self.part.outs.len();
        for (group, rows) in blocks.chunks_exact(across).enumerate() {
            // four at a time is what the registers hold
            let fours = count / 4 * 4;
            for first in (0..fours).step_by(4) {
                self.tile::<4>(rows, group, first);
            }
            match count - fours {
                0 => {}
                1 => self.tile::<1>(rows, group, fours),
                2 => self.tile::<2>(rows, group, fours),
                _ => self.tile::<3>(rows, group, fours),
            }
        }
    }
}

#[cfg(test)]
mod tests;
