//! As much of Protocol Buffers as the vocabulary's file needs (<https://protobuf.dev/programming-guides/encoding/>).

use anyhow::{Context as _, bail};

/// The value of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'b> {
    Number(u64),
    Float(f32),
    Bytes(&'b [u8]),
    /// A kind of number that nobody here needs.
    Other,
}

impl<'b> Value<'b> {
    pub(super) fn bytes(self) -> anyhow::Result<&'b [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => bail!("a field should be bytes and is {other:?}"),
        }
    }

    pub(super) fn float(self) -> anyhow::Result<f32> {
        match self {
            Self::Float(float) => Ok(float),
            other => bail!("a field should be a float and is {other:?}"),
        }
    }

    pub(super) fn number(self) -> anyhow::Result<u64> {
        match self {
            Self::Number(number) => Ok(number),
            other => bail!("a field should be a whole number and is {other:?}"),
        }
    }
}

/// The fields of a message, in order.
pub(super) struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    pub(super) fn of(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    fn field(&mut self) -> anyhow::Result<(u64, Value<'b>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Other
            }
            2 => {
                let length = usize::try_from(self.varint()?)?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?.first_chunk::<4>().context("a number is cut off")?;
                Value::Float(f32::from_le_bytes(*bytes))
            }
            kind => bail!("a field has the kind {kind}, which this format does not have"),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> anyhow::Result<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).context("it ends in a field")?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> anyhow::Result<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        bail!("a number does not end")
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = anyhow::Result<(u64, Value<'b>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
