//! The wave index: planned touches that wait for their moment, and what was left behind.
//!
//! Invariant: a touch is in it only while it is planned and waits; its entry holds keys only.

use chrono::{DateTime, Days, NaiveDate, Utc};
use domain::channel::Channel;
use domain::ids::{CustomerId, TenantId, TouchId};

use crate::backend::Expression;
use crate::item::Reader;
use crate::key::{customer_of, end_of, instant_of, instant_text, touch_of, wave_partition};
use crate::tables::WAVE_INDEX;
use crate::touch::TouchKey;
use crate::{Cursor, Page, Scope, Store, StoreError};

/// How far ahead the next wave is looked for, in days.
pub const WAVE_DAYS_AHEAD_MAX: u16 = 35;

/// A touch that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveEntry {
    /// Which touch.
    pub touch: TouchKey,
    /// How it goes.
    pub channel: Channel,
    /// When it may go.
    pub send_at: DateTime<Utc>,
}

impl Store {
    /// Touches of a shard that wait on the UTC `day` and may go at `until` or before, by time. `limit` is bounded
    /// by [`PAGE_ITEMS_MAX`](crate::PAGE_ITEMS_MAX). Eventually consistent; counted as `wave`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an entry cannot be read.
    pub async fn due_waves(
        &self,
        tenant: &TenantId,
        shard: u16,
        day: NaiveDate,
        until: DateTime<Utc>,
        cursor: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<WaveEntry>, StoreError> {
        let condition = Expression {
            text: "#wp = :wp AND #ws <= :until",
            names: &["wp", "ws"],
            values: vec![
                (":wp", wave_partition(tenant, day, shard).into()),
                (":until", end_of(&instant_text(until)).into()),
            ],
        };
        let page = self.query("wave", self.index_query(WAVE_INDEX, condition, cursor, limit)).await?;
        let items = page.items.iter().map(entry).collect::<Result<_, StoreError>>()?;
        Ok(Page { items, next: page.next.map(Cursor) })
    }

    /// The earliest moment for which a touch waits, on the UTC days from `from_day` over `days_ahead` more (at
    /// most [`WAVE_DAYS_AHEAD_MAX`]). Eventually consistent; counted as `wave`.
    ///
    /// # Errors
    /// [`StoreError`] when a query fails, or an entry cannot be read.
    pub async fn next_wave_at(
        &self,
        scope: &Scope,
        from_day: NaiveDate,
        days_ahead: u16,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        for ahead in 0..=days_ahead.min(WAVE_DAYS_AHEAD_MAX) {
            let Some(day) = from_day.checked_add_days(Days::new(u64::from(ahead))) else { break };
            let mut earliest: Option<DateTime<Utc>> = None;
            for shard in 0..scope.shards {
                let condition = Expression {
                    text: "#wp = :wp",
                    names: &["wp"],
                    values: vec![(":wp", wave_partition(&scope.tenant, day, shard).into())],
                };
                let page = self.query("wave", self.index_query(WAVE_INDEX, condition, None, 1)).await?;
                if let Some(item) = page.items.first() {
                    let at = entry(item)?.send_at;
                    earliest = Some(earliest.map_or(at, |e| e.min(at)));
                }
            }
            if earliest.is_some() {
                return Ok(earliest);
            }
        }
        Ok(None)
    }
}

fn entry(item: &crate::backend::Item) -> Result<WaveEntry, StoreError> {
    let r = Reader::new("wave entry", item);
    let customer: CustomerId = r.read("pk", "T#<tenant>#CUST#<customer>", customer_of)?;
    let (on, id): (NaiveDate, TouchId) = r.read("sk", "TOUCH#<day>#<id>", touch_of)?;
    let send_at = r.read("ws", "<send at>#<touch>", |ws| instant_of(ws.split_once('#')?.0))?;
    let channel = r.read("n", "a channel", |t| t.parse().ok())?;
    Ok(WaveEntry { touch: TouchKey { customer, on, id }, channel, send_at })
}
