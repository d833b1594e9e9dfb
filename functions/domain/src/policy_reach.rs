//! Reach of a policy: which stages can never be sent lawfully under a profile, found out before anybody waits for them.
//!
//! Invariant: a stage is objected to only where every channel that a group of customers has at it is closed for the
//! whole of [`REACH_DAYS`]; each closed channel comes with its reason.

use std::fmt;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;

use crate::channel::{Channel, Purpose};
use crate::contact_check::{ContactQuery, ReasonCode};
use crate::customer::CustomerKind;
use crate::ids::{SegmentId, StageId};
use crate::jurisdiction::{Interval, Jurisdiction, Requirement, Rule, article};
use crate::policy::{ChannelRule, Policy, Stage};
use crate::zone::DAYS_WITHOUT_ZONE;

/// How many days from the asked one are looked at: a year, whichever it is.
pub const REACH_DAYS: u64 = 366;

/// The list of a holiday, past those of the weekdays.
const HOLIDAY: usize = 7;

/// A stage that some customers can never get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReachObjection {
    /// The stage.
    pub stage: StageId,
    /// What it is for.
    pub purpose: Purpose,
    /// Whom it cannot reach.
    pub group: ReachGroup,
    /// Every channel that the group has at the stage, each with its reason.
    pub channels: Vec<ClosedChannel>,
}

/// The customers that an objection is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReachGroup {
    /// Those that the stage's own channels are for: no rule of the policy puts others first.
    StageChannels,
    /// Those of a channel rule of the policy.
    ChannelRule {
        /// The kind that the rule names.
        kind: Option<CustomerKind>,
        /// The segment that the rule names.
        segment: Option<SegmentId>,
    },
}

/// A channel on which a purpose can never be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedChannel {
    /// The channel.
    pub channel: Channel,
    /// Why.
    pub reason: UnreachableReason,
}

/// Why a channel can never serve a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnreachableReason {
    /// The profile has no rule for it.
    NoRule,
    /// A gate that the facts of a customer cannot answer.
    Gate {
        /// Which.
        gate: Requirement,
        /// The article.
        article: String,
    },
    /// No hour of any weekday or holiday is left open.
    NoHours {
        /// The article, and the tenant's own rules where they close what it leaves open.
        article: String,
        /// The places of the tenant's own rules that take part.
        adjustments: Vec<String>,
    },
    /// Hours are open, but on no day of the year that was looked at.
    NoDay {
        /// What stands in the way at its beginning.
        code: ReasonCode,
        /// The first day that was looked at.
        from: NaiveDate,
    },
}

impl fmt::Display for UnreachableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule of the profile allows it"),
            Self::Gate { gate, article } => {
                write!(f, "{article} asks for {}, which no fact of a customer can show", gate.as_str())
            }
            Self::NoHours { article, adjustments } if adjustments.is_empty() => {
                write!(f, "no hour of any day is open: {article}")
            }
            Self::NoHours { article, adjustments } => {
                write!(f, "no hour of any day is left open by {article} with {}", adjustments.join(", "))
            }
            Self::NoDay { code, from } => {
                write!(f, "no day in the {REACH_DAYS} from {from} is open, the first because of {code}")
            }
        }
    }
}

impl fmt::Display for ReachGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StageChannels => f.write_str("customers without a channel rule"),
            Self::ChannelRule { kind, segment } => {
                let kind = kind.map_or("any", CustomerKind::as_str);
                let segment = segment.as_ref().map_or("any", |s| s.as_str());
                write!(f, "customers of kind {kind} and segment {segment}")
            }
        }
    }
}

impl fmt::Display for ReachObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {} ({}) can never be sent to {}", self.stage, self.purpose, self.group)?;
        for (i, closed) in self.channels.iter().enumerate() {
            let before = if i == 0 { ": " } else { "; " };
            write!(f, "{before}by {}, {}", closed.channel, closed.reason)?;
        }
        Ok(())
    }
}

/// What of a policy can never be sent under a profile in the [`REACH_DAYS`] from a day, in the order of the stages.
/// Empty where every stage has at least one open channel for everybody it is for.
#[must_use]
pub fn objections(policy: &Policy, jurisdiction: &Jurisdiction, from: NaiveDate) -> Vec<ReachObjection> {
    let mut found = Vec::new();
    for stage in &policy.stages {
        let reach = |channel| unreachable(jurisdiction, stage.purpose, channel, from);
        let Some(closed) = all_closed(&stage.channels, reach) else { continue };
        // With a channel of the stage open everybody is served; without, each group has what its rule adds.
        // The first rule that fits decides, so what stands behind a rule for everybody is for nobody.
        let everybody =
            policy.channel_rules.iter().position(|rule| rule.kind.is_none() && rule.segment.is_none());
        let rules = &policy.channel_rules[..everybody.map_or(policy.channel_rules.len(), |i| i + 1)];
        let groups = rules.iter().filter(|rule| may_meet(stage, rule)).filter_map(|rule| {
            let own: Vec<Channel> =
                rule.channels.iter().copied().filter(|c| policy.templates.has(&stage.template, *c)).collect();
            let own = all_closed(&own, reach)?;
            let group = ReachGroup::ChannelRule { kind: rule.kind, segment: rule.segment.clone() };
            Some((group, own))
        });
        let rest = everybody.is_none().then_some((ReachGroup::StageChannels, Vec::new()));
        for (group, mut channels) in rest.into_iter().chain(groups) {
            let more: Vec<ClosedChannel> = closed
                .iter()
                .filter(|c| channels.iter().all(|own| own.channel != c.channel))
                .cloned()
                .collect();
            channels.extend(more);
            found.push(ReachObjection { stage: stage.id.clone(), purpose: stage.purpose, group, channels });
        }
    }
    found
}

/// The channels with their reasons, where every one of them is closed.
fn all_closed(
    channels: &[Channel],
    reach: impl Fn(Channel) -> Option<UnreachableReason>,
) -> Option<Vec<ClosedChannel>> {
    channels
        .iter()
        .map(|channel| Some(ClosedChannel { channel: *channel, reason: reach(*channel)? }))
        .collect()
}

/// Whether a customer can be both one that the stage is for and one that the rule is for.
fn may_meet(stage: &Stage, rule: &ChannelRule) -> bool {
    let when = &stage.when;
    let kind = rule.kind.is_none_or(|kind| when.kinds.is_empty() || when.kinds.contains(&kind));
    let segment =
        rule.segment.as_ref().is_none_or(|one| when.segments.is_empty() || when.segments.contains(one));
    kind && segment
}

fn unreachable(
    jurisdiction: &Jurisdiction,
    purpose: Purpose,
    channel: Channel,
    from: NaiveDate,
) -> Option<UnreachableReason> {
    let Some((_, rule)) = jurisdiction.rule(purpose, channel) else { return Some(UnreachableReason::NoRule) };
    if let Some(gate) = rule.require.iter().find(|gate| !can_be_shown(**gate)) {
        return Some(UnreachableReason::Gate { gate: *gate, article: article(&rule.grounds) });
    }
    // What is exempt from hours is open at any moment.
    rule.window.as_ref()?;
    if (0..=HOLIDAY).all(|day| !open_on(rule, day)) {
        let by = rule.narrowed.iter().map(|(_, by)| *by).chain(rule.window_by);
        let adjustments =
            by.filter_map(|by| Some(jurisdiction.adjustment(Some(by))?.place.clone())).collect();
        return Some(UnreachableReason::NoHours { article: article(&rule.grounds), adjustments });
    }
    let at = first_instant(jurisdiction, from);
    let query = ContactQuery {
        purpose,
        channel,
        at,
        time_zone: any_zone(jurisdiction),
        prior: &[],
        agreed_hours: None,
    };
    let until_at = first_instant(jurisdiction, from.checked_add_days(Days::new(REACH_DAYS)).unwrap_or(from));
    if jurisdiction.next_allowed_at(&query).is_some_and(|next_at| next_at < until_at) {
        return None;
    }
    let code = jurisdiction.check(&query).code().unwrap_or(ReasonCode::OutsideHours);
    Some(UnreachableReason::NoDay { code, from })
}

/// Whether the facts of a customer can ever show that a gate is passed; `Customer::passes` asks them.
fn can_be_shown(gate: Requirement) -> bool {
    match gate {
        Requirement::OptIn => true,
        Requirement::OptInByOwnInitiative | Requirement::NotInRegistry => false,
    }
}

/// Whether the profile and the tenant leave a moment of a kind of day open.
fn open_on(rule: &Rule, day: usize) -> bool {
    let Some(window) = &rule.window else { return true };
    let list = |window: &crate::jurisdiction::Window| -> Vec<Interval> {
        if day == HOLIDAY { window.holiday.to_vec() } else { window.weekdays[day].to_vec() }
    };
    let mut open = list(window);
    for (hours, _) in &rule.narrowed {
        let narrowed = list(hours);
        let both = |a: &Interval, b: &Interval| Interval {
            from_second: a.from_second.max(b.from_second),
            to_second: a.to_second.min(b.to_second),
        };
        open = open
            .iter()
            .flat_map(|a| narrowed.iter().map(move |b| both(a, b)))
            .filter(|i| i.from_second < i.to_second)
            .collect();
    }
    !open.is_empty()
}

/// A clock to look at days by. Where the profile has none any does: whether there is an open moment is the same by each.
fn any_zone(jurisdiction: &Jurisdiction) -> Tz {
    jurisdiction.time_zone().unwrap_or(DAYS_WITHOUT_ZONE)
}

/// An instant at which the day has not yet begun, or just begins, in the profile's zone.
fn first_instant(jurisdiction: &Jurisdiction, on: NaiveDate) -> DateTime<Utc> {
    use chrono::TimeZone;
    let midnight = on.and_time(NaiveTime::MIN);
    let local = any_zone(jurisdiction).from_local_datetime(&midnight).earliest();
    local.map_or_else(|| midnight.and_utc(), |at| at.to_utc())
}

#[cfg(test)]
#[path = "policy_reach_tests.rs"]
mod tests;
