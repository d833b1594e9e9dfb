//! The last look between claim and call, at what moves no fence.
//!
//! Invariant: a reply such as STOP names an address and no customer, so one that came since the facts were read does not
//! make the claim fail; it stops the message all the same. A claim under which nobody is called is taken back or failed
//! before the job is done.

use chrono::{DateTime, Utc};
use domain::customer::Reach;
use domain::verdict::ReasonCode;

use crate::send::{retry_after, write_down};
use crate::work::{AtHand, Go};
use crate::{Delivered, DeliveryError, TRIES_MAX};

/// What a last look after the claim says.
pub(crate) enum AfterClaim {
    /// The message goes out.
    Goes,
    /// The claim was taken back for good, and the customer is to be decided anew.
    Prevented,
    /// The claim has ended without a call.
    Ended(Delivered),
}

impl AtHand<'_> {
    /// Looks once more whether the address may be used. A second attempt is not taken back but fails: its stage was
    /// reached by the first, of which nobody knows what became.
    pub(crate) async fn last_look(
        &self,
        go: &Go<'_>,
        now: DateTime<Utc>,
    ) -> Result<AfterClaim, DeliveryError> {
        let Self { deps, rules, facts, .. } = *self;
        let touch = go.touch;
        #[cfg(feature = "deliberate-faults")]
        if deps.store.is_broken_by(store::DeliberateFault::NoFactsRecheck) {
            return Ok(AfterClaim::Goes);
        }
        let Reach::At(point) = facts.customer.reachable(touch.channel, touch.purpose) else {
            return Ok(AfterClaim::Goes);
        };
        let scope = rules.scope();
        let asked = [(touch.channel, &point.address)];
        let reason = ReasonCode::Suppressed.as_str();
        match deps.store.suppressed(&scope.tenant, &deps.suppression, &asked).await {
            Ok(found) if found.is_empty() => Ok(AfterClaim::Goes),
            Ok(_) if go.is_second => {
                self.fail(go, reason, now).await?;
                Ok(AfterClaim::Ended(Delivered::Prevented { reason: reason.to_owned() }))
            }
            Ok(_) => {
                write_down(touch, async || deps.store.prevent_claim(&scope, go.claim, reason, now).await)
                    .await?;
                tracing::info!(touch = %touch.id, reason, "the claim was taken back before the call");
                Ok(AfterClaim::Prevented)
            }
            Err(error) => {
                tracing::warn!(touch = %touch.id, %error, "suppressions cannot be read; nobody is called");
                self.not_called(go, "suppressions_unreadable", now).await.map(AfterClaim::Ended)
            }
        }
    }

    /// Ends a claim under which nobody is called because the store does not answer: it is tried again later, unless it
    /// is a second attempt or was tried often enough.
    pub(crate) async fn not_called(
        &self,
        go: &Go<'_>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Delivered, DeliveryError> {
        let Self { deps, rules, .. } = *self;
        let tries = self.tries(go.touch);
        if go.is_second {
            self.fail(go, reason, now).await?;
            return Ok(Delivered::Prevented { reason: reason.to_owned() });
        }
        if tries >= TRIES_MAX {
            self.fail(go, reason, now).await?;
            return Ok(Delivered::Failed);
        }
        let (scope, retry_at) = (rules.scope(), now + retry_after(tries));
        write_down(go.touch, async || deps.store.release(&scope, go.claim, retry_at).await).await?;
        tracing::warn!(touch = %go.touch.id, reason, tries, %retry_at, "released");
        Ok(Delivered::Released)
    }

    pub(crate) async fn fail(
        &self,
        go: &Go<'_>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), DeliveryError> {
        let tenant = &self.rules.tenant.id;
        let failed = store::Outcome::Failed { reason: reason.to_owned() };
        let settle = async || self.deps.store.settle(tenant, go.claim, &failed, now).await;
        write_down(go.touch, settle).await
    }
}
