//! What only the product on this machine has: tokens for whoever asks, the clock, and what became of the work.
//!
//! Invariant: only programs of this machine reach it. A page in a browser does not: requests name this machine as their
//! host, and those that ask for something carry JSON, which no page may send elsewhere unasked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Json, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::{DateTime, TimeDelta, Utc};
use http_api::identity::local::{Holder, LocalTokens};
use runtime::dead_letter::QueueName;
use runtime::local_queue::LocalQueues;
use runtime::schedule::MemorySchedules;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::clock::ProductClock;
use super::worker::{ADVANCE_MAX, Advance, Problem, Problems};

/// How long a token is good for, by the clock of the product, which may move by a month at once.
const TOKEN_DAYS: i64 = 90;

/// What the routes work with.
pub(crate) struct Local {
    pub(crate) port: u16,
    pub(crate) tokens: LocalTokens,
    pub(crate) clock: ProductClock,
    pub(crate) schedules: MemorySchedules,
    pub(crate) queues: LocalQueues,
    pub(crate) problems: Problems,
    pub(crate) advances: mpsc::Sender<Advance>,
}

/// The routes of the API and those of this machine, for requests that name this machine.
pub(crate) fn routes(api: Router, local: Local) -> Router {
    let local = Arc::new(local);
    Router::new()
        .route("/local/token", post(token))
        .route("/local/clock", post(advance))
        .route("/local/status", get(status))
        .with_state(Arc::clone(&local))
        .merge(api)
        .layer(from_fn_with_state(local, of_this_machine))
}

/// Whom a token is wanted for: a person with its groups and tenants, or a program with its scopes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Wanted {
    Person { groups: Vec<String>, tenants: String },
    Program { client: String, scope: String },
}

#[derive(Debug, Serialize)]
struct Issued {
    token: String,
    expires_at: DateTime<Utc>,
}

/// `POST /local/token`
async fn token(State(local): State<Arc<Local>>, wanted: Result<Json<Wanted>, JsonRejection>) -> Response {
    let Ok(Json(wanted)) = wanted else {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, "expected groups and tenants, or client and scope");
    };
    let holder = match wanted {
        Wanted::Person { groups, tenants } => Holder::Person { subject: "local".to_owned(), groups, tenants },
        Wanted::Program { client, scope } => Holder::Program { client, scope },
    };
    let now = local.clock.now();
    let expires_at = now + TimeDelta::days(TOKEN_DAYS);
    Json(Issued { token: local.tokens.issue(&holder, now, expires_at), expires_at }).into_response()
}

/// By how much the clock is moved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    advance_seconds: i64,
}

/// `POST /local/clock`: answers when everything up to the new moment is done.
async fn advance(State(local): State<Arc<Local>>, by: Result<Json<By>, JsonRejection>) -> Response {
    let by = by.ok().and_then(|Json(by)| TimeDelta::try_seconds(by.advance_seconds));
    let Some(by) = by.filter(|by| (TimeDelta::zero()..=ADVANCE_MAX).contains(by)) else {
        let most = ADVANCE_MAX.num_seconds();
        let expected = format!("expected advance_seconds from 0 to {most}");
        return refused(StatusCode::UNPROCESSABLE_ENTITY, &expected);
    };
    if !local.clock.is_set() {
        return refused(
            StatusCode::CONFLICT,
            "the clock is that of the machine; expected one set by --clock",
        );
    }
    let (answer, moved) = oneshot::channel();
    if local.advances.send(Advance { by, answer }).await.is_err() {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "the product ends");
    }
    match moved.await {
        Ok(moved) => Json(moved).into_response(),
        Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "the product ended before that moment"),
    }
}

#[derive(Debug, Serialize)]
struct Status {
    now: DateTime<Utc>,
    is_clock_set: bool,
    /// When the next schedule starts something.
    next_at: Option<DateTime<Utc>>,
    /// How many messages wait in each queue.
    waiting: BTreeMap<&'static str, usize>,
    dead_letters: usize,
    problems: Vec<Problem>,
}

/// `GET /local/status`
async fn status(State(local): State<Arc<Local>>) -> Response {
    let now = local.clock.now();
    Json(Status {
        now,
        is_clock_set: local.clock.is_set(),
        next_at: local.schedules.next_after(now),
        waiting: QueueName::ALL.map(|queue| (queue.as_str(), local.queues.waiting(queue))).into(),
        dead_letters: local.queues.dead(None).len(),
        problems: local.problems.all(),
    })
    .into_response()
}

/// Lets nobody in who came by a name that another made point here.
async fn of_this_machine(State(local): State<Arc<Local>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let names = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", local.port));
    if names.iter().any(|name| name == host) {
        next.run(request).await
    } else {
        refused(StatusCode::MISDIRECTED_REQUEST, &format!("expected the host {}", names[0]))
    }
}

fn refused(status: StatusCode, problem: &str) -> Response {
    (status, Json(serde_json::json!({ "problem": problem }))).into_response()
}
