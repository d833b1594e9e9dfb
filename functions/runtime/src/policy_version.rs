//! Policies of a tenant: how a text becomes the one that decides.
//!
//! Invariant: a stage keeps its day for good, in every version of every policy that a tenant ever had. What was sent is
//! known by the id of its stage, so a stage that another text has on a later day would be sent again; moved stages have
//! ids of their own. A text that cannot be compared is taken for one that has every stage that it names.

use std::collections::BTreeSet;

use domain::ids::{PolicyId, StageId, TenantId};
use domain::policy::{Policy, StageDays};
use serde::Deserialize;
use store::{PolicyDoc, Store, StoreError};

/// Why a policy is not followed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyVersionError {
    /// A stage was on another day before.
    #[error(
        "version {} of policy {} has stage {stage} at day {is}, version {} of policy {} had it at day {was}; expected the \
         same day, or another id for the moved stage: what was sent under this one would be sent again",
        .of.1, .of.0, .earlier.1, .earlier.0
    )]
    Moved {
        /// The stage.
        stage: StageId,
        /// The policy that is refused, and its version.
        of: (PolicyId, u32),
        /// The stage's day there, in days past due.
        is: i32,
        /// The policy that is stored, and its version.
        earlier: (PolicyId, u32),
        /// The stage's day there, in days past due.
        was: i32,
    },
    /// A stored text that names a stage cannot be read any more, so nobody knows on which day it had it.
    #[error(
        "version {} of policy {} has stage {stage}, which stands in version {} of policy {} as well, and the stages of that \
         stored text cannot be read any more; expected ids of stages that do not stand in it: what was sent under this one \
         may be sent again",
        .of.1, .of.0, .earlier.1, .earlier.0
    )]
    Unreadable {
        /// The stage.
        stage: StageId,
        /// The policy that is refused, and its version.
        of: (PolicyId, u32),
        /// The policy that is stored, and its version.
        earlier: (PolicyId, u32),
    },
    /// The stages of the very policy that is to be followed cannot be read.
    #[error("the stages of version {} of policy {}, the active one, cannot be read; expected another version of it", .0.1, .0.0)]
    NotReadable((PolicyId, u32)),
    /// The store failed, or has the version with another text.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores a version of a policy and makes it the active one. Again is fine.
///
/// # Errors
/// [`PolicyVersionError`] when a stage has another day than in any text that is stored for the tenant, or may have.
pub async fn put_version(
    store: &Store,
    tenant: &TenantId,
    (text, policy): (&str, &Policy),
) -> Result<(), PolicyVersionError> {
    let (id, version) = (&policy.id, policy.version);
    may_put(store, tenant, (text, policy)).await?;
    store.put_policy(tenant, id, version, text).await?;
    Ok(store.activate_policy(tenant, id, version).await?)
}

/// Whether a version may be stored and followed, as [`put_version`] asks first.
///
/// # Errors
/// As [`put_version`].
pub async fn may_put(
    store: &Store,
    tenant: &TenantId,
    (text, policy): (&str, &Policy),
) -> Result<(), PolicyVersionError> {
    let (id, version) = (&policy.id, policy.version);
    let this = PolicyDoc { version, source: text.to_owned() };
    // What decides already changes nothing.
    if store.active_policy(tenant, id).await? == Some(this) {
        return Ok(());
    }
    keeps_days(store, tenant, (id, version), &StageDays::of(policy)).await
}

/// Whether a tenant may change to a policy: its stages have the days that they had in every policy of the tenant. One of
/// which no version is active yet decides nothing, and is compared when one comes.
///
/// # Errors
/// [`PolicyVersionError`] when a stage has another day than in any text that is stored for the tenant, or may have.
pub async fn may_follow(store: &Store, tenant: &TenantId, id: &PolicyId) -> Result<(), PolicyVersionError> {
    let Some(PolicyDoc { version, source }) = store.active_policy(tenant, id).await? else { return Ok(()) };
    let unreadable = || PolicyVersionError::NotReadable((id.clone(), version));
    let days = StageDays::read(&source).ok_or_else(unreadable)?;
    keeps_days(store, tenant, (id, version), &days).await
}

/// Compares stages with those of every text that is stored for a tenant, but for the very version that they are of.
async fn keeps_days(
    store: &Store,
    tenant: &TenantId,
    (id, version): (&PolicyId, u32),
    days: &StageDays,
) -> Result<(), PolicyVersionError> {
    let of = || (id.clone(), version);
    let mut ids = policies(store, tenant).await?;
    ids.insert(id.clone());
    for other in ids {
        for PolicyDoc { version: earlier, source } in store.policy_versions(tenant, &other).await? {
            if (&other, earlier) == (id, version) {
                continue;
            }
            let earlier = (other.clone(), earlier);
            let Some(stored) = StageDays::read(&source) else {
                if let Some(stage) = days.first_that_may_be_in(&source) {
                    let stage = stage.clone();
                    return Err(PolicyVersionError::Unreadable { stage, of: of(), earlier });
                }
                continue;
            };
            if let Some((stage, is, was)) = days.moved_since(&stored) {
                let stage = stage.clone();
                return Err(PolicyVersionError::Moved { stage, of: of(), is, earlier, was });
            }
        }
    }
    Ok(())
}

/// Every policy that customers of a tenant may have been reminded by: those that are listed, and those that its settings
/// name or named, which may be older than the list.
async fn policies(store: &Store, tenant: &TenantId) -> Result<BTreeSet<PolicyId>, StoreError> {
    #[derive(Deserialize)]
    struct Followed {
        policy: PolicyId,
    }
    let named = |document: &str| serde_json::from_str::<Followed>(document).ok().map(|found| found.policy);
    let mut ids = BTreeSet::from_iter(store.policy_ids(tenant).await?);
    ids.extend(store.settings(tenant).await?.and_then(|doc| named(&doc.document)));
    ids.extend(store.settings_history(tenant).await?.iter().filter_map(|change| named(&change.settings)));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use store::SettingsDoc;

    use super::*;

    /// A policy with one stage.
    fn policy(id: &str, version: u32, stage: &str, dpd: i32) -> String {
        format!(
            "id = \"{id}\"\nversion = {version}\nuntil_dpd = 40\n[[stages]]\nid = \"{stage}\"\ndpd = {dpd}\ntone = \"friendly\"\n\
             purpose = \"overdue\"\nchannels = [\"sms\"]\ntemplate = \"t\"\n[[templates]]\nid = \"t\"\n[templates.sms]\n\
             text = 'Debe {{{{ amount }}}}'\n"
        )
    }

    fn id(id: &str) -> PolicyId {
        PolicyId::new(id).unwrap()
    }

    async fn store() -> (Store, TenantId) {
        let store = Store::memory().unwrap();
        store.create_tables().await.unwrap();
        (store, TenantId::new("demo").unwrap())
    }

    async fn put((store, tenant): &(Store, TenantId), text: String) -> Result<(), String> {
        let policy = Policy::parse(&text).unwrap();
        put_version(store, tenant, (&text, &policy)).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_stage_keeps_its_day_in_every_version() {
        let of = store().await;
        put(&of, policy("p", 1, "late", 3)).await.unwrap();
        put(&of, policy("p", 1, "late", 3)).await.unwrap();
        put(&of, policy("p", 2, "other", 3)).await.unwrap();
        let refused = put(&of, policy("p", 3, "late", 5)).await.unwrap_err();
        let expected = "has stage late at day 5, version 1 of policy p had it at day 3";
        assert!(refused.contains(expected), "{refused}");
        put(&of, policy("p", 3, "late", 3)).await.unwrap();
        put(&of, policy("p", 4, "later", 5)).await.unwrap();
        assert_eq!(of.0.active_policy_version(&of.1, &id("p")).await.unwrap(), Some(4));
    }

    #[tokio::test]
    async fn a_stage_keeps_its_day_in_every_policy_of_a_tenant_and_of_no_other() {
        let of = store().await;
        put(&of, policy("p", 1, "late", 3)).await.unwrap();
        let refused = put(&of, policy("q", 1, "late", 5)).await.unwrap_err();
        let expected = "version 1 of policy q has stage late at day 5, version 1 of policy p had it at day 3";
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(of.0.active_policy_version(&of.1, &id("q")).await.unwrap(), None);
        put(&of, policy("q", 1, "later", 5)).await.unwrap();
        put(&of, policy("p", 2, "later", 4)).await.unwrap_err();
        let other = (of.0.clone(), TenantId::new("other").unwrap());
        put(&other, policy("q", 1, "late", 5)).await.unwrap();
        may_follow(&of.0, &of.1, &id("q")).await.unwrap();
        may_follow(&of.0, &of.1, &id("nobody's")).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_stored_before_policies_were_compared_is_compared_when_a_tenant_changes_to_it() {
        let of = store().await;
        let (store, tenant) = &of;
        put(&of, policy("p", 1, "late", 3)).await.unwrap();
        let settings = SettingsDoc { version: 1, document: "{\"policy\":\"p\"}".to_owned() };
        store.put_settings(tenant, &settings).await.unwrap();
        store.put_policy(tenant, &id("q"), 1, &policy("q", 1, "late", 5)).await.unwrap();
        store.activate_policy(tenant, &id("q"), 1).await.unwrap();
        let refused = may_follow(store, tenant, &id("q")).await.unwrap_err();
        assert!(matches!(refused, PolicyVersionError::Moved { is: 5, was: 3, .. }), "{refused}");
        put(&of, policy("p", 1, "late", 3)).await.expect("it decides already");
    }

    #[tokio::test]
    async fn a_stored_text_that_cannot_be_read_any_more_is_compared_as_far_as_it_goes() {
        let of = store().await;
        let (store, tenant) = &of;
        let stored =
            async |version, text: &str| store.put_policy(tenant, &id("p"), version, text).await.unwrap();
        // An older program knew another tone.
        stored(1, &policy("p", 1, "late", 3).replace("friendly", "gruff")).await;
        let refused = put(&of, policy("p", 2, "late", 5)).await.unwrap_err();
        assert!(refused.contains("version 1 of policy p had it at day 3"), "{refused}");
        put(&of, policy("p", 2, "late", 3)).await.unwrap();
        stored(3, "[[steps]]\nid = \"last\"\nday = 9\n").await;
        let refused = put(&of, policy("p", 4, "last", 12)).await.unwrap_err();
        for part in ["stage last", "version 3 of policy p", "cannot be read", "expected ids of stages"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        put(&of, policy("p", 4, "other", 12)).await.unwrap();
        stored(5, "no stages").await;
        store.activate_policy(tenant, &id("p"), 5).await.unwrap();
        let refused = may_follow(store, tenant, &id("p")).await.unwrap_err().to_string();
        assert!(refused.contains("version 5 of policy p, the active one, cannot be read"), "{refused}");
    }
}
