//! The planner: facts, policy, jurisdiction and a moment in; touches and a verdict for every obligation out.
//!
//! Invariants: the planner is total, so every obligation it is given gets exactly one verdict. At most one touch of a
//! customer is for now. A touch is only for now if the contact rules allow it now; one for later names a moment
//! at which they will, as far as is known. The same inputs give the same plan.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};

use crate::channel::{Channel, Purpose};
use crate::contact::Contact;
use crate::contact_check::{ContactAnswer, ContactQuery, Refusal};
use crate::customer::{Customer, Reach, Role};
use crate::fence::Fence;
use crate::ids::TenantId;
use crate::jurisdiction::Jurisdiction;
use crate::ladder::{Rung, StageDue, stage_due};
use crate::obligation::Obligation;
use crate::policy::{Policy, Stage};
use crate::touch::{ITEMS_PER_TOUCH_MAX, Touch, TouchItem, touch_id};
use crate::verdict::{Decision, Reason, ReasonCode, Verdict};
use crate::zone::{Clocks, DAYS_WITHOUT_ZONE, clocks_for};

/// What a decision is made by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The ladder and its texts.
    pub policy: &'a Policy,
    /// The contact rules that protect the customer.
    pub jurisdiction: &'a Jurisdiction,
}

/// Everything that is known about one customer.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who owes.
    pub customer: &'a Customer,
    /// What is owed; closed obligations may be among them.
    pub obligations: &'a [Obligation],
    /// What was done before.
    pub fence: &'a Fence,
    /// The channels whose contact point must not be used.
    pub suppressed: &'a BTreeSet<Channel>,
}

/// What is decided for one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The customer's local date: the as-of date of the decision.
    pub on: NaiveDate,
    /// The touch to make now.
    pub now: Option<Touch>,
    /// The touch that waits for its lawful moment.
    pub later: Option<Touch>,
    /// One verdict for every obligation, in the order of the facts.
    pub verdicts: Vec<Verdict>,
}

/// Decides for one customer at a moment.
#[must_use]
pub fn plan(rules: &Rules<'_>, facts: &Facts<'_>, now: DateTime<Utc>) -> Plan {
    let clocks = clocks_for(facts.customer, rules.jurisdiction);
    let on = now.with_timezone(&clocks.map_or(DAYS_WITHOUT_ZONE, |clocks| clocks.days)).date_naive();
    let mut verdicts = Vec::with_capacity(facts.obligations.len());
    let mut due = Vec::new();
    for (index, obligation) in facts.obligations.iter().enumerate() {
        match look_at(rules, facts, obligation, on) {
            Look::Quiet(verdict) => verdicts.push(Some(verdict)),
            Look::Due(candidate) => {
                verdicts.push(None);
                due.push(Candidate { index, ..candidate });
            }
        }
    }
    let mut plan = Plan { on, now: None, later: None, verdicts: Vec::new() };
    if let Some(clocks) = clocks.filter(|_| !due.is_empty()) {
        due.sort_by(|a, b| (b.dpd, &a.obligation.id).cmp(&(a.dpd, &b.obligation.id)));
        let desk = Desk { rules, facts, now, clocks, on };
        desk.decide(due, &mut plan, &mut verdicts);
    } else {
        for candidate in &due {
            verdicts[candidate.index] = Some(verdict(candidate, Decision::Skip, vec![no_time_zone(rules)]));
        }
    }
    plan.verdicts = verdicts.into_iter().flatten().collect();
    plan
}

/// Why nothing can be said about the hours of a customer.
fn no_time_zone(rules: &Rules<'_>) -> Reason {
    let profile = rules.jurisdiction.id();
    Reason::new(
        ReasonCode::NoTimeZone,
        format!("{profile} has no clock, and neither zone nor country gives one"),
    )
}

/// What the ladder says about one obligation.
enum Look<'a> {
    Quiet(Verdict),
    Due(Candidate<'a>),
}

/// An obligation whose stage is due.
#[derive(Clone)]
struct Candidate<'a> {
    index: usize,
    obligation: &'a Obligation,
    stage: &'a Stage,
    superseded: Vec<&'a Stage>,
    dpd: i32,
}

fn look_at<'a>(rules: &Rules<'a>, facts: &Facts<'a>, obligation: &'a Obligation, on: NaiveDate) -> Look<'a> {
    let quiet = |stage: Option<&Stage>, reason: Reason| {
        Look::Quiet(Verdict {
            obligation: obligation.id.clone(),
            due_on: obligation.due_on,
            stage: stage.map(|s| s.id.clone()),
            decision: Decision::Skip,
            reasons: vec![reason],
        })
    };
    if !obligation.is_open() {
        return quiet(None, Reason::new(ReasonCode::Closed, "nothing is owed"));
    }
    let rung = Rung {
        due_on: obligation.due_on,
        holds: &obligation.holds,
        reached: facts.fence.reached(&obligation.id, obligation.due_on),
        debtor: Some((facts.customer, obligation.outstanding().amount_minor)),
    };
    let due = stage_due(rules.policy, &rung, on);
    if let Some(reason) = third_party(rules, facts) {
        let stage = match due {
            StageDue::Quiet(stage, _) => stage,
            StageDue::Due { stage, .. } => Some(stage),
        };
        return quiet(stage, reason);
    }
    match due {
        StageDue::Quiet(stage, reason) => quiet(stage, reason),
        StageDue::Due { stage, superseded, dpd } => {
            match facts.customer.hold.as_ref().filter(|h| h.covers(on)) {
                Some(hold) => {
                    let detail = format!("the customer is on hold since {}", hold.from_on);
                    quiet(Some(stage), Reason::new(ReasonCode::Held(hold.reason), detail))
                }
                None => Look::Due(Candidate { index: 0, obligation, stage, superseded, dpd }),
            }
        }
    }
}

/// Why this person is not told of the debt at all. Who owes nothing and answers for nothing never is, whether or not the
/// place has a rule for it.
fn third_party(rules: &Rules<'_>, facts: &Facts<'_>) -> Option<Reason> {
    let role = facts.customer.role;
    let content = &rules.jurisdiction.duties().content;
    let allowed = content.third_parties.is_none_or(|rule| rule.allows(role)) && role != Role::Reference;
    let rule = content.third_parties.and(content.third_parties_cite.clone());
    let detail = rule.unwrap_or_else(|| "no article".to_owned());
    (!allowed).then(|| Reason::new(ReasonCode::ThirdParty, detail))
}

/// Why a channel cannot serve a group of obligations now, and from when on it can.
struct Blocked {
    reason: Reason,
    from: Option<DateTime<Utc>>,
}

/// One group's way out.
enum Way {
    Now(Channel),
    Later(Channel, DateTime<Utc>, Reason),
    Never(Vec<Reason>),
}

/// Where the due obligations of one customer are decided.
struct Desk<'a> {
    rules: &'a Rules<'a>,
    facts: &'a Facts<'a>,
    now: DateTime<Utc>,
    clocks: Clocks,
    on: NaiveDate,
}

impl<'a> Desk<'a> {
    /// Decides for all that is due, most overdue first.
    fn decide(&self, due: Vec<Candidate<'a>>, plan: &mut Plan, verdicts: &mut [Option<Verdict>]) {
        let mut open = due;
        let mut contacts = None;
        while let Some(lead) = open.first() {
            match self.way_for(lead, contacts.as_deref()) {
                Way::Now(channel) => {
                    self.keep_authorised(&mut open, channel, verdicts);
                    self.split_tried(&mut open, channel, verdicts);
                    self.split_full(&mut open, verdicts);
                    plan.now = Some(self.touch(&open, channel, self.now));
                    let rule = self.rule_for(&open[0], channel);
                    for candidate in &open {
                        verdicts[candidate.index] = Some(send_verdict(candidate, channel, rule));
                    }
                    return;
                }
                Way::Later(channel, at, reason) => {
                    // What is not yet overdue may still be allowed today where what is overdue is not.
                    if contacts.is_none() && self.send_what_is_not_overdue(&mut open, plan, verdicts) {
                        contacts = Some(self.contacts_with(plan.now.as_ref()));
                        continue;
                    }
                    self.defer(open, channel, at, &reason, plan, verdicts);
                    return;
                }
                Way::Never(reasons) => {
                    let lead = open.remove(0);
                    verdicts[lead.index] = Some(verdict(&lead, Decision::Skip, reasons));
                }
            }
        }
    }

    /// Where the lead is overdue and must wait, sends the rest that is not overdue if that is allowed now.
    fn send_what_is_not_overdue(
        &self,
        open: &mut Vec<Candidate<'a>>,
        plan: &mut Plan,
        verdicts: &mut [Option<Verdict>],
    ) -> bool {
        let Some(first) = open.iter().position(|c| c.dpd <= 0).filter(|i| *i > 0) else { return false };
        let Way::Now(channel) = self.way_for(&open[first], None) else { return false };
        let mut early = open.split_off(first);
        self.split_tried(&mut early, channel, verdicts);
        self.split_full(&mut early, verdicts);
        plan.now = Some(self.touch(&early, channel, self.now));
        let rule = self.rule_for(&early[0], channel);
        for candidate in &early {
            verdicts[candidate.index] = Some(send_verdict(candidate, channel, rule));
        }
        true
    }

    /// The customer's contacts with one more: the touch that goes out now.
    fn contacts_with(&self, touch: Option<&Touch>) -> Vec<Contact> {
        let more = touch.map(|t| Contact { at: t.send_at, channel: t.channel, direct: false });
        self.facts.fence.contacts.iter().copied().chain(more).collect()
    }

    /// Keeps what the customer authorised on the channel: of one message, a part may be about a purpose that was not.
    fn keep_authorised(
        &self,
        open: &mut Vec<Candidate<'a>>,
        channel: Channel,
        verdicts: &mut [Option<Verdict>],
    ) {
        open.retain(|candidate| {
            let refused = self.refused(channel, Purpose::of_dpd(candidate.dpd));
            if let Some(code) = refused {
                let reasons = vec![Reason::new(code, channel.as_str())];
                verdicts[candidate.index] = Some(verdict(candidate, Decision::Skip, reasons));
            }
            refused.is_none()
        });
    }

    /// Keeps what one message can carry; the rest is explained and comes up again tomorrow.
    fn split_full(&self, open: &mut Vec<Candidate<'a>>, verdicts: &mut [Option<Verdict>]) {
        for candidate in open.split_off(open.len().min(ITEMS_PER_TOUCH_MAX)) {
            let detail = format!("one message carries {ITEMS_PER_TOUCH_MAX} obligations");
            let mut reason = Reason::new(ReasonCode::MessageFull, detail);
            reason.until = self.clocks.midnight_after(self.now);
            verdicts[candidate.index] = Some(verdict(&candidate, Decision::Defer, vec![reason]));
        }
    }

    /// Keeps what was not tried on the channel before; the rest is explained and comes up again tomorrow, by itself.
    fn split_tried(&self, open: &mut Vec<Candidate<'a>>, channel: Channel, verdicts: &mut [Option<Verdict>]) {
        open.retain(|candidate| {
            let tried = self.was_tried(candidate, channel);
            if tried {
                let reason = Reason::new(ReasonCode::AlreadyTried, channel.as_str());
                verdicts[candidate.index] = Some(verdict(candidate, Decision::Defer, vec![reason]));
            }
            !tried
        });
    }

    fn was_tried(&self, candidate: &Candidate<'a>, channel: Channel) -> bool {
        let Candidate { obligation, stage, .. } = candidate;
        self.facts.fence.was_tried(&obligation.id, obligation.due_on, &stage.id, channel)
    }

    fn defer(
        &self,
        mut open: Vec<Candidate<'a>>,
        channel: Channel,
        at: DateTime<Utc>,
        reason: &Reason,
        plan: &mut Plan,
        verdicts: &mut [Option<Verdict>],
    ) {
        open.retain(|candidate| {
            let serves = self.serves_at(candidate, at);
            if !serves {
                let reasons = vec![expired(candidate), reason.clone()];
                verdicts[candidate.index] = Some(verdict(candidate, Decision::Skip, reasons));
            }
            serves
        });
        self.keep_authorised(&mut open, channel, verdicts);
        self.split_tried(&mut open, channel, verdicts);
        self.split_full(&mut open, verdicts);
        for candidate in &open {
            verdicts[candidate.index] = Some(verdict(candidate, Decision::Defer, vec![reason.clone()]));
        }
        if !open.is_empty() {
            plan.later = Some(self.touch(&open, channel, at));
        }
    }

    /// The way for a group, by its lead.
    fn way_for(&self, lead: &Candidate<'a>, contacts: Option<&[Contact]>) -> Way {
        let contacts = contacts.unwrap_or(&self.facts.fence.contacts);
        let mut reasons = Vec::new();
        for channel in self.rules.policy.channels_for(lead.stage, self.facts.customer) {
            let purpose = Purpose::of_dpd(lead.dpd);
            if let Some(reason) = self.unreachable(lead.stage, channel, purpose) {
                reasons.push(reason);
                continue;
            }
            if let Some(reason) = self.gated(channel, purpose) {
                reasons.push(reason);
                continue;
            }
            if self.was_tried(lead, channel) {
                reasons.push(Reason::new(ReasonCode::AlreadyTried, channel.as_str()));
                continue;
            }
            let Some(blocked) = self.blocked(channel, purpose, contacts) else {
                return Way::Now(channel);
            };
            match blocked.from {
                Some(at) if self.serves_at(lead, at) => return Way::Later(channel, at, blocked.reason),
                Some(_) | None => {
                    reasons.push(expired(lead));
                    reasons.push(blocked.reason);
                }
            }
        }
        Way::Never(reasons)
    }

    /// Why a channel cannot be used for this customer at all.
    fn unreachable(&self, stage: &Stage, channel: Channel, purpose: Purpose) -> Option<Reason> {
        let has_text = || self.rules.policy.templates.has(&stage.template, channel);
        let code = self.refused(channel, purpose).or_else(|| {
            if self.facts.suppressed.contains(&channel) {
                Some(ReasonCode::Suppressed)
            } else {
                (!has_text()).then_some(ReasonCode::NoTemplate)
            }
        });
        code.map(|code| Reason::new(code, channel.as_str()))
    }

    /// Why the customer's own facts do not let a channel serve a purpose.
    fn refused(&self, channel: Channel, purpose: Purpose) -> Option<ReasonCode> {
        match self.facts.customer.reachable(channel, purpose) {
            Reach::NoConsent => Some(ReasonCode::NoConsent),
            Reach::OptedOut => Some(ReasonCode::OptedOut),
            Reach::NoContactPoint => Some(ReasonCode::NoContactPoint),
            Reach::Suppressed => Some(ReasonCode::Suppressed),
            Reach::At(_) => None,
        }
    }

    /// The first condition of the jurisdiction that the facts do not show to be met.
    fn gated(&self, channel: Channel, purpose: Purpose) -> Option<Reason> {
        let customer = self.facts.customer;
        let gates = self.rules.jurisdiction.requires(purpose, channel);
        let closed = gates.iter().find(|gate| !customer.passes(**gate, channel, purpose))?;
        Some(Reason::new(ReasonCode::Gate, closed.as_str()))
    }

    /// Why a contact may not be made now, and from when on it may.
    fn blocked(&self, channel: Channel, purpose: Purpose, contacts: &[Contact]) -> Option<Blocked> {
        let agreed_hours = self.facts.customer.agreed_hours.as_ref();
        let time_zone = self.clocks.days;
        let query = |at| ContactQuery { purpose, channel, at, time_zone, prior: contacts, agreed_hours };
        let tomorrow = self.after_todays_message(contacts);
        let Rules { jurisdiction, .. } = *self.rules;
        let mut reason = match (self.clocks.check(jurisdiction, &query(self.now)), tomorrow) {
            (ContactAnswer::Refused(refusal), _) => {
                let rule = jurisdiction.rule(purpose, channel).map(|(index, _)| index);
                Reason { rule, ..Reason::new(ReasonCode::Rule(refusal.code), cited(&refusal)) }
            }
            (ContactAnswer::Allowed(_), Some(_)) => {
                Reason::new(ReasonCode::OneMessageADay, "a message was already sent on this day")
            }
            (ContactAnswer::Allowed(_), None) => return None,
        };
        let from = self.clocks.next_allowed_at(jurisdiction, &query(tomorrow.unwrap_or(self.now)));
        reason.until = from;
        Some(Blocked { reason, from })
    }

    /// The contact rule that a group is judged by, by its lead.
    fn rule_for(&self, lead: &Candidate<'a>, channel: Channel) -> Option<u8> {
        self.rules.jurisdiction.rule(Purpose::of_dpd(lead.dpd), channel).map(|(index, _)| index)
    }

    /// The next local midnight, where a message already went out today. One that did not arrive was none: the limit
    /// is the tenant's own, and the caps of the law count every contact in any case.
    fn after_todays_message(&self, contacts: &[Contact]) -> Option<DateTime<Utc>> {
        let today = |c: &&Contact| c.at <= self.now && self.clocks.day_of(c.at) == self.on;
        let arrived = |c: &&Contact| !self.facts.fence.did_not_arrive(c);
        contacts.iter().rev().filter(today).find(arrived).and_then(|_| self.clocks.midnight_after(self.now))
    }

    fn serves_at(&self, candidate: &Candidate<'a>, at: DateTime<Utc>) -> bool {
        let dpd = candidate.obligation.dpd_on(self.clocks.day_of(at));
        candidate.stage.serves(dpd) && dpd <= self.rules.policy.until_dpd
    }

    fn touch(&self, candidates: &[Candidate<'a>], channel: Channel, send_at: DateTime<Utc>) -> Touch {
        let items: Vec<TouchItem> = candidates
            .iter()
            .map(|c| TouchItem {
                obligation: c.obligation.id.clone(),
                due_on: c.obligation.due_on,
                stage: c.stage.id.clone(),
                dpd: c.stage.dpd,
            })
            .collect();
        let lead = &candidates[0];
        let on = self.clocks.day_of(send_at);
        Touch {
            id: touch_id(self.rules.tenant, &items, channel),
            customer: self.facts.customer.id.clone(),
            on,
            send_at,
            channel,
            stage: lead.stage.id.clone(),
            tone: lead.stage.tone,
            purpose: Purpose::of_dpd(lead.obligation.dpd_on(on)),
            template: lead.stage.template.clone(),
            items,
            policy: self.rules.policy.id.clone(),
            policy_version: self.rules.policy.version,
        }
    }
}

fn verdict(candidate: &Candidate<'_>, decision: Decision, reasons: Vec<Reason>) -> Verdict {
    Verdict {
        obligation: candidate.obligation.id.clone(),
        due_on: candidate.obligation.due_on,
        stage: Some(candidate.stage.id.clone()),
        decision,
        reasons,
    }
}

fn send_verdict(candidate: &Candidate<'_>, channel: Channel, rule: Option<u8>) -> Verdict {
    let due = format!("{} by {channel} at {} days past due", candidate.stage.id, candidate.dpd);
    let gone = candidate.superseded.iter().map(|s| {
        Reason::new(ReasonCode::Superseded, format!("{} gives way to {}", s.id, candidate.stage.id))
    });
    let due = Reason { rule, ..Reason::new(ReasonCode::StageDue, due) };
    let reasons = std::iter::once(due).chain(gone).collect();
    verdict(candidate, Decision::Send, reasons)
}

fn expired(candidate: &Candidate<'_>) -> Reason {
    let detail =
        format!("{} is for {} and cannot wait until then", candidate.stage.id, candidate.stage.purpose);
    Reason::new(ReasonCode::StageExpired, detail)
}

/// The article, and the tenant's own rule where that decided, by its place: its words may name people.
fn cited(refusal: &Refusal<'_>) -> String {
    match (refusal.cite, refusal.adjustment) {
        (Some(cite), Some(adjustment)) => format!("{cite}; {}", adjustment.place),
        (None, Some(adjustment)) => adjustment.place.clone(),
        (cite, None) => cite.unwrap_or("no article").to_owned(),
    }
}
