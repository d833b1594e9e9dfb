//! Record: folds what is said about a claimed touch into the touch, its customer's fence and its contact point.
//!
//! Invariant: a report and all that follows from it are one conditional write or one transaction, on the state and the
//! history that were read. So a report counts once however often it comes, and no decision made before a suppression
//! can still be carried out. What a person says, and what ends the use of a contact point or takes stages back, is an
//! entry of the audit chain as well; other reports stand with their touch alone, because every message has some.

use chrono::{DateTime, SubsecRound, Utc};
use domain::contact::Address;
use domain::delivery::{
    Code, Folded, HistoryEntry, Refused, Report, SOFT_BOUNCES_MAX, Source, Step, Transition, fold,
    soft_bounces_with,
};
use domain::fact_record::{PersonWord, RecordedFact};
use domain::fence::{FailedAttempt, Fence};
use domain::ids::{CustomerId, TenantId};
use domain::touch::TouchState;

use crate::audit::fact_entry;
use crate::backend::{Expression, Item, Table, Write};
use crate::item::{Reader, StoredTouch, failed_text, history_text, instant_of_hex, keyed, reached_text, set};
use crate::key::{self, Key};
use crate::suppression::suppression_write;
use crate::touch::clipped;
use crate::{Outcome, Store, StoreError, SuppressionKey, TouchKey, TouchRecord, failed};

/// How often a touch is read again when another write came in between.
const RECORD_TRIES_MAX: usize = 8;

/// Something that is said about a touch after its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchEvent {
    /// What is said, and by whom.
    pub transition: Transition,
    /// Why: a code without personal data, or a person's own words. Cut to [`crate::REASON_CHARS_MAX`].
    pub reason: String,
    /// When it happened, by whoever says it.
    pub at: DateTime<Utc>,
    /// The provider's own id of the message.
    pub provider_id: Option<String>,
    /// The addresses that it is about.
    pub addresses: Vec<Address>,
}

impl TouchEvent {
    pub(crate) fn of_outcome(outcome: &Outcome, at: DateTime<Utc>) -> Self {
        let (report, reason, provider_id) = match outcome {
            Outcome::Sent { provider_id } => (Report::Sent, String::new(), Some(provider_id.clone())),
            Outcome::Failed { reason } => (Report::Failed, reason.clone(), None),
            Outcome::Unknown { reason } => (Report::Unknown, reason.clone(), None),
        };
        let transition = Transition { report, source: Source::Sender };
        Self { transition, reason, at, provider_id, addresses: Vec::new() }
    }

    /// As it is kept in the history.
    pub(crate) fn entry(&self, recorded_at: DateTime<Utc>) -> HistoryEntry {
        HistoryEntry {
            report: self.transition.report,
            source: self.transition.source,
            code: Code::new(&self.reason),
            at: self.at.trunc_subsecs(3),
            recorded_at: recorded_at.trunc_subsecs(3),
        }
    }
}

/// What a report did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// To the state of the touch.
    pub step: Step,
    /// Whether it was written; not where the same was said before.
    pub is_news: bool,
    /// Whether the contact point must not be used from now on.
    pub is_suppressed: bool,
    /// Whether stages were taken back, so that they are planned again on another channel.
    pub fell_back: bool,
    /// The touch as it is now.
    pub touch: TouchRecord,
}

/// Why a report was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// There is no such touch.
    #[error("no such touch is stored")]
    Missing,
    /// It cannot be true of this touch, or not from this source.
    #[error("the touch is {found}: {why}")]
    Refused {
        /// The state of the touch.
        found: TouchState,
        /// Why.
        why: Refused,
    },
    /// The store failed; the same can be recorded again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a report changes beside its touch.
#[derive(Default)]
struct Consequences {
    writes: Vec<Write>,
    is_suppressed: bool,
    fell_back: bool,
}

/// A report, the touch that it is about, and whose word it is where a person said it.
struct Said<'a> {
    stored: &'a StoredTouch,
    event: &'a TouchEvent,
    person: Option<&'a PersonWord>,
    recorded_at: DateTime<Utc>,
}

impl Store {
    /// Records what was said about a touch, with what follows from it: one write unit where nothing does. Again is
    /// fine. A person settles an unknown touch by [`Self::settle_unknown`]. Counted as `record`.
    ///
    /// # Errors
    /// [`RecordError::Missing`] and [`RecordError::Refused`] for what cannot be recorded, [`RecordError::Store`] when
    /// a request fails.
    pub async fn record_event(
        &self,
        tenant: &TenantId,
        secret: &SuppressionKey,
        touch: &TouchKey,
        event: &TouchEvent,
        recorded_at: DateTime<Utc>,
    ) -> Result<Recorded, RecordError> {
        self.record(tenant, Some(secret), touch, event, recorded_at).await
    }

    /// Without the key of addresses, contact points stay as they are.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        secret: Option<&SuppressionKey>,
        touch: &TouchKey,
        event: &TouchEvent,
        recorded_at: DateTime<Utc>,
    ) -> Result<Recorded, RecordError> {
        self.record_word(tenant, secret, touch, (event, None), recorded_at).await
    }

    /// The same, with whose word it is.
    pub(crate) async fn record_word(
        &self,
        tenant: &TenantId,
        secret: Option<&SuppressionKey>,
        touch: &TouchKey,
        (event, person): (&TouchEvent, Option<&PersonWord>),
        recorded_at: DateTime<Utc>,
    ) -> Result<Recorded, RecordError> {
        let place = touch.key(tenant);
        for _ in 0..RECORD_TRIES_MAX {
            let item = self.get("record", place.clone()).await?.ok_or(RecordError::Missing)?;
            let stored = StoredTouch::decode(&item)?;
            let folded = fold(stored.state, &stored.history, event.transition);
            #[cfg(feature = "deliberate-faults")]
            let folded = self.without_ranks(folded, event.transition);
            if let Step::Refused(why) = folded.step {
                return Err(RecordError::Refused { found: stored.state, why });
            }
            if !folded.is_news {
                let (is_suppressed, fell_back) = (false, false);
                let touch = stored.into();
                return Ok(Recorded { step: folded.step, is_news: false, is_suppressed, fell_back, touch });
            }
            let next = with_report(&stored, &folded, event, recorded_at);
            let put = Write::Put {
                table: Table::Ops,
                item: next.encode(place.clone()),
                condition: Some(as_read(&item, &stored)?),
            };
            let said = Said { stored: &stored, event, person, recorded_at };
            let all = self.consequences(tenant, secret, &folded, &said).await?;
            let (is_suppressed, fell_back) = (all.is_suppressed, all.fell_back);
            let written = if all.writes.is_empty() {
                self.write("record", put).await
            } else {
                self.transact("record", std::iter::once(put).chain(all.writes).collect()).await
            };
            match written {
                Ok(()) => {
                    let touch = next.into();
                    return Ok(Recorded {
                        step: folded.step,
                        is_news: true,
                        is_suppressed,
                        fell_back,
                        touch,
                    });
                }
                Err(failure) if failure.is_contention() => {}
                Err(failure) => return Err(failed("record", failure).into()),
            }
        }
        let reason = "the touch or its customer kept changing".to_owned();
        Err(StoreError::Retryable { operation: "record", reason }.into())
    }

    async fn consequences(
        &self,
        tenant: &TenantId,
        secret: Option<&SuppressionKey>,
        folded: &Folded,
        said: &Said<'_>,
    ) -> Result<Consequences, StoreError> {
        let Said { stored, event, recorded_at, .. } = *said;
        let channel = stored.touch.channel;
        let mut all = Consequences::default();
        let places: Vec<Key> = secret.map_or_else(Vec::new, |secret| {
            event.addresses.iter().map(|a| secret.place(tenant, channel, a)).collect()
        });
        let by_person = event.transition.source == Source::Person;
        let ends_use = match event.transition.report {
            Report::Unknown | Report::Sent | Report::Delayed if !by_person => return Ok(all),
            Report::Delivered => {
                self.forget_soft_bounces(places.first(), event.at, &mut all).await?;
                return Ok(all);
            }
            Report::SoftBounced => {
                if !self.count_soft_bounce(places.first(), event.at, &mut all).await? {
                    return Ok(all);
                }
                true
            }
            Report::Unknown | Report::Sent | Report::Delayed | Report::Failed => false,
            Report::HardBounced | Report::Complained => true,
        };
        let Some(facts) = self.customer_facts(tenant, &stored.touch.customer).await? else { return Ok(all) };
        // Only the contact point that the customer has now: another one is not used any more.
        let point = facts.customer.contact_points.iter().find(|p| p.channel == channel);
        let place = secret.zip(point).map(|(secret, p)| secret.place(tenant, channel, &p.address));
        if let Some(place) = place.filter(|place| ends_use && places.contains(place)) {
            all.writes.push(suppression_write(place, &event.reason, recorded_at));
            all.is_suppressed = true;
        }
        let may_fall_back = folded.may_fall_back && self.other_has_failed(tenant, stored, &mut all).await?;
        move_fence(tenant, &facts.fence, said, may_fall_back, &mut all);
        Ok(all)
    }

    /// Whether the other attempt at the same message is known not to have arrived either, where there is one: the stages
    /// may only go another way when both have failed. The report holds for the other as it was read.
    async fn other_has_failed(
        &self,
        tenant: &TenantId,
        stored: &StoredTouch,
        all: &mut Consequences,
    ) -> Result<bool, StoreError> {
        let Some(id) = stored.resent_as.as_ref().or(stored.resend_of.as_ref()) else { return Ok(true) };
        let ours = &stored.touch.id;
        let is_other = |t: &TouchRecord| {
            t.touch.id == *id && (t.resend_of.as_ref() == Some(ours) || t.resent_as.as_ref() == Some(ours))
        };
        // It may be of another day.
        let touches = self.touches(tenant, &stored.touch.customer).await?;
        let Some(other) = touches.into_iter().find(is_other) else { return Ok(false) };
        let condition = Expression {
            text: "#st = :st",
            names: &["st"],
            values: vec![(":st", other.state.as_str().into())],
        };
        all.writes.push(Write::Check { key: TouchKey::of(&other.touch).key(tenant), condition });
        Ok(matches!(other.state, TouchState::Failed | TouchState::Bounced))
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

/// The fence under a new version, with the stages taken back where they may go another way, and the entry of the audit
/// chain. The contact stays: a message that did not arrive was an attempt all the same.
fn move_fence(
    tenant: &TenantId,
    fence: &Fence,
    said: &Said<'_>,
    may_fall_back: bool,
    all: &mut Consequences,
) {
    let Said { stored, event, person, recorded_at } = said;
    let Some(claimed_at) = stored.claimed_at else { return };
    let (touch, mut next) = (&stored.touch, fence.clone());
    let mut fell_back = Vec::new();
    if may_fall_back {
        let attempt = FailedAttempt { at: claimed_at, channel: touch.channel, items: touch.items.clone() };
        all.fell_back = next.fall_back(attempt, &stored.before);
        let taken_back = next.failed.last().filter(|_| all.fell_back);
        fell_back.extend(taken_back.into_iter().flat_map(|a| &a.items).map(|i| i.obligation.clone()));
    }
    if !all.fell_back && !all.is_suppressed && event.transition.source != Source::Person {
        return;
    }
    let fact = RecordedFact::Report {
        touch: touch.id.clone(),
        claimed_at_ms: claimed_at.timestamp_millis(),
        report: event.transition.report.as_str().to_owned(),
        source: event.transition.source.as_str().to_owned(),
        suppressed: all.is_suppressed,
        fell_back,
        person: person.cloned(),
    };
    let (entry, hash) = fact_entry((tenant, &touch.customer), fence, fact, *recorded_at);
    next.version += 1;
    next.audit_head = Some(hash);
    all.writes.push(fence_update(tenant, &touch.customer, fence.version, &next));
    all.writes.push(entry);
}

/// The touch with one more report.
fn with_report(
    stored: &StoredTouch,
    folded: &Folded,
    event: &TouchEvent,
    recorded_at: DateTime<Utc>,
) -> StoredTouch {
    let mut next = stored.clone();
    next.history.note(event.entry(recorded_at));
    if next.provider_id.is_none() {
        next.provider_id.clone_from(&event.provider_id);
    }
    let Step::Made(to) = folded.step else { return next };
    next.state = to;
    if matches!(stored.state, TouchState::Claimed | TouchState::Unknown) {
        next.settled_at = Some(recorded_at.trunc_subsecs(3));
    }
    // That it went well needs no reason, unless a person says so.
    let went_well = matches!(to, TouchState::Sent | TouchState::Delivered);
    let says_why = !went_well || event.transition.source == Source::Person;
    next.reason = says_why.then(|| clipped(&event.reason));
    next
}

/// The touch is as it was read: the same claim, in the same state, with the same mark, history and attempts.
fn as_read(item: &Item, stored: &StoredTouch) -> Result<Expression, StoreError> {
    let claimed_at = stored.claimed_at;
    let claimed_at =
        claimed_at.ok_or_else(|| Reader::new("touch", item).corrupt("ca", "the instant of the claim"))?;
    let mut values =
        vec![(":st", stored.state.as_str().into()), (":ca", claimed_at.timestamp_millis().into())];
    let is_silent = stored.history.entries().is_empty();
    if !is_silent {
        values.push((":hs", history_text(&stored.history).into()));
    }
    if stored.state == TouchState::Claimed && is_silent {
        // A sender may come to its call at any moment, and then it is not known any more what will be sent.
        let text = if stored.called_at.is_some() {
            "#st = :st AND #ca = :ca AND attribute_not_exists(#hs) AND attribute_exists(#pa)"
        } else {
            "#st = :st AND #ca = :ca AND attribute_not_exists(#hs) AND attribute_not_exists(#pa)"
        };
        return Ok(Expression { text, names: &["st", "ca", "hs", "pa"], values });
    }
    let text = match (is_silent, stored.resent_as.is_some()) {
        (true, false) => {
            "#st = :st AND #ca = :ca AND attribute_not_exists(#hs) AND attribute_not_exists(#ra)"
        }
        (true, true) => "#st = :st AND #ca = :ca AND attribute_not_exists(#hs) AND attribute_exists(#ra)",
        (false, false) => "#st = :st AND #ca = :ca AND #hs = :hs AND attribute_not_exists(#ra)",
        (false, true) => "#st = :st AND #ca = :ca AND #hs = :hs AND attribute_exists(#ra)",
    };
    Ok(Expression { text, names: &["st", "ca", "hs", "ra"], values })
}

/// Changes what a report may change of a fence; its place in the open index needs no shard, since a report never adds
/// the first stage.
fn fence_update(tenant: &TenantId, customer: &CustomerId, version_read: u64, next: &Fence) -> Write {
    let head = next.audit_head.as_deref().unwrap_or_default();
    let mut values = vec![(":v", version_read.into()), (":next", next.version.into()), (":ah", head.into())];
    let (update, names): (_, &'static [&'static str]) = if next.failed.is_empty() {
        ("SET #v = :next, #ah = :ah", &["v", "ah"])
    } else {
        values.push((":fa", failed_text(&next.failed).into()));
        if next.reached.is_empty() {
            // It stays in the open index: another claim of the customer may be open. The sweep takes it out.
            ("SET #v = :next, #ah = :ah, #fa = :fa REMOVE #r", &["v", "ah", "fa", "r"])
        } else {
            values.push((":r", reached_text(next.reached.iter()).into()));
            ("SET #v = :next, #ah = :ah, #fa = :fa, #r = :r", &["v", "ah", "fa", "r"])
        }
    };
    let condition = Expression { text: "#v = :v", names, values };
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
