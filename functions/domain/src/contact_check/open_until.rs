//! How long a contact that may be made now may still be made on the same day.
//!
//! Invariant: at every moment from the asked one until the answer, nothing that [`Jurisdiction::check`] asks of hours
//! and days stands in the way, as long as clocks do not change in between; and the answer lies on the same local day or
//! at its end.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};

use super::{ContactQuery, YEARS, first_at_local};
use crate::calendar::Day;
use crate::choice::DayName;
use crate::jurisdiction::{Interval, Jurisdiction, Rule};

/// The seconds of a local day: its end.
const DAY_SECONDS: u32 = 86_400;

impl Jurisdiction {
    /// Until when (exclusive) a contact that is allowed at `query.at` stays allowed without a break: the end of the open
    /// hours around it, or of its local day where no hours are prescribed. `None` where it is not allowed at `query.at`.
    #[must_use]
    pub fn open_until(&self, query: &ContactQuery<'_>) -> Option<DateTime<Utc>> {
        let (_, rule) = self.rule(query.purpose, query.channel)?;
        if !YEARS.contains(&query.at.year()) || self.obstacle(rule, query, query.at).is_some() {
            return None;
        }
        let local = query.at.with_timezone(&query.time_zone).naive_local();
        let (on, second) = (local.date(), local.num_seconds_from_midnight());
        for end in self.ends_on(rule, query, on).into_iter().filter(|end| *end > second) {
            let local_end = on.and_time(NaiveTime::MIN) + TimeDelta::seconds(end.into());
            let end_at = first_at_local(query.time_zone, local_end, query.at)?;
            // Where the hours of one source end, another may go on.
            if end == DAY_SECONDS || self.obstacle(rule, query, end_at).is_some() {
                return Some(end_at);
            }
        }
        None
    }

    /// When any hours that speak for a local day end, in seconds from midnight, and the end of the day.
    fn ends_on(&self, rule: &Rule, query: &ContactQuery<'_>, on: NaiveDate) -> BTreeSet<u32> {
        let is_holiday = matches!(self.day(on), Day::Holiday(_));
        let windows = rule.window.iter().chain(rule.narrowed.iter().map(|(hours, _)| hours));
        let prescribed =
            windows.flat_map(|w| if is_holiday { &w.holiday } else { w.weekday(on) }.iter().copied());
        let day = DayName::of(on, is_holiday);
        let asked = self.other_hours(query.agreed_hours, query.purpose);
        let asked = asked.into_iter().flat_map(|hours| hours.on(day, query.channel));
        prescribed.chain(asked).map(|i: Interval| i.to_second).chain([DAY_SECONDS]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::channel::{Channel, Purpose};
    use crate::choice::AgreedHours;

    const PURPOSES: [Purpose; 4] =
        [Purpose::PreDue, Purpose::Overdue, Purpose::Transactional, Purpose::Marketing];
    const CHANNELS: [Channel; 3] = [Channel::Email, Channel::Sms, Channel::Call];
    const ZONES: [&str; 4] = ["America/Bogota", "America/Santiago", "America/Mexico_City", "America/Lima"];

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).expect("an instant").to_utc()
    }

    fn overdue_email(at: DateTime<Utc>) -> ContactQuery<'static> {
        let (purpose, channel) = (Purpose::Overdue, Channel::Email);
        let time_zone = chrono_tz::America::Bogota;
        ContactQuery { purpose, channel, at, time_zone, prior: &[], agreed_hours: None }
    }

    #[test]
    fn the_hours_of_a_day_end_where_its_window_does() {
        let colombia = Jurisdiction::built_in("CO").unwrap();
        let until = |text: &str| colombia.open_until(&overdue_email(at(text)));
        assert_eq!(until("2026-11-23T07:00:00-05:00"), Some(at("2026-11-23T19:00:00-05:00")));
        assert_eq!(until("2026-11-23T18:59:59-05:00"), Some(at("2026-11-23T19:00:00-05:00")));
        assert_eq!(until("2026-11-23T19:00:00-05:00"), None);
        assert_eq!(until("2026-11-21T10:00:00-05:00"), Some(at("2026-11-21T15:00:00-05:00")));
        assert_eq!(until("2026-11-22T10:00:00-05:00"), None, "Sundays are closed");
        // Outside the years in which local dates are computed.
        assert_eq!(until("9999-11-23T10:00:00-05:00"), None);
    }

    #[test]
    fn hours_that_a_customer_asked_for_go_on_where_the_window_ends() {
        let colombia = Jurisdiction::built_in("CO").unwrap();
        let asked: AgreedHours = serde_json::from_value(serde_json::json!({
            "channels": ["email"],
            "hours": [{"days": ["mon", "sun"], "from": "19:00", "to": "21:00"}],
            "document": "doc-17", "document_on": "2026-03-02", "contract_on": "2026-03-01",
        }))
        .unwrap();
        let until = |text: &str| {
            colombia.open_until(&ContactQuery { agreed_hours: Some(&asked), ..overdue_email(at(text)) })
        };
        assert_eq!(until("2026-11-23T07:00:00-05:00"), Some(at("2026-11-23T21:00:00-05:00")));
        assert_eq!(until("2026-11-22T20:00:00-05:00"), Some(at("2026-11-22T21:00:00-05:00")));
        assert_eq!(until("2026-11-24T07:00:00-05:00"), Some(at("2026-11-24T19:00:00-05:00")));
    }

    fn question() -> impl Strategy<Value = (&'static str, ContactQuery<'static>, u32)> {
        let ids: Vec<&'static str> = Jurisdiction::built_in_ids().collect();
        let start = at("2025-12-01T00:00:00Z");
        (
            proptest::sample::select(ids),
            proptest::sample::select(PURPOSES.to_vec()),
            proptest::sample::select(CHANNELS.to_vec()),
            proptest::sample::select(ZONES.to_vec()),
            0..500_i64 * 86_400,
            any::<u32>(),
        )
            .prop_map(move |(id, purpose, channel, zone, second, part)| {
                let time_zone = zone.parse().expect("a zone");
                let at = start + TimeDelta::seconds(second);
                let query = ContactQuery { purpose, channel, at, time_zone, prior: &[], agreed_hours: None };
                (id, query, part)
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_contact_stays_allowed_until_then_and_not_longer((id, query, part) in question()) {
            let profile = Jurisdiction::built_in(id).unwrap();
            let allowed = |at| profile.check(&ContactQuery { at, ..query }).is_allowed();
            let Some(until) = profile.open_until(&query) else {
                prop_assert!(!allowed(query.at));
                return Ok(());
            };
            let day = |at: DateTime<Utc>| at.with_timezone(&query.time_zone).date_naive();
            let left_ms = (until - query.at).num_milliseconds();
            prop_assert!(left_ms > 0);
            let between = query.at + TimeDelta::milliseconds(left_ms * i64::from(part) / (1 << 32));
            for moment in [query.at, between, until - TimeDelta::milliseconds(1)] {
                prop_assert!(allowed(moment), "{moment}");
                prop_assert_eq!(day(moment), day(query.at));
            }
            prop_assert!(!allowed(until) || day(until) > day(query.at), "{} goes on after {}", id, until);
        }
    }
}
