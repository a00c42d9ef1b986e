//! The package as it is: a ZIP archive with the vocabulary and, in a ZIP archive of its own (`.npz`), arrays in NumPy's
//! format (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>). Nothing in it is ever run.

use std::borrow::Cow;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use zip::ZipArchive;

/// Most bytes that one member may unpack to.
const LARGEST: u64 = 256 << 20;

/// The opened package.
pub(super) struct Archive {
    path: PathBuf,
    zip: ZipArchive<File>,
}

impl Archive {
    /// Opens a package.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let place = || format!("cannot open the embedding model's package {}", path.display());
        let file = File::open(path).with_context(place)?;
        let zip = ZipArchive::new(file).with_context(place)?;
        Ok(Self { path: path.to_owned(), zip })
    }

    /// The member whose name ends like this, unpacked.
    pub(super) fn member(&mut self, ending: &str) -> anyhow::Result<Vec<u8>> {
        let place = format!("cannot read {ending} in {}", self.path.display());
        let mut names = self.zip.file_names().filter_map(Result::ok);
        let name = names.find(|name| name.ends_with(ending)).map(Cow::into_owned);
        drop(names);
        let name = name.with_context(|| format!("{place}: there is no such member"))?;
        unpacked(&mut self.zip, &name).context(place)
    }

    /// The arrays of a member.
    pub(super) fn arrays(&mut self, ending: &str) -> anyhow::Result<Arrays> {
        let bytes = self.member(ending)?;
        let place = format!("{ending} in {}", self.path.display());
        let zip = ZipArchive::new(Cursor::new(bytes))
            .with_context(|| format!("{place} is not an archive of arrays"))?;
        Ok(Arrays { place, zip })
    }
}

fn unpacked(zip: &mut ZipArchive<impl Read + Seek>, name: &str) -> anyhow::Result<Vec<u8>> {
    let member = zip.by_name(name)?;
    let size = member.size();
    ensure!(size <= LARGEST, "{name} has {size} bytes, more than such a model needs");
    let mut bytes = Vec::with_capacity(usize::try_from(size)?);
    // one more than promised is an error of the checksum, and never unbounded
    member.take(size + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Named arrays.
pub(super) struct Arrays {
    place: String,
    zip: ZipArchive<Cursor<Vec<u8>>>,
}

/// One array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array<T> {
    /// Lengths of its dimensions, outermost first.
    pub(super) shape: Vec<usize>,
    /// The numbers, row by row.
    pub(super) data: Vec<T>,
}

impl Arrays {
    /// An array of bytes.
    pub(super) fn bytes(&mut self, name: &str) -> anyhow::Result<Array<u8>> {
        let (shape, data) = self.raw(name, "|u1", 1)?;
        Ok(Array { shape, data })
    }

    /// An array of 32-bit floating-point numbers.
    pub(super) fn floats(&mut self, name: &str) -> anyhow::Result<Array<f32>> {
        let (shape, data) = self.raw(name, "<f4", 4)?;
        let data = data.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        Ok(Array { shape, data: data.collect() })
    }

    /// A single 64-bit floating-point number, rounded to 32 bits.
    pub(super) fn number(&mut self, name: &str) -> anyhow::Result<f32> {
        let (_, data) = self.raw(name, "<f8", 8)?;
        let bytes = data.first_chunk::<8>().with_context(|| format!("{name} is empty"))?;
        #[expect(clippy::cast_possible_truncation, reason = "a tiny constant is enough in 32 bits")]
        Ok(f64::from_le_bytes(*bytes) as f32)
    }

    /// An array of numbers with this shape.
    pub(super) fn shaped(&mut self, name: &str, shape: &[usize]) -> anyhow::Result<Vec<f32>> {
        let array = self.floats(name)?;
        ensure!(
            array.shape == shape,
            "{}: the array {name} has the shape {:?} and should have {shape:?}",
            self.place,
            array.shape
        );
        Ok(array.data)
    }

    fn raw(
        &mut self,
        name: &str,
        kind: &str,
        size: usize,
    ) -> anyhow::Result<(Vec<usize>, Vec<u8>)> {
        let place = format!("cannot read the array {name} of {}", self.place);
        let bytes =
            unpacked(&mut self.zip, &format!("{name}.npy")).with_context(|| place.clone())?;
        let (head, data) = split(&bytes).with_context(|| place.clone())?;
        let (found, shape) = described(head).with_context(|| place.clone())?;
        ensure!(found == kind, "{place}: its numbers are {found} and should be {kind}");
        let count = shape.iter().try_fold(size, |all, side| all.checked_mul(*side));
        ensure!(
            count == Some(data.len()),
            "{place}: it has {} bytes, which is not what its shape {shape:?} needs",
            data.len()
        );
        Ok((shape, data.to_vec()))
    }
}

/// Header and numbers of an array's file.
fn split(bytes: &[u8]) -> anyhow::Result<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").context("it is not an array of NumPy")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => {
            (usize::try_from(u32::from_le_bytes([*a, *b, *c, *d]))?, rest)
        }
        _ => bail!("its format is not known"),
    };
    let (head, data) = rest.split_at_checked(length).context("it ends in its header")?;
    Ok((std::str::from_utf8(head)?, data))
}

/// Kind of number and shape, from `{'descr': '<f4', 'fortran_order': False, 'shape': (512, 256), }`.
fn described(head: &str) -> anyhow::Result<(&str, Vec<usize>)> {
    let after = |key: &str| head.split_once(key).map(|(_, rest)| rest);
    let kind = after("'descr': '").and_then(|rest| rest.split_once('\''));
    let shape = after("'shape': (").and_then(|rest| rest.split_once(')'));
    let (Some((kind, _)), Some((shape, _))) = (kind, shape) else {
        bail!("its header cannot be understood: {head}");
    };
    ensure!(head.contains("'fortran_order': False"), "its numbers stand column by column");
    let sides = shape.split(',').map(str::trim).filter(|side| !side.is_empty());
    Ok((kind, sides.map(str::parse).collect::<Result<_, _>>()?))
}
