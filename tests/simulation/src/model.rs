//! The model: what must have happened in a world, told from the provider's own book, the facts and the store's last
//! state. It shares no code with the pipeline.
//!
//! Invariant: it never asks the planner. Stages, days and hours are worked out here, in the slow and obvious way.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, Duration, NaiveDate, Utc};
use domain::channel::Channel;
use domain::touch::TouchState;
use domain::verdict::{Decision, ReasonCode};
use runtime::decision_log::{DecisionLine, DecisionSource};
use serde::Serialize;
use store::{FoundOut, TouchKey, TouchRecord};

use crate::another_way::{StageOf, another_way, failed_after, tried, was_called, was_told_of};
use crate::bounds::{is_second_attempt, limits};
use crate::climate::SKEW_MS_MAX;
use crate::course::Course;
use crate::law;
use crate::owed::{Stands, against_facts, due_dates, last_due_on, stands, was_turned};
use crate::people::{asked_to_be_forgotten, erasures, excused_by_word, was_said};
use crate::scene::{Call, Message, Pipe, Place, State, instant};
use crate::told::{against_reports, events, was_told};
use crate::world::{Fact, World, country_of};

/// What a world broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One stage was delivered twice, and everybody could know that it was sent.
    DuplicateKnown,
    /// One stage was delivered again although nobody knew whether it was sent.
    DuplicateAfterUnknown,
    /// One stage was delivered again because an operator said wrongly that it was not. It is counted, and no breach.
    DuplicateAfterWord,
    /// An obligation whose stage fell due ended nowhere.
    Lost,
    /// A message went out although a fact that forbids it was known before its claim.
    AgainstFacts,
    /// A message went out at a forbidden hour or day.
    AgainstHours,
    /// A customer got more messages than a day, a week or a gap allows.
    AgainstCap,
    /// More was sent in a second or a day than the provider takes.
    AgainstLimits,
    /// The store says something else than the provider's book.
    WrongRecord,
    /// A touch is unknown although its outcome was known to somebody who could write it.
    NeedlesslyUnknown,
    /// A touch went back to a state that says less.
    Backwards,
    /// A forged event was taken for a true one.
    Believed,
    /// The evidence of a customer cannot be made, or is refused by who checks it.
    Unverified,
    /// The provider was called without a claim.
    Unclaimed,
    /// The world never came to rest.
    Restless,
}

/// One breach, with ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What was broken.
    pub rule: Rule,
    /// By what.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// Everything that is left of a world.
pub(crate) struct Evidence<'a> {
    pub(crate) world: &'a World,
    pub(crate) course: &'a Course,
    pub(crate) state: &'a State,
    /// The touches of each customer, as they are stored.
    pub(crate) touches: &'a [Vec<TouchRecord>],
    /// The touches that wait for a later moment.
    pub(crate) waiting: &'a [TouchKey],
    pub(crate) decisions: &'a [DecisionLine],
    /// Whether anything is left of a customer that was erased.
    pub(crate) left_of_erased: bool,
}

/// The breaches of a world.
pub(crate) fn judge(e: &Evidence<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    if !e.course.settled {
        found.push(Violation { rule: Rule::Restless, detail: "too many steps".to_owned() });
        return found;
    }
    duplicates(e, &mut found);
    for call in e.state.calls.iter().filter(|c| c.fate.accepted) {
        against_facts(e, call, &mut found);
        against_reports(e, call, &mut found);
        against_law(e, call, &mut found);
    }
    erasures(e, &mut found);
    limits(e, &mut found);
    events(e, &mut found);
    records(e, &mut found);
    for obligation in 0..e.world.rows.len() {
        ended_somewhere(e, obligation, &mut found);
        went_nowhere_silently(e, obligation, &mut found);
        another_way(e, obligation, &mut found);
    }
    found
}

fn accepted<'a>(e: &'a Evidence<'_>) -> impl Iterator<Item = &'a Call> {
    e.state.calls.iter().filter(|c| c.fate.accepted)
}

fn duplicates(e: &Evidence<'_>, found: &mut Vec<Violation>) {
    let mut by_stage: BTreeMap<String, Vec<&Call>> = BTreeMap::new();
    for call in accepted(e) {
        for item in &call.touch.items {
            let stage = format!("{} due {} stage {}", item.obligation, item.due_on, item.stage);
            by_stage.entry(stage).or_default().push(call);
        }
    }
    for (stage, mut calls) in by_stage {
        // Whatever came of the first, on one channel it goes once, but for the second attempt that a tenant wants.
        for (n, later) in calls.iter().enumerate() {
            let same = |earlier: &&&Call| earlier.touch.channel == later.touch.channel;
            if let Some(earlier) = calls[..n].iter().rfind(same)
                && !is_second_attempt(e, earlier, later)
            {
                let detail = format!("{stage} again on {} in touch {}", later.touch.channel, later.touch.id);
                found.push(Violation { rule: Rule::DuplicateKnown, detail });
            }
        }
        // What came back may go another way, and what nobody knows once more, where the tenant wants that.
        while let [first, second, rest @ ..] = calls.as_slice() {
            let another_way =
                first.came_back && calls[1..].iter().all(|c| c.touch.channel != first.touch.channel);
            let again = is_second_attempt(e, first, second) && (rest.is_empty() || first.came_back);
            if !(another_way || again) || second.at < first.at {
                break;
            }
            calls.remove(0);
        }
        if calls.len() < 2 {
            continue;
        }
        let doubtful = calls[..calls.len() - 1].iter().any(|call| !call.fate.answered);
        let by_word = calls.windows(2).all(|pair| match pair {
            [earlier, later] => is_second_attempt(e, earlier, later) || excused_by_word(e, earlier, later),
            _ => false,
        });
        let rule = match (by_word, doubtful) {
            (true, _) => Rule::DuplicateAfterWord,
            (false, true) => Rule::DuplicateAfterUnknown,
            (false, false) => Rule::DuplicateKnown,
        };
        let touches: Vec<String> = calls.iter().map(|c| c.touch.id.to_string()).collect();
        found.push(Violation { rule, detail: format!("{stage} in touches {}", touches.join(", ")) });
    }
}

fn owner_of(e: &Evidence<'_>, call: &Call) -> Option<usize> {
    e.world.customers.iter().position(|c| c.id == call.touch.customer)
}

/// Whether the customer owed something overdue in a message: the most overdue of its items says so.
fn is_overdue(call: &Call, on: NaiveDate) -> bool {
    call.touch.items.iter().any(|i| i.due_on < on)
}

fn against_law(e: &Evidence<'_>, call: &Call, found: &mut Vec<Violation>) {
    let Some(owner) = owner_of(e, call) else { return };
    let (country, zone) = (country_of(&e.world.customers[owner]), e.world.zone_of(owner));
    let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
    let on = day(call.named_at);
    let mut breach = |rule, detail: &str| {
        let detail = format!("touch {} at {}: {detail}", call.touch.id, call.named_at.with_timezone(&zone));
        found.push(Violation { rule, detail });
    };
    if !law::is_open(country, zone, call.named_at, is_overdue(call, on)) {
        breach(Rule::AgainstHours, "closed");
    }
    // The moment that was named is the one at which the function began, by its own clock.
    let off = (call.at - call.named_at.timestamp_millis()).abs();
    if off > SKEW_MS_MAX + 2 * 60_000 {
        breach(Rule::AgainstHours, "the moment was named long before the call");
    }
    let others = accepted(e).filter(|o| o.touch.customer == call.touch.customer && !std::ptr::eq(*o, call));
    for earlier in others.filter(|o| o.named_at <= call.named_at) {
        // What came back was an attempt for the law, and no message of the day for the lender.
        let again = is_second_attempt(e, earlier, call) || excused_by_word(e, earlier, call);
        if day(earlier.named_at) == on && earlier.at <= call.at && !earlier.came_back && !again {
            breach(Rule::AgainstCap, "the second message of a day");
        }
        if !is_overdue(call, on) {
            continue;
        }
        let gap = call.named_at - earlier.named_at;
        if law::gap_hours(country).is_some_and(|hours| gap < Duration::hours(hours)) {
            breach(Rule::AgainstCap, "too soon after the last message");
        }
        let same_week = day(earlier.named_at).iso_week() == on.iso_week();
        if law::one_channel_a_week(country) && same_week && earlier.touch.channel != call.touch.channel {
            breach(Rule::AgainstCap, "the second channel of a week");
        }
    }
}

/// Compares what the store says about each touch with what the provider knows about it.
fn records(e: &Evidence<'_>, found: &mut Vec<Violation>) {
    for touch in e.touches.iter().flatten() {
        let calls =
            || e.state.calls.iter().filter(|c| c.touch.id == touch.touch.id && c.touch.on == touch.touch.on);
        let has = calls().any(|c| c.fate.accepted);
        let doubtful = calls().any(|c| !c.fate.answered);
        let ending = format!("#{}", touch.touch.id);
        let excused = e.state.excused.iter().any(|(_, sk)| sk.ends_with(&ending));
        let place = TouchKey::of(&touch.touch);
        let by_word = match touch.state {
            TouchState::Sent => was_said(e, &place, FoundOut::Sent),
            TouchState::Failed => was_said(e, &place, FoundOut::NotSent),
            TouchState::Planned
            | TouchState::Claimed
            | TouchState::Unknown
            | TouchState::Delivered
            | TouchState::Bounced
            | TouchState::Complained
            | TouchState::Prevented
            | TouchState::Superseded => false,
        };
        let told = was_told(e, touch, touch.state) || by_word;
        let mut wrong = |rule, detail: &str| {
            found.push(Violation {
                rule,
                detail: format!("touch {} is {}: {detail}", touch.touch.id, touch.state),
            });
        };
        match touch.state {
            TouchState::Claimed => wrong(Rule::Lost, "nobody settled it"),
            TouchState::Sent if !has && !by_word => wrong(Rule::Lost, "the provider has no such message"),
            TouchState::Sent if doubtful && !told => wrong(Rule::WrongRecord, "nobody can know that"),
            TouchState::Failed if told => {}
            TouchState::Failed | TouchState::Prevented | TouchState::Superseded | TouchState::Planned
                if has =>
            {
                wrong(Rule::WrongRecord, "the provider has the message");
            }
            TouchState::Failed | TouchState::Prevented | TouchState::Superseded | TouchState::Planned
                if doubtful =>
            {
                wrong(Rule::WrongRecord, "the provider may have the message");
            }
            TouchState::Unknown if !doubtful && !excused => {
                wrong(Rule::NeedlesslyUnknown, "its outcome could be written");
            }
            TouchState::Unknown if calls().next().is_none() && !may_be_called(e, touch) => {
                wrong(Rule::NeedlesslyUnknown, "nobody was called, and everybody could know that");
            }
            TouchState::Failed | TouchState::Unknown if touch.reason.is_none() => {
                wrong(Rule::WrongRecord, "no reason is given");
            }
            TouchState::Delivered | TouchState::Bounced | TouchState::Complained if !told => {
                wrong(Rule::WrongRecord, "the provider said no such thing");
            }
            TouchState::Sent
            | TouchState::Delivered
            | TouchState::Bounced
            | TouchState::Complained
            | TouchState::Failed
            | TouchState::Unknown
            | TouchState::Prevented
            | TouchState::Superseded
            | TouchState::Planned => {}
        }
    }
    let known = |call: &Call| {
        e.touches.iter().flatten().any(|t| t.touch.id == call.touch.id && t.touch.on == call.touch.on)
    };
    let is_kept = |call: &&Call| !asked_to_be_forgotten(e, &call.touch.customer);
    for call in e.state.calls.iter().filter(|c| !known(c)).filter(is_kept) {
        let detail = format!("touch {} was sent and is nowhere", call.touch.id);
        found.push(Violation { rule: Rule::Lost, detail });
    }
}

/// Whether somebody has said of the last claim of a touch that its provider is called now.
fn may_be_called(e: &Evidence<'_>, touch: &TouchRecord) -> bool {
    let (of, ending) = (format!("#CUST#{}", touch.touch.customer), format!("#{}", touch.touch.id));
    let is_ours = |(pk, sk): &Place| pk.ends_with(&of) && sk.ends_with(&ending);
    let claims = e.state.turns.iter().filter(|t| t.state == "claimed" && is_ours(&t.place));
    let last = claims.map(|turn| turn.step).max();
    e.state.marks.iter().any(|(step, place)| is_ours(place) && last.is_some_and(|claim| *step > claim))
}

/// Whether a touch about an obligation ended, at a stage or above, whatever came of it.
fn was_tried(e: &Evidence<'_>, stage: &StageOf<'_>) -> bool {
    let about = |t: &&TouchRecord| t.touch.items.iter().any(|item| stage.is_reached_by(item));
    e.touches.iter().flatten().filter(about).any(|t| was_called(t.state))
}

/// Whether a message about an obligation waits for an operator.
fn is_dead_letter(e: &Evidence<'_>, obligation: usize) -> bool {
    let customer = format!("\"customer\":\"{}\"", e.world.rows[obligation].customer.id);
    let about = |m: &Message| m.pipe == Pipe::Plan || m.body.contains(&customer);
    e.state.dead_letters.iter().any(about)
}

/// On the last day of the calm every obligation whose stage is due has ended, waits, or has a reason that is true.
fn ended_somewhere(e: &Evidence<'_>, obligation: usize, found: &mut Vec<Violation>) {
    let world = e.world;
    let row = &world.rows[obligation];
    if asked_to_be_forgotten(e, &row.customer.id) {
        return;
    }
    let Some((scan_at, _)) = world.scans.last() else { return };
    let by_customer = instant(*scan_at).with_timezone(&world.zone_of(world.owners[obligation])).date_naive();
    let by_tenant = instant(*scan_at).with_timezone(&world.tenant.time_zone).date_naive();
    // Where the two differ, a scan may see a stage, or the end of a hold, a day later.
    let on = by_customer.min(by_tenant);
    let due_on = last_due_on(e, obligation);
    let dpd = i32::try_from((on - due_on).num_days()).unwrap_or(i32::MAX);
    let second =
        world.facts.iter().zip(&e.course.known).any(|((_, f), k)| matches!(f, Fact::Policy) && k.is_some());
    let ladder = &world.ladders[usize::from(second)];
    let Some(due) = ladder.iter().rev().find(|r| r.dpd <= dpd) else { return };
    let now = stands(e, obligation, on);
    let held = now.held || stands(e, obligation, by_customer.max(by_tenant)).held;
    let stage = StageOf { obligation: &row.obligation.id, due_on, dpd: due.dpd };
    if !now.open || was_told_of(e, &stage) || is_dead_letter(e, obligation) {
        return;
    }
    let customer = &row.customer.id;
    if e.waiting.iter().any(|t| t.customer == *customer) {
        return;
    }
    let lines = e.decisions.iter().zip(&e.course.lines);
    let (last, begun) = lines.rev().find(|(l, _)| l.obligation == row.obligation.id).unzip();
    // What failed after the last look was decided at once, and no log tells how.
    if begun.is_some_and(|begun| failed_after(e, &stage, *begun)) {
        return;
    }
    let reason = last.and_then(|line| Some((line.verdict, line.reasons.first()?.code)));
    // What cannot go with the message of a day, because its channel was tried, comes up the day after by itself.
    let waits_its_turn = last.is_some_and(|line| {
        let goes =
            |l: &DecisionLine| l.customer == *customer && l.on == line.on && l.verdict == Decision::Send;
        let is_tried = line.reasons.iter().any(|reason| reason.code == ReasonCode::AlreadyTried)
            && tried(e, &stage).next().is_some();
        line.verdict == Decision::Defer && is_tried && e.decisions.iter().any(goes)
    });
    let stands_to_reason = last.is_some_and(|line| {
        line.verdict == Decision::Skip
            && line.reasons.iter().any(|reason| is_true(e, &stage, (&now, held), reason.code))
    });
    if !stands_to_reason && !waits_its_turn {
        let detail = format!("{} at {} on {on}, last verdict {reason:?}", row.obligation.id, due.id());
        found.push(Violation { rule: Rule::Lost, detail });
    }
}

/// Whether a reason for which a stage was skipped holds in the end. Each channel that cannot serve gives one; one that is
/// true is enough, since the others are for other channels.
fn is_true(e: &Evidence<'_>, stage: &StageOf<'_>, (now, held): (&Stands, bool), code: ReasonCode) -> bool {
    match code {
        ReasonCode::Held(_) => held,
        ReasonCode::OptedOut
        | ReasonCode::Suppressed
        | ReasonCode::NoContactPoint
        | ReasonCode::NoConsent => !now.is_reachable(),
        // One channel that is left, and was not tried, needs a reason of its own.
        ReasonCode::AlreadyTried => {
            let tried: Vec<Channel> = tried(e, stage).collect();
            !tried.is_empty() && now.channels.iter().all(|channel| tried.contains(channel))
        }
        ReasonCode::StageExpired => stage.dpd <= 0,
        ReasonCode::StageReached
        | ReasonCode::Closed
        | ReasonCode::WindowOver
        | ReasonCode::NotDueYet
        | ReasonCode::ThirdParty
        | ReasonCode::Gate
        | ReasonCode::ConditionNotMet
        | ReasonCode::NoTemplate
        | ReasonCode::NoTimeZone
        | ReasonCode::Unreadable
        | ReasonCode::StageDue
        | ReasonCode::DailyQuota
        | ReasonCode::Superseded => false,
        ReasonCode::OneMessageADay | ReasonCode::MessageFull | ReasonCode::Rule(_) => true,
    }
}

/// A verdict "send" of a scan is answered by a touch, by a later verdict of a sender, by a fact, or by a dead letter.
fn went_nowhere_silently(e: &Evidence<'_>, obligation: usize, found: &mut Vec<Violation>) {
    let row = &e.world.rows[obligation];
    if is_dead_letter(e, obligation) || asked_to_be_forgotten(e, &row.customer.id) {
        return;
    }
    let of_log = e.decisions.iter().zip(&e.course.lines);
    let lines: Vec<(&DecisionLine, u64)> = of_log
        .filter(|(line, _)| line.obligation == row.obligation.id)
        .map(|(line, begun)| (line, *begun))
        .collect();
    for (at, (line, begun)) in lines.iter().enumerate() {
        if line.verdict != Decision::Send || line.source != DecisionSource::Plan {
            continue;
        }
        let dpd = line.stage.as_ref().and_then(|id| e.world.dpd_of(id)).unwrap_or(i32::MIN);
        let revised = lines[at + 1..]
            .iter()
            .any(|(later, _)| later.source != DecisionSource::Plan || later.verdict == Decision::Defer);
        // A cycle that was left before the message went needs none; the next scan looks at what is due then.
        let next = lines[at + 1..].iter().find(|(later, _)| later.source == DecisionSource::Plan);
        let turned = was_turned(e, obligation, (*begun, next.map_or(u64::MAX, |(_, begun)| *begun)));
        let (due_on, _) = due_dates(e, obligation, *begun);
        let stage = StageOf { obligation: &row.obligation.id, due_on, dpd };
        let now = stands(e, obligation, line.on);
        let is_due = now.open && !now.held && now.is_reachable();
        if !revised && !turned && is_due && !was_tried(e, &stage) {
            let detail =
                format!("{} was to be sent on {} and nobody heard of it again", row.obligation.id, line.on);
            found.push(Violation { rule: Rule::Lost, detail });
        }
    }
}
