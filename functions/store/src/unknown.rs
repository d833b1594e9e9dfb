//! Unknown touches: where those are found of which nobody knows whether they were sent, and a person's word on them.
//!
//! Invariant: a note says only where to look; the touch itself says whether it is still unknown. A sweep notes a touch
//! before its customer leaves the open index, and the note stays until the touch is settled, however old it is and
//! whatever was paid since.

use chrono::{DateTime, NaiveDate, Utc};
use domain::delivery::{Report, Source, Transition};
use domain::fact_record::PersonWord;
use domain::ids::{CustomerId, TenantId};
use domain::touch::TouchState;

use crate::backend::{Expression, Item, Query, Table, Write};
use crate::item::{Reader, StoredTouch, keyed};
use crate::key::{self, TOUCH, customer_partition, day_text, end_of, unknown_partition};
use crate::record::By;
use crate::touch::TouchKey;
use crate::{
    Cursor, PAGE_ITEMS_MAX, Page, RecordError, Recorded, Store, StoreError, TouchEvent, TouchRecord, failed,
};

/// The most noted touches that are read at once.
pub const UNKNOWN_BATCH_MAX: usize = 1_000;
/// The most pages of one customer's recent touches, of 1 MB each.
const TOUCH_PAGES_MAX: usize = 8;

/// What a person found out about an unknown message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundOut {
    /// It went out.
    Sent,
    /// It did not, and its stage may go another way.
    NotSent,
}

impl FoundOut {
    const fn report(self) -> Report {
        match self {
            Self::Sent => Report::Sent,
            Self::NotSent => Report::Failed,
        }
    }
}

impl Store {
    /// Settles an unknown touch by a person's word, which goes on record with who said it and what it rests on. Where
    /// the message did not go out, its stages are taken back, so that they are planned anew, on another channel: this
    /// one was tried. The same word again changes nothing. Counted as `record`.
    ///
    /// # Errors
    /// [`RecordError::Missing`] where there is no such touch, [`RecordError::Refused`] where it is not unknown,
    /// [`RecordError::Store`] when a request fails.
    pub async fn settle_unknown(
        &self,
        tenant: &TenantId,
        touch: &TouchKey,
        found: FoundOut,
        word: &PersonWord,
        now: DateTime<Utc>,
    ) -> Result<Recorded, RecordError> {
        let event = TouchEvent {
            transition: Transition { report: found.report(), source: Source::Person },
            reason: word.to_string(),
            at: now,
            provider_id: None,
            addresses: Vec::new(),
        };
        let recorded = self.record(tenant, None, touch, (&event, By::Person(word)), now).await;
        // A note about what is not there is of no more use either.
        if matches!(recorded, Ok(_) | Err(RecordError::Missing)) {
            self.forget_unknown(tenant, touch).await?;
        }
        recorded
    }

    /// The places of a customer's touches of `from_on` and later that are unknown. Strongly consistent; counted as
    /// `unknown`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or a touch cannot be read.
    pub async fn unknown_touches(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
        from_on: NaiveDate,
    ) -> Result<Vec<TouchKey>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND #sk BETWEEN :from AND :to",
                names: &["pk", "sk"],
                values: vec![
                    (":pk", customer_partition(tenant, customer).into()),
                    (":from", format!("{TOUCH}{}", day_text(from_on)).into()),
                    (":to", end_of(TOUCH.trim_end_matches('#')).into()),
                ],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let mut places = Vec::new();
        for item in self.query_all("unknown", query, TOUCH_PAGES_MAX).await? {
            let stored = StoredTouch::decode(&item)?;
            if stored.state == TouchState::Unknown {
                places.push(TouchKey::of(&stored.touch));
            }
        }
        Ok(places)
    }

    /// Notes that a touch is unknown: one write unit. Again is fine. Counted as `unknown`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn note_unknown(&self, tenant: &TenantId, touch: &TouchKey) -> Result<(), StoreError> {
        let item = keyed(note_of(tenant, touch));
        let put = Write::Put { table: Table::Ops, item, condition: None };
        self.write("unknown", put).await.map_err(|failure| failed("unknown", failure))
    }

    /// Takes the note of a touch away that is unknown no more. Again is fine. Counted as `unknown`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn forget_unknown(&self, tenant: &TenantId, touch: &TouchKey) -> Result<(), StoreError> {
        let delete = Write::Delete { key: note_of(tenant, touch) };
        self.write("unknown", delete).await.map_err(|failure| failed("unknown", failure))
    }

    /// The touches that are noted as unknown, the oldest day first. Some of them may have been settled since;
    /// [`Self::still_unknown`] tells. `limit` is bounded by [`PAGE_ITEMS_MAX`]. Strongly consistent; counted as
    /// `unknown`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails.
    pub async fn noted_unknown(
        &self,
        tenant: &TenantId,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<TouchKey>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk",
                names: &["pk"],
                values: vec![(":pk", unknown_partition(tenant).into())],
            },
            consistent: true,
            limit: Some(limit.clamp(1, PAGE_ITEMS_MAX)),
            start: cursor.map(|c| c.0),
        };
        let place = |item: &Item| {
            let r = Reader::new("note of an unknown touch", item);
            let (customer, on, id) = r.read("sk", "<day>#<customer>#<touch>", key::unknown_of)?;
            Ok(TouchKey { customer, on, id })
        };
        Ok(Page::read(self.query("unknown", query).await?, place))
    }

    /// Those of up to [`UNKNOWN_BATCH_MAX`] touches that are unknown, in no order; more are left out. Strongly
    /// consistent; counted as `unknown`.
    ///
    /// # Errors
    /// [`StoreError`] when a read fails, or a touch cannot be read.
    pub async fn still_unknown(
        &self,
        tenant: &TenantId,
        touches: &[TouchKey],
    ) -> Result<Vec<TouchRecord>, StoreError> {
        let keys = touches.iter().take(UNKNOWN_BATCH_MAX).map(|touch| touch.key(tenant)).collect();
        let mut unknown = Vec::new();
        for item in self.get_all("unknown", keys).await? {
            let stored = StoredTouch::decode(&item)?;
            if stored.state == TouchState::Unknown {
                unknown.push(stored.into());
            }
        }
        Ok(unknown)
    }
}

fn note_of(tenant: &TenantId, touch: &TouchKey) -> key::Key {
    key::unknown(tenant, &touch.customer, touch.on, &touch.id)
}
