//! Bodies of requests: JSON of one type, read whole, with the place of what cannot be read.

use api_types::problem::{Code, Mistake};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// A body of JSON.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::new(Code::UnsupportedMediaType, "the body is of another media type")
                .detail("expected content-type: application/json"));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| too_large(&error))?;
        read(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

fn too_large(error: &BytesRejection) -> Refusal {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let limit = format!("expected at most {} bytes", crate::BODY_BYTES_MAX);
        Refusal::new(Code::TooLarge, "the body is too large").detail(limit)
    } else {
        Refusal::new(Code::Malformed, "the body broke off")
    }
}

/// Reads a document. What is no JSON at all is malformed; what is other JSON than expected is invalid at a place.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!("line {}, column {}; expected JSON", error.line(), error.column());
        Refusal::new(Code::Malformed, "the body is no JSON").detail(detail)
    })?;
    api_types::problem::read(&value).map_err(|mistake: Mistake| Refusal::invalid(vec![mistake]))
}
