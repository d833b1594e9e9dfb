//! Made-up profiles, tenants and moments for the slow answer to be compared on.
//!
//! Invariant: what is drawn is always a sound profile; hours end after they start, and caps name numbers in range.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Case, MOMENTS, Own, QUESTIONS, Question, Raw, RawCap};
use crate::channel::Channel;
use crate::contact::Contact;

fn day() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let edge =
        prop_oneof![select(vec![0, 15, 30, 60, 90, 120, 150, 180, 1_380, 1_410, 1_440]), 0_u32..=1_440];
    let points = proptest::collection::btree_set(edge, 0..=6);
    prop_oneof![
        2 => Just(vec![]),
        3 => Just(vec![(420, 1_140)]),
        5 => points.prop_map(|points| {
            let points: Vec<u32> = points.into_iter().collect();
            points.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
        }),
    ]
}

fn cap() -> impl Strategy<Value = RawCap> {
    (
        select(vec!["count", "distinct_channels", "min_gap", "rolling_count", "after_direct"]),
        select(vec!["daily_cap", "weekly_cap", "min_gap", "channel_week"]),
        select(vec!["day", "week"]),
        1_usize..=3,
        1_i64..=8,
        1_i64..=60,
        proptest::sample::subsequence(Channel::ALL.to_vec(), 1..=5),
    )
        .prop_map(|(kind, code, per, max, days, hours, over)| RawCap {
            kind,
            code,
            per,
            max,
            days,
            hours,
            over,
        })
}

fn raw() -> impl Strategy<Value = Raw> {
    (
        proptest::collection::vec(day(), 8),
        select(vec!["none", "CO", "CL"]),
        select(vec!["iso", "seven_days"]),
        select(vec!["any", "direct"]),
        proptest::collection::vec(cap(), 0..=3),
        any::<bool>(),
    )
        .prop_map(|(days, holidays, week, mode, caps, takes_requests)| Raw {
            days,
            holidays,
            week,
            mode,
            caps,
            takes_requests,
        })
}

/// At most two intervals, so that a request has no more than it may.
fn asked_day() -> impl Strategy<Value = Vec<(u32, u32)>> {
    day().prop_map(|list| list.into_iter().take(2).collect())
}

fn own() -> impl Strategy<Value = Own> {
    let opened = (0_u32..1_380, 1_u32..=60).prop_map(|(from, length)| (from, from + length));
    let layer = proptest::collection::vec(proptest::option::weighted(0.6, day()), 8);
    (
        proptest::option::weighted(0.3, opened),
        any::<bool>(),
        proptest::bool::weighted(0.2),
        proptest::collection::vec(layer, 0..=2),
        proptest::option::weighted(0.4, cap()),
        proptest::collection::btree_set(-1_i64..5, 0..=3),
    )
        .prop_map(|(opened, loosened, counted, tight, cap, closed)| Own {
            opened,
            loosened,
            counted,
            tight,
            cap,
            closed,
        })
}

/// Moments near which answers change: clocks that change (once over midnight), holidays, the ends of the tables.
const NEAR: [(&str, &str); 18] = [
    ("America/Tijuana", "2026-03-08T10:00:00Z"),
    ("America/Tijuana", "2026-11-01T09:00:00Z"),
    ("America/Santiago", "2026-04-05T03:00:00Z"),
    ("America/Santiago", "2026-09-06T04:00:00Z"),
    ("America/Santiago", "2025-04-06T03:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("America/New_York", "2027-11-07T06:00:00Z"),
    ("America/Los_Angeles", "2026-11-01T09:00:00Z"),
    ("America/Havana", "2026-03-08T05:00:00Z"),
    ("America/Havana", "2026-11-01T05:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("America/St_Johns", "2010-11-07T02:31:00Z"),
    ("America/Bogota", "2026-12-25T05:00:00Z"),
    ("America/Bogota", "2026-04-02T05:00:00Z"),
    ("America/Bogota", "2023-12-31T05:00:00Z"),
    ("America/Mexico_City", "2030-12-30T06:00:00Z"),
    ("America/Santiago", "2029-09-18T03:00:00Z"),
];

/// A contact in the days around a moment, with what was sent before it.
fn question() -> impl Strategy<Value = (TimeDelta, Channel, Vec<Sent>)> {
    let seconds =
        prop_oneof![-7_200_i64..7_200, -345_600_i64..345_600, (-5_760_i64..5_760).prop_map(|m| m * 60)];
    let nanos = select(vec![0, 0, 0, 1, 500_000_000, 999_999_999]);
    let from_near = (seconds, nanos).prop_map(|(s, n)| TimeDelta::seconds(s) + TimeDelta::nanoseconds(n));
    let sent = (1_i64..900_000, select(Channel::ALL.to_vec()), any::<bool>(), any::<bool>());
    (from_near, select(Channel::ALL.to_vec()), proptest::collection::vec(sent, 0..=5))
}

/// How many seconds ago, on which channel, whether it was answered, and whether it may lie ahead instead.
type Sent = (i64, Channel, bool, bool);

fn contact((ago, channel, direct, later): Sent, at: DateTime<Utc>) -> Contact {
    // One in sixteen or so lies at or after the asked moment and must be ignored.
    let ago = if later && ago % 8 == 0 { -(ago % 90_000) } else { ago };
    Contact { at: at - TimeDelta::seconds(ago), channel, direct }
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let channels = proptest::sample::subsequence(Channel::ALL.to_vec(), 1..=5);
    let asked = (proptest::collection::vec(asked_day(), 8), channels);
    (
        (raw(), proptest::option::of(own()), proptest::collection::vec(-345_600_i64..345_600, MOMENTS)),
        select(NEAR.to_vec()),
        proptest::collection::vec(question(), QUESTIONS),
        proptest::option::of(asked),
    )
        .prop_map(|((raw, own, moments), (zone, near), questions, asked)| {
            let near: DateTime<Utc> = near.parse().expect("an instant");
            let question = |(from_near, channel, sent): (TimeDelta, Channel, Vec<Sent>)| {
                let at = near + from_near;
                Question { at, channel, prior: sent.into_iter().map(|sent| contact(sent, at)).collect() }
            };
            let zone = zone.parse().expect("a zone");
            Case { raw, own, moments, zone, questions: questions.into_iter().map(question).collect(), asked }
        })
}
