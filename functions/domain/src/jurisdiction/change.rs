//! One change of one rule: hours that become shorter or longer, a cap that becomes smaller or larger.
//!
//! Invariant: what is tightened stays within what was there; what is loosened holds all of it and rests on policy.

use super::adjust::wrong;
use super::adjust_error::{AdjustError, AdjustProblem, article};
use super::build::{CapNumbers, cap_kind, intervals_of};
use super::error::Problem;
use super::file::{Channels, DayTime};
use super::grounds::{Basis, Confidence, Grounds};
use super::own::{Change, DAY_NAMES, OwnCap};
use super::{Interval, Rule, RuleCap, Window};
use crate::caps::{Cap, CapKind, ChannelSet, Per};
use crate::channel::{Channel, Purpose};
use crate::contact_check::ReasonCode;

/// The index of an open day's list in [`Window`], past the weekdays.
const HOLIDAY: usize = 7;

/// Where a change falls: its place in the settings, what it is for, and the adjustment that it belongs to.
pub(super) struct Spot<'a> {
    pub(super) place: &'a str,
    pub(super) purpose: Purpose,
    pub(super) channel: Channel,
    pub(super) by: usize,
    /// The first adjustment that is a tightening: those do not stand against each other.
    pub(super) tightenings_from: usize,
}

/// The one thing that a change changes.
pub(super) enum What<'a> {
    Hours([Option<Box<[Interval]>>; 8]),
    Cap(&'a OwnCap),
}

impl<'a> What<'a> {
    pub(super) fn of(place: &str, change: &Change<'a>) -> Result<Self, AdjustError> {
        match (change.hours, change.cap) {
            (Some(hours), None) => {
                let mut days: [Option<Box<[Interval]>>; 8] = Default::default();
                for (i, list) in hours.days().into_iter().enumerate() {
                    days[i] = list.map(|list| intervals(place, i, list)).transpose()?;
                }
                if days.iter().all(Option::is_none) {
                    return Err(wrong(format!("{place}.hours"), Problem::Missing("at least one day")));
                }
                Ok(Self::Hours(days))
            }
            (None, Some(cap)) => Ok(Self::Cap(cap)),
            (None, None) | (Some(_), Some(_)) => Err(wrong(place, AdjustProblem::NotOneChange)),
        }
    }
}

fn intervals(place: &str, day: usize, list: &[(DayTime, DayTime)]) -> Result<Box<[Interval]>, AdjustError> {
    intervals_of(list).map_err(|(i, problem)| match i {
        Some(i) => wrong(format!("{}[{i}]", day_key(place, day)), problem),
        None => wrong(day_key(place, day), problem),
    })
}

fn day_key(place: &str, day: usize) -> String {
    format!("{place}.hours.{}", DAY_NAMES[day])
}

fn day_of(window: &mut Window, day: usize) -> &mut Box<[Interval]> {
    if day == HOLIDAY { &mut window.holiday } else { &mut window.weekdays[day] }
}

/// Whether every moment of `inner` lies in `outer`, both in order and apart.
fn holds_all(outer: &[Interval], inner: &[Interval]) -> bool {
    let mut merged: Vec<Interval> = Vec::with_capacity(outer.len());
    for interval in outer {
        match merged.last_mut() {
            // Intervals may touch: together they hold what crosses the seam.
            Some(last) if last.to_second == interval.from_second => last.to_second = interval.to_second,
            Some(_) | None => merged.push(*interval),
        }
    }
    let within =
        |i: &Interval| merged.iter().any(|o| o.from_second <= i.from_second && i.to_second <= o.to_second);
    inner.iter().all(within)
}

pub(super) fn loosen_hours(
    spot: &Spot<'_>,
    rule: &mut Rule,
    days: &[Option<Box<[Interval]>>; 8],
) -> Result<(), AdjustError> {
    let Some(window) = &mut rule.window else {
        return Err(wrong(
            format!("{}.hours", spot.place),
            AdjustProblem::Exempt { purpose: spot.purpose, channel: spot.channel },
        ));
    };
    allow_loosening(format!("{}.hours", spot.place), "hours", &rule.grounds, spot)?;
    for (day, list) in days.iter().enumerate() {
        let Some(list) = list else { continue };
        let open = day_of(window, day);
        if !holds_all(list, open) {
            return Err(wrong(
                day_key(spot.place, day),
                AdjustProblem::Narrower { purpose: spot.purpose, channel: spot.channel },
            ));
        }
        open.clone_from(list);
    }
    rule.window_by = Some(spot.by);
    Ok(())
}

pub(super) fn tighten_hours(
    spot: &Spot<'_>,
    rule: &mut Rule,
    days: &[Option<Box<[Interval]>>; 8],
) -> Result<(), AdjustError> {
    let mut layer = Window::always();
    let Some(window) = &mut rule.window else { return Ok(()) };
    for (day, list) in days.iter().enumerate() {
        let Some(list) = list else { continue };
        let open = day_of(window, day);
        if let Some(i) = list.iter().position(|interval| !holds_all(open, &[*interval])) {
            let problem = AdjustProblem::Wider {
                purpose: spot.purpose,
                channel: spot.channel,
                article: article(&rule.grounds),
            };
            return Err(wrong(format!("{}[{i}]", day_key(spot.place, day)), problem));
        }
        day_of(&mut layer, day).clone_from(list);
    }
    rule.narrowed.push((layer, spot.by));
    Ok(())
}

pub(super) fn loosen_cap(
    spot: &Spot<'_>,
    rule: &mut Rule,
    kind: CapKind,
    over: ChannelSet,
) -> Result<(), AdjustError> {
    let key = format!("{}.cap", spot.place);
    let found = rule.caps.iter_mut().find(|c| c.cap.over == over && stricter(kind, c.cap.kind).is_some());
    let Some(found) = found else {
        return Err(wrong(key, AdjustProblem::NoSuchCap { purpose: spot.purpose, channel: spot.channel }));
    };
    allow_loosening(key.clone(), "cap", &found.cap.grounds, spot)?;
    if stricter(found.cap.kind, kind) != Some(true) {
        return Err(wrong(key, AdjustProblem::NotLooser { purpose: spot.purpose, channel: spot.channel }));
    }
    found.cap.kind = kind;
    found.by = Some(spot.by);
    Ok(())
}

pub(super) fn tighten_cap(
    spot: &Spot<'_>,
    rule: &mut Rule,
    kind: CapKind,
    over: ChannelSet,
) -> Result<(), AdjustError> {
    let there = |c: &&RuleCap| c.by.is_none_or(|by| by < spot.tightenings_from);
    let same = rule.caps.iter().filter(|c| c.cap.over == over).filter(there);
    for known in same {
        if stricter(kind, known.cap.kind) == Some(false) {
            let article = article(&known.cap.grounds);
            let problem =
                AdjustProblem::NotStricter { purpose: spot.purpose, channel: spot.channel, article };
            return Err(wrong(format!("{}.cap", spot.place), problem));
        }
    }
    let grounds =
        Grounds { cite: None, basis: Basis::Policy, confidence: Some(Confidence::Choice), source: None };
    // The profile's caps stay before it, so nothing that they refuse can be allowed.
    rule.caps.push(RuleCap { cap: Cap { kind, over, code: code_of(kind), grounds }, by: Some(spot.by) });
    Ok(())
}

/// Only what rests on policy may be loosened.
fn allow_loosening(
    key: String,
    what: &'static str,
    grounds: &Grounds,
    spot: &Spot<'_>,
) -> Result<(), AdjustError> {
    match grounds.basis {
        Basis::Policy => Ok(()),
        Basis::Law | Basis::Guidance => Err(wrong(
            key,
            AdjustProblem::NotPolicy {
                what,
                purpose: spot.purpose,
                channel: spot.channel,
                article: article(grounds),
            },
        )),
    }
}

/// Whether a cap allows strictly less than another; `None` where they limit different things.
fn stricter(one: CapKind, other: CapKind) -> Option<bool> {
    match (one, other) {
        (CapKind::Count { per: a, max: one }, CapKind::Count { per: b, max: other }) if a == b => {
            Some(one < other)
        }
        (CapKind::DistinctChannels { max: one }, CapKind::DistinctChannels { max: other }) => {
            Some(one < other)
        }
        (CapKind::MinGap { hours: one }, CapKind::MinGap { hours: other }) => Some(one > other),
        (CapKind::AfterDirect { days: one }, CapKind::AfterDirect { days: other }) => Some(one > other),
        (CapKind::RollingCount { days: a, max: one }, CapKind::RollingCount { days: b, max: other })
            if a == b =>
        {
            Some(one < other)
        }
        (
            CapKind::Count { .. }
            | CapKind::DistinctChannels { .. }
            | CapKind::MinGap { .. }
            | CapKind::AfterDirect { .. }
            | CapKind::RollingCount { .. },
            _,
        ) => None,
    }
}

pub(super) fn kind_of(place: &str, cap: &OwnCap) -> Result<CapKind, AdjustError> {
    let numbers = CapNumbers { per: cap.per, max: cap.max, hours: cap.hours, days: cap.days };
    cap_kind(cap.kind, numbers).map_err(|(name, problem)| wrong(format!("{place}.cap.{name}"), problem))
}

fn code_of(kind: CapKind) -> ReasonCode {
    match kind {
        CapKind::Count { per: Per::Day, .. } => ReasonCode::DailyCap,
        CapKind::Count { per: Per::Week, .. }
        | CapKind::RollingCount { .. }
        | CapKind::AfterDirect { .. } => ReasonCode::WeeklyCap,
        CapKind::MinGap { .. } => ReasonCode::MinGap,
        CapKind::DistinctChannels { .. } => ReasonCode::ChannelWeek,
    }
}

pub(super) fn set_of(channels: &Channels, known: ChannelSet) -> ChannelSet {
    match channels {
        Channels::All => known,
        Channels::Listed(listed) => listed.iter().copied().collect(),
    }
}
