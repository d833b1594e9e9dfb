//! The fence of a customer: what every decision about the customer is checked against.
//!
//! Invariant: `version` grows with every fact that could forbid or change a send. A claim names the version it was
//! decided on, so a decision on old facts can never be carried out.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::contact::Contact;
use crate::ids::{ObligationId, StageId, TouchId};
use crate::touch::TouchItem;

/// How many days of contacts a fence keeps: the longest cap counts seven days, a month is for people.
pub const CONTACT_DAYS_KEPT: u64 = 35;

/// The most touches of a customer whose tries are counted: there is one in the making, or two.
pub const TRIED_TOUCHES_MAX: usize = 8;
/// How many attempts that did not arrive a fence keeps. Where it is full, no further stage falls back.
pub const FAILED_ATTEMPTS_MAX: usize = 16;
/// How far the clocks of two functions may be apart, in minutes.
pub const CLOCKS_APART_MINUTES_MAX: i64 = 10;
/// How many days an attempt that did not arrive is kept: longer than any ladder runs.
pub const FAILED_DAYS_KEPT: u64 = 365;

/// The highest stage that a claim has reached for an obligation in the cycle of one due date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The due date of the cycle; another one starts a new cycle.
    pub due_on: NaiveDate,
    /// The stage.
    pub stage: StageId,
    /// The trigger of the stage, in days past due, so that the order survives a renamed stage.
    pub dpd: i32,
}

/// A contact whose message surely did not arrive, and what it was about. Its stages were taken back, so that they can
/// be reached on another channel; on this one they never are again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The instant of the contact.
    pub at: DateTime<Utc>,
    /// Its channel.
    pub channel: Channel,
    /// The obligations whose stage was taken back.
    pub items: Vec<TouchItem>,
}

/// The last decision that was put on record, so that the same one of a day is recorded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDecision {
    /// The customer's local date of the decision.
    pub on: NaiveDate,
    /// What tells it from others, in hexadecimal digits.
    pub digest: String,
}

/// What every decision about the customer is checked against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    /// Grows by one with every fact and every claim.
    pub version: u64,
    /// Contacts of the last [`CONTACT_DAYS_KEPT`] days, oldest first.
    pub contacts: Vec<Contact>,
    /// The stage reached by each open obligation.
    pub reached: BTreeMap<ObligationId, Reached>,
    /// Attempts that did not arrive and whose stages are not passed yet, oldest first.
    pub failed: Vec<FailedAttempt>,
    /// The hash of the last audit entry; `None` before the first.
    pub audit_head: Option<String>,
    /// How often touches were tried and refused for now, at most [`TRIED_TOUCHES_MAX`] of them.
    pub tries: BTreeMap<TouchId, u32>,
    /// When the customer's personal data was erased: nothing about it is taken in or sent any more.
    pub erased_at: Option<DateTime<Utc>>,
    /// Whether that erasure has begun and is not known to have come to its end: some of the data may still be there.
    pub erasing: bool,
    /// The last decision on record; `None` before the first.
    pub recorded: Option<RecordedDecision>,
}

impl Fence {
    /// The stage reached by an obligation in the cycle of `due_on`.
    #[must_use]
    pub fn reached(&self, obligation: &ObligationId, due_on: NaiveDate) -> Option<&Reached> {
        self.reached.get(obligation).filter(|r| r.due_on == due_on)
    }

    /// The moment at which to decide when the clock shows `now`: after every contact that is on record, since a clock
    /// that lags behind the one of the last sender would see that contact in the future and not count it.
    #[must_use]
    pub fn after_contacts(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let ahead = Duration::minutes(CLOCKS_APART_MINUTES_MAX);
        let last_at = self.contacts.iter().map(|c| c.at).filter(|at| *at - now <= ahead).max();
        last_at.map_or(now, |at| now.max(at + Duration::milliseconds(1)))
    }

    /// Adds a contact in its place in time, and says whether that changed anything. The same contact counts once; one
    /// that the customer turns out to have answered counts as answered.
    pub fn add_contact(&mut self, contact: Contact) -> bool {
        let same = |c: &&mut Contact| c.at == contact.at && c.channel == contact.channel;
        if let Some(known) = self.contacts.iter_mut().find(same) {
            let news = contact.direct && !known.direct;
            known.direct |= contact.direct;
            return news;
        }
        let place = self.contacts.partition_point(|c| c.at <= contact.at);
        self.contacts.insert(place, contact);
        true
    }

    /// Counts one more try of a touch that was refused for now after `before` tries.
    pub fn count_try(&mut self, touch: &TouchId, before: u32) {
        self.tries.insert(touch.clone(), before.saturating_add(1));
        while self.tries.len() > TRIED_TOUCHES_MAX {
            let other = self.tries.keys().find(|id| *id != touch).cloned();
            let Some(other) = other else { return };
            self.tries.remove(&other);
        }
    }

    /// Whether a stage was tried on a channel in the cycle of `due_on`, and the message did not arrive.
    #[must_use]
    pub fn was_tried(
        &self,
        obligation: &ObligationId,
        due_on: NaiveDate,
        stage: &StageId,
        channel: Channel,
    ) -> bool {
        let is_it = |i: &TouchItem| i.obligation == *obligation && i.due_on == due_on && i.stage == *stage;
        self.failed.iter().any(|attempt| attempt.channel == channel && attempt.items.iter().any(is_it))
    }

    /// Whether the message of a contact surely did not arrive.
    #[must_use]
    pub fn did_not_arrive(&self, contact: &Contact) -> bool {
        self.failed.iter().any(|attempt| attempt.at == contact.at && attempt.channel == contact.channel)
    }

    /// Remembers an attempt whose message did not arrive and whose stages may go another way; its contact stays. Says
    /// whether it is new: not where it was remembered before, where every one of its stages is passed or was taken back by
    /// others, or where [`FAILED_ATTEMPTS_MAX`] attempts are kept already.
    pub fn remember_failed(&mut self, attempt: FailedAttempt) -> bool {
        self.forget_passed_attempts(attempt.at);
        let known = |a: &FailedAttempt| a.at == attempt.at && a.channel == attempt.channel;
        if attempt.items.is_empty()
            || self.failed.len() >= FAILED_ATTEMPTS_MAX
            || self.failed.iter().any(known)
        {
            return false;
        }
        self.failed.push(attempt);
        true
    }

    /// Forgets an attempt that was taken for failed and went out after all, so that its contact counts as one that may
    /// have arrived. Gives the obligations whose stage had been taken back.
    pub fn forget_failed(&mut self, at: DateTime<Utc>, channel: Channel) -> Vec<ObligationId> {
        let is_it = |a: &FailedAttempt| a.at == at && a.channel == channel;
        let Some(place) = self.failed.iter().position(is_it) else { return Vec::new() };
        self.failed.remove(place).items.into_iter().map(|item| item.obligation).collect()
    }

    /// Sets the stage of an obligation to what it was before a claim, in the cycle of the claim.
    pub fn take_back(&mut self, item: &TouchItem, before: &BTreeMap<ObligationId, Reached>) {
        match before.get(&item.obligation).filter(|r| r.due_on == item.due_on) {
            Some(reached) => self.reached.insert(item.obligation.clone(), reached.clone()),
            None => self.reached.remove(&item.obligation),
        };
    }

    /// Drops the attempts whose every stage is passed, and those older than [`FAILED_DAYS_KEPT`] days at `at`.
    fn forget_passed_attempts(&mut self, at: DateTime<Utc>) {
        let reached = &self.reached;
        let is_passed = |item: &TouchItem| {
            reached.get(&item.obligation).is_some_and(|r| r.due_on == item.due_on && r.dpd > item.dpd)
        };
        let first = at.checked_sub_days(Days::new(FAILED_DAYS_KEPT)).unwrap_or(at);
        self.failed.retain(|a| a.at >= first && !a.items.iter().all(is_passed));
    }

    /// Drops the contacts that are older than [`CONTACT_DAYS_KEPT`] days on `on`.
    pub fn forget_old_contacts(&mut self, on: NaiveDate) {
        if let Some(first) = on.checked_sub_days(Days::new(CONTACT_DAYS_KEPT)) {
            self.contacts.retain(|c| c.at.date_naive() >= first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(minute: u32, direct: bool) -> Contact {
        let on = NaiveDate::from_ymd_opt(2026, 3, 10).unwrap();
        Contact { at: on.and_hms_opt(15, minute, 0).unwrap().and_utc(), channel: Channel::Call, direct }
    }

    #[test]
    fn a_contact_counts_once_and_stands_in_its_place_in_time() {
        let mut fence = Fence::default();
        assert!(fence.add_contact(contact(30, false)));
        assert!(fence.add_contact(contact(10, false)));
        assert!(!fence.add_contact(contact(30, false)));
        assert!(fence.add_contact(contact(30, true)), "the customer answered after all");
        assert!(!fence.add_contact(contact(30, false)), "an answer is not taken back");
        assert_eq!(fence.contacts, [contact(10, false), contact(30, true)]);
    }

    #[test]
    fn a_clock_that_lags_behind_decides_after_the_last_contact() {
        let mut fence = Fence::default();
        let now = at(10);
        assert_eq!(fence.after_contacts(now), now);
        let minutes = |n| now + Duration::minutes(n);
        for (contact_at, decided_at) in [
            (minutes(-1), now),
            (minutes(5), minutes(5) + Duration::milliseconds(1)),
            // No clock is that far ahead: it is a contact that somebody recorded for later.
            (minutes(60), minutes(5) + Duration::milliseconds(1)),
        ] {
            fence.add_contact(Contact { at: contact_at, ..contact(10, false) });
            assert_eq!(fence.after_contacts(now), decided_at);
        }
    }

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::Duration::hours(hour)
    }

    fn attempt(hour: i64, stage: &str, dpd: i32) -> FailedAttempt {
        let item = TouchItem {
            obligation: ObligationId::new("a").unwrap(),
            due_on: NaiveDate::from_ymd_opt(1970, 1, 1).unwrap(),
            stage: StageId::new(stage).unwrap(),
            dpd,
        };
        FailedAttempt { at: at(hour), channel: Channel::Email, items: vec![item] }
    }

    fn reach(fence: &mut Fence, item: &TouchItem) {
        let reached = Reached { due_on: item.due_on, stage: item.stage.clone(), dpd: item.dpd };
        fence.reached.insert(item.obligation.clone(), reached);
    }

    #[test]
    fn an_attempt_is_remembered_once_until_a_higher_stage_is_reached() {
        let (tried, mut fence) = (attempt(1, "d3", 3), Fence::default());
        let item = &tried.items[0];
        assert!(fence.remember_failed(tried.clone()));
        assert!(fence.was_tried(&item.obligation, item.due_on, &item.stage, Channel::Email));
        assert!(!fence.was_tried(&item.obligation, item.due_on, &item.stage, Channel::Sms));
        // The stage goes out on another channel; the same news again must not open it once more.
        reach(&mut fence, item);
        assert!(!fence.remember_failed(tried.clone()));
        // Only when a higher stage is reached is the attempt of no more use.
        reach(&mut fence, &attempt(2, "d8", 8).items[0]);
        assert!(!fence.remember_failed(FailedAttempt { items: Vec::new(), ..tried }));
        assert!(fence.failed.is_empty());
    }

    #[test]
    fn what_went_out_after_all_is_forgotten_once_and_may_fail_again() {
        let (tried, mut fence) = (attempt(1, "d3", 3), Fence::default());
        assert!(fence.remember_failed(tried.clone()));
        assert!(fence.forget_failed(tried.at, Channel::Sms).is_empty());
        assert_eq!(fence.forget_failed(tried.at, tried.channel), vec![tried.items[0].obligation.clone()]);
        assert!(fence.forget_failed(tried.at, tried.channel).is_empty(), "once");
        assert!(fence.remember_failed(tried));
    }

    #[test]
    fn a_fence_that_is_full_of_failed_attempts_remembers_no_more() {
        let mut fence = Fence::default();
        for hour in 0..40 {
            assert_eq!(fence.remember_failed(attempt(hour, "d3", 3)), hour < 16, "{hour}");
        }
        assert_eq!(fence.failed.len(), FAILED_ATTEMPTS_MAX);
    }
}
