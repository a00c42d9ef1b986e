//! Tokens of local operators: made at the first start, kept in the data folder for this user only.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::folder;

/// One operator's token, as `tokens.json` keeps it (an array, in the order of the operators).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The operator.
    pub name: String,
    /// The token.
    pub token: String,
}

/// The token of an operator, or of the first one.
///
/// # Errors
/// When there is no such token, saying which there are.
pub fn read(data: &Path, name: Option<&str>) -> anyhow::Result<String> {
    let path = file(data);
    let tokens = load(&path)?;
    if tokens.is_empty() {
        bail!("{} holds no tokens; `kubemate up` makes them at its first start", path.display());
    }
    let found = match name {
        Some(name) => tokens.iter().find(|token| token.name == name),
        None => tokens.first(),
    };
    let names: Vec<&str> = tokens.iter().map(|token| token.name.as_str()).collect();
    let found = found.with_context(|| {
        format!(
            "there is no operator '{}'; there are {}",
            name.unwrap_or_default(),
            names.join(", ")
        )
    })?;
    Ok(found.token.clone())
}

/// Makes the missing tokens of `operators` and keeps all; says whether any was made.
///
/// # Errors
/// When the file cannot be read or written.
pub fn ensure(data: &Path, operators: &[String]) -> anyhow::Result<(Vec<Token>, bool)> {
    let path = file(data);
    let mut tokens = load(&path)?;
    let before = tokens.len();
    for name in operators {
        if !tokens.iter().any(|token| &token.name == name) {
            let secret: [u8; 24] = rand::random();
            tokens.push(Token { name: name.clone(), token: format!("km-{}", hex::encode(secret)) });
        }
    }
    let made = tokens.len() > before;
    if made {
        let mut text = serde_json::to_string_pretty(&tokens).context("writing the tokens")?;
        text.push('\n');
        folder::write_private(&path, text.as_bytes())?;
    }
    tokens.retain(|token| operators.contains(&token.name));
    Ok((tokens, made))
}

fn file(data: &Path) -> PathBuf {
    data.join("tokens.json")
}

fn load(path: &Path) -> anyhow::Result<Vec<Token>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
            format!("reading {}; remove it to have new tokens made", path.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["alice".to_owned(), "bob".to_owned()];
        let (first, made) = ensure(folder.path(), &names).unwrap();
        assert!(made);
        let (second, made) = ensure(folder.path(), &names).unwrap();
        assert!(!made);
        assert_eq!(first, second);
        assert_eq!(read(folder.path(), Some("bob")).unwrap(), first[1].token);
        assert_eq!(read(folder.path(), None).unwrap(), first[0].token);
        let error = read(folder.path(), Some("eve")).unwrap_err().to_string();
        assert!(error.contains("alice, bob"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn tokens_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        ensure(folder.path(), &["alice".to_owned()]).unwrap();
        let mode = file(folder.path()).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
