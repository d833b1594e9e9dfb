//! Waves: planned touches that wait for their moment, and what was left behind.
//!
//! Invariant: a planned touch is one small item in the partition of its day and shard until its moment has been
//! decided, and nowhere else. What became of it then stands with its customer, before it leaves the wave; of a customer
//! that was erased meanwhile nothing is written.

use chrono::{DateTime, Days, NaiveDate, SubsecRound, Utc};
use domain::channel::Channel;
use domain::ids::{CustomerId, TenantId, TouchId};
use domain::touch::{Touch, TouchState};

use crate::backend::{Expression, Failure, Item, Query, Table, Write};
use crate::item::{Reader, StoredTouch, set};
use crate::key::{self, Key, customer_of, end_of, instant_text, touch_of, wave_of, wave_partition};
use crate::touch::{Change, TouchKey, clipped};
use crate::{Cursor, PAGE_ITEMS_MAX, Page, Scope, Store, StoreError, failed};

/// How far ahead the next wave is looked for, in days.
pub const WAVE_DAYS_AHEAD_MAX: u16 = 35;
/// How many of a partition's earliest touches are read to find the next moment; more that cannot be read hide the rest.
const NEXT_WAVE_ITEMS: u32 = 4;

/// Where a touch waits. The shard is that of the day it was planned on, whatever the tenant's settings say since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveKey {
    /// Which touch.
    pub touch: TouchKey,
    /// In which shard.
    pub shard: u16,
    /// When it may go.
    pub send_at: DateTime<Utc>,
}

impl WaveKey {
    fn key(&self, tenant: &TenantId) -> Key {
        key::wave(tenant, self.shard, self.send_at, &self.touch.customer, &self.touch.id)
    }
}

/// A touch that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveEntry {
    /// Where.
    pub place: WaveKey,
    /// How it goes.
    pub channel: Channel,
}

impl Store {
    /// Lets a planned touch wait for its `send_at`, and says whether that is new. Counted as `plan`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn plan_touch(&self, scope: &Scope, touch: &Touch) -> Result<Change, StoreError> {
        let item = waiting_item(scope, touch.clone());
        let put = Write::Put { table: Table::Ops, item, condition: Some(Expression::absent()) };
        match self.write("plan", put).await {
            Ok(()) => Ok(Change::Made),
            Err(Failure::Condition(_)) => Ok(Change::Already),
            Err(failure) => Err(failed("plan", failure)),
        }
    }

    /// Takes a touch out of its wave once its moment was decided and is recorded elsewhere. Counted as `unwait`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn leave_wave(&self, tenant: &TenantId, waiting: &WaveKey) -> Result<(), StoreError> {
        let delete = Write::Delete { key: waiting.key(tenant) };
        self.write("unwait", delete).await.map_err(|failure| failed("unwait", failure))
    }

    /// Whether a touch still waits there. Strongly consistent; counted as `wave`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails.
    pub async fn waits(&self, tenant: &TenantId, waiting: &WaveKey) -> Result<bool, StoreError> {
        Ok(self.get("wave", waiting.key(tenant)).await?.is_some())
    }

    /// Closes a waiting touch that a fact forbids. One that has gone another way meanwhile stays as it is. Counted as
    /// `prevent`.
    ///
    /// # Errors
    /// [`StoreError`] when a request fails; the same call can be made again.
    pub async fn prevent(
        &self,
        tenant: &TenantId,
        waiting: &WaveKey,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<Change, StoreError> {
        self.close_waiting("prevent", tenant, waiting, (TouchState::Prevented, reason), at).await
    }

    /// Closes a waiting touch whose obligations another touch carries. One that has gone another way meanwhile stays as
    /// it is. Counted as `supersede`.
    ///
    /// # Errors
    /// [`StoreError`] when a request fails; the same call can be made again.
    pub async fn supersede(
        &self,
        tenant: &TenantId,
        waiting: &WaveKey,
        by: &TouchId,
        at: DateTime<Utc>,
    ) -> Result<Change, StoreError> {
        self.close_waiting("supersede", tenant, waiting, (TouchState::Superseded, by.as_str()), at).await
    }

    async fn close_waiting(
        &self,
        operation: &'static str,
        tenant: &TenantId,
        waiting: &WaveKey,
        (state, reason): (TouchState, &str),
        at: DateTime<Utc>,
    ) -> Result<Change, StoreError> {
        let wave = waiting.key(tenant);
        let Some(found) = self.get(operation, wave.clone()).await? else { return Ok(Change::Already) };
        let mut item = settled_copy(found)?;
        set(&mut item, "st", state.as_str());
        set(&mut item, "sa", at.timestamp_millis());
        set(&mut item, "rs", clipped(reason));
        let unclaimed = Expression {
            text: "attribute_not_exists(#pk) OR #st = :planned",
            names: &["pk", "st"],
            values: vec![(":planned", TouchState::Planned.as_str().into())],
        };
        // Nothing is written about a customer that was erased.
        let is_there = Expression { text: "attribute_not_exists(#er)", names: &["er"], values: Vec::new() };
        let writes = vec![
            Write::Put { table: Table::Ops, item, condition: Some(unclaimed) },
            Write::Check { key: key::fence(tenant, &waiting.touch.customer), condition: is_there },
            Write::Delete { key: wave.clone() },
        ];
        match self.transact(operation, writes).await {
            Ok(()) => return Ok(Change::Made),
            Err(Failure::Transaction(_)) => {}
            Err(failure) => return Err(failed(operation, failure)),
        }
        let delete = Write::Delete { key: wave };
        self.write(operation, delete).await.map_err(|failure| failed(operation, failure))?;
        Ok(Change::Already)
    }

    /// Touches of a shard that wait on the UTC `day` and may go at `until` or before, by time. `limit` is bounded
    /// by [`PAGE_ITEMS_MAX`]. Strongly consistent; counted as `wave`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails.
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
            text: "#pk = :pk AND #sk <= :until",
            names: &["pk", "sk"],
            values: vec![
                (":pk", wave_partition(tenant, day, shard).into()),
                (":until", end_of(&instant_text(until)).into()),
            ],
        };
        let page = self.query("wave", wave_query(condition, cursor, limit)).await?;
        Ok(Page::read(page, |item| entry(item, shard)))
    }

    /// The earliest moment for which a touch waits, on the UTC days from `from_day` over `days_ahead` more (at
    /// most [`WAVE_DAYS_AHEAD_MAX`]). Strongly consistent; counted as `wave`.
    ///
    /// # Errors
    /// [`StoreError`] when a query fails.
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
                    text: "#pk = :pk",
                    names: &["pk"],
                    values: vec![(":pk", wave_partition(&scope.tenant, day, shard).into())],
                };
                // What cannot be read waits for nothing, so the first that can be counts.
                let page = self.query("wave", wave_query(condition, None, NEXT_WAVE_ITEMS)).await?;
                if let Some(at) = page.items.iter().find_map(|item| entry(item, shard).ok()) {
                    let at = at.place.send_at;
                    earliest = Some(earliest.map_or(at, |e| e.min(at)));
                }
            }
            if earliest.is_some() {
                return Ok(earliest);
            }
        }
        Ok(None)
    }

    /// The earliest moment after `after` for which a touch waits, on its UTC day and `days_ahead` more (at most
    /// [`WAVE_DAYS_AHEAD_MAX`]). Strongly consistent; counted as `wave`.
    ///
    /// # Errors
    /// [`StoreError`] when a query fails, or an entry cannot be read.
    pub async fn wave_after(
        &self,
        scope: &Scope,
        after: DateTime<Utc>,
        days_ahead: u16,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        for ahead in 0..=days_ahead.min(WAVE_DAYS_AHEAD_MAX) {
            let Some(day) = after.date_naive().checked_add_days(Days::new(u64::from(ahead))) else { break };
            let mut earliest: Option<DateTime<Utc>> = None;
            for shard in 0..scope.shards {
                let condition = Expression {
                    text: "#pk = :pk AND #sk > :after",
                    names: &["pk", "sk"],
                    values: vec![
                        (":pk", wave_partition(&scope.tenant, day, shard).into()),
                        (":after", end_of(&instant_text(after)).into()),
                    ],
                };
                let page = self.query("wave", wave_query(condition, None, 1)).await?;
                if let Some(item) = page.items.first() {
                    let at = entry(item, shard)?.place.send_at;
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

/// The item of a touch that waits for its `send_at`.
pub(crate) fn waiting_item(scope: &Scope, touch: Touch) -> Item {
    let send_at = touch.send_at.trunc_subsecs(3);
    let shard = scope.shard_of(&touch.customer);
    let wave = key::wave(&scope.tenant, shard, send_at, &touch.customer, &touch.id);
    let place = key::touch(&scope.tenant, &touch.customer, touch.on, &touch.id);
    StoredTouch::planned(Touch { send_at, ..touch }).encode_waiting(wave, place)
}

/// A waiting item at the place of its touch.
fn settled_copy(mut waiting: Item) -> Result<Item, StoreError> {
    let r = Reader::new("wave entry", &waiting);
    let place = Key::new(r.text("tp")?, r.text("ts")?);
    for name in ["tp", "ts"] {
        waiting.remove(name);
    }
    set(&mut waiting, "pk", place.pk);
    set(&mut waiting, "sk", place.sk);
    Ok(waiting)
}

fn wave_query(condition: Expression, cursor: Option<Cursor>, limit: u32) -> Query {
    Query {
        table: Table::Ops,
        index: None,
        condition,
        consistent: true,
        limit: Some(limit.clamp(1, PAGE_ITEMS_MAX)),
        start: cursor.map(|c| c.0),
    }
}

fn entry(item: &Item, shard: u16) -> Result<WaveEntry, StoreError> {
    let r = Reader::new("wave entry", item);
    let customer: CustomerId = r.read("tp", "T#<tenant>#CUST#<customer>", customer_of)?;
    let (on, id): (NaiveDate, TouchId) = r.read("ts", "TOUCH#<day>#<id>", touch_of)?;
    let send_at = r.read("sk", "<send at>#<customer>#<touch>", wave_of)?;
    Ok(WaveEntry {
        place: WaveKey { touch: TouchKey { customer, on, id }, shard, send_at },
        channel: r.read("n", "a channel", |t| t.parse().ok())?,
    })
}
