//! Policies: bring a version, which decides from then on, and show the one that decides.
//!
//! Invariant: a version decides only once it was checked whole, under every profile that the tenant's customers have, and
//! once it is on record who brought it.

use std::sync::Arc;

use api_types::policies::{NewPolicy, PolicyChangeView, PolicyView};
use api_types::problem::{Code, Mistake};
use axum::extract::{Path, State};
use axum::{Extension, Json as Answer};
use chrono::NaiveDate;
use domain::content_check::TemplateLines;
use domain::ids::PolicyId;
use domain::jurisdiction::TenantJurisdictions;
use domain::policy::Policy;
use domain::policy_check::{PolicyObjection, check_policy};
use domain::tenant::{Tenant, TenantSlug};
use runtime::policy_version::{PolicyVersionError, may_put, put_version};
use store::{ErrorClass, PolicyChange};

use crate::Deps;
use crate::body::Json;
use crate::guard::Now;
use crate::identity::{Permission, Principal};
use crate::refusal::Refusal;
use crate::settings::stored;

/// The most mistakes that one answer names.
const MISTAKES_MAX: usize = 100;
/// The most changes that one answer shows, the latest ones.
const CHANGES_MAX: usize = 100;
/// Where the policy stands in the body.
const TEXT: &str = "/text";

/// `PUT /v1/tenants/{tenant}/policies/{policy}`
pub(crate) async fn put(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Extension(Now(now)): Extension<Now>,
    Path((tenant, policy)): Path<(String, String)>,
    Json(new): Json<NewPolicy>,
) -> Result<Answer<PolicyView>, Refusal> {
    let (slug, id) = named(&principal, Permission::ChangeSettings, &tenant, &policy)?;
    let tenant = stored(&deps, &slug).await?.tenant;
    let is_followed = tenant.policy == id;
    let today = now.with_timezone(&tenant.time_zone).date_naive();
    // A check takes longer than all else here together, so other requests of this process go on meanwhile.
    let checked = tokio::task::spawn_blocking(move || {
        checked(&new.text, &id, &tenant, today).map(|policy| (new.text, policy))
    });
    let (text, policy) = checked.await.map_err(|error| {
        tracing::error!(tenant = %slug, %error, "the check of a policy broke off");
        Refusal::new(Code::Internal, "the policy could not be checked")
    })??;
    let change = PolicyChange {
        tenant: slug.id().clone(),
        policy: policy.id.clone(),
        version: policy.version,
        hash: policy.hash.clone(),
        by: principal.subject().to_owned(),
        at: now,
    };
    // What is refused was not brought.
    may_put(&deps.store, slug.id(), (&text, &policy)).await.map_err(refused)?;
    deps.store.record_policy_change(&change).await?;
    put_version(&deps.store, slug.id(), (&text, &policy)).await.map_err(refused)?;
    tracing::info!(
        tenant = %slug, policy = %policy.id, version = policy.version, subject = principal.subject(),
        "a policy was brought"
    );
    Ok(Answer(view(&policy, is_followed, None, Vec::new())))
}

/// `GET /v1/tenants/{tenant}/policies/{policy}`
pub(crate) async fn read(
    State(deps): State<Arc<Deps>>,
    Extension(principal): Extension<Principal>,
    Path((tenant, policy)): Path<(String, String)>,
) -> Result<Answer<PolicyView>, Refusal> {
    let (slug, id) = named(&principal, Permission::ReadSettings, &tenant, &policy)?;
    let tenant = stored(&deps, &slug).await?.tenant;
    let active = deps.store.active_policy(slug.id(), &id).await?.ok_or_else(Refusal::not_found)?;
    let policy = Policy::parse(&active.source).map_err(|error| {
        tracing::error!(tenant = %slug, policy = %id, version = active.version, %error, "a stored policy cannot be read");
        Refusal::new(Code::Internal, "the stored policy cannot be read")
    })?;
    let changes = deps.store.policy_changes(slug.id(), &id).await?;
    let changes = changes.into_iter().rev().take(CHANGES_MAX);
    let changes = changes.map(|c| PolicyChangeView { version: c.version, by: c.by, at: c.at }).collect();
    Ok(Answer(view(&policy, tenant.policy == id, Some(active.source), changes)))
}

/// The tenant and the policy of a path. A policy whose id can be none is not there.
fn named(
    principal: &Principal,
    permission: Permission,
    tenant: &str,
    policy: &str,
) -> Result<(TenantSlug, PolicyId), Refusal> {
    let slug = principal.on(tenant, permission)?;
    let id = PolicyId::new(policy).map_err(|_| Refusal::not_found())?;
    Ok((slug, id))
}

fn view(
    policy: &Policy,
    is_followed: bool,
    text: Option<String>,
    changes: Vec<PolicyChangeView>,
) -> PolicyView {
    let (id, hash) = (policy.id.to_string(), policy.hash.clone());
    PolicyView { id, version: policy.version, hash, is_followed, text, changes }
}

/// A policy that may be followed, or everything that speaks against it.
fn checked(text: &str, id: &PolicyId, tenant: &Tenant, today: NaiveDate) -> Result<Policy, Refusal> {
    let mistake = |sentence: String| Mistake::of_sentence(TEXT, &sentence);
    let policy = Policy::parse(text).map_err(|error| Refusal::invalid(vec![mistake(error.to_string())]))?;
    if policy.id != *id {
        let problem = format!("is the text of policy {}", policy.id);
        return Err(Refusal::invalid(vec![Mistake::new(
            TEXT,
            problem,
            format!("the id {id}, as in the path"),
        )]));
    }
    let broken = |error: String| {
        tracing::error!(tenant = %tenant.id, error, "the contact rules of stored settings cannot be used");
        Refusal::new(Code::Internal, "the stored settings cannot be used")
    };
    let profiles = TenantJurisdictions::new(tenant, today).map_err(|error| broken(error.to_string()))?;
    let profiles = profiles.of_customers().map_err(|error| broken(error.to_string()))?;
    let lines = TemplateLines::of(text);
    let mut mistakes = Vec::new();
    for profile in profiles {
        for objection in check_policy(&policy, profile, Some(tenant), today).objections {
            let line = match &objection {
                PolicyObjection::Text(objection) => lines.line_of(objection),
                PolicyObjection::Link(_) | PolicyObjection::Reach(_) => None,
            };
            let line = line.map_or_else(String::new, |line| format!("line {line}: "));
            mistakes.push(mistake(format!("{}: {line}{objection}", profile.id())));
        }
    }
    mistakes.truncate(MISTAKES_MAX);
    if mistakes.is_empty() { Ok(policy) } else { Err(Refusal::invalid(mistakes)) }
}

/// Why a version is not taken although nothing in it speaks against it.
fn refused(error: PolicyVersionError) -> Refusal {
    let in_the_way = |why: String| {
        Refusal::new(Code::PreconditionFailed, "another version of a policy is in the way").detail(why)
    };
    match error {
        PolicyVersionError::Store(error) if error.class() != ErrorClass::Conflict => error.into(),
        PolicyVersionError::Store(error) => in_the_way(error.to_string()),
        PolicyVersionError::Moved { .. }
        | PolicyVersionError::Unreadable { .. }
        | PolicyVersionError::NotReadable(_) => in_the_way(error.to_string()),
    }
}
