//! Idempotency keys: a `POST` that is sent twice under one `Idempotency-Key` is carried out once, and answered alike.
//!
//! Invariant: a key is one caller's, for one route. Only success is kept: what failed may be sent again at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_types::problem::Code;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use store::{Answer, Begun};

use crate::guard::Now;
use crate::identity::Principal;
use crate::refusal::Refusal;
use crate::{BODY_BYTES_MAX, Deps};

/// The header.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
pub(crate) const KEY_CHARS_MAX: usize = 128;
/// The headers of an answer that are kept with it.
const KEPT: [HeaderName; 3] = [CONTENT_TYPE, ETAG, LOCATION];

/// Carries a request out once under its key.
pub(crate) async fn once(State(deps): State<Arc<Deps>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(IDEMPOTENCY_KEY) {
        return next.run(request).await;
    }
    keyed(&deps, request, next).await.unwrap_or_else(IntoResponse::into_response)
}

async fn keyed(deps: &Deps, request: Request, next: Next) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let key = key_of(&parts.headers)?;
    let extensions = (parts.extensions.get::<Principal>(), parts.extensions.get::<Now>());
    let (Some(principal), Some(Now(now))) = extensions else { return Err(Refusal::unauthenticated()) };
    let place = digest(&[principal.subject(), parts.uri.path(), &key], &[]);
    let bytes = to_bytes(body, BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| Refusal::new(Code::TooLarge, "the body is too large"))?;
    let content = digest(&[], &bytes);
    match deps.store.begin_request(&place, &content, *now).await? {
        Begun::First => {}
        Begun::Answered(answer) => return Ok(response_of(answer)),
        Begun::AtWork => {
            return Err(Refusal::new(Code::IdempotencyConflict, "this request is being carried out"));
        }
        Begun::Other => {
            return Err(Refusal::new(Code::IdempotencyConflict, "the key was used for another request")
                .detail("expected a new idempotency-key for another body"));
        }
    }
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    let kept = if response.status().is_success() {
        keep(deps, &place, &content, response).await
    } else {
        deps.store.forget_request(&place).await.map(|()| response)
    };
    Ok(kept?)
}

fn key_of(headers: &HeaderMap) -> Result<String, Refusal> {
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    if (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(key.to_owned());
    }
    let expected = format!("expected 1 to {KEY_CHARS_MAX} visible ASCII characters in idempotency-key");
    Err(Refusal::new(Code::Malformed, "the idempotency key cannot be used").detail(expected))
}

async fn keep(
    deps: &Deps,
    place: &str,
    content: &str,
    response: Response,
) -> Result<Response, store::StoreError> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, store::ANSWER_BYTES_MAX).await.unwrap_or_default();
    let headers: BTreeMap<&str, &str> = KEPT
        .iter()
        .filter_map(|name| Some((name.as_str(), parts.headers.get(name)?.to_str().ok()?)))
        .collect();
    let answer = Answer {
        status: parts.status.as_u16(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
        headers: serde_json::to_string(&headers).unwrap_or_default(),
    };
    // The work is done: that its answer could not be kept must not look as if it were not.
    if let Err(error) = deps.store.answer_request(place, content, &answer).await {
        tracing::warn!(%error, "the answer to an idempotency key is not kept");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn response_of(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Bytes::from(answer.body)).into_response();
    response.headers_mut().remove(CONTENT_TYPE);
    let headers: BTreeMap<String, String> = serde_json::from_str(&answer.headers).unwrap_or_default();
    for name in KEPT {
        if let Some(value) = headers.get(name.as_str()).and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A digest of texts, told apart by their lengths, and of bytes.
fn digest(texts: &[&str], bytes: &[u8]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update(text.len().to_le_bytes());
        hasher.update(text);
    }
    hasher.update(bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
