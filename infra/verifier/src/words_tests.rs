//! Words that are none are refused with their place, also where whoever wrote them sealed the file again.

use serde_json::{Value, json};

use crate::made_up::{Evidence, START_MS, sealed};
use crate::{Problem, VerifyError, verify};

/// A file with a word on consent and a payment, whose fence stands as the last decision left it.
fn whole() -> Value {
    let mut evidence = Evidence::of_days(3);
    let word = json!({"channel": "sms", "purposes": ["overdue"], "granted": true, "on": "2026-03-01", "source": "contract"});
    evidence.push("consents", word);
    evidence.push(
        "payments",
        json!({"id": "p", "obligation": "o00", "amount_minor": 10, "paid_on": "2026-03-01"}),
    );
    evidence.beside["obligations"][0]["paid_minor"] = json!(10);
    evidence.file()
}

fn broken(file: Value) -> Problem {
    match verify(sealed(file).to_string().as_bytes()) {
        Err(VerifyError::Broken(problem)) => problem,
        other => panic!("expected a broken link, found {other:?}"),
    }
}

#[test]
fn nonsense_is_refused_with_its_place_although_it_was_sealed_again() {
    let hold = |reason: &str, until_on: &str| json!({"reason": reason, "from_on": "2026-03-02", "until_on": until_on});
    let hours = |from: &str, to: &str, day: &str| {
        json!({"channels": ["sms"], "hours": [{"days": [day], "from": from, "to": to}], "document": "d",
               "document_on": "2026-03-02", "contract_on": "2026-03-01"})
    };
    for (pointer, value, place) in [
        ("/made_at", json!(""), "made_at"),
        ("/made_at", json!("yesterday"), "made_at"),
        ("/made_at", json!("2026-04-01T10:00:00"), "made_at"),
        ("/made_at", json!("2026-02-30T10:00:00Z"), "made_at"),
        ("/contact_data", json!("hidden"), "contact_data"),
        ("/notes/0", json!(" "), "notes[0]"),
        ("/consents/0/channel", json!("fax"), "consents[0]"),
        ("/consents/0/purposes/0", json!("overdu"), "consents[0]"),
        ("/consents/0/purposes", json!([]), "consents[0]"),
        ("/consents/0/source", json!("rumour"), "consents[0]"),
        ("/consents/0/evidence", json!(""), "consents[0]"),
        ("/obligations/0/currency", json!("XQQ"), "obligations[0]"),
        ("/obligations/0/currency", json!("cop"), "obligations[0]"),
        ("/obligations/0/account", json!(""), "obligations[0]"),
        ("/obligations/0/holds", json!([hold("sulk", "2026-03-03")]), "obligations[0]"),
        ("/obligations/0/holds", json!([hold("dispute", "2026-03-01")]), "obligations[0]"),
        ("/payments/0/id", json!(""), "payments[0]"),
        ("/payments/0/obligation", json!(" "), "payments[0]"),
        ("/contact_points/0/channel", json!("fax"), "contact_points[0]"),
        ("/contact_points/0/address", json!("+573001234567"), "contact_points[0]"),
        ("/suppressions/0/channel", json!("email"), "suppressions"),
        ("/profile/name", json!("Ana"), "profile.name"),
        ("/profile/role", json!("boss"), "profile.role"),
        ("/profile/kind", json!("robot"), "profile.kind"),
        ("/profile/language", json!("fr"), "profile.language"),
        ("/profile/preferred_channel", json!("fax"), "profile.preferred_channel"),
        ("/profile/segment", json!(""), "profile.segment"),
        ("/profile/country", json!("co"), "profile.country"),
        ("/profile/time_zone", json!("America/Macondo"), "profile.time_zone"),
        ("/profile/hold", hold("sulk", "2026-03-03"), "profile.hold"),
        ("/profile/agreed_hours", hours("21:00", "19:00", "mon"), "profile.agreed_hours"),
        ("/profile/agreed_hours", hours("19:00", "24:30", "mon"), "profile.agreed_hours"),
        ("/profile/agreed_hours", hours("19:00", "21:00", "lunes"), "profile.agreed_hours"),
    ] {
        let mut file = whole();
        match file.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => file["consents"][0]["evidence"] = value.clone(),
        }
        let problem = broken(file);
        assert_eq!(problem.place.as_deref(), Some(place), "{pointer} {value}: {problem}");
    }
    let in_full = |name: &str| {
        let mut file = whole();
        (file["contact_data"], file["profile"]["name"]) = (json!("in full"), json!(name));
        verify(sealed(file).to_string().as_bytes()).is_ok()
    };
    assert!(in_full("Ana Pérez") && !in_full(""));
}

#[test]
fn nonsense_in_the_facts_of_the_chain_is_refused_with_its_entry() {
    let word = |channel: &str| json!({"channel": channel, "granted": true, "on": "2026-03-03", "at": "2026-03-03T15:00:00Z", "source": "api"});
    for (fact, section, beside) in [
        (
            json!({"contact": {"at_ms": START_MS, "channel": "fax", "answered": true}}),
            "contacts",
            json!({"at_ms": START_MS, "channel": "fax", "answered": true}),
        ),
        (
            json!({"choice": {"id": "w", "at": "2026-03-03T15:00:00Z", "what": {"words": [word("fax")]}}}),
            "consents",
            word("fax"),
        ),
    ] {
        let mut evidence = Evidence::new();
        evidence.records(START_MS, fact);
        evidence.push(section, beside);
        let problem = broken(evidence.file());
        assert_eq!(problem.entry, Some(1), "{problem}");
        assert!(problem.what.contains("\"fax\" is no word for it"), "{problem}");
    }
}

#[test]
fn zone_and_role_are_those_of_the_last_decision_while_nothing_became_known_since() {
    let zone = |zone: Value, fence: i64| {
        let mut file = whole();
        file["fence_version"] = json!(file["fence_version"].as_i64().unwrap() + fence);
        file["profile"]["time_zone"] = zone;
        verify(sealed(file).to_string().as_bytes())
    };
    assert!(zone(Value::Null, 0).is_ok() && zone(json!("America/Bogota"), 0).is_ok());
    let Err(VerifyError::Broken(problem)) = zone(json!("America/Lima"), 0) else { panic!("it is seen") };
    assert_eq!(problem.place.as_deref(), Some("profile.time_zone"));
    assert!(problem.what.contains("America/Bogota, with which entry 3 was decided last"), "{problem}");
    assert!(zone(json!("America/Lima"), 1).is_ok(), "a later import may have told another one");
    // Without one of its own it is that of a country with one clock, else that of the profile.
    let country = |country: &str| {
        let mut file = Evidence::of_days(2).file();
        file["profile"]["country"] = json!(country);
        verify(sealed(file).to_string().as_bytes())
    };
    assert!(country("CO").is_ok() && country("BR").is_ok());
    let Err(VerifyError::Broken(problem)) = country("AR") else { panic!("it is seen") };
    assert_eq!(problem.place.as_deref(), Some("profile.time_zone"));

    let mut third = Evidence::of_days(2);
    third.documents[1]["verdicts"][0]["reasons"] = json!([{"code": "third_party"}]);
    let role = |role: &str| {
        let mut file = third.file();
        file["profile"]["role"] = json!(role);
        verify(sealed(file).to_string().as_bytes())
    };
    assert!(role("reference").is_ok());
    let Err(VerifyError::Broken(problem)) = role("debtor") else { panic!("it is seen") };
    assert_eq!(problem.place.as_deref(), Some("profile.role"));
}
