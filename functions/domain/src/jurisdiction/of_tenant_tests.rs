//! Which profile protects a tenant's customers, and how open questions are answered for them.

use super::adjust_tests::{adjusted, mistakes, reason, sent, tenant, today};
use super::*;
use crate::contact_check::ContactQuery;

#[test]
fn an_open_question_has_the_strict_answer_unless_the_tenant_gave_another() {
    let answers = |profile: &Jurisdiction| -> Vec<String> {
        profile.questions().iter().map(|q| profile.answer_to(q).unwrap_or("none").to_owned()).collect()
    };
    let built_in = |id| answers(Jurisdiction::built_in(id).unwrap());
    assert_eq!(built_in("CO"), ["attempts"]);
    assert_eq!(built_in("CO-DIRECT"), ["conversations"]);
    assert_eq!(built_in("PE"), ["yes", "no"]);
    for id in Jurisdiction::built_in_ids() {
        for question in Jurisdiction::built_in(id).unwrap().questions() {
            assert!(question.answers.contains_key(&question.strict), "{id} {}", question.id);
        }
        let of_a_tenant = adjusted(id, "");
        for question in of_a_tenant.questions() {
            assert_eq!(of_a_tenant.answer_to(question), Some(&*question.strict), "{id} {}", question.id);
        }
    }

    // Counting conversations allows what counting attempts refuses.
    let record = "reason = \"the later opinion\"\napproved_by = \"counsel\"\napproved_on = \"2026-11-02\"";
    let co = adjusted(
        "CO",
        &format!("[contact_rules.CO.answers.counted_contacts]\nanswer = \"conversations\"\n{record}"),
    );
    let prior = [sent("2026-03-04T09:00:00-05:00")];
    let at = "2026-03-04T11:00:00-05:00";
    assert_eq!(reason(&co, Purpose::Overdue, Channel::Sms, at, &prior), "ok");
    assert_eq!(answers(&co), ["conversations"]);
    assert_eq!(co.adjustments_for(Purpose::Overdue, Channel::Sms).len(), 1);

    // The strict answer needs no record, and Peru's weekends are closed for reminders, too.
    let strict = "[contact_rules.PE.answers]\nhours_cover_pre_due = { answer = \"yes\" }";
    let saturday = "2026-03-07T10:00:00-05:00";
    for pe in [adjusted("PE", strict), adjusted("PE", "")] {
        assert_eq!(
            reason(&pe, Purpose::PreDue, Channel::Sms, saturday, &[]),
            "outside_hours contact_rules.PE.answers.hours_cover_pre_due"
        );
        assert_eq!(answers(&pe), ["yes", "yes"]);
    }
    let bare = Jurisdiction::built_in("PE").unwrap();
    assert_eq!(reason(bare, Purpose::PreDue, Channel::Sms, saturday, &[]), "ok");
    let as_the_profile = format!("[contact_rules.PE.answers.hours_cover_pre_due]\nanswer = \"no\"\n{record}");
    let pe = adjusted("PE", &as_the_profile);
    assert_eq!(reason(&pe, Purpose::PreDue, Channel::Sms, saturday, &[]), "ok");
    assert_eq!(answers(&pe), ["yes", "no"]);
    let told = mistakes("[contact_rules.PE.answers]\nhours_cover_pre_due = { answer = \"no\" }");
    assert!(told.contains("hours_cover_pre_due: this answer allows more than the strict one"), "{told}");

    // A profile that counts less is chosen by name and still needs the record.
    let (direct, two) = (adjusted("CO-DIRECT", ""), [sent("2026-03-04T09:00:00-05:00")]);
    let at = "2026-03-04T11:00:00-05:00";
    assert_eq!(answers(&direct), ["attempts"]);
    assert_eq!(reason(&direct, Purpose::Overdue, Channel::Sms, at, &two), "daily_cap profile");
    let chosen =
        format!("[contact_rules.CO-DIRECT.answers.counted_contacts]\nanswer = \"conversations\"\n{record}");
    assert_eq!(reason(&adjusted("CO-DIRECT", &chosen), Purpose::Overdue, Channel::Sms, at, &two), "ok");
    let lenient = format!("[contact_rules.PE.answers.hours_cover_messages]\nanswer = \"no\"\n{record}");
    let pe = adjusted("PE", &lenient);
    assert_eq!(reason(&pe, Purpose::Overdue, Channel::Sms, saturday, &[]), "ok");
    assert_eq!(reason(&pe, Purpose::Overdue, Channel::Call, saturday, &[]), "outside_hours profile");

    // What the profile says already changes nothing but the words that the version covers.
    let same = adjusted("CO", "[contact_rules.CO.answers]\ncounted_contacts = { answer = \"attempts\" }");
    assert_eq!(same.counting(), Jurisdiction::built_in("CO").unwrap().counting());
}

#[test]
fn each_customer_gets_the_adjusted_profile_of_its_country() {
    let more = "[[contact_rules.PE.closed_days]]\non = \"2026-12-24\"\nreason = \"r\"\n\
                [[contact_rules.DEFAULT.closed_days]]\non = \"2026-12-31\"\nreason = \"r\"";
    let profiles = TenantJurisdictions::new(&tenant(more), today()).unwrap();
    let of = |code: Option<&str>| {
        let found = profiles.for_country(code.map(|c| Country::new(c).unwrap())).unwrap();
        (found.id().to_owned(), found.version() == Jurisdiction::built_in(found.id()).unwrap().version())
    };
    assert_eq!(of(None), ("CO".to_owned(), true));
    assert_eq!(of(Some("CO")), ("CO".to_owned(), true));
    assert_eq!(of(Some("PE")), ("PE".to_owned(), false));
    assert_eq!(of(Some("FR")), ("DEFAULT".to_owned(), false));
    let mut broken = tenant("");
    broken.jurisdiction = "XX".to_owned();
    let error = TenantJurisdictions::new(&broken, today()).unwrap_err().to_string();
    assert!(error.starts_with("jurisdiction: unknown jurisdiction \"XX\""), "{error}");
}

#[test]
fn a_profile_of_any_country_keeps_the_holidays_of_the_customers_own() {
    let bastille_day =
        "[[contact_rules.DEFAULT.closed_days]]\non = \"2026-07-14\"\nreason = \"Bastille Day\"";
    let profiles = TenantJurisdictions::new(&tenant(bastille_day), today()).unwrap();
    let of = |code: &str| profiles.for_country(Some(Country::new(code).unwrap())).unwrap();
    let told = |profile: &Jurisdiction, at: &str| reason(profile, Purpose::PreDue, Channel::Sms, at, &[]);
    // 25 May is a holiday of Argentina and nowhere near one of Brazil; 21 April is one of Brazil.
    let (revolution, tiradentes) = ("2026-05-25T12:00:00Z", "2026-04-21T12:00:00Z");
    let (argentina, brazil, france) = (of("AR"), of("BR"), of("FR"));
    assert_eq!([argentina.id(), brazil.id(), france.id()], [DEFAULT_ID; 3]);
    assert_eq!(told(argentina, revolution), "holiday profile");
    assert_eq!([told(argentina, tiradentes), told(brazil, revolution)], ["ok", "ok"]);
    assert_eq!(told(brazil, tiradentes), "holiday profile");
    assert_eq!([told(france, revolution), told(france, tiradentes)], ["ok", "ok"]);
    // Where there is a table, a day that it does not hold is refused; elsewhere a year for which the lender closed no day.
    let outside = "2031-05-26T12:00:00Z";
    assert_eq!([told(argentina, outside), told(france, outside)], ["no_calendar profile"; 2]);
    let (next_year, bastille) = ("2027-05-26T12:00:00Z", "2026-07-14T12:00:00Z");
    assert_eq!([told(argentina, next_year), told(france, next_year)], ["ok", "no_calendar profile"]);
    assert_eq!(told(france, bastille), "closed_day contact_rules.DEFAULT.closed_days[0]");
    assert_eq!(told(france, "2026-05-01T12:00:00Z"), "holiday profile");
    let sooner = ContactQuery {
        purpose: Purpose::PreDue,
        channel: Channel::Sms,
        at: "2025-12-30T12:00:00Z".parse().unwrap(),
        time_zone: chrono_tz::UTC,
        prior: &[],
        agreed_hours: None,
    };
    assert_eq!(france.next_allowed_at(&sooner), "2026-01-02T08:00:00Z".parse().ok());
    let versions = [argentina.version(), brazil.version(), france.version()];
    assert!(versions[0] != versions[1] && versions[1] != versions[2] && versions[0] != versions[2]);
    assert_eq!(
        argentina.texts().last(),
        Some("holidays = \"AR\"\ntimezone = \"America/Argentina/Buenos_Aires\"\n")
    );
    // A tenant of such a country, and its customers of unknown country, have them too.
    let mut own = tenant(bastille_day);
    own.country = Country::new("AR").unwrap();
    own.jurisdiction = DEFAULT_ID.to_owned();
    let profiles = TenantJurisdictions::new(&own, today()).unwrap();
    assert_eq!(told(profiles.for_country(None).unwrap(), revolution), "holiday profile");
    assert_eq!(told(profiles.own().unwrap(), revolution), "holiday profile");
    assert_eq!(profiles.all().filter(|p| p.version() == argentina.version()).count(), 1);
}

#[test]
fn a_country_whose_holidays_nobody_named_is_refused_by_its_key_and_its_customers_get_nothing() {
    let mut named = tenant("");
    named.countries = vec![Country::new("AR").unwrap(), Country::new("GT").unwrap()];
    let told = TenantJurisdictions::new(&named, today()).unwrap_err().to_string();
    assert!(told.starts_with("contact_rules.DEFAULT.closed_days: no table of holidays of GT"), "{told}");
    let mut own = tenant("");
    own.country = Country::new("GT").unwrap();
    own.jurisdiction = DEFAULT_ID.to_owned();
    assert!(TenantJurisdictions::new(&own, today()).is_err());
    own.contact_rules =
        tenant("[[contact_rules.DEFAULT.closed_days]]\non = \"2026-09-15\"\nreason = \"r\"").contact_rules;
    let profiles = TenantJurisdictions::new(&own, today()).unwrap();
    let at = |on: &str| reason(profiles.own().unwrap(), Purpose::PreDue, Channel::Sms, on, &[]);
    assert_eq!(at("2026-09-15T18:00:00Z"), "closed_day contact_rules.DEFAULT.closed_days[0]");
    assert_eq!(at("2026-09-16T18:00:00Z"), "ok");
    // The clock of the lender's own country, as its text says, and of no other country.
    let clock = profiles.own().unwrap();
    assert_eq!(clock.time_zone(), Some(chrono_tz::America::Guatemala));
    assert_eq!(clock.texts().last(), Some("timezone = \"America/Guatemala\"\n"));
    assert_eq!(profiles.for_country(Country::new("FR").ok()).unwrap().time_zone(), None);
    // A country that the lender did not name, of a customer whom it has all the same.
    let profiles = TenantJurisdictions::new(&tenant(""), today()).unwrap();
    let stranger = profiles.for_country(Some(Country::new("GT").unwrap())).unwrap();
    let told = reason(stranger, Purpose::PreDue, Channel::Sms, "2026-09-16T12:00:00Z", &[]);
    assert_eq!(told, "no_calendar profile");
}
