//! Tenants: list, make, show, change, delete, pause and resume.
//!
//! Invariant: every change is checked whole before it is written, names the version that it changes, and is on record.

use std::sync::Arc;

use api_types::problem::{Code, Mistake};
use api_types::settings::Settings;
use api_types::tenants::{NewTenant, PAGE_DEFAULT, PAGE_MAX, Reason, TenantList, TenantSummary};
use axum::extract::{Path, Query, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use domain::ids::PolicyId;
use domain::tenant::{Pause, Tenant, TenantSlug};
use runtime::policy_version::{PolicyVersionError, may_follow};
use serde::Deserialize;
use store::{ChangeOf, SettingsWritten, TenantAction};

use crate::Deps;
use crate::body::Json;
use crate::guard::Now;
use crate::identity::{Permission, Principal};
use crate::refusal::Refusal;
use crate::settings::{Stored, follow, matches, moved, shown, stored, write};

/// How often a pause is decided anew when settings are changed meanwhile.
const PAUSES_MAX: usize = 5;

/// Which page of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageOf {
    /// The last id of the page before.
    #[serde(default)]
    pub(crate) after: Option<String>,
    /// How many.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

impl PageOf {
    /// How many are asked for, within the limit.
    pub(crate) fn limit(&self, default: u32, most: u32) -> Result<u32, Refusal> {
        let limit = self.limit.unwrap_or(default);
        if (1..=most).contains(&limit) {
            return Ok(limit);
        }
        let expected = format!("expected limit from 1 to {most}");
        Err(Refusal::new(Code::Malformed, "the page cannot have this size").detail(expected))
    }
}

/// Query parameters, or the refusal of those that cannot be read.
pub(crate) type Page = Result<Query<PageOf>, axum::extract::rejection::QueryRejection>;

pub(crate) fn page_of(page: Page) -> Result<PageOf, Refusal> {
    let refused =
        |_| Refusal::new(Code::Malformed, "the query cannot be read").detail("expected after and limit");
    page.map(|Query(page)| page).map_err(refused)
}

/// `GET /v1/tenants`
pub(crate) async fn list(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    page: Page,
) -> Result<Response, Refusal> {
    principal.may(Permission::ReadSettings)?;
    let page = page_of(page)?;
    let limit = page.limit(PAGE_DEFAULT, PAGE_MAX)?;
    let after =
        page.after.map(|after| TenantSlug::new(&after).map_err(|_| Refusal::not_found())).transpose()?;
    let (ids, next) = match principal.named_tenants() {
        // The named ones are asked for one by one, so that nobody pages through what is not theirs.
        Some(named) => {
            let mut rest = named.iter().filter(|id| after.as_ref().is_none_or(|after| *id > after));
            let ids: Vec<TenantSlug> = rest.by_ref().take(limit as usize).cloned().collect();
            let next = rest.next().and(ids.last()).map(TenantSlug::to_string);
            (ids, next)
        }
        None => {
            let found = deps.store.tenants_page(after.as_ref().map(TenantSlug::id), limit).await?;
            let ids = found.tenants.iter().filter_map(|id| TenantSlug::new(id.as_str()).ok()).collect();
            (ids, found.next.map(String::from))
        }
    };
    let mut tenants = Vec::with_capacity(ids.len());
    for id in &ids {
        let Some(doc) = deps.store.settings(id.id()).await? else { continue };
        let Ok(tenant) = serde_json::from_str::<Tenant>(&doc.document) else { continue };
        tenants.push(TenantSummary {
            id: id.to_string(),
            name: tenant.lender.name,
            country: tenant.country.as_str().to_owned(),
            is_paused: tenant.paused.is_some(),
        });
    }
    Ok(Answer(TenantList { tenants, next }).into_response())
}

/// `POST /v1/tenants`
pub(crate) async fn create(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Json(new): Json<NewTenant>,
) -> Result<Response, Refusal> {
    principal.may(Permission::ManageTenants)?;
    // Whether the id is taken is nobody's business who may not have it.
    if !principal.reaches(&new.id) {
        return Err(Refusal::forbidden());
    }
    let settings = Settings::read(&new.settings, now)
        .map_err(|mistakes| Refusal::invalid(under(mistakes, "/settings")))?;
    let tenant = settings.of_tenant(&new.id, None);
    let of = change_of(&principal, TenantAction::Created, now, None);
    let Some(made) = write(&deps, &new.id, None, tenant, of).await? else {
        return Err(Refusal::new(Code::IdTaken, "the id is, or was, another tenant's")
            .detail("expected an id that was never a tenant's"));
    };
    let schedules = follow(&deps, &made.tenant).await;
    let location = format!("/v1/tenants/{}", new.id);
    let mut response = shown(StatusCode::CREATED, made, Some(schedules));
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /v1/tenants/{tenant}`
pub(crate) async fn read(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Path(tenant): Path<String>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ReadSettings)?;
    Ok(shown(StatusCode::OK, stored(&deps, &slug).await?, None))
}

/// `PUT /v1/tenants/{tenant}`
pub(crate) async fn change(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    Json(document): Json<serde_json::Value>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ChangeSettings)?;
    let before = stored(&deps, &slug).await?;
    matches(&headers, &before.doc)?;
    let settings = Settings::read(&document, now).map_err(Refusal::invalid)?;
    if settings.shards < before.tenant.shards {
        let expected = format!("at least {}: the number can grow and never shrink", before.tenant.shards);
        let problem = format!("{} shards", settings.shards);
        return Err(Refusal::invalid(vec![Mistake::new("/shards", problem, expected)]));
    }
    if settings.policy != before.tenant.policy {
        keeps_days(&deps, &slug, &settings.policy).await?;
    }
    let next = settings.of_tenant(&slug, before.tenant.paused.clone());
    if next == before.tenant {
        let schedules = follow(&deps, &next).await;
        return Ok(shown(StatusCode::OK, before, Some(schedules)));
    }
    let of = change_of(&principal, TenantAction::Changed, now, None);
    let written = write(&deps, &slug, Some(&before.doc), next, of).await?.ok_or_else(moved)?;
    let schedules = follow(&deps, &written.tenant).await;
    Ok(shown(StatusCode::OK, written, Some(schedules)))
}

/// Refuses another policy whose stages are on other days than in one that customers may have been reminded by.
async fn keeps_days(deps: &Deps, slug: &TenantSlug, policy: &PolicyId) -> Result<(), Refusal> {
    let refused = match may_follow(&deps.store, slug.id(), policy).await {
        Ok(()) => return Ok(()),
        Err(PolicyVersionError::Store(error)) => return Err(error.into()),
        Err(
            refused @ (PolicyVersionError::Moved { .. }
            | PolicyVersionError::Unreadable { .. }
            | PolicyVersionError::NotReadable(_)),
        ) => refused.to_string(),
    };
    Err(Refusal::invalid(vec![Mistake::of_sentence("/policy", &refused)]))
}

/// `DELETE /v1/tenants/{tenant}`
pub(crate) async fn delete(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ManageTenants)?;
    let before = stored(&deps, &slug).await?;
    matches(&headers, &before.doc)?;
    if before.tenant.paused.is_none() {
        return Err(Refusal::new(Code::NotPaused, "a tenant that may send is not deleted")
            .detail("expected it to be paused first"));
    }
    let of = change_of(&principal, TenantAction::Deleted, now, None);
    match deps.store.delete_tenant(slug.id(), &before.doc, of).await? {
        SettingsWritten::Done(_) => {}
        SettingsWritten::Moved => return Err(moved()),
    }
    // What is left over here is removed by the next reconciliation.
    if let Err(error) = deps.schedules.forget(&slug).await {
        tracing::error!(tenant = %slug, %error, "the schedules of a deleted tenant are still there");
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /v1/tenants/{tenant}/pause`
pub(crate) async fn pause(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path(tenant): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ChangeSettings)?;
    let by = principal.subject().to_owned();
    let pause = Pause { reason: reason.reason.trim().to_owned(), by, paused_at: now };
    let of = change_of(&principal, TenantAction::Paused, now, Some(checked(reason)?));
    turn(&deps, &slug, Some(pause), of).await
}

/// `POST /v1/tenants/{tenant}/resume`
pub(crate) async fn resume(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path(tenant): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Response, Refusal> {
    let slug = principal.on(&tenant, Permission::ChangeSettings)?;
    let of = change_of(&principal, TenantAction::Resumed, now, Some(checked(reason)?));
    turn(&deps, &slug, None, of).await
}

/// Pauses or resumes. Whoever does it need not know the settings; where it is so already, nothing is written.
async fn turn(
    deps: &Deps,
    slug: &TenantSlug,
    paused: Option<Pause>,
    change: ChangeOf,
) -> Result<Response, Refusal> {
    for _ in 0..PAUSES_MAX {
        let before = stored(deps, slug).await?;
        let written = if before.tenant.paused.is_some() == paused.is_some() {
            Some(before)
        } else {
            let Stored { doc, tenant } = before;
            let next = Tenant { paused: paused.clone(), ..tenant };
            write(deps, slug, Some(&doc), next, change.clone()).await?
        };
        if let Some(written) = written {
            let schedules = follow(deps, &written.tenant).await;
            return Ok(shown(StatusCode::OK, written, Some(schedules)));
        }
    }
    Err(Refusal::new(Code::Unavailable, "the settings keep changing; the same request may be sent again"))
}

fn checked(reason: Reason) -> Result<String, Refusal> {
    let mistakes = reason.mistakes();
    if mistakes.is_empty() { Ok(reason.reason.trim().to_owned()) } else { Err(Refusal::invalid(mistakes)) }
}

fn change_of(
    principal: &Principal,
    action: TenantAction,
    at: chrono::DateTime<chrono::Utc>,
    reason: Option<String>,
) -> ChangeOf {
    ChangeOf { action, by: principal.subject().to_owned(), at, reason }
}

/// The same mistakes of a document that stands under a key of another.
fn under(mistakes: Vec<Mistake>, key: &str) -> Vec<Mistake> {
    mistakes.into_iter().map(|m| Mistake { pointer: format!("{key}{}", m.pointer), ..m }).collect()
}
