//! What the model is told: `prompts/*.md`, each a front matter and a strict template, embedded in the binary; and the
//! examples that requests are compared with.

mod examples;

use minijinja::{Environment, UndefinedBehavior};
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use examples::{Example, Examples, Wish};

#[derive(RustEmbed)]
#[folder = "prompts/"]
struct PromptFiles;

/// All prompts, ready to be rendered.
#[derive(Debug)]
pub struct Prompts {
    templates: Environment<'static>,
    heads: Vec<Head>,
    hash: String,
}

/// The front matter of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Equal to the file's name without `.md`.
    pub name: String,
    /// When it is used; for people.
    pub description: String,
    /// Upper bound of generated tokens.
    pub max_tokens: u32,
}

/// Why prompts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("prompts/{name}.md: {detail}")]
pub struct PromptError {
    name: String,
    detail: String,
}

impl Prompts {
    /// Reads the embedded prompts.
    ///
    /// # Errors
    /// When a file has no front matter or its template is not valid.
    pub fn load() -> Result<Self, PromptError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        let (mut heads, mut digest) = (Vec::new(), Sha256::new());
        let mut names: Vec<_> = PromptFiles::iter().filter(|f| f.ends_with(".md")).collect();
        names.sort();
        for file in names {
            let data = PromptFiles::get(&file).expect("invariant: a listed file is embedded");
            let name = file.trim_end_matches(".md").to_owned();
            let bad = |detail: String| PromptError { name: name.clone(), detail };
            let text = std::str::from_utf8(&data.data).map_err(|e| bad(e.to_string()))?;
            digest.update(text.as_bytes());
            let (front, body) = text
                .strip_prefix("---\n")
                .and_then(|rest| rest.split_once("\n---\n"))
                .ok_or_else(|| bad("it must start with a front matter between --- lines".into()))?;
            let head: Head = serde_saphyr::from_str(front).map_err(|e| bad(e.to_string()))?;
            templates
                .add_template_owned(name.clone(), body.trim_start().to_owned())
                .map_err(|e| bad(e.to_string()))?;
            heads.push(head);
        }
        Ok(Self { templates, heads, hash: hex::encode(digest.finalize()) })
    }

    /// Fills one prompt.
    ///
    /// # Errors
    /// When there is no such prompt or a variable is missing.
    pub fn render(&self, name: &str, values: impl Serialize) -> Result<String, PromptError> {
        let bad =
            |e: minijinja::Error| PromptError { name: name.to_owned(), detail: format!("{e:#}") };
        let template = self.templates.get_template(name).map_err(bad)?;
        template.render(minijinja::value::Serde(values)).map_err(bad)
    }

    /// The front matter of one prompt.
    #[must_use]
    pub fn head(&self, name: &str) -> Option<&Head> {
        self.heads.iter().find(|h| h.name == name)
    }

    /// SHA-256 (hex) over all prompts.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }
}
