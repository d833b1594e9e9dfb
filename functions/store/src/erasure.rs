//! Erasure: a customer's personal data goes, the proof of what was decided stays.
//!
//! The rule: an erasure waits for no message and overtakes none. While a claim is in flight it is refused, with the moment
//! at which to try again; a claim that was abandoned is settled first, as a sweep would. Then one transaction, on the
//! version of the fence under which no claim was found, makes the customer unknown to every decision and leaves a mark in
//! its fence. From then on nothing about the customer is written but what a person or a provider says of a message of
//! which nobody knew whether it went out: such touches stay, are counted and can be settled. They name ids only, as the
//! audit trail does. A waiting touch stays in its wave until its moment, finds the customer gone and leaves nothing.
//!
//! Invariant: the rest is removed after the mark, which says so until that is done ([`Fence::erasing`]), so a crash in
//! between loses nothing that a second call does not finish, and is never taken for an erasure that is complete. The audit
//! trail names ids, stages and words on consent only, and stays as it is, with the erasure as an entry: its chain can
//! still be verified, and says since when the rest is gone.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use domain::fact_record::{AuditRecord, KeptTouch, RecordedFact};
use domain::fence::Fence;
use domain::ids::CustomerId;
use domain::touch::TouchState;

use crate::audit::fact_entry;
use crate::backend::{Expression, Failure, Query, Table, Write};
use crate::claim::fence_write;
use crate::item::{StoredTouch, decode_fence};
use crate::key::{self, FENCE, Key, TOUCH, customer_partition, touch_of};
use crate::{Scope, Store, StoreError, TouchKey, failed};

/// How many items of a customer are removed for each page that is read.
const ERASE_PAGE: u32 = 100;
/// The most pages of one customer: far more than a lifetime of installments, payments and touches.
const ERASE_PAGES_MAX: usize = 1_000;
/// How often the mark is set again when another write came in between.
const MARK_TRIES_MAX: usize = 8;

/// The most pages of one customer's touches, of 1 MB each.
const TOUCH_PAGES_MAX: usize = 64;

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// So many items were removed, the profile among them.
    Made {
        /// How many.
        items: usize,
        /// How many touches stay, because nobody knows whether their messages went out.
        kept: usize,
    },
    /// A message may be on its way: nothing was erased.
    InFlight {
        /// When it is known what became of it at the latest.
        until: DateTime<Utc>,
    },
    /// The customer was never there.
    Unknown,
}

/// How far the mark has come.
pub(crate) enum Marked {
    /// It is set; these touches stay.
    Set(BTreeSet<KeptTouch>),
    /// A claim is in flight, until this moment at the latest.
    InFlight(DateTime<Utc>),
    /// There is no such customer.
    Nobody,
}

impl Store {
    /// Erases a customer: profile, choices, obligations, payments and touches, but for touches that are unknown. What
    /// stays besides is the audit trail, a fence with its head and the moment of the erasure, and suppressions, which hold
    /// no address. Imports about the customer are rejected from then on. The same call finishes an erasure that was cut
    /// off. Counted as `erase`.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails; the same call finishes what was begun.
    pub async fn erase_customer(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        at: DateTime<Utc>,
    ) -> Result<Erased, StoreError> {
        let kept = match self.mark_erased(scope, customer, at.trunc_subsecs(3)).await? {
            Marked::Set(kept) => kept,
            Marked::InFlight(until) => return Ok(Erased::InFlight { until }),
            Marked::Nobody => return Ok(Erased::Unknown),
        };
        let stays = |key: &Key| {
            key.sk == FENCE || touch_of(&key.sk).is_some_and(|(on, id)| kept.contains(&KeptTouch { on, id }))
        };
        let (mut items, mut start) = (1, None);
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
                start,
            };
            let page = self.query("erase", query).await?;
            for key in page.items.iter().filter_map(Key::of_item).filter(|key| !stays(key)) {
                self.write("erase", Write::Delete { key }).await.map_err(|f| failed("erase", f))?;
                items += 1;
            }
            start = page.next;
            if start.is_none() {
                self.end_erasure(scope, customer).await?;
                return Ok(Erased::Made { items, kept: kept.len() });
            }
        }
        let reason = format!("more than {ERASE_PAGES_MAX} pages of one customer; call again for the rest");
        Err(StoreError::Retryable { operation: "erase", reason })
    }

    /// Removes the profile and marks the fence, when no claim is in flight.
    pub(crate) async fn mark_erased(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        at: DateTime<Utc>,
    ) -> Result<Marked, StoreError> {
        for _ in 0..MARK_TRIES_MAX {
            let found = self.get("erase", key::fence(&scope.tenant, customer)).await?;
            let Some(fence) = found.as_ref().map(decode_fence).transpose()? else {
                return Ok(Marked::Nobody);
            };
            if fence.erased_at.is_some() {
                return Ok(Marked::Set(self.kept_by_erasure(scope, customer).await?));
            }
            // They are read after the fence: a claim that is made later moves it.
            let touches = self.readable_touches(scope, customer).await?;
            #[cfg(feature = "deliberate-faults")]
            let touches =
                if self.is_broken_by(crate::DeliberateFault::ErasureInFlight) { Vec::new() } else { touches };
            if let Some(from_on) =
                touches.iter().filter(|t| t.state == TouchState::Claimed).map(|t| t.touch.on).min()
            {
                let open = self.settle_abandoned(scope, customer, from_on, at).await?;
                if open.open > 0 {
                    let claimed_at = touches.iter().filter_map(|t| t.claimed_at).max().unwrap_or(at);
                    return Ok(Marked::InFlight(claimed_at + self.claim_lease()));
                }
                continue;
            }
            let unknown: Vec<TouchKey> = touches
                .iter()
                .filter(|t| t.state == TouchState::Unknown)
                .map(|t| TouchKey::of(&t.touch))
                .collect();
            // No sweep finds an erased customer, so they are noted before.
            for touch in &unknown {
                self.note_unknown(&scope.tenant, touch).await?;
            }
            let kept: Vec<KeptTouch> =
                unknown.into_iter().map(|t| KeptTouch { on: t.on, id: t.id }).collect();
            let of = (&scope.tenant, customer);
            let (entry, hash) = fact_entry(of, &fence, RecordedFact::Erased { kept: kept.clone() }, at);
            let marked = Fence {
                version: fence.version + 1,
                audit_head: Some(hash),
                erased_at: Some(at),
                erasing: true,
                ..Fence::default()
            };
            let writes = vec![
                Write::Delete { key: key::profile(&scope.tenant, customer) },
                fence_write(scope, customer, fence.version, &marked),
                entry,
            ];
            match self.transact("erase", writes).await {
                Ok(()) => return Ok(Marked::Set(kept.into_iter().collect())),
                Err(failure) if failure.is_contention() => {}
                Err(failure) => return Err(failed("erase", failure)),
            }
        }
        Err(StoreError::Retryable { operation: "erase", reason: "the customer kept changing".to_owned() })
    }

    /// The touches of a customer that can be read; what cannot be read is erased like the rest.
    async fn readable_touches(
        &self,
        scope: &Scope,
        customer: &CustomerId,
    ) -> Result<Vec<StoredTouch>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND begins_with(#sk, :touch)",
                names: &["pk", "sk"],
                values: vec![
                    (":pk", customer_partition(&scope.tenant, customer).into()),
                    (":touch", TOUCH.into()),
                ],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let items = self.query_all("erase", query, TOUCH_PAGES_MAX).await?;
        Ok(items.iter().filter_map(|item| StoredTouch::decode(item).ok()).collect())
    }

    /// What the erasure that is on record has kept.
    async fn kept_by_erasure(
        &self,
        scope: &Scope,
        customer: &CustomerId,
    ) -> Result<BTreeSet<KeptTouch>, StoreError> {
        let trail = self.audit_trail(&scope.tenant, customer).await?;
        let kept = trail.iter().rev().find_map(|entry| match entry.any()? {
            AuditRecord::Fact(fact) => match fact.fact {
                RecordedFact::Erased { kept } => Some(kept),
                RecordedFact::Contact { .. }
                | RecordedFact::Choice(_)
                | RecordedFact::Released { .. }
                | RecordedFact::Report { .. } => None,
            },
            AuditRecord::Decision(_) => None,
        });
        Ok(kept.unwrap_or_default().into_iter().collect())
    }

    /// Takes the note away that the erasure is under way.
    async fn end_erasure(&self, scope: &Scope, customer: &CustomerId) -> Result<(), StoreError> {
        let condition =
            Expression { text: "attribute_exists(#er)", names: &["er", "ep"], values: Vec::new() };
        let key = key::fence(&scope.tenant, customer);
        match self.write("erase", Write::Update { key, update: "REMOVE #ep", condition }).await {
            Ok(()) | Err(Failure::Condition(_)) => Ok(()),
            Err(failure) => Err(failed("erase", failure)),
        }
    }
}
