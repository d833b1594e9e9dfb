//! The second attempt at a message of which nobody knows whether it was sent, where the tenant prefers delivery.
//!
//! Invariant: it is decided as if the first had not reached its stages, and with the first among the contacts: hours,
//! caps, consents and what is owed are those of this moment. Only the tenant's own limit of one message a day does not
//! count the first. It goes by the same channel, about the same obligations, or not at all; and not at all where another
//! message has told the customer of one of them, or may have.

use chrono::{DateTime, Utc};
use domain::fence::{FailedAttempt, Fence};
use domain::obligation::Obligation;
use domain::planner::{Facts, Plan, Rules, plan};
use domain::tenant::OnUnknown;
use domain::touch::Touch;
use runtime::rules::TenantRules;
use store::{StoreError, TouchKey, TouchRecord};

use crate::Deps;

/// A first attempt that may be repeated, and what its repetition is decided on.
#[derive(Debug)]
pub(crate) struct Second {
    pub(crate) first: TouchRecord,
    obligations: Vec<Obligation>,
    fence: Fence,
}

impl Second {
    /// The second attempt at a touch, where one may be made at `now`.
    pub(crate) async fn at(
        deps: &Deps,
        rules: &TenantRules,
        rules_for: &Rules<'_>,
        place: &TouchKey,
        known: &Facts<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Self>, StoreError> {
        match rules.tenant.on_unknown.of(deps.channel) {
            OnUnknown::PreferNoDuplicate => return Ok(None),
            OnUnknown::PreferDelivery => {}
        }
        let found = deps.store.touch(&rules.tenant.id, place).await?;
        let first = found.filter(|f| f.may_be_resent(now) && f.touch.channel == deps.channel);
        let Some(first) = first else { return Ok(None) };
        let second = Self::of(first, known);
        if second.plan(rules_for, known, now).now.is_none() {
            return Ok(None);
        }
        let is_told = deps.store.is_told_otherwise(&rules.tenant.id, &second.first, known.fence).await?;
        Ok(Some(second).filter(|_| !is_told))
    }

    fn of(first: TouchRecord, known: &Facts<'_>) -> Self {
        let touch = &first.touch;
        let is_about = |o: &&Obligation| touch.items.iter().any(|i| i.obligation == o.id);
        let obligations = known.obligations.iter().filter(is_about).cloned().collect();
        let mut fence = known.fence.clone();
        for item in &touch.items {
            let is_at = fence
                .reached(&item.obligation, item.due_on)
                .is_some_and(|r| r.stage == item.stage && r.dpd == item.dpd);
            if is_at {
                fence.take_back(item, &first.before);
            }
        }
        if let Some(at) = first.claimed_at {
            fence.failed.push(FailedAttempt { at, channel: touch.channel, items: Vec::new() });
        }
        Self { first, obligations, fence }
    }

    /// What the second attempt is decided on.
    pub(crate) fn facts<'a>(&'a self, known: &Facts<'a>) -> Facts<'a> {
        Facts { obligations: &self.obligations, fence: &self.fence, ..*known }
    }

    /// The decision, with the second attempt under its own id where it may go now; anything else is left to the
    /// decision about all that is due.
    pub(crate) fn plan(&self, rules: &Rules<'_>, known: &Facts<'_>, now: DateTime<Utc>) -> Plan {
        let decided = plan(rules, &self.facts(known), now);
        let again = decided.now.filter(|touch| touch.id == self.first.touch.id);
        let again = again.zip(self.first.second_id()).map(|(touch, id)| Touch { id, ..touch });
        Plan { now: again, later: None, ..decided }
    }
}
