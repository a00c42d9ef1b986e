//! SentencePiece's table of normalised characters: a double-array tree (as the library darts-clone lays it out) whose
//! values point into a list of replacements, each ended by a zero byte. The longest key that the text begins with is
//! replaced; a character that begins no key stays as it is.

use anyhow::{Context as _, ensure};

/// The table; an empty one replaces nothing.
#[derive(Debug, Default)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    replacements: String,
}

impl Charsmap {
    /// Reads the table as SentencePiece stores it.
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let (size, rest) = bytes.split_first_chunk::<4>().context("the table is cut off")?;
        let size = usize::try_from(u32::from_le_bytes(*size))?;
        let (tree, replacements) = rest.split_at_checked(size).context("the table is cut off")?;
        ensure!(!tree.is_empty() && size.is_multiple_of(4), "the table's tree is broken");
        let units = tree.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        let replacements =
            std::str::from_utf8(replacements).context("a replacement is not text")?;
        Ok(Self { units: units.collect(), replacements: replacements.to_owned() })
    }

    /// The text in normalised parts.
    pub(super) fn parts<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let mut rest = text;
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let (part, used) = match self.longest(rest.as_bytes()) {
                // keys are whole characters
                Some((part, used)) if rest.is_char_boundary(used) => (part, used),
                _ => (&rest[..first.len_utf8()], first.len_utf8()),
            };
            rest = &rest[used..];
            Some(part)
        })
    }

    /// The replacement of the longest key at the beginning, and that key's length.
    fn longest(&self, text: &[u8]) -> Option<(&str, usize)> {
        let mut found = None;
        let mut node = offset(*self.units.first()?);
        for (at, byte) in text.iter().enumerate() {
            node ^= usize::from(*byte);
            let unit = *self.units.get(node)?;
            if unit & 0x8000_00ff != u32::from(*byte) {
                break;
            }
            node ^= offset(unit);
            if unit & 0x100 != 0 {
                let value = self.units.get(node)? & 0x7fff_ffff;
                found = Some((usize::try_from(value).ok()?, at + 1));
            }
        }
        let (value, used) = found?;
        let rest = self.replacements.get(value..)?;
        Some((rest.split_once('\0').map_or(rest, |(replacement, _)| replacement), used))
    }
}

/// Where a node's children are, relative to it.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 0x200) >> 6)) as usize
}
