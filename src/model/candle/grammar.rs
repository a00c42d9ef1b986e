//! Constrained decoding: the tools' schemas as a grammar over the model's tokens (llguidance). A token that the
//! grammar does not allow cannot be decoded; tokens that it forces need no model.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{
    InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv,
};
use llguidance::{Matcher, ParserFactory};
use serde_json::json;

use super::super::{ModelError, ToolSchema, call};
use super::vocabulary::Vocabulary;

/// Compiles grammars for one vocabulary.
pub(super) struct Grammars {
    factory: ParserFactory,
}

/// The vocabulary as llguidance sees it.
struct Environment {
    vocabulary: Arc<Vocabulary>,
    trie: TokTrie,
}

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| self.vocabulary.encode(text))
    }
}

impl Grammars {
    /// Builds the tree of tokens; takes some hundred milliseconds.
    pub(super) fn new(vocabulary: &Arc<Vocabulary>, end: u32) -> anyhow::Result<Self> {
        let count = u32::try_from(vocabulary.len())?;
        let words: Vec<Vec<u8>> = (0..count)
            .map(|token| {
                let bytes = vocabulary.bytes(token);
                let marker = vocabulary.is_special(token).then_some(TokTrie::SPECIAL_TOKEN_MARKER);
                marker.into_iter().chain(bytes.iter().copied()).collect()
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(count, end), &words);
        let environment: TokEnv =
            Arc::new(Environment { vocabulary: Arc::clone(vocabulary), trie });
        let capabilities =
            InferenceCapabilities { ff_tokens: true, ..InferenceCapabilities::default() };
        let slices = llguidance::earley::SlicedBiasComputer::json_slices();
        let mut factory = ParserFactory::new(&environment, capabilities, &slices)?;
        factory.quiet();
        Ok(Self { factory })
    }

    /// The state before the first token of one call of one of `tools`.
    pub(super) fn of_call(&self, tools: &[ToolSchema]) -> Result<State, ModelError> {
        if tools.is_empty() {
            return Err(ModelError::Other(anyhow::anyhow!(
                "a tool call was asked for and no tool offered"
            )));
        }
        let mut schema = call::schema_of_call(tools);
        // the layout models write JSON in; what only a validator can judge is checked afterwards
        schema["x-guidance"] = json!({
            "whitespace_flexible": false, "key_separator": ": ", "item_separator": ", ",
            "coerce_one_of": true, "lenient": true,
        });
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(schema));
        let matcher = Matcher::new(parser);
        match matcher.get_error() {
            None => Ok(State { matcher }),
            Some(error) => Err(ModelError::Other(anyhow::anyhow!(
                "the tools' schemas cannot be turned into a grammar: {error}"
            ))),
        }
    }
}

/// Where decoding stands in the grammar.
pub(super) struct State {
    matcher: Matcher,
}

impl State {
    /// The tokens that must come next, already taken; often none.
    pub(super) fn forced(&mut self) -> anyhow::Result<Vec<u32>> {
        let forced = self.matcher.compute_ff_tokens();
        if !forced.is_empty() {
            self.matcher.consume_tokens(&forced)?;
        }
        Ok(forced)
    }

    /// Whether the call is complete.
    pub(super) fn finished(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// The tokens allowed next.
    pub(super) fn allowed(&mut self) -> anyhow::Result<SimpleVob> {
        self.matcher.compute_mask()
    }

    /// Takes the decoded token.
    pub(super) fn take(&mut self, token: u32) -> anyhow::Result<()> {
        self.matcher.consume_token(token)
    }
}
