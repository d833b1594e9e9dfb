//! Problems: why a request was refused, in the form of RFC 9457.
//!
//! Invariant: a problem names places and expectations, never a name, an address or a number of a customer.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::place::pointer;

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What kind of problem it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// No identity, or one that does not hold.
    Unauthenticated,
    /// The identity may not do this.
    Forbidden,
    /// There is no such thing, or it is not the caller's.
    NotFound,
    /// The path has no such method.
    MethodNotAllowed,
    /// The body or a parameter cannot be read.
    Malformed,
    /// What was read breaks a rule; `mistakes` says which.
    Invalid,
    /// The body is too large.
    TooLarge,
    /// The body is of another media type.
    UnsupportedMediaType,
    /// A change needs `If-Match`.
    PreconditionRequired,
    /// Something else is stored than the caller saw.
    PreconditionFailed,
    /// The id is or was another tenant's.
    IdTaken,
    /// The tenant must be paused before this.
    NotPaused,
    /// The tenant is paused.
    Paused,
    /// Another request with this idempotency key is at work, or had another body.
    IdempotencyConflict,
    /// The request took too long.
    Timeout,
    /// Something that the request needs does not answer; worth trying again.
    Unavailable,
    /// A mistake of the server.
    Internal,
}

/// One mistake of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// Where, as a JSON pointer into the body; empty for all of it.
    pub pointer: String,
    /// What is wrong.
    pub problem: String,
    /// What was expected; empty where the problem says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
}

impl Mistake {
    /// A mistake whose sentence says what was expected at its end, as the sentences of the domain do.
    #[must_use]
    pub fn of_sentence(pointer: impl Into<String>, sentence: &str) -> Self {
        let (problem, expected) = sentence.split_once("; expected ").unwrap_or((sentence, ""));
        Self { pointer: pointer.into(), problem: problem.to_owned(), expected: expected.to_owned() }
    }

    /// A mistake and what was expected.
    #[must_use]
    pub fn new(pointer: impl Into<String>, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), problem: problem.into(), expected: expected.into() }
    }
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:puntual:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a sentence.
    pub title: String,
    /// What was found and what was expected, where more can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request, as `urn:puntual:request:` and its id, which is in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every mistake of the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<Mistake>,
}

impl Code {
    /// The code as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::PreconditionRequired => "precondition_required",
            Self::PreconditionFailed => "precondition_failed",
            Self::IdTaken => "id_taken",
            Self::NotPaused => "not_paused",
            Self::Paused => "paused",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that it goes with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::IdTaken | Self::NotPaused | Self::Paused | Self::IdempotencyConflict => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::PreconditionRequired => 428,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

impl Problem {
    /// A problem of a kind.
    #[must_use]
    pub fn new(code: Code, title: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:puntual:problem:{}", code.as_str()),
            code,
            status: code.status(),
            title: title.into(),
            detail: None,
            instance: None,
            mistakes: Vec::new(),
        }
    }

    /// The same with what was found and expected.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The same with every mistake of the document.
    #[must_use]
    pub fn mistakes(self, mistakes: Vec<Mistake>) -> Self {
        Self { mistakes, ..self }
    }
}

/// Reads a document of one type.
///
/// # Errors
/// The first mistake, by its place.
pub fn read<T: DeserializeOwned>(document: &Value) -> Result<T, Mistake> {
    serde_path_to_error::deserialize(document)
        .map_err(|error| Mistake::of_sentence(pointer("", error.path()), &error.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_back_and_its_code_is_its_type() {
        let problem = Problem::new(Code::Invalid, "no")
            .detail("x")
            .mistakes(vec![Mistake::of_sentence("/a", "has 3 shards; expected at least 4")]);
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:puntual:problem:invalid");
        assert_eq!(json["code"], "invalid");
        assert_eq!(json["status"], 422);
        assert_eq!(json["mistakes"][0]["expected"], "at least 4");
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }

    #[test]
    fn a_code_is_written_as_serde_writes_it() {
        for code in
            [Code::Unauthenticated, Code::IdTaken, Code::PreconditionRequired, Code::IdempotencyConflict]
        {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
