//! The send rate of a channel: one item for each tenant and channel, which all senders share.
//!
//! Invariant: it is changed under the version that was read, so what two senders ask for at the same time is granted
//! one after the other. A sender that dies with a grant has wasted it; nothing is ever granted twice.

use chrono::{DateTime, TimeDelta, Utc};
use domain::channel::Channel;
use domain::ids::TenantId;
use domain::send_rate::{SendLimits, SendRate, Slot};

use crate::backend::{Expression, Failure, Item, Table, Write};
use crate::item::{Reader, keyed, set};
use crate::{Store, StoreError, failed, key};

/// How often a change is tried anew when another sender came first.
const RATE_TRIES_MAX: usize = 32;

impl Store {
    /// Grants moments to messages of so many units each, in order. One read unit and one write unit for all of them;
    /// counted as `rate`.
    ///
    /// # Errors
    /// [`StoreError`] when a request fails, or other senders came first too often. What was granted then is wasted, and
    /// the same can be asked for again.
    pub async fn grant_slots(
        &self,
        tenant: &TenantId,
        channel: Channel,
        limits: SendLimits,
        units: &[u32],
        (now, wait_max): (DateTime<Utc>, TimeDelta),
    ) -> Result<Vec<Slot>, StoreError> {
        let grant =
            |rate: &mut SendRate| units.iter().map(|n| rate.grant(limits, *n, now, wait_max)).collect();
        self.change_rate(tenant, channel, grant).await
    }

    /// Takes units off the daily quota that were granted for a moment and not used. Counted as `rate`.
    ///
    /// # Errors
    /// [`StoreError`] when a request fails, or other senders came first too often.
    pub async fn give_back_slot(
        &self,
        tenant: &TenantId,
        channel: Channel,
        (units, at): (u32, DateTime<Utc>),
    ) -> Result<(), StoreError> {
        self.change_rate(tenant, channel, |rate| rate.give_back(units, at)).await
    }

    /// Lets a channel send slower after its provider refused a call for the rate. Counted as `rate`.
    ///
    /// # Errors
    /// [`StoreError`] when a request fails, or other senders came first too often.
    pub async fn slow_down(
        &self,
        tenant: &TenantId,
        channel: Channel,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.change_rate(tenant, channel, |rate| rate.slow_down(now)).await
    }

    /// What was granted on a channel so far. Strongly consistent; counted as `rate`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails, or the item cannot be read.
    pub async fn send_rate(&self, tenant: &TenantId, channel: Channel) -> Result<SendRate, StoreError> {
        let item = self.get("rate", key::send_rate(tenant, channel)).await?;
        Ok(item.as_ref().map(rate_of).transpose()?.map_or_else(SendRate::default, |(_, rate)| rate))
    }

    async fn change_rate<T>(
        &self,
        tenant: &TenantId,
        channel: Channel,
        change: impl Fn(&mut SendRate) -> T,
    ) -> Result<T, StoreError> {
        let place = key::send_rate(tenant, channel);
        let mut found = self.get("rate", place.clone()).await?.map(Box::new);
        for _ in 0..RATE_TRIES_MAX {
            let (version, mut rate) = found.as_deref().map(rate_of).transpose()?.unwrap_or_default();
            let changed = change(&mut rate);
            let mut item = keyed(place.clone());
            set(&mut item, "v", version + 1);
            set(&mut item, "j", rate_text(&rate));
            let condition = if version == 0 {
                Expression::absent()
            } else {
                Expression { text: "#v = :v", names: &["v"], values: vec![(":v", version.into())] }
            };
            let put = Write::Put { table: Table::Ops, item, condition: Some(condition) };
            match self.write("rate", put).await {
                Ok(()) => return Ok(changed),
                // The refusal hands over what the other sender wrote.
                Err(Failure::Condition(now)) => found = now,
                Err(failure) => return Err(failed("rate", failure)),
            }
        }
        let reason = "other senders came first each time".to_owned();
        Err(StoreError::Retryable { operation: "rate", reason })
    }
}

fn rate_text(rate: &SendRate) -> String {
    serde_json::to_string(rate).unwrap_or_else(|_| unreachable!("numbers are JSON"))
}

fn rate_of(item: &Item) -> Result<(u64, SendRate), StoreError> {
    let r = Reader::new("send rate", item);
    Ok((r.number("v")?, r.read("j", "a send rate", |text| serde_json::from_str(text).ok())?))
}
