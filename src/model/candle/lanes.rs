//! Sixteen rows of a matrix side by side in vector registers: what [`super::blocks`] needs of the machine, and nothing
//! else. The instructions come through `pulp`, whose values prove that the machine has them. They must be used within
//! `vectorize`, into which everything here is inlined.

use std::arch::x86_64::{__m128i, __m256, __m256i};

pub(super) use pulp::x86::V3 as Avx2;

/// Operations on sixteen rows; each is a handful of instructions.
pub(super) trait Lanes: Copy {
    /// Four bytes per row.
    type Bytes: Copy;
    /// Two 16-bit integers per row.
    type Pairs: Copy;
    /// One 32-bit integer per row.
    type Words: Copy;
    /// One float per row.
    type Floats: Copy;

    /// Reads four bytes per row.
    fn load(self, line: &[u8; 64]) -> Self::Bytes;
    /// The lower four bits of each byte.
    fn low(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The upper four bits of each byte.
    fn high(self, bytes: Self::Bytes) -> Self::Bytes;
    /// The two bits number `AT` of each byte of `top`, in front of the four bits of `low`.
    fn six<const AT: usize>(self, low: Self::Bytes, top: Self::Bytes) -> Self::Bytes;
    /// Unsigned bytes times the same four signed bytes for every row, neighbours added.
    fn products(self, unsigned: Self::Bytes, signed: i32) -> Self::Pairs;
    /// Their sum.
    fn add_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs;
    /// The same two integers for every row.
    fn same(self, two: i32) -> Self::Pairs;
    /// An unsigned byte per row from each plane.
    fn unsigned(self, first: [u8; 16], second: [u8; 16]) -> Self::Pairs;
    /// A signed byte per row from each plane.
    fn signed(self, first: [u8; 16], second: [u8; 16]) -> Self::Pairs;
    /// Products, the two of a row added.
    fn dot(self, a: Self::Pairs, b: Self::Pairs) -> Self::Words;
    /// Nothing yet.
    fn zero(self) -> Self::Words;
    /// Their sum.
    fn add(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// `a - 32 * b`.
    fn less_32(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// Nothing yet.
    fn nought(self) -> Self::Floats;
    /// Sixteen 16-bit floats.
    fn halves(self, bits: &[u8; 32]) -> Self::Floats;
    /// `factors * scale`.
    fn scale(self, factors: Self::Floats, scale: f32) -> Self::Floats;
    /// `sum + integers * factors`.
    fn add_scaled(
        self,
        sum: Self::Floats,
        integers: Self::Words,
        factors: Self::Floats,
    ) -> Self::Floats;
    /// Writes them.
    fn store(self, floats: Self::Floats, to: &mut [f32; 16]);
}

/// Two registers of 256 bits, eight rows each.
impl Lanes for Avx2 {
    type Bytes = [__m256i; 2];
    type Pairs = [__m256i; 2];
    type Words = [__m256i; 2];
    type Floats = [__m256; 2];

    #[inline(always)]
    fn load(self, line: &[u8; 64]) -> Self::Bytes {
        pulp::cast(*line)
    }

    #[inline(always)]
    fn low(self, [a, b]: Self::Bytes) -> Self::Bytes {
        let mask = self.avx._mm256_set1_epi8(0x0f);
        [self.avx2._mm256_and_si256(a, mask), self.avx2._mm256_and_si256(b, mask)]
    }

    #[inline(always)]
    fn high(self, [a, b]: Self::Bytes) -> Self::Bytes {
        self.low([self.avx2._mm256_srli_epi16::<4>(a), self.avx2._mm256_srli_epi16::<4>(b)])
    }

    #[inline(always)]
    fn six<const AT: usize>(self, low: Self::Bytes, top: Self::Bytes) -> Self::Bytes {
        let mask = self.avx._mm256_set1_epi8(0x30);
        let moved = |bits| match AT {
            0 => self.avx2._mm256_slli_epi16::<4>(bits),
            1 => self.avx2._mm256_slli_epi16::<2>(bits),
            2 => bits,
            _ => self.avx2._mm256_srli_epi16::<2>(bits),
        };
        let joined =
            |low, top| self.avx2._mm256_or_si256(low, self.avx2._mm256_and_si256(moved(top), mask));
        [joined(low[0], top[0]), joined(low[1], top[1])]
    }

    #[inline(always)]
    fn products(self, [a, b]: Self::Bytes, signed: i32) -> Self::Pairs {
        let signed = self.avx._mm256_set1_epi32(signed);
        [self.avx2._mm256_maddubs_epi16(a, signed), self.avx2._mm256_maddubs_epi16(b, signed)]
    }

    #[inline(always)]
    fn add_pairs(self, a: Self::Pairs, b: Self::Pairs) -> Self::Pairs {
        [self.avx2._mm256_add_epi16(a[0], b[0]), self.avx2._mm256_add_epi16(a[1], b[1])]
    }

    #[inline(always)]
    fn same(self, two: i32) -> Self::Pairs {
        [self.avx._mm256_set1_epi32(two); 2]
    }

    #[inline(always)]
    fn unsigned(self, first: [u8; 16], second: [u8; 16]) -> Self::Pairs {
        let (first, second): (__m128i, __m128i) = (pulp::cast(first), pulp::cast(second));
        [
            self.avx2._mm256_cvtepu8_epi16(self.sse2._mm_unpacklo_epi8(first, second)),
            self.avx2._mm256_cvtepu8_epi16(self.sse2._mm_unpackhi_epi8(first, second)),
        ]
    }

    #[inline(always)]
    fn signed(self, first: [u8; 16], second: [u8; 16]) -> Self::Pairs {
        let (first, second): (__m128i, __m128i) = (pulp::cast(first), pulp::cast(second));
        [
            self.avx2._mm256_cvtepi8_epi16(self.sse2._mm_unpacklo_epi8(first, second)),
            self.avx2._mm256_cvtepi8_epi16(self.sse2._mm_unpackhi_epi8(first, second)),
        ]
    }

    #[inline(always)]
    fn dot(self, a: Self::Pairs, b: Self::Pairs) -> Self::Words {
        [self.avx2._mm256_madd_epi16(a[0], b[0]), self.avx2._mm256_madd_epi16(a[1], b[1])]
    }

    #[inline(always)]
    fn zero(self) -> Self::Words {
        [self.avx._mm256_setzero_si256(); 2]
    }

    #[inline(always)]
    fn add(self, a: Self::Words, b: Self::Words) -> Self::Words {
        [self.avx2._mm256_add_epi32(a[0], b[0]), self.avx2._mm256_add_epi32(a[1], b[1])]
    }

    #[inline(always)]
    fn less_32(self, a: Self::Words, b: Self::Words) -> Self::Words {
        let less = |a, b| self.avx2._mm256_sub_epi32(a, self.avx2._mm256_slli_epi32::<5>(b));
        [less(a[0], b[0]), less(a[1], b[1])]
    }

    #[inline(always)]
    fn nought(self) -> Self::Floats {
        [self.avx._mm256_setzero_ps(); 2]
    }

    #[inline(always)]
    fn halves(self, bits: &[u8; 32]) -> Self::Floats {
        let [low, high]: [__m128i; 2] = pulp::cast(*bits);
        // exponent and fraction moved into place; the factor makes up for the different bias of the exponents
        let floats = |half| {
            let wide = self.avx2._mm256_cvtepi16_epi32(half);
            let sign = self.avx2._mm256_and_si256(wide, self.avx._mm256_set1_epi32(i32::MIN));
            let rest = self.avx2._mm256_and_si256(wide, self.avx._mm256_set1_epi32(0x7fff));
            let moved = self.avx2._mm256_slli_epi32::<13>(rest);
            let factor = self.avx._mm256_set1_ps(f32::from_bits((127 + 112) << 23));
            let joined: __m256 = pulp::cast(self.avx2._mm256_or_si256(sign, moved));
            self.avx._mm256_mul_ps(joined, factor)
        };
        [floats(low), floats(high)]
    }

    #[inline(always)]
    fn scale(self, [a, b]: Self::Floats, scale: f32) -> Self::Floats {
        let scale = self.avx._mm256_set1_ps(scale);
        [self.avx._mm256_mul_ps(a, scale), self.avx._mm256_mul_ps(b, scale)]
    }

    #[inline(always)]
    fn add_scaled(
        self,
        sum: Self::Floats,
        integers: Self::Words,
        factors: Self::Floats,
    ) -> Self::Floats {
        let one = |sum, integers, factors| {
            self.fma._mm256_fmadd_ps(self.avx._mm256_cvtepi32_ps(integers), factors, sum)
        };
        [one(sum[0], integers[0], factors[0]), one(sum[1], integers[1], factors[1])]
    }

    #[inline(always)]
    fn store(self, floats: Self::Floats, to: &mut [f32; 16]) {
        *to = pulp::cast(floats);
    }
}
