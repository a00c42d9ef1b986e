//! Who is calling: an operator's token in the `authorization` header, or the cookie a login with that token set.
//!
//! Tokens are kept and compared as SHA-256 digests, in constant time. The cookie is `name|expiry|mac`, signed with a key of
//! this installation, so a restart logs nobody out; a changed or removed token ends the sessions made with the old one.

use std::{io::Write, path::Path, time::Duration};

use anyhow::{Context, bail};
use axum::extract::FromRequestParts;
use http::{HeaderMap, header, request::Parts};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{Shared, error::ApiError, guard};
use crate::domain::{Actor, ChannelKind, Lang};

/// Name of the session cookie.
pub const COOKIE: &str = "kubemate_session";
/// How long a login lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// Shorter tokens can be guessed.
const MIN_TOKEN: usize = 16;

/// One operator who may call.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Who they are; the channel is replaced by the one they come through.
    pub actor: Actor,
    /// The language they prefer, if they said.
    pub lang: Option<Lang>,
    /// Their token, at least 16 characters.
    pub token: SecretString,
}

/// Everyone who may call.
#[derive(Debug)]
pub struct Operators {
    known: Vec<Known>,
    key: [u8; 32],
}

#[derive(Debug)]
struct Known {
    actor: Actor,
    lang: Option<Lang>,
    digest: [u8; 32],
}

/// Who calls, and how they showed it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The operator.
    pub actor: Actor,
    /// The language they prefer, if they said.
    pub lang: Option<Lang>,
}

impl Operators {
    /// The operators and the key that signs their cookies (see [`session_key`]).
    ///
    /// # Errors
    /// When a token is too short, or two operators share a name or a token.
    pub fn new(operators: Vec<Operator>, key: [u8; 32]) -> anyhow::Result<Self> {
        let mut known: Vec<Known> = Vec::new();
        for Operator { actor, lang, token } in operators {
            let token = token.expose_secret();
            if token.len() < MIN_TOKEN {
                bail!(
                    "the token of operator '{}' has {} characters; use at least {MIN_TOKEN}, for example from 'openssl rand -hex 24'",
                    actor.name,
                    token.len()
                );
            }
            let digest = sha256(token.as_bytes());
            if known.iter().any(|k| k.actor.name == actor.name || k.digest == digest) {
                bail!(
                    "operator '{}' shares a name or a token with another one; make them different",
                    actor.name
                );
            }
            known.push(Known { actor, lang, digest });
        }
        Ok(Self { known, key })
    }

    /// The operator with this token. Takes the same time whichever it is.
    #[must_use]
    pub fn by_token(&self, token: &str) -> Option<Caller> {
        let digest = sha256(token.as_bytes());
        let mut found = None;
        for known in &self.known {
            if equal(&known.digest, &digest) {
                found = Some(known);
            }
        }
        found.map(|known| known.caller(ChannelKind::Api))
    }

    /// The value of a cookie for an operator who logged in now, with the seconds it lasts.
    #[must_use]
    pub fn cookie(&self, name: &str, now: Timestamp) -> Option<(String, u64)> {
        let known = self.known.iter().find(|known| known.actor.name == name)?;
        let expiry = now.as_second() + i64::try_from(SESSION.as_secs()).unwrap_or(i64::MAX);
        let mac = self.mac(known, expiry);
        Some((format!("{}|{expiry}|{}", hex::encode(name), hex::encode(mac)), SESSION.as_secs()))
    }

    /// The operator a cookie's value stands for, when it is genuine and not over.
    #[must_use]
    pub fn by_cookie(&self, value: &str, now: Timestamp) -> Option<Caller> {
        let mut parts = value.split('|');
        let (name, expiry, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let name = String::from_utf8(hex::decode(name).ok()?).ok()?;
        let expiry: i64 = expiry.parse().ok()?;
        let mac: [u8; 32] = hex::decode(mac).ok()?.try_into().ok()?;
        let known = self.known.iter().find(|known| known.actor.name == name)?;
        (equal(&self.mac(known, expiry), &mac) && now.as_second() < expiry)
            .then(|| known.caller(ChannelKind::Web))
    }

    fn mac(&self, known: &Known, expiry: i64) -> [u8; 32] {
        let message = format!("{}|{expiry}|{}", known.actor.name, hex::encode(known.digest));
        hmac_sha256(&self.key, message.as_bytes())
    }
}

impl Known {
    fn caller(&self, channel: ChannelKind) -> Caller {
        Caller { actor: Actor { channel, ..self.actor.clone() }, lang: self.lang }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Shared) -> Result<Self, ApiError> {
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(bearer);
            return token
                .and_then(|token| state.operators.by_token(token))
                .ok_or_else(|| ApiError::unauthorized("the token is not one of an operator"));
        }
        let Some(value) = cookie(&parts.headers) else {
            return Err(ApiError::unauthorized("no credential was sent"));
        };
        // a browser sends the cookie by itself: make sure it was our page that asked
        guard::same_site(&state.config, &parts.method, &parts.headers)?;
        state
            .operators
            .by_cookie(value, Timestamp::now())
            .ok_or_else(|| ApiError::unauthorized("the session is over"))
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// The key that signs cookies: read from `file`, or made there, readable by this user only.
///
/// # Errors
/// When the file cannot be read, written, or is not 32 bytes in hex.
pub fn session_key(file: &Path) -> anyhow::Result<[u8; 32]> {
    let doing = || format!("reading the session key {}", file.display());
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.with_context(|| {
                format!("{}: it is not 64 hexadecimal digits; remove it to get a new one", doing())
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key: [u8; 32] = rand::random();
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut opened = options.open(file).with_context(doing)?;
            writeln!(opened, "{}", hex::encode(key)).with_context(doing)?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(doing),
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Equality whose time does not depend on where the difference is.
fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// RFC 2104 with SHA-256 and a key shorter than a block.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| -> [u8; 64] {
        std::array::from_fn(|at| key.get(at).copied().unwrap_or_default() ^ with)
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, token: &str) -> Operator {
        let (groups, roles) = (Vec::new(), std::collections::BTreeSet::new());
        let actor = Actor { name: name.to_owned(), groups, roles, channel: ChannelKind::Cli };
        Operator { actor, lang: None, token: token.into() }
    }

    fn operators(token: &str) -> Operators {
        Operators::new(
            vec![operator("li", token), operator("wang", "wang-token-wang-token")],
            [7; 32],
        )
        .unwrap()
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // test case 1, its 20-byte key padded with the zeros HMAC adds anyway
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let mac = hmac_sha256(&key, b"Hi There");
        assert_eq!(
            hex::encode(mac),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }

    #[test]
    fn tokens_find_their_operator() {
        let known = operators("li-token-li-token-li");
        let name = |token| known.by_token(token).map(|caller| caller.actor.name);
        assert_eq!(name("li-token-li-token-li").as_deref(), Some("li"));
        assert_eq!(name("wang-token-wang-token").as_deref(), Some("wang"));
        assert_eq!(name("li-token-li-token-l"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn cookies_end_and_cannot_be_changed() {
        let known = operators("li-token-li-token-li");
        let now = Timestamp::now();
        let (value, seconds) = known.cookie("li", now).unwrap();
        let name = |value: &str, at| known.by_cookie(value, at).map(|caller| caller.actor.name);
        assert_eq!(name(&value, now).as_deref(), Some("li"));
        assert_eq!(name(&value, now + Duration::from_secs(seconds)), None, "over");
        assert_eq!(name(&value.replacen(&hex::encode("li"), &hex::encode("wang"), 1), now), None);
        assert_eq!(name("li", now), None);
        let renewed = operators("li-has-another-token-now");
        assert!(renewed.by_cookie(&value, now).is_none(), "the token was changed since");
    }

    #[test]
    fn weak_and_shared_tokens_are_refused() {
        let refused = |list| Operators::new(list, [0; 32]).map(|_| ()).unwrap_err().to_string();
        assert!(refused(vec![operator("li", "short")]).contains("at least 16"));
        let twice = vec![operator("li", "0123456789abcdef"), operator("wang", "0123456789abcdef")];
        assert!(refused(twice).contains("shares"));
    }

    #[test]
    fn the_session_key_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.key");
        let made = session_key(&file).unwrap();
        assert_eq!(session_key(&file).unwrap(), made);
        std::fs::write(&file, "not hex").unwrap();
        assert!(session_key(&file).is_err());
    }
}
