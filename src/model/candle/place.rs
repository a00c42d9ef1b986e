//! Which file a model is, and whether it could be loaded.

use std::path::{Path, PathBuf};

use super::super::ModelError;
use super::super::download::{self, KnownModel};
use super::Config;
use super::head::Head;

/// Where the model's file is, or is to be put.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Whether it may be fetched, and how much context is wanted.
    pub(super) config: Config,
    /// How to fetch it.
    pub(super) known: Option<&'static KnownModel>,
    /// The folder for fetched models and stored prefixes.
    pub(super) cache: PathBuf,
}

impl Place {
    /// The folder of fetched models.
    pub(super) fn folder(&self) -> PathBuf {
        self.cache.join("models")
    }

    /// The file.
    pub(super) fn file(&self) -> PathBuf {
        match (&self.config.file, self.known) {
            (Some(file), _) => file.clone(),
            (None, Some(known)) => self.folder().join(&known.file),
            (None, None) => PathBuf::new(),
        }
    }

    /// The error when there is no file and it may not be fetched.
    pub(super) fn missing(&self, path: &Path) -> ModelError {
        let path = path.display();
        ModelError::Unavailable(match self.known {
            Some(known) => format!(
                "the model file {path} is not there and fetching is switched off; {}",
                known.by_hand(&self.folder())
            ),
            None => format!(
                "the model file {path} is not there; correct `file` in the model's configuration"
            ),
        })
    }

    /// Whether the model could be loaded, or fetched. Reads the head of the file, and once all of it where its content is
    /// to be verified.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let file = self.file();
        if !file.exists() {
            let fetched = self.config.fetch && self.known.is_some();
            return if fetched { Ok(()) } else { Err(self.missing(&file)) };
        }
        if let Some(known) = self.known {
            let verified = download::verified(known, &file);
            verified.map_err(|error| ModelError::Unavailable(error.to_string()))?;
        }
        Head::read(&file, self.config.context).map(drop)
    }
}
