//! The contact rules: the vectors of the shared facts, and the caps that they do not reach.

use std::collections::BTreeMap;

use serde_json::Value;

use super::replay::{Replay, message};
use super::shared;
use crate::report::{LogFile, Report, Rule};

/// A profile and its holidays: the product's own files where they are, else those of the shared facts.
fn profile(id: &str) -> Option<(String, String)> {
    let product = concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions/domain/jurisdictions/");
    let text = std::fs::read_to_string(format!("{product}{id}.toml"))
        .ok()
        .or_else(|| shared(&format!("facts/jurisdictions/{id}.toml")))?;
    let country = id.split('-').next().unwrap();
    Some((text, shared(&format!("facts/holidays/{country}.csv"))?))
}

/// The contact rules, and the reasons that the vectors give for them.
const CONTACT_RULES: [(Rule, &[&str]); 6] = [
    (Rule::NoCalendar, &["no_calendar"]),
    (Rule::NoRule, &["no_rule"]),
    (Rule::Holiday, &["holiday"]),
    (Rule::ClosedDay, &["sunday", "outside_hours"]),
    (Rule::OutsideHours, &["outside_hours"]),
    (Rule::Cap, &["daily_cap", "weekly_cap", "min_gap", "channel_week"]),
];

fn is_reason_for(reason: &str, rule: Rule) -> bool {
    CONTACT_RULES.iter().any(|(r, reasons)| *r == rule && reasons.contains(&reason))
}

/// A message about nothing that the history knows, so that its stated purpose counts.
fn contact(at: &str, purpose: &str, channel: &str) -> String {
    let mut line = message(16, "V", channel, purpose, &[("V1", "d0")]);
    line["at"] = at.into();
    line["touch"] = at.into();
    line.to_string()
}

/// The contact rules that the first message breaks.
fn broken_by_first(report: &Report) -> Vec<Rule> {
    let first = |v: &&crate::Violation| {
        v.place == Some((LogFile::Messages, 1)) && CONTACT_RULES.iter().any(|(rule, _)| *rule == v.rule)
    };
    report.violations.iter().filter(first).map(|v| v.rule).collect()
}

#[test]
fn the_contact_rules_answer_as_the_vectors_do() {
    let Some(vectors) = shared("facts/vectors/contact_window.csv") else { return };
    let (mut checked, mut wrong) = (0, Vec::new());
    let mut profiles = BTreeMap::new();
    for row in csv::Reader::from_reader(vectors.as_bytes()).records() {
        let row = row.unwrap();
        let [id, jurisdiction, zone, purpose, channel, at, prior, allowed, reason] =
            std::array::from_fn(|i| row[i].to_owned());
        // Two-way contacts are not in a replay, so what depends on them cannot be asked.
        if ["CO-DIRECT", "US"].contains(&jurisdiction.as_str()) {
            continue;
        }
        let Some((profile, holidays)) =
            profiles.entry(jurisdiction.clone()).or_insert_with(|| profile(&jurisdiction)).clone()
        else {
            continue;
        };
        let prior: Vec<Value> = serde_json::from_str(&prior).unwrap();
        let mut messages = vec![contact(&at, &purpose, &channel)];
        messages.extend(
            prior
                .iter()
                .map(|p| contact(p["at"].as_str().unwrap(), &purpose, p["channel"].as_str().unwrap())),
        );
        let mut replay = Replay { profile, holidays, messages, ..Replay::correct() };
        replay.time_zones.insert("V".into(), zone.parse().unwrap());
        let broken = broken_by_first(&replay.check());
        let fits = match allowed.as_str() {
            "true" => broken.is_empty(),
            _ => broken.first().is_some_and(|rule| is_reason_for(&reason, *rule)),
        };
        checked += 1;
        if !fits {
            wrong.push(format!("{id}: expected {reason}, found {broken:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 40, "only {checked} vectors were asked");
}

/// Whether the last of some contacts passes a cap of a profile for email, SMS and push at any time of any day.
fn passes(cap: &str, week: &str, mode: &str, contacts: &[(&str, &str)]) -> bool {
    let open = r#"[["00:00", "24:00"]]"#;
    let days =
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"].map(|day| format!("{day} = {open}\n"));
    let profile = format!(
        "timezone = \"America/Bogota\"\nweek = \"{week}\"\nholidays = \"none\"\nchannels = [\"email\", \"sms\", \"push\"]\n\
         [windows.open]\n{}[counting]\nmode = \"{mode}\"\n[[rules]]\npurposes = [\"overdue\"]\nchannels = [\"*\"]\n\
         window = \"open\"\ncaps = [{{ code = \"cap\", {cap} }}]\n",
        days.concat()
    );
    let (last, before) = contacts.split_last().unwrap();
    // The asked contact stands first, so that its line is known; the order of instants is what counts.
    let messages = std::iter::once(last)
        .chain(before)
        .map(|(at, channel)| contact(&format!("2026-03-{at}:00-05:00"), "overdue", channel))
        .collect();
    let replay = Replay { profile, messages, holidays: String::new(), ..Replay::correct() };
    match broken_by_first(&replay.check()).as_slice() {
        [] => false,
        [Rule::Cap] => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_count_is_over_the_local_day_or_week_and_its_channels() {
    let day = r#"kind = "count", per = "day", max = 1, over = "*""#;
    assert!(passes(day, "iso", "any", &[("17T00:00", "email"), ("17T23:59", "sms")]));
    assert!(!passes(day, "iso", "any", &[("16T23:59", "email"), ("17T00:00", "email")]));
    assert!(!passes(day, "iso", "direct", &[("17T08:00", "email"), ("17T09:00", "email")]));
    let week = r#"kind = "count", per = "week", max = 2, over = ["email", "sms"]"#;
    let three = |last| [("16T08:00", "email"), ("17T08:00", "sms"), (last, "email")];
    assert!(passes(week, "iso", "any", &three("22T23:59")));
    assert!(!passes(week, "iso", "any", &three("23T00:00")));
    assert!(!passes(week, "iso", "any", &[("16T08:00", "push"), ("17T08:00", "sms"), ("18T08:00", "email")]));
    assert!(passes(
        week,
        "seven_days",
        "any",
        &[("18T08:00", "email"), ("19T08:00", "sms"), ("24T08:00", "sms")]
    ));
    assert!(!passes(
        week,
        "seven_days",
        "any",
        &[("18T08:00", "email"), ("19T08:00", "sms"), ("25T08:00", "sms")]
    ));
}

#[test]
fn a_gap_is_in_elapsed_hours_since_the_last_counted_contact() {
    let gap = r#"kind = "min_gap", hours = 48, over = ["email", "sms"]"#;
    assert!(passes(gap, "iso", "any", &[("16T08:00", "sms"), ("18T07:59", "email")]));
    assert!(!passes(gap, "iso", "any", &[("16T08:00", "sms"), ("18T08:00", "email")]));
    assert!(!passes(gap, "iso", "any", &[("17T08:00", "push"), ("18T07:59", "email")]));
}

#[test]
fn a_rolling_count_is_over_consecutive_local_dates() {
    let rolling = r#"kind = "rolling_count", days = 3, max = 2, over = "*""#;
    let three = |last| [("16T08:00", "sms"), ("17T08:00", "sms"), (last, "sms")];
    assert!(passes(rolling, "iso", "any", &three("18T23:59")));
    assert!(!passes(rolling, "iso", "any", &three("19T00:00")));
}

#[test]
fn channels_are_distinct_within_the_week_the_asked_one_included() {
    let one = r#"kind = "distinct_channels", per = "week", max = 1"#;
    assert!(passes(one, "iso", "any", &[("16T08:00", "sms"), ("22T08:00", "email")]));
    assert!(!passes(one, "iso", "any", &[("16T08:00", "sms"), ("22T08:00", "sms")]));
    assert!(!passes(one, "iso", "any", &[("16T08:00", "sms"), ("23T08:00", "email")]));
}

#[test]
fn a_wrong_purpose_in_a_message_does_not_loosen_its_contact_rules() {
    let mut replay = Replay::correct();
    replay.edit_message(28, "B", |m| {
        *m = message(28, "B", "email", "pre_due", &[("B1", "d8")]);
    });
    let report = replay.check();
    let broken: Vec<Rule> = report.counts.keys().copied().collect();
    assert_eq!(broken, [Rule::LeadPurpose, Rule::Cap], "{report}");
}

#[test]
fn an_exempt_rule_knows_no_hours() {
    let mut replay = Replay::correct();
    replay.edit_message(16, "A", |m| m["at"] = "2026-03-16T23:00:00-05:00".into());
    assert_eq!(replay.check().counts.into_keys().collect::<Vec<_>>(), [Rule::OutsideHours]);
    let rule = "purposes = [\"pre_due\"]";
    replay.profile = replay.profile.replace(rule, &format!("{rule}\nexempt = true"));
    assert!(replay.check().is_clean());
}
