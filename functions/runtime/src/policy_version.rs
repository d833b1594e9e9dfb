//! Versions of a policy: how a text becomes the one that decides.
//!
//! Invariant: a stage keeps its day for good. What was sent is known by the id of its stage, so a stage that another
//! version moves to a later day would be sent again; moved stages have ids of their own.

use domain::ids::{StageId, TenantId};
use domain::policy::Policy;
use store::{Store, StoreError};

/// Why a version is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PolicyVersionError {
    /// A stage was on another day before.
    #[error(
        "version {version} of the policy has stage {stage} at day {is}, version {earlier} had it at day {was}; expected the \
         same day, or another id for the moved stage: what was sent under this one would be sent again"
    )]
    Moved {
        /// The stage.
        stage: StageId,
        /// The version that is refused.
        version: u32,
        /// Its day there, in days past due.
        is: i32,
        /// The version that is stored.
        earlier: u32,
        /// Its day there, in days past due.
        was: i32,
    },
    /// The store failed, or has the version with another text.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Stores a version of a policy and makes it the active one. Again is fine.
///
/// # Errors
/// [`PolicyVersionError::Moved`] when a stage has another day than in any version that is stored.
pub async fn put_version(
    store: &Store,
    tenant: &TenantId,
    (text, policy): (&str, &Policy),
) -> Result<(), PolicyVersionError> {
    // A text that an older program took and this one does not has decided nothing since.
    let stored = store.policy_texts(tenant, &policy.id).await?;
    let earlier = stored.iter().filter_map(|text| Policy::parse(text).ok());
    for earlier in earlier.filter(|earlier| earlier.version != policy.version) {
        if let Some((stage, was)) = policy.moved_since(&earlier) {
            return Err(PolicyVersionError::Moved {
                stage: stage.id.clone(),
                version: policy.version,
                is: stage.dpd,
                earlier: earlier.version,
                was,
            });
        }
    }
    store.put_policy(tenant, &policy.id, policy.version, text).await?;
    Ok(store.activate_policy(tenant, &policy.id, policy.version).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy with one stage.
    fn policy(version: u32, stage: &str, dpd: i32) -> String {
        format!(
            "id = \"p\"\nversion = {version}\nuntil_dpd = 40\n[[stages]]\nid = \"{stage}\"\ndpd = {dpd}\ntone = \"friendly\"\n\
             purpose = \"overdue\"\nchannels = [\"sms\"]\ntemplate = \"t\"\n[[templates]]\nid = \"t\"\n[templates.sms]\n\
             text = 'Debe {{{{ amount }}}}'\n"
        )
    }

    #[tokio::test]
    async fn a_stage_keeps_its_day_in_every_version() {
        let store = Store::memory().unwrap();
        store.create_tables().await.unwrap();
        let tenant = TenantId::new("demo").unwrap();
        let put = async |text: String| {
            let policy = Policy::parse(&text).unwrap();
            put_version(&store, &tenant, (&text, &policy)).await.map_err(|error| error.to_string())
        };
        put(policy(1, "late", 3)).await.unwrap();
        put(policy(1, "late", 3)).await.unwrap();
        put(policy(2, "other", 3)).await.unwrap();
        let refused = put(policy(3, "late", 5)).await.unwrap_err();
        assert!(refused.contains("stage late at day 5, version 1 had it at day 3"), "{refused}");
        put(policy(3, "late", 3)).await.unwrap();
        put(policy(4, "later", 5)).await.unwrap();
        let active = store.active_policy_version(&tenant, &domain::ids::PolicyId::new("p").unwrap()).await;
        assert_eq!(active.unwrap(), Some(4));
    }
}
