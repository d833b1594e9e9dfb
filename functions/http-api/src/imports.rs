//! Imports: an address to upload a file to, and what became of it.
//!
//! Invariant: an upload is expected in the store before anybody has its address.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_types::imports::{
    ADDRESS_MINUTES, ImportList, ImportState, ImportView, NewImport, PAGE_DEFAULT, PAGE_MAX, UploadAddress,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use chrono::Duration;
use domain::ids::{ImportId, TenantId};
use store::{ImportState as Ledger, Upload, UploadRecord, UploadState};

use crate::Deps;
use crate::body::Json;
use crate::guard::Now;
use crate::identity::{Permission, Principal};
use crate::refusal::Refusal;
use crate::settings::stored;
use crate::tenants::{Page, page_of};
use crate::uploads::Expected;

/// `POST /v1/tenants/{tenant}/imports`
pub(crate) async fn create(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path(tenant): Path<String>,
    Json(new): Json<NewImport>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::Import)?;
    let mut mistakes = new.mistakes();
    if stored(&deps, &slug).await?.tenant.mapping.is_none() {
        mistakes.push(api_types::problem::Mistake::new(
            "/mapping",
            "the tenant's settings have none",
            "a mapping in the settings before a file is uploaded",
        ));
    }
    if !mistakes.is_empty() {
        return Err(Refusal::invalid(mistakes));
    }
    let at_ms = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    let id = ImportId::of(at_ms, uuid::Uuid::new_v4().as_u128());
    let upload = Upload {
        id: id.clone(),
        sequence: new.sequence,
        requested_by: principal.subject().to_owned(),
        requested_at: now,
    };
    deps.store.expect_upload(slug.id(), &upload).await?;
    let expires_at = now + Duration::minutes(i64::from(ADDRESS_MINUTES));
    let expected = Expected { tenant: &slug, id: &id, bytes: new.bytes, now, expires_at };
    let address = deps.uploads.address(&expected).await.map_err(|error| {
        tracing::error!(tenant = %slug, import = %id, %error, "no address for an upload");
        Refusal::new(api_types::problem::Code::Unavailable, "no address for the upload can be had now")
    })?;
    tracing::info!(tenant = %slug, import = %id, "an upload is expected");
    let answer = UploadAddress {
        id,
        method: "PUT".to_owned(),
        url: address.url,
        headers: address.headers,
        expires_at,
    };
    Ok((StatusCode::CREATED, Answer(answer)).into_response())
}

/// `GET /v1/tenants/{tenant}/imports`
pub(crate) async fn list(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Path(tenant): Path<String>,
    page: Page,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ReadImports)?;
    stored(&deps, &slug).await?;
    let page = page_of(page)?;
    let limit = page.limit(PAGE_DEFAULT, PAGE_MAX)?;
    let after =
        page.after.map(|after| ImportId::new(&after).map_err(|_| Refusal::not_found())).transpose()?;
    let found = deps.store.uploads_page(slug.id(), after.as_ref(), limit).await?;
    let mut imports = Vec::with_capacity(found.uploads.len());
    for record in found.uploads {
        imports.push(view(&deps, slug.id(), record).await?);
    }
    Ok(Answer(ImportList { imports, next: found.next }).into_response())
}

/// `GET /v1/tenants/{tenant}/imports/{import}`
pub(crate) async fn read(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Path((tenant, import)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ReadImports)?;
    stored(&deps, &slug).await?;
    let id = ImportId::new(&import).map_err(|_| Refusal::not_found())?;
    let record = deps.store.upload(slug.id(), &id).await?.ok_or_else(Refusal::not_found)?;
    Ok(Answer(view(&deps, slug.id(), record).await?).into_response())
}

async fn view(deps: &Deps, tenant: &TenantId, record: UploadRecord) -> Result<ImportView, Refusal> {
    let UploadRecord { upload, state } = record;
    let state = match state {
        UploadState::Waiting => ImportState::Waiting,
        UploadState::Refused { problem } => ImportState::Refused { problem },
        UploadState::Reading { import_key } => {
            let rows_done = match deps.store.import_state(tenant, &import_key).await? {
                Some(Ledger::InProgress { rows_done }) => rows_done,
                Some(Ledger::New | Ledger::Done(_)) | None => 0,
            };
            ImportState::Reading { rows_done }
        }
        UploadState::Done(report) => ImportState::Done {
            rows: report.rows,
            bad: report.bad,
            repeated: report.repeated,
            already_imported: report.already_imported,
            counts: counts(&report.counts),
        },
    };
    let Upload { id, sequence, requested_by, requested_at } = upload;
    Ok(ImportView { id, requested_at, requested_by, sequence, state })
}

/// The counts of an import, by their own names.
fn counts(counts: &store::ImportCounts) -> BTreeMap<String, u64> {
    let value = serde_json::to_value(counts).ok().and_then(|value| serde_json::from_value(value).ok());
    value.unwrap_or_default()
}
