//! What a tenant's own contact rules change, what they may not, and where a bad one is wrong.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::contact::Contact;
use crate::contact_check::{ContactAnswer, ContactQuery};
use crate::tenant::Tenant;

/// A tenant of the local runs with some more settings at the end.
pub(super) fn tenant(more: &str) -> Tenant {
    let text = format!("{}\n{more}", include_str!("../../../../infra/demo/tenant.toml"));
    toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{more}"))
}

pub(super) fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 22).unwrap()
}

pub(super) fn adjusted(id: &str, more: &str) -> Jurisdiction {
    let base = Jurisdiction::built_in(id).unwrap();
    base.adjusted(&tenant(more).contact_rules, today()).unwrap_or_else(|e| panic!("{e}\n{more}"))
}

/// What everything that is wrong with a tenant's rules is told as.
pub(super) fn mistakes(more: &str) -> String {
    TenantJurisdictions::new(&tenant(more), today()).expect_err(more).to_string()
}

pub(super) fn reason(
    profile: &Jurisdiction,
    purpose: Purpose,
    channel: Channel,
    at: &str,
    prior: &[Contact],
) -> String {
    let at: DateTime<Utc> = DateTime::parse_from_rfc3339(at).unwrap().to_utc();
    let query = ContactQuery {
        purpose,
        channel,
        at,
        time_zone: profile.time_zone().unwrap_or(chrono_tz::UTC),
        prior,
        agreed_hours: None,
    };
    match profile.check(&query) {
        ContactAnswer::Allowed(_) => "ok".to_owned(),
        ContactAnswer::Refused(refusal) => {
            let place = refusal.adjustment.map_or("profile", |a| a.place.as_str());
            format!("{} {place}", refusal.code)
        }
    }
}

/// One contact by SMS an hour before noon in Bogota and Lima.
pub(super) fn sent(at: &str) -> Contact {
    Contact { at: DateTime::parse_from_rfc3339(at).unwrap().to_utc(), channel: Channel::Sms, direct: false }
}

#[test]
fn what_a_tenant_does_not_adjust_stays_as_it_is() {
    for id in Jurisdiction::built_in_ids() {
        let base = &adjusted(id, "");
        assert_eq!(base == Jurisdiction::built_in(id).unwrap(), !["CO-DIRECT", "PE"].contains(&id), "{id}");
        for more in ["", "[contact_rules]", &format!("[contact_rules.{id}]"), "[contact_rules.DEFAULT]"] {
            assert_eq!(&adjusted(id, more), base, "{more}");
        }
    }
    let own = "[[contact_rules.PE.closed_days]]\non = \"2026-12-24\"\nreason = \"Nochebuena\"";
    assert_eq!(&adjusted("CO", own), Jurisdiction::built_in("CO").unwrap());
    let changed = adjusted("PE", own);
    assert_ne!(changed.version(), Jurisdiction::built_in("PE").unwrap().version());
    assert_eq!(changed.version(), adjusted("PE", own).version());
    assert_ne!(changed.version(), adjusted("PE", &own.replace("-24", "-31")).version());
}

#[test]
fn a_closed_day_is_refused_for_every_purpose_that_has_hours() {
    let own = "[[contact_rules.CO.closed_days]]\non = \"2026-12-24\"\nreason = \"Nochebuena\"";
    let co = adjusted("CO", own);
    for purpose in [Purpose::PreDue, Purpose::Overdue, Purpose::Marketing] {
        let told = reason(&co, purpose, Channel::Sms, "2026-12-24T10:00:00-05:00", &[]);
        assert_eq!(told, "closed_day contact_rules.CO.closed_days[0]");
    }
    assert_eq!(reason(&co, Purpose::Requested, Channel::Sms, "2026-12-24T10:00:00-05:00", &[]), "ok");
    // Outside the hours the law comes first; the next moment passes over the day, and over Christmas.
    let night = reason(&co, Purpose::Overdue, Channel::Sms, "2026-12-24T05:00:00-05:00", &[]);
    assert_eq!(night, "outside_hours profile");
    let at = DateTime::parse_from_rfc3339("2026-12-23T19:00:00-05:00").unwrap().to_utc();
    let query = ContactQuery {
        purpose: Purpose::Overdue,
        channel: Channel::Sms,
        at,
        time_zone: co.time_zone().unwrap(),
        prior: &[],
        agreed_hours: None,
    };
    let next = co.next_allowed_at(&query).unwrap();
    assert_eq!(next.with_timezone(&co.time_zone().unwrap()).to_rfc3339(), "2026-12-26T08:00:00-05:00");
}

#[test]
fn tightened_hours_and_caps_close_more_and_say_which_adjustment_did() {
    let co = adjusted(
        "CO",
        r#"
[[contact_rules.CO.tighten]]
purposes = ["overdue"]
channels = ["sms"]
reason = "office hours"
hours = { mon = [["09:00", "17:00"]], sat = [] }
[[contact_rules.CO.tighten]]
purposes = ["overdue", "pre_due"]
reason = "two a week are enough"
cap = { kind = "count", per = "week", max = 2 }
[[contact_rules.CO.tighten]]
purposes = ["requested"]
reason = "nobody wants an answer at night"
hours = { sun = [["10:00", "12:00"]] }
"#,
    );
    let asked = |channel, at, prior: &[Contact]| reason(&co, Purpose::Overdue, channel, at, prior);
    assert_eq!(
        asked(Channel::Sms, "2026-03-02T08:00:00-05:00", &[]),
        "outside_hours contact_rules.CO.tighten[0]"
    );
    assert_eq!(asked(Channel::Email, "2026-03-02T08:00:00-05:00", &[]), "ok");
    assert_eq!(asked(Channel::Sms, "2026-03-03T08:00:00-05:00", &[]), "ok");
    assert_eq!(
        asked(Channel::Sms, "2026-03-07T10:00:00-05:00", &[]),
        "outside_hours contact_rules.CO.tighten[0]"
    );
    let prior = [sent("2026-03-02T11:00:00-05:00"), sent("2026-03-03T11:00:00-05:00")];
    assert_eq!(
        asked(Channel::Sms, "2026-03-04T11:00:00-05:00", &prior),
        "weekly_cap contact_rules.CO.tighten[1]"
    );
    assert_eq!(asked(Channel::Email, "2026-03-04T11:00:00-05:00", &prior[..1]), "channel_week profile");
    // What the profile exempts has hours from then on.
    let answer = |at| reason(&co, Purpose::Requested, Channel::Sms, at, &[]);
    assert_eq!(answer("2026-03-08T09:00:00-05:00"), "outside_hours contact_rules.CO.tighten[2]");
    assert_eq!([answer("2026-03-08T10:00:00-05:00"), answer("2026-03-09T03:00:00-05:00")], ["ok", "ok"]);
}

#[test]
fn what_rests_on_policy_can_be_loosened_with_a_record() {
    let own = r#"
[[contact_rules.CO.loosen]]
purposes = ["pre_due"]
reason = "customers asked for reminders on Sunday mornings"
approved_by = "legal department"
approved_on = "2026-11-02"
hours = { sun = [["09:00", "12:00"]] }
[[contact_rules.CO.loosen]]
purposes = ["pre_due"]
reason = "a morning and an evening reminder"
approved_by = "legal department"
approved_on = "2026-11-02"
cap = { kind = "count", per = "day", max = 2 }
"#;
    let co = adjusted("CO", own);
    let sunday = "2026-03-08T10:00:00-05:00";
    assert_eq!(reason(&co, Purpose::PreDue, Channel::Sms, sunday, &[]), "ok");
    assert_eq!(reason(&co, Purpose::Overdue, Channel::Sms, sunday, &[]), "sunday profile");
    let prior = [sent("2026-03-08T09:00:00-05:00"), sent("2026-03-08T09:30:00-05:00")];
    assert_eq!(reason(&co, Purpose::PreDue, Channel::Sms, sunday, &prior[..1]), "ok");
    assert_eq!(
        reason(&co, Purpose::PreDue, Channel::Sms, sunday, &prior),
        "daily_cap contact_rules.CO.loosen[1]"
    );
    let by: Vec<&str> =
        co.adjustments_for(Purpose::PreDue, Channel::Sms).iter().map(|a| a.place.as_str()).collect();
    assert_eq!(by, ["contact_rules.CO.loosen[0]", "contact_rules.CO.loosen[1]"]);
    assert!(co.adjustments_for(Purpose::Overdue, Channel::Sms).is_empty());
}

/// Where a bad rule is wrong, and what stands against it.
const BAD: &[(&str, &str)] = &[
    ("[contact_rules.XX]", "contact_rules.XX: unknown jurisdiction \"XX\"; expected one of BR-SP,"),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\nhours = { mon = [[\"06:00\", \"12:00\"]] }",
        "contact_rules.CO.tighten[0].hours.mon[0]: is wider than the hours of overdue by email, which Ley 2300/2023 art. 3 (law) closes",
    ),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\nhours = { sun = [[\"10:00\", \"12:00\"]] }",
        "contact_rules.CO.tighten[0].hours.sun[0]: is wider than the hours of overdue by email",
    ),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\nhours = { mon = [[\"12:00\", \"09:00\"]] }",
        "contact_rules.CO.tighten[0].hours.mon[0]: the interval does not end after it starts",
    ),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\nhours = { mon = [[\"08:00\", \"10:00\"], [\"09:00\", \"11:00\"]] }",
        "contact_rules.CO.tighten[0].hours.mon[1]: the interval starts before the one above it ends",
    ),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\ncap = { kind = \"count\", per = \"day\", max = 1 }",
        "contact_rules.CO.tighten[0].cap: does not allow less than the cap of overdue by email in Ley 2300/2023 art. 3 (ni",
    ),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\ncap = { kind = \"min_gap\", max = 1 }",
        "contact_rules.CO.tighten[0].cap.hours: is missing; expected a number",
    ),
    ("[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"", "tighten[0]: changes nothing"),
    (
        "[[contact_rules.CO.tighten]]\npurposes = []\nreason = \"r\"\nhours = { mon = [] }",
        "contact_rules.CO.tighten[0].purposes: is missing; expected at least one purpose",
    ),
    (
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \" \"\nhours = { mon = [] }",
        "contact_rules.CO.tighten[0].reason: has 0 characters; expected 1 to 500",
    ),
    (
        "[[contact_rules.CL.tighten]]\npurposes = [\"marketing\"]\nreason = \"r\"\nhours = { mon = [] }",
        "contact_rules.CL.tighten[0].purposes: the profile has no rule for marketing by any channel",
    ),
    (
        "[[contact_rules.CO.loosen]]\npurposes = [\"overdue\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\nhours = { sun = [[\"10:00\", \"12:00\"]] }",
        "contact_rules.CO.loosen[0].hours: the hours of overdue by email cannot be loosened: Ley 2300/2023 art. 3 (law) forbids it",
    ),
    (
        "[[contact_rules.MX.loosen]]\npurposes = [\"overdue\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\nhours = { sat = [[\"10:00\", \"12:00\"]] }",
        "CONDUSEF Disposiciones despachos de cobranza, DOF 2014-10-07 (hours); Profeco (Monday to Friday) (guidance) forbids it",
    ),
    (
        "[[contact_rules.CO.loosen]]\npurposes = [\"overdue\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\ncap = { kind = \"count\", per = \"day\", max = 2 }",
        "contact_rules.CO.loosen[0].cap: the cap of overdue by email cannot be loosened: Ley 2300/2023 art. 3 (ni",
    ),
    (
        "[[contact_rules.CO.loosen]]\npurposes = [\"pre_due\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\ncap = { kind = \"count\", per = \"day\", max = 1 }",
        "contact_rules.CO.loosen[0].cap: does not allow more than the cap of pre_due by email",
    ),
    (
        "[[contact_rules.CO.loosen]]\npurposes = [\"pre_due\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\ncap = { kind = \"min_gap\", hours = 3 }",
        "contact_rules.CO.loosen[0].cap: pre_due by email has no cap of this kind",
    ),
    (
        "[[contact_rules.CO.loosen]]\npurposes = [\"pre_due\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\nhours = { mon = [[\"10:00\", \"12:00\"]] }",
        "contact_rules.CO.loosen[0].hours.mon: does not hold all of the hours that pre_due by email has",
    ),
    (
        "[[contact_rules.CO.loosen]]\npurposes = [\"requested\"]\nreason = \"r\"\napproved_by = \"a\"\napproved_on = \"2026-11-02\"\nhours = { mon = [[\"10:00\", \"12:00\"]] }",
        "contact_rules.CO.loosen[0].hours: requested by email has no hours that could be loosened",
    ),
    (
        "[contact_rules.CO.answers]\ncounted_contacts = { answer = \"conversations\" }",
        "contact_rules.CO.answers.counted_contacts: this answer allows more than the strict one; expected reason, approved_by",
    ),
    (
        "[contact_rules.CO.answers]\ncounted_contacts = { answer = \"some\" }",
        "contact_rules.CO.answers.counted_contacts.answer: unknown answer \"some\"; expected attempts, conversations",
    ),
    (
        "[contact_rules.CO.answers]\ncounted = { answer = \"some\" }",
        "contact_rules.CO.answers.counted: unknown question \"counted\"; expected counted_contacts",
    ),
    (
        "[contact_rules.US.answers]\ncounted = { answer = \"some\" }",
        "unknown question \"counted\"; expected none: the profile has none",
    ),
    (
        "[[contact_rules.CO.closed_days]]\non = \"2031-12-24\"\nreason = \"r\"",
        "contact_rules.CO.closed_days[0].on: the day is outside the holiday table",
    ),
    (
        "[[contact_rules.CO.closed_days]]\non = \"2026-12-24\"\nreason = \"r\"\n[[contact_rules.CO.closed_days]]\non = \"2026-12-24\"\nreason = \"r\"",
        "contact_rules.CO.closed_days[1].on: the day stands in the list twice",
    ),
];

#[test]
fn a_bad_rule_is_refused_with_its_place_and_what_stands_against_it() {
    for (more, expected) in BAD {
        let error = mistakes(more);
        assert!(error.contains(expected), "{more}\ngave {error:?}; expected {expected:?}");
    }
    let many =
        "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\nhours = { sat = [] }\n"
            .repeat(ADJUSTMENTS_MAX + 1);
    assert_eq!(mistakes(&many), "contact_rules.CO.tighten: is 201; expected 0 to 200");
}

#[test]
fn an_approval_of_a_day_to_come_is_refused() {
    let loosen = |on: &str| {
        format!(
            "[[contact_rules.CO.loosen]]\npurposes = [\"pre_due\"]\nreason = \"r\"\napproved_by = \"a\"\n\
             approved_on = \"{on}\"\nhours = {{ sun = [[\"09:00\", \"12:00\"]] }}"
        )
    };
    let answer = |on: &str| {
        format!(
            "[contact_rules.PE.answers.hours_cover_pre_due]\nanswer = \"no\"\nreason = \"r\"\n\
             approved_by = \"a\"\napproved_on = \"{on}\""
        )
    };
    for (today, tomorrow, place) in [
        (loosen("2026-11-22"), loosen("2026-11-23"), "contact_rules.CO.loosen[0].approved_on"),
        (
            answer("2026-11-22"),
            answer("2026-11-23"),
            "contact_rules.PE.answers.hours_cover_pre_due.approved_on",
        ),
    ] {
        assert!(TenantJurisdictions::new(&tenant(&today), self::today()).is_ok(), "{today}");
        let told = mistakes(&tomorrow);
        let expected = "2026-11-23 lies after today, 2026-11-22; expected the day on which it was approved";
        assert_eq!(told, format!("{place}: {expected}"));
    }
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let told = mistakes(
        r#"
[contact_rules.XX]
[contact_rules.CO.answers]
counted = { answer = "some" }
[[contact_rules.CO.tighten]]
purposes = ["overdue"]
reason = " "
hours = { mon = [["06:00", "12:00"], ["18:00", "20:00"]], sun = [["10:00", "12:00"]] }
[[contact_rules.CO.tighten]]
purposes = ["overdue"]
reason = "r"
hours = { mon = [["12:00", "09:00"]], tue = [["9:30", "09:00"]] }
[[contact_rules.CO.closed_days]]
on = "2031-12-24"
reason = "r"
[[contact_rules.PE.loosen]]
purposes = ["requested"]
reason = "r"
approved_by = "a"
approved_on = "2027-01-01"
hours = { mon = [["10:00", "12:00"]] }
"#
        .replace("9:30", "10:30")
        .as_str(),
    );
    let places: Vec<&str> = told.lines().skip(1).map(|l| l.trim().split_once(": ").unwrap().0).collect();
    assert_eq!(
        places,
        [
            "contact_rules.XX",
            "contact_rules.CO.answers.counted",
            "contact_rules.CO.tighten[0].reason",
            "contact_rules.CO.tighten[0].hours.mon[0]",
            "contact_rules.CO.tighten[0].hours.mon[1]",
            "contact_rules.CO.tighten[0].hours.sun[0]",
            "contact_rules.CO.tighten[1].hours.mon[0]",
            "contact_rules.CO.tighten[1].hours.tue[0]",
            "contact_rules.CO.closed_days[0].on",
            "contact_rules.PE.loosen[0].approved_on",
            "contact_rules.PE.loosen[0].hours",
        ],
        "{told}"
    );
    assert!(told.starts_with("11 mistakes:\n"), "{told}");
}

#[test]
fn an_unknown_key_or_word_is_an_error_of_reading() {
    let demo = include_str!("../../../../infra/demo/tenant.toml");
    for (more, expected) in [
        ("[contact_rules.CO]\ncolour = 1", "unknown field `colour`"),
        ("[[contact_rules.CO.closed_days]]\non = \"2026-02-30\"\nreason = \"r\"", "out of range"),
        (
            "[[contact_rules.CO.loosen]]\npurposes = [\"pre_due\"]\nreason = \"r\"",
            "missing field `approved_by`",
        ),
        ("[[contact_rules.CO.tighten]]\npurposes = [\"late\"]", "unknown variant `late`"),
        (
            "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nchannels = [\"fax\"]",
            "unknown channel \"fax\"",
        ),
        (
            "[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"r\"\nhours = { mon = [[\"7\", \"12:00\"]] }",
            "expected HH:MM",
        ),
    ] {
        let error = toml::from_str::<Tenant>(&format!("{demo}\n{more}")).expect_err(more).to_string();
        assert!(error.contains(expected) && error.contains("line "), "{more}\n{error}");
    }
}

#[test]
fn settings_are_stored_as_json_and_read_back() {
    let more = r#"
[contact_rules.PE.answers]
hours_cover_pre_due = { answer = "yes" }
[[contact_rules.PE.closed_days]]
on = "2026-12-24"
reason = "Nochebuena"
[[contact_rules.PE.tighten]]
purposes = ["overdue"]
channels = ["sms"]
reason = "office hours"
hours = { mon = [["09:00", "17:30"], ["18:00", "20:00"]], holiday = [] }
[[contact_rules.PE.tighten]]
purposes = ["pre_due"]
reason = "one a week"
cap = { kind = "count", per = "week", max = 1, over = ["sms", "email"] }
"#;
    let tenant = tenant(more);
    let stored = serde_json::to_string(&tenant).unwrap();
    let read: Tenant = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, tenant);
    let base = Jurisdiction::built_in("PE").unwrap();
    let version = |t: &Tenant| base.adjusted(&t.contact_rules, today()).unwrap().version().to_owned();
    assert_eq!(version(&read), version(&tenant));
}

/// Hours that lie in those of every profile on the days that all of them open.
fn narrow() -> impl Strategy<Value = String> {
    let day = select(vec!["mon", "tue", "wed", "thu", "fri"]);
    (day, 8_u32..18, 1_u32..10).prop_map(|(day, from, hours)| {
        format!("{day} = [[\"{from:02}:00\", \"{:02}:00\"]]", (from + hours).min(18))
    })
}

fn stricter_cap() -> impl Strategy<Value = String> {
    prop_oneof![
        (1_u32..4).prop_map(|max| format!("{{ kind = \"rolling_count\", days = 5, max = {max} }}")),
        (49_u32..100).prop_map(|hours| format!("{{ kind = \"min_gap\", hours = {hours} }}")),
        (8_u32..20).prop_map(|days| format!("{{ kind = \"after_direct\", days = {days} }}")),
    ]
}

fn tightening(id: &'static str) -> impl Strategy<Value = String> {
    let change = prop_oneof![
        narrow().prop_map(|hours| format!("hours = {{ {hours} }}")),
        Just("hours = { sat = [], holiday = [] }".to_owned()),
        stricter_cap().prop_map(|cap| format!("cap = {cap}")),
    ];
    let purpose = select(vec!["overdue", "pre_due", "requested"]);
    (purpose, change).prop_map(move |(purpose, change)| {
        format!("[[contact_rules.{id}.tighten]]\npurposes = [\"{purpose}\"]\nreason = \"r\"\n{change}\n")
    })
}

/// A built-in profile, what a tenant tightens in it, and contacts to ask about.
fn tightened() -> impl Strategy<Value = (&'static str, String, Vec<(i64, i64)>)> {
    let id = select(vec!["CO", "CO-DIRECT", "PE", "CL", "MX", "EC", "BR-SP", "US", "DEFAULT"]);
    id.prop_flat_map(|id| {
        let rules = proptest::collection::vec(tightening(id), 1..4).prop_map(|rules| rules.join(""));
        let closed = (0_i64..60).prop_map(move |day| {
            let on = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap() + chrono::Days::new(day.unsigned_abs());
            format!("[[contact_rules.{id}.closed_days]]\non = \"{on}\"\nreason = \"r\"\n")
        });
        let moments = proptest::collection::vec((0_i64..60 * 86_400, 0_i64..400_000), 40);
        (Just(id), (rules, closed).prop_map(|(rules, closed)| rules + &closed), moments)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// The clocks of Chile and of the border with the United States change within the sixty days.
    #[test]
    fn what_is_tightened_never_allows_what_the_profile_refuses((id, more, moments) in tightened()) {
        let (base, own) = (Jurisdiction::built_in(id).unwrap(), adjusted(id, &more));
        let zones = [base.time_zone().unwrap_or(chrono_tz::UTC), chrono_tz::America::Tijuana, chrono_tz::America::Santiago];
        let start: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().unwrap();
        for (i, (second, ago)) in moments.iter().enumerate() {
            let at = start + chrono::TimeDelta::seconds(*second);
            let before = at - chrono::TimeDelta::seconds(*ago);
            let prior = [Contact { at: before, channel: Channel::ALL[i % 5], direct: i % 2 == 0 }];
            for purpose in [Purpose::Overdue, Purpose::PreDue, Purpose::Requested] {
                let channel = Channel::ALL[(i / 5) % 5];
                let query = ContactQuery { purpose, channel, at, time_zone: zones[i % 3], prior: &prior, agreed_hours: None };
                let (allowed, refused) = (own.check(&query).is_allowed(), !base.check(&query).is_allowed());
                prop_assert!(!(allowed && refused), "{purpose} by {channel} at {at}: {more}");
                if i % 8 != 0 {
                    continue;
                }
                let (sooner, later) = (base.next_allowed_at(&query), own.next_allowed_at(&query));
                prop_assert!(later.is_none_or(|later| sooner.is_some_and(|sooner| sooner <= later)));
            }
        }
    }
}
