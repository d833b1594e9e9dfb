//! Decisions: is there exactly one for every obligation and day, and was it carried out?
//!
//! Invariant: what must be there is walked from the history day by day, never from what the file happens to hold.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};

use crate::Ground;
use crate::history::ObligationHistory;
use crate::line::{Decision, VerdictWord};
use crate::message::Sent;
use crate::report::{Findings, LogFile, Rule, Violation};

/// The decisions about one obligation by day, the first of each day.
type ByDay<'a> = BTreeMap<NaiveDate, &'a Decision>;

impl Decision {
    fn violation(&self, rule: Rule, detail: impl Into<String>) -> Violation {
        Violation {
            on: Some(self.on),
            customer: Some(self.customer.clone()),
            obligation: Some(self.obligation.clone()),
            ..Violation::new(rule, detail).at(LogFile::Decisions, self.line)
        }
    }
}

/// Checks the decisions; returns how often a stage fell due.
pub(crate) fn check_decisions(
    ground: &Ground<'_>,
    decisions: &[Decision],
    sent: &[Sent<'_>],
    findings: &mut Findings,
) -> usize {
    let mut by_obligation: BTreeMap<(&str, &str), ByDay<'_>> = BTreeMap::new();
    for decision in decisions {
        check_line(ground, decision, findings);
        let days = by_obligation.entry((&decision.customer, &decision.obligation)).or_default();
        if let Some(first) = days.get(&decision.on) {
            let detail = format!("line {} decides for the same obligation and day", first.line);
            findings.add(decision.violation(Rule::DecidedTwice, detail));
        } else {
            days.insert(decision.on, decision);
        }
    }
    check_pairs(ground, decisions, sent, findings);
    let mut stages_due = 0;
    let nothing = ByDay::new();
    for history in ground.histories.all() {
        let key = (history.customer.as_str(), history.obligation.as_str());
        let days = by_obligation.get(&key).unwrap_or(&nothing);
        stages_due += check_days(ground, history, days, findings);
        check_deferrals(ground, history, days, findings);
    }
    stages_due
}

/// What can be said about one line by itself.
fn check_line(ground: &Ground<'_>, decision: &Decision, findings: &mut Findings) {
    let on = decision.on;
    if !ground.covers(on) {
        let detail = format!("expected a day from {} to {}", ground.from, ground.to);
        findings.add(decision.violation(Rule::Period, detail));
    }
    if decision.reasons.is_empty() || decision.reasons.iter().any(|reason| reason.code.trim().is_empty()) {
        findings.add(decision.violation(Rule::NoReason, "expected at least one reason, each with a code"));
    }
    if let Some(stage) = decision.stage.as_ref().filter(|id| ground.ladder.stage(id).is_none()) {
        findings.add(decision.violation(Rule::StageUnknown, format!("the policy has no {stage}")));
    }
    match ground.histories.get(&decision.customer, &decision.obligation) {
        None => {
            let detail = "the history has no such obligation of this customer";
            findings.add(decision.violation(Rule::UnknownObligation, detail));
        }
        Some(history) if !history.is_known_on(on) => {
            findings.add(decision.violation(Rule::DecisionNotYetKnown, "it is not known yet"));
        }
        Some(history) if history.is_closed_on(on) => {
            findings.add(decision.violation(Rule::DecisionClosed, "it is closed"));
        }
        Some(_) => {}
    }
}

/// Every decision to send has its message, and every message its decision to send.
fn check_pairs(ground: &Ground<'_>, decisions: &[Decision], sent: &[Sent<'_>], findings: &mut Findings) {
    let mut carried = BTreeSet::new();
    for one in sent {
        for item in &one.message.items {
            carried.insert((one.on(), one.message.customer.as_str(), item.id.as_str(), item.stage.as_str()));
        }
    }
    let mut decided = BTreeSet::new();
    for decision in decisions.iter().filter(|d| d.verdict == VerdictWord::Send) {
        let stage = decision.stage.as_deref().unwrap_or_default();
        let key = (decision.on, decision.customer.as_str(), decision.obligation.as_str(), stage);
        decided.insert(key);
        // What should not be decided about at all is a violation already.
        let decidable = ground
            .histories
            .get(&decision.customer, &decision.obligation)
            .is_some_and(|h| h.is_known_on(decision.on) && !h.is_closed_on(decision.on));
        if decidable && !carried.contains(&key) {
            let detail = format!("no message of the day carries it at stage {stage:?}");
            findings.add(decision.violation(Rule::SendWithoutMessage, detail));
        }
    }
    for one in sent {
        for item in &one.items {
            let key = (one.on(), one.message.customer.as_str(), item.id.as_str(), item.stage.as_str());
            if !decided.contains(&key) {
                let detail = format!("no decision of the day sends it at stage {}", item.stage);
                let violation = one.violation(Rule::MessageWithoutSend, detail);
                findings.add(Violation { obligation: Some(item.id.clone()), ..violation });
            }
        }
    }
}

/// Every day of the policy on which the obligation is known and open has a decision. Returns how often a stage fell
/// due.
fn check_days(
    ground: &Ground<'_>,
    history: &ObligationHistory,
    days: &ByDay<'_>,
    findings: &mut Findings,
) -> usize {
    let mut stages_due = 0;
    for on in ground.from.iter_days().take_while(|on| *on <= ground.to) {
        let dpd = history.dpd_on(on);
        let in_policy = ground.ladder.first_dpd <= dpd && dpd <= ground.ladder.until_dpd;
        if !in_policy || !history.is_known_on(on) || history.is_closed_on(on) {
            continue;
        }
        let missing = |rule: Rule, detail: String| Violation {
            on: Some(on),
            customer: Some(history.customer.clone()),
            obligation: Some(history.obligation.clone()),
            ..Violation::new(rule, detail)
        };
        let triggered = ground.ladder.triggered_on(dpd);
        let falls_due = !triggered.is_empty() && !history.is_disputed_on(on);
        if falls_due {
            stages_due += triggered.len();
        }
        let Some(decision) = days.get(&on) else {
            findings.add(if falls_due {
                let ids: Vec<&str> = triggered.iter().map(|s| s.id.as_str()).collect();
                missing(Rule::StageUndecided, format!("{} falls due and nothing was decided", ids.join(", ")))
            } else {
                missing(Rule::DayUndecided, format!("nothing was decided at {dpd} days past due"))
            });
            continue;
        };
        // A stage with conditions need not be for this customer; the reason of the line says so.
        let for_everybody = triggered.iter().any(|s| !s.is_conditional);
        let named = triggered.iter().any(|s| decision.stage.as_deref() == Some(s.id.as_str()));
        if falls_due && for_everybody && !named {
            let ids: Vec<&str> = triggered.iter().map(|s| s.id.as_str()).collect();
            let detail = format!("it names {:?}; {} falls due", decision.stage, ids.join(", "));
            findings.add(decision.violation(Rule::StageUnnamed, detail));
        }
    }
    stages_due
}

/// Every deferral is taken up again by the next day, or by its own end.
fn check_deferrals(
    ground: &Ground<'_>,
    history: &ObligationHistory,
    days: &ByDay<'_>,
    findings: &mut Findings,
) {
    let zone = ground.day_zone_of(&history.customer);
    for (on, decision) in days.iter().filter(|(_, d)| d.verdict == VerdictWord::Defer) {
        let Some(tomorrow) = on.checked_add_days(Days::new(1)) else { continue };
        let until_on = decision
            .reasons
            .iter()
            .filter_map(|reason| reason.until)
            .map(|until| until.with_timezone(&zone).date_naive())
            .min();
        let latest_on = until_on.map_or(tomorrow, |until_on| until_on.max(tomorrow));
        let taken_up = days.range(tomorrow..=latest_on).next().is_some();
        let over = latest_on > ground.to || history.is_stopped_within(tomorrow, latest_on);
        if !taken_up && !over {
            let detail = format!("nothing was decided again by {latest_on}");
            findings.add(decision.violation(Rule::DeferralLost, detail));
        }
    }
}
