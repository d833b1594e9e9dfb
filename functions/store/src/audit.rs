//! The audit trail: every decision about a stage that is due, and the facts that no import tells again, chained by hash
//! within the customer.
//!
//! Invariant: an entry is written once, in one transaction with the fence of its customer, under the version that was
//! decided on. So two writers can never fork a chain. An entry's hash covers its document, which names the hash before
//! it; the newest hash stands in the fence, so a missing last entry shows too.

use chrono::{DateTime, Utc};
use domain::decision::DecisionRecord;
use domain::fact_record::{AuditRecord, FactRecord, RecordedFact};
use domain::fence::Fence;
use domain::ids::{CustomerId, TenantId};
use sha2::{Digest, Sha256};

use crate::backend::{Expression, Item, Query, Table, Write};
use crate::claim::fence_write;
use crate::item::{Reader, hex, keyed, set};
use crate::key::{self, Key, audit_of, customer_partition};
use crate::{Scope, Store, StoreError, failed};

/// The most pages of one customer's audit trail, of 1 MB each.
const AUDIT_PAGES_MAX: usize = 64;

/// One entry of the trail, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was decided or recorded, by the entry's place.
    pub at: DateTime<Utc>,
    /// The version of the fence that was decided on, by the entry's place: the order of the chain.
    pub fence_version: u64,
    /// The stored document, in JSON, over which the hash goes.
    pub document: String,
    /// The SHA-256 of the document, in hexadecimal digits.
    pub hash: String,
}

impl AuditEntry {
    /// What the document says; `None` where it cannot be read.
    #[must_use]
    pub fn any(&self) -> Option<AuditRecord> {
        serde_json::from_str(&self.document).ok()
    }

    /// The decision that the document tells; `None` where it tells a fact or cannot be read.
    #[must_use]
    pub fn record(&self) -> Option<DecisionRecord> {
        match self.any()? {
            AuditRecord::Decision(decision) => Some(*decision),
            AuditRecord::Fact(_) => None,
        }
    }
}

/// What became of a decision that is to be put on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    /// It is on record; the fence for the next decision about the customer.
    Made(Fence),
    /// The last decision on record is the same, of the same local day.
    Already,
    /// A fact or another decision came in between: read the facts and decide again.
    FenceMoved,
}

/// A trail that was changed after the fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail breaks at entry {number} of {at}: {what}")]
pub struct BrokenChain {
    /// The first entry that does not fit, counted from one.
    pub number: usize,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What does not fit.
    pub what: &'static str,
}

/// Checks a whole trail, oldest first, and gives its head: the hash that the fence must name.
///
/// # Errors
/// [`BrokenChain`] at the first entry whose document, hash or predecessor does not fit.
pub fn verify_chain(entries: &[AuditEntry]) -> Result<Option<&str>, BrokenChain> {
    let mut head: Option<&str> = None;
    for (index, entry) in entries.iter().enumerate() {
        let broken = |what| BrokenChain { number: index + 1, at: entry.at, what };
        let record = entry.any().ok_or_else(|| broken("its document cannot be read"))?;
        if record.prev() != head {
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

/// The item of a decision, and its hash.
pub(crate) fn entry_of(tenant: &TenantId, decision: &DecisionRecord) -> (Item, String) {
    let place = key::audit(tenant, &decision.customer, decision.at(), decision.fence_version);
    entry_at(place, decision.document())
}

fn entry_at(place: Key, document: String) -> (Item, String) {
    let hash = hash_of(&document);
    let mut item = keyed(place);
    set(&mut item, "j", document);
    set(&mut item, "x", hash.as_str());
    (item, hash)
}

/// The entry of a fact that moves `fence` on, for the transaction that makes it true, and its hash: the head of the
/// next fence.
pub(crate) fn fact_entry(
    of: (&TenantId, &CustomerId),
    fence: &Fence,
    fact: RecordedFact,
    now: DateTime<Utc>,
) -> (Write, String) {
    let record = FactRecord::of(of, fence, fact, now);
    let place = key::audit(of.0, of.1, record.at(), record.fence_version);
    let (item, hash) = entry_at(place, AuditRecord::Fact(Box::new(record)).document());
    (Write::Put { table: Table::Audit, item, condition: Some(Expression::absent()) }, hash)
}

/// Whether a decision is the next one of a fence.
pub(crate) fn follows(decision: &DecisionRecord, fence: &Fence) -> bool {
    decision.fence_version == fence.version && decision.prev == fence.audit_head
}

impl Store {
    /// Puts a decision that sends nothing on record, as the next entry of its customer's chain. The same decision of
    /// the same local day is recorded once. Counted as `decision`.
    ///
    /// # Errors
    /// [`StoreError`] when the transaction fails. Of class unknown, the decision may be on record: the same call on
    /// facts that were read again finds out.
    pub async fn record_decision(
        &self,
        scope: &Scope,
        decision: &DecisionRecord,
        fence: &Fence,
    ) -> Result<Recording, StoreError> {
        let recorded = decision.recorded();
        if fence.recorded.as_ref() == Some(&recorded) {
            return Ok(Recording::Already);
        }
        if !follows(decision, fence) {
            return Ok(Recording::FenceMoved);
        }
        let (item, hash) = entry_of(&scope.tenant, decision);
        let next = Fence {
            version: fence.version + 1,
            audit_head: Some(hash),
            recorded: Some(recorded),
            ..fence.clone()
        };
        let writes = vec![
            fence_write(scope, &decision.customer, fence.version, &next),
            Write::Put { table: Table::Audit, item, condition: Some(Expression::absent()) },
        ];
        match self.transact("decision", writes).await {
            Ok(()) => Ok(Recording::Made(next)),
            Err(failure) if failure.is_contention() => Ok(Recording::FenceMoved),
            Err(failure) => Err(failed("decision", failure)),
        }
    }

    /// The audit trail of a customer, in the order of its chain. Strongly consistent; counted as `audit`.
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
        let mut trail: Vec<AuditEntry> = items.iter().map(read_entry).collect::<Result<_, _>>()?;
        // The clocks of two writers may differ by a little; the fence's version cannot.
        trail.sort_by_key(|entry| entry.fence_version);
        Ok(trail)
    }
}

fn read_entry(item: &Item) -> Result<AuditEntry, StoreError> {
    let r = Reader::new("audit entry", item);
    let (at, fence_version) = r.read("sk", "<instant>#<fence version>", audit_of)?;
    Ok(AuditEntry { at, fence_version, document: r.text("j")?.to_owned(), hash: r.text("x")?.to_owned() })
}
