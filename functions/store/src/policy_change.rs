//! Who brought which version of a policy, and when.
//!
//! Invariant: it is on record before the version decides anything. A record without its version says that somebody tried.

use chrono::{DateTime, Utc};
use domain::ids::{PolicyId, TenantId};
use serde::{Deserialize, Serialize};

use crate::backend::{Expression, Failure, Item, Query, Table, Write};
use crate::item::{Reader, keyed, set};
use crate::key;
use crate::{Store, StoreError, failed};

/// The most pages of the changes of one policy, of 1 MB each.
const HISTORY_PAGES_MAX: usize = 16;

/// A version that was brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// Whose policy.
    pub tenant: TenantId,
    /// Which.
    pub policy: PolicyId,
    /// Which version of it.
    pub version: u32,
    /// The short hash of its text, as decisions name it.
    pub hash: String,
    /// Who brought it, by the id of the identity provider.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Store {
    /// Puts on record that a version is brought. Again at the same moment is fine. Counted as `policy`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn record_policy_change(&self, change: &PolicyChange) -> Result<(), StoreError> {
        let document = serde_json::to_string(change).expect("a change has only texts, numbers and instants");
        let mut item = keyed(key::policy_audit(&change.tenant, &change.policy, change.at, change.version));
        set(&mut item, "j", document);
        let write = Write::Put { table: Table::Audit, item, condition: Some(Expression::absent()) };
        match self.write("policy", write).await {
            Ok(()) | Err(Failure::Condition(_)) => Ok(()),
            Err(failure) => Err(failed("policy", failure)),
        }
    }

    /// Who brought which version, oldest first. Counted as `policy`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an entry cannot be read.
    pub async fn policy_changes(
        &self,
        tenant: &TenantId,
        id: &PolicyId,
    ) -> Result<Vec<PolicyChange>, StoreError> {
        let partition = key::policy_audit_partition(tenant, id);
        let condition = Expression::of("#pk = :pk", &["pk"], vec![(":pk", partition.into())]);
        let query =
            Query { table: Table::Audit, index: None, condition, consistent: true, limit: None, start: None };
        let items = self.query_all("policy", query, HISTORY_PAGES_MAX).await?;
        let change = |item: &Item| {
            Reader::new("change", item).read("j", "a change in JSON", |j| serde_json::from_str(j).ok())
        };
        items.iter().map(change).collect()
    }
}
