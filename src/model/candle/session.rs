//! One loaded model: prompt in, answer out, a step at a time, so that several answers can be on their way. Runs on the
//! worker's thread.

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
use super::sequences::Sequences;
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

/// Positions per forward pass while somebody else waits for a turn.
const SHORT_CHUNK: usize = 16;

/// A loaded model with the sequences it remembers.
pub(super) struct Session {
    network: Network,
    vocabulary: Arc<Vocabulary>,
    template: Template,
    grammars: Grammars,
    sequences: Sequences,
    prefixes: Prefixes,
    context: usize,
    spoiled: bool,
}

impl Session {
    /// Loads the model; `progress` hears the share done.
    pub(super) fn load(origin: &Origin, progress: impl Fn(f32)) -> Result<Self, ModelError> {
        let Head { mut gguf, dims, vocabulary, template } =
            Head::read(&origin.file, origin.context)?;
        let grammars = Grammars::new(&vocabulary, template.end())?;
        let network = Network::read(&mut gguf, progress)?;
        let context = origin.context.min(dims.context);
        let sequences = Sequences::new(&dims, context);
        let prefixes = Prefixes::new(&origin.identity, &dims, origin.prefixes.clone());
        Ok(Self {
            network,
            vocabulary,
            template,
            grammars,
            sequences,
            prefixes,
            context,
            spoiled: false,
        })
    }

    /// Whether it can be used further.
    pub(super) fn is_sound(&self) -> bool {
        !self.spoiled
    }

    /// Marks it as not to be used further: its code panicked.
    pub(super) fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// Takes on one request; nothing is computed yet. `hear` is told text as it is decoded.
    pub(super) fn begin(&mut self, request: ChatRequest, hear: Hear) -> Result<Answer, ModelError> {
        let mut grammar = match request.output {
            Output::ToolCall => Some(self.grammars.of_call(request.callable())?),
            Output::Text => None,
        };
        let told = match request.output {
            Output::ToolCall => call::with_preamble(&request.messages, &request.tools),
            Output::Text => request.messages.clone(),
        };
        let Prompt { tokens, fixed } = self.template.prompt(&told, &self.vocabulary);
        let (count, limit) = (tokens.len(), self.context);
        if count >= limit {
            return Err(ModelError::TooLong { tokens: count, limit });
        }
        let forced = grammar.as_mut().map_or(Ok(Vec::new()), State::forced)?;
        let kv = self.sequences.take(&tokens, fixed);
        let mut kv = kv.context("cannot set up the model's memory of a sequence")?;
        let cached = self.prefixes.resume(&mut kv, &tokens, fixed)?;
        let mut pending = tokens;
        pending.drain(..cached);
        pending.extend_from_slice(&forced);
        let mut answer = Answer {
            room: (limit - count).min(request.max_tokens as usize),
            request,
            grammar,
            kv,
            pending,
            fixed,
            counts: (count, cached),
            pieces: Pieces::new(hear),
            output: Vec::new(),
            random: StdRng::seed_from_u64(0),
        };
        answer.emit(&forced, &self.vocabulary);
        Ok(answer)
    }

    /// Takes the next step with an answer: a part of the prompt, or a token and what it forces. `alone` when nobody else
    /// waits for a turn. `true` when there is nothing more to do.
    pub(super) fn step(
        &mut self,
        answer: &mut Answer,
        alone: bool,
        cancel: &CancellationToken,
    ) -> Result<bool, ModelError> {
        let Some(hidden) = self.read(answer, alone, cancel)? else { return Ok(false) };
        if answer.output.len() >= answer.room {
            return Ok(true);
        }
        match answer.grammar.take() {
            None => self.next_of_text(answer, &hidden),
            Some(grammar) => self.next_of_call(answer, grammar, &hidden),
        }
    }

    /// Ends an answer: what came out, or `error`.
    pub(super) fn end(
        &mut self,
        answer: Answer,
        error: Option<ModelError>,
    ) -> Result<ChatResponse, ModelError> {
        let Answer { mut kv, request, grammar, mut pieces, output, counts, room, .. } = answer;
        if matches!(error, Some(ModelError::Other(_))) {
            kv.truncate(0); // its state may be half written
        }
        self.sequences.give_back(kv);
        if let Some(error) = error {
            return Err(error);
        }
        pieces.finish();
        let text = pieces.text;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let usage = Usage {
            input_tokens: count(counts.0),
            cached_tokens: count(counts.1),
            output_tokens: count(output.len()),
        };
        if request.output == Output::Text {
            return Ok(ChatResponse { text, usage, ..ChatResponse::default() });
        }
        if !grammar.is_some_and(|grammar| grammar.finished()) {
            let what = format!("the call was not complete after {room} tokens");
            return Err(call::malformed(what, &text));
        }
        let call = call::call_from_text(&text, request.callable())?;
        Ok(ChatResponse { call: Some(call), usage, ..ChatResponse::default() })
    }

    /// Runs the network over the next part of what is pending, a part ending where the fixed prefix does. Returns the
    /// state behind the last token once all is read.
    fn read(
        &mut self,
        answer: &mut Answer,
        alone: bool,
        cancel: &CancellationToken,
    ) -> Result<Option<Tensor>, ModelError> {
        let chunk = self.network.chunk();
        let chunk = if alone { chunk } else { chunk.min(SHORT_CHUNK) };
        let before = answer.fixed.saturating_sub(answer.kv.len());
        let most = if before > 0 { chunk.min(before) } else { chunk };
        let rest = answer.pending.split_off(most.min(answer.pending.len()));
        let tokens = std::mem::replace(&mut answer.pending, rest);
        let hidden = self
            .network
            .forward(&tokens, &mut answer.kv, &|| cancel.is_cancelled())
            .context("the model failed")?
            .ok_or(ModelError::Cancelled)?;
        if answer.kv.len() == answer.fixed {
            self.prefixes.keep(&answer.kv, answer.fixed)?;
        }
        Ok(answer.pending.is_empty().then_some(hidden))
    }

    /// The next token of free text. `true` when the model ends its turn.
    fn next_of_text(&self, answer: &mut Answer, hidden: &Tensor) -> Result<bool, ModelError> {
        let mut scores = self.network.logits(hidden).context("the model failed")?;
        self.template.only_text_or_end(&mut scores, &self.vocabulary);
        let token = pick(&scores, answer.request.temperature, &mut answer.random);
        let token = u32::try_from(token).unwrap_or(u32::MAX);
        if self.vocabulary.is_special(token) {
            return Ok(true);
        }
        answer.emit(&[token], &self.vocabulary);
        answer.pending.push(token);
        Ok(answer.output.len() >= answer.room)
    }

    /// The next token of a call, and those that must follow it. `true` when the call is complete.
    fn next_of_call(
        &self,
        answer: &mut Answer,
        mut grammar: State,
        hidden: &Tensor,
    ) -> Result<bool, ModelError> {
        let mut done = grammar.finished();
        if !done {
            let token = self.choose(hidden, &grammar.allowed()?, answer)?;
            grammar.take(token)?;
            done = grammar.finished();
            let mut next = vec![token];
            if !done {
                next.extend(grammar.forced()?);
                done = grammar.finished();
            }
            answer.emit(&next, &self.vocabulary);
            answer.pending.extend(next);
        }
        answer.grammar = Some(grammar);
        Ok(done)
    }

    fn choose(
        &self,
        hidden: &Tensor,
        allowed: &SimpleVob,
        answer: &mut Answer,
    ) -> anyhow::Result<u32> {
        let (temperature, random) = (answer.request.temperature, &mut answer.random);
        let few = allowed.to_list();
        if let [only] = few[..] {
            return Ok(only);
        }
        if few.len() <= FEW {
            let at = pick(&self.network.logits_of(hidden, &few)?, temperature, random);
            return few.get(at).copied().context("the grammar allows no token");
        }
        let mut scores = self.network.logits(hidden)?;
        allowed.iter_unset_entries(|token| {
            if let Some(score) = scores.get_mut(token) {
                *score = f32::NEG_INFINITY;
            }
        });
        Ok(u32::try_from(pick(&scores, temperature, random))?)
    }
}

/// Who hears text as it is decoded.
pub(super) type Hear = Box<dyn FnMut(String)>;

/// One answer on its way.
pub(super) struct Answer {
    request: ChatRequest,
    grammar: Option<State>,
    kv: KvCache,
    /// Tokens that the network has not read yet.
    pending: Vec<u32>,
    /// How many tokens at the beginning are the same for many requests.
    fixed: usize,
    /// Tokens of the prompt, and how many of them were known.
    counts: (usize, usize),
    pieces: Pieces<Hear>,
    output: Vec<u32>,
    /// Most tokens of the answer.
    room: usize,
    random: StdRng,
}

impl Answer {
    fn emit(&mut self, tokens: &[u32], vocabulary: &Vocabulary) {
        for token in tokens.iter().filter(|token| !vocabulary.is_special(**token)) {
            self.pieces.push(vocabulary.bytes(*token));
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
