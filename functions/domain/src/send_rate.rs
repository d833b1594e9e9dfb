//! The send rate of a channel: at which moments its provider may be called, for all senders of a tenant together.
//!
//! Invariants: of what is granted, no span of one second holds more units than the rate, also where a call comes up to
//! [`JITTER_MS`] off its moment; no 24 hours hold more than the daily quota. Grants come in the order in which they are
//! asked for. Nothing here waits or reads a clock: the moment comes in, and a later one goes out.
//!
//! A unit is an email, or a part of a text message. A message is one call, so its units are granted together.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::tenant::Rate;

/// By how many milliseconds the calls of two senders may be off against each other, by their clocks and by the time
/// that a claim takes, before a second could hold more than the rate. It costs as much of the rate: 2.5 %.
pub const JITTER_MS: i64 = 25;
/// How long a provider's refusal for the rate counts as the same one, in milliseconds.
pub const SLOW_AGAIN_MS: i64 = 1_000;
/// The slowest that a channel gets, in thousandths of its rate.
pub const SLOWEST_PERMILLE: u16 = 50;
/// How much of the rate comes back in a second without a refusal, in thousandths.
pub const RECOVERY_PERMILLE_PER_SECOND: i64 = 50;

const FULL_PERMILLE: u16 = 1_000;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// Grants are remembered by hundredths of a second: 104 numbers say what a second holds, whatever the rate.
const GRAIN_MICROS: i64 = 10_000;
/// A grant counts for one second after its grain ends, and for the jitter.
const COUNTS_MICROS: i64 = MICROS_PER_SECOND + JITTER_MS * 1_000;
const HOUR_SECONDS: i64 = 3_600;
/// For how many hours, its own included, something counts against the daily quota: until 24 hours after its hour ends.
const QUOTA_HOURS: i64 = 25;

/// What a tenant may send on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendLimits {
    /// Units a second.
    pub rate: Rate,
    /// Units in any 24 hours; `None` where nothing is said.
    pub per_day: Option<NonZeroU32>,
}

impl SendLimits {
    /// The most units that one message may have: more can be sent neither in a second nor in a day.
    #[must_use]
    pub fn units_max(&self) -> u32 {
        let a_second = u32::from(self.rate.per_second());
        self.per_day.map_or(a_second, |per_day| per_day.get().min(a_second))
    }
}

/// When a message may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The provider may be called at this moment, and neither before nor later than [`JITTER_MS`] allows.
    At(DateTime<Utc>),
    /// Not soon; the channel is worth asking again then.
    Later {
        /// When.
        at: DateTime<Utc>,
        /// Why.
        why: PutOff,
    },
}

/// Why a message has to wait longer than its sender can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOff {
    /// The messages before it need the rate.
    SendRate,
    /// The daily quota is used up.
    DailyQuota,
}

/// What was granted on one channel of a tenant, as far as it still counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendRate {
    /// The units of the last second, by hundredths of a second.
    recent: Tally,
    /// The units of the last day, by hours since 1970.
    hours: Tally,
    /// The first moment that the last grant leaves, in microseconds since 1970.
    next_us: i64,
    /// Where the next message that is put off for the rate comes back.
    back_us: i64,
    /// The same for the quota.
    quota_back_us: i64,
    /// The last refusal of the provider for the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    slowed: Option<Slowed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Slowed {
    at_ms: i64,
    permille: u16,
}

impl SendRate {
    /// Grants a message of so many units its moment, or says when it is worth asking again: where it would have to wait
    /// longer than `wait_max`, and where the quota is used up.
    pub fn grant(&mut self, limits: SendLimits, units: u32, now: DateTime<Utc>, wait_max: TimeDelta) -> Slot {
        let units = units.max(1);
        let now_us = now.timestamp_micros();
        let permille = i64::from(self.permille(now));
        let rate = i64::from(limits.rate.per_second());
        let takes_us = div_ceil(i64::from(units) * MICROS_PER_SECOND * 1_000, rate * permille);
        let at_us = self.first_free(now_us, units, (rate * permille / 1_000).max(1));
        if let Some(free_us) = limits.per_day.and_then(|quota| self.quota_frees(quota, units, at_us)) {
            let back_us = free_us.max(self.quota_back_us);
            self.quota_back_us = back_us + takes_us;
            return Slot::Later { at: instant(back_us), why: PutOff::DailyQuota };
        }
        if at_us - now_us > wait_max.num_microseconds().unwrap_or(i64::MAX) {
            let back_us = at_us.max(self.back_us);
            self.back_us = back_us + takes_us;
            return Slot::Later { at: instant(back_us), why: PutOff::SendRate };
        }
        self.recent.forget_before((at_us - COUNTS_MICROS).div_euclid(GRAIN_MICROS));
        self.recent.add(at_us.div_euclid(GRAIN_MICROS), units);
        self.hours.forget_before(hour_of(at_us) - QUOTA_HOURS + 1);
        self.hours.add(hour_of(at_us), units);
        self.next_us = at_us + takes_us;
        Slot::At(instant(at_us))
    }

    /// Takes units off the daily quota that were granted for a moment and not used. The rate of that moment stays used.
    pub fn give_back(&mut self, units: u32, at: DateTime<Utc>) {
        self.hours.take(hour_of(at.timestamp_micros()), units);
    }

    /// Takes a refusal of the provider for the rate into account: half the rate from now on, and more of it again with
    /// every second.
    pub fn slow_down(&mut self, now: DateTime<Utc>) {
        let at_ms = now.timestamp_millis();
        if self.slowed.is_some_and(|s| at_ms - s.at_ms < SLOW_AGAIN_MS) {
            return;
        }
        let permille = (self.permille(now) / 2).max(SLOWEST_PERMILLE);
        self.slowed = Some(Slowed { at_ms, permille });
    }

    /// How much of the rate is used, in thousandths.
    #[must_use]
    pub fn permille(&self, now: DateTime<Utc>) -> u16 {
        let Some(Slowed { at_ms, permille }) = self.slowed else { return FULL_PERMILLE };
        let seconds = (now.timestamp_millis() - at_ms).max(0) / 1_000;
        let recovered = i64::from(permille).saturating_add(seconds * RECOVERY_PERMILLE_PER_SECOND);
        u16::try_from(recovered).unwrap_or(FULL_PERMILLE).min(FULL_PERMILLE)
    }

    /// How much of a daily quota can be used until a moment, by what is granted so far.
    #[must_use]
    pub fn left(&self, quota: NonZeroU32, until: DateTime<Utc>) -> u64 {
        let counting = hour_of(until.timestamp_micros()) - QUOTA_HOURS;
        let used: u64 =
            self.hours.entries().filter(|(hour, _)| *hour > counting).map(|(_, n)| u64::from(n)).sum();
        u64::from(quota.get()).saturating_sub(used)
    }

    /// The first moment at which no second holds more than the rate.
    fn first_free(&self, now_us: i64, units: u32, rate: i64) -> i64 {
        let mut at_us = now_us.max(self.next_us);
        // More units than the rate cannot be split: they have a second to themselves.
        let room = (rate - i64::from(units)).max(0);
        let ends = |grain: i64| (grain + 1) * GRAIN_MICROS + COUNTS_MICROS;
        let mut held: i64 = self.recent.entries().map(|(_, n)| i64::from(n)).sum();
        for (grain, count) in self.recent.entries() {
            if ends(grain) > at_us {
                if held <= room {
                    break;
                }
                at_us = ends(grain);
            }
            held -= i64::from(count);
        }
        at_us
    }

    /// When the quota has room for so many units, where it has none at a moment.
    fn quota_frees(&self, quota: NonZeroU32, units: u32, at_us: i64) -> Option<i64> {
        let hour = hour_of(at_us);
        let counting: Vec<(i64, u32)> =
            self.hours.entries().filter(|(of, _)| *of > hour - QUOTA_HOURS).collect();
        let mut used: i64 = counting.iter().map(|(_, n)| i64::from(*n)).sum();
        // More units than the quota can never be sent within it; they go when nothing else counts.
        let room = (i64::from(quota.get()) - i64::from(units)).max(0);
        if used <= room {
            return None;
        }
        let freed = counting.iter().find(|(_, count)| {
            used -= i64::from(*count);
            used <= room
        });
        freed.map(|(of, _)| (of + QUOTA_HOURS) * HOUR_SECONDS * MICROS_PER_SECOND)
    }
}

/// Counts by consecutive numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tally {
    from: i64,
    counts: VecDeque<u32>,
}

impl Tally {
    /// Adds to a number that is not before the last one.
    fn add(&mut self, number: i64, count: u32) {
        if self.counts.is_empty() {
            self.from = number;
        }
        let index = usize::try_from(number - self.from).unwrap_or(0);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        if let Some(counted) = self.counts.get_mut(index) {
            *counted = counted.saturating_add(count);
        }
    }

    /// Takes from a number what was added to it; what is forgotten stays so.
    fn take(&mut self, number: i64, count: u32) {
        let counted = usize::try_from(number - self.from).ok().and_then(|index| self.counts.get_mut(index));
        if let Some(counted) = counted {
            *counted = counted.saturating_sub(count);
        }
    }

    fn forget_before(&mut self, first: i64) {
        while self.from < first && self.counts.pop_front().is_some() {
            self.from += 1;
        }
    }

    /// The numbers that something was added to.
    fn entries(&self) -> impl Iterator<Item = (i64, u32)> {
        (self.from..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }
}

/// Of numbers that are not negative, rounded up, so that a rate is never exceeded by rounding.
const fn div_ceil(what: i64, by: i64) -> i64 {
    (what + by - 1) / by
}

const fn hour_of(at_us: i64) -> i64 {
    at_us.div_euclid(HOUR_SECONDS * MICROS_PER_SECOND)
}

fn instant(at_us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at_us).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
#[path = "send_rate_tests.rs"]
mod tests;
