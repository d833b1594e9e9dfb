//! Tenants: which there are, and every change of their settings with who made it.
//!
//! Invariant: settings, the list of tenants and the audit entry change in one transaction, under the version that the
//! change was decided on. An id that was a tenant's is never given out again: its customers are still stored under it.

use chrono::{DateTime, Utc};
use domain::ids::TenantId;
use serde::{Deserialize, Serialize};

use crate::backend::{Expression, Item, Query, Table, Write};
use crate::item::{Reader, hex, keyed, set};
use crate::key::{self, Key};
use crate::{PAGE_ITEMS_MAX, SettingsDoc, Store, StoreError, failed};

/// The most pages of one tenant's changes of settings, of 1 MB each.
const HISTORY_PAGES_MAX: usize = 16;

/// A page of the list of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPage {
    /// The tenants, by id.
    pub tenants: Vec<TenantId>,
    /// After whom the next page begins; `None` at the end.
    pub next: Option<TenantId>,
}

/// What was done to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantAction {
    /// It was made.
    Created,
    /// Its settings were changed.
    Changed,
    /// It was paused.
    Paused,
    /// Its pause was ended.
    Resumed,
    /// It was deleted.
    Deleted,
}

/// Who changes settings, when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeOf {
    /// What is done.
    pub action: TenantAction,
    /// Who does it, by the id of the identity provider.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, where the caller says so.
    pub reason: Option<String>,
}

/// One change of settings, as it is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// The tenant.
    pub tenant: TenantId,
    /// What was done.
    pub action: TenantAction,
    /// Who did it, by the id of the identity provider.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, where the caller said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version that it was decided on; 0 for a new tenant.
    pub from_version: u64,
    /// The version that it made.
    pub version: u64,
    /// The settings that it left, in JSON.
    pub settings: String,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsWritten {
    /// It is stored.
    Done(SettingsDoc),
    /// Other settings are stored than those that it was decided on; a new tenant's id is taken.
    Moved,
}

impl Store {
    /// The tenants by id, after one of them. `limit` is bounded by [`PAGE_ITEMS_MAX`]. Counted as `tenants`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an entry cannot be read.
    pub async fn tenants_page(&self, after: Option<&TenantId>, limit: u32) -> Result<TenantPage, StoreError> {
        let condition = Expression::of("#pk = :pk", &["pk"], vec![(":pk", key::TENANTS.into())]);
        let query = Query {
            table: Table::Ops,
            index: None,
            condition,
            consistent: true,
            limit: Some(limit.clamp(1, PAGE_ITEMS_MAX)),
            start: after.map(|id| keyed(key::tenant_entry(id))),
        };
        let page = self.query("tenants", query).await?;
        let tenant = |item| Reader::new("tenant", item).read("sk", "a tenant", key::tenant_of_entry);
        let tenants = page.items.iter().map(tenant).collect::<Result<Vec<_>, StoreError>>()?;
        let next = page.next.and_then(|_| tenants.last().cloned());
        Ok(TenantPage { tenants, next })
    }

    /// Makes a tenant, or changes its settings from those that the change was decided on. Counted as `settings`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the number of shards would shrink, [`StoreError`] when the transaction fails.
    pub async fn change_settings(
        &self,
        tenant: &TenantId,
        decided_on: Option<&SettingsDoc>,
        document: String,
        change: ChangeOf,
    ) -> Result<SettingsWritten, StoreError> {
        let next = SettingsDoc { version: decided_on.map_or(0, |doc| doc.version) + 1, document };
        if let Some(stored) = decided_on {
            next.keeps_shards_of(stored)?;
        }
        let mut item = keyed(key::settings(tenant));
        set(&mut item, "v", next.version);
        set(&mut item, "j", next.document.as_str());
        let entry = keyed(key::tenant_entry(tenant));
        let listed = Write::Put { table: Table::Ops, item: entry, condition: None };
        self.write_settings(tenant, decided_on, next, (item, listed), change).await
    }

    /// Deletes a tenant. What is stored about its customers stays; its id is never given out again. Counted as
    /// `settings`.
    ///
    /// # Errors
    /// [`StoreError`] when the transaction fails.
    pub async fn delete_tenant(
        &self,
        tenant: &TenantId,
        decided_on: &SettingsDoc,
        change: ChangeOf,
    ) -> Result<SettingsWritten, StoreError> {
        let next = SettingsDoc { version: decided_on.version + 1, document: decided_on.document.clone() };
        let mut item = keyed(key::settings(tenant));
        set(&mut item, "v", next.version);
        set(&mut item, "j", next.document.as_str());
        set(&mut item, "dl", change.at.timestamp_millis());
        let unlisted = Write::Delete { key: key::tenant_entry(tenant) };
        self.write_settings(tenant, Some(decided_on), next, (item, unlisted), change).await
    }

    /// The changes of a tenant's settings, oldest first. Counted as `settings`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an entry cannot be read.
    pub async fn settings_history(&self, tenant: &TenantId) -> Result<Vec<SettingsChange>, StoreError> {
        let condition =
            Expression::of("#pk = :pk", &["pk"], vec![(":pk", key::settings_audit_partition(tenant).into())]);
        let query =
            Query { table: Table::Audit, index: None, condition, consistent: true, limit: None, start: None };
        let items = self.query_all("settings", query, HISTORY_PAGES_MAX).await?;
        let change = |item: &Item| {
            Reader::new("change", item).read("j", "a change in JSON", |j| serde_json::from_str(j).ok())
        };
        items.iter().map(change).collect()
    }

    async fn write_settings(
        &self,
        tenant: &TenantId,
        decided_on: Option<&SettingsDoc>,
        next: SettingsDoc,
        (item, listing): (Item, Write),
        change: ChangeOf,
    ) -> Result<SettingsWritten, StoreError> {
        let condition = match decided_on {
            None => Expression::absent(),
            Some(doc) => Expression::of(
                "#v = :v AND attribute_not_exists(#dl)",
                &["v", "dl"],
                vec![(":v", doc.version.into())],
            ),
        };
        let place = key::settings_audit(tenant, change.at, next.version);
        let record = SettingsChange {
            tenant: tenant.clone(),
            action: change.action,
            by: change.by,
            at: change.at,
            reason: change.reason,
            from_version: decided_on.map_or(0, |doc| doc.version),
            version: next.version,
            settings: next.document.clone(),
        };
        let writes = vec![
            Write::Put { table: Table::Ops, item, condition: Some(condition) },
            listing,
            Write::Put {
                table: Table::Audit,
                item: audit_item(place, &record),
                condition: Some(Expression::absent()),
            },
        ];
        match self.transact("settings", writes).await {
            Ok(()) => Ok(SettingsWritten::Done(next)),
            Err(failure) if failure.is_contention() => Ok(SettingsWritten::Moved),
            Err(failure) => Err(failed("settings", failure)),
        }
    }
}

fn audit_item(place: Key, record: &SettingsChange) -> Item {
    use sha2::{Digest, Sha256};
    let document = serde_json::to_string(record).expect("a change has only texts, numbers and instants");
    let mut item = keyed(place);
    set(&mut item, "x", hex(&Sha256::digest(document.as_bytes())));
    set(&mut item, "j", document);
    item
}
