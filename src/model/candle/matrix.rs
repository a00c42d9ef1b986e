//! Weight matrices. Products are cut into pieces that are shared by work stealing: a thread that the machine does not
//! run has its share taken by another, instead of all waiting for it. Where there is no kernel of our own, a matrix is
//! cut into bands of rows, one per thread, that candle multiplies.

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::super::ModelError;
use super::gguf::Gguf;
use super::ops::to_vec;
use super::packed::{self, Packed};

/// Positions per forward pass of a prompt with our own kernels: a cancelled request is noticed behind each pass.
const CHUNK_PACKED: usize = 64;
/// The same with candle's. From 32 on, candle keeps a second repacked copy of the weights for machines with matrix
/// units, which costs half as much memory again for a tenth of the time.
const CHUNK: usize = 28;
/// The same where matrices are expanded, which pays for many positions only.
const CHUNK_EXPANDED: usize = 128;
/// Bands are whole multiples of this many rows; candle's kernels work on tiles of 16 or 32.
const BAND: usize = 32;
/// From this many positions on, a matrix without a fast kernel is expanded to floats for one product: the expansion
/// then costs less than the slow kernel.
const EXPAND: usize = 24;

/// A quantised matrix.
pub(super) enum Matrix {
    /// For our own kernels.
    Packed(Packed),
    /// For candle's.
    Bands(Bands),
}

/// A matrix in bands.
pub(super) struct Bands {
    bands: Vec<QTensor>,
    /// Rows of every band but the last.
    band_rows: usize,
    fast: bool,
}

impl Matrix {
    /// Reads a matrix of `rows` by `columns`.
    pub(super) fn read(
        gguf: &mut Gguf,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> std::result::Result<Self, ModelError> {
        let tensor = gguf.tensor(name, &[rows, columns])?;
        Self::of(&tensor)
            .map_err(|e| gguf.damaged(&format!("has an unusable tensor `{name}`: {e}")))
    }

    /// Lays out `tensor` for the threads of the current pool.
    pub(super) fn of(tensor: &QTensor) -> Result<Self> {
        match Packed::of(tensor)? {
            Some(packed) => Ok(Self::Packed(packed)),
            None => Ok(Self::Bands(Bands::of(tensor)?)),
        }
    }

    /// How many positions pay to be multiplied at once.
    pub(super) fn chunk(&self) -> usize {
        match self {
            Self::Packed(_) => CHUNK_PACKED,
            Self::Bands(bands) if bands.fast => CHUNK,
            Self::Bands(_) => CHUNK_EXPANDED,
        }
    }

    /// `xs` (one row per position) times the transposed matrix.
    pub(super) fn mul(&self, xs: &Tensor) -> Result<Tensor> {
        let [product] = products(xs, [self])?;
        Ok(product)
    }

    /// The products of some rows with one vector; `ids` must ascend.
    pub(super) fn some(&self, x: &Tensor, ids: &[u32]) -> Result<Vec<f32>> {
        match self {
            Self::Packed(packed) => Ok(packed.some(&packed::quantised(&to_vec(x)?), ids)),
            Self::Bands(bands) => to_vec(&bands.rows(ids)?.matmul(&x.t()?)?),
        }
    }
}

/// `xs` (one row per position) times each of the transposed matrices; cheaper than one after the other.
pub(super) fn products<const N: usize>(xs: &Tensor, matrices: [&Matrix; N]) -> Result<[Tensor; N]> {
    let count = xs.dim(0)?;
    let packed: Vec<&Packed> = matrices
        .iter()
        .filter_map(|matrix| match matrix {
            Matrix::Packed(packed) => Some(packed),
            Matrix::Bands(_) => None,
        })
        .collect();
    let rounded = if packed.is_empty() { Vec::new() } else { packed::quantised(&to_vec(xs)?) };
    let mut done = packed::products(&packed, &rounded, count).into_iter();
    let mut product = |matrix: &Matrix| match matrix {
        Matrix::Bands(bands) => bands.mul(xs),
        Matrix::Packed(packed) => {
            let values = done.next().unwrap_or_default();
            Tensor::from_vec(values, (count, packed.rows()), &Device::Cpu)
        }
    };
    let all = matrices.iter().map(|matrix| product(matrix)).collect::<Result<Vec<_>>>()?;
    all.try_into().map_err(|_| candle_core::Error::msg("as many products as matrices"))
}

impl Bands {
    /// Cuts `tensor` into bands, one per thread of the current pool.
    fn of(tensor: &QTensor) -> Result<Self> {
        let (rows, columns) = tensor.shape().dims2()?;
        let fast = is_fast(tensor.dtype(), rows, columns);
        // candle has no vectorised kernel for the old 4 and 5 bit formats
        let old = matches!(
            tensor.dtype(),
            GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1
        );
        let requantised = if old {
            Some(QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)?)
        } else {
            None
        };
        let tensor = requantised.as_ref().unwrap_or(tensor);
        let threads = if candle_shares_work() { 1 } else { rayon::current_num_threads() };
        let band_rows = rows.div_ceil(threads).next_multiple_of(BAND);
        let row_bytes = tensor.storage_size_in_bytes() / rows;
        let data = tensor.data()?;
        let bands = data
            .chunks(band_rows * row_bytes)
            .map(|part| {
                let storage = QStorage::from_data(part.into(), &Device::Cpu, tensor.dtype())?;
                QTensor::new(storage, (part.len() / row_bytes, columns))
            })
            .collect::<Result<_>>()?;
        Ok(Self { bands, band_rows, fast })
    }

    fn mul(&self, xs: &Tensor) -> Result<Tensor> {
        if let [band] = &self.bands[..] {
            return self.mul_band(xs, band);
        }
        let parts = self
            .bands
            .par_iter()
            .map(|band| self.mul_band(xs, band))
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 1)
    }

    fn mul_band(&self, xs: &Tensor, band: &QTensor) -> Result<Tensor> {
        if !self.fast && xs.dim(0)? >= EXPAND {
            return xs.matmul(&band.dequantize(&Device::Cpu)?.t()?);
        }
        xs.apply_op1_no_bwd(band)
    }

    /// Some rows as floats; `ids` must ascend.
    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let mut parts = Vec::new();
        let mut rest = ids;
        for (index, band) in self.bands.iter().enumerate() {
            let (start, end) = (index * self.band_rows, (index + 1) * self.band_rows);
            let (here, after) = rest.split_at(rest.partition_point(|id| (*id as usize) < end));
            rest = after;
            if !here.is_empty() {
                let local: Vec<u32> = here.iter().map(|id| id - start as u32).collect();
                parts.push(band.embedding(&Tensor::new(local, &Device::Cpu)?)?);
            }
        }
        Tensor::cat(&parts, 0)
    }
}

/// Whether candle itself splits products among threads, by a pool that waits actively for the slowest one.
fn candle_shares_work() -> bool {
    candle_core::utils::barrier_pool().n_workers() > 0
}

/// Whether candle has a fast kernel for a matrix of this kind: its packed kernels want whole super-blocks.
fn is_fast(kind: GgmlDType, rows: usize, columns: usize) -> bool {
    let packed = matches!(kind, GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0);
    packed && columns.is_multiple_of(256) && rows.is_multiple_of(16)
}
