//! Word pieces: SentencePiece's unigram model. The text is normalised by the table that comes with the model, and of
//! all ways to cut it into pieces of the vocabulary the most probable one is taken.
//!
//! Written by hand because the `tokenizers` crate does it differently where it matters for equal vectors (its
//! normaliser goes by grapheme, and it joins neighbouring unknown characters) and because its tree of a vocabulary of
//! 128,000 pieces takes far more memory than all weights; here a sorted list is the tree.

mod charsmap;
mod proto;

use anyhow::{Context as _, ensure};

use charsmap::Charsmap;
use proto::Fields;

/// What stands for a space inside pieces.
const SPACE: &str = "\u{2581}";
/// Kinds of pieces that do not occur in texts.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
/// How much worse than the rarest piece an unknown character is.
const PENALTY: f64 = 10.0;

/// The vocabulary.
#[derive(Debug)]
pub(super) struct Pieces {
    charsmap: Charsmap,
    /// Every piece that may occur in a text, in the order of its bytes.
    sorted: Vec<Piece>,
    /// How many there are, with those that mark beginnings and ends.
    count: usize,
    unknown: u32,
    begin: u32,
    end: u32,
    unknown_score: f64,
}

#[derive(Debug)]
struct Piece {
    text: Box<str>,
    id: u32,
    score: f32,
}

impl Pieces {
    /// Reads SentencePiece's model file (`sentencepiece_model.proto`).
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let place = "cannot read the vocabulary sp.model";
        let (mut sorted, mut special) = (Vec::new(), Vec::new());
        let mut charsmap = Charsmap::default();
        let mut count = 0_u32;
        let mut rarest = f64::INFINITY;
        for field in Fields::of(bytes) {
            match field.context(place)? {
                (1, value) => {
                    let (piece, kind) = piece(value.bytes()?, count).context(place)?;
                    rarest = rarest.min(f64::from(piece.score));
                    match kind {
                        UNKNOWN | CONTROL => special.push((kind, piece)),
                        _ => sorted.push(piece),
                    }
                    count += 1;
                }
                (3, value) => {
                    for field in Fields::of(value.bytes()?) {
                        if let (2, table) = field.context(place)? {
                            charsmap = Charsmap::read(table.bytes()?).context(place)?;
                        }
                    }
                }
                _ => {}
            }
        }
        sorted.sort_unstable_by(|a: &Piece, b| a.text.as_bytes().cmp(b.text.as_bytes()));
        ensure!(!sorted.is_empty(), "{place}: it has no pieces");
        let marker = |kind: u64, text: Option<&str>| {
            let found = special
                .iter()
                .find(|(k, piece)| *k == kind && text.is_none_or(|text| &*piece.text == text));
            found
                .map(|(_, piece)| piece.id)
                .with_context(|| format!("{place}: a marker is missing"))
        };
        Ok(Self {
            unknown: marker(UNKNOWN, None)?,
            begin: marker(CONTROL, Some("<s>"))?,
            end: marker(CONTROL, Some("</s>"))?,
            charsmap,
            sorted,
            count: usize::try_from(count)?,
            unknown_score: rarest - PENALTY,
        })
    }

    /// Numbers of pieces run from 0 to this.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The pieces of a text between the markers of beginning and end.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let text = self.normalised(text);
        let mut ids = vec![self.begin];
        if text.is_empty() {
            ids.push(self.unknown);
        } else {
            ids.extend(self.cut(&text));
        }
        ids.push(self.end);
        ids
    }

    /// Normalised characters, one space before each word, none at the end.
    fn normalised(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + SPACE.len());
        let mut after_space = true;
        for part in self.charsmap.parts(text) {
            for c in part.chars() {
                let space = c == ' ';
                if !space && after_space {
                    out.push_str(SPACE);
                }
                if !space {
                    out.push(c);
                }
                after_space = space;
            }
        }
        out
    }

    /// The most probable way to cut: for each end the best last piece, found from left to right.
    fn cut(&self, text: &str) -> Vec<u32> {
        let mut best = vec![f64::NEG_INFINITY; text.len() + 1];
        let mut last = vec![(0_usize, self.unknown); text.len() + 1];
        best[0] = 0.0;
        for (at, c) in text.char_indices() {
            let mut offer = |length: usize, id: u32, score: f64| {
                let score = best[at] + score;
                if score > best[at + length] {
                    best[at + length] = score;
                    last[at + length] = (at, id);
                }
            };
            let mut known = false;
            self.prefixes(&text[at..], |piece| {
                known |= piece.text.len() == c.len_utf8();
                offer(piece.text.len(), piece.id, f64::from(piece.score));
            });
            if !known {
                offer(c.len_utf8(), self.unknown, self.unknown_score);
            }
        }
        let mut ids = Vec::new();
        let mut end = text.len();
        while end > 0 {
            let (start, id) = last[end];
            ids.push(id);
            end = start;
        }
        ids.reverse();
        ids
    }

    /// The pieces that `text` begins with, shorter ones first: with every byte fewer pieces are left.
    fn prefixes<'p>(&'p self, text: &str, mut found: impl FnMut(&'p Piece)) {
        let mut left = self.sorted.as_slice();
        for (depth, byte) in text.bytes().enumerate() {
            let at = |piece: &Piece| piece.text.as_bytes().get(depth).copied();
            let from = left.partition_point(|piece| at(piece) < Some(byte));
            let to = left.partition_point(|piece| at(piece) <= Some(byte));
            left = &left[from..to];
            match left.first() {
                None => return,
                // in order, the piece that ends here is the first
                Some(piece) if piece.text.len() == depth + 1 => found(piece),
                Some(_) => {}
            }
        }
    }
}

/// One piece and its kind.
fn piece(bytes: &[u8], id: u32) -> anyhow::Result<(Piece, u64)> {
    let (mut text, mut score, mut kind) = ("", 0.0, 1);
    for field in Fields::of(bytes) {
        match field? {
            (1, value) => text = std::str::from_utf8(value.bytes()?)?,
            (2, value) => score = value.float()?,
            (3, value) => kind = value.number()?,
            _ => {}
        }
    }
    Ok((Piece { text: text.into(), id, score }, kind))
}
