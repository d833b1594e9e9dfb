//! What follows from a report beside its touch: the use of a contact point, and the stages of the customer.
//!
//! Invariant: all of it is written in the transaction of the report. A stage is taken back where a message surely did not
//! arrive and no other message carries it; where it shows afterwards that the message went out, the stage counts as
//! reached again, under a new version of the fence, so that nothing that was decided in between can be claimed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::delivery::{Folded, Report, SOFT_BOUNCES_MAX, Source, soft_bounces_with};
use domain::fact_record::RecordedFact;
use domain::fence::{FailedAttempt, Fence};
use domain::ids::{CustomerId, ObligationId, TenantId, TouchId};
use domain::touch::{TouchItem, TouchState};

use crate::audit::fact_entry;
use crate::backend::{Expression, Item, Table, Write};
use crate::item::{
    Reader, StoredObligation, StoredTouch, failed_text, instant_of_hex, keyed, reached_text, set,
};
use crate::key::{self, Key};
use crate::record::Said;
use crate::stage::{Carriers, Stages};
use crate::suppression::suppression_write;
use crate::{Store, StoreError, SuppressionKey, TouchKey, TouchRecord};

/// What a report changes beside its touch.
#[derive(Default)]
pub(crate) struct Consequences {
    pub(crate) writes: Vec<Write>,
    pub(crate) is_suppressed: bool,
    pub(crate) fell_back: bool,
    /// The other touches that carry a stage that was taken back by mistake, and were called meanwhile or may have been.
    pub(crate) told_by: Vec<TouchId>,
}

/// What is known of the customer of a report.
struct Known {
    fence: Fence,
    obligations: BTreeMap<ObligationId, StoredObligation>,
    others: Vec<TouchRecord>,
}

impl Store {
    pub(crate) async fn consequences(
        &self,
        tenant: &TenantId,
        secret: Option<&SuppressionKey>,
        folded: &Folded,
        said: &Said<'_>,
    ) -> Result<Consequences, StoreError> {
        let Said { stored, event, recorded_at, .. } = *said;
        let (channel, customer) = (stored.touch.channel, &stored.touch.customer);
        let mut all = Consequences::default();
        let places: Vec<Key> = secret.map_or_else(Vec::new, |secret| {
            event.addresses.iter().map(|a| secret.place(tenant, channel, a)).collect()
        });
        // These always move the fence: a person's word, and news of a message that was taken for failed.
        let moves = event.transition.source == Source::Person || folded.went_out;
        let ends_use = match event.transition.report {
            Report::Delivered => {
                self.forget_soft_bounces(places.first(), event.at, &mut all).await?;
                false
            }
            Report::SoftBounced => self.count_soft_bounce(places.first(), event.at, &mut all).await?,
            Report::Unknown | Report::Sent | Report::Delayed | Report::Failed => false,
            Report::HardBounced | Report::Complained => true,
        };
        // A soft bounce is no end of the address, and its stage goes no other way, before there are too many.
        let may_fall_back = folded.may_fall_back && (ends_use || event.transition.report == Report::Failed);
        #[cfg(feature = "deliberate-faults")]
        let may_fall_back = may_fall_back && !self.is_broken_by(crate::DeliberateFault::NoFallBack);
        if !moves && !ends_use && !may_fall_back {
            return Ok(all);
        }
        let Some(facts) = self.stored_facts(tenant, customer).await? else {
            // Of an erased customer there is the fence, and whose word it is goes on record all the same.
            if let Some(fence) = self.fence(tenant, customer).await?.filter(|_| moves) {
                let known = Known { fence, obligations: BTreeMap::new(), others: Vec::new() };
                move_fence(tenant, known, said, &Follows::Nothing, &mut all);
            }
            return Ok(all);
        };
        // Only the contact point that the customer has now: another one is not used any more.
        let point = facts.customer.contact_points.iter().find(|p| p.channel == channel);
        let place = secret.zip(point).map(|(secret, p)| secret.place(tenant, channel, &p.address));
        if let Some(place) = place.filter(|place| ends_use && places.contains(place)) {
            all.writes.push(suppression_write(place, &event.reason, recorded_at));
            all.is_suppressed = true;
        }
        let stages = may_fall_back || folded.went_out;
        // They are read after the fence, under whose version all of this is written.
        let others = if stages { self.touches(tenant, customer).await? } else { Vec::new() };
        let follows = if may_fall_back && other_has_failed(tenant, stored, &others, &mut all) {
            Follows::FallBack
        } else if folded.went_out {
            Follows::Restored
        } else {
            Follows::Nothing
        };
        let known = Known { fence: facts.fence, obligations: facts.obligations, others };
        move_fence(tenant, known, said, &follows, &mut all);
        Ok(all)
    }

    /// Adds a soft bounce to those of the contact point, and says whether they are too many.
    async fn count_soft_bounce(
        &self,
        place: Option<&Key>,
        at: DateTime<Utc>,
        all: &mut Consequences,
    ) -> Result<bool, StoreError> {
        let Some(place) = place else { return Ok(false) };
        let key = key::soft_bounces(place.clone());
        let found = self.get("record", key.clone()).await?;
        let bounces = soft_bounces_with(&bounces_of(found.as_ref())?, at);
        all.writes.push(bounces_write(key, &bounces, found.as_ref()));
        Ok(bounces.len() >= SOFT_BOUNCES_MAX)
    }

    /// A message that arrived ends the count of the soft bounces before it.
    async fn forget_soft_bounces(
        &self,
        place: Option<&Key>,
        at: DateTime<Utc>,
        all: &mut Consequences,
    ) -> Result<(), StoreError> {
        let Some(place) = place else { return Ok(()) };
        let key = key::soft_bounces(place.clone());
        let Some(found) = self.get("record", key.clone()).await? else { return Ok(()) };
        let earlier = bounces_of(Some(&found))?;
        let later: Vec<_> = earlier.iter().copied().filter(|bounced_at| *bounced_at > at).collect();
        if later.len() < earlier.len() {
            all.writes.push(bounces_write(key, &later, Some(&found)));
        }
        Ok(())
    }
}

/// What becomes of the stages of a touch.
enum Follows {
    Nothing,
    /// They are taken back, but for those that another message carries.
    FallBack,
    /// They had been taken back by mistake.
    Restored,
}

/// The other attempt at the same message, where there is one. It may be of another day.
fn other_attempt<'a>(stored: &StoredTouch, others: &'a [TouchRecord]) -> Option<&'a TouchRecord> {
    let id = stored.resent_as.as_ref().or(stored.resend_of.as_ref())?;
    let ours = &stored.touch.id;
    others.iter().find(|t| {
        t.touch.id == *id && (t.resend_of.as_ref() == Some(ours) || t.resent_as.as_ref() == Some(ours))
    })
}

/// Whether the other attempt at the same message is known not to have arrived either, where there is one: the stages may
/// only go another way when both have failed. The report holds for the other as it was read.
fn other_has_failed(
    tenant: &TenantId,
    stored: &StoredTouch,
    others: &[TouchRecord],
    all: &mut Consequences,
) -> bool {
    if stored.resent_as.is_none() && stored.resend_of.is_none() {
        return true;
    }
    let Some(other) = other_attempt(stored, others) else { return false };
    let condition =
        Expression { text: "#st = :st", names: &["st"], values: vec![(":st", other.state.as_str().into())] };
    all.writes.push(Write::Check { key: TouchKey::of(&other.touch).key(tenant), condition });
    // What came back for now may have been read all the same.
    other.state == TouchState::Failed || other.history.has(Report::HardBounced)
}

/// The fence under a new version, with the stages taken back where they may go another way or reached again where they
/// went out, and the entry of the audit chain. The contact stays: a message that did not arrive was an attempt all the
/// same.
fn move_fence(
    tenant: &TenantId,
    mut known: Known,
    said: &Said<'_>,
    follows: &Follows,
    all: &mut Consequences,
) {
    let Said { stored, event, person, recorded_at } = said;
    let Some(claimed_at) = stored.claimed_at else { return };
    let (touch, fence) = (&stored.touch, known.fence);
    let mut next = fence.clone();
    let (mut fell_back, mut restored) = (Vec::new(), Vec::new());
    let mut must = event.transition.source == Source::Person || all.is_suppressed;
    let carriers = Carriers::besides(&TouchKey::of(touch), &known.others, &fence);
    match follows {
        Follows::Nothing => {}
        Follows::FallBack => {
            let stages = Stages::new(&mut next, &mut known.obligations);
            let items: Vec<TouchItem> = touch.items.iter().filter(|i| stages.is_at(i)).cloned().collect();
            let attempt = FailedAttempt { at: claimed_at, channel: touch.channel, items: items.clone() };
            all.fell_back = next.remember_failed(attempt);
            if all.fell_back {
                let mut stages = Stages::new(&mut next, &mut known.obligations);
                items.iter().for_each(|item| stages.take_back(item, &stored.before, &carriers));
                all.writes.extend(stages.writes(tenant, &touch.customer));
                fell_back.extend(items.into_iter().map(|item| item.obligation));
                must = true;
            }
        }
        Follows::Restored => {
            // Of two attempts at one message the one that was settled last is remembered, for both.
            let other = other_attempt(stored, &known.others).and_then(|other| other.claimed_at);
            for at in [Some(claimed_at), other].into_iter().flatten() {
                restored.extend(next.forget_failed(at, touch.channel));
            }
            let mut stages = Stages::new(&mut next, &mut known.obligations);
            touch.items.iter().for_each(|item| stages.reach(item));
            all.writes.extend(stages.writes(tenant, &touch.customer));
            all.told_by = carriers.of(&touch.items).into_iter().collect();
            must = true;
        }
    }
    if !must {
        return;
    }
    let fact = RecordedFact::Report {
        touch: touch.id.clone(),
        claimed_at_ms: claimed_at.timestamp_millis(),
        report: event.transition.report.as_str().to_owned(),
        source: event.transition.source.as_str().to_owned(),
        suppressed: all.is_suppressed,
        fell_back,
        restored,
        told_by: all.told_by.clone(),
        person: person.cloned(),
    };
    let (entry, hash) = fact_entry((tenant, &touch.customer), &fence, fact, *recorded_at);
    next.version += 1;
    next.audit_head = Some(hash);
    all.writes.push(fence_update(tenant, &touch.customer, fence.version, &next));
    all.writes.push(entry);
}

/// Changes what a report may change of a fence. Its place in the open index needs no shard: one that the sweep has taken
/// out comes back with the next claim, and until then the scan asks the planner, which knows the stage.
fn fence_update(tenant: &TenantId, customer: &CustomerId, version_read: u64, next: &Fence) -> Write {
    let head = next.audit_head.as_deref().unwrap_or_default();
    let mut values = vec![(":v", version_read.into()), (":next", next.version.into()), (":ah", head.into())];
    if !next.failed.is_empty() {
        values.push((":fa", failed_text(&next.failed).into()));
    }
    if !next.reached.is_empty() {
        values.push((":r", reached_text(next.reached.iter()).into()));
    }
    // Where no stage is left it stays in the open index: another claim of the customer may be open. The sweep takes it out.
    let update = match (next.failed.is_empty(), next.reached.is_empty()) {
        (true, true) => "SET #v = :next, #ah = :ah REMOVE #fa, #r",
        (true, false) => "SET #v = :next, #ah = :ah, #r = :r REMOVE #fa",
        (false, true) => "SET #v = :next, #ah = :ah, #fa = :fa REMOVE #r",
        (false, false) => "SET #v = :next, #ah = :ah, #fa = :fa, #r = :r",
    };
    let condition = Expression { text: "#v = :v", names: &["v", "ah", "fa", "r"], values };
    Write::Update { key: key::fence(tenant, customer), update, condition }
}

fn bounces_of(item: Option<&Item>) -> Result<Vec<DateTime<Utc>>, StoreError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    let all = |text: &str| text.split_whitespace().map(instant_of_hex).collect::<Option<Vec<_>>>();
    Reader::new("soft bounces", item).read("sb", "instants in hexadecimal milliseconds", all)
}

fn bounces_write(key: Key, bounces: &[DateTime<Utc>], found: Option<&Item>) -> Write {
    let mut item = keyed(key);
    let text: Vec<String> = bounces.iter().map(|at| format!("{:x}", at.timestamp_millis())).collect();
    set(&mut item, "sb", text.join(" "));
    let condition = match found.and_then(|found| found.get("sb")) {
        None => Expression::absent(),
        Some(was) => Expression { text: "#sb = :was", names: &["sb"], values: vec![(":was", was.clone())] },
    };
    Write::Put { table: Table::Ops, item, condition: Some(condition) }
}
