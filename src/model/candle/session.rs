//! One loaded model: prompt in, answer out. Runs on the worker's thread.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use candle_core::Tensor;
use llguidance::toktrie::SimpleVob;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use super::super::{ChatRequest, ChatResponse, ModelError, Output, Usage, call};
use super::grammar::{Grammars, State};
use super::head::Head;
use super::network::{KvCache, Network};
use super::prefix::Prefixes;
use super::template::{Prompt, Template};
use super::vocabulary::Vocabulary;

/// With at most this many tokens allowed, only their scores are computed.
const FEW: usize = 1024;

/// What a session is made from.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The GGUF file.
    pub(super) file: PathBuf,
    /// What identifies its content, for stored prefixes.
    pub(super) identity: String,
    /// Most tokens of a sequence; the model's own limit when smaller.
    pub(super) context: usize,
    /// Where prefixes are stored.
    pub(super) prefixes: Option<PathBuf>,
}

/// A loaded model with the state of its last sequence.
pub(super) struct Session {
    network: Network,
    vocabulary: Arc<Vocabulary>,
    template: Template,
    grammars: Grammars,
    kv: KvCache,
    prefixes: Prefixes,
    context: usize,
}

impl Session {
    /// Loads the model; `progress` hears the share done.
    pub(super) fn load(origin: &Origin, progress: impl Fn(f32)) -> Result<Self, ModelError> {
        let Head { mut gguf, dims, vocabulary, template } =
            Head::read(&origin.file, origin.context)?;
        let grammars = Grammars::new(&vocabulary, template.end())?;
        let network = Network::read(&mut gguf, progress)?;
        let kv = KvCache::new(&dims).context("cannot set up the model's memory of a sequence")?;
        let prefixes = Prefixes::new(&origin.identity, &dims, origin.prefixes.clone());
        let context = origin.context.min(dims.context);
        Ok(Self { network, vocabulary, template, grammars, kv, prefixes, context })
    }

    /// Answers one request; `piece` hears text as it is decoded.
    pub(super) fn answer(
        &mut self,
        request: &ChatRequest,
        cancel: &CancellationToken,
        piece: impl FnMut(String),
    ) -> Result<ChatResponse, ModelError> {
        let result = self.decode(request, cancel, piece);
        if matches!(result, Err(ModelError::Other(_))) {
            self.kv.truncate(0); // its state may be half written
        }
        result
    }

    fn decode(
        &mut self,
        request: &ChatRequest,
        cancel: &CancellationToken,
        piece: impl FnMut(String),
    ) -> Result<ChatResponse, ModelError> {
        let grammar = match request.output {
            Output::ToolCall => Some(self.grammars.of_call(&request.tools)?),
            Output::Text => None,
        };
        let told = match request.output {
            Output::ToolCall => call::with_preamble(&request.messages, &request.tools),
            Output::Text => request.messages.clone(),
        };
        let prompt = self.template.prompt(&told, &self.vocabulary);
        let (tokens, limit) = (prompt.tokens.len(), self.context);
        if tokens >= limit {
            return Err(ModelError::TooLong { tokens, limit });
        }
        let cached = self.prefixes.resume(&mut self.kv, &prompt.tokens, prompt.fixed)?;
        let room = (limit - tokens).min(request.max_tokens as usize);
        let mut decoding = Decoding {
            session: self,
            cancel,
            pieces: Pieces::new(piece),
            output: Vec::new(),
            room,
        };
        let finished = match grammar {
            None => decoding.text(&prompt, request.temperature)?,
            Some(grammar) => decoding.call(&prompt, grammar, request.temperature)?,
        };
        let output = std::mem::take(&mut decoding.output);
        let text = decoding.pieces.text;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let usage = Usage {
            input_tokens: count(tokens),
            cached_tokens: count(cached),
            output_tokens: count(output.len()),
        };
        if request.output == Output::Text {
            return Ok(ChatResponse { text, usage, ..ChatResponse::default() });
        }
        if !finished {
            return Err(call::malformed(
                format!("the call was not complete after {room} tokens"),
                &text,
            ));
        }
        let call = call::call_from_text(&text, &request.tools)?;
        Ok(ChatResponse { call: Some(call), usage, ..ChatResponse::default() })
    }
}

/// One answer on its way.
struct Decoding<'a, F: FnMut(String)> {
    session: &'a mut Session,
    cancel: &'a CancellationToken,
    pieces: Pieces<F>,
    output: Vec<u32>,
    /// Most tokens of the answer.
    room: usize,
}

impl<F: FnMut(String)> Decoding<'_, F> {
    /// Runs the network over `tokens`, a chunk at a time, a chunk ending at `boundary` where that lies within.
    fn run(&mut self, tokens: &[u32], boundary: usize) -> Result<Tensor, ModelError> {
        let mut rest = tokens;
        loop {
            if self.cancel.is_cancelled() {
                return Err(ModelError::Cancelled);
            }
            let session = &mut *self.session;
            let before = boundary.saturating_sub(session.kv.len());
            let chunk = session.network.chunk();
            let most = if before > 0 { chunk.min(before) } else { chunk };
            let (chunk, after) = rest.split_at(most.min(rest.len()));
            let hidden =
                session.network.forward(chunk, &mut session.kv).context("the model failed")?;
            if session.kv.len() == boundary {
                session.prefixes.keep(&session.kv, boundary)?;
            }
            if after.is_empty() {
                return Ok(hidden);
            }
            rest = after;
        }
    }

    /// Reads what of the prompt is not known yet.
    fn read(&mut self, prompt: &Prompt, forced: &[u32]) -> Result<Tensor, ModelError> {
        let mut tokens = prompt.tokens[self.session.kv.len()..].to_vec();
        tokens.extend_from_slice(forced);
        self.run(&tokens, prompt.fixed)
    }

    /// Free text until the model ends its turn. `true` when it did.
    fn text(&mut self, prompt: &Prompt, temperature: f32) -> Result<bool, ModelError> {
        let mut random = StdRng::seed_from_u64(0);
        let mut hidden = self.read(prompt, &[])?;
        while self.output.len() < self.room {
            let mut scores = self.session.network.logits(&hidden).context("the model failed")?;
            self.session.template.only_text_or_end(&mut scores, &self.session.vocabulary);
            let token = pick(&scores, temperature, &mut random);
            let token = u32::try_from(token).unwrap_or(u32::MAX);
            if self.session.vocabulary.is_special(token) {
                self.pieces.finish();
                return Ok(true);
            }
            self.emit(&[token]);
            hidden = self.run(&[token], 0)?;
        }
        self.pieces.finish();
        Ok(false)
    }

    /// One call within the grammar. `true` when it is complete.
    fn call(
        &mut self,
        prompt: &Prompt,
        mut grammar: State,
        temperature: f32,
    ) -> Result<bool, ModelError> {
        let mut random = StdRng::seed_from_u64(0);
        let forced = grammar.forced()?;
        self.emit(&forced);
        let mut hidden = self.read(prompt, &forced)?;
        while !grammar.finished() && self.output.len() < self.room {
            let token = self.choose(&hidden, &grammar.allowed()?, temperature, &mut random)?;
            grammar.take(token)?;
            let mut next = vec![token];
            if !grammar.finished() {
                next.extend(grammar.forced()?);
            }
            self.emit(&next);
            if !grammar.finished() {
                hidden = self.run(&next, 0)?;
            }
        }
        self.pieces.finish();
        Ok(grammar.finished())
    }

    fn choose(
        &self,
        hidden: &Tensor,
        allowed: &SimpleVob,
        temperature: f32,
        random: &mut StdRng,
    ) -> anyhow::Result<u32> {
        let network = &self.session.network;
        let few = allowed.to_list();
        if let [only] = few[..] {
            return Ok(only);
        }
        if few.len() <= FEW {
            let at = pick(&network.logits_of(hidden, &few)?, temperature, random);
            return few.get(at).copied().context("the grammar allows no token");
        }
        let mut scores = network.logits(hidden)?;
        allowed.iter_unset_entries(|token| {
            if let Some(score) = scores.get_mut(token) {
                *score = f32::NEG_INFINITY;
            }
        });
        Ok(u32::try_from(pick(&scores, temperature, random))?)
    }

    fn emit(&mut self, tokens: &[u32]) {
        for token in tokens {
            if !self.session.vocabulary.is_special(*token) {
                self.pieces.push(self.session.vocabulary.bytes(*token));
            }
        }
        self.output.extend_from_slice(tokens);
    }
}

/// The index of the best score, or of a random one by its probability.
fn pick(scores: &[f32], temperature: f32, random: &mut StdRng) -> usize {
    let best = scores
        .iter()
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, s)| if *s > best.1 { (i, *s) } else { best });
    if temperature <= 0.0 {
        return best.0;
    }
    let weight = |score: f32| ((score - best.1) / temperature).exp();
    let total: f32 = scores.iter().map(|s| weight(*s)).sum();
    let mut left = random.random::<f32>() * total;
    for (index, score) in scores.iter().enumerate() {
        left -= weight(*score);
        if left < 0.0 {
            return index;
        }
    }
    best.0
}

/// Bytes of tokens as text; a character may be spread over several tokens.
struct Pieces<F: FnMut(String)> {
    text: String,
    pending: Vec<u8>,
    hear: F,
}

impl<F: FnMut(String)> Pieces<F> {
    fn new(hear: F) -> Self {
        Self { text: String::new(), pending: Vec::new(), hear }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.pending) {
            Ok(_) => self.pending.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.pending.len(), // not text at all: told as the replacement character
        };
        self.tell(whole);
    }

    fn finish(&mut self) {
        self.tell(self.pending.len());
    }

    fn tell(&mut self, count: usize) {
        if count > 0 {
            let bytes: Vec<u8> = self.pending.drain(..count).collect();
            let piece = String::from_utf8_lossy(&bytes).into_owned();
            self.text.push_str(&piece);
            (self.hear)(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_in_several_tokens_is_one_piece() {
        let mut heard = Vec::new();
        let mut pieces = Pieces::new(|piece| heard.push(piece));
        for bytes in [&"扩".as_bytes()[..1], &"扩".as_bytes()[1..], b"ok", b"\xff", b"\xe6"] {
            pieces.push(bytes);
        }
        pieces.finish();
        assert_eq!(pieces.text, "扩ok\u{fffd}\u{fffd}");
        assert_eq!(heard, ["扩", "ok", "\u{fffd}", "\u{fffd}"]);
    }

    #[test]
    fn picking_follows_the_scores() {
        let mut random = StdRng::seed_from_u64(7);
        assert_eq!(pick(&[0.1, 3.0, -1.0], 0.0, &mut random), 1);
        let often = (0..1000)
            .filter(|_| pick(&[0.0, 2.0, f32::NEG_INFINITY], 1.0, &mut random) == 1)
            .count();
        assert!((850..910).contains(&often), "{often}"); // e^2 / (1 + e^2) = 0.88
    }
}
