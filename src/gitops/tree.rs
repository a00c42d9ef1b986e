//! The files of one revision of the repository, held in memory.

use std::{collections::BTreeMap, sync::Arc};

/// A snapshot of the repository: path (with `/`, no leading slash) to bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The commit it was read from; empty for a tree that is no commit yet.
    pub revision: String,
    /// Every regular file.
    pub files: BTreeMap<String, Arc<[u8]>>,
}

impl Tree {
    /// The file's text, when it exists and is UTF-8.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// The tree with `changes` applied, as a tree that is no commit yet.
    #[must_use]
    pub fn with(&self, changes: &[FileChange]) -> Self {
        let mut files = self.files.clone();
        for change in changes {
            match &change.after {
                Some(text) => files.insert(change.path.clone(), Arc::from(text.as_bytes())),
                None => files.remove(&change.path),
            };
        }
        Self { revision: String::new(), files }
    }
}

/// One file before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Path in the repository.
    pub path: String,
    /// Text before; `None` for a new file.
    pub before: Option<String>,
    /// Text after; `None` removes the file.
    pub after: Option<String>,
}
