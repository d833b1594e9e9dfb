//! Health: whether the API answers, and its store. The one route that asks nobody who is there.

use std::sync::Arc;

use api_types::health::Health;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};

use crate::Deps;

/// `GET /v1/health`
pub(crate) async fn read(State(deps): State<Arc<Deps>>) -> Response {
    let store = deps.store.tenants_page(None, 1).await;
    if let Err(error) = &store {
        tracing::error!(%error, "the store does not answer");
    }
    let status = if store.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let health = Health { version: env!("CARGO_PKG_VERSION").to_owned(), store_reachable: store.is_ok() };
    (status, Json(health)).into_response()
}
