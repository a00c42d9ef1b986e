//! The kernels against the products of the dequantised matrix.

use candle_core::quantized::QStorage;
use candle_core::{Device, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count).map(|_| random.random::<f32>() * 2.0 - 1.0).collect()
}

/// A matrix whose bits are random, which uses every code and every scale; candle's quantiser never gives some of them.
fn matrix(kind: GgmlDType, rows: usize, columns: usize) -> QTensor {
    let mut random = StdRng::seed_from_u64(7);
    let mut data: Vec<u8> =
        (0..rows * columns / COLUMNS * kind.type_size()).map(|_| random.random()).collect();
    let scales: &[usize] = if kind == GgmlDType::Q4K { &[0, 2] } else { &[208] };
    for block in data.chunks_mut(kind.type_size()) {
        for at in scales {
            let scale = half::f16::from_f32(0.02 * (random.random::<f32>() - 0.5));
            block[*at..at + 2].copy_from_slice(&scale.to_le_bytes());
        }
    }
    let storage = QStorage::from_data(data.into(), &Device::Cpu, kind).unwrap();
    QTensor::new(storage, (rows, columns)).unwrap()
}

/// Root of the mean square of the differences, relative to the values.
fn error(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x).powi(2);
    let differences: f64 = got.iter().zip(want).map(|(g, w)| square(g - w)).sum();
    (differences / want.iter().map(|w| square(*w)).sum::<f64>()).sqrt()
}

#[test]
fn products_are_those_of_the_dequantised_matrix() {
    for kind in [GgmlDType::Q4K, GgmlDType::Q6K] {
        for (rows, columns, count) in
            [(16, 256, 1), (48, 512, 2), (160, 768, 3), (32, 256, 4), (64, 1024, 7), (16, 256, 9)]
        {
            let tensor = matrix(kind, rows, columns);
            let Some(packed) = Packed::of(&tensor).unwrap() else { return };
            let values = random(count * columns, 3);
            let xs = Tensor::from_slice(&values, (count, columns), &Device::Cpu).unwrap();
            let weights = tensor.dequantize(&Device::Cpu).unwrap();
            let exact = xs.matmul(&weights.t().unwrap()).unwrap();
            let exact: Vec<f32> = exact.flatten_all().unwrap().to_vec1().unwrap();
            let got = products(&[&packed, &packed], &quantised(&values), count);
            assert_eq!(got[0], got[1]);
            let error = error(&got[0], &exact);
            // the vectors are rounded to 8 bits
            assert!(error < 0.008, "{kind:?} {rows} {columns} {count}: {error}");
        }
    }
}

#[test]
fn a_vector_gives_the_same_whatever_is_computed_with_it() {
    for kind in [GgmlDType::Q4K, GgmlDType::Q6K] {
        let Some(packed) = Packed::of(&matrix(kind, 96, 512)).unwrap() else { return };
        let values = random(7 * 512, 5);
        let xs = quantised(&values);
        let all = products(&[&packed], &xs, 7).remove(0);
        for n in 0..7 {
            let alone = products(&[&packed], &xs[n * 2..(n + 1) * 2], 1).remove(0);
            assert_eq!(alone, all[n * 96..(n + 1) * 96]);
            let ids = [0, 1, 17, 40, 95];
            let some = packed.some(&xs[n * 2..(n + 1) * 2], &ids);
            assert_eq!(some, ids.map(|id| alone[id as usize]));
        }
    }
}

#[test]
fn nothing_times_a_matrix_is_nothing() {
    let Some(packed) = Packed::of(&matrix(GgmlDType::Q6K, 16, 256)).unwrap() else { return };
    assert_eq!(products(&[&packed], &quantised(&[0.0; 256]), 1), [[0.0; 16]]);
}

#[test]
fn other_shapes_and_formats_are_left_to_candle() {
    for (kind, rows, columns) in [(GgmlDType::Q4K, 24, 256), (GgmlDType::Q8_0, 16, 256)] {
        let zeros = Tensor::zeros((rows, columns), candle_core::DType::F32, &Device::Cpu).unwrap();
        let tensor = QTensor::quantize(&zeros, kind).unwrap();
        assert!(Packed::of(&tensor).unwrap().is_none());
    }
}
