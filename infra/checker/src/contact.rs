//! Contacts: was every message allowed by the jurisdiction at its moment?
//!
//! Invariant: days, weeks and hours are the customer's own; the contacts that feed a cap are the messages before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate};

use crate::Ground;
use crate::hours::broken_hours;
use crate::law::Law;
use crate::message::Sent;
use crate::profile::{Cap, CapKind, ContactRule, Per, Profile};
use crate::report::{Findings, Rule};

/// The days of a week.
const WEEK_DAYS: i64 = 7;
const HOUR_MILLIS: i64 = 3_600_000;

/// Checks the messages, which stand in the order of their instants.
pub(crate) fn check_contacts(ground: &Ground<'_>, sent: &[Sent<'_>], findings: &mut Findings) {
    let mut before: BTreeMap<&str, Vec<&Sent<'_>>> = BTreeMap::new();
    for one in sent {
        let prior = before.entry(&one.message.customer).or_default();
        check_contact(ground, one, prior, findings);
        prior.push(one);
    }
}

fn check_contact(ground: &Ground<'_>, sent: &Sent<'_>, prior: &[&Sent<'_>], findings: &mut Findings) {
    let (purpose, channel) = (sent.purpose, sent.message.channel.as_str());
    let law = ground.law_of(&sent.message.customer);
    let Some(rule) = law.profile.rule(purpose, channel) else {
        findings.add(sent.violation(Rule::NoRule, format!("no rule allows {channel} for {purpose}")));
        return;
    };
    if rule.exempt {
        return;
    }
    check_hours(law, sent, rule, findings);
    for cap in &rule.caps {
        if let Some(detail) = passed(&law.profile, cap, sent, prior) {
            findings.add(sent.violation(Rule::Cap, format!("{}: {detail}", cap.code)));
        }
    }
}

fn check_hours(law: &Law, sent: &Sent<'_>, rule: &ContactRule, findings: &mut Findings) {
    let contact = (rule, sent.purpose, sent.message.channel.as_str());
    let Some(broken) = broken_hours(&law.profile, &law.holidays, contact, sent.local) else { return };
    let detail = if broken == Rule::NoCalendar {
        "the holiday table does not know the year".to_owned()
    } else {
        format!("{} on a {}", sent.local, sent.on().weekday())
    };
    findings.add(sent.violation(broken, detail));
}

/// How a cap is passed, if it is.
fn passed(profile: &Profile, cap: &Cap, sent: &Sent<'_>, prior: &[&Sent<'_>]) -> Option<String> {
    if !profile.counts_messages {
        return None;
    }
    let counted: Vec<&&Sent<'_>> = prior.iter().filter(|p| cap.counts(&p.message.channel)).collect();
    let in_period = |per: Per| counted.iter().filter(move |p| same_period(profile, per, p.on(), sent.on()));
    match cap.kind {
        CapKind::Count { per, max } => {
            let before = in_period(per).count();
            (before >= max).then(|| format!("{before} contacts before, at most {max} allowed"))
        }
        CapKind::DistinctChannels { per, max } => {
            let mut channels: BTreeSet<&str> = in_period(per).map(|p| p.message.channel.as_str()).collect();
            channels.insert(&sent.message.channel);
            (channels.len() > max).then(|| format!("{} channels, at most {max} allowed", channels.len()))
        }
        CapKind::MinGap { hours } => {
            let last = counted.iter().map(|p| p.message.at).max()?;
            let gap_millis = (sent.message.at - last).num_milliseconds();
            (gap_millis < hours * HOUR_MILLIS)
                .then(|| format!("{gap_millis} ms after the last, at least {hours} h"))
        }
        CapKind::RollingCount { days, max } => {
            let before = counted.iter().filter(|p| (sent.on() - p.on()).num_days() < days).count();
            (before >= max).then(|| format!("{before} contacts in {days} days before, at most {max} allowed"))
        }
        CapKind::AfterDirect {} => None,
    }
}

/// Whether an earlier date lies in the same day or week as a date.
fn same_period(profile: &Profile, per: Per, earlier: NaiveDate, on: NaiveDate) -> bool {
    match per {
        Per::Day => earlier == on,
        Per::Week if profile.iso_week => earlier.iso_week() == on.iso_week(),
        Per::Week => (on - earlier).num_days() < WEEK_DAYS,
    }
}
