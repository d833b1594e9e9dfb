//! One change of one rule: hours that become shorter or longer, a cap that becomes smaller or larger.
//!
//! Invariant: what is tightened stays within what was there; what is loosened holds all of it and rests on policy.

use super::adjust::wrong;
use super::adjust_error::{AdjustError, AdjustProblem, Mistakes, article};
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
    Cap { kind: CapKind, over: &'a Channels },
}

impl<'a> What<'a> {
    /// What a change says; `None` where it says something wrong.
    pub(super) fn of(place: &str, change: &Change<'a>, mistakes: &mut Mistakes) -> Option<Self> {
        match (change.hours, change.cap) {
            (Some(hours), None) => {
                let mut days: [Option<Box<[Interval]>>; 8] = Default::default();
                let mut sound = true;
                for (i, list) in hours.days().into_iter().enumerate() {
                    let Some(list) = list else { continue };
                    days[i] = mistakes.take(intervals(place, i, list));
                    sound &= days[i].is_some();
                }
                if sound && days.iter().all(Option::is_none) {
                    mistakes.add(wrong(format!("{place}.hours"), Problem::Missing("at least one day")));
                    return None;
                }
                sound.then_some(Self::Hours(days))
            }
            (None, Some(cap)) => {
                let kind = mistakes.take(kind_of(place, cap))?;
                Some(Self::Cap { kind, over: &cap.over })
            }
            (None, None) | (Some(_), Some(_)) => {
                mistakes.add(wrong(place, AdjustProblem::NotOneChange));
                None
            }
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
    mistakes: &mut Mistakes,
) {
    let key = format!("{}.hours", spot.place);
    let Some(window) = &mut rule.window else {
        let problem = AdjustProblem::Exempt { purpose: spot.purpose, channel: spot.channel };
        return mistakes.add(wrong(key, problem));
    };
    if mistakes.take(allow_loosening(key, "hours", &rule.grounds, spot)).is_none() {
        return;
    }
    for (day, list) in days.iter().enumerate() {
        let Some(list) = list else { continue };
        let open = day_of(window, day);
        if holds_all(list, open) {
            open.clone_from(list);
        } else {
            let problem = AdjustProblem::Narrower { purpose: spot.purpose, channel: spot.channel };
            mistakes.add(wrong(day_key(spot.place, day), problem));
        }
    }
    rule.window_by = Some(spot.by);
}

pub(super) fn tighten_hours(
    spot: &Spot<'_>,
    rule: &mut Rule,
    days: &[Option<Box<[Interval]>>; 8],
    mistakes: &mut Mistakes,
) {
    let mut layer = Window::always();
    let Some(window) = &mut rule.window else { return };
    for (day, list) in days.iter().enumerate() {
        let Some(list) = list else { continue };
        let open = day_of(window, day);
        for (i, _) in list.iter().enumerate().filter(|(_, interval)| !holds_all(open, &[**interval])) {
            let problem = AdjustProblem::Wider {
                purpose: spot.purpose,
                channel: spot.channel,
                article: article(&rule.grounds),
            };
            mistakes.add(wrong(format!("{}[{i}]", day_key(spot.place, day)), problem));
        }
        day_of(&mut layer, day).clone_from(list);
    }
    rule.narrowed.push((layer, spot.by));
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

fn kind_of(place: &str, cap: &OwnCap) -> Result<CapKind, AdjustError> {
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
