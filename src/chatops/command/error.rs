//! What can be wrong with a typed command, and what the operator is told.

use crate::domain::Lang;

/// Why a typed command cannot be run. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such command.
    Unknown {
        /// What was typed.
        verb: String,
        /// What may have been meant.
        near: Option<&'static str>,
    },
    /// Something is missing.
    Missing {
        /// How it is written.
        usage: &'static str,
    },
    /// A word has no place in the command.
    Unexpected {
        /// The word.
        word: String,
        /// How it is written.
        usage: &'static str,
    },
    /// Not a whole number.
    NotANumber {
        /// The word.
        word: String,
        /// How it is written.
        usage: &'static str,
    },
    /// A quotation that does not end.
    OpenQuote,
}

impl CommandError {
    /// What to tell the operator.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Unknown { verb, near: Some(near) }, Lang::Zh) => {
                format!("没有命令 /{verb}。您是不是指 /{near}？用 /help 查看全部命令。")
            }
            (Self::Unknown { verb, near: Some(near) }, Lang::En) => {
                format!("there is no command /{verb}; did you mean /{near}? /help lists them all")
            }
            (Self::Unknown { verb, near: None }, Lang::Zh) => {
                format!("没有命令 /{verb}。用 /help 查看全部命令。")
            }
            (Self::Unknown { verb, near: None }, Lang::En) => {
                format!("there is no command /{verb}; /help lists them all")
            }
            (Self::Missing { usage }, Lang::Zh) => format!("命令不完整。写法：{usage}"),
            (Self::Missing { usage }, Lang::En) => {
                format!("the command is not complete; write {usage}")
            }
            (Self::Unexpected { word, usage }, Lang::Zh) => {
                format!("看不懂“{word}”。写法：{usage}")
            }
            (Self::Unexpected { word, usage }, Lang::En) => {
                format!("'{word}' has no place here; write {usage}")
            }
            (Self::NotANumber { word, usage }, Lang::Zh) => {
                format!("“{word}”不是整数。写法：{usage}")
            }
            (Self::NotANumber { word, usage }, Lang::En) => {
                format!("'{word}' is not a whole number; write {usage}")
            }
            (Self::OpenQuote, Lang::Zh) => "引号没有结束，请补上。".to_owned(),
            (Self::OpenQuote, Lang::En) => "a quotation does not end; close it".to_owned(),
        }
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(Lang::En))
    }
}

impl std::error::Error for CommandError {}
