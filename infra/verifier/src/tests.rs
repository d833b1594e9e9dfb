//! The check finds what was changed, removed, moved or added, whoever did it and wherever.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::made_up::{DAY_MILLIS, Evidence, HOUR_MILLIS, POLICY, PROFILE, START_MS, sealed, verified};
use crate::{Problem, VerifyError, verify};

fn broken(file: &Value) -> Problem {
    match verify(file.to_string().as_bytes()) {
        Err(VerifyError::Broken(problem)) => problem,
        other => panic!("expected a broken link, found {other:?}"),
    }
}

fn entries(file: &mut Value) -> &mut Vec<Value> {
    file["entries"].as_array_mut().unwrap()
}

#[test]
fn a_whole_file_is_verified_and_counted() {
    let file = Evidence::of_days(30).file();
    let verified = verify(file.to_string().as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.claims, verified.touches), (30, 13, 13));
    assert_eq!(verified.first_at.as_deref(), Some("2026-03-02T15:00:00.000Z"));
    assert_eq!(verified.head.as_deref(), file["head"].as_str());
    let none = verify(Evidence::new().file().to_string().as_bytes()).unwrap();
    assert_eq!((none.entries, none.head), (0, None));
}

#[test]
fn a_file_of_many_messages_is_verified() {
    let verified = verify(Evidence::of_moments(2_000).file().to_string().as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.claims, verified.touches), (2_000, 1_000, 1_000));
}

#[test]
fn what_is_no_evidence_is_told_from_what_is_broken() {
    let other = |text: &str| matches!(verify(text.as_bytes()), Err(VerifyError::NotEvidence(_)));
    assert!(other("") && other("[]") && other("{}") && other("date,amount\n2026-01-01,5\n"));
    let mut file = Evidence::of_days(2).file();
    assert!(other(&file.to_string()[..200]));
    file["version"] = json!(1);
    assert!(other(&file.to_string()));
}

#[test]
fn removed_swapped_repeated_and_cut_off_entries_are_found() {
    let whole = Evidence::of_days(8).file();
    let entry_of = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut file = whole.clone();
        change(entries(&mut file));
        broken(&file).entry
    };
    for n in 0..7 {
        assert_eq!(entry_of(&|e| drop(e.remove(n))), Some(n + 1), "the next one stands in its place");
        assert_eq!(entry_of(&|e| e.swap(n, n + 1)), Some(n + 1));
        assert_eq!(entry_of(&|e| e.insert(n, e[n].clone())), Some(n + 2));
        assert_eq!(entry_of(&|e| e.truncate(n + 1)), Some(n + 1), "the head names another");
    }
    assert_eq!(entry_of(&|e| e.clear()), None);
    assert_eq!(entry_of(&|e| e.push(e[7].clone())), Some(9));
}

#[test]
fn a_chain_that_was_made_anew_must_still_fit_the_touches_and_the_law() {
    let found = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = Evidence::of_days(8);
        change(&mut evidence);
        broken(&evidence.file())
    };
    // A claim on a Sunday, on a holiday, at night, and by a channel that no rule speaks for.
    for at_ms in
        [START_MS + 13 * DAY_MILLIS, START_MS + 21 * DAY_MILLIS, START_MS + 9 * DAY_MILLIS + 9 * 3_600_000]
    {
        let problem = found(&|e| e.claims(at_ms, 99));
        assert_eq!(problem.entry, Some(9), "{problem}");
        assert!(problem.what.contains("expected an allowed moment"), "{problem}");
    }
    assert_eq!(found(&|e| e.documents[2]["touch"]["channel"] = json!("call")).entry, Some(3));
    // A claim without its touch, a touch without its claim, a touch about something else, a claim made twice.
    assert_eq!(found(&|e| drop(e.beside["touches"].as_array_mut().unwrap().remove(1))).entry, Some(3));
    let place = |change: &dyn Fn(&mut Evidence)| found(change).place.unwrap_or_default();
    assert_eq!(place(&|e| drop(e.documents.remove(4))), "touches[2]");
    assert_eq!(place(&|e| e.beside["touches"][1]["items"][0]["stage"] = json!("d8")), "touches[1]");
    assert_eq!(place(&|e| e.beside["touches"][1]["state"] = json!("lost")), "touches[1]");
    assert_eq!(place(&|e| e.beside["touches"][1]["state"] = json!("delivered")), "touches[1]");
    assert_eq!(place(&|e| e.push("touches", e.beside["touches"][2].clone())), "touches[3]");
    // A contact and a stage that no entry made, and some that are missing.
    assert_eq!(place(&|e| drop(e.beside["contacts"].as_array_mut().unwrap().pop())), "contacts[2]");
    assert_eq!(place(&|e| e.beside["contacts"][1]["channel"] = json!("call")), "contacts[1]");
    assert_eq!(place(&|e| drop(e.beside["reached"].as_array_mut().unwrap().remove(0))), "reached");
    assert_eq!(place(&|e| e.beside["reached"][2]["dpd"] = json!(8)), "reached[2]");
    assert_eq!(place(&|e| e.push("obligations", e.beside["obligations"][0].clone())), "obligations[3]");
    // What the policy does not say: a trigger, a stage, a purpose, a moment before the trigger, a template.
    for (key, value) in [("stage", json!("d8")), ("purpose", json!("pre_due")), ("template", json!("u"))] {
        assert_eq!(found(&|e| e.documents[2]["touch"][key] = value.clone()).entry, Some(3), "{key}");
    }
    assert_eq!(found(&|e| e.documents[2]["touch"]["items"][0][3] = json!(8)).entry, Some(3));
    assert_eq!(found(&|e| e.documents[1]["verdicts"][0]["stage"] = json!("d8")).entry, Some(2));
    assert_eq!(found(&|e| e.documents[1]["verdicts"][0]["stage"] = json!("d4")).entry, Some(2));
    assert_eq!(found(&|e| e.documents[1]["verdicts"][0]["stage"] = Value::Null).entry, Some(2));
    assert_eq!(found(&|e| e.documents[1]["verdicts"][0]["due_on"] = json!("2026-03-02")).entry, Some(2));
    // Time that runs backwards, another customer, another zone, an unknown key, a rule that is not in the file.
    assert_eq!(found(&|e| e.holds(START_MS)).entry, Some(9));
    assert_eq!(found(&|e| e.documents[3]["customer"] = json!("d")).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["zone"] = json!("America/Santiago")).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["more"] = json!(1)).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["policy_version"] = json!(2)).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["policy_hash"] = json!("0".repeat(32))).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["profile_version"] = json!("0".repeat(16))).entry, Some(4));
    assert_eq!(found(&|e| e.fence_version = 8).entry, Some(8));
}

#[test]
fn a_text_counts_only_under_its_hash() {
    let place = |change: &dyn Fn(&mut Value)| {
        let mut file = Evidence::of_days(3).file();
        change(&mut file);
        broken(&sealed(file)).place.unwrap_or_default()
    };
    assert_eq!(
        place(&|f| f["profiles"][0]["texts"][0] = json!(PROFILE.replace("19:00", "20:00"))),
        "profiles[0]"
    );
    assert_eq!(
        place(&|f| f["profiles"][0]["holidays"] = json!("date,name\n2026-01-01,New Year\n")),
        "profiles[0]"
    );
    assert_eq!(
        place(&|f| f["policies"][0]["text"] = json!(POLICY.replace("dpd = 3", "dpd = 2"))),
        "policies[0]"
    );
    assert_eq!(place(&|f| f["policies"][0]["version"] = json!(2)), "policies[0]");
    let twice = |f: &mut Value| f["policies"] = json!([f["policies"][0], f["policies"][0]]);
    assert_eq!(place(&twice), "policies[1]");
}

#[test]
fn facts_of_the_chain_and_what_stands_beside_it_are_one() {
    let word = json!({"channel": "sms", "granted": false, "on": "2026-03-03", "at": "2026-03-03T15:00:00Z",
        "source": "link"});
    let mut whole = Evidence::of_days(3);
    let at_ms = START_MS + DAY_MILLIS;
    whole.records(at_ms, json!({"contact": {"at_ms": at_ms, "channel": "call", "answered": true}}));
    let choice = json!({"id": "l", "at": "2026-03-03T15:00:00Z", "what": {"words": [word]}});
    whole.records(at_ms, json!({"choice": choice}));
    whole.beside["contacts"]
        .as_array_mut()
        .unwrap()
        .insert(1, json!({"at_ms": at_ms, "channel": "call", "answered": true}));
    whole.push(
        "consents",
        json!({"channel": "sms", "granted": true, "on": "2026-03-01", "source": "contract"}),
    );
    whole.push("consents", word);
    let found = verified(&whole).unwrap();
    assert_eq!((found.entries, found.facts, found.claims), (5, 2, 2));
    let place = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = whole.clone();
        change(&mut changed);
        let problem = broken(&changed.file());
        (problem.entry, problem.place.unwrap_or_default())
    };
    let at = |place: &str| (None, place.to_owned());
    assert_eq!(place(&|e| drop(e.beside["contacts"].as_array_mut().unwrap().remove(1))), at("contacts[1]"));
    assert_eq!(place(&|e| e.beside["contacts"][1]["answered"] = json!(false)), at("contacts[1]"));
    assert_eq!(place(&|e| drop(e.documents.remove(3))), at("contacts[1]"));
    assert_eq!(
        place(&|e| drop(e.beside["consents"].as_array_mut().unwrap().remove(1))),
        (Some(5), String::new())
    );
    assert_eq!(place(&|e| e.beside["consents"][1]["granted"] = json!(true)), (Some(5), String::new()));
    assert_eq!(place(&|e| drop(e.documents.remove(4))), at("consents[1]"));
    // A lender's file may give no day; whoever makes a choice makes it on one.
    whole.beside["consents"][0]["on"] = Value::Null;
    assert!(verified(&whole).is_ok());
    whole.documents[4]["fact"]["choice"]["what"]["words"][0]["on"] = Value::Null;
    assert_eq!(broken(&whole.file()).entry, Some(5));
}

#[test]
fn a_report_is_of_a_moment_between_its_claim_and_its_record() {
    let mut whole = Evidence::of_days(1);
    for (minutes, is_sound) in [(-9, true), (9, true), (-11, false), (11, false)] {
        whole.beside["touches"][0]["history"][0]["at_ms"] = json!(START_MS + 100 + minutes * 60_000);
        assert_eq!(verified(&whole).is_ok(), is_sound, "{minutes}");
    }
}

#[test]
fn a_claim_that_was_taken_back_and_a_word_of_a_person_have_their_entries() {
    let mut whole = Evidence::of_days(1);
    let (id, at_ms) = (whole.beside["touches"][0]["id"].clone(), START_MS);
    let touch = whole.beside["touches"][0].clone();
    whole.records(at_ms, json!({"released": {"touch": id, "claimed_at_ms": at_ms}}));
    let beside = whole.beside.clone();
    // It goes out two hours later after all, nobody knows how it ended, and a person settles it.
    for section in ["touches", "contacts", "reached", "obligations"] {
        whole.beside[section] = json!([]);
    }
    whole.claims(START_MS + 2 * HOUR_MILLIS, 0);
    assert_eq!(verified(&whole).unwrap().released, 1);
    let again_ms = START_MS + 2 * HOUR_MILLIS;
    whole.records(
        again_ms + 9,
        json!({"report": {"touch": id, "claimed_at_ms": again_ms, "report": "failed",
        "source": "person", "suppressed": false, "fell_back": ["o00"],
        "person": {"by": "ops-7", "evidence": "no estaba"}}}),
    );
    let said = |report: &str, source: &str, code: &str, at_ms: i64| json!({"report": report, "source": source, "code": code, "at_ms": at_ms, "recorded_at_ms": at_ms});
    let settled = &mut whole.beside["touches"][0];
    settled["state"] = json!("failed");
    settled["reason"] = json!("ops-7: no estaba");
    settled["provider_id"] = Value::Null;
    settled["settled_at_ms"] = json!(again_ms + 9);
    settled["history"] = json!([
        said("unknown", "sender", "timeout", again_ms + 5),
        said("failed", "person", "ops-7__no_estaba", again_ms + 9)
    ]);
    whole.beside["failed"] = json!([{"at_ms": again_ms, "channel": "sms", "items": settled["items"]}]);
    whole.beside["reached"] = json!([]);
    verified(&whole).unwrap();
    let refused = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = whole.clone();
        change(&mut changed);
        verified(&changed).is_err()
    };
    assert!(refused(&|e| drop(e.documents.remove(1))), "the release");
    assert!(refused(&|e| drop(e.documents.remove(3))), "the word of the person");
    assert!(refused(&|e| e.beside["touches"] = json!([touch])), "as if it had gone out the first time");
    assert!(refused(&|e| e.beside["touches"][0]["history"][1]["source"] = json!("provider")));
    assert!(refused(&|e| e.beside["touches"][0]["history"][1]["report"] = json!("sent")));
    assert!(refused(&|e| e.beside["touches"][0]["reason"] = json!("otro")));
    let other = |e: &mut Evidence| {
        e.beside["touches"][0]["reason"] = json!("ops-8: no estaba");
        e.beside["touches"][0]["history"][1]["code"] = json!("ops-8__no_estaba");
    };
    assert!(refused(&other), "as if somebody else had said it");
    assert!(refused(&|e| e.beside["failed"] = json!([{"at_ms": again_ms, "channel": "sms", "items": []}])));
    assert!(refused(&|e| e.beside = beside.clone()), "as if it waited still");
}

#[test]
fn an_erased_customer_leaves_its_chain_and_the_mark() {
    let mut whole = Evidence::of_days(3);
    let at_ms = START_MS + 40 * DAY_MILLIS;
    let left = whole.beside.clone();
    whole.records(at_ms, json!({"erased": {}}));
    whole.beside = json!({
        "erased_at_ms": at_ms, "touches": [], "contacts": [], "reached": [], "failed": [], "obligations": [],
        "payments": [], "consents": [], "suppressions": [], "contact_points": [], "profile": null,
    });
    let found = verified(&whole).unwrap();
    assert_eq!((found.entries, found.claims, found.erased_at.is_some()), (4, 2, true));
    let place = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = whole.clone();
        change(&mut changed);
        broken(&changed.file()).place.unwrap_or_default()
    };
    assert_eq!(
        broken(&Evidence { documents: whole.documents[..3].to_vec(), ..whole.clone() }.file()).entry,
        Some(1)
    );
    assert_eq!(place(&|e| e.beside["profile"] = left["profile"].clone()), "profile");
    let unmarked = Evidence { beside: left, ..whole.clone() };
    assert!(verified(&unmarked).is_err());
}

/// A tenant's own rules: shorter hours, a closed day, other hours for what the profile exempts.
#[test]
fn a_tenants_own_rules_judge_beside_the_profile() {
    let own = "[[closed_days]]\non = \"2026-03-04\"\nreason = \"r\"\n";
    let narrow = "[[tighten]]\npurposes = [\"overdue\"]\nchannels = [\"sms\"]\nreason = \"r\"\nhours = { mon = [[\"11:00\", \"12:00\"]] }\n";
    let with = |rules: &str| {
        let mut evidence = Evidence::new();
        evidence.texts.push(rules.to_owned());
        for n in [0, 2, 4] {
            evidence.claims(START_MS + n * DAY_MILLIS, n);
        }
        verified(&evidence)
    };
    let entry = |rules: &str| match with(rules) {
        Err(VerifyError::Broken(problem)) => problem.entry,
        other => panic!("expected a broken link, found {other:?}"),
    };
    assert!(with("").is_ok());
    assert_eq!(entry(own), Some(2), "Wednesday is closed");
    assert_eq!(entry(narrow), Some(1), "ten o'clock on Monday is too early");
    assert!(with(&narrow.replace("sms", "email")).is_ok(), "it is about another channel");
    assert_eq!(entry("[more]\n"), None, "what is not understood is refused");
    let loose = "[[loosen]]\npurposes = [\"overdue\"]\nreason = \"r\"\napproved_by = \"x\"\napproved_on = \"2026-01-01\"\nhours = { sun = [[\"09:00\", \"12:00\"]] }\n";
    for (rules, is_lawful) in [("", false), (loose, true)] {
        let mut sunday = Evidence::new();
        sunday.texts.push(rules.to_owned());
        sunday.claims(START_MS + 6 * DAY_MILLIS, 0);
        assert_eq!(verified(&sunday).is_ok(), is_lawful);
    }
}

/// A profile of any country has the holidays of one, or those of the lender, who names them for every year.
#[test]
fn a_profile_of_any_country_knows_the_years_that_somebody_named() {
    let with = |texts: &[&str]| {
        let mut evidence = Evidence::new();
        evidence.texts[0] = evidence.texts[0].replace("country = \"XX\"\n", "");
        evidence.texts.extend(texts.iter().map(|text| (*text).to_owned()));
        evidence.claims(START_MS, 0);
        verified(&evidence)
    };
    let closed = |on: &str| format!("[[closed_days]]\non = \"{on}\"\nreason = \"r\"\n");
    assert!(with(&["holidays = \"XX\"\n"]).is_ok());
    assert!(with(&[&closed("2026-09-15"), "holidays = \"XX\"\n"]).is_ok());
    assert!(with(&[&closed("2026-09-15")]).is_ok());
    for nothing in [&[][..], &[&*closed("2025-09-15")]] {
        let told = with(nothing).unwrap_err().to_string();
        assert!(told.contains("the tenant closed no day of the year"), "{told}");
    }
    assert!(with(&["holidays = \"XX\"\n", &closed("2026-09-15")]).is_err());
}

#[test]
fn hours_that_a_customer_asked_for_count_from_their_entry_on() {
    let asked = json!({"channels": ["sms"], "hours": [{"days": ["sun"], "from": "09:00", "to": "12:00"}],
        "document": "carta-7", "document_on": "2026-03-01", "contract_on": "2025-01-01"});
    let sunday_ms = START_MS + 6 * DAY_MILLIS;
    let choice = json!({"id": "h", "at": "2026-03-03T15:00:00Z", "what": {"hours": asked}});
    let mut whole = Evidence::new();
    whole.texts[0] += "[consent]\noff_hours = \"debtor_initiated_separate_later_instrument\"\n";
    whole.records(START_MS, json!({"choice": choice}));
    whole.claims(sunday_ms, 0);
    whole.beside["profile"]["agreed_hours"] = asked;
    verified(&whole).unwrap();
    let mut other = whole.clone();
    other.beside["profile"]["agreed_hours"]["document"] = json!("carta-8");
    assert_eq!(broken(&other.file()).place.as_deref(), Some("profile.agreed_hours"));
    let mut late = whole.clone();
    late.documents.swap(0, 1);
    late.documents[0]["fence_version"] = json!(1);
    late.documents[1]["fence_version"] = json!(2);
    assert_eq!(broken(&late.file()).entry, Some(1), "nobody had asked yet");
}

#[test]
fn a_small_difference_of_clocks_breaks_nothing() {
    let mut evidence = Evidence::of_days(2);
    evidence.holds(START_MS + DAY_MILLIS - 900);
    assert!(verify(evidence.file().to_string().as_bytes()).is_ok());
}

#[test]
fn a_broken_link_is_told_with_its_number_its_moment_and_what_was_expected() {
    let mut file = Evidence::of_days(4).file();
    entries(&mut file).remove(1);
    let told = VerifyError::Broken(broken(&file)).to_string();
    let start =
        "the evidence is broken at entry 2 of 2026-03-04T15:00:00.000Z: it follows the entry with the hash";
    assert!(told.starts_with(start) && told.contains("; expected "), "{told}");
}

proptest! {
    #[test]
    fn no_byte_of_the_chain_can_be_changed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let file = Evidence::of_days(12).file();
        let chain = json!({"head": file["head"], "entries": file["entries"]}).to_string();
        let mut changed = chain.into_bytes();
        let place = at.index(changed.len());
        changed[place] ^= 1 << bit;
        // What is no text any more cannot be read; anything else must not be verified.
        if let Ok(text) = String::from_utf8(changed)
            && let Ok(part) = serde_json::from_str::<Value>(&text)
        {
            let mut file = file.clone();
            file["head"] = part["head"].clone();
            file["entries"] = part["entries"].clone();
            let file = sealed(file);
            prop_assert!(verify(file.to_string().as_bytes()).is_err(), "byte {place}, bit {bit}");
        }
    }
}
