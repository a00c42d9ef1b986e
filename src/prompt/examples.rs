//! Example requests with what they want, from `prompts/examples.yaml`: what requests are compared with in meaning.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{PromptError, PromptFiles};

/// The file, below `prompts/`.
const FILE: &str = "examples.yaml";

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// To know something about the cluster.
    Question,
    /// A change that a tool can make.
    Change,
    /// A change that no tool can make.
    Unsupported,
    /// Nothing: it is said to be polite.
    Smalltalk,
    /// To know what kubemate can do.
    Help,
    /// Something that has nothing to do with the cluster.
    Irrelevant,
    /// A secret.
    Secret,
    /// To go around the review.
    SkipReview,
    /// To change kubemate's rules.
    Override,
}

impl Wish {
    /// As in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Change => "change",
            Self::Unsupported => "unsupported",
            Self::Smalltalk => "smalltalk",
            Self::Help => "help",
            Self::Irrelevant => "irrelevant",
            Self::Secret => "secret",
            Self::SkipReview => "skip_review",
            Self::Override => "override",
        }
    }
}

/// One example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The request, with placeholders (`NAME`, `PLACE`, `N`, `VERSION`, `AMOUNT`, `KEY`, `KEY=VALUE`).
    pub say: String,
    /// What it wants.
    pub wish: Wish,
    /// The tool that does it, for questions and changes.
    pub tool: Option<String>,
}

/// All examples, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examples {
    /// The examples.
    pub all: Vec<Example>,
    /// SHA-256 (hex) of the file.
    pub hash: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    intent: Wish,
    #[serde(default)]
    tool: Option<String>,
    say: Vec<String>,
}

impl Examples {
    /// Reads the embedded file.
    ///
    /// # Errors
    /// When it is not valid, or a question or change has no tool.
    pub fn load() -> Result<Self, PromptError> {
        let bad = |detail: String| PromptError { name: FILE.to_owned(), detail };
        let data = PromptFiles::get(FILE).ok_or_else(|| bad("it is missing".to_owned()))?;
        let text = std::str::from_utf8(&data.data).map_err(|e| bad(e.to_string()))?;
        let groups: Vec<Group> = serde_saphyr::from_str(text).map_err(|e| bad(e.to_string()))?;
        let mut all = Vec::new();
        for group in groups {
            let needs_tool = matches!(group.intent, Wish::Question | Wish::Change);
            if needs_tool != group.tool.is_some() {
                let intent = group.intent.name();
                return Err(bad(format!(
                    "examples of {intent} must {}have a tool",
                    if needs_tool { "" } else { "not " }
                )));
            }
            all.extend(group.say.into_iter().map(|say| Example {
                say,
                wish: group.intent,
                tool: group.tool.clone(),
            }));
        }
        Ok(Self { all, hash: hex::encode(Sha256::digest(text.as_bytes())) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_file_is_valid_and_says_nothing_twice() {
        let examples = Examples::load().unwrap();
        let said: BTreeSet<&str> = examples.all.iter().map(|e| e.say.as_str()).collect();
        assert_eq!(said.len(), examples.all.len());
        let chinese = |e: &&Example| e.say.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        let (zh, all) = (examples.all.iter().filter(chinese).count(), examples.all.len());
        assert!(zh * 5 > all * 2 && zh * 5 < all * 3, "{zh} of {all} are Chinese");
    }
}
