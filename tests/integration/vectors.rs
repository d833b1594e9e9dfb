//! The checks that a compliance officer runs by hand, over the cases with expected answers in `../shared`.

use std::path::PathBuf;

use crate::fixture::{TENANT, run_to, text};
use crate::tidy::root;

/// A file of cases; `None`, and said so, where it is missing.
fn cases(name: &str) -> Option<PathBuf> {
    let path = root().join("../shared/facts/vectors").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/facts/vectors/{name} is missing");
    None
}

/// Compares some columns of the cases with what a command prints for them.
fn agrees(command: &str, name: &str, columns: &[&str]) {
    let Some(path) = cases(name) else { return };
    let path = path.to_str().expect("paths of the tests are text").to_owned();
    let printed = run_to(0, &[command, "--vectors", &path]);
    let mut printed = csv::Reader::from_reader(printed.stdout.as_slice());
    assert_eq!(printed.headers().expect("a header").iter().collect::<Vec<_>>(), columns, "{command}");
    let mut expected = csv::Reader::from_path(&path).expect("the cases can be read");
    let header = expected.headers().expect("a header").clone();
    let places: Vec<usize> = columns
        .iter()
        .map(|c| header.iter().position(|h| h == *c).expect("the cases have the column"))
        .collect();
    let mut compared = 0;
    for (printed, expected) in printed.records().zip(expected.records()) {
        let (printed, expected) = (printed.expect("a row"), expected.expect("a case"));
        let wanted: Vec<&str> = places.iter().map(|p| &expected[*p]).collect();
        assert_eq!(printed.iter().collect::<Vec<_>>(), wanted, "{command}, line {}", compared + 2);
        compared += 1;
    }
    let all = std::fs::read_to_string(&path).expect("the cases can be read").lines().count() - 1;
    assert_eq!(compared, all, "{command} left cases out");
}

#[test]
fn contacts_are_judged_as_expected() {
    agrees("check-contact", "contact_window.csv", &["id", "allowed", "reason", "next_allowed"]);
}

#[test]
fn text_messages_are_counted_as_expected() {
    agrees("sms", "sms_segment.csv", &["name", "encoding", "units", "segments"]);
}

#[test]
fn telephone_numbers_are_read_as_expected() {
    agrees("phone", "phone.csv", &["input", "valid", "e164", "type"]);
}

#[test]
fn one_question_is_answered_in_words_with_the_article() {
    let asked = ["check-contact", "--jurisdiction", "CO", "--purpose", "overdue", "--channel", "sms"];
    let holiday = text(&run_to(0, &[&asked[..], &["--at", "2026-07-13T10:00:00-05:00"]].concat()).stdout);
    assert!(holiday.starts_with("Not allowed: overdue by sms on Monday 2026-07-13"), "{holiday}");
    assert!(holiday.contains("Ley 2300/2023 art. 3") && holiday.contains("holiday"), "{holiday}");
    assert!(holiday.contains("Next allowed: Tuesday 2026-07-14 07:00:00 -05:00"), "{holiday}");
    let prior = r#"[{"at":"2026-07-14T08:00:00-05:00","channel":"sms","direct":false}]"#;
    let capped = [&asked[..], &["--at", "2026-07-14T10:00:00-05:00", "--prior", prior]].concat();
    assert!(text(&run_to(0, &capped).stdout).contains("daily_cap"));
}

/// What a lender might add: a closed day, a looser reminder, a stricter answer.
const OWN_RULES: &str = r#"
[[contact_rules.CO.closed_days]]
on = "2026-12-24"
reason = "the office is closed"
[[contact_rules.CO.loosen]]
purposes = ["pre_due"]
reason = "customers asked for it"
approved_by = "the legal department"
approved_on = "2026-11-02"
hours = { sun = [["09:00", "12:00"]] }
[contact_rules.PE.answers]
hours_cover_pre_due = { answer = "yes" }
"#;

#[test]
fn a_tenants_own_rules_decide_and_are_named() {
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    let file = folder.path().join("tenant.toml");
    std::fs::write(&file, format!("{TENANT}\n{OWN_RULES}")).expect("the settings can be written");
    let file = file.to_str().expect("paths of the tests are text");
    let ask = |more: &[&str]| {
        text(&run_to(0, &[&["check-contact", "--tenant", file, "--channel", "sms"], more].concat()).stdout)
    };
    let closed = ask(&["--purpose", "overdue", "--at", "2026-12-24T10:00:00-05:00"]);
    assert!(closed.contains("Reason: closed_day"), "{closed}");
    let place = "contact_rules.CO.closed_days[0], because: the office is closed";
    assert!(closed.contains(place), "{closed}");
    let looser = ask(&["--purpose", "pre_due", "--at", "2026-03-08T10:00:00-05:00"]);
    assert!(looser.starts_with("Allowed: pre_due by sms"), "{looser}");
    assert!(looser.contains("The profile alone refuses it: sunday."), "{looser}");
    assert!(looser.contains("approved by the legal department on 2026-11-02"), "{looser}");
    let at = ["--purpose", "pre_due", "--at", "2026-03-07T10:00:00-05:00"];
    let stricter = ask(&[&["--jurisdiction", "PE"][..], &at].concat());
    assert!(stricter.contains("contact_rules.PE.answers.hours_cover_pre_due"), "{stricter}");

    let bad = OWN_RULES.replace("\"pre_due\"", "\"overdue\"");
    std::fs::write(file, format!("{TENANT}\n{bad}")).expect("the settings can be written");
    let asked = ["check-contact", "--tenant", file, "--channel", "sms"];
    let refused = run_to(1, &[&asked[..], &at].concat());
    assert!(refused.stdout.is_empty());
    let told = text(&refused.stderr);
    assert!(told.contains("contact_rules.CO.loosen[0].hours") && told.contains("Ley 2300/2023"), "{told}");
}

#[test]
fn a_question_that_cannot_be_understood_is_never_allowed() {
    let sound = [
        ("--jurisdiction", "CO"),
        ("--purpose", "overdue"),
        ("--channel", "sms"),
        ("--at", "2026-07-14T10:00:00-05:00"),
        ("--prior", "[]"),
        ("--time-zone", "America/Bogota"),
    ];
    let broken = [
        ("--jurisdiction", "XX"),
        ("--purpose", "dunning"),
        ("--channel", "fax"),
        ("--at", "2026-07-14T10:00:00"),
        ("--prior", "[{]"),
        ("--time-zone", "Bogota"),
    ];
    for (key, value) in broken {
        let mut asked = vec!["check-contact"];
        asked.extend(sound.iter().flat_map(|(k, v)| [*k, if *k == key { value } else { *v }]));
        let refused = run_to(1, &asked);
        assert!(refused.stdout.is_empty(), "{key} {value}");
        assert!(text(&refused.stderr).contains("expected"), "{key}: {}", text(&refused.stderr));
    }
}
