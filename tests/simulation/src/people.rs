//! People: what an operator says of messages of which nobody knows whether they went out, and customers who ask to be
//! forgotten; and the model's part about both.
//!
//! Invariant: what an operator is about to say is in the book before it is written, so the model knows it whatever becomes
//! of the write. An operator may be wrong, and is believed until the provider says something else.

use domain::contact::EvidenceRef;
use domain::fact_record::PersonWord;
use domain::ids::{CustomerId, OperatorId, TenantId};
use domain::touch::TouchState;
use store::{Erased, FoundOut, RecordError, Scope, Store, TouchKey, TouchRecord};

use crate::model::{Evidence, Rule, Violation};
use crate::reports::Said;
use crate::scene::{Call, Scene, instant};

/// In how many of a thousand words the operator is wrong.
const WRONG_PER_MILLE: i64 = 300;
/// In how many of a thousand cases an operator leaves a message for another day.
const LATER_PER_MILLE: i64 = 300;
/// The most notes that an operator works on.
const NOTES_MAX: u32 = 100;

/// What an operator said, or was about to say, of a touch.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) touch: TouchKey,
    pub(crate) found: FoundOut,
}

/// Settles what is in the report; `false` where the store failed.
pub(crate) async fn settle(store: &Store, scene: &Scene, tenant: &TenantId, now_ms: i64) -> bool {
    let Ok(page) = store.noted_unknown(tenant, None, NOTES_MAX).await else { return false };
    let Ok(mut unknown) = store.still_unknown(tenant, &page.items).await else { return false };
    unknown.sort_by_key(|record| TouchKey::of(&record.touch));
    let id = OperatorId::new("ops-7").expect("an id that is made here is sound");
    let evidence = EvidenceRef::note("ticket 4411").expect("a reference that is made here is sound");
    let word = PersonWord::new(id, evidence).expect("a word that is made here is sound");
    for record in unknown {
        let touch = TouchKey::of(&record.touch);
        let found = {
            let mut state = scene.state();
            if state.dice.happens(LATER_PER_MILLE) {
                continue;
            }
            let has = state.calls.iter().any(|call| call.fate.accepted && is_of(call, &touch));
            let is_wrong = state.dice.happens(WRONG_PER_MILLE);
            let found = if has == is_wrong { FoundOut::NotSent } else { FoundOut::Sent };
            state.note(|| format!("says of {}: {found:?}", touch.id));
            state.words.push(Word { touch: touch.clone(), found });
            found
        };
        match store.settle_unknown(tenant, &touch, found, &word, instant(now_ms)).await {
            Ok(_)
            | Err(RecordError::Missing | RecordError::Refused { .. } | RecordError::OtherClaim { .. }) => {}
            Err(RecordError::Store(_)) => return false,
        }
    }
    true
}

/// Erases a customer; `false` where it has to be tried again.
pub(crate) async fn erase(store: &Store, scope: &Scope, customer: &CustomerId, now_ms: i64) -> bool {
    match store.erase_customer(scope, customer, instant(now_ms)).await {
        Ok(Erased::Made { .. }) => true,
        Ok(Erased::InFlight { .. } | Erased::Unknown) | Err(_) => false,
    }
}

fn is_of(call: &Call, touch: &TouchKey) -> bool {
    call.touch.id == touch.id && call.touch.on == touch.on && call.touch.customer == touch.customer
}

/// Whether an operator said this of a touch.
pub(crate) fn was_said(e: &Evidence<'_>, touch: &TouchKey, found: FoundOut) -> bool {
    e.state.words.iter().any(|word| word.touch == *touch && word.found == found)
}

/// Whether a call was made because an operator said that the message of an earlier one did not go out, which nobody knew
/// better when it was claimed.
pub(crate) fn excused_by_word(e: &Evidence<'_>, earlier: &Call, call: &Call) -> bool {
    let touch = TouchKey::of(&earlier.touch);
    let Some(claim) = call.claim else { return false };
    was_said(e, &touch, FoundOut::NotSent) && !was_heard(e, earlier, claim)
}

/// Whether an event that shows that a message went out was taken before a step.
fn was_heard(e: &Evidence<'_>, call: &Call, step: u64) -> bool {
    let touch = TouchKey::of(&call.touch);
    let mut taken =
        e.state.told.iter().filter(|told| {
            TouchKey::of(&told.touch) == touch && told.taken.is_some_and(|taken| taken < step)
        });
    // What the provider refused itself, and what came back, may go another way.
    !call.came_back
        && taken
            .any(|told| matches!(told.said, Said::Sent | Said::Delayed | Said::Delivered | Said::Complained))
}

/// Whether a customer asked to be forgotten, whatever became of it.
pub(crate) fn asked_to_be_forgotten(e: &Evidence<'_>, customer: &CustomerId) -> bool {
    e.world.erasure.is_some_and(|(_, who)| e.world.customers[who].id == *customer)
}

/// Nothing goes out after an erasure, nothing is written back, and no doubt is forgotten.
pub(crate) fn erasures(e: &Evidence<'_>, found: &mut Vec<Violation>) {
    let (Some((_, who)), Some(erased)) = (e.world.erasure, e.course.erased) else { return };
    let customer = &e.world.customers[who].id;
    let mut wrong = |rule, detail: String| found.push(Violation { rule, detail });
    for call in e.state.calls.iter().filter(|c| c.touch.customer == *customer) {
        if call.claim.is_none_or(|claim| claim > erased) {
            wrong(Rule::AgainstFacts, format!("touch {} after the erasure", call.touch.id));
        }
        let place = TouchKey::of(&call.touch);
        let kept = e.touches[who].iter().any(|t| TouchKey::of(&t.touch) == place);
        let is_settled = e.state.told.iter().any(|t| TouchKey::of(&t.touch) == place)
            || e.state.words.iter().any(|word| word.touch == place);
        if !call.fate.answered && !kept && !is_settled {
            wrong(Rule::Lost, format!("touch {} is unknown and was forgotten", call.touch.id));
        }
    }
    let may_stay = |touch: &TouchRecord| match touch.state {
        TouchState::Unknown
        | TouchState::Sent
        | TouchState::Failed
        | TouchState::Delivered
        | TouchState::Bounced
        | TouchState::Complained => true,
        TouchState::Claimed | TouchState::Planned | TouchState::Prevented | TouchState::Superseded => false,
    };
    for touch in e.touches[who].iter().filter(|touch| !may_stay(touch)) {
        wrong(Rule::WrongRecord, format!("touch {} is {} after the erasure", touch.touch.id, touch.state));
    }
    if e.left_of_erased {
        wrong(Rule::WrongRecord, format!("data of customer {customer} is left after the erasure"));
    }
}
