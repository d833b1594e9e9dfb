//! Opt-out links: a token that withdraws one channel of one customer, and nothing else.
//!
//! Invariant: a token that was not made with the key, or was made for other ids, is refused. Every tenant has a key of its
//! own, derived from the secret, and tags are compared in constant time. A token never expires: to withdraw must stay
//! simple, however old the message is. Whoever has a link can follow it, so it is masked wherever it is printed and stands
//! in messages alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::NaiveDate;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::channel::Channel;
use crate::ids::{CustomerId, TenantId};

/// The longest token that is read, in characters: two ids of the greatest length and what is around them.
pub const TOKEN_CHARS_MAX: usize = 2_048;

/// The longest address that links may begin with, in characters.
pub const OPT_OUT_URL_CHARS_MAX: usize = 200;

/// How many bytes of its digest tell one token from another where the token itself must not stand.
const MARK_BYTES: usize = 16;

/// What each use of the secret is for, so that no other use of it makes a token.
const KEY_USE: &[u8] = b"puntual opt-out link, version 1";

/// The secret that opt-out links are signed with.
#[derive(Clone)]
pub struct OptOutKey(Vec<u8>);

impl std::fmt::Debug for OptOutKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OptOutKey(***)")
    }
}

/// Whom a link is for, and what it withdraws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOutLink {
    /// The tenant.
    pub tenant: TenantId,
    /// The customer.
    pub customer: CustomerId,
    /// The channel.
    pub channel: Channel,
    /// The day on which the link was made.
    pub issued_on: NaiveDate,
}

/// What stands in a token, in this order.
#[derive(Serialize, Deserialize)]
struct Payload(TenantId, CustomerId, Channel, NaiveDate);

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the form of a token.
    #[error("the text is no opt-out token; expected the part of the link after the last slash, unchanged")]
    Malformed,
    /// Not made with this key, or changed.
    #[error("the opt-out token was not made here; expected one from a message, unchanged")]
    Forged,
}

/// What the opt-out links of a lender begin with. A link is this, a slash and the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OptOutUrl(String);

/// An address that links cannot begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address for opt-out links; expected https://, a host with a dot and perhaps a path of letters, digits and \
     -._~/, of at most {OPT_OUT_URL_CHARS_MAX} characters, such as https://example.com/baja"
)]
pub struct OptOutUrlError(String);

impl TryFrom<String> for OptOutUrl {
    type Error = OptOutUrlError;
    fn try_from(text: String) -> Result<Self, OptOutUrlError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        let rest = text.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let sound = rest.filter(|_| text.len() <= OPT_OUT_URL_CHARS_MAX).filter(|rest| {
            let mut parts = rest.split('/');
            let labels = parts.next().unwrap_or_default().split('.').collect::<Vec<_>>();
            let host = labels.len() > 1
                && labels
                    .iter()
                    .all(|l| !l.is_empty() && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
            host && parts
                .all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain))
        });
        match sound {
            Some(rest) => Ok(Self(format!("https://{rest}"))),
            None => Err(OptOutUrlError(text)),
        }
    }
}

impl From<OptOutUrl> for String {
    fn from(url: OptOutUrl) -> Self {
        url.0
    }
}

impl OptOutUrl {
    /// The link of a token.
    #[must_use]
    pub fn link(&self, token: &str) -> SignedLink {
        SignedLink(format!("{}/{token}", self.0))
    }
}

/// A customer's own opt-out link, ready to be followed: masked wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedLink(String);

impl SignedLink {
    /// The link itself, for the message that carries it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SignedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedLink(***)")
    }
}

/// What tells one token from another and cannot be followed: for records of a link that was.
#[must_use]
pub fn token_mark(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(token)[..MARK_BYTES])
}

impl OptOutKey {
    /// Takes secret bytes of any length; 32 random ones are right.
    #[must_use]
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self(secret.into())
    }

    /// The token of a link.
    #[must_use]
    pub fn token(&self, link: &OptOutLink) -> String {
        let OptOutLink { tenant, customer, channel, issued_on } = link.clone();
        let payload = serde_json::to_vec(&Payload(tenant, customer, channel, issued_on))
            .expect("a payload has only texts and dates");
        let tag = self.mac(&link.tenant, &payload).finalize().into_bytes();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(tag))
    }

    /// The link of a token that was made with this key.
    ///
    /// # Errors
    /// [`TokenError`] when it is no token, or was made with another key or for another tenant, or was changed.
    pub fn verify(&self, token: &str) -> Result<OptOutLink, TokenError> {
        if token.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Malformed);
        }
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed);
        let (payload, tag) = token.split_once('.').ok_or(TokenError::Malformed)?;
        let (payload, tag) = (decode(payload)?, decode(tag)?);
        let Payload(tenant, customer, channel, issued_on) =
            serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        self.mac(&tenant, &payload).verify_slice(&tag).map_err(|_| TokenError::Forged)?;
        Ok(OptOutLink { tenant, customer, channel, issued_on })
    }

    /// The code of a payload under the tenant's own key.
    fn mac(&self, tenant: &TenantId, payload: &[u8]) -> Hmac<Sha256> {
        let mut key = keyed(&self.0);
        key.update(KEY_USE);
        key.update(tenant.as_str().as_bytes());
        let mut mac = keyed(&key.finalize().into_bytes());
        mac.update(payload);
        mac
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}
