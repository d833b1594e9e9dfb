//! Choices of customers: recorded beside the facts, so that no import can undo one.
//!
//! Invariant: a choice, a new version of the customer's fence and an entry of the audit chain are written together or not
//! at all, so a claim that was decided before the choice fails, and the order of the chain says which came first. The same event again changes nothing. A reply, which names an address and no
//! customer, suppresses the address; only a suppression by reply is lifted by a later reply.

use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::choice::Choice;
use domain::contact::Address;
use domain::fact_record::RecordedFact;
use domain::fence::Fence;
use domain::ids::{ChoiceId, CustomerId, TenantId};

use crate::audit::fact_entry;
use crate::backend::{Expression, Failure, Item, Query, Table, Value, Write};
use crate::claim::fence_write;
use crate::item::{decode_choice, decode_fence, encode_choice, keyed, set};
use crate::key::{self, FENCE, customer_partition};
use crate::suppression::LIFTED;
use crate::{Scope, Store, StoreError, SuppressionKey, failed};

/// The most choices of one customer after which nothing more is granted; a withdrawal is always recorded.
pub const CHOICES_MAX: usize = 500;
/// The most pages of one customer's choices, of 1 MB each.
const CHOICE_PAGES_MAX: usize = 8;
/// How often a choice is tried again when another write came in between.
const CHOICE_TRIES_MAX: usize = 8;

/// The reason of a suppression that the customer's reply asked for.
const BY_REPLY: &str = "reply";

/// What became of a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is kept now.
    New,
    /// It was kept before.
    Already,
}

/// What became of a reply that asks for messages again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifted {
    /// The suppression by reply is lifted.
    Now,
    /// This reply lifted it before.
    Already,
    /// There is no earlier suppression by reply: what else stands there is not the reply's to lift.
    NotByReply,
}

/// Why a choice is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Another choice has the same id.
    #[error("the event {id} stands for another choice; expected an id of its own for each choice")]
    Conflict {
        /// The id.
        id: ChoiceId,
    },
    /// The customer changed its mind too often for one more authorisation.
    #[error("customer {customer} has {CHOICES_MAX} choices or more; expected a person to look at them first")]
    TooMany {
        /// The customer.
        customer: CustomerId,
    },
    /// The store failed. Trying again is safe.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Records a choice of a customer at `now`, with a new version of the fence and its entry in the audit chain. A customer that no import has named yet gets its
    /// fence here, so that the choice holds from the first decision on. Counted as `choice`.
    ///
    /// # Errors
    /// [`ChoiceError`] when the id stands for another choice, when there are too many to grant more, or when an access
    /// fails.
    pub async fn record_choice(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        choice: &Choice,
        now: DateTime<Utc>,
    ) -> Result<Kept, ChoiceError> {
        let place = key::choice(&scope.tenant, customer, &choice.id);
        for _ in 0..CHOICE_TRIES_MAX {
            let known = self.choices(&scope.tenant, customer).await?;
            match known.iter().find(|k| k.id == choice.id) {
                Some(same) if same == choice => return Ok(Kept::Already),
                Some(_) => return Err(ChoiceError::Conflict { id: choice.id.clone() }),
                None if choice.what.grants() && known.len() >= CHOICES_MAX => {
                    return Err(ChoiceError::TooMany { customer: customer.clone() });
                }
                None => {}
            }
            let found = self.get("choice", key::fence(&scope.tenant, customer)).await?;
            let fence = found.as_ref().map(decode_fence).transpose()?.unwrap_or_default();
            let fact = RecordedFact::Choice(choice.clone());
            let (entry, hash) = fact_entry((&scope.tenant, customer), &fence, fact, now);
            let next = Fence { version: fence.version + 1, audit_head: Some(hash), ..fence.clone() };
            let item = encode_choice(place.clone(), choice);
            let put = Write::Put { table: Table::Ops, item, condition: Some(Expression::absent()) };
            let moved = fence_write(scope, customer, fence.version, &next);
            match self.transact("choice", vec![put, moved, entry]).await {
                Ok(()) => return Ok(Kept::New),
                Err(failure) if failure.is_contention() => {}
                Err(failure) => return Err(failed("choice", failure).into()),
            }
        }
        let reason = format!("customer {customer} changed {CHOICE_TRIES_MAX} times");
        Err(StoreError::Retryable { operation: "choice", reason }.into())
    }

    /// The choices of a customer, in the order of their ids. Counted as `choice`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn choices(&self, tenant: &TenantId, customer: &CustomerId) -> Result<Vec<Choice>, StoreError> {
        let query = Query {
            table: Table::Ops,
            index: None,
            condition: Expression {
                text: "#pk = :pk AND #sk < :end",
                names: &["pk", "sk"],
                // Choices are the first items of a customer.
                values: vec![(":pk", customer_partition(tenant, customer).into()), (":end", FENCE.into())],
            },
            consistent: true,
            limit: None,
            start: None,
        };
        self.query_all("choice", query, CHOICE_PAGES_MAX).await?.iter().map(decode_choice).collect()
    }

    /// Suppresses the address that a reply came from, for every customer that has it. A suppression for another reason,
    /// and one by a later reply, are left as they are, and so is what a later reply has lifted. Counted as `reply`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn suppress_by_reply(
        &self,
        tenant: &TenantId,
        secret: &SuppressionKey,
        (channel, address): (Channel, &Address),
        at: DateTime<Utc>,
    ) -> Result<Kept, StoreError> {
        let mut item = keyed(secret.place(tenant, channel, address));
        set(&mut item, "rs", BY_REPLY);
        set(&mut item, "at", at.timestamp_millis());
        let condition = Expression {
            text: "attribute_not_exists(#pk) OR (#rs = :rs AND #at < :at AND (attribute_not_exists(#lf) OR #lf < :at))",
            names: &["pk", "rs", "at", LIFTED],
            values: vec![(":rs", BY_REPLY.into()), (":at", at.timestamp_millis().into())],
        };
        match self.write("reply", Write::Put { table: Table::Ops, item, condition: Some(condition) }).await {
            Ok(()) => Ok(Kept::New),
            Err(Failure::Condition(_)) => Ok(Kept::Already),
            Err(failure) => Err(failed("reply", failure)),
        }
    }

    /// Lifts the suppression of an address, where an earlier reply from it was the reason. Counted as `reply`.
    ///
    /// # Errors
    /// [`StoreError`] when the write fails.
    pub async fn lift_by_reply(
        &self,
        tenant: &TenantId,
        secret: &SuppressionKey,
        (channel, address): (Channel, &Address),
        at: DateTime<Utc>,
    ) -> Result<Lifted, StoreError> {
        let condition = Expression {
            text: "#rs = :rs AND #at < :at AND attribute_not_exists(#lf)",
            names: &["rs", "at", LIFTED],
            values: vec![(":rs", BY_REPLY.into()), (":at", at.timestamp_millis().into())],
        };
        let key = secret.place(tenant, channel, address);
        match self.write("reply", Write::Update { key, update: "SET #lf = :at", condition }).await {
            Ok(()) => Ok(Lifted::Now),
            Err(Failure::Condition(found)) => {
                let by_this = found.is_some_and(|item| lifted_at(&item) == Some(at.timestamp_millis()));
                Ok(if by_this { Lifted::Already } else { Lifted::NotByReply })
            }
            Err(failure) => Err(failed("reply", failure)),
        }
    }
}

fn lifted_at(item: &Item) -> Option<i64> {
    match item.get(LIFTED) {
        Some(Value::N(number)) => number.parse().ok(),
        Some(Value::S(_)) | None => None,
    }
}
