//! A small replay that keeps every rule, and what happens to it when one thing in it is changed.

mod broken;
mod contacts;
mod inputs;
mod replay;

use replay::Replay;

use crate::OpenQuestions;
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

/// C lives in another country, whose profile closes the days that a test names.
fn with_c_abroad(profile_id: &str, holidays: Option<&str>, closed: &[&str]) -> Replay {
    let mut replay = Replay::correct();
    let closes = |profile: String, day: &&str| {
        profile.replace(&format!("{day} = [[\"07:00\", \"19:00\"]]"), &format!("{day} = []"))
    };
    let profile = closed.iter().fold(replay.profile.clone(), closes);
    let profile = if holidays.is_some() {
        profile.replace("holidays = \"CO\"", "holidays = \"none\"")
    } else {
        profile
    };
    replay.countries.of_customers.insert("C".into(), "XX".into());
    replay.countries.profiles.insert(profile_id.into(), profile);
    if let Some(table) = holidays {
        replay.countries.holidays.insert("XX".into(), table.into());
    }
    replay.countries.holidays.entry("XX".into()).or_insert_with(|| replay.holidays.clone());
    replay
}

#[test]
fn every_customer_is_judged_by_the_law_of_its_own_country() {
    assert!(with_c_abroad("XX", None, &[]).check().is_clean());
    // C gets a message on Tuesday the 31st, which the other country closes; the others keep their own days.
    let closed = |report: crate::Report| {
        report.violations.into_iter().map(|v| (v.rule, v.customer)).collect::<Vec<_>>()
    };
    for id in ["XX", "DEFAULT"] {
        let found = closed(with_c_abroad(id, None, &["tue"]).check());
        assert!(
            !found.is_empty() && found.iter().all(|v| *v == (Rule::ClosedDay, Some("C".into()))),
            "{found:?}"
        );
    }
    // The lender's own profile does not speak for C, however strict it is.
    let mut abroad = with_c_abroad("XX", None, &[]);
    abroad.profile = abroad.profile.replace("tue = [[\"07:00\", \"19:00\"]]", "tue = []");
    assert!(closed(abroad.check()).iter().all(|v| v.1.as_deref() != Some("C")));
    // A profile of any country keeps the holidays of the customer's.
    let found =
        closed(with_c_abroad("DEFAULT", Some("date,name\n2026-03-31,A day of its own\n"), &[]).check());
    assert_eq!(found.first(), Some(&(Rule::Holiday, Some("C".into()))), "{found:?}");
    // Where there is neither a table of the country nor one of the lender, no year is known.
    let mut nobody = with_c_abroad("DEFAULT", None, &[]);
    nobody.countries.holidays.clear();
    let found = closed(nobody.check());
    assert!(
        found.iter().all(|v| *v == (Rule::NoCalendar, Some("C".into()))) && !found.is_empty(),
        "{found:?}"
    );
    let mut unknown = with_c_abroad("XX", None, &[]);
    unknown.countries.profiles.clear();
    let told = unknown.try_check().unwrap_err().to_string();
    assert!(told.contains("there is none for customers of XX"), "{told}");
}

#[test]
fn an_open_question_is_judged_by_its_strict_answer_unless_another_was_given() {
    let questions = |given: &str| {
        let mut replay = Replay::correct();
        replay.open_questions = OpenQuestions::Strict;
        replay.profile = format!(
            "{given}\n{}\n[windows.never]\nmon = []\ntue = []\nwed = []\nthu = []\nfri = []\nsat = []\nsun = []\nholiday = []\n\
             [[questions]]\nid = \"q\"\nstrict = \"yes\"\n\
             answers.yes.hours = [{{ purposes = [\"pre_due\"], channels = [\"*\"], window = \"never\" }}]\n\
             answers.no.hours = [{{ purposes = [\"pre_due\"], channels = [\"*\"], window = \"cobranza\" }}]\n",
            replay.profile
        );
        replay
    };
    let strict = questions("").check();
    assert_eq!(strict.counts.keys().copied().collect::<Vec<_>>(), [Rule::ClosedDay], "{strict}");
    assert!(questions("answers = { q = { answer = \"no\" } }").check().is_clean());
    let as_written = Replay { open_questions: OpenQuestions::AsWritten, ..questions("") };
    assert!(as_written.check().is_clean());
    let told = questions("answers = { q = { answer = \"maybe\" } }").try_check().unwrap_err().to_string();
    assert!(told.contains("the question q has no answer \"maybe\""), "{told}");
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
