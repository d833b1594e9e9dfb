//! One call to the provider, and what came of it.
//!
//! Invariant: the provider is called once, at the moment that was granted, and what came of it is written down before
//! the job is done, or the job fails and finds the claim when it is run again.

use channels::{Outcome, Outgoing};
use chrono::{DateTime, Duration, Utc};
use domain::choice::{OptOutKey, SignedLink};
use domain::contact::ContactPoint;
use domain::customer::Reach;
use domain::message::message_context;
use domain::planner::Rules;
use domain::template::Message;
use domain::touch::Touch;
use runtime::decision_log::local;
use store::{Change, CustomerFacts, TouchError, TouchKey};

#[cfg(feature = "deliberate-faults")]
use crate::deliberate;
use crate::pace::{Permit, Whose};
use crate::{
    AtHand, Delivered, DeliveryError, Deps, RETRY_AFTER_MINUTES, RETRY_AFTER_MINUTES_MAX, SETTLE_TRIES_MAX,
    TRIES_MAX,
};

impl AtHand<'_> {
    /// Calls the provider once and settles what came of it.
    /// A second attempt is not tried a third time.
    pub(crate) async fn send(
        &self,
        touch: &Touch,
        permit: Permit,
        is_second: bool,
    ) -> Result<Delivered, DeliveryError> {
        let Self { deps, rules: tenant, rules_for: rules, facts, .. } = *self;
        let now = facts.fence.after_contacts(permit.at);
        let tries = facts.fence.tries.get(&touch.id).map_or(1, |before| before.saturating_add(1));
        let place = TouchKey::of(touch);
        #[cfg(feature = "deliberate-faults")]
        if deps.store.is_broken_by(store::DeliberateFault::SettleBeforeSend) {
            let early = store::Outcome::Sent { provider_id: "early".to_owned() };
            write_down(touch, async || deps.store.settle(&tenant.tenant.id, &place, &early, now).await)
                .await?;
            call_provider(deps, &tenant.tenant, rules, facts, touch, now).await;
            return Ok(Delivered::Sent);
        }
        let outcome = if deps.pace.arrive(self.whose(), permit).await {
            call_provider(deps, &tenant.tenant, rules, facts, touch, now).await
        } else {
            Outcome::NotSent { reason: "send_rate".to_owned(), retry: true }
        };
        if matches!(outcome, Outcome::Throttled { .. }) {
            self.slow_down(permit.watch.now()).await;
        }
        #[cfg(feature = "deliberate-faults")]
        let outcome = deliberate::retry_on_timeout(&deps.store, outcome);
        let (settlement, delivered) = match outcome {
            Outcome::Accepted { provider_id } => (store::Outcome::Sent { provider_id }, Delivered::Sent),
            Outcome::NotSent { reason, retry: false } => {
                (store::Outcome::Failed { reason }, Delivered::Failed)
            }
            Outcome::Unknown { reason } => (store::Outcome::Unknown { reason }, Delivered::Unknown),
            Outcome::NotSent { reason, retry: true } | Outcome::Throttled { reason }
                if tries >= TRIES_MAX || is_second =>
            {
                let reason = format!("refused {tries} times: {reason}");
                (store::Outcome::Failed { reason }, Delivered::Failed)
            }
            Outcome::NotSent { reason, retry: true } | Outcome::Throttled { reason } => {
                let retry_at = now + retry_after(tries);
                tracing::warn!(touch = %touch.id, %reason, tries, %retry_at, "not sent; released");
                write_down(touch, async || deps.store.release(&tenant.scope(), &place, retry_at).await)
                    .await?;
                return Ok(Delivered::Released);
            }
        };
        write_down(touch, async || deps.store.settle(&tenant.tenant.id, &place, &settlement, now).await)
            .await?;
        if let (Some(provider), store::Outcome::Sent { provider_id }) =
            (deps.sender.reports_by_id(), &settlement)
        {
            let referred = deps.store.refer(provider, provider_id, &tenant.tenant.id, &place, now).await;
            if let Err(error) = referred {
                tracing::error!(touch = %touch.id, %error, "delivery reports will not find the touch");
            }
        }
        Ok(delivered)
    }

    /// A refusal for the rate slows the channel down.
    async fn slow_down(&self, now: DateTime<Utc>) {
        let Whose { store, tenant, channel } = self.whose();
        if let Err(error) = store.slow_down(&tenant.id, channel, now).await {
            tracing::warn!(%error, "the channel could not be slowed down");
        }
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

async fn call_provider(
    deps: &Deps,
    tenant: &domain::tenant::Tenant,
    rules: &Rules<'_>,
    facts: &CustomerFacts,
    touch: &Touch,
    now: DateTime<Utc>,
) -> Outcome {
    let composed = match compose(&deps.links, tenant, rules, facts, touch) {
        Ok(composed) => composed,
        Err(reason) => return Outcome::NotSent { reason, retry: false },
    };
    let zone = facts.customer.time_zone.unwrap_or(rules.jurisdiction.time_zone());
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
