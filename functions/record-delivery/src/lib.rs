//! Records what the providers report: delivered, bounced, complained, refused, delayed.
//!
//! Invariants: a report that is not surely about a touch of ours changes nothing and ends in the dead-letter queue with
//! its reason, and the rest of its batch goes through. A report that comes late, twice or out of order does no harm.
//! Where a message surely did not arrive, the planner decides anew at once, under the same hours and caps.

mod envelope;
mod ses;
mod sms;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use channels::tag::{TagError, TagKey, TouchTags};
use chrono::{DateTime, Utc};
use domain::channel::Channel;
use domain::delivery::Step;
use domain::ids::{CustomerId, TenantId, TouchId};
use domain::planner::{Facts, plan};
use domain::touch::Touch;
use runtime::batch::each_body;
use runtime::job::{JOB_VERSION, TouchJob};
use runtime::metric::{self, Count, count_for, timer};
use runtime::queue::{Queue, QueueError};
use runtime::rules::{RulesCache, RulesError, suppressed_channels};
use runtime::trace::TraceId;
use store::{RecordError, Store, StoreError, SuppressionKey, TouchEvent, TouchKey};

pub use envelope::{INFLATED_BYTES_MAX, UnreadableEvent};

use envelope::{Report, Whose, reports_of};

/// What the function works with.
#[derive(Debug)]
pub struct Deps {
    /// The facts.
    pub store: Store,
    /// Compiled policies.
    pub rules: RulesCache,
    /// Where email touches go.
    pub email: Queue,
    /// Where SMS touches go.
    pub sms: Queue,
    /// The key that hides suppressed addresses.
    pub suppression: SuppressionKey,
    /// The key that signs the tags of a message.
    pub tags: TagKey,
}

/// Why an event was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is no event that this function knows.
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    /// Its tags are not ours.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// No message with this id was sent from here, or its touch is not settled yet.
    #[error(
        "the message {provider_id} of {provider} refers to no touch; expected one that was sent from here"
    )]
    UnknownMessage {
        /// The provider.
        provider: &'static str,
        /// Its id of the message.
        provider_id: String,
    },
    /// It cannot be recorded for this touch.
    #[error("touch {touch} of customer {customer} of tenant {tenant}: {error}")]
    Touch {
        /// The tenant.
        tenant: TenantId,
        /// The customer.
        customer: CustomerId,
        /// The touch.
        touch: TouchId,
        /// Why.
        error: RecordError,
    },
    /// The tenant's rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Records the events of a batch: SES events as SNS or EventBridge deliver them, and delivery reports of SNS.
pub async fn handle(deps: &Deps, event: SqsEvent, now: DateTime<Utc>) -> SqsBatchResponse {
    each_body(event, async |body: String| record_body(deps, &body, now).await).await
}

/// Records the delivery reports of one delivery of a log group.
///
/// # Errors
/// [`EventError`], the first of those that failed; all the others are recorded.
pub async fn handle_logs(deps: &Deps, body: &str, now: DateTime<Utc>) -> Result<(), EventError> {
    record_body(deps, body, now).await
}

async fn record_body(deps: &Deps, body: &str, now: DateTime<Utc>) -> Result<(), EventError> {
    let _timer = timer(metric::Step::Report);
    let mut first_error = None;
    for report in reports_of(body)? {
        let recorded = match report {
            Ok(report) => record(deps, report, now).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = recorded {
            tracing::error!(%error, "a report was not recorded");
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
}

async fn record(deps: &Deps, report: Report, now: DateTime<Utc>) -> Result<(), EventError> {
    let (tenant, place) = match report.whose {
        Whose::Tagged(tags) => {
            let tag = |name: &str| tags.get(name)?.first().map(String::as_str);
            let TouchTags { tenant, customer, on, touch } = TouchTags::read(tag, &deps.tags)?;
            (tenant, TouchKey { customer, on, id: touch })
        }
        Whose::Referred { provider, provider_id } => {
            let found = deps.store.referred(provider, &provider_id).await?;
            found.ok_or(EventError::UnknownMessage { provider, provider_id })?
        }
    };
    let event: TouchEvent = report.event;
    let recorded = deps.store.record_event(&tenant, &deps.suppression, &place, &event, now).await;
    if recorded == Err(RecordError::Missing)
        && let Some(fence) = deps.store.fence(&tenant, &place.customer).await?
        && fence.erased_at.is_some()
    {
        tracing::info!(%tenant, customer = %place.customer, touch = %place.id, "the customer was erased");
        return Ok(());
    }
    let recorded = recorded.map_err(|error| match error {
        RecordError::Store(error) => EventError::Store(error),
        error @ (RecordError::Missing | RecordError::Refused { .. } | RecordError::OtherClaim { .. }) => {
            EventError::Touch {
                tenant: tenant.clone(),
                customer: place.customer.clone(),
                touch: place.id.clone(),
                error,
            }
        }
    })?;
    count_for(Count::Reports, event.transition.report.as_str());
    tracing::info!(
        trace = %TraceId::of_day(&tenant, place.on), %tenant, customer = %place.customer, touch = %place.id, report = %event.transition.report,
        is_made = matches!(recorded.step, Step::Made(_)), recorded.is_suppressed, recorded.fell_back, "report recorded"
    );
    if !recorded.told_by.is_empty() {
        tracing::error!(
            %tenant, customer = %place.customer, touch = %place.id, told_by = ?recorded.told_by,
            "a message that was taken for failed went out, and its stage was told by another touch as well"
        );
    }
    // A report that comes again may have been cut off between its record and the new plan.
    let comes_again = !recorded.is_news && event.transition.report.may_fall_back();
    if recorded.fell_back || comes_again {
        plan_anew(deps, &tenant, &place.customer, now).await?;
    }
    Ok(())
}

/// Lets the planner decide what follows for a customer, and hands it on: to a channel's queue, or to a wave where its
/// lawful moment is later. Whoever takes it decides again, so twice does no harm.
async fn plan_anew(
    deps: &Deps,
    tenant: &TenantId,
    customer: &CustomerId,
    now: DateTime<Utc>,
) -> Result<(), EventError> {
    let rules = deps.rules.load(&deps.store, tenant, now).await?;
    let Some(facts) = deps.store.customer_facts(tenant, customer).await? else { return Ok(()) };
    let suppressed = suppressed_channels(&deps.store, &deps.suppression, tenant, &facts.customer).await?;
    let (customer, obligations, fence) = (&facts.customer, &facts.obligations, &facts.fence);
    let facts = Facts { customer, obligations, fence, suppressed: &suppressed };
    let rules_for = match rules.for_customer(customer) {
        Ok(rules_for) => rules_for,
        // What was reported is recorded. What follows from it waits for texts that may be sent.
        Err(problem @ RulesError::Texts { .. }) => {
            tracing::error!(%tenant, customer = %customer.id, %problem, "nothing follows a report");
            return Ok(());
        }
        Err(problem) => return Err(problem.into()),
    };
    let decided = plan(&rules_for, &facts, now);
    if let Some(later) = &decided.later {
        deps.store.plan_touch(&rules.scope(), later).await?;
    }
    if let Some(touch) = &decided.now {
        queue_for(deps, touch.channel).send(&[job(tenant, touch).sealed(&deps.suppression)]).await?;
    }
    Ok(())
}

fn queue_for(deps: &Deps, channel: Channel) -> &Queue {
    match channel {
        Channel::Email => &deps.email,
        // Only channels with a text can be chosen, and texts exist for email and SMS.
        Channel::Sms | Channel::Push | Channel::Whatsapp | Channel::Call => &deps.sms,
    }
}

fn job(tenant: &TenantId, touch: &Touch) -> TouchJob {
    TouchJob {
        v: JOB_VERSION,
        tenant: tenant.clone(),
        customer: touch.customer.clone(),
        touch: touch.id.clone(),
        on: touch.on,
        channel: touch.channel,
        wave: None,
        seal: None,
    }
}
