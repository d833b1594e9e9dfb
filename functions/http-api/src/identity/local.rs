//! Tokens of this machine: an issuer and its verifier in one, for the local product and for tests.
//!
//! Invariant: the key never leaves the process. A token is for one audience: one for the API is none for an upload, and
//! the reverse.

use chrono::{DateTime, Duration, Utc};
use jwt_compact::alg::{Hs256, Hs256Key};
use jwt_compact::{AlgorithmExt, Claims as JwtClaims, Header, TimeOptions, UntrustedToken};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Claims;

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The shortest key, in bytes: that of the digest.
pub const KEY_BYTES_MIN: usize = 32;

/// What a token is for.
const FOR_API: &str = "puntual";
const FOR_UPLOAD: &str = "puntual-upload";

/// Whom a token is issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A person, with its groups and its tenants (`*` for all).
    Person {
        /// The person's id.
        subject: String,
        /// Its groups.
        groups: Vec<String>,
        /// Its tenants, with a blank between.
        tenants: String,
    },
    /// A program, with its scopes.
    Program {
        /// The program's id.
        client: String,
        /// Its scopes, with a blank between.
        scope: String,
    },
}

/// Which file an upload token is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadGrant {
    pub(crate) tenant: String,
    pub(crate) import: String,
    pub(crate) bytes: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Addressed<T> {
    aud: String,
    #[serde(flatten)]
    claims: T,
}

/// A key that is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key has {0} bytes; expected at least {KEY_BYTES_MIN}")]
pub struct ShortKey(usize);

/// Issues tokens and verifies them, with one secret key.
#[derive(Clone)]
pub struct LocalTokens(Hs256Key);

impl std::fmt::Debug for LocalTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalTokens").finish_non_exhaustive()
    }
}

impl LocalTokens {
    /// An issuer with a key of random bytes.
    ///
    /// # Errors
    /// [`ShortKey`] when it has fewer than [`KEY_BYTES_MIN`].
    pub fn new(key: &[u8]) -> Result<Self, ShortKey> {
        if key.len() < KEY_BYTES_MIN { Err(ShortKey(key.len())) } else { Ok(Self(Hs256Key::new(key))) }
    }

    /// An issuer with a key of its own, which ends with the process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        Self(Hs256Key::new(halves.map(uuid::Uuid::into_bytes).concat()))
    }

    /// A token for the API, good until `expires_at`.
    #[must_use]
    pub fn issue(&self, holder: &Holder, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> String {
        let claims = match holder {
            Holder::Person { subject, groups, tenants } => serde_json::json!({
                "sub": subject, "cognito:groups": groups, "custom:tenants": tenants, "token_use": "id",
            }),
            Holder::Program { client, scope } => serde_json::json!({
                "sub": client, "client_id": client, "scope": scope, "token_use": "access",
            }),
        };
        self.sign(FOR_API, claims, now, expires_at)
    }

    /// The claims of a token for the API; `None` where it does not hold.
    pub(crate) fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<Claims> {
        self.open(FOR_API, token, now)
    }

    pub(crate) fn grant(&self, grant: &UploadGrant, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> String {
        self.sign(FOR_UPLOAD, serde_json::json!(grant), now, expires_at)
    }

    pub(crate) fn granted(&self, token: &str, now: DateTime<Utc>) -> Option<UploadGrant> {
        self.open(FOR_UPLOAD, token, now)
    }

    fn sign(&self, aud: &str, claims: Value, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> String {
        let options = TimeOptions::new(Duration::zero(), move || now);
        let claims = JwtClaims::new(Addressed { aud: aud.to_owned(), claims })
            .set_duration_and_issuance(&options, expires_at - now);
        Hs256.token(&Header::empty(), &claims, &self.0).expect("claims are texts under text keys")
    }

    fn open<T>(&self, aud: &str, token: &str, now: DateTime<Utc>) -> Option<T>
    where
        T: serde::de::DeserializeOwned + Clone,
    {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let untrusted = UntrustedToken::new(token).ok()?;
        let token = Hs256.validator::<Addressed<T>>(&self.0).validate(&untrusted).ok()?;
        let options = TimeOptions::new(Duration::zero(), move || now);
        token.claims().validate_expiration(&options).ok()?;
        let addressed = &token.claims().custom;
        (addressed.aud == aud).then(|| addressed.claims.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + hour * 3_600, 0).unwrap()
    }

    fn tokens(byte: u8) -> LocalTokens {
        LocalTokens::new(&[byte; 32]).unwrap()
    }

    fn person() -> Holder {
        let groups = vec!["manager".to_owned()];
        Holder::Person { subject: "p".to_owned(), groups, tenants: "a b".to_owned() }
    }

    #[test]
    fn a_token_reads_back_until_it_expires() {
        let token = tokens(1).issue(&person(), at(0), at(1));
        let claims = tokens(1).verify(&token, at(0)).unwrap();
        assert_eq!((claims.sub.as_str(), claims.tenants.as_deref()), ("p", Some("a b")));
        assert_eq!(tokens(1).verify(&token, at(2)), None, "it expired");
        assert_eq!(tokens(2).verify(&token, at(0)), None, "another key");
        assert_eq!(LocalTokens::new(b"short").unwrap_err(), ShortKey(5));
    }

    #[test]
    fn no_changed_character_passes_and_no_other_algorithm() {
        let token = tokens(1).issue(&person(), at(0), at(1));
        for (index, letter) in token.char_indices() {
            let mut changed = token.clone();
            let other = if letter == 'A' { "B" } else { "A" };
            changed.replace_range(index..=index, other);
            let same = tokens(1).verify(&changed, at(0)) == tokens(1).verify(&token, at(0));
            assert!(tokens(1).verify(&changed, at(0)).is_none() || same, "{index}");
        }
        let (_, rest) = token.split_once('.').unwrap();
        let (claims, _) = rest.split_once('.').unwrap();
        assert_eq!(tokens(1).verify(&format!("eyJhbGciOiJub25lIn0.{claims}."), at(0)), None);
    }

    #[test]
    fn a_token_is_for_one_audience() {
        let grant = UploadGrant { tenant: "a".to_owned(), import: "i".to_owned(), bytes: 3 };
        let upload = tokens(1).grant(&grant, at(0), at(1));
        assert_eq!(tokens(1).granted(&upload, at(0)), Some(grant));
        assert_eq!(tokens(1).verify(&upload, at(0)), None);
        assert_eq!(tokens(1).granted(&tokens(1).issue(&person(), at(0), at(1)), at(0)), None);
    }
}
