//! Records what customers choose about being contacted: words by API, replies, links, requests for other hours.
//!
//! Invariants: a withdrawal is kept, with a new version of the customer's fence, before this function answers, so it holds
//! for the next send. What cannot be proven is not granted: a forged link, a reply that is no keyword, hours without a
//! document that is later than the contract. The same event again changes nothing.

mod event;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};
use domain::channel::Channel;
use domain::choice::{
    AgreedHours, Choice, Chosen, HoursRefusal, OptOutKey, ReplyMeaning, TokenError, read_reply, token_mark,
};
use domain::contact::{Address, Consent, ConsentSource, EvidenceError, EvidenceRef, PurposeScope};
use domain::customer::Customer;
use domain::ids::{ChoiceId, CustomerId, IdError, TenantId};
use domain::zone::zone_for;
use runtime::rules::{RulesCache, RulesError, TenantRules};
use serde::Serialize;
use store::{ChoiceError, Kept, Lifted, Store, StoreError, SuppressionKey};

pub use event::{
    Channels, ChoiceEvent, EVENT_VERSION, EventError, HoursEvent, InboundSms, LinkEvent, ReplyEvent, Version,
    WordEvent, events_of,
};

/// How far the clock of a caller may be ahead of ours, in minutes.
pub const CLOCK_AHEAD_MINUTES_MAX: i64 = 5;

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    /// The facts.
    pub store: Store,
    /// Compiled policies; the contact rules of a customer are found by them.
    pub rules: RulesCache,
    /// The key that hides suppressed addresses.
    pub suppression: SuppressionKey,
    /// The key that links are signed with.
    pub links: OptOutKey,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The choice is kept now.
    Recorded {
        /// The tenant.
        tenant: TenantId,
        /// The customer.
        customer: CustomerId,
        /// The choice.
        choice: ChoiceId,
    },
    /// The choice was kept before.
    Unchanged {
        /// The tenant.
        tenant: TenantId,
        /// The choice.
        choice: ChoiceId,
    },
    /// The address that a reply came from gets no more messages.
    Suppressed {
        /// The tenant.
        tenant: TenantId,
        /// The reply.
        choice: ChoiceId,
    },
    /// The address that a reply came from gets messages again, as far as its customers authorised them.
    Lifted {
        /// The tenant.
        tenant: TenantId,
        /// The reply.
        choice: ChoiceId,
    },
    /// A person must read the reply.
    ForPerson(Box<ForPerson>),
}

/// A reply that a person must read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForPerson {
    /// The tenant.
    pub tenant: TenantId,
    /// When it was received.
    pub at: DateTime<Utc>,
    /// The reply.
    pub reply: InboundSms,
}

/// Why an event changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The tenant's rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store, or what it knows.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A link that was not made here.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A request for other hours that the law does not take.
    #[error(transparent)]
    Hours(#[from] HoursRefusal),
    /// A reference that may say who somebody is.
    #[error("the reference {0}")]
    Evidence(#[from] EvidenceError),
    /// A link that cannot have an id.
    #[error("the choice {0}")]
    Id(#[from] IdError),
    /// The event is of a moment that has not come. An authorisation of the future would beat every withdrawal until then.
    #[error("the choice is of {at} and it is {now}; expected a moment that has come")]
    Future {
        /// The moment of the event.
        at: DateTime<Utc>,
        /// This moment.
        now: DateTime<Utc>,
    },
    /// A request for other hours of somebody that no import has named: whose law protects them is not known.
    #[error("customer {0} is not known; expected one that an import has named")]
    UnknownCustomer(CustomerId),
}

/// Records one event.
///
/// # Errors
/// [`RecordError`] when nothing was recorded: the event is refused, or an access failed and it can be tried again.
pub async fn handle(deps: &Deps, event: ChoiceEvent, now: DateTime<Utc>) -> Result<Outcome, RecordError> {
    match event {
        ChoiceEvent::Given(event) => word(deps, event, true, now).await,
        ChoiceEvent::Withdrawn(event) => word(deps, event, false, now).await,
        ChoiceEvent::Hours(event) => hours(deps, event, now).await,
        ChoiceEvent::Reply(event) => reply(deps, event, now).await,
        ChoiceEvent::Link(event) => {
            let link = deps.links.verify(&event.token)?;
            // The same link may be followed again after a new authorisation, and withdraws again. Its id goes on record, so it
            // must not tell what the link was signed with.
            let mark = token_mark(&event.token);
            let withdrawal = WordEvent {
                v: Version,
                id: ChoiceId::new(format!("link {} {mark}", event.at.timestamp_millis()))?,
                tenant: link.tenant,
                customer: link.customer,
                channel: Channels::One(link.channel),
                purposes: PurposeScope::ALL,
                source: ConsentSource::Link,
                evidence: None,
                at: event.at,
            };
            word(deps, withdrawal, false, now).await
        }
    }
}

async fn word(
    deps: &Deps,
    event: WordEvent,
    granted: bool,
    now: DateTime<Utc>,
) -> Result<Outcome, RecordError> {
    has_come(event.at, now)?;
    event.evidence.as_ref().map_or(Ok(()), is_reference)?;
    let rules = deps.rules.load(&deps.store, &event.tenant, now).await?;
    let facts = deps.store.customer_facts(&event.tenant, &event.customer).await?;
    let zone = match &facts {
        Some(facts) => zone_of(&rules, &facts.customer)?,
        None => rules.tenant.time_zone,
    };
    let said = |channel| Consent {
        channel,
        purposes: event.purposes.clone(),
        granted,
        on: event.at.with_timezone(&zone).date_naive(),
        at: Some(event.at),
        source: event.source,
        evidence: event.evidence.clone(),
    };
    let what = Chosen::Words(event.channel.each().map(said).collect());
    record(deps, &rules, event.customer, Choice { id: event.id, at: event.at, what }, now).await
}

async fn hours(deps: &Deps, event: HoursEvent, now: DateTime<Utc>) -> Result<Outcome, RecordError> {
    has_come(event.at, now)?;
    let rules = deps.rules.load(&deps.store, &event.tenant, now).await?;
    let Some(facts) = deps.store.customer_facts(&event.tenant, &event.customer).await? else {
        return Err(RecordError::UnknownCustomer(event.customer));
    };
    let agreed = match event.request {
        None => None,
        Some(request) => {
            is_reference(&request.document)?;
            rules.jurisdiction_for(&facts.customer)?.takes_other_hours()?;
            let today = now.with_timezone(&zone_of(&rules, &facts.customer)?).date_naive();
            Some(AgreedHours::try_from(request)?.there_on(today)?)
        }
    };
    let choice = Choice { id: event.id, at: event.at, what: Chosen::Hours(agreed) };
    record(deps, &rules, event.customer, choice, now).await
}

/// A reply names an address and no customer. The address is suppressed at once, which holds for every customer that has
/// it, also for one that is imported later.
async fn reply(deps: &Deps, event: ReplyEvent, now: DateTime<Utc>) -> Result<Outcome, RecordError> {
    has_come(event.at, now)?;
    let ReplyEvent { v: _, tenant, message, at } = event;
    let choice = message.inbound_message_id.clone();
    let (store, secret) = (&deps.store, &deps.suppression);
    let point = (Channel::Sms, &message.origination_number);
    let meaning = if is_number(&message.origination_number) {
        read_reply(&message.message_body)
    } else {
        ReplyMeaning::ForPerson
    };
    let lifted = match meaning {
        ReplyMeaning::Withdraw => {
            return Ok(match store.suppress_by_reply(&tenant, secret, point, at).await? {
                Kept::New => Outcome::Suppressed { tenant, choice },
                Kept::Already => Outcome::Unchanged { tenant, choice },
            });
        }
        ReplyMeaning::GrantAgain => store.lift_by_reply(&tenant, secret, point, at).await?,
        ReplyMeaning::ForPerson => Lifted::NotByReply,
    };
    Ok(match lifted {
        Lifted::Now => Outcome::Lifted { tenant, choice },
        Lifted::Already => Outcome::Unchanged { tenant, choice },
        Lifted::NotByReply => Outcome::ForPerson(Box::new(ForPerson { tenant, at, reply: message })),
    })
}

async fn record(
    deps: &Deps,
    rules: &TenantRules,
    customer: CustomerId,
    choice: Choice,
    now: DateTime<Utc>,
) -> Result<Outcome, RecordError> {
    let tenant = rules.tenant.id.clone();
    let recorded = deps.store.record_choice(&rules.scope(), &customer, &choice, now).await?;
    tracing::info!(%tenant, %customer, choice = %choice.id, ?recorded, "choice handled");
    Ok(match recorded {
        Kept::New => Outcome::Recorded { tenant, customer, choice: choice.id },
        Kept::Already => Outcome::Unchanged { tenant, choice: choice.id },
    })
}

/// What arrives goes into the audit chain for good, so it must be the id of a document.
fn is_reference(evidence: &EvidenceRef) -> Result<(), EvidenceError> {
    EvidenceRef::new(evidence.as_str()).map(|_| ())
}

fn has_come(at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), RecordError> {
    if at - now > TimeDelta::minutes(CLOCK_AHEAD_MINUTES_MAX) {
        return Err(RecordError::Future { at, now });
    }
    Ok(())
}

fn zone_of(rules: &TenantRules, customer: &Customer) -> Result<chrono_tz::Tz, RulesError> {
    // The day of a word of a customer who may live anywhere is that of its lender.
    Ok(zone_for(customer, rules.jurisdiction_for(customer)?).unwrap_or(rules.tenant.time_zone))
}

/// Whether an address is a number in E.164 form, and no name of a service.
fn is_number(address: &Address) -> bool {
    let digits = address.reveal().strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}
