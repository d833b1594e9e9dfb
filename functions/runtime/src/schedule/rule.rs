//! When a schedule starts something: the same rule as EventBridge Scheduler writes it, and as a moment.
//!
//! Invariant: a daily rule starts once a local day, also on the day of a clock change: a local time that is skipped
//! starts at the end of the gap, one that comes twice at its first coming.

use chrono::{DateTime, Days, Duration, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

/// How far ahead of a local time a gap of a clock change may end, in minutes.
const GAP_MINUTES_MAX: i64 = 24 * 60;

/// When a schedule starts something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Every day at a local time, on the minute.
    Daily {
        /// The local time.
        at: NaiveTime,
        /// Whose clock.
        zone: Tz,
    },
    /// Every so many minutes.
    Every {
        /// How many, at least 1.
        minutes: u16,
    },
    /// Once.
    Once {
        /// When.
        at: DateTime<Utc>,
    },
}

impl Rule {
    /// The rule as EventBridge Scheduler writes it.
    #[must_use]
    pub fn expression(&self) -> String {
        match self {
            Self::Daily { at, .. } => format!("cron({} {} * * ? *)", at.minute(), at.hour()),
            Self::Every { minutes: 1 } => "rate(1 minute)".to_owned(),
            Self::Every { minutes } => format!("rate({minutes} minutes)"),
            Self::Once { at } => format!("at({})", at.format("%Y-%m-%dT%H:%M:%S")),
        }
    }

    /// The time zone that the expression is read in.
    #[must_use]
    pub fn zone_name(&self) -> &'static str {
        match self {
            Self::Daily { zone, .. } => zone.name(),
            Self::Every { .. } | Self::Once { .. } => "UTC",
        }
    }

    /// The first moment after `after` at which it starts something; `None` where there is none.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Daily { at, zone } => {
                let today = after.with_timezone(zone).date_naive();
                let days = (0..=2).filter_map(|ahead| today.checked_add_days(Days::new(ahead)));
                days.filter_map(|day| earliest(*zone, day.and_time(*at))).find(|moment| *moment > after)
            }
            Self::Every { minutes } => {
                let step = i64::from((*minutes).max(1)) * 60;
                let next = (after.timestamp().div_euclid(step) + 1).checked_mul(step)?;
                DateTime::from_timestamp(next, 0)
            }
            Self::Once { at } => (*at > after).then_some(*at),
        }
    }
}

/// The first instant of a local time, or the first after the gap that it lies in.
fn earliest(zone: Tz, local: chrono::NaiveDateTime) -> Option<DateTime<Utc>> {
    (0..=GAP_MINUTES_MAX).find_map(|minutes| {
        let moved = local.checked_add_signed(Duration::minutes(minutes))?;
        zone.from_local_datetime(&moved).earliest().map(|at| at.to_utc())
    })
}
