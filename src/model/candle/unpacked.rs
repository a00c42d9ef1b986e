//! [`super::packed`] on machines for which there are no kernels of our own: nothing is ever packed.

use candle_core::Result;
use candle_core::quantized::QTensor;

/// No matrix.
pub(super) enum Packed {}

/// A vector, as it is.
pub(super) type Quantised = f32;

impl Packed {
    pub(super) fn of(_: &QTensor) -> Result<Option<Self>> {
        Ok(None)
    }

    pub(super) fn rows(&self) -> usize {
        match *self {}
    }

    pub(super) fn some(&self, _: &[Quantised], _: &[u32]) -> Vec<f32> {
        match *self {}
    }
}

pub(super) fn quantised(_: &[f32]) -> Vec<Quantised> {
    Vec::new()
}

pub(super) fn products(_: &[&Packed], _: &[Quantised], _: usize) -> Vec<Vec<f32>> {
    Vec::new()
}
