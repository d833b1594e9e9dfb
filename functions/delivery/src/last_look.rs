//! The last look between claim and call, at what moves no fence.
//!
//! Invariant: a reply such as STOP names an address and no customer, so one that came since the facts were read does not
//! make the claim fail; it stops the message all the same.

use chrono::{DateTime, Utc};
use domain::customer::Reach;
use domain::touch::Touch;
use domain::verdict::ReasonCode;
use store::TouchKey;

use crate::send::{retry_after, write_down};
use crate::{AtHand, Delivered, DeliveryError};

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
        touch: &Touch,
        is_second: bool,
        now: DateTime<Utc>,
    ) -> Result<AfterClaim, DeliveryError> {
        let Self { deps, rules, facts, .. } = *self;
        #[cfg(feature = "deliberate-faults")]
        if deps.store.is_broken_by(store::DeliberateFault::NoFactsRecheck) {
            return Ok(AfterClaim::Goes);
        }
        let Reach::At(point) = facts.customer.reachable(touch.channel, touch.purpose) else {
            return Ok(AfterClaim::Goes);
        };
        let (scope, place) = (rules.scope(), TouchKey::of(touch));
        let asked = [(touch.channel, &point.address)];
        let reason = ReasonCode::Suppressed.as_str();
        match deps.store.suppressed(&scope.tenant, &deps.suppression, &asked).await {
            Ok(found) if found.is_empty() => Ok(AfterClaim::Goes),
            Ok(_) if is_second => self.fail(touch, reason, now).await,
            Ok(_) => {
                write_down(touch, async || deps.store.prevent_claim(&scope, &place, reason, now).await)
                    .await?;
                tracing::info!(touch = %touch.id, reason, "the claim was taken back before the call");
                Ok(AfterClaim::Prevented)
            }
            Err(error) if is_second => {
                tracing::warn!(touch = %touch.id, %error, "suppressions cannot be read; not sent again");
                self.fail(touch, "suppressions_unreadable", now).await
            }
            Err(error) => {
                let retry_at = now + retry_after(1);
                tracing::warn!(touch = %touch.id, %error, %retry_at, "suppressions cannot be read; released");
                write_down(touch, async || deps.store.release(&scope, &place, retry_at).await).await?;
                Ok(AfterClaim::Ended(Delivered::Released))
            }
        }
    }

    async fn fail(
        &self,
        touch: &Touch,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<AfterClaim, DeliveryError> {
        let Self { deps, rules, .. } = *self;
        let (tenant, place) = (&rules.tenant.id, TouchKey::of(touch));
        let failed = store::Outcome::Failed { reason: reason.to_owned() };
        write_down(touch, async || deps.store.settle(tenant, &place, &failed, now).await).await?;
        Ok(AfterClaim::Ended(Delivered::Prevented { reason: reason.to_owned() }))
    }
}
