//! What lies around every request: its id and moment, who is there, the time it may take, headers, and one line of log.
//!
//! Invariant: the log line names the route, never the path, the query or a body.

use std::sync::Arc;
use std::time::Duration;

use api_types::problem::{Code, PROBLEM_JSON, Problem};
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::identity::Principal;
use crate::refusal::Refusal;
use crate::{BODY_BYTES_MAX, Deps, REQUEST_SECONDS_MAX};

/// The header that names a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every answer says to browsers and caches: an API is no page, and what it tells is nobody else's.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The moment of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now(pub(crate) DateTime<Utc>);

/// Whose request it was, for the log.
#[derive(Debug, Clone)]
struct Caller(String);

/// Gives a request its id and its moment, and its answer the headers that every one has.
pub(crate) async fn around(State(deps): State<Arc<Deps>>, mut request: Request, next: Next) -> Response {
    let id = format!("req_{}", uuid::Uuid::new_v4().simple());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    request.extensions_mut().insert(Now((deps.clock)()));
    let mut response = with_instance(next.run(request).await, &id).await;
    let subject = response.extensions().get::<Caller>().map_or("-", |caller| caller.0.as_str());
    tracing::info!(
        request = id, %method, route = route.unwrap_or_default(), status = response.status().as_u16(), subject,
        "answered"
    );
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Finds out who is there, and lets nobody else in.
pub(crate) async fn identify(State(deps): State<Arc<Deps>>, mut request: Request, next: Next) -> Response {
    let now = moment(&request, &deps);
    match deps.authentication.principal(request.headers(), request.extensions(), now) {
        Some(principal) => {
            let caller = Caller(principal.subject().to_owned());
            request.extensions_mut().insert::<Principal>(principal);
            let mut response = next.run(request).await;
            response.extensions_mut().insert(caller);
            response
        }
        None => unknown().await,
    }
}

/// The answer to whoever is not known, also for paths that are none.
pub(crate) async fn unknown() -> Response {
    let mut response = Refusal::unauthenticated().into_response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Ends a request that takes too long.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(Duration::from_secs(REQUEST_SECONDS_MAX), next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::new(Code::Timeout, "the request took too long; it may have been carried out")
            .into_response(),
    }
}

fn moment(request: &Request, deps: &Deps) -> DateTime<Utc> {
    request.extensions().get::<Now>().map_or_else(|| (deps.clock)(), |now| now.0)
}

/// Names the request in a problem, so that a person who reports it can be helped; and makes a problem of the answers
/// that axum gives by itself.
async fn with_instance(response: Response, id: &str) -> Response {
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // What a handler says in JSON of its own, such as health, is no refusal.
    if !is_refused || kind == "application/json" {
        return response;
    }
    let is_problem = kind == PROBLEM_JSON;
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let problem = serde_json::from_slice::<Problem>(&bytes).ok().filter(|_| is_problem);
    let problem = problem.unwrap_or_else(|| Problem::new(code_of(parts.status), "the request was refused"));
    let problem = Problem { instance: Some(format!("urn:puntual:request:{id}")), ..problem };
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(serde_json::to_string(&problem).unwrap_or_default()))
}

fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        401 => Code::Unauthenticated,
        403 => Code::Forbidden,
        404 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        413 => Code::TooLarge,
        415 => Code::UnsupportedMediaType,
        400..500 => Code::Malformed,
        _ => Code::Internal,
    }
}
