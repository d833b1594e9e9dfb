//! Scans: start one now, beside the daily one.
//!
//! Invariant: it is a schedule of one moment like that of a wave, so the API needs no way of its own to the scan.

use std::sync::Arc;

use api_types::problem::Code;
use api_types::tenants::ScanScheduled;
use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::Deps;
use crate::guard::Now;
use crate::identity::{Permission, Principal};
use crate::refusal::Refusal;
use crate::settings::stored;

/// `POST /v1/tenants/{tenant}/scan`
pub(crate) async fn run(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path(tenant): Path<String>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::RunScan)?;
    if stored(&deps, &slug).await?.tenant.paused.is_some() {
        return Err(Refusal::new(Code::Paused, "the tenant is paused; nothing is scanned")
            .detail("expected it to be resumed first"));
    }
    let starts_at = deps.schedules.scan_once(slug.id(), now).await?;
    tracing::info!(tenant = %slug, %starts_at, subject = principal.subject(), "a scan was asked for");
    Ok((StatusCode::ACCEPTED, Json(ScanScheduled { starts_at })).into_response())
}
