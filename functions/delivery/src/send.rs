//! One call to the provider, and what came of it.
//!
//! Invariant: the provider is called once, under a claim that bears the mark of the call, at the moment that was
//! granted; and what came of it is written down before the job is done, or the job fails and finds the claim when it is
//! run again.

use channels::{Outcome, Outgoing};
use chrono::{DateTime, Duration, Utc};
use domain::choice::{OptOutKey, SignedLink};
use domain::contact::ContactPoint;
use domain::customer::Reach;
use domain::message::message_context;
use domain::planner::Rules;
use domain::template::Message;
use domain::touch::Touch;
use domain::zone::day_zone;
use runtime::decision_log::local;
use runtime::metric::{Step, timer};
use runtime::rules::TenantRules;
use store::{Change, CustomerFacts, TouchError};

#[cfg(feature = "deliberate-faults")]
use crate::deliberate;
use crate::pace::Whose;
use crate::work::{AtHand, Go, Going, MISSED_AFTER_MINUTES, MISSED_MAX};
use crate::{
    Delivered, DeliveryError, RETRY_AFTER_MINUTES, RETRY_AFTER_MINUTES_MAX, SETTLE_TRIES_MAX, TRIES_MAX,
};

/// How a call ended.
pub(crate) enum Called {
    /// What came of it is written down.
    Ended(Delivered),
    /// Its moment had passed, so it was not made. The claim is taken back, and the customer is to be decided anew.
    Missed,
}

impl AtHand<'_> {
    /// Calls the provider once and settles what came of it.
    /// A second attempt is not tried a third time.
    pub(crate) async fn send(&self, go: &Go<'_>, going: &mut Going) -> Result<Called, DeliveryError> {
        let Self { deps, facts, .. } = *self;
        let now = facts.fence.after_contacts(go.at);
        #[cfg(feature = "deliberate-faults")]
        if deps.store.is_broken_by(store::DeliberateFault::SettleBeforeSend) {
            let early = store::Outcome::Sent { provider_id: "early".to_owned() };
            let settle = async || deps.store.settle(&self.rules.tenant.id, go.claim, &early, now).await;
            write_down(go.touch, settle).await?;
            self.call_provider(go.touch, now).await;
            return Ok(Called::Ended(Delivered::Sent));
        }
        if let Some(reason) = going.refused.take() {
            tracing::error!(touch = %go.touch.id, %reason, "the message is too long for the rate or the quota");
            self.fail(go, &reason, now).await?;
            return Ok(Called::Ended(Delivered::Failed));
        }
        if let Some(ended) = self.mark(go, now).await? {
            return Ok(Called::Ended(ended));
        }
        self.prepared(go.watch, going);
        if !deps.pace.arrive(go.at, go.watch).await {
            return self.missed(go, going).await;
        }
        going.permit = None;
        let call = timer(Step::Call);
        let outcome = self.call_provider(go.touch, now).await;
        drop(call);
        if matches!(outcome, Outcome::Throttled { .. }) {
            self.slow_down(go.watch.now()).await;
        }
        #[cfg(feature = "deliberate-faults")]
        let outcome = deliberate::retry_on_timeout(&deps.store, outcome);
        self.conclude(go, outcome, now).await.map(Called::Ended)
    }

    /// Marks the claim, so that it is taken for one that may have been called; `Some` where that was not possible, and
    /// nobody is called.
    async fn mark(&self, go: &Go<'_>, now: DateTime<Utc>) -> Result<Option<Delivered>, DeliveryError> {
        let (store, tenant) = (&self.deps.store, &self.rules.tenant.id);
        let marked = write_down(go.touch, async || store.mark_call(tenant, go.claim, now).await).await;
        match marked {
            Ok(()) => Ok(None),
            Err(DeliveryError::Unsettled { problem: TouchError::Conflict { found, .. }, .. }) => {
                tracing::warn!(touch = %go.touch.id, ?found, "the claim was taken over before the call");
                Ok(Some(Delivered::AlreadyClaimed))
            }
            Err(error) => {
                tracing::warn!(touch = %go.touch.id, %error, "the claim could not be marked; nobody is called");
                self.not_called(go, "claim_not_marked", now).await.map(Some)
            }
        }
    }

    /// Takes the claim back of a message that missed its moment. After some of them it waits for quieter times.
    async fn missed(&self, go: &Go<'_>, going: &mut Going) -> Result<Called, DeliveryError> {
        let (store, scope, now) = (&self.deps.store, self.rules.scope(), go.watch.now());
        going.missed += 1;
        if go.is_second {
            return self.not_called(go, "send_rate", now).await.map(Called::Ended);
        }
        let is_last = going.missed >= MISSED_MAX;
        let until = is_last.then(|| now + Duration::minutes(MISSED_AFTER_MINUTES));
        write_down(go.touch, async || store.put_back(&scope, go.claim, until).await).await?;
        tracing::warn!(touch = %go.touch.id, missed = going.missed, ?until, "the moment was missed");
        Ok(if is_last { Called::Ended(Delivered::Released) } else { Called::Missed })
    }

    /// Writes down what came of a call.
    async fn conclude(
        &self,
        go: &Go<'_>,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> Result<Delivered, DeliveryError> {
        let Self { deps, rules: tenant, .. } = *self;
        let (touch, tries) = (go.touch, self.tries(go.touch));
        if let Outcome::Blocked { reason } = &outcome {
            tracing::error!(
                tenant = %tenant.tenant.id, channel = %deps.channel, touch = %touch.id, %reason,
                "the provider refuses this account; nothing goes out on this channel until that is mended"
            );
        }
        let (settlement, delivered) = match outcome {
            Outcome::Accepted { provider_id } => {
                self.refer(go, &provider_id, now).await;
                (store::Outcome::Sent { provider_id }, Delivered::Sent)
            }
            Outcome::NotSent { reason, retry: false } => {
                (store::Outcome::Failed { reason }, Delivered::Failed)
            }
            Outcome::Unknown { reason } => (store::Outcome::Unknown { reason }, Delivered::Unknown),
            Outcome::NotSent { reason, retry: true }
            | Outcome::Throttled { reason }
            | Outcome::Blocked { reason } => {
                if tries < TRIES_MAX && !go.is_second {
                    let (scope, retry_at) = (tenant.scope(), now + retry_after(tries));
                    tracing::warn!(touch = %touch.id, %reason, tries, %retry_at, "not sent; released");
                    write_down(touch, async || deps.store.release(&scope, go.claim, retry_at).await).await?;
                    return Ok(Delivered::Released);
                }
                let reason = format!("refused {tries} times: {reason}");
                (store::Outcome::Failed { reason }, Delivered::Failed)
            }
        };
        let _timer = timer(Step::Settle);
        write_down(touch, async || deps.store.settle(&tenant.tenant.id, go.claim, &settlement, now).await)
            .await?;
        Ok(delivered)
    }

    /// Remembers which touch a provider's id stands for, where its reports tell nothing else. It comes before the
    /// settlement: whoever dies between the two leaves a touch that is unknown, and that its report settles.
    async fn refer(&self, go: &Go<'_>, provider_id: &str, now: DateTime<Utc>) {
        let Self { deps, rules, .. } = *self;
        let Some(provider) = deps.sender.reports_by_id() else { return };
        let refer = || deps.store.refer(provider, provider_id, &rules.tenant.id, &go.claim.touch, now);
        let mut referred = refer().await;
        for _ in 1..SETTLE_TRIES_MAX {
            if referred.is_err() {
                referred = refer().await;
            }
        }
        if let Err(error) = referred {
            tracing::error!(touch = %go.touch.id, %error, "delivery reports will not find the touch");
        }
    }

    /// How often the touch was tried, with this time.
    pub(crate) fn tries(&self, touch: &Touch) -> u32 {
        self.facts.fence.tries.get(&touch.id).map_or(1, |before| before.saturating_add(1))
    }

    /// A refusal for the rate slows the channel down.
    async fn slow_down(&self, now: DateTime<Utc>) {
        let Whose { store, tenant, channel } = self.whose();
        if let Err(error) = store.slow_down(&tenant.id, channel, now).await {
            tracing::warn!(%error, "the channel could not be slowed down");
        }
    }

    async fn call_provider(&self, touch: &Touch, now: DateTime<Utc>) -> Outcome {
        let Self { deps, rules: TenantRules { tenant, .. }, rules_for: rules, facts, .. } = *self;
        let composed = match compose(&deps.links, tenant, rules, facts, touch) {
            Ok(composed) => composed,
            Err(reason) => return Outcome::NotSent { reason, retry: false },
        };
        let zone = day_zone(&facts.customer, rules.jurisdiction);
        let outgoing = Outgoing {
            tenant: &tenant.id,
            touch,
            to: composed.point,
            lender: &tenant.lender,
            message: &composed.message,
            opt_out_link: composed.opt_out_link.as_ref(),
            at: local(now, zone),
        };
        // The future of an SDK call is large and deep; on the heap it burdens neither the stack nor the compiler.
        Box::pin(deps.sender.send(&outgoing)).await
    }
}

/// Writes what came of a call. Writing the same twice is fine, so it is tried again at once.
pub(crate) async fn write_down(
    touch: &Touch,
    write: impl AsyncFn() -> Result<Change, TouchError>,
) -> Result<(), DeliveryError> {
    let mut written = write().await;
    for _ in 1..SETTLE_TRIES_MAX {
        match &written {
            Err(TouchError::Store(_)) => written = write().await,
            Ok(_) | Err(TouchError::Conflict { .. }) => break,
        }
    }
    written.map(|_| ()).map_err(|problem| DeliveryError::Unsettled { touch: touch.id.to_string(), problem })
}

/// How long to wait after so many tries.
pub(crate) fn retry_after(tries: u32) -> Duration {
    let doubled = RETRY_AFTER_MINUTES.saturating_mul(1 << tries.saturating_sub(1).min(16));
    Duration::minutes(doubled.min(RETRY_AFTER_MINUTES_MAX))
}

/// What one call to the provider carries. It has no `Debug`: it holds an address and a content.
pub(crate) struct Composed<'a> {
    point: &'a ContactPoint,
    pub(crate) message: Message,
    opt_out_link: Option<SignedLink>,
}

/// The message of a touch, and where it goes; the error is the reason why there is none.
pub(crate) fn compose<'a>(
    links: &OptOutKey,
    tenant: &domain::tenant::Tenant,
    rules: &Rules<'_>,
    facts: &'a CustomerFacts,
    touch: &Touch,
) -> Result<Composed<'a>, String> {
    let Reach::At(point) = facts.customer.reachable(touch.channel, touch.purpose) else {
        return Err("no_contact_point".to_owned());
    };
    let opt_out_link = tenant.opt_out_link(links, (&facts.customer.id, touch.channel), touch.on);
    let context = message_context(tenant, &facts.customer, &facts.obligations, touch, opt_out_link.as_ref());
    let message = rules.policy.templates.render(&touch.template, touch.channel, &context);
    let message = message.map_err(|error| error.to_string())?;
    Ok(Composed { point, message, opt_out_link })
}
