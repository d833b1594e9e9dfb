//! Erasure: a customer's personal data goes, the proof of what was decided stays.
//!
//! Invariant: the first transaction makes the customer unknown to every decision and leaves a mark in its fence; only
//! then is the rest removed, so a crash in between loses nothing that a second call does not finish. The audit trail
//! names ids, stages and words on consent only, and stays as it is, with the erasure as an entry: its chain can still be
//! verified, and says since when the rest is gone.

use chrono::{DateTime, SubsecRound, Utc};
use domain::fact_record::RecordedFact;
use domain::fence::Fence;
use domain::ids::CustomerId;

use crate::audit::fact_entry;
use crate::backend::{Expression, Query, Table, Write};
use crate::claim::fence_write;
use crate::item::decode_fence;
use crate::key::{self, FENCE, Key, customer_partition};
use crate::{Scope, Store, StoreError, failed};

/// How many items of a customer are removed for each page that is read.
const ERASE_PAGE: u32 = 100;
/// The most pages of one customer: far more than a lifetime of installments, payments and touches.
const ERASE_PAGES_MAX: usize = 1_000;
/// How often the mark is set again when another write came in between.
const MARK_TRIES_MAX: usize = 8;

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// So many items were removed, the profile among them.
    Made {
        /// How many.
        items: usize,
    },
    /// The customer was never there.
    Unknown,
}

impl Store {
    /// Erases a customer: profile, choices, obligations, payments and touches. What stays is the audit trail, a fence with its
    /// head and the moment of the erasure, and suppressions, which hold no address. Imports about the customer are
    /// rejected from then on. Counted as `erase`.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails; the same call finishes what was begun.
    pub async fn erase_customer(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        at: DateTime<Utc>,
    ) -> Result<Erased, StoreError> {
        if !self.mark_erased(scope, customer, at.trunc_subsecs(3)).await? {
            return Ok(Erased::Unknown);
        }
        let mut items = 1;
        for _ in 0..ERASE_PAGES_MAX {
            let condition = Expression {
                text: "#pk = :pk",
                names: &["pk"],
                values: vec![(":pk", customer_partition(&scope.tenant, customer).into())],
            };
            let query = Query {
                table: Table::Ops,
                index: None,
                condition,
                consistent: true,
                limit: Some(ERASE_PAGE),
                start: None,
            };
            let page = self.query("erase", query).await?;
            // All but the mark itself, which every page that starts over begins with or passes.
            for key in page.items.iter().filter_map(Key::of_item).filter(|key| key.sk != FENCE) {
                self.write("erase", Write::Delete { key }).await.map_err(|f| failed("erase", f))?;
                items += 1;
            }
            if page.next.is_none() {
                return Ok(Erased::Made { items });
            }
        }
        let reason = format!("more than {ERASE_PAGES_MAX} pages of one customer; call again for the rest");
        Err(StoreError::Retryable { operation: "erase", reason })
    }

    /// Removes the profile and marks the fence; `false` when there is neither.
    async fn mark_erased(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        for _ in 0..MARK_TRIES_MAX {
            let found = self.get("erase", key::fence(&scope.tenant, customer)).await?;
            let Some(fence) = found.as_ref().map(decode_fence).transpose()? else { return Ok(false) };
            if fence.erased_at.is_some() {
                return Ok(true);
            }
            let of = (&scope.tenant, customer);
            let (entry, hash) = fact_entry(of, &fence, RecordedFact::Erased {}, at);
            let marked = Fence {
                version: fence.version + 1,
                audit_head: Some(hash),
                erased_at: Some(at),
                ..Fence::default()
            };
            let writes = vec![
                Write::Delete { key: key::profile(&scope.tenant, customer) },
                fence_write(scope, customer, fence.version, &marked),
                entry,
            ];
            match self.transact("erase", writes).await {
                Ok(()) => return Ok(true),
                Err(failure) if failure.is_contention() => {}
                Err(failure) => return Err(failed("erase", failure)),
            }
        }
        Err(StoreError::Retryable { operation: "erase", reason: "the fence kept moving".to_owned() })
    }
}
