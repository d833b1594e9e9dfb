//! Touches after their claim: settled, and told as a timeline. Before it they wait in a wave.
//!
//! Invariant: every change names the state it starts from. Doing the same twice is fine and changes nothing; doing
//! something else is a conflict that says what was found.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use domain::delivery::{History, Step};
use domain::fence::Reached;
use domain::ids::{CustomerId, ObligationId, TenantId, TouchId};
use domain::touch::{Touch, TouchState};

use crate::backend::{Expression, Failure, Query, Table, Write};
use crate::claim::HeldClaim;
use crate::item::{StoredTouch, history_text};
use crate::key::{TOUCH, customer_partition};
use crate::record::{By, RecordError, TouchEvent};
use crate::{Store, StoreError, failed, key};

/// The longest reason that is kept, in characters.
pub const REASON_CHARS_MAX: usize = 200;
/// The most pages of one customer's touches, of 1 MB each.
const TOUCH_PAGES_MAX: usize = 64;

/// Where a touch is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TouchKey {
    /// Who is contacted.
    pub customer: CustomerId,
    /// The customer's local date of the plan.
    pub on: NaiveDate,
    /// Which touch.
    pub id: TouchId,
}

impl TouchKey {
    /// The place of a touch.
    #[must_use]
    pub fn of(touch: &Touch) -> Self {
        Self { customer: touch.customer.clone(), on: touch.on, id: touch.id.clone() }
    }

    pub(crate) fn key(&self, tenant: &TenantId) -> key::Key {
        key::touch(tenant, &self.customer, self.on, &self.id)
    }
}

/// Whether a call changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It did.
    Made,
    /// The same was done before.
    Already,
}

/// How a provider call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The provider accepted it.
    Sent {
        /// The provider's own id.
        provider_id: String,
    },
    /// It was surely not sent and will not be.
    Failed {
        /// A code, without personal data; cut to [`REASON_CHARS_MAX`].
        reason: String,
    },
    /// It may or may not have been sent.
    Unknown {
        /// A code, without personal data; cut to [`REASON_CHARS_MAX`].
        reason: String,
    },
}

/// Why a touch was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TouchError {
    /// It is not in the state that the change starts from.
    #[error("the touch was found {}; expected {expected}", .found.map_or("absent", TouchState::as_str))]
    Conflict {
        /// What was found; `None` where no touch is stored.
        found: Option<TouchState>,
        /// What the change starts from.
        expected: TouchState,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A touch with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TouchRecord {
    /// What was planned. Instants are in whole milliseconds; after a release, `send_at` is the time of the retry.
    pub touch: Touch,
    /// Where it stands.
    pub state: TouchState,
    /// When it was claimed.
    pub claimed_at: Option<DateTime<Utc>>,
    /// When it was settled, prevented or superseded.
    pub settled_at: Option<DateTime<Utc>>,
    /// The version of the fence that was decided on.
    pub fence_version: Option<u64>,
    /// The provider's own id.
    pub provider_id: Option<String>,
    /// Why it failed, is unknown, or was prevented; the id of the touch that superseded it.
    pub reason: Option<String>,
    /// What was said about it since its claim: when, by whom, and why.
    pub history: History,
    /// What its obligations had reached before the claim.
    pub before: BTreeMap<ObligationId, Reached>,
    /// The second attempt at its message, where the outcome of the first was not known and the tenant prefers delivery.
    pub resent_as: Option<TouchId>,
    /// The touch that it is the second attempt of.
    pub resend_of: Option<TouchId>,
}

impl From<StoredTouch> for TouchRecord {
    fn from(s: StoredTouch) -> Self {
        Self {
            touch: s.touch,
            state: s.state,
            claimed_at: s.claimed_at,
            settled_at: s.settled_at,
            fence_version: s.fence_version,
            provider_id: s.provider_id,
            reason: s.reason,
            history: s.history,
            before: s.before,
            resent_as: s.resent_as,
            resend_of: s.resend_of,
        }
    }
}

impl Store {
    /// Closes the very claim that the caller holds with the outcome of the provider call. Counted as `settle`; a
    /// failure also lets the stages of the touch fall back, which is counted as `record`.
    ///
    /// What an event or the sweeper has said meanwhile is no conflict: more is known then, or this says more.
    ///
    /// # Errors
    /// [`TouchError::Conflict`] when the touch is not claimed or is under another claim, or is settled with another
    /// outcome.
    pub async fn settle(
        &self,
        tenant: &TenantId,
        claim: &HeldClaim,
        outcome: &Outcome,
        at: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        let (touch, by) = (&claim.touch, By::Holder(claim));
        let event = TouchEvent::of_outcome(outcome, at);
        let (to, update, names, detail): (_, _, &'static [&'static str], _) = match outcome {
            Outcome::Sent { provider_id } => (
                TouchState::Sent,
                "SET #st = :to, #sa = :at, #hs = :hs, #pi = :detail",
                &["st", "fv", "sa", "hs", "pi"],
                provider_id,
            ),
            Outcome::Unknown { reason } => (
                TouchState::Unknown,
                "SET #st = :to, #sa = :at, #hs = :hs, #rs = :detail",
                &["st", "fv", "sa", "hs", "rs"],
                reason,
            ),
            Outcome::Failed { reason } => {
                return self.settle_by_record(tenant, (&event, by), TouchState::Failed, reason, at).await;
            }
        };
        let history: History = [event.entry(at)].into_iter().collect();
        let condition = Expression {
            text: "#st = :from AND #fv = :fv",
            names,
            values: vec![
                (":from", TouchState::Claimed.as_str().into()),
                (":fv", claim.fence_version.into()),
                (":to", to.as_str().into()),
                (":at", at.timestamp_millis().into()),
                (":hs", history_text(&history).into()),
                (":detail", clipped(detail).into()),
            ],
        };
        match self.write("settle", Write::Update { key: touch.key(tenant), update, condition }).await {
            Ok(()) => Ok(Change::Made),
            Err(Failure::Condition(_)) => self.settle_by_record(tenant, (&event, by), to, detail, at).await,
            Err(failure) => Err(failed("settle", failure).into()),
        }
    }

    /// Fails a claim that a sweep has found abandoned before its call: it was surely not sent. Counted as `record`.
    ///
    /// # Errors
    /// [`TouchError::Conflict`] when its sender came to the call after all, or the claim is over.
    pub(crate) async fn fail_uncalled(
        &self,
        tenant: &TenantId,
        claim: &HeldClaim,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        let event = TouchEvent::of_outcome(&Outcome::Failed { reason: reason.to_owned() }, at);
        self.settle_by_record(tenant, (&event, By::Uncalled(claim)), TouchState::Failed, reason, at).await
    }

    /// Settles what is not simply claimed, or whose fence changes too.
    async fn settle_by_record(
        &self,
        tenant: &TenantId,
        (event, by): (&TouchEvent, By<'_>),
        to: TouchState,
        detail: &str,
        at: DateTime<Utc>,
    ) -> Result<Change, TouchError> {
        let conflict = |found| TouchError::Conflict { found, expected: TouchState::Claimed };
        let (By::Holder(claim) | By::Uncalled(claim)) = by else { return Err(conflict(None)) };
        let recorded = match self.record(tenant, None, &claim.touch, (event, by), at).await {
            Ok(recorded) => recorded,
            Err(RecordError::Missing) => return Err(conflict(None)),
            Err(RecordError::Refused { found, .. } | RecordError::OtherClaim { found }) => {
                return Err(conflict(Some(found)));
            }
            Err(RecordError::Store(error)) => return Err(error.into()),
        };
        match recorded.step {
            Step::Made(_) => Ok(Change::Made),
            Step::Already => {
                let found = recorded.touch;
                let kept = if to == TouchState::Sent { found.provider_id } else { found.reason };
                let is_same = kept.as_deref() == Some(clipped(detail).as_str());
                if is_same { Ok(Change::Already) } else { Err(conflict(Some(to))) }
            }
            // Somebody else has said for sure that it was not sent.
            Step::Ignored(_) if recorded.touch.state == TouchState::Failed => {
                Err(conflict(Some(TouchState::Failed)))
            }
            Step::Ignored(_) | Step::Refused(_) => Ok(Change::Already),
        }
    }

    /// A touch; `None` when it was never claimed nor closed. Strongly consistent; counted as `touches`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails.
    pub async fn touch(
        &self,
        tenant: &TenantId,
        touch: &TouchKey,
    ) -> Result<Option<TouchRecord>, StoreError> {
        let item = self.get("touches", touch.key(tenant)).await?;
        item.map(|item| StoredTouch::decode(&item).map(TouchRecord::from)).transpose()
    }

    /// All touches of a customer, by day. Strongly consistent; counted as `touches`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn touches(
        &self,
        tenant: &TenantId,
        customer: &CustomerId,
    ) -> Result<Vec<TouchRecord>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND begins_with(#sk, :touch)",
                names: &["pk", "sk"],
                values: vec![(":pk", customer_partition(tenant, customer).into()), (":touch", TOUCH.into())],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        let items = self.query_all("touches", query, TOUCH_PAGES_MAX).await?;
        items.iter().map(|item| StoredTouch::decode(item).map(TouchRecord::from)).collect()
    }
}

/// A reason at its longest.
pub(crate) fn clipped(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
