//! The cases of the shared facts, and what they do not show.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Row {
    id: u32,
    jurisdiction: String,
    timezone: Tz,
    purpose: Purpose,
    channel: Channel,
    at: String,
    prior: String,
    allowed: bool,
    reason: String,
    next_allowed: String,
    note: String,
}

#[derive(Deserialize)]
struct Prior {
    at: String,
    channel: Channel,
    direct: bool,
}

fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("an instant").to_utc()
}

fn sent(at: &str, channel: Channel, direct: bool) -> Contact {
    Contact { at: instant(at), channel, direct }
}

fn query<'a>(
    purpose: Purpose,
    channel: Channel,
    at: &str,
    zone: &str,
    prior: &'a [Contact],
) -> ContactQuery<'a> {
    ContactQuery {
        purpose,
        channel,
        at: instant(at),
        time_zone: zone.parse().unwrap(),
        prior,
        agreed_hours: None,
    }
}

fn profile(id: &str) -> &'static Jurisdiction {
    Jurisdiction::built_in(id).unwrap()
}

#[test]
fn every_case_of_the_shared_facts_has_its_answer() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/vectors/contact_window.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared/facts/vectors/contact_window.csv is missing");
        return;
    };
    let mut rows = 0;
    let mut wrong = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize::<Row>() {
        let row = row.expect("a row");
        let prior: Vec<Prior> = serde_json::from_str(&row.prior).expect("a list of contacts");
        let prior: Vec<Contact> = prior.iter().map(|p| sent(&p.at, p.channel, p.direct)).collect();
        let query = ContactQuery {
            purpose: row.purpose,
            channel: row.channel,
            at: instant(&row.at),
            time_zone: row.timezone,
            prior: &prior,
            agreed_hours: None,
        };
        let jurisdiction = profile(&row.jurisdiction);
        let answer = jurisdiction.check(&query);
        let next = jurisdiction.next_allowed_at(&query);
        let expected = (!row.next_allowed.is_empty()).then(|| instant(&row.next_allowed));
        if (answer.is_allowed(), answer.reason(), next) != (row.allowed, &row.reason, expected) {
            wrong.push(format!(
                "{} {}: {answer:?}, next {next:?}; expected {} {expected:?}",
                row.id, row.note, row.reason
            ));
        }
        rows += 1;
    }
    assert!(rows > 50 && wrong.is_empty(), "{rows} rows\n{}", wrong.join("\n"));
}

#[test]
fn a_refusal_cites_the_article_and_says_what_it_rests_on() {
    let prior = [sent("2026-03-04T09:00:00-05:00", Channel::Sms, false)];
    let asked = |purpose, at| query(purpose, Channel::Sms, at, "America/Bogota", &prior);
    let cases = [
        (Purpose::Overdue, "2026-03-04T20:00:00-05:00", "outside_hours", "Ley 2300/2023 art. 3", Basis::Law),
        (Purpose::Overdue, "2026-03-04T10:00:00-05:00", "daily_cap", "Ley 2300/2023 art. 3 (ni", Basis::Law),
        (Purpose::PreDue, "2026-03-04T10:00:00-05:00", "daily_cap", "SFC CE 048/2008", Basis::Policy),
        (Purpose::Marketing, "2026-03-04T10:00:00-05:00", "daily_cap", "Ley 2300/2023 art. 5", Basis::Law),
    ];
    for (purpose, at, code, cite, basis) in cases {
        let ContactAnswer::Refused(refusal) = profile("CO").check(&asked(purpose, at)) else {
            panic!("{code}");
        };
        assert_eq!((refusal.code.as_str(), refusal.basis), (code, basis));
        // A cap of the pre-due rule has its own basis and no article of its own.
        assert!(refusal.cite.unwrap_or(cite).starts_with(cite), "{refusal:?}");
    }
    let ContactAnswer::Allowed(permission) =
        profile("CO").check(&asked(Purpose::Requested, "2026-03-08T23:00:00-05:00"))
    else {
        panic!("requested information is exempt");
    };
    assert!(permission.exempt && permission.rule == 3 && permission.basis == Basis::Law, "{permission:?}");
}

#[test]
fn a_day_that_the_table_does_not_hold_is_refused_on_any_weekday() {
    let late = query(Purpose::Overdue, Channel::Sms, "2031-01-05T10:00:00-05:00", "America/Bogota", &[]);
    assert_eq!(profile("CO").check(&late).reason(), "no_calendar");
    assert_eq!(profile("CO").next_allowed_at(&late), None);
    let eve = query(Purpose::Overdue, Channel::Sms, "2030-12-31T19:00:00-05:00", "America/Bogota", &[]);
    assert_eq!(profile("CO").check(&eve).reason(), "outside_hours");
    assert_eq!(profile("CO").next_allowed_at(&eve), None);
    let early = query(Purpose::Overdue, Channel::Sms, "2023-12-20T10:00:00-05:00", "America/Bogota", &[]);
    assert_eq!(profile("CO").next_allowed_at(&early), Some(instant("2024-01-02T07:00:00-05:00")));
    // The local date counts, not the date in UTC.
    let local = query(Purpose::Overdue, Channel::Sms, "2031-01-01T00:30:00Z", "America/Bogota", &[]);
    assert_eq!(profile("CO").check(&local).reason(), "outside_hours");
    let exempt = query(Purpose::Transactional, Channel::Sms, "2031-01-05T10:00:00Z", "America/Bogota", &[]);
    assert_eq!(profile("CO").next_allowed_at(&exempt), Some(exempt.at));
}

#[test]
fn what_no_rule_speaks_for_is_refused_for_good() {
    let asked =
        query(Purpose::Marketing, Channel::Call, "2026-03-04T10:00:00-03:00", "America/Santiago", &[]);
    let ContactAnswer::Refused(refusal) = profile("CL").check(&asked) else { panic!("no rule") };
    assert_eq!((refusal.code, refusal.basis), (ReasonCode::NoRule, Basis::Policy));
    assert_eq!(profile("CL").next_allowed_at(&asked), None);
}

#[test]
fn moments_at_the_ends_of_time_are_refused_without_a_panic() {
    for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let prior = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC].map(|at| Contact {
            at,
            channel: Channel::Call,
            direct: true,
        });
        for id in Jurisdiction::built_in_ids() {
            for channel in Channel::ALL {
                let time_zone = chrono_tz::America::New_York;
                let asked = ContactQuery {
                    purpose: Purpose::Overdue,
                    channel: *channel,
                    at,
                    time_zone,
                    prior: &prior,
                    agreed_hours: None,
                };
                assert_eq!(profile(id).check(&asked).reason(), "no_calendar");
                assert_eq!(profile(id).next_allowed_at(&asked), None);
                let asked = ContactQuery { at: instant("2026-03-04T15:00:00Z"), ..asked };
                assert_eq!(profile(id).check(&asked).reason(), "ok", "{id}");
            }
        }
    }
}

#[test]
fn two_days_apart_are_forty_eight_elapsed_hours_when_the_clocks_change() {
    // Chile falls back in the night to Sunday 5 April 2026.
    let prior = [sent("2026-04-04T09:00:30.5-03:00", Channel::Email, false)];
    let asked =
        query(Purpose::Overdue, Channel::Sms, "2026-04-06T08:00:00.25-04:00", "America/Santiago", &prior);
    assert_eq!(profile("CL").check(&asked).reason(), "min_gap");
    assert_eq!(profile("CL").next_allowed_at(&asked), Some(instant("2026-04-06T08:00:30.5-04:00")));
}

#[test]
fn the_eighth_call_in_seven_days_waits_for_the_first_to_age() {
    let days = ["03-02", "03-03", "03-03", "03-04", "03-05", "03-06", "03-07"];
    let prior: Vec<Contact> =
        days.iter().map(|d| sent(&format!("2026-{d}T12:00:00-05:00"), Channel::Call, false)).collect();
    let asked =
        query(Purpose::Overdue, Channel::Call, "2026-03-08T09:00:00-04:00", "America/New_York", &prior);
    assert_eq!(profile("US").check(&asked).reason(), "weekly_cap");
    assert_eq!(profile("US").next_allowed_at(&asked), Some(instant("2026-03-09T08:00:00-04:00")));
    let text = ContactQuery { channel: Channel::Sms, ..asked };
    assert_eq!(profile("US").check(&text).reason(), "ok");
    let six = ContactQuery { prior: &prior[1..], ..asked };
    assert_eq!(profile("US").check(&six).reason(), "ok");
}

#[test]
fn the_default_keeps_the_common_holidays_and_is_closed_outside_their_years() {
    let zone = "America/Asuncion";
    let asked = |at| query(Purpose::PreDue, Channel::Sms, at, zone, &[]);
    let (default, friday) = (profile("DEFAULT"), asked("2029-03-02T18:00:00-03:00"));
    assert_eq!(default.check(&friday).reason(), "outside_hours");
    assert_eq!(default.next_allowed_at(&friday), Some(instant("2029-03-05T08:00:00-03:00")));
    for holiday in ["2026-01-01", "2026-04-03", "2026-05-01", "2029-12-25"] {
        let at = format!("{holiday}T10:00:00-03:00");
        let asked = query(Purpose::PreDue, Channel::Sms, &at, zone, &[]);
        assert_eq!(default.check(&asked).reason(), "holiday", "{holiday}");
    }
    for outside in ["2023-12-28T10:00:00-03:00", "2031-01-02T10:00:00-03:00"] {
        assert_eq!(default.check(&asked(outside)).reason(), "no_calendar", "{outside}");
    }
    assert_eq!(default.next_allowed_at(&asked("2031-01-02T10:00:00-03:00")), None);
}
