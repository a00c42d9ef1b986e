//! The 4 and 6 bit formats of GGUF's K family, laid out for [`Lanes`]: sixteen rows are interleaved, so that one register
//! holds the same four columns of all of them and no sum is ever taken across a register. The same bits as in the file,
//! in another order; formats: <https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h>.

use super::lanes::Lanes;

/// Columns of a block; they share one scale.
pub(super) const COLUMNS: usize = 256;
/// Rows that are interleaved.
pub(super) const ROWS: usize = 16;

/// Four bytes of each row, aligned so that loads do not cross lines of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line([u8; 64]);

impl Line {
    const ZERO: Self = Self([0; 64]);

    #[inline(always)]
    fn set_quad(&mut self, row: usize, quad: u32) {
        self.0[4 * row..4 * row + 4].copy_from_slice(&quad.to_le_bytes());
    }

    #[inline(always)]
    fn plane(&self, index: usize) -> [u8; 16] {
        self.0.as_chunks().0[index]
    }

    /// One half of the line.
    #[inline(always)]
    fn half(&self, index: usize) -> &[u8; 32] {
        &self.0.as_chunks().0[index]
    }
}

/// 256 values as signed bytes with one scale, and what the formats' offsets need of their sums.
#[derive(Debug, Clone)]
pub(super) struct Quantised {
    /// Four values each.
    quads: [i32; 64],
    /// Sums of 16 values each, two of them in one integer.
    by_16: [i32; 8],
    /// Sums of 32 values each, two of them in one integer.
    by_32: [i32; 4],
    scale: f32,
}

impl Quantised {
    /// Rounds `values`.
    #[inline(always)]
    pub(super) fn of(values: &[f32; COLUMNS]) -> Self {
        /// Adding 1.5 * 2^23 leaves the rounded number in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let top = values.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
        let inverse = if top > 0.0 { 127.0 / top } else { 0.0 };
        let bytes: [i8; COLUMNS] =
            std::array::from_fn(|i| (values[i] * inverse + ROUND).to_bits() as i8);
        let sums: [i16; 16] = std::array::from_fn(|i| {
            bytes[16 * i..16 * (i + 1)].iter().map(|b| i16::from(*b)).sum()
        });
        let pair = |a: i16, b: i16| i32::from(a) & 0xffff | i32::from(b) << 16;
        let quad = |i: usize| bytes.as_chunks::<4>().0[i].map(|b| b as u8);
        Self {
            quads: std::array::from_fn(|i| i32::from_le_bytes(quad(i))),
            by_16: std::array::from_fn(|i| pair(sums[2 * i], sums[2 * i + 1])),
            by_32: std::array::from_fn(|i| {
                pair(sums[4 * i] + sums[4 * i + 1], sums[4 * i + 2] + sums[4 * i + 3])
            }),
            scale: top / 127.0,
        }
    }
}

/// How a block of sixteen rows is stored and multiplied.
pub(super) trait Format: Copy + Send + Sync + 'static {
    /// Sixteen rows of 256 columns.
    type Block: Copy + Send + Sync;
    /// Nothing yet.
    const ZERO: Self::Block;
    /// Bytes of one row of a block in the file.
    const BYTES: usize;

    /// Lays out sixteen rows, each [`Self::BYTES`] long.
    fn lay_out(rows: [&[u8]; ROWS], block: &mut Self::Block);

    /// Products of sixteen rows with `N` vectors, each as many blocks long as the rows.
    fn multiply<L: Lanes, const N: usize>(
        lanes: L,
        rows: &[Self::Block],
        vectors: [&[Quantised]; N],
    ) -> [L::Floats; N];
}

/// `Q4_K`: 8 groups of 32 columns with a scale and an offset of 6 bits each.
///
/// Line 0: scales of the block, then scales of the offsets. Lines 1 to 3: twelve planes of a byte per row, of which the
/// lower six bits are the groups' eight scales and the first four offsets; the upper two bits of three planes make one of
/// the other offsets. Then four lines a group: quads `i` and `i + 4`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Q4;

impl Q4 {
    /// A row's scales and offsets as the file has them.
    fn six_bits(packed: &[u8], index: usize) -> u8 {
        let (group, shift) = (index % 8, if index < 8 { 0 } else { 4 });
        match group {
            0..4 => packed[group + shift] & 63,
            _ => (packed[group + 4] >> shift) & 15 | packed[group - 4 + shift] >> 6 << 4,
        }
    }

    #[inline(always)]
    fn plane(block: &[Line; 36], index: usize) -> [u8; 16] {
        block[1 + index / 4].plane(index % 4)
    }

    /// Scale (below 8) or offset of a group, for each row.
    #[inline(always)]
    fn factor(block: &[Line; 36], index: usize) -> [u8; 16] {
        if index < 12 {
            return Self::plane(block, index).map(|b| b & 63);
        }
        let [a, b, c] = std::array::from_fn(|i| Self::plane(block, 3 * (index - 12) + i));
        std::array::from_fn(|row| a[row] >> 6 | b[row] >> 6 << 2 | c[row] >> 6 << 4)
    }
}

impl Format for Q4 {
    type Block = [Line; 36];
    const ZERO: Self::Block = [Line::ZERO; 36];
    const BYTES: usize = 144;

    fn lay_out(rows: [&[u8]; ROWS], block: &mut Self::Block) {
        const LOW: u32 = 0x0f0f_0f0f;
        for (r, row) in rows.into_iter().enumerate() {
            block[0].0[2 * r..2 * r + 2].copy_from_slice(&row[0..2]);
            block[0].0[32 + 2 * r..34 + 2 * r].copy_from_slice(&row[2..4]);
            let (packed, quants) = row[4..].split_at(12);
            for plane in 0..12 {
                let rest = Self::six_bits(packed, 12 + plane / 3) >> (2 * (plane % 3)) & 3;
                block[1 + plane / 4].0[16 * (plane % 4) + r] =
                    Self::six_bits(packed, plane) | rest << 6;
            }
            // 32 bytes hold two groups, the lower and the upper bits
            let quads = quants.as_chunks::<4>().0;
            for pair in 0..4 {
                let lines = &mut block[4 + 8 * pair..12 + 8 * pair];
                for i in 0..4 {
                    let a = u32::from_le_bytes(quads[8 * pair + i]);
                    let b = u32::from_le_bytes(quads[8 * pair + 4 + i]);
                    lines[i].set_quad(r, a & LOW | (b & LOW) << 4);
                    lines[4 + i].set_quad(r, a >> 4 & LOW | b & !LOW);
                }
            }
        }
    }

    #[inline(always)]
    fn multiply<L: Lanes, const N: usize>(
        l: L,
        rows: &[Self::Block],
        vectors: [&[Quantised]; N],
    ) -> [L::Floats; N] {
        let mut sums = [l.nought(); N];
        for (at, block) in rows.iter().enumerate() {
            let xs: [&Quantised; N] = vectors.map(|vector| &vector[at]);
            let (mut dots, mut offsets) = ([l.zero(); N], [l.zero(); N]);
            for group in 0..8 {
                let scales = Self::factor(block, group);
                let scales = l.unsigned(scales, scales);
                // at most 16 * 15 * 127 in 16 bits
                let mut inner = [l.same(0); N];
                for i in 0..4 {
                    let line = l.load(&block[4 + 4 * group + i].0);
                    let (low, high) = (l.low(line), l.high(line));
                    for n in 0..N {
                        let quads = &xs[n].quads;
                        let a = l.products(low, quads[8 * group + i]);
                        let b = l.products(high, quads[8 * group + 4 + i]);
                        inner[n] = l.add_pairs(inner[n], l.add_pairs(a, b));
                    }
                }
                for n in 0..N {
                    dots[n] = l.add(dots[n], l.dot(inner[n], scales));
                }
            }
            for pair in 0..4 {
                let factors = l
                    .unsigned(Self::factor(block, 8 + 2 * pair), Self::factor(block, 9 + 2 * pair));
                for n in 0..N {
                    offsets[n] = l.add(offsets[n], l.dot(factors, l.same(xs[n].by_32[pair])));
                }
            }
            let (scale, offset) = (l.halves(block[0].half(0)), l.halves(block[0].half(1)));
            for n in 0..N {
                sums[n] = l.add_scaled(sums[n], dots[n], l.scale(scale, xs[n].scale));
                sums[n] = l.add_scaled(sums[n], offsets[n], l.scale(offset, -xs[n].scale));
            }
        }
        sums
    }
}

/// `Q6_K`: 16 groups of 16 columns with a signed scale of 8 bits each; values are stored with 32 added.
///
/// Line 0: scales of the block. Lines 1 to 4: sixteen planes with the groups' scales. Then three lines a group: the lower
/// four bits of quads 0 and 1, of quads 2 and 3, and the upper two bits of all four.
#[derive(Debug, Clone, Copy)]
pub(super) struct Q6;

impl Q6 {
    #[inline(always)]
    fn scales(block: &[Line; 53], group: usize) -> [u8; 16] {
        block[1 + group / 4].plane(group % 4)
    }
}

impl Format for Q6 {
    type Block = [Line; 53];
    const ZERO: Self::Block = [Line::ZERO; 53];
    const BYTES: usize = 210;

    fn lay_out(rows: [&[u8]; ROWS], block: &mut Self::Block) {
        for (r, row) in rows.into_iter().enumerate() {
            let (low, rest) = row.split_at(128);
            let (high, rest) = rest.split_at(64);
            let (scales, scale) = rest.split_at(16);
            block[0].0[2 * r..2 * r + 2].copy_from_slice(scale);
            let (low, high) = (low.as_chunks::<4>().0, high.as_chunks::<4>().0);
            for (group, scale) in scales.iter().enumerate() {
                block[1 + group / 4].0[16 * (group % 4) + r] = *scale;
                // a half of the block is four times 32 columns: the lower bits of the first and the third share bytes
                // with one another, so do the second and the fourth, and the upper bits of all four
                let (half, part, odd) = (group / 8, group % 8 / 2, group % 2);
                let lows: [u32; 4] = std::array::from_fn(|quad| {
                    let bytes = low[16 * half + 8 * (part % 2) + 4 * odd + quad];
                    u32::from_le_bytes(bytes) >> (part / 2 * 4) & 0x0f0f_0f0f
                });
                let highs: [u32; 4] = std::array::from_fn(|quad| {
                    let bytes = high[8 * half + 4 * odd + quad];
                    u32::from_le_bytes(bytes) >> (2 * part) & 0x0303_0303
                });
                block[5 + 3 * group].set_quad(r, lows[0] | lows[1] << 4);
                block[6 + 3 * group].set_quad(r, lows[2] | lows[3] << 4);
                let joined = highs[0] | highs[1] << 2 | highs[2] << 4 | highs[3] << 6;
                block[7 + 3 * group].set_quad(r, joined);
            }
        }
    }

    #[inline(always)]
    fn multiply<L: Lanes, const N: usize>(
        l: L,
        rows: &[Self::Block],
        vectors: [&[Quantised]; N],
    ) -> [L::Floats; N] {
        let mut sums = [l.nought(); N];
        for (at, block) in rows.iter().enumerate() {
            let xs: [&Quantised; N] = vectors.map(|vector| &vector[at]);
            let (mut dots, mut offsets) = ([l.zero(); N], [l.zero(); N]);
            for group in 0..16 {
                let [a, b, top] = std::array::from_fn(|i| l.load(&block[5 + 3 * group + i].0));
                let scales = Self::scales(block, group);
                let scales = l.signed(scales, scales);
                // at most 4 * 63 * 127 in 16 bits, so two quads at a time
                let (w0, w1) = (l.six::<0>(l.low(a), top), l.six::<1>(l.high(a), top));
                let (w2, w3) = (l.six::<2>(l.low(b), top), l.six::<3>(l.high(b), top));
                for n in 0..N {
                    let quads = &xs[n].quads[4 * group..4 * group + 4];
                    let first = l.add_pairs(l.products(w0, quads[0]), l.products(w1, quads[1]));
                    let second = l.add_pairs(l.products(w2, quads[2]), l.products(w3, quads[3]));
                    let both = l.add(l.dot(first, scales), l.dot(second, scales));
                    dots[n] = l.add(dots[n], both);
                }
            }
            for pair in 0..8 {
                let scales =
                    l.signed(Self::scales(block, 2 * pair), Self::scales(block, 2 * pair + 1));
                for n in 0..N {
                    offsets[n] = l.add(offsets[n], l.dot(scales, l.same(xs[n].by_16[pair])));
                }
            }
            let scale = l.halves(block[0].half(0));
            for n in 0..N {
                let dot = l.less_32(dots[n], offsets[n]);
                sums[n] = l.add_scaled(sums[n], dot, l.scale(scale, xs[n].scale));
            }
        }
        sums
    }
}
