//! The model's part about the provider's events: what a touch, a customer and a later message owe to what was said.
//!
//! Invariant: it knows the ranks by a table of its own, and shares no code with the fold.

use std::collections::BTreeMap;

use domain::channel::Channel;
use domain::ids::CustomerId;
use domain::touch::TouchState;
use store::{FoundOut, TouchKey, TouchRecord};

use crate::model::{Evidence, Rule, Violation};
use crate::people::Word;
use crate::reports::{Said, Told};
use crate::scene::{Call, Place};

/// How many soft bounces of an address end its use.
const SOFT_MAX: usize = 3;

/// How much a state says about a message; `None` where none was called for.
fn rank(state: &str) -> Option<u8> {
    let order = ["claimed", "unknown", "sent", "failed", "delivered", "bounced", "complained"];
    order.iter().position(|s| *s == state).and_then(|at| u8::try_from(at).ok())
}

/// The state that an event tells of.
const fn state_of(said: Said) -> TouchState {
    match said {
        Said::Sent | Said::Delayed => TouchState::Sent,
        Said::Rejected => TouchState::Failed,
        Said::Delivered => TouchState::Delivered,
        Said::SoftBounced | Said::HardBounced => TouchState::Bounced,
        Said::Complained => TouchState::Complained,
    }
}

/// Whether an operator said of a touch that it did not go out, also where its customer was erased since.
fn was_denied(e: &Evidence<'_>, (pk, sk): &Place) -> bool {
    let is_it = |word: &&Word| {
        let TouchKey { customer, on, id } = &word.touch;
        pk.ends_with(&format!("#CUST#{customer}")) && *sk == format!("TOUCH#{}#{id}", on.format("%Y%m%d"))
    };
    e.state.words.iter().filter(is_it).any(|word| word.found == FoundOut::NotSent)
}

fn about<'a>(e: &'a Evidence<'_>, touch: &'a TouchRecord) -> impl Iterator<Item = &'a Told> {
    e.state.told.iter().filter(|t| t.touch.id == touch.touch.id && t.touch.on == touch.touch.on)
}

/// Whether the provider said what a state tells.
pub(crate) fn was_told(e: &Evidence<'_>, touch: &TouchRecord, state: TouchState) -> bool {
    about(e, touch).any(|told| state_of(told.said) == state)
}

/// No touch goes back, no event that was taken is forgotten, and no forged one is believed.
pub(crate) fn events(e: &Evidence<'_>, found: &mut Vec<Violation>) {
    let mut last: BTreeMap<&Place, &str> = BTreeMap::new();
    for turn in &e.state.turns {
        let before = last.insert(&turn.place, &turn.state);
        // A person may have taken for failed what went out.
        let after_word = before == Some("failed") && turn.state == "sent" && was_denied(e, &turn.place);
        let was = before.and_then(rank).filter(|was| *was > 0 && !after_word);
        if was.is_some_and(|was| rank(&turn.state).is_none_or(|is| is < was)) {
            let detail = format!("{} from {before:?} to {}", turn.place.1, turn.state);
            found.push(Violation { rule: Rule::Backwards, detail });
        }
    }
    for touch in e.touches.iter().flatten() {
        let is = rank(touch.state.as_str());
        let most = about(e, touch).filter(|t| t.taken.is_some()).map(|t| t.said).max();
        if let Some(said) = most.filter(|said| is < rank(state_of(*said).as_str())) {
            let detail = format!("touch {} is {} after the event {said:?}", touch.touch.id, touch.state);
            found.push(Violation { rule: Rule::WrongRecord, detail });
        }
    }
    for touch in e.touches.iter().flatten().filter(|t| t.state == TouchState::Failed) {
        let taken = || about(e, touch).filter(|t| t.taken.is_some()).map(|t| t.said);
        if taken().any(|said| said == Said::Sent) && !about(e, touch).any(|t| t.said == Said::Rejected) {
            let detail = format!("touch {} is failed, and the provider has it", touch.touch.id);
            found.push(Violation { rule: Rule::WrongRecord, detail });
        }
    }
    for message in &e.state.believed {
        let detail = format!("the forged event {message}");
        found.push(Violation { rule: Rule::Believed, detail });
    }
}

/// No message goes to an address after an event that ends its use was taken.
pub(crate) fn against_reports(e: &Evidence<'_>, call: &Call, found: &mut Vec<Violation>) {
    let Some(claim) = call.claim else { return };
    let before = |told: &&Told| told.taken.is_some_and(|taken| taken < claim);
    let mut of_address = e.state.told.iter().filter(|t| is_to(t, &call.touch.customer, call.touch.channel));
    if let Some(told) = of_address.clone().filter(before).find(|t| t.said.ends_use()) {
        let detail = format!("touch {} after {:?} of touch {}", call.touch.id, told.said, told.touch.id);
        found.push(Violation { rule: Rule::AgainstFacts, detail });
    }
    // A message that arrived ends the count, and nobody says here which bounces were before it.
    let soft = of_address.clone().filter(before).filter(|t| t.said == Said::SoftBounced).count();
    if soft >= SOFT_MAX && !of_address.any(|t| t.said == Said::Delivered) {
        let detail = format!("touch {} after {soft} soft bounces", call.touch.id);
        found.push(Violation { rule: Rule::AgainstFacts, detail });
    }
}

fn is_to(told: &Told, customer: &CustomerId, channel: Channel) -> bool {
    told.touch.customer == *customer && told.touch.channel == channel
}

/// Whether something was said that may have ended the use of a customer's address, whoever took it.
pub(crate) fn may_be_suppressed(e: &Evidence<'_>, customer: &CustomerId, channel: Channel) -> bool {
    let mut of_address = e.state.told.iter().filter(|t| is_to(t, customer, channel));
    let soft = of_address.clone().filter(|t| t.said == Said::SoftBounced).count();
    soft >= SOFT_MAX || of_address.any(|t| t.said.ends_use())
}
