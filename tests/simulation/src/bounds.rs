//! The model's part about how often and how fast: second attempts, rates and quotas.
//!
//! Invariant: it counts the calls in the provider's own book, and shares no code with whoever grants them.

use domain::channel::Channel;
use domain::tenant::OnUnknown;

use crate::climate::SKEW_MS_MAX;
use crate::model::{Evidence, Rule, Violation};
use crate::scene::{Call, Place};

/// How long nothing must have been heard of a message before it may be sent once more, in milliseconds.
const AGAIN_AFTER_MS: i64 = 60 * 60_000;
/// A day, in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60_000;
/// By how much the moments of two calls may be off their true ones in a day's count, in milliseconds: clocks, and a
/// function that runs its full time.
const OFF_MS: i64 = 2 * SKEW_MS_MAX + 2 * 60_000;

/// Whether a call is the one second attempt that a tenant allows: nobody knew what became of the first, and nothing was
/// heard of it for an hour, by clocks that may be off.
pub(crate) fn is_second_attempt(e: &Evidence<'_>, first: &Call, second: &Call) -> bool {
    let wanted = match e.world.tenant.on_unknown.of(first.touch.channel) {
        OnUnknown::PreferDelivery => true,
        OnUnknown::PreferNoDuplicate => false,
    };
    let follows = second.touch.id.as_str() == format!("{}-2", first.touch.id)
        && second.touch.channel == first.touch.channel
        && second.at - first.at >= AGAIN_AFTER_MS - 2 * SKEW_MS_MAX;
    let Some(claim) = second.claim.filter(|_| wanted && follows) else { return false };
    // The same contact may have been planned for other days, and closed there.
    let (of, place) = (
        format!("#CUST#{}", first.touch.customer),
        format!("TOUCH#{}#{}", first.touch.on.format("%Y%m%d"), first.touch.id),
    );
    let is_first = |(pk, sk): &Place| pk.ends_with(&of) && *sk == place;
    let mut before = e.state.turns.iter().filter(|t| t.step < claim && is_first(&t.place));
    let heard = e.state.told.iter().any(|told| {
        let is_it = told.touch.id == first.touch.id && told.touch.on == first.touch.on;
        is_it && told.taken.is_some_and(|taken| taken < claim)
    });
    before.next_back().is_some_and(|turn| turn.state == "unknown") && !heard
}

/// No second holds more units than the rate, where the clocks of the senders agree, and no day more than the quota.
pub(crate) fn limits(e: &Evidence<'_>, found: &mut Vec<Violation>) {
    for channel in [Channel::Email, Channel::Sms] {
        let limits = e.world.tenant.send_limits(channel);
        let mut calls: Vec<&Call> = e.state.calls.iter().filter(|c| c.touch.channel == channel).collect();
        calls.sort_by_key(|call| call.begun_at);
        let mut check = |most: u64, span_ms: i64, what: &str| {
            for (n, first) in calls.iter().enumerate() {
                let held: u64 = calls[n..]
                    .iter()
                    .take_while(|c| c.begun_at - first.begun_at < span_ms)
                    .map(|c| u64::from(c.units))
                    .sum();
                if held > most {
                    let detail = format!("{held} units on {channel} in {what} from touch {}", first.touch.id);
                    found.push(Violation { rule: Rule::AgainstLimits, detail });
                    return;
                }
            }
        };
        if e.world.paced {
            check(u64::from(limits.rate.per_second()), 1_000, "a second");
        }
        if let Some(quota) = limits.per_day {
            check(u64::from(quota.get()), DAY_MS - OFF_MS, "a day");
        }
    }
}
