//! Refusals: every answer that is no success, as a problem of RFC 9457.
//!
//! Invariant: what belongs to nobody and what belongs to somebody else look alike.

use api_types::problem::{Code, Mistake, PROBLEM_JSON, Problem};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use runtime::schedule::ScheduleError;
use store::{ErrorClass, StoreError};

/// After how many seconds a caller may try again.
const RETRY_AFTER_SECONDS: &str = "2";

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(Box<Problem>);

impl Refusal {
    pub(crate) fn new(code: Code, title: &str) -> Self {
        Self(Box::new(Problem::new(code, title)))
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self(Box::new(self.0.detail(detail)))
    }

    pub(crate) fn invalid(mistakes: Vec<Mistake>) -> Self {
        let problem = Problem::new(Code::Invalid, "the document breaks rules");
        Self(Box::new(problem.mistakes(mistakes)))
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "no valid identity came with the request")
            .detail("expected a bearer token of this stage")
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(Code::Forbidden, "the caller may not do this")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "there is no such thing")
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store did not do what the request needs");
        match error.class() {
            ErrorClass::Conflict => Self::new(Code::PreconditionFailed, "something else is stored by now"),
            ErrorClass::Retryable | ErrorClass::Unknown => {
                Self::new(Code::Unavailable, "the store did not answer; the same request may be sent again")
            }
            ErrorClass::Permanent => Self::new(Code::Internal, "the request could not be carried out"),
        }
    }
}

impl From<ScheduleError> for Refusal {
    fn from(error: ScheduleError) -> Self {
        tracing::error!(%error, "the scheduler did not do what the request needs");
        Self::new(Code::Unavailable, "the scheduler did not answer; the same request may be sent again")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = problem.code == Code::Unavailable || problem.code == Code::IdempotencyConflict;
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if retry {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// A path that is no route, for a caller who is known.
pub(crate) async fn no_route() -> Refusal {
    Refusal::not_found()
}

/// A method that a route does not have; axum says which it has.
pub(crate) async fn no_method() -> Refusal {
    Refusal::new(Code::MethodNotAllowed, "the route has no such method")
}
