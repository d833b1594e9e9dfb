//! Record: folds what is said about a claimed touch into the touch, and writes what follows from it.
//!
//! Invariant: a report and all that follows from it are one conditional write or one transaction, on the state and the
//! history that were read. So a report counts once however often it comes, and no decision made before a suppression
//! can still be carried out. What a person says, and what ends the use of a contact point or takes stages back, is an
//! entry of the audit chain as well; other reports stand with their touch alone, because every message has some.

use chrono::{DateTime, Duration, SubsecRound, Utc};
use domain::contact::Address;
use domain::delivery::{Code, Folded, HistoryEntry, Refused, Report, Source, Step, Transition, fold};
use domain::fact_record::PersonWord;
use domain::fence::CLOCKS_APART_MINUTES_MAX;
use domain::ids::{TenantId, TouchId};
use domain::touch::TouchState;

use crate::backend::{Expression, Item, Table, Write};
use crate::claim::HeldClaim;
use crate::item::{Reader, StoredTouch, history_text};
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
    /// Other touches that carry a stage of this one, which was taken for failed and went out after all, and that were
    /// called meanwhile or may have been: the customer may have been told twice.
    pub told_by: Vec<TouchId>,
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
    /// The claim that it names is over, or its provider may be called.
    #[error("the touch is {found}, under another claim or with its call made")]
    OtherClaim {
        /// The state of the touch.
        found: TouchState,
    },
    /// The store failed; the same can be recorded again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A report, the touch that it is about, and whose word it is where a person said it.
pub(crate) struct Said<'a> {
    pub(crate) stored: &'a StoredTouch,
    pub(crate) event: &'a TouchEvent,
    pub(crate) person: Option<&'a PersonWord>,
    pub(crate) recorded_at: DateTime<Utc>,
}

/// Who makes a report, besides its source.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    /// Whoever reports about the touch, under whatever claim.
    Anybody,
    /// A person.
    Person(&'a PersonWord),
    /// The holder of a claim, about this claim and no other.
    Holder(&'a HeldClaim),
    /// A sweep that has found this claim without the mark of a call.
    Uncalled(&'a HeldClaim),
}

impl<'a> By<'a> {
    const fn person(self) -> Option<&'a PersonWord> {
        match self {
            Self::Person(word) => Some(word),
            Self::Anybody | Self::Holder(_) | Self::Uncalled(_) => None,
        }
    }

    /// Whether the touch is what the report is about.
    fn is_about(self, stored: &StoredTouch) -> bool {
        let is_held = |claim: &HeldClaim| stored.fence_version == Some(claim.fence_version);
        match self {
            Self::Anybody | Self::Person(_) => true,
            Self::Holder(claim) => is_held(claim),
            Self::Uncalled(claim) => {
                is_held(claim) && stored.state == TouchState::Claimed && stored.called_at.is_none()
            }
        }
    }
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
        self.record(tenant, Some(secret), touch, (event, By::Anybody), recorded_at).await
    }

    /// Without the key of addresses, contact points stay as they are.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        secret: Option<&SuppressionKey>,
        touch: &TouchKey,
        (event, by): (&TouchEvent, By<'_>),
        recorded_at: DateTime<Utc>,
    ) -> Result<Recorded, RecordError> {
        let place = touch.key(tenant);
        for _ in 0..RECORD_TRIES_MAX {
            let item = self.get("record", place.clone()).await?.ok_or(RecordError::Missing)?;
            let stored = StoredTouch::decode(&item)?;
            if !by.is_about(&stored) {
                return Err(RecordError::OtherClaim { found: stored.state });
            }
            if by.person().is_some() && is_before_claim(&stored, recorded_at) {
                return Err(RecordError::Refused { found: stored.state, why: Refused::BeforeClaim });
            }
            let folded = fold(stored.state, &stored.history, event.transition);
            #[cfg(feature = "deliberate-faults")]
            let folded = self.without_ranks(folded, event.transition);
            if let Step::Refused(why) = folded.step {
                return Err(RecordError::Refused { found: stored.state, why });
            }
            if !folded.is_news {
                return Ok(Recorded {
                    step: folded.step,
                    is_news: false,
                    is_suppressed: false,
                    fell_back: false,
                    told_by: Vec::new(),
                    touch: stored.into(),
                });
            }
            let next = with_report(&stored, &folded, event, recorded_at);
            let put = Write::Put {
                table: Table::Ops,
                item: next.encode(place.clone()),
                condition: Some(as_read(&item, &stored)?),
            };
            let said = Said { stored: &stored, event, person: by.person(), recorded_at };
            let all = self.consequences(tenant, secret, &folded, &said).await?;
            let (is_suppressed, fell_back, told_by) = (all.is_suppressed, all.fell_back, all.told_by);
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
                        told_by,
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
}

/// Whether a moment is before the claim of a touch, by more than clocks are apart.
fn is_before_claim(stored: &StoredTouch, at: DateTime<Utc>) -> bool {
    let apart = Duration::minutes(CLOCKS_APART_MINUTES_MAX);
    stored.claimed_at.is_some_and(|claimed_at| claimed_at.signed_duration_since(at) > apart)
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
    // No two claims of a touch are decided on the same version.
    let version = stored.fence_version;
    let version =
        version.ok_or_else(|| Reader::new("touch", item).corrupt("fv", "the version that was decided on"))?;
    let mut values = vec![(":st", stored.state.as_str().into()), (":fv", version.into())];
    let is_silent = stored.history.entries().is_empty();
    if !is_silent {
        values.push((":hs", history_text(&stored.history).into()));
    }
    if stored.state == TouchState::Claimed && is_silent {
        // A sender may come to its call at any moment, and then it is not known any more what will be sent.
        let text = if stored.called_at.is_some() {
            "#st = :st AND #fv = :fv AND attribute_not_exists(#hs) AND attribute_exists(#pa)"
        } else {
            "#st = :st AND #fv = :fv AND attribute_not_exists(#hs) AND attribute_not_exists(#pa)"
        };
        return Ok(Expression { text, names: &["st", "fv", "hs", "pa"], values });
    }
    let text = match (is_silent, stored.resent_as.is_some()) {
        (true, false) => {
            "#st = :st AND #fv = :fv AND attribute_not_exists(#hs) AND attribute_not_exists(#ra)"
        }
        (true, true) => "#st = :st AND #fv = :fv AND attribute_not_exists(#hs) AND attribute_exists(#ra)",
        (false, false) => "#st = :st AND #fv = :fv AND #hs = :hs AND attribute_not_exists(#ra)",
        (false, true) => "#st = :st AND #fv = :fv AND #hs = :hs AND attribute_exists(#ra)",
    };
    Ok(Expression { text, names: &["st", "fv", "hs", "ra"], values })
}
