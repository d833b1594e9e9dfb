//! The open index: what a scan reads, shard by shard.
//!
//! Invariant: it indexes facts, not decisions. An obligation is in it while it is owed, a fence while it has
//! reached a stage or may have an open claim, so a change of policy makes no entry stale. Reads are eventually consistent: the claim, not
//! the scan, is what decides.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::fence::Reached;
use domain::ids::{CustomerId, ObligationId, TenantId};
use domain::obligation::Hold;

use crate::backend::{Expression, Item, Query, Table};
use crate::item::{Reader, holds_of, reached_map};
use crate::key::{OPEN_FENCE, day_text, end_of, open_of, open_partition, unescape};
use crate::tables::OPEN_INDEX;
use crate::{Cursor, PAGE_ITEMS_MAX, Page, Store, StoreError};

/// An open obligation, as far as triage needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEntry {
    /// Who owes.
    pub customer: CustomerId,
    /// What.
    pub obligation: ObligationId,
    /// When it is due.
    pub due_on: NaiveDate,
    /// What stops its reminders.
    pub holds: Vec<Hold>,
}

/// The stages that a customer's open obligations have reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachedEntry {
    /// Who.
    pub customer: CustomerId,
    /// The stage of each obligation.
    pub reached: BTreeMap<ObligationId, Reached>,
    /// When the latest contact was claimed.
    pub last_contact_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Open obligations of a shard that are due from `due_from` to `due_to`, both included, by due date.
    /// `limit` is bounded by [`PAGE_ITEMS_MAX`]. Counted as `scan`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails.
    pub async fn open_page(
        &self,
        tenant: &TenantId,
        shard: u16,
        (due_from, due_to): (NaiveDate, NaiveDate),
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<OpenEntry>, StoreError> {
        if due_from > due_to {
            return Ok(Page { items: Vec::new(), unreadable: Vec::new(), next: None });
        }
        let condition = Expression {
            text: "#op = :op AND #os BETWEEN :from AND :to",
            names: &["op", "os"],
            values: vec![
                (":op", open_partition(tenant, shard).into()),
                (":from", day_text(due_from).into()),
                (":to", end_of(&day_text(due_to)).into()),
            ],
        };
        let page = self.query("scan", self.index_query(OPEN_INDEX, condition, cursor, limit)).await?;
        let entry = |item: &Item| {
            let r = Reader::new("open entry", item);
            let (due_on, customer, obligation) = r.read("os", "<due>#<customer>#<obligation>", open_of)?;
            let holds = r.read_or("h", "holds", holds_of)?.unwrap_or_default();
            Ok(OpenEntry { customer, obligation, due_on, holds })
        };
        Ok(Page::read(page, entry))
    }

    /// The reached stages of a shard's customers, by customer. `limit` is bounded by [`PAGE_ITEMS_MAX`].
    /// Counted as `scan`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails.
    pub async fn reached_page(
        &self,
        tenant: &TenantId,
        shard: u16,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ReachedEntry>, StoreError> {
        self.fences_page("scan", tenant, shard, cursor, limit).await
    }

    /// The same for a sweep. Counted as `sweep`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails.
    pub async fn contacted_page(
        &self,
        tenant: &TenantId,
        shard: u16,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ReachedEntry>, StoreError> {
        self.fences_page("sweep", tenant, shard, cursor, limit).await
    }

    async fn fences_page(
        &self,
        operation: &'static str,
        tenant: &TenantId,
        shard: u16,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<ReachedEntry>, StoreError> {
        let condition = Expression {
            text: "#op = :op AND begins_with(#os, :fence)",
            names: &["op", "os"],
            values: vec![(":op", open_partition(tenant, shard).into()), (":fence", OPEN_FENCE.into())],
        };
        let page = self.query(operation, self.index_query(OPEN_INDEX, condition, cursor, limit)).await?;
        let customer_of = |sort: &str| CustomerId::new(unescape(sort.strip_prefix(OPEN_FENCE)?)).ok();
        let entry = |item: &Item| {
            let r = Reader::new("open fence", item);
            let customer = r.read("os", "F#<customer>", customer_of)?;
            let reached = r.read_or("r", "reached stages", reached_map)?.unwrap_or_default();
            Ok(ReachedEntry { customer, reached, last_contact_at: r.instant_or("lc")? })
        };
        Ok(Page::read(page, entry))
    }

    pub(crate) fn index_query(
        &self,
        index: &'static str,
        condition: Expression,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Query {
        Query {
            table: Table::Ops,
            index: Some(index),
            condition,
            // An index cannot be read otherwise.
            consistent: false,
            limit: Some(limit.clamp(1, PAGE_ITEMS_MAX)),
            start: cursor.map(|c| c.0),
        }
    }
}
