//! The ladder: which stage of a policy is due for an obligation on a day.
//!
//! Invariant: the stage is derived from the due date, the day and the stage that was reached, never from a counter.
//! A missed day therefore catches up by itself: the highest stage that is due is taken, the lower ones give way.

use chrono::NaiveDate;

use crate::customer::Customer;
use crate::fence::Reached;
use crate::obligation::{Hold, dpd};
use crate::policy::{Policy, Stage};
use crate::verdict::{Reason, ReasonCode};

/// What is known about an obligation when its stage is looked up.
#[derive(Debug, Clone, Copy)]
pub struct Rung<'a> {
    /// The due date.
    pub due_on: NaiveDate,
    /// What stops its reminders.
    pub holds: &'a [Hold],
    /// The stage reached in this cycle.
    pub reached: Option<&'a Reached>,
    /// The customer and the outstanding amount in minor units; `None` in the triage of a scan, which reads neither.
    pub debtor: Option<(&'a Customer, i64)>,
}

/// The stage that is due, or why none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageDue<'p> {
    /// A stage is due and was not sent yet.
    Due {
        /// The highest stage that is due.
        stage: &'p Stage,
        /// Lower stages that were never sent and now give way, lowest first.
        superseded: Vec<&'p Stage>,
        /// Days past due on the day.
        dpd: i32,
    },
    /// Nothing to do, with the stage that the reason is about.
    Quiet(Option<&'p Stage>, Reason),
}

/// The stage that is due for an obligation on a day.
///
/// Without a debtor (in triage) a stage with conditions counts as met: the plan, which knows the debtor, decides.
#[must_use]
pub fn stage_due<'p>(policy: &'p Policy, rung: &Rung<'_>, on: NaiveDate) -> StageDue<'p> {
    let dpd = dpd(rung.due_on, on);
    if dpd > policy.until_dpd {
        return StageDue::Quiet(None, Reason::new(ReasonCode::WindowOver, policy.window_text.clone()));
    }
    let due = || policy.stages.iter().rev().filter(|s| s.dpd <= dpd);
    let Some(highest) = due().next() else {
        return StageDue::Quiet(None, Reason::new(ReasonCode::NotDueYet, policy.first_stage_text.clone()));
    };
    if let Some(hold) = rung.holds.iter().find(|h| h.covers(on)) {
        let until = hold.until_on.map_or(String::new(), |until| format!(" until {until}"));
        let detail = format!("on hold since {}{until}", hold.from_on);
        return StageDue::Quiet(Some(highest), Reason::new(ReasonCode::Held(hold.reason), detail));
    }
    let applies = |s: &&Stage| rung.debtor.is_none_or(|(customer, minor)| s.when.applies_to(customer, minor));
    let Some(stage) = due().find(applies) else {
        let detail = format!("no stage up to {} applies to this customer and amount", highest.id);
        return StageDue::Quiet(Some(highest), Reason::new(ReasonCode::ConditionNotMet, detail));
    };
    // A stage that another version of the policy has moved to a later day stays the stage that it was.
    if rung.reached.is_some_and(|r| r.dpd >= stage.dpd || r.stage == stage.id) {
        return StageDue::Quiet(Some(stage), Reason::new(ReasonCode::StageReached, stage.sent_text.clone()));
    }
    if !stage.serves(dpd) {
        let detail = format!("{} is for {} and the due date has passed", stage.id, stage.purpose);
        return StageDue::Quiet(Some(stage), Reason::new(ReasonCode::StageExpired, detail));
    }
    let superseded = policy
        .stages
        .iter()
        .filter(|s| s.dpd < stage.dpd && rung.reached.is_none_or(|r| s.dpd > r.dpd))
        .filter(applies)
        .collect();
    StageDue::Due { stage, superseded, dpd }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StageId;
    use crate::obligation::HoldReason;
    use crate::policy::tests::ladder_policy;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn rung(reached: Option<&Reached>) -> Rung<'_> {
        Rung { due_on: day("2026-03-10"), holds: &[], reached, debtor: None }
    }

    fn reached(stage: &str, dpd: i32) -> Reached {
        Reached { due_on: day("2026-03-10"), stage: StageId::new(stage).unwrap(), dpd }
    }

    fn stage_of(due: &StageDue<'_>) -> String {
        match due {
            StageDue::Due { stage, superseded, .. } => {
                let gone: Vec<&str> = superseded.iter().map(|s| s.id.as_str()).collect();
                format!("{} over [{}]", stage.id, gone.join(" "))
            }
            StageDue::Quiet(_, reason) => reason.code.to_string(),
        }
    }

    #[test]
    fn the_stage_follows_from_the_day() {
        let policy = ladder_policy();
        let at = |on: &str| stage_of(&stage_due(&policy, &rung(None), day(on)));
        assert_eq!(at("2026-03-06"), "not_due_yet");
        assert_eq!(at("2026-03-07"), "d-3 over []");
        assert_eq!(at("2026-03-10"), "d0 over [d-3]");
        assert_eq!(at("2026-03-11"), "stage_expired");
        assert_eq!(at("2026-03-13"), "d3 over [d-3 d0]");
        assert_eq!(at("2026-06-08"), "d30 over [d-3 d0 d3 d8 d15]");
        assert_eq!(at("2026-06-09"), "window_over");
    }

    #[test]
    fn a_missed_day_catches_up_and_a_sent_stage_stays_sent() {
        let policy = ladder_policy();
        let d3 = reached("d3", 3);
        let at = |on: &str| stage_of(&stage_due(&policy, &rung(Some(&d3)), day(on)));
        assert_eq!(at("2026-03-17"), "stage_reached");
        assert_eq!(at("2026-03-18"), "d8 over []");
        assert_eq!(at("2026-03-25"), "d15 over [d8]");
    }

    #[test]
    fn a_stage_never_goes_back_when_a_date_moves_within_the_cycle() {
        let policy = ladder_policy();
        let d15 = reached("d15", 15);
        let due = stage_due(&policy, &rung(Some(&d15)), day("2026-03-14"));
        assert_eq!(stage_of(&due), "stage_reached");
    }

    #[test]
    fn a_hold_stops_the_stage_for_its_days_only() {
        let policy = ladder_policy();
        let hold = Hold {
            reason: HoldReason::Dispute,
            from_on: day("2026-03-10"),
            until_on: Some(day("2026-03-20")),
        };
        let holds = [hold];
        let held = Rung { holds: &holds, ..rung(None) };
        assert_eq!(stage_of(&stage_due(&policy, &held, day("2026-03-09"))), "d-3 over []");
        assert_eq!(stage_of(&stage_due(&policy, &held, day("2026-03-13"))), "dispute");
        assert_eq!(stage_of(&stage_due(&policy, &held, day("2026-03-20"))), "d8 over [d-3 d0 d3]");
    }
}
