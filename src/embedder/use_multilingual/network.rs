//! The network: embeddings of pieces, three convolutions over two, three and five neighbours, an average over the
//! sentence, and four dense layers. The large table stays quantised; its rows are unpacked as they are needed.

use std::ops::Range;

use anyhow::{Context as _, ensure};
use candle_core::{Device, Tensor};

use super::super::normalise;
use super::archive::Arrays;

/// Neighbours of each convolution, and how many of them stand to the left.
const ORDERS: [(usize, usize); 3] = [(2, 0), (3, 1), (5, 2)];
/// Pieces that go through the network together: enough that weights are read once for many sentences, few enough that
/// everything stays in the processor's cache.
const TOGETHER: usize = 384;

/// The weights.
#[derive(Debug)]
pub(super) struct Network {
    /// One row per piece.
    table: Table,
    /// The embedding projected for all convolutions at once.
    project: Dense,
    norm: Norm,
    convolutions: Vec<Convolution>,
    joined_norm: Norm,
    joined: Dense,
    /// `d0 d1 p1 d2 p3 d3`: each later layer also sees what the one before it saw.
    dense: [Tensor; 6],
    width: usize,
    dimensions: usize,
}

/// Rows of bytes; piece `p` is row `p / chunks` of chunk `p % chunks`, and each chunk has its own scale.
#[derive(Debug)]
struct Table {
    chunks: Vec<Vec<u8>>,
    scale: Vec<f32>,
    lowest: Vec<f32>,
    width: usize,
}

#[derive(Debug)]
struct Dense {
    weight: Tensor,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Norm {
    gain: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

#[derive(Debug)]
struct Convolution {
    neighbours: usize,
    left: usize,
    first: Dense,
    second: Dense,
}

impl Network {
    /// Reads the arrays and checks that they fit together and to a vocabulary of this many pieces.
    pub(super) fn read(arrays: &mut Arrays, pieces: usize) -> anyhow::Result<Self> {
        let table = Table::read(arrays, pieces)?;
        let embedding = table.width;
        let width = *arrays.floats("proj2")?.shape.last().context("proj2 has no columns")?;
        let epsilon = arrays.number("eps")?;
        let features = embedding + ORDERS.len() * width;
        let mut side_by_side = vec![Vec::new(); embedding];
        let (mut bias, mut gain, mut shift) = (Vec::new(), Vec::new(), Vec::new());
        let mut convolutions = Vec::new();
        for (neighbours, left) in ORDERS {
            let n = neighbours;
            let columns = arrays.shaped(&format!("proj{n}"), &[embedding, width])?;
            for (row, part) in side_by_side.iter_mut().zip(columns.chunks_exact(width)) {
                row.extend_from_slice(part);
            }
            bias.extend(arrays.shaped(&format!("proj_b{n}"), &[width])?);
            gain.extend(arrays.shaped(&format!("ln_g{n}"), &[width])?);
            shift.extend(arrays.shaped(&format!("ln_b{n}"), &[width])?);
            let mut dense = |part: u8| -> anyhow::Result<Dense> {
                let weight = matrix(arrays, &format!("w{part}_{n}"), n * width, width)?;
                let bias = arrays.shaped(&format!("b{part}_{n}"), &[width])?;
                Ok(Dense { weight, bias })
            };
            let (first, second) = (dense(1)?, dense(2)?);
            convolutions.push(Convolution { neighbours, left, first, second });
        }
        let all = ORDERS.len() * width;
        let weight = Tensor::from_vec(side_by_side.concat(), (embedding, all), &Device::Cpu)?;
        let joined_norm = Norm {
            gain: arrays.shaped("ln_g", &[features])?,
            bias: arrays.shaped("ln_b", &[features])?,
            epsilon,
        };
        let middle = *arrays.floats("cnn_b")?.shape.first().context("cnn_b is empty")?;
        let joined = Dense {
            weight: matrix(arrays, "cnn_W", features, middle)?,
            bias: arrays.shaped("cnn_b", &[middle])?,
        };
        let (dense, dimensions) = dense(arrays, middle)?;
        Ok(Self {
            table,
            project: Dense { weight, bias },
            norm: Norm { gain, bias: shift, epsilon },
            convolutions,
            joined_norm,
            joined,
            dense,
            width,
            dimensions,
        })
    }

    /// Numbers of each vector.
    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// One vector per sentence; each is a non-empty list of pieces.
    pub(super) fn embed(&self, sentences: &[Vec<u32>]) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(sentences.len());
        let mut rest = sentences;
        while !rest.is_empty() {
            let mut sum = 0;
            let fitting = rest.iter().take_while(|sentence| {
                sum += sentence.len();
                sum <= TOGETHER
            });
            let (batch, later) = rest.split_at(fitting.count().max(1));
            vectors.extend(self.batch(batch)?);
            rest = later;
        }
        Ok(vectors)
    }

    fn batch(&self, sentences: &[Vec<u32>]) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut spans: Vec<Range<usize>> = Vec::with_capacity(sentences.len());
        let mut embedded = Vec::new();
        for sentence in sentences {
            let begin = spans.last().map_or(0, |span| span.end);
            spans.push(begin..begin + sentence.len());
            sentence.iter().for_each(|piece| self.table.unpack(*piece, &mut embedded));
        }
        let mut projected = self.project.apply(&embedded)?;
        self.norm.apply(&mut projected);
        let parts = self
            .convolutions
            .iter()
            .enumerate()
            .map(|(at, convolution)| {
                convolution.apply(&self.columns(&projected, at), self.width, &spans)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let sums = self.summed(&embedded, &parts, &spans);
        self.finish(&sums, &spans)
    }

    /// The columns of one convolution.
    fn columns(&self, projected: &[f32], at: usize) -> Vec<f32> {
        let all = ORDERS.len() * self.width;
        let columns = at * self.width..(at + 1) * self.width;
        projected.chunks_exact(all).flat_map(|row| &row[columns.clone()]).copied().collect()
    }

    /// Embedding and convolutions side by side, normalised per piece, and added up per sentence.
    fn summed(&self, embedded: &[f32], parts: &[Vec<f32>], spans: &[Range<usize>]) -> Vec<f32> {
        let features = self.joined_norm.gain.len();
        let mut sums = vec![0.0; spans.len() * features];
        let mut row = Vec::with_capacity(features);
        for (span, sum) in spans.iter().zip(sums.chunks_exact_mut(features)) {
            for at in span.clone() {
                row.clear();
                row.extend_from_slice(
                    &embedded[at * self.table.width..(at + 1) * self.table.width],
                );
                for part in parts {
                    row.extend_from_slice(&part[at * self.width..(at + 1) * self.width]);
                }
                self.joined_norm.apply(&mut row);
                sum.iter_mut().zip(&row).for_each(|(sum, x)| *sum += x);
            }
        }
        sums
    }

    /// The dense layers. The sum over pieces was taken before the linear projection, where it costs least.
    fn finish(&self, sums: &[f32], spans: &[Range<usize>]) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut mean = product(sums, &self.joined.weight)?;
        let middle = self.joined.bias.len();
        for (span, row) in spans.iter().zip(mean.chunks_exact_mut(middle)) {
            #[expect(clippy::cast_precision_loss, reason = "a sentence has few pieces")]
            let pieces = span.len() as f32;
            for (x, bias) in row.iter_mut().zip(&self.joined.bias) {
                *x = (*x + pieces * bias) / pieces.sqrt();
            }
        }
        let [d0, d1, p1, d2, p3, d3] = &self.dense;
        let positive = |mut row: Vec<f32>| {
            row.iter_mut().for_each(|x| *x = x.max(0.0));
            row
        };
        let first = positive(product(&mean, d0)?);
        let second = positive(added(product(&mean, p1)?, &product(&first, d1)?));
        let third = positive(product(&second, d2)?);
        let last = added(product(&second, p3)?, &product(&third, d3)?);
        let vectors = last.chunks_exact(self.dimensions).map(|row| {
            let mut vector: Vec<f32> = row.iter().map(|x| x.tanh()).collect();
            normalise(&mut vector);
            vector
        });
        Ok(vectors.collect())
    }
}

impl Table {
    fn read(arrays: &mut Arrays, pieces: usize) -> anyhow::Result<Self> {
        let scale = arrays.floats("scale")?.data;
        let lowest = arrays.shaped("lo", &[scale.len()])?;
        let mut chunks = Vec::with_capacity(scale.len());
        let (mut rows, mut width) = (0, 0);
        for n in 1..=scale.len() {
            let array = arrays.bytes(&format!("q{n}"))?;
            let [r, w] = array.shape[..] else {
                anyhow::bail!("the array q{n} has the shape {:?} and is no table", array.shape);
            };
            ensure!(n == 1 || width == w, "the rows of q{n} have {w} numbers and not {width}");
            (rows, width) = (rows + r, w);
            chunks.push(array.data);
        }
        ensure!(width > 0 && rows >= pieces, "the table has {rows} rows for {pieces} pieces");
        Ok(Self { chunks, scale, lowest, width })
    }

    fn unpack(&self, piece: u32, to: &mut Vec<f32>) {
        let piece = piece as usize;
        let (chunk, row) = (piece % self.chunks.len(), piece / self.chunks.len());
        let bytes = &self.chunks[chunk][row * self.width..(row + 1) * self.width];
        let (scale, lowest) = (self.scale[chunk], self.lowest[chunk]);
        to.extend(bytes.iter().map(|byte| f32::from(*byte) * scale + lowest));
    }
}

impl Dense {
    fn apply(&self, rows: &[f32]) -> anyhow::Result<Vec<f32>> {
        let mut out = product(rows, &self.weight)?;
        for row in out.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(&self.bias).for_each(|(x, bias)| *x += bias);
        }
        Ok(out)
    }
}

impl Norm {
    /// Every row gets mean 0 and variance 1, then gain and bias.
    fn apply(&self, rows: &mut [f32]) {
        #[expect(clippy::cast_precision_loss, reason = "a row has few numbers")]
        let count = self.gain.len() as f32;
        for row in rows.chunks_exact_mut(self.gain.len()) {
            let mean = row.iter().sum::<f32>() / count;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
            let factor = (variance + self.epsilon).sqrt().recip();
            for ((x, gain), bias) in row.iter_mut().zip(&self.gain).zip(&self.bias) {
                *x = (*x - mean) * factor * gain + bias;
            }
        }
    }
}

impl Convolution {
    /// Two layers over windows of neighbours, each added to what it saw.
    fn apply(
        &self,
        rows: &[f32],
        width: usize,
        spans: &[Range<usize>],
    ) -> anyhow::Result<Vec<f32>> {
        let hidden = self.layer(&self.first, rows, width, spans)?;
        self.layer(&self.second, &hidden, width, spans)
    }

    fn layer(
        &self,
        dense: &Dense,
        rows: &[f32],
        width: usize,
        spans: &[Range<usize>],
    ) -> anyhow::Result<Vec<f32>> {
        let mut out = dense.apply(&self.windows(rows, width, spans))?;
        out.iter_mut().zip(rows).for_each(|(x, seen)| *x = x.max(0.0) + seen);
        Ok(out)
    }

    /// The neighbours of every piece side by side; zeros beyond the ends of its sentence.
    fn windows(&self, rows: &[f32], width: usize, spans: &[Range<usize>]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len() * self.neighbours];
        let mut window = out.chunks_exact_mut(width);
        for span in spans {
            for at in span.clone() {
                for neighbour in 0..self.neighbours {
                    let Some(place) = window.next() else { return out };
                    let from = (at + neighbour).checked_sub(self.left);
                    if let Some(from) = from.filter(|from| span.contains(from)) {
                        place.copy_from_slice(&rows[from * width..(from + 1) * width]);
                    }
                }
            }
        }
        out
    }
}

fn dense(arrays: &mut Arrays, middle: usize) -> anyhow::Result<([Tensor; 6], usize)> {
    let side = |array: &[usize]| array.last().copied().context("a layer has no columns");
    let hidden = side(&arrays.floats("d0")?.shape)?;
    let wide = side(&arrays.floats("d2")?.shape)?;
    let dimensions = side(&arrays.floats("p3")?.shape)?;
    let dense = [
        matrix(arrays, "d0", middle, hidden)?,
        matrix(arrays, "d1", hidden, hidden)?,
        matrix(arrays, "p1", middle, hidden)?,
        matrix(arrays, "d2", hidden, wide)?,
        matrix(arrays, "p3", hidden, dimensions)?,
        matrix(arrays, "d3", wide, dimensions)?,
    ];
    Ok((dense, dimensions))
}

fn matrix(arrays: &mut Arrays, name: &str, rows: usize, columns: usize) -> anyhow::Result<Tensor> {
    let data = arrays.shaped(name, &[rows, columns])?;
    Ok(Tensor::from_vec(data, (rows, columns), &Device::Cpu)?)
}

/// Rows of numbers times a matrix.
fn product(rows: &[f32], weight: &Tensor) -> anyhow::Result<Vec<f32>> {
    let inner = weight.dim(0)?;
    let rows = Tensor::from_slice(rows, (rows.len() / inner, inner), &Device::Cpu)?;
    Ok(rows.matmul(weight)?.flatten_all()?.to_vec1()?)
}

fn added(mut a: Vec<f32>, b: &[f32]) -> Vec<f32> {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}
