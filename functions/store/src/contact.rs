//! Contacts that others made: calls of a contact centre, messages of another system. They count against the caps.
//!
//! Invariant: a contact is added in one transaction with a new version of the fence and its entry in the audit chain, so a
//! decision that did not know of it can no longer be carried out, and no contact can be added or taken away unseen.

use chrono::{DateTime, Days, SubsecRound, Utc};
use domain::contact::Contact;
use domain::fact_record::RecordedFact;
use domain::fence::CONTACT_DAYS_KEPT;
use domain::ids::CustomerId;

use crate::audit::fact_entry;
use crate::claim::fence_write;
use crate::item::decode_fence;
use crate::{Scope, Store, StoreError, failed, key};

/// The most contacts that a fence holds: far more than any law allows in [`CONTACT_DAYS_KEPT`] days.
pub const CONTACTS_MAX: usize = 500;
/// How often a contact is added again when another write came in between.
const RECORD_TRIES_MAX: usize = 8;

/// What became of a contact that was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContactRecorded {
    /// It counts from now on.
    Made,
    /// It was known.
    Already,
    /// It is older than what is kept, so it counts against nothing.
    TooOld,
    /// No import has named the customer, or its data was erased.
    UnknownCustomer,
}

impl Store {
    /// Adds a contact that was made outside, known at `now`. Counted as `contact`.
    ///
    /// # Errors
    /// [`StoreError`] when an access fails, or the customer has [`CONTACTS_MAX`] contacts. Again is safe.
    pub async fn record_contact(
        &self,
        scope: &Scope,
        customer: &CustomerId,
        contact: Contact,
        now: DateTime<Utc>,
    ) -> Result<ContactRecorded, StoreError> {
        let contact = Contact { at: contact.at.trunc_subsecs(3), ..contact };
        let kept_from = now.date_naive().checked_sub_days(Days::new(CONTACT_DAYS_KEPT));
        if kept_from.is_none_or(|first| contact.at.date_naive() < first) {
            return Ok(ContactRecorded::TooOld);
        }
        for _ in 0..RECORD_TRIES_MAX {
            let found = self.get("contact", key::fence(&scope.tenant, customer)).await?;
            let Some(fence) = found.as_ref().map(decode_fence).transpose()? else {
                return Ok(ContactRecorded::UnknownCustomer);
            };
            if fence.erased_at.is_some() {
                return Ok(ContactRecorded::UnknownCustomer);
            }
            let mut next = fence.clone();
            next.forget_old_contacts(now.date_naive());
            if !next.add_contact(contact) {
                return Ok(ContactRecorded::Already);
            }
            if next.contacts.len() > CONTACTS_MAX {
                let reason = format!("more than {CONTACTS_MAX} contacts of one customer");
                return Err(StoreError::Permanent { operation: "contact", reason });
            }
            let Contact { at, channel, direct: answered } = contact;
            let fact = RecordedFact::Contact { at_ms: at.timestamp_millis(), channel, answered };
            let (entry, hash) = fact_entry((&scope.tenant, customer), &fence, fact, now);
            next.version += 1;
            next.audit_head = Some(hash);
            let writes = vec![fence_write(scope, customer, fence.version, &next), entry];
            match self.transact("contact", writes).await {
                Ok(()) => return Ok(ContactRecorded::Made),
                Err(failure) if failure.is_contention() => {}
                Err(failure) => return Err(failed("contact", failure)),
            }
        }
        let reason = "the fence kept moving".to_owned();
        Err(StoreError::Retryable { operation: "contact", reason })
    }
}
