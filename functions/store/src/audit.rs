//! The audit trail: one entry a claim, chained by hash within the customer.
//!
//! Invariant: an entry is written once, in the transaction of its claim, and its hash covers its document, which
//! names the hash before it. The newest hash stands in the fence, so a missing last entry shows too.

use chrono::{DateTime, Utc};
use domain::channel::{Channel, Purpose};
use domain::ids::{CustomerId, PolicyId, TenantId, TouchId};
use domain::touch::{Touch, TouchItem};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backend::{Expression, Item, Query, Table};
use crate::item::{Reader, hex, keyed, set};
use crate::key::{self, customer_partition};
use crate::{Store, StoreError};

/// The most pages of one customer's audit trail, of 1 MB each.
const AUDIT_PAGES_MAX: usize = 64;

/// What a claim was decided on. The order of the fields is the canonical form: never change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    tenant: TenantId,
    customer: CustomerId,
    touch: TouchId,
    claimed_at: DateTime<Utc>,
    channel: Channel,
    purpose: Purpose,
    items: Vec<TouchItem>,
    policy: PolicyId,
    policy_version: u32,
    fence_version: u64,
    prev: Option<String>,
}

/// One entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Which touch was claimed.
    pub touch: TouchId,
    /// When.
    pub claimed_at: DateTime<Utc>,
    /// How the customer was to be contacted.
    pub channel: Channel,
    /// What for.
    pub purpose: Purpose,
    /// About what, with the stage of each.
    pub items: Vec<TouchItem>,
    /// The policy that asked for it.
    pub policy: PolicyId,
    /// The version of that policy.
    pub policy_version: u32,
    /// The version of the fence that was decided on.
    pub fence_version: u64,
    /// The hash of the entry before; `None` on the first.
    pub prev: Option<String>,
    /// The stored document, in JSON, over which the hash goes.
    pub document: String,
    /// The SHA-256 of the document, in hexadecimal digits.
    pub hash: String,
}

/// A trail that was changed after the fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail breaks at touch {touch}: {what}")]
pub struct BrokenChain {
    /// The first entry that does not fit.
    pub touch: TouchId,
    /// What does not fit.
    pub what: &'static str,
}

/// Checks a whole trail, oldest first, and gives its head: the hash that the fence must name.
///
/// # Errors
/// [`BrokenChain`] at the first entry whose hash or predecessor does not fit.
pub fn verify_chain(entries: &[AuditEntry]) -> Result<Option<&str>, BrokenChain> {
    let mut head: Option<&str> = None;
    for entry in entries {
        let broken = |what| BrokenChain { touch: entry.touch.clone(), what };
        if entry.prev.as_deref() != head {
            return Err(broken("it does not follow the entry before it"));
        }
        if hash_of(&entry.document) != entry.hash {
            return Err(broken("its hash is not that of its document"));
        }
        head = Some(&entry.hash);
    }
    Ok(head)
}

fn hash_of(document: &str) -> String {
    hex(&Sha256::digest(document.as_bytes()))
}

/// The item of a claim, and its hash.
pub(crate) fn entry_of_claim(
    tenant: &TenantId,
    touch: &Touch,
    fence: &domain::fence::Fence,
    claimed_at: DateTime<Utc>,
) -> (Item, String) {
    let document = Document {
        tenant: tenant.clone(),
        customer: touch.customer.clone(),
        touch: touch.id.clone(),
        claimed_at,
        channel: touch.channel,
        purpose: touch.purpose,
        items: touch.items.clone(),
        policy: touch.policy.clone(),
        policy_version: touch.policy_version,
        fence_version: fence.version,
        prev: fence.audit_head.clone(),
    };
    let json = serde_json::to_string(&document).expect("the document has no map with non-text keys");
    let hash = hash_of(&json);
    let mut item = keyed(key::audit(tenant, &touch.customer, claimed_at, &touch.id));
    set(&mut item, "j", json);
    set(&mut item, "x", hash.as_str());
    (item, hash)
}

impl Store {
    /// The audit trail of a customer, oldest first. Strongly consistent; counted as `audit`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an entry cannot be read.
    pub async fn audit_trail(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let query = Query {
            table: Table::Audit,
            index: None,
            condition: Expression {
                text: "#pk = :pk",
                names: &["pk"],
                values: vec![(":pk", customer_partition(tenant, customer).into())],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let items = self.query_all("audit", query, AUDIT_PAGES_MAX).await?;
        items.iter().map(entry_of).collect()
    }
}

fn entry_of(item: &Item) -> Result<AuditEntry, StoreError> {
    let r = Reader::new("audit entry", item);
    let d: Document = r.read("j", "an audit document in JSON", |j| serde_json::from_str(j).ok())?;
    Ok(AuditEntry {
        touch: d.touch,
        claimed_at: d.claimed_at,
        channel: d.channel,
        purpose: d.purpose,
        items: d.items,
        policy: d.policy,
        policy_version: d.policy_version,
        fence_version: d.fence_version,
        prev: d.prev,
        document: r.text("j")?.to_owned(),
        hash: r.text("x")?.to_owned(),
    })
}
