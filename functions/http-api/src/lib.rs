//! The HTTP API: tenants and their settings, policies, pause and resume, imports. One file for each resource.
//!
//! Invariants: every route but `/v1/health` asks who is there, and every route about a tenant whether it is the caller's.
//! What is changed is checked whole before it is written, and is on record with who changed it. Logs carry ids only.

mod body;
mod guard;
mod health;
mod idempotency;
pub mod identity;
mod imports;
mod policies;
mod refusal;
mod scans;
mod settings;
mod tenants;
pub mod uploads;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use runtime::schedule::Schedules;
use store::Store;

use identity::Authentication;
use uploads::Uploads;

/// The largest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a request may take, in seconds.
pub const REQUEST_SECONDS_MAX: u64 = 10;

/// Gives the moment of a request. The caller owns the clock.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What the API works with.
#[derive(Clone)]
pub struct Deps {
    /// The facts.
    pub store: Store,
    /// Where schedules follow the settings.
    pub schedules: Schedules,
    /// Where files are uploaded to.
    pub uploads: Uploads,
    /// How a caller shows who it is.
    pub authentication: Authentication,
    /// The moment of a request.
    pub clock: Clock,
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The routes of the API, for whatever serves them.
pub fn router(deps: Deps) -> Router {
    let deps = Arc::new(deps);
    // The outermost layer runs first: who is there, then whether it was asked before.
    let v1 = Router::new()
        .route("/tenants", get(tenants::list).post(tenants::create))
        .route("/tenants/{tenant}", get(tenants::read).put(tenants::change).delete(tenants::delete))
        .route("/tenants/{tenant}/pause", post(tenants::pause))
        .route("/tenants/{tenant}/resume", post(tenants::resume))
        .route("/tenants/{tenant}/scan", post(scans::run))
        .route("/tenants/{tenant}/policies/{policy}", get(policies::read).put(policies::put))
        .route("/tenants/{tenant}/imports", get(imports::list).post(imports::create))
        .route("/tenants/{tenant}/imports/{import}", get(imports::read))
        .fallback(refusal::no_route)
        .method_not_allowed_fallback(refusal::no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&deps), idempotency::once))
        .layer(from_fn_with_state(Arc::clone(&deps), guard::identify))
        .layer(from_fn(guard::in_time))
        .with_state(Arc::clone(&deps));
    let routes = Router::new()
        .route("/v1/health", get(health::read))
        .with_state(Arc::clone(&deps))
        .nest("/v1", v1)
        .fallback(guard::unknown)
        .method_not_allowed_fallback(guard::unknown);
    #[cfg(feature = "local")]
    let routes = routes.merge(uploads::folder::routes(Arc::clone(&deps)));
    routes.layer(from_fn_with_state(deps, guard::around))
}

#[cfg(test)]
#[cfg(feature = "local")]
mod tests;
