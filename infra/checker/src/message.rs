//! Messages: are they about something that may be reminded of, at the right stage, once?
//!
//! Invariant: every message is checked against the facts of its own local day.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveDateTime, Offset};

use crate::Ground;
use crate::history::ObligationHistory;
use crate::ladder::{OVERDUE, PRE_DUE};
use crate::line::{Item, Message};
use crate::report::{Findings, LogFile, Rule, Violation};

/// A message with what the history says about it.
pub(crate) struct Sent<'a> {
    pub(crate) message: &'a Message,
    /// The customer's local time.
    pub(crate) local: NaiveDateTime,
    /// The purpose by the due dates of the history; as stated where the history knows none of the obligations.
    pub(crate) purpose: &'a str,
    /// The obligations that could be reminded of; the others are violations already.
    pub(crate) items: Vec<&'a Item>,
}

impl Sent<'_> {
    pub(crate) fn on(&self) -> NaiveDate {
        self.local.date()
    }

    pub(crate) fn violation(&self, rule: Rule, detail: impl Into<String>) -> Violation {
        Violation {
            on: Some(self.on()),
            customer: Some(self.message.customer.clone()),
            touch: Some(self.message.touch.clone()),
            ..Violation::new(rule, detail).at(LogFile::Messages, self.message.line)
        }
    }

    fn item_violation(&self, item: &Item, rule: Rule, detail: impl Into<String>) -> Violation {
        Violation { obligation: Some(item.id.clone()), ..self.violation(rule, detail) }
    }
}

/// Checks the messages and returns them in the order of their instants.
pub(crate) fn check_messages<'a>(
    ground: &Ground<'_>,
    messages: &'a [Message],
    findings: &mut Findings,
) -> Vec<Sent<'a>> {
    for pair in messages.windows(2) {
        if let [earlier, later] = pair
            && later.at < earlier.at
        {
            let detail = format!("{} stands after {}", later.at, earlier.at);
            let violation = Violation::new(Rule::Order, detail).at(LogFile::Messages, later.line);
            findings.add(Violation { touch: Some(later.touch.clone()), ..violation });
        }
    }
    let mut in_order: Vec<&Message> = messages.iter().collect();
    in_order.sort_by_key(|m| (m.at, m.line));
    let mut seen = Seen::default();
    let mut sent = Vec::new();
    for message in in_order {
        let local = message.at.with_timezone(&ground.day_zone_of(&message.customer));
        let mut one =
            Sent { message, local: local.naive_local(), purpose: &message.purpose, items: Vec::new() };
        if !ground.covers(one.on()) {
            let detail = format!("expected a day from {} to {}", ground.from, ground.to);
            findings.add(one.violation(Rule::Period, detail));
        }
        if ground.zone_of(&message.customer).is_none() {
            let detail = "nobody knows by which clock the customer lives";
            findings.add(one.violation(Rule::NoTimeZone, detail));
        } else if message.at.offset() != &local.offset().fix() {
            let detail = format!("written with {}; expected {}", message.at.offset(), local.offset().fix());
            findings.add(one.violation(Rule::Offset, detail));
        }
        check_once(&one, &mut seen, findings);
        let known = check_facts(ground, &mut one, findings);
        for (item, history) in &known {
            check_stage(ground, &one, item, history, &mut seen, findings);
        }
        check_lead(ground, &mut one, &known, findings);
        sent.push(one);
    }
    sent
}

/// What was sent so far.
#[derive(Default)]
struct Seen<'a> {
    touches: BTreeSet<&'a str>,
    days: BTreeSet<(&'a str, NaiveDate)>,
    /// The stages of each customer's obligation, in the order of sending.
    stages: BTreeMap<(&'a str, &'a str), Vec<&'a str>>,
}

fn check_once<'a>(sent: &Sent<'a>, seen: &mut Seen<'a>, findings: &mut Findings) {
    let message = sent.message;
    if !seen.touches.insert(&message.touch) {
        findings.add(sent.violation(Rule::TouchTwice, "the touch was sent before"));
    }
    if !seen.days.insert((&message.customer, sent.on())) {
        findings.add(sent.violation(Rule::OneMessageADay, "the customer got a message before on this day"));
    }
}

/// Checks that each obligation may be reminded of on the day; returns all that the history knows.
fn check_facts<'a, 'h>(
    ground: &Ground<'h>,
    sent: &mut Sent<'a>,
    findings: &mut Findings,
) -> Vec<(&'a Item, &'h ObligationHistory)> {
    let (message, on) = (sent.message, sent.on());
    let mut known = Vec::new();
    for item in &message.items {
        let Some(history) = ground.histories.get(&message.customer, &item.id) else {
            let detail = "the history has no such obligation of this customer";
            findings.add(sent.item_violation(item, Rule::UnknownObligation, detail));
            continue;
        };
        known.push((item, history));
        let broken = if !history.is_known_on(on) {
            Some((Rule::MessageNotYetKnown, "it is not known yet"))
        } else if history.is_closed_on(on) {
            Some((Rule::MessageClosed, "it is closed"))
        } else if history.is_disputed_on(on) {
            Some((Rule::MessageDisputed, "it is in dispute"))
        } else {
            None
        };
        match broken {
            Some((rule, detail)) => findings.add(sent.item_violation(item, rule, detail)),
            None => sent.items.push(item),
        }
    }
    known
}

fn check_stage<'a>(
    ground: &Ground<'_>,
    sent: &Sent<'a>,
    item: &'a Item,
    history: &ObligationHistory,
    seen: &mut Seen<'a>,
    findings: &mut Findings,
) {
    let dpd = history.dpd_on(sent.on());
    let Some(stage) = ground.ladder.stage(&item.stage) else {
        findings.add(sent.item_violation(
            item,
            Rule::StageUnknown,
            format!("the policy has no {}", item.stage),
        ));
        return;
    };
    let before = seen.stages.entry((&sent.message.customer, &item.id)).or_default();
    let passed = before.iter().find(|id| ground.ladder.stage(id).is_some_and(|s| s.dpd >= stage.dpd));
    if before.contains(&item.stage.as_str()) {
        findings.add(sent.item_violation(item, Rule::StageTwice, format!("{} was sent before", stage.id)));
    } else if let Some(passed) = passed {
        let detail = format!("{} comes after {passed}", stage.id);
        findings.add(sent.item_violation(item, Rule::StageBackwards, detail));
    }
    before.push(&item.stage);
    if dpd > ground.ladder.until_dpd {
        let detail = format!("{dpd} days past due; the policy ends at {}", ground.ladder.until_dpd);
        findings.add(sent.item_violation(item, Rule::PolicyOver, detail));
    }
    if stage.dpd > dpd {
        let detail = format!("{} is due at {} days past due, not at {dpd}", stage.id, stage.dpd);
        findings.add(sent.item_violation(item, Rule::StageNotDue, detail));
    } else if !stage.fits(dpd) {
        let detail = format!("{} ends with the due date; it is {dpd} days past due", stage.id);
        findings.add(sent.item_violation(item, Rule::StageExpired, detail));
    } else if let Some(higher) = ground.ladder.due_above(stage, dpd) {
        let detail = format!("{} was sent at {dpd} days past due, when {} is due", stage.id, higher.id);
        findings.add(sent.item_violation(item, Rule::StageNotHighest, detail));
    }
}

/// Checks that the message speaks as its most overdue obligation asks for, and sets its purpose by the history.
fn check_lead(
    ground: &Ground<'_>,
    sent: &mut Sent<'_>,
    known: &[(&Item, &ObligationHistory)],
    findings: &mut Findings,
) {
    let (message, on) = (sent.message, sent.on());
    let Some(dpd) = known.iter().map(|(_, history)| history.dpd_on(on)).max() else { return };
    sent.purpose = if dpd <= 0 { PRE_DUE } else { OVERDUE };
    // Where several are equally overdue, each of them can lead.
    let leads: Vec<&Item> =
        known.iter().filter(|(_, h)| h.dpd_on(on) == dpd).map(|(item, _)| *item).collect();
    if !leads.iter().any(|item| item.stage == message.stage) {
        let expected: Vec<&str> = leads.iter().map(|item| item.stage.as_str()).collect();
        let detail = format!("the stage is {}; expected {}", message.stage, expected.join(" or "));
        findings.add(sent.violation(Rule::LeadStage, detail));
    }
    let tones: Vec<&str> =
        leads.iter().filter_map(|item| ground.ladder.stage(&item.stage)).map(|s| s.tone.as_str()).collect();
    if !tones.is_empty() && !tones.contains(&message.tone.as_str()) {
        let detail = format!("the tone is {}; expected {}", message.tone, tones.join(" or "));
        findings.add(sent.violation(Rule::LeadTone, detail));
    }
    if message.purpose != sent.purpose {
        let detail =
            format!("the purpose is {}; expected {} at {dpd} days past due", message.purpose, sent.purpose);
        findings.add(sent.violation(Rule::LeadPurpose, detail));
    }
}
