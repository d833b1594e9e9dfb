//! Where in the open hours a touch that waits is placed, and whether a plan fits into them.
//!
//! A scan defers many customers to the same opening hour, and a channel sends only so many messages a second. Each of
//! them is therefore moved by an offset within the span that its shard needs at the channel's rate. The offset comes
//! from a hash of the customer and the day, not from a place in a queue: what else waits changes from scan to scan, and a
//! touch that is planned again must find itself waiting at the same moment.
//!
//! Invariants: a touch only moves forward, by whole minutes, within the hours that are open without a break around its
//! first lawful moment and so within one local day; the contact check allows the moved moment. The same customer, moment
//! and span give the same place.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use domain::channel::Channel;
use domain::contact::Contact;
use domain::contact_check::ContactQuery;
use domain::ids::{CustomerId, TenantId};
use domain::planner::{Facts, Rules};
use domain::send_rate::SendRate;
use domain::tenant::{Rate, Rates, Tenant};
use domain::touch::Touch;
use domain::zone::clocks_for;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The seconds of a minute: moments in between are not used, since waves come at most once a minute.
const MINUTE_SECONDS: u64 = 60;
/// How many leading bits of a number of customers count: the span stays as it is while a shard grows or shrinks a little.
const COUNT_BITS: u32 = 3;
/// The most windows that one job reports as too short.
pub const OVERFULL_MAX: usize = 100;

/// What a plan is too large for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The units that a channel sends in a second.
    SendRate,
    /// The units that it sends in 24 hours.
    DailyQuota,
}

/// The open hours that the messages of a shard do not fit into, by the rate and the daily quota of their channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overfull {
    /// The channel.
    pub channel: Channel,
    /// The first moment at which one of the messages may go.
    pub from_at: DateTime<Utc>,
    /// When the last of their open hours end.
    pub until_at: DateTime<Utc>,
    /// How many messages are to go in between.
    pub touches: u64,
    /// How many units they take: emails, or parts of SMS.
    pub units: u64,
    /// How many units this shard can send in between: its share of what the tenant can.
    pub capacity: u64,
    /// Which limit is the lower one.
    pub limit: Limit,
}

/// The messages of a shard by channel and by the end of their open hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Loads(BTreeMap<(Channel, DateTime<Utc>), Load>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    from_at: DateTime<Utc>,
    touches: u64,
    units: u64,
}

/// What a shard may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget<'a> {
    rates: &'a Rates,
    shards: u16,
    /// The channels that have a daily quota, with what was sent of it.
    quotas: &'a [(Channel, NonZeroU32, SendRate)],
}

impl<'a> Budget<'a> {
    pub(crate) const fn new(
        rates: &'a Rates,
        shards: u16,
        quotas: &'a [(Channel, NonZeroU32, SendRate)],
    ) -> Self {
        Self { rates, shards, quotas }
    }

    /// How many units a shard can send on a channel between two moments, and what keeps it from more.
    fn capacity(&self, channel: Channel, from_at: DateTime<Utc>, until_at: DateTime<Utc>) -> (u64, Limit) {
        let by_rate = capacity(self.rates.of(channel), self.shards, until_at - from_at);
        let of_channel = self.quotas.iter().find(|(of, ..)| *of == channel);
        let left =
            of_channel.map(|(_, quota, sent)| sent.left(*quota, until_at) / u64::from(self.shards.max(1)));
        match left {
            Some(left) if left < by_rate => (left, Limit::DailyQuota),
            Some(_) | None => (by_rate, Limit::SendRate),
        }
    }
}

impl Loads {
    /// Counts one more message of so many units that may go from one moment until another; without an end, it is not
    /// counted.
    pub(crate) fn add(
        &mut self,
        channel: Channel,
        units: u32,
        from_at: DateTime<Utc>,
        until_at: Option<DateTime<Utc>>,
    ) {
        let Some(until_at) = until_at else { return };
        let load = self.0.entry((channel, until_at)).or_insert(Load { from_at, touches: 0, units: 0 });
        load.from_at = load.from_at.min(from_at);
        load.touches += 1;
        load.units += u64::from(units);
    }

    /// The windows, at most [`OVERFULL_MAX`], that cannot take what must go within them.
    pub(crate) fn overfull(&self, budget: &Budget<'_>) -> Vec<Overfull> {
        let too_much = self.0.iter().filter_map(|(&(channel, until_at), &Load { from_at, .. })| {
            // Shorter hours inside these take their share of the same rate.
            let inside = self.0.range((channel, from_at)..=(channel, until_at));
            let inside = inside.filter(|(_, l)| l.from_at >= from_at);
            let (touches, units) = inside.fold((0, 0), |sum, (_, l)| (sum.0 + l.touches, sum.1 + l.units));
            let (capacity, limit) = budget.capacity(channel, from_at, until_at);
            (units > capacity).then_some(Overfull {
                channel,
                from_at,
                until_at,
                touches,
                units,
                capacity,
                limit,
            })
        });
        too_much.take(OVERFULL_MAX).collect()
    }
}

/// How many units one of `shards` shards can send in a while.
fn capacity(rate: Rate, shards: u16, within: TimeDelta) -> u64 {
    let seconds = u64::try_from(within.num_seconds()).unwrap_or(0);
    seconds * u64::from(rate.per_second()) / u64::from(shards.max(1))
}

/// How one shard's touches are placed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread<'a> {
    tenant: &'a TenantId,
    rates: &'a Rates,
    shards: u16,
    customers: usize,
}

impl<'a> Spread<'a> {
    /// For a shard of a tenant with so many customers who have an open obligation.
    ///
    /// All of them count, not only those who wait: who waits changes from scan to scan, and the span must not.
    pub(crate) fn new(tenant: &'a Tenant, customers: usize) -> Self {
        Self { tenant: &tenant.id, rates: &tenant.rates, shards: tenant.shards, customers }
    }

    /// Moves a touch to its place, and says when its open hours end. One whose moment the contact check does not allow,
    /// because its purpose is another one by then, stays where it is: it is decided again when the moment comes.
    pub(crate) fn place(
        &self,
        rules: &Rules<'_>,
        facts: &Facts<'_>,
        prior: &[Contact],
        touch: Touch,
    ) -> (Touch, Option<DateTime<Utc>>) {
        let Some(clocks) = clocks_for(facts.customer, rules.jurisdiction) else { return (touch, None) };
        let query = |at| query(facts, clocks.days, prior, &touch, at);
        let from_at = touch.send_at;
        let Some(until_at) = clocks.open_until(rules.jurisdiction, &query(from_at)) else {
            return (touch, None);
        };
        let open_seconds = u64::try_from((until_at - from_at).num_seconds()).unwrap_or(0);
        let needed = span_seconds(self.customers, self.shards, self.rates.of(touch.channel));
        let position = position(self.tenant, &touch.customer, touch.on);
        let minutes = offset_minutes(position, needed.min(open_seconds));
        let send_at = i64::try_from(minutes).ok().and_then(TimeDelta::try_minutes).map(|by| from_at + by);
        let lawful = |at: &DateTime<Utc>| {
            // The day decides which stage is served, and is part of where the touch is kept.
            let on = at.with_timezone(&clocks.days).date_naive();
            on == touch.on && clocks.check(rules.jurisdiction, &query(*at)).is_allowed()
        };
        let send_at = send_at.filter(lawful).unwrap_or(from_at);
        (Touch { send_at, ..touch }, Some(until_at))
    }
}

/// When the open hours around a touch that goes at its moment end.
pub(crate) fn open_until(
    rules: &Rules<'_>,
    facts: &Facts<'_>,
    prior: &[Contact],
    touch: &Touch,
) -> Option<DateTime<Utc>> {
    let clocks = clocks_for(facts.customer, rules.jurisdiction)?;
    clocks.open_until(rules.jurisdiction, &query(facts, clocks.days, prior, touch, touch.send_at))
}

fn query<'a>(
    facts: &Facts<'a>,
    time_zone: Tz,
    prior: &'a [Contact],
    touch: &Touch,
    at: DateTime<Utc>,
) -> ContactQuery<'a> {
    ContactQuery {
        purpose: touch.purpose,
        channel: touch.channel,
        at,
        time_zone,
        prior,
        agreed_hours: facts.customer.agreed_hours.as_ref(),
    }
}

/// How long a shard needs to send a message to each of its customers, in seconds, while the other shards do the same.
fn span_seconds(customers: usize, shards: u16, rate: Rate) -> u64 {
    let customers = rounded_up(u64::try_from(customers).unwrap_or(u64::MAX));
    let all = customers.saturating_mul(u64::from(shards.max(1)));
    all.div_ceil(u64::from(rate.per_second()))
}

/// The next number with nothing behind its [`COUNT_BITS`] leading bits: at most a quarter more.
fn rounded_up(count: u64) -> u64 {
    let bits = u64::BITS - count.leading_zeros();
    let step = 1_u64 << bits.saturating_sub(COUNT_BITS);
    count.checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

/// Where in a span a position among 2^64 lies, in whole minutes from its start.
fn offset_minutes(position: u64, span_seconds: u64) -> u64 {
    let seconds = (u128::from(position) * u128::from(span_seconds)) >> u64::BITS;
    // Less than the span, which is a u64.
    u64::try_from(seconds).unwrap_or(0) / MINUTE_SECONDS
}

/// A customer's position on a day: the same for every process, and another one on another day, so that nobody is always
/// the last.
fn position(tenant: &TenantId, customer: &CustomerId, on: NaiveDate) -> u64 {
    let mut hasher = Sha256::new();
    for part in [tenant.as_str(), customer.as_str(), &on.to_string()] {
        hasher.update(part.as_bytes());
        hasher.update([0x1e]);
    }
    hasher.finalize().iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
