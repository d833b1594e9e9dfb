//! Retention: how long personal data is kept after the last activity of a customer.
//!
//! Invariant: whoever owes anything, or is held, stays, however old the facts are; and so does whoever has no date that
//! could be too old.

use chrono::{Days, NaiveDate};

use crate::customer::Customer;
use crate::jurisdiction::Jurisdiction;
use crate::obligation::{Hold, Obligation};
use crate::tenant::Tenant;

/// For how many years data is kept where neither the tenant nor the profile says so.
pub const RETAIN_YEARS_DEFAULT: u32 = 5;
/// The days that a year of retention counts: the longest there is, so that none is too short.
pub const DAYS_PER_YEAR: u32 = 366;

/// Why a customer's data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stay {
    /// Something is owed.
    Owes,
    /// A hold is in force or to come, a dispute among them.
    Held,
    /// The last activity is not long ago, or nothing says when it was.
    Recent,
}

impl Stay {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owes => "owe something",
            Self::Held => "are held",
            Self::Recent => "were active in the time of retention",
        }
    }
}

/// For how many days personal data of the customers of a profile is kept: what the tenant says, else the profile.
#[must_use]
pub fn retain_days(tenant: &Tenant, profile: &Jurisdiction) -> u32 {
    let by_profile = || {
        let years = profile.duties().records.as_ref().map_or(RETAIN_YEARS_DEFAULT, |r| r.retain_years);
        years.saturating_mul(DAYS_PER_YEAR)
    };
    tenant.retain_days.map_or_else(by_profile, std::num::NonZeroU32::get)
}

/// Why the data of a customer is kept on `today`; `None` where its time is over. `active_on` is the last day of any
/// contact, choice, payment or message; the days of the obligations are looked at here.
#[must_use]
pub fn stay(
    customer: &Customer,
    obligations: &[Obligation],
    active_on: Option<NaiveDate>,
    (retain_days, today): (u32, NaiveDate),
) -> Option<Stay> {
    let in_force = |hold: &Hold| hold.until_on.is_none_or(|until| today < until);
    if obligations.iter().any(Obligation::is_open) {
        return Some(Stay::Owes);
    }
    if customer.hold.iter().chain(obligations.iter().flat_map(|o| &o.holds)).any(in_force) {
        return Some(Stay::Held);
    }
    let days = obligations.iter().flat_map(|o| [Some(o.due_on), o.closed_on]).chain([active_on]).flatten();
    let kept_until = days.max().and_then(|last| last.checked_add_days(Days::new(retain_days.into())));
    kept_until.is_none_or(|until| today <= until).then_some(Stay::Recent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::obligation::HoldReason;

    fn day(n: u64) -> NaiveDate {
        NaiveDate::from_ymd_opt(2020, 1, 1).unwrap() + Days::new(n)
    }

    fn customer() -> Customer {
        serde_json::from_str(r#"{"id": "c", "name": "Ana"}"#).unwrap()
    }

    /// An obligation that is due on a day and, where it is closed, was paid on another.
    fn obligation(due: u64, closed: Option<u64>) -> Obligation {
        let on = |n| day(n).to_string();
        let json = serde_json::json!({
            "id": "a", "customer": "c", "due_on": on(due), "closed_on": closed.map(on),
            "amount": {"amount_minor": 100, "currency": "COP"},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn data_is_kept_until_the_day_after_its_time() {
        let paid = [obligation(10, Some(20))];
        let on = |today| stay(&customer(), &paid, None, (30, day(today)));
        assert_eq!(on(50), Some(Stay::Recent));
        assert_eq!(on(51), None);
        assert_eq!(stay(&customer(), &paid, Some(day(40)), (30, day(70))), Some(Stay::Recent));
        assert_eq!(stay(&customer(), &paid, Some(day(40)), (30, day(71))), None);
        assert_eq!(
            stay(&customer(), &[], None, (1, day(9_999))),
            Some(Stay::Recent),
            "nothing says how old it is"
        );
    }

    #[test]
    fn a_hold_keeps_what_is_paid_until_it_ends() {
        let hold = |until_on| Hold { reason: HoldReason::Dispute, from_on: day(1), until_on };
        let mut paid = obligation(10, Some(20));
        paid.holds = vec![hold(Some(day(900)))];
        assert_eq!(stay(&customer(), &[paid.clone()], None, (1, day(899))), Some(Stay::Held));
        assert_eq!(stay(&customer(), &[paid.clone()], None, (1, day(900))), None);
        let held = Customer { hold: Some(hold(None)), ..customer() };
        assert_eq!(stay(&held, &[paid], None, (1, day(9_999))), Some(Stay::Held));
    }

    #[test]
    fn the_tenant_says_how_long_else_the_profile_else_five_years() {
        let mut tenant: Tenant = toml::from_str(include_str!("../../../infra/demo/tenant.toml")).unwrap();
        let years =
            |tenant: &Tenant, id| retain_days(tenant, Jurisdiction::built_in(id).unwrap()) / DAYS_PER_YEAR;
        assert_eq!((years(&tenant, "CL"), years(&tenant, "CO"), years(&tenant, "DEFAULT")), (2, 5, 5));
        tenant.retain_days = std::num::NonZeroU32::new(90);
        assert_eq!(retain_days(&tenant, Jurisdiction::built_in("CL").unwrap()), 90);
    }

    proptest! {
        #[test]
        fn whoever_owes_stays_forever(due in 0_u64..3_000, others in 0_usize..4, today in 0_u64..100_000, days in 0_u32..9_000) {
            let mut owed = vec![obligation(0, Some(1)); others];
            owed.push(obligation(due, None));
            prop_assert_eq!(stay(&customer(), &owed, None, (days, day(today))), Some(Stay::Owes));
        }
    }
}
