//! Settings and policies: documents of a tenant, stored as they were written.
//!
//! Invariant: a version of a policy never changes once it is stored, so an audit entry that names it always leads
//! to the same text. `HEAD` names the active version; a stored version that was never activated is a draft.

use domain::ids::{PolicyId, TenantId};

use crate::backend::{Expression, Failure, Item, Query, Table, Write};
use crate::item::{Reader, keyed, set};
use crate::{Store, StoreError, failed, key};

/// The highest version of a policy: the key has six digits.
pub const POLICY_VERSION_MAX: u32 = 999_999;

/// The most pages of one policy's versions, of 1 MB each.
const POLICY_PAGES_MAX: usize = 64;

/// The settings of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsDoc {
    /// Grows with every change.
    pub version: u64,
    /// The settings in JSON; the store looks at nothing inside but `shards`.
    pub document: String,
}

impl SettingsDoc {
    /// The number of shards that the document names; 0 where it names none.
    fn shards(&self) -> u64 {
        #[derive(serde::Deserialize)]
        struct Peek {
            #[serde(default)]
            shards: u64,
        }
        serde_json::from_str::<Peek>(&self.document).map_or(0, |peek| peek.shards)
    }
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDoc {
    /// Which version.
    pub version: u32,
    /// The text as it was written.
    pub source: String,
}

/// The texts of one version of a profile, as decisions are made by it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileDoc {
    /// The profile.
    pub id: String,
    /// Its version: a hash of the texts.
    pub version: String,
    /// The texts, the base first, and the tenant's own rules last.
    pub texts: Vec<String>,
    /// The text of the holiday table; empty where there is none.
    pub holidays: String,
}

impl SettingsDoc {
    /// Refuses fewer shards than are stored: what lies in those that went away would never be scanned.
    pub(crate) fn keeps_shards_of(&self, stored: &Self) -> Result<(), StoreError> {
        if self.shards() >= stored.shards() {
            return Ok(());
        }
        let what =
            format!("{} shards; expected at least the {} that are stored", self.shards(), stored.shards());
        Err(StoreError::Conflict { operation: "settings", what })
    }
}

impl Store {
    /// Keeps the texts of a profile under its version, so that whoever asks later finds what was decided by, whatever the
    /// settings and the program say then. Known versions are not written again. Counted as `profile`.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails; again is safe.
    pub async fn keep_profile(&self, tenant: &TenantId, doc: &ProfileDoc) -> Result<(), StoreError> {
        let place = key::profile_version(tenant, &doc.id, &doc.version);
        if self.get("profile", place.clone()).await?.is_some() {
            return Ok(());
        }
        let mut item = keyed(place);
        set(&mut item, "j", serde_json::to_string(doc).expect("a profile's texts have no map"));
        let write = Write::Put { table: Table::Ops, item, condition: Some(Expression::absent()) };
        match self.write("profile", write).await {
            Ok(()) | Err(Failure::Condition(_)) => Ok(()),
            Err(failure) => Err(failed("profile", failure)),
        }
    }

    /// The texts of a version of a profile; `None` where no decision of the tenant could be made by it yet.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails, or the item cannot be read.
    pub async fn kept_profile(
        &self,
        tenant: &TenantId,
        id: &str,
        version: &str,
    ) -> Result<Option<ProfileDoc>, StoreError> {
        let found = self.get("profile", key::profile_version(tenant, id, version)).await?;
        let read = |item: &Item| {
            Reader::new("profile", item).read("j", "the texts of a profile", |j| serde_json::from_str(j).ok())
        };
        found.as_ref().map(read).transpose()
    }

    /// Stores settings whose version is higher than the stored one. The same version and text again is fine.
    ///
    /// The number of shards can grow, but not shrink: what lies in the shards that went away would never be scanned.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a higher version, another text under the same one, or a larger number of shards is
    /// stored.
    pub async fn put_settings(&self, tenant: &TenantId, doc: &SettingsDoc) -> Result<(), StoreError> {
        if let Some(stored) = self.settings(tenant).await? {
            doc.keeps_shards_of(&stored)?;
        }
        let mut item = keyed(key::settings(tenant));
        set(&mut item, "v", doc.version);
        set(&mut item, "j", doc.document.as_str());
        let condition = Expression {
            text: "attribute_not_exists(#pk) OR #v < :v",
            names: &["pk", "v"],
            values: vec![(":v", doc.version.into())],
        };
        let write = Write::Put { table: Table::Ops, item, condition: Some(condition) };
        match self.write("settings", write).await {
            Err(Failure::Condition(found)) => {
                let found = found.map(|item| settings_of(&item)).transpose()?;
                if found.as_ref() == Some(doc) {
                    return Ok(());
                }
                let what =
                    format!("settings with a version below {} were expected to be stored", doc.version);
                Err(StoreError::Conflict { operation: "settings", what })
            }
            other => other.map_err(|failure| failed("settings", failure)),
        }
    }

    /// The settings of a tenant; `None` before the first, and of a tenant that was deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails.
    pub async fn settings(&self, tenant: &TenantId) -> Result<Option<SettingsDoc>, StoreError> {
        let item = self.get("settings", key::settings(tenant)).await?;
        item.filter(|item| !item.contains_key("dl")).map(|item| settings_of(&item)).transpose()
    }

    /// Stores a version of a policy, as a draft. The same version and text again is fine.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the version is stored with another text, [`StoreError::Permanent`] when the
    /// version is above [`POLICY_VERSION_MAX`].
    pub async fn put_policy(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
        version: u32,
        source: &str,
    ) -> Result<(), StoreError> {
        if version > POLICY_VERSION_MAX {
            let reason = format!("version {version}; expected at most {POLICY_VERSION_MAX}");
            return Err(StoreError::Permanent { operation: "policy", reason });
        }
        // Whoever looks for all policies finds the name of one that has no version yet, and never misses one that has.
        let entry = keyed(key::policy_entry(tenant, id));
        let listed = self.write("policy", Write::Put { table: Table::Ops, item: entry, condition: None });
        listed.await.map_err(|failure| failed("policy", failure))?;
        let mut item = keyed(key::policy_version(tenant, id, version));
        set(&mut item, "j", source);
        let write = Write::Put { table: Table::Ops, item, condition: Some(Expression::absent()) };
        match self.write("policy", write).await {
            Err(Failure::Condition(found)) => {
                let same = found.as_ref().is_some_and(|i| Reader::new("policy", i).text("j") == Ok(source));
                if same {
                    return Ok(());
                }
                let what = format!("version {version} of policy {id} is stored with another text");
                Err(StoreError::Conflict { operation: "policy", what })
            }
            other => other.map_err(|failure| failed("policy", failure)),
        }
    }

    /// Every stored version of a policy, the oldest first. Counted as `policy`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn policy_versions(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
    ) -> Result<Vec<PolicyDoc>, StoreError> {
        let first = key::policy_version(tenant, id, 0);
        let condition = Expression {
            text: "#pk = :pk AND begins_with(#sk, :version)",
            names: &["pk", "sk"],
            values: vec![(":pk", first.pk.into()), (":version", "V#".into())],
        };
        let query =
            Query { table: Table::Ops, index: None, condition, consistent: true, limit: None, start: None };
        let items = self.query_all("policy", query, POLICY_PAGES_MAX).await?;
        let version = |item: &Item| {
            let r = Reader::new("policy", item);
            let version = r.read("sk", "V# and a version", key::version_of_policy)?;
            Ok(PolicyDoc { version, source: r.text("j")?.to_owned() })
        };
        items.iter().map(version).collect()
    }

    /// The ids of all policies of which a version was ever stored for a tenant. Counted as `policy`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn policy_ids(&self, tenant: &TenantId) -> Result<Vec<PolicyId>, StoreError> {
        let condition =
            Expression::of("#pk = :pk", &["pk"], vec![(":pk", key::policies_partition(tenant).into())]);
        let query =
            Query { table: Table::Ops, index: None, condition, consistent: true, limit: None, start: None };
        let items = self.query_all("policy", query, POLICY_PAGES_MAX).await?;
        let id = |item: &Item| {
            Reader::new("policy entry", item).read("sk", "the id of a policy", key::policy_of_entry)
        };
        items.iter().map(id).collect()
    }

    /// Makes a stored version of a policy the active one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the version is not stored.
    pub async fn activate_policy(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
        version: u32,
    ) -> Result<(), StoreError> {
        let mut head = keyed(key::policy_head(tenant, id));
        set(&mut head, "v", u64::from(version));
        let writes = vec![
            Write::Check { key: key::policy_version(tenant, id, version), condition: Expression::present() },
            Write::Put { table: Table::Ops, item: head, condition: None },
        ];
        match self.transact("policy", writes).await {
            Err(Failure::Transaction(_)) => {
                let what = format!(
                    "version {version} of policy {id} is not stored; expected it before it is activated"
                );
                Err(StoreError::Conflict { operation: "policy", what })
            }
            other => other.map_err(|failure| failed("policy", failure)),
        }
    }

    /// Which version of a policy is active; `None` before one was activated. Cheaper than the text, for those who have that already.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails.
    pub async fn active_policy_version(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
    ) -> Result<Option<u32>, StoreError> {
        let head = self.get("policy", key::policy_head(tenant, id)).await?;
        head.map(|head| Reader::new("policy head", &head).number("v")).transpose()
    }

    /// The active version of a policy; `None` before one was activated.
    ///
    /// # Errors
    /// [`StoreError`] when a read fails.
    pub async fn active_policy(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
    ) -> Result<Option<PolicyDoc>, StoreError> {
        let Some(head) = self.get("policy", key::policy_head(tenant, id)).await? else { return Ok(None) };
        self.policy(tenant, id, Reader::new("policy head", &head).number("v")?).await
    }

    /// One version of a policy; `None` when it is not stored.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails.
    pub async fn policy(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
        version: u32,
    ) -> Result<Option<PolicyDoc>, StoreError> {
        let item = self.get("policy", key::policy_version(tenant, id, version)).await?;
        item.map(|item| {
            let source = Reader::new("policy", &item).text("j")?.to_owned();
            Ok(PolicyDoc { version, source })
        })
        .transpose()
    }
}

fn settings_of(item: &Item) -> Result<SettingsDoc, StoreError> {
    let r = Reader::new("settings", item);
    Ok(SettingsDoc { version: r.number("v")?, document: r.text("j")?.to_owned() })
}
