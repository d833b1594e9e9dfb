//! The model's part about the facts: what is owed, until when, and by which channels a customer may be told.
//!
//! Invariant: it reads the world's own list of facts and the steps at which they were written, never the store.

use chrono::NaiveDate;
use domain::channel::Channel;
use domain::touch::TouchItem;

use crate::model::{Evidence, Rule, Violation};
use crate::scene::Call;
use crate::told::may_be_suppressed;
use crate::world::{AMOUNT_MINOR, Fact};

/// What the facts say about an obligation in the end.
pub(crate) struct Stands {
    pub(crate) open: bool,
    pub(crate) held: bool,
    /// The channels by which the customer may be told, now and later.
    pub(crate) channels: Vec<Channel>,
}

impl Stands {
    pub(crate) const fn is_reachable(&self) -> bool {
        !self.channels.is_empty()
    }
}

pub(crate) fn stands(e: &Evidence<'_>, obligation: usize, on: NaiveDate) -> Stands {
    let (world, owner) = (e.world, e.world.owners[obligation]);
    let mut paid_minor = 0;
    let (mut held, mut shown) = (false, world.known_at_first(obligation));
    let mut channels: Vec<Channel> = world.customers[owner]
        .contact_points
        .iter()
        .map(|p| p.channel)
        .filter(|c| world.may_serve(owner, *c))
        .filter(|c| !may_be_suppressed(e, &world.customers[owner].id, *c))
        .collect();
    for ((_, fact), known) in world.facts.iter().zip(&e.course.known) {
        match fact {
            _ if known.is_none() => {}
            Fact::Pay { obligation: o, amount_minor, key }
                if *o == obligation && !is_unpaid(e, *key, u64::MAX) =>
            {
                paid_minor += amount_minor;
            }
            Fact::Dispute { obligation: o, from_on, until_on } if *o == obligation => {
                held |= *from_on <= on && until_on.is_none_or(|until| on < until);
            }
            Fact::OptOut { customer, channel, .. } | Fact::Suppress { customer, channel }
                if *customer == owner =>
            {
                channels.retain(|c| c != channel);
            }
            Fact::Appear { obligation: o } if *o == obligation => shown = true,
            Fact::Pay { .. }
            | Fact::Unpay { .. }
            | Fact::Move { .. }
            | Fact::Dispute { .. }
            | Fact::OptOut { .. }
            | Fact::Suppress { .. }
            | Fact::Appear { .. }
            | Fact::Policy => {}
        }
    }
    Stands { open: shown && paid_minor < AMOUNT_MINOR, held, channels }
}

/// Whether a fact forbids an item on a channel on a day.
fn forbids(e: &Evidence<'_>, fact: &Fact, item: &TouchItem, channel: Channel, on: NaiveDate) -> bool {
    let world = e.world;
    let is = |o: &usize| world.rows[*o].obligation.id == item.obligation;
    let owner = |c: &usize| {
        world
            .rows
            .iter()
            .zip(&world.owners)
            .any(|(row, owner)| owner == c && row.obligation.id == item.obligation)
    };
    match fact {
        Fact::Pay { obligation, .. } => is(obligation),
        Fact::Dispute { obligation, from_on, until_on } => {
            is(obligation) && *from_on <= on && until_on.is_none_or(|until| on < until)
        }
        Fact::OptOut { customer, channel: stopped, .. } | Fact::Suppress { customer, channel: stopped } => {
            owner(customer) && *stopped == channel
        }
        Fact::Unpay { .. } | Fact::Move { .. } | Fact::Appear { .. } | Fact::Policy => false,
    }
}

/// Whether it was known at a step that there was no such payment.
fn is_unpaid(e: &Evidence<'_>, payment: usize, step: u64) -> bool {
    e.world.facts.iter().zip(&e.course.known).any(|((_, fact), known)| {
        matches!(fact, Fact::Unpay { key, .. } if *key == payment) && known.is_some_and(|known| known <= step)
    })
}

/// The due date of an obligation by what was known at a step, and those that somebody may have known already.
pub(crate) fn due_dates(e: &Evidence<'_>, obligation: usize, step: u64) -> (NaiveDate, Vec<NaiveDate>) {
    let (mut is, mut may_be) = (e.world.rows[obligation].obligation.due_on, Vec::new());
    for (index, due_on) in e.world.moves(obligation) {
        match e.course.known[index] {
            Some(known) if known <= step => (is, may_be) = (due_on, Vec::new()),
            Some(_) | None => may_be.push(due_on),
        }
    }
    (is, may_be)
}

/// The due date of an obligation in the end.
pub(crate) fn last_due_on(e: &Evidence<'_>, obligation: usize) -> NaiveDate {
    due_dates(e, obligation, u64::MAX).0
}

/// Whether what is owed was turned away and back between two steps, so that a message may have been stopped and another
/// one is due: by a payment that there was not, or by another due date.
pub(crate) fn was_turned(e: &Evidence<'_>, obligation: usize, (after, until): (u64, u64)) -> bool {
    let is_turn = |fact: &Fact| match fact {
        Fact::Pay { obligation: o, key, .. } => *o == obligation && is_unpaid(e, *key, u64::MAX),
        Fact::Move { obligation: o, .. } => *o == obligation,
        Fact::Unpay { .. }
        | Fact::Dispute { .. }
        | Fact::OptOut { .. }
        | Fact::Suppress { .. }
        | Fact::Appear { .. }
        | Fact::Policy => false,
    };
    e.world
        .facts
        .iter()
        .zip(&e.course.known)
        .any(|((_, fact), known)| is_turn(fact) && known.is_some_and(|known| known > after && known <= until))
}

pub(crate) fn against_facts(e: &Evidence<'_>, call: &Call, found: &mut Vec<Violation>) {
    let Some(claim) = call.claim else {
        found.push(Violation { rule: Rule::Unclaimed, detail: format!("touch {}", call.touch.id) });
        return;
    };
    for item in &call.touch.items {
        let place = e.world.rows.iter().position(|row| row.obligation.id == item.obligation);
        let (is, may_be) = place.map(|o| due_dates(e, o, claim)).unwrap_or_default();
        if item.due_on != is && !may_be.contains(&item.due_on) {
            let detail = format!("touch {} about {} due {is}", call.touch.id, item.obligation);
            found.push(Violation { rule: Rule::AgainstFacts, detail });
        }
        let mut paid_minor = 0;
        for ((_, fact), known) in e.world.facts.iter().zip(&e.course.known) {
            if known.is_none_or(|step| step > claim)
                || !forbids(e, fact, item, call.touch.channel, call.touch.on)
            {
                continue;
            }
            if let Fact::Pay { amount_minor, key, .. } = fact {
                if is_unpaid(e, *key, claim) {
                    continue;
                }
                paid_minor += amount_minor;
                if paid_minor < AMOUNT_MINOR {
                    continue;
                }
            }
            let detail = format!("touch {} about {} after {fact:?}", call.touch.id, item.obligation);
            found.push(Violation { rule: Rule::AgainstFacts, detail });
        }
    }
}
