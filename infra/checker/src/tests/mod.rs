//! A small replay that keeps every rule, and what happens to it when one thing in it is changed.

mod broken;
mod contacts;
mod inputs;
mod replay;

use replay::Replay;

use crate::report::{Checked, Rule};

/// A file of the shared facts, or a loud word that it is not there.
fn shared(path: &str) -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/");
    let text = std::fs::read_to_string(format!("{folder}{path}")).ok();
    if text.is_none() {
        println!("skipped: ../shared/{path} is missing");
    }
    text
}

#[test]
fn a_correct_replay_passes_and_says_how_much_was_checked() {
    let report = Replay::correct().check();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked, Checked { messages: 13, decisions: 43, obligations: 4, stages_due: 12 });
    let text = report.to_string();
    assert!(text.starts_with("checked 13 messages and 43 decisions about 4 obligations"), "{text}");
    assert!(text.contains("0 violations"), "{text}");
}

#[test]
fn a_correct_replay_passes_by_the_profile_of_colombia_too() {
    let (Some(profile), Some(holidays)) =
        (shared("facts/jurisdictions/CO.toml"), shared("facts/holidays/CO.csv"))
    else {
        return;
    };
    let report = Replay { profile, holidays, ..Replay::correct() }.check();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked.messages, 13);
}

#[test]
fn a_replay_passes_by_the_profile_of_peru_but_for_its_saturdays() {
    let (Some(profile), Some(holidays)) =
        (shared("facts/jurisdictions/PE.toml"), shared("facts/holidays/PE.csv"))
    else {
        return;
    };
    let report = Replay { profile, holidays, ..Replay::correct() }.check();
    // An overdue reminder on Saturday the 28th; those before the due date may go out on a Saturday.
    assert_eq!(report.counts.into_iter().collect::<Vec<_>>(), [(Rule::ClosedDay, 1)]);
}

#[test]
fn nothing_checked_does_not_look_like_success() {
    let nothing = Replay { history: vec![], messages: vec![], decisions: vec![], ..Replay::correct() };
    let report = nothing.check();
    assert_eq!(report.checked, Checked::default());
    assert!(report.to_string().contains("nothing was there to check"));
}

#[test]
fn a_flood_is_counted_and_only_its_beginning_is_kept() {
    let mut replay = Replay::correct();
    let garbage = "no json".to_owned();
    replay.decisions.extend(std::iter::repeat_n(garbage, 250));
    let report = replay.check();
    assert_eq!(report.violations_total(), 250);
    assert_eq!(report.violations.len(), crate::VIOLATIONS_KEPT_PER_RULE_MAX);
    assert!(report.to_string().contains("and 150 more"));
}

#[test]
fn the_check_shares_no_code_with_what_it_checks() {
    let manifest: toml::Table = toml::from_str(include_str!("../../Cargo.toml")).unwrap();
    let names: Vec<&str> = manifest["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["chrono", "chrono-tz", "csv", "serde", "serde_json", "thiserror", "toml"]);
    assert!(!manifest.contains_key("dev-dependencies"));
}
