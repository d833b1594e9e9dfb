//! The model's part about messages that did not arrive: whose stage has another way, and whether it was gone.
//!
//! Invariant: it knows by the provider's own words and the order of the writes which messages are of no more use, and
//! never asks what the store made of them beside the touch's own state.

use chrono::NaiveDate;
use domain::channel::Channel;
use domain::ids::{ObligationId, StageId};
use domain::touch::{TouchItem, TouchState};
use domain::verdict::{Decision, ReasonCode};
use store::{TouchKey, TouchRecord};

use crate::model::{Evidence, Rule, Violation};
use crate::owed::{due_dates, was_turned};
use crate::people::asked_to_be_forgotten;
use crate::reports::Said;
use crate::scene::Place;

/// A stage of an obligation in the cycle of a due date.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StageOf<'a> {
    pub(crate) obligation: &'a ObligationId,
    pub(crate) due_on: NaiveDate,
    pub(crate) dpd: i32,
}

impl StageOf<'_> {
    /// Whether an item tells of the stage or of a higher one.
    pub(crate) fn is_reached_by(&self, item: &TouchItem) -> bool {
        item.obligation == *self.obligation && item.due_on == self.due_on && item.dpd >= self.dpd
    }

    fn is_told_by(&self, item: &TouchItem) -> bool {
        self.is_reached_by(item) && item.dpd == self.dpd
    }
}

fn is_at(touch: &TouchRecord, (pk, sk): &Place) -> bool {
    let TouchKey { customer, on, id } = TouchKey::of(&touch.touch);
    pk.ends_with(&format!("#CUST#{customer}")) && *sk == format!("TOUCH#{}#{id}", on.format("%Y%m%d"))
}

/// The step at which it was on record that a message surely did not arrive, so that its stage may go another way: it
/// failed, or came back for good. One that came back for now may have been read all the same.
pub(crate) fn failed_at(e: &Evidence<'_>, touch: &TouchRecord) -> Option<u64> {
    match touch.state {
        TouchState::Failed => {
            let mut turns = e.state.turns.iter().filter(|t| t.state == "failed" && is_at(touch, &t.place));
            turns.next_back().map(|turn| turn.step)
        }
        TouchState::Bounced => {
            let is_it = |t: &&crate::reports::Told| {
                t.touch.id == touch.touch.id
                    && t.touch.on == touch.touch.on
                    && t.touch.customer == touch.touch.customer
                    && t.said == Said::HardBounced
            };
            e.state.told.iter().filter(is_it).filter_map(|told| told.taken).min()
        }
        TouchState::Planned
        | TouchState::Claimed
        | TouchState::Sent
        | TouchState::Unknown
        | TouchState::Delivered
        | TouchState::Complained
        | TouchState::Prevented
        | TouchState::Superseded => None,
    }
}

/// The step since which a message is known to tell nobody: it failed, or nobody is called under its claim any more.
fn gone_at(e: &Evidence<'_>, touch: &TouchRecord) -> Option<u64> {
    match touch.state {
        TouchState::Planned | TouchState::Prevented | TouchState::Superseded => {
            let mut turns = e.state.turns.iter().filter(|t| is_at(touch, &t.place));
            turns.next_back().map(|turn| turn.step)
        }
        TouchState::Claimed
        | TouchState::Sent
        | TouchState::Unknown
        | TouchState::Failed
        | TouchState::Delivered
        | TouchState::Bounced
        | TouchState::Complained => failed_at(e, touch),
    }
}

/// Whether a touch was claimed and went to its end, whatever that was.
pub(crate) const fn was_called(state: TouchState) -> bool {
    match state {
        TouchState::Sent
        | TouchState::Failed
        | TouchState::Unknown
        | TouchState::Delivered
        | TouchState::Bounced
        | TouchState::Complained => true,
        TouchState::Planned | TouchState::Claimed | TouchState::Prevented | TouchState::Superseded => false,
    }
}

/// Whether a stage, or one above it, was told by a message that arrived or may have.
pub(crate) fn was_told_of(e: &Evidence<'_>, stage: &StageOf<'_>) -> bool {
    let tells = |t: &&TouchRecord| t.touch.items.iter().any(|item| stage.is_reached_by(item));
    let may_have_arrived = |t: &TouchRecord| was_called(t.state) && failed_at(e, t).is_none();
    e.touches.iter().flatten().filter(tells).any(may_have_arrived)
}

/// The channels on which a stage was tried in vain.
pub(crate) fn tried<'a>(e: &'a Evidence<'_>, stage: &'a StageOf<'_>) -> impl Iterator<Item = Channel> + 'a {
    let tells = |t: &&TouchRecord| t.touch.items.iter().any(|item| stage.is_told_by(item));
    e.touches.iter().flatten().filter(tells).filter(|t| failed_at(e, t).is_some()).map(|t| t.touch.channel)
}

/// Whether the last news of a message that failed came after a step, so that no later scan has looked at it.
pub(crate) fn failed_after(e: &Evidence<'_>, stage: &StageOf<'_>, step: u64) -> bool {
    let tells = |t: &&TouchRecord| t.touch.items.iter().any(|item| stage.is_reached_by(item));
    e.touches.iter().flatten().filter(tells).filter_map(|t| failed_at(e, t)).any(|at| at > step)
}

/// Nobody takes a stage for told whose every message is known not to have arrived, or was never sent: it goes another way, or it is said why
/// it does not.
pub(crate) fn another_way(e: &Evidence<'_>, obligation: usize, found: &mut Vec<Violation>) {
    let row = &e.world.rows[obligation];
    if asked_to_be_forgotten(e, &row.customer.id) {
        return;
    }
    for (line, begun) in e.decisions.iter().zip(&e.course.lines) {
        let takes_for_told = line.verdict == Decision::Skip
            && line.reasons.iter().any(|reason| reason.code == ReasonCode::StageReached);
        if line.obligation != row.obligation.id || !takes_for_told {
            continue;
        }
        let Some(dpd) = line.stage.as_ref().and_then(|id: &StageId| e.world.dpd_of(id)) else { continue };
        let (due_on, _) = due_dates(e, obligation, *begun);
        let stage = StageOf { obligation: &row.obligation.id, due_on, dpd };
        let tells = |t: &&TouchRecord| t.touch.items.iter().any(|item| stage.is_reached_by(item));
        let mut all = e.touches.iter().flatten().filter(tells).peekable();
        // What was claimed since may be what the line is about; and it may be about another cycle.
        let is_known = |t: &TouchRecord| gone_at(e, t).is_some_and(|at| at <= *begun);
        let is_certain = !was_turned(e, obligation, (*begun, u64::MAX));
        if all.peek().is_some() && is_certain && all.all(is_known) {
            let detail = format!(
                "{} was taken for told of {} on {}, and no message about it is left",
                row.obligation.id,
                line.stage.as_ref().map_or("no stage", StageId::as_str),
                line.on
            );
            found.push(Violation { rule: Rule::Lost, detail });
            return;
        }
    }
}
