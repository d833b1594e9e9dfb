//! Settings as they are stored: read with their version, written under the version that was seen, followed by schedules.
//!
//! Invariant: settings are written first. A scheduler that does not answer leaves them as they are, and its schedules to
//! the next reconciliation.

use api_types::problem::Code;
use api_types::settings::Settings;
use api_types::tenants::{SchedulesState, TenantView};
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use domain::tenant::{Tenant, TenantSlug};
use store::{ChangeOf, SettingsDoc, SettingsWritten};

use crate::Deps;
use crate::refusal::Refusal;

/// A tenant and the version of its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) doc: SettingsDoc,
    pub(crate) tenant: Tenant,
}

/// Reads a tenant.
pub(crate) async fn stored(deps: &Deps, slug: &TenantSlug) -> Result<Stored, Refusal> {
    let doc = deps.store.settings(slug.id()).await?.ok_or_else(Refusal::not_found)?;
    let tenant = serde_json::from_str(&doc.document).map_err(|error| {
        tracing::error!(tenant = %slug, %error, "stored settings cannot be read");
        Refusal::new(Code::Internal, "the stored settings cannot be read")
    })?;
    Ok(Stored { doc, tenant })
}

/// Writes settings, under the version that they were decided on; `None` where something else is stored by now.
pub(crate) async fn write(
    deps: &Deps,
    slug: &TenantSlug,
    decided_on: Option<&SettingsDoc>,
    tenant: Tenant,
    change: ChangeOf,
) -> Result<Option<Stored>, Refusal> {
    let document = serde_json::to_string(&tenant).map_err(|error| {
        tracing::error!(tenant = %slug, %error, "settings cannot be written");
        Refusal::new(Code::Internal, "the settings cannot be written")
    })?;
    match deps.store.change_settings(slug.id(), decided_on, document, change).await? {
        SettingsWritten::Done(doc) => Ok(Some(Stored { doc, tenant })),
        SettingsWritten::Moved => Ok(None),
    }
}

/// Lets the schedules follow.
pub(crate) async fn follow(deps: &Deps, tenant: &Tenant) -> SchedulesState {
    match deps.schedules.follow(tenant).await {
        Ok(()) => SchedulesState::Followed,
        Err(error) => {
            tracing::error!(tenant = %tenant.id, %error, "the schedules do not follow the settings yet");
            SchedulesState::Pending
        }
    }
}

/// The answer that shows a tenant.
pub(crate) fn shown(status: StatusCode, stored: Stored, schedules: Option<SchedulesState>) -> Response {
    let Stored { doc, tenant } = stored;
    let paused = tenant.paused.clone();
    let id = tenant.id.to_string();
    let view = TenantView { id, version: doc.version, settings: Settings::from(tenant), paused, schedules };
    let mut response = (status, Json(view)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag(&doc)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// Refuses a change by somebody who saw other settings than the stored ones, or does not say which it saw.
pub(crate) fn matches(headers: &HeaderMap, doc: &SettingsDoc) -> Result<(), Refusal> {
    let Some(seen) = headers.get(IF_MATCH).and_then(|seen| seen.to_str().ok()) else {
        return Err(Refusal::new(
            Code::PreconditionRequired,
            "a change must name the version that it changes",
        )
        .detail("expected if-match with the etag of the tenant"));
    };
    if seen.split(',').any(|one| one.trim() == tag(doc)) { Ok(()) } else { Err(moved()) }
}

/// The refusal of a change that came too late.
pub(crate) fn moved() -> Refusal {
    Refusal::new(Code::PreconditionFailed, "the settings were changed since they were read")
        .detail("expected if-match with the etag of the tenant as it is now")
}

fn tag(doc: &SettingsDoc) -> String {
    format!("\"v{}\"", doc.version)
}
