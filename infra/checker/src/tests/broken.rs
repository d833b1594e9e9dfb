//! For every rule, a replay with one thing changed that breaks that rule and no other.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::replay::{Replay, decision, deferral, march, message};
use crate::report::{LogFile, Rule};

type Change = fn(&mut Replay);

/// What is changed, and how often the rule is broken by it.
const CASES: &[(Rule, usize, &str, Change)] = &[
    (Rule::Line, 1, "an unknown key of a message", |r| r.edit_message(16, "A", |m| m["html"] = "<p>".into())),
    (Rule::Line, 1, "an unknown key of an obligation in a message", |r| {
        r.edit_message(16, "A", |m| m["obligations"][0]["due"] = "x".into());
    }),
    (Rule::Line, 1, "a message without its subject", |r| {
        r.edit_message(18, "B", |m| drop(remove(m, "subject")))
    }),
    (Rule::Line, 1, "a message without its address", |r| r.edit_message(18, "B", |m| drop(remove(m, "to")))),
    (Rule::Line, 1, "a line that is not JSON", |r| r.messages.push("hello".into())),
    (Rule::Line, 1, "an empty line", |r| r.decisions.insert(3, String::new())),
    (Rule::Line, 1, "an unknown key of a decision", |r| r.edit_decision(16, "A1", |d| d["why"] = 1.into())),
    (Rule::Line, 1, "a reason without its detail", |r| {
        r.edit_decision(16, "A1", |d| drop(remove(&mut d["reasons"][0], "detail")));
    }),
    (Rule::Line, 1, "a reason without its end", |r| {
        r.edit_decision(16, "A1", |d| drop(remove(&mut d["reasons"][0], "until")));
    }),
    (Rule::Line, 1, "an unknown verdict", |r| {
        r.add_decision(&decision(15, "A1", None, "perhaps", "why"));
    }),
    (Rule::Line, 1, "a key that is there twice", |r| {
        let line = decision(15, "A1", None, "skip", "why").to_string();
        r.decisions.push(line.replacen('{', r#"{"verdict":"send","#, 1));
    }),
    (Rule::Order, 1, "a message before an earlier one", |r| {
        r.edit_message(18, "A", |m| m["at"] = "2026-03-18T08:00:00.001-05:00".into());
    }),
    (Rule::Period, 2, "a message and its decision before the first day", |r| r.from = march(17)),
    (Rule::Period, 1, "a decision after the last day", |r| {
        r.add_decision(&decision(32, "C1", Some("d0"), "skip", "stage_reached"));
    }),
    (Rule::Offset, 1, "an instant in UTC", |r| {
        r.edit_message(16, "A", |m| m["at"] = "2026-03-16T13:00:00Z".into())
    }),
    (Rule::Offset, 2, "instants of a customer whose zone is another", |r| {
        r.time_zones.clear();
    }),
    (Rule::NoTimeZone, 7, "messages to customers of a lender whose country has several clocks", |r| {
        r.profile = r.profile.replace("timezone = \"America/Bogota\"\n", "");
        r.time_zones.extend([("B".to_owned(), "America/Bogota".parse().unwrap())]);
        r.countries.home = "BR".into();
    }),
    (Rule::Empty, 1, "no text", |r| r.edit_message(16, "A", |m| m["body"] = " ".into())),
    (Rule::Empty, 1, "no address", |r| r.edit_message(16, "A", |m| m["to"] = "".into())),
    (Rule::Empty, 1, "no touch", |r| r.edit_message(16, "A", |m| m["touch"] = "".into())),
    (Rule::Empty, 1, "no obligation", |r| {
        r.edit_message(31, "C", |m| m["obligations"] = json!([]));
        r.decide(31, "C1", "d0", "skip");
    }),
    (Rule::Subject, 1, "an SMS with a subject", |r| {
        r.edit_message(18, "B", |m| m["subject"] = "Su cuota".into())
    }),
    (Rule::Subject, 1, "an email without one", |r| r.edit_message(16, "A", |m| m["subject"] = Value::Null)),
    (Rule::UnknownObligation, 1, "a message about an obligation that nobody knows", |r| {
        r.edit_message(16, "A", |m| add_item(m, json!({"id": "A9", "stage": "d-3"})));
    }),
    (Rule::UnknownObligation, 1, "a message about another customer's obligation", |r| {
        r.edit_message(16, "A", |m| add_item(m, json!({"id": "B1", "stage": "d-3"})));
    }),
    (Rule::UnknownObligation, 1, "a decision about an obligation that nobody knows", |r| {
        r.add_decision(&decision(16, "A9", None, "send", "why"));
    }),
    (Rule::MessageNotYetKnown, 1, "a message before the obligation is known", |r| {
        r.history_of("B1").known_on = Some(march(19));
        r.remove_decision(18, "B1");
    }),
    (Rule::MessageClosed, 1, "a message on the day of the payment", |r| {
        r.history_of("B1").closed_on = Some(march(28));
        (28..=30).for_each(|day| r.remove_decision(day, "B1"));
    }),
    (Rule::MessageDisputed, 1, "a message on the last day of a dispute", |r| {
        r.history_of("B1").dispute = Some((march(22), Some(march(28))));
    }),
    (Rule::MessageDisputed, 1, "a message on the first day of a dispute", |r| {
        r.history_of("B1").dispute = Some((march(27), Some(march(28))));
    }),
    (Rule::MessageDisputed, 2, "messages from the first day of a dispute without an end", |r| {
        r.history_of("B1").dispute = Some((march(27), None));
    }),
    (Rule::MessageDisputed, 2, "messages in a dispute without an end", |r| {
        r.history_of("B1").dispute = Some((march(22), None));
    }),
    (Rule::StageUnknown, 2, "a stage that the policy does not have", |r| {
        r.edit_message(27, "B", |m| m["obligations"][0]["stage"] = "d4".into());
        r.edit_message(27, "B", |m| m["stage"] = "d4".into());
        r.decide(27, "B1", "d4", "send");
    }),
    (Rule::StageTwice, 1, "a stage on two days", |r| {
        r.add_message(message(19, "B", "sms", "pre_due", &[("B1", "d-3")]));
        r.decide(19, "B1", "d-3", "send");
    }),
    (Rule::StageTwice, 1, "a stage twice in one message", |r| {
        r.edit_message(16, "A", |m| add_item(m, json!({"id": "A1", "stage": "d-3"})));
    }),
    (Rule::StageBackwards, 1, "a lower stage after a higher one that need not be sent", |r| {
        r.policy =
            r.policy.replace("template = \"d8\"", "template = \"d8\"\nwhen = { kinds = [\"company\"] }");
        r.remove_message(27, "B");
        r.decide(27, "B1", "d3", "skip");
        r.add_message(message(30, "B", "sms", "overdue", &[("B1", "d3")]));
        r.decide(30, "B1", "d3", "send");
    }),
    (Rule::StageBackwards, 1, "a stage beside the one that was sent", |r| {
        let beside =
            "[[stages]]\nid = \"d8b\"\ndpd = 8\ntone = \"friendly\"\npurpose = \"overdue\"\n[[templates]]";
        r.policy = r.policy.replace("[[templates]]", beside);
        r.add_message(message(30, "B", "sms", "overdue", &[("B1", "d8b")]));
        r.decide(30, "B1", "d8b", "send");
    }),
    (Rule::StageNotDue, 1, "a stage a day early", |r| {
        r.remove_message(28, "B");
        r.decide(28, "B1", "d8", "skip");
        r.edit_message(27, "B", |m| *m = message(27, "B", "sms", "overdue", &[("B1", "d8")]));
        r.decide(27, "B1", "d8", "send");
    }),
    (Rule::StageExpired, 1, "a reminder of the due date on the day after it", |r| {
        r.history_of("C1").due_on = march(30);
        r.add_decision(&decision(27, "C1", Some("d-3"), "skip", "no_consent"));
        r.decide(30, "C1", "d0", "skip");
        r.edit_message(31, "C", |m| m["purpose"] = "overdue".into());
    }),
    (Rule::StageNotHighest, 1, "a stage when a higher one is due", |r| {
        r.history_of("B1").dispute = Some((march(22), Some(march(29))));
        for day in [27, 28] {
            r.remove_message(day, "B");
            r.decide(day, "B1", "d3", "skip");
        }
        r.add_message(message(30, "B", "sms", "overdue", &[("B1", "d3")]));
        r.decide(30, "B1", "d3", "send");
    }),
    (Rule::PolicyOver, 1, "a message after the last day of the policy", |r| {
        r.policy = r.policy.replace("until_dpd = 10", "until_dpd = 8");
    }),
    (Rule::LeadStage, 1, "a stage that is not the most overdue obligation's", |r| {
        r.edit_message(24, "A", |m| m["stage"] = "d8".into());
    }),
    (Rule::LeadStage, 1, "a stage of the less overdue of two obligations", |r| {
        two_stages_in_a_message(r);
        r.edit_message(19, "A", |m| m["stage"] = "d-3".into());
    }),
    (Rule::LeadTone, 1, "a tone that is not the stage's", |r| {
        r.edit_message(24, "A", |m| m["tone"] = "firm".into())
    }),
    (Rule::LeadPurpose, 1, "a purpose that the due date is past", |r| {
        r.edit_message(24, "A", |m| m["purpose"] = "pre_due".into());
    }),
    (Rule::LeadPurpose, 1, "a purpose that the due date is not past", |r| {
        r.edit_message(19, "A", |m| m["purpose"] = "overdue".into());
    }),
    (Rule::OneMessageADay, 1, "two messages on a day", |r| {
        r.remove_message(18, "A");
        r.edit_decision(18, "A2", |d| *d = deferral(18, "A2", "d-3", 19));
        let mut second = message(19, "A", "email", "pre_due", &[("A2", "d-3")]);
        second["at"] = "2026-03-19T18:00:00-05:00".into();
        second["touch"] = "another".into();
        r.add_message(second);
        r.decide(19, "A2", "d-3", "send");
    }),
    (Rule::TouchTwice, 1, "a touch of an earlier message", |r| {
        r.edit_message(31, "C", |m| m["touch"] = "touch-16-A".into());
    }),
    (Rule::NoCalendar, 13, "a holiday table of other years", |r| {
        r.holidays = "date,name\n2025-12-25,Christmas\n2027-01-01,New Year\n".into();
    }),
    (Rule::NoRule, 1, "a channel that the profile does not have", |r| {
        r.edit_message(31, "C", |m| m["channel"] = "fax".into());
    }),
    (Rule::NoRule, 8, "a purpose without a rule", |r| r.profile = r.profile.replace(r#"["pre_due"]"#, "[]")),
    (Rule::Holiday, 1, "a message on a holiday", |r| r.holidays.push_str("2026-03-24,Another\n")),
    (Rule::ClosedDay, 1, "a message on a Sunday", |r| {
        r.remove_message(28, "B");
        r.edit_decision(28, "B1", |d| *d = deferral(28, "B1", "d8", 30));
        r.add_message(message(29, "B", "sms", "overdue", &[("B1", "d8")]));
        r.decide(29, "B1", "d8", "send");
    }),
    (Rule::OutsideHours, 1, "a message a second before the hours", |r| at(r, 27, "B", "06:59:59")),
    (Rule::OutsideHours, 1, "a message at the end of the hours", |r| at(r, 19, "A", "19:00:00")),
    (Rule::OutsideHours, 1, "a message on Saturday in the hours of a weekday", |r| {
        at(r, 21, "A", "15:00:00")
    }),
    (Rule::OutsideHours, 1, "a message in the hours of another zone", |r| {
        // 07:30 in Bogota is 09:30 in Santiago; 17:30 in Bogota is already 19:30 there.
        r.edit_message(31, "C", |m| m["at"] = "2026-03-31T19:30:00-03:00".into());
    }),
    (Rule::Cap, 1, "a second channel in the week", |r| {
        r.edit_message(28, "B", |m| *m = message(28, "B", "email", "overdue", &[("B1", "d8")]));
    }),
    (Rule::StageUndecided, 1, "no decision on the day of a stage", |r| r.remove_decision(22, "A1")),
    (Rule::StageUnnamed, 1, "a decision on the day of a stage that does not see it", |r| {
        r.edit_decision(22, "A1", |d| *d = decision(22, "A1", None, "skip", "not_due_yet"));
    }),
    (Rule::DayUndecided, 1, "no decision on a quiet day", |r| r.remove_decision(20, "A1")),
    (Rule::DayUndecided, 1, "no decision on a day of dispute", |r| r.remove_decision(23, "B1")),
    (Rule::DayUndecided, 1, "no decision on the last day of the policy", |r| r.remove_decision(30, "B1")),
    (Rule::DecidedTwice, 1, "two decisions for a day", |r| {
        r.add_decision(&decision(20, "A1", Some("d0"), "skip", "stage_reached"));
    }),
    (Rule::SendWithoutMessage, 1, "a decision to send without its message", |r| r.remove_message(31, "C")),
    (Rule::SendWithoutMessage, 1, "a decision to send an obligation that the message leaves out", |r| {
        r.edit_message(24, "A", |m| drop(m["obligations"].as_array_mut().unwrap().pop()));
    }),
    (Rule::MessageWithoutSend, 1, "a message without its decision to send", |r| {
        r.decide(31, "C1", "d0", "skip");
    }),
    (Rule::NoReason, 1, "a decision without reasons", |r| {
        r.edit_decision(20, "A1", |d| d["reasons"] = json!([]))
    }),
    (Rule::NoReason, 1, "a reason without a code", |r| {
        r.edit_decision(20, "A1", |d| d["reasons"][0]["code"] = "".into());
    }),
    (Rule::DeferralLost, 1, "a deferral on the last day of the policy", |r| {
        r.edit_decision(30, "B1", |d| *d = deferral(30, "B1", "d8", 31));
    }),
    (Rule::DeferralLost, 1, "a deferral that comes back after its end", |r| {
        r.add_decision(&deferral(20, "C1", "d-3", 24));
        r.add_decision(&decision(25, "C1", None, "skip", "not_due_yet"));
    }),
    (Rule::DeferralLost, 1, "a deferral without an end that does not come back the next day", |r| {
        r.add_decision(&decision(20, "C1", Some("d-3"), "defer", "why"));
        r.add_decision(&decision(22, "C1", None, "skip", "not_due_yet"));
    }),
    (Rule::DecisionNotYetKnown, 1, "a decision before the obligation is known", |r| {
        r.add_decision(&decision(17, "B1", Some("d-3"), "skip", "why"));
    }),
    (Rule::DecisionClosed, 1, "a decision on the day of the payment", |r| {
        r.add_decision(&decision(28, "A1", Some("d8"), "skip", "stage_reached"));
    }),
];

fn remove(line: &mut Value, key: &str) -> Option<Value> {
    line.as_object_mut().unwrap().remove(key)
}

fn add_item(message: &mut Value, item: Value) {
    message["obligations"].as_array_mut().unwrap().push(item);
}

/// A2 waits for a day and goes out together with A1, which is more overdue.
fn two_stages_in_a_message(replay: &mut Replay) {
    replay.remove_message(18, "A");
    replay.edit_decision(18, "A2", |d| *d = deferral(18, "A2", "d-3", 19));
    replay.edit_message(19, "A", |m| add_item(m, json!({"id": "A2", "stage": "d-3"})));
    replay.decide(19, "A2", "d-3", "send");
}

fn at(replay: &mut Replay, day: u64, customer: &str, time: &str) {
    let mut line = Value::Null;
    replay.edit_message(day, customer, |m| line = m.clone());
    replay.remove_message(day, customer);
    line["at"] = format!("{}T{time}-05:00", march(day)).into();
    replay.add_message(line);
}

#[test]
fn each_change_breaks_exactly_the_rule_it_is_for() {
    let mut wrong = Vec::new();
    for (rule, times, what, change) in CASES {
        let mut replay = Replay::correct();
        change(&mut replay);
        let report = replay.check();
        if report.counts.iter().ne([(rule, times)]) {
            wrong.push(format!("{rule}, {what}: expected it {times} times and nothing else, found {report}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_change_that_breaks_it() {
    let broken: BTreeSet<Rule> = CASES.iter().map(|(rule, ..)| *rule).collect();
    let without: Vec<&Rule> = Rule::ALL.iter().filter(|rule| !broken.contains(rule)).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn a_violation_names_its_line_its_day_and_its_ids_and_no_address() {
    let mut replay = Replay::correct();
    replay.history_of("B1").dispute = Some((march(22), Some(march(28))));
    let report = replay.check();
    let [violation] = report.violations.as_slice() else { panic!("{report}") };
    assert_eq!(violation.place, Some((LogFile::Messages, 9)));
    assert_eq!(
        violation.to_string(),
        "message_disputed, messages.jsonl line 9, 2026-03-27, customer B, obligation B1, touch touch-27-B: \
         it is in dispute"
    );
    let mut replay = Replay::correct();
    replay.edit_message(16, "A", |m| m["subject"] = json!({"ana@example.com": "Ana"}));
    replay.edit_message(18, "A", |m| m["at"] = "ana@example.com".into());
    replay.edit_message(19, "A", |m| drop(remove(m, "at")));
    let text = replay.check().to_string();
    assert!(text.contains("line, messages.jsonl line 1: a value of the wrong kind before column"), "{text}");
    assert!(text.contains("missing key at"), "{text}");
    assert!(!text.contains("ana@example.com"), "{text}");
}

#[test]
fn a_deferral_is_over_with_a_payment_a_dispute_or_the_replay() {
    let lost = |change: Change| {
        let mut replay = Replay::correct();
        // Before the first stage no day needs a decision, so that only the deferral can be missed.
        replay.add_decision(&deferral(20, "C1", "d-3", 24));
        change(&mut replay);
        replay.check().counts.contains_key(&Rule::DeferralLost)
    };
    assert!(lost(|_| ()));
    assert!(!lost(|r| r.add_decision(&decision(24, "C1", None, "skip", "not_due_yet"))));
    assert!(lost(|r| r.history_of("C1").closed_on = Some(march(25))));
    assert!(!lost(|r| r.history_of("C1").closed_on = Some(march(24))));
    assert!(lost(|r| r.history_of("C1").dispute = Some((march(25), None))));
    assert!(!lost(|r| r.history_of("C1").dispute = Some((march(24), None))));
    assert!(lost(|r| r.history_of("C1").dispute = Some((march(19), Some(march(21))))));
    assert!(!lost(|r| r.to = march(23)));
}

#[test]
fn a_stage_with_conditions_may_be_passed_over_and_need_not_be_named() {
    let mut replay = Replay::correct();
    replay.policy =
        replay.policy.replace("template = \"d3\"", "template = \"d3\"\nwhen = { kinds = [\"company\"] }");
    replay.decide(22, "A1", "d0", "skip");
    let report = replay.check();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.checked.stages_due, 12);
}

#[test]
fn the_most_overdue_of_several_obligations_leads_the_message() {
    let mut replay = Replay::correct();
    two_stages_in_a_message(&mut replay);
    let report = replay.check();
    assert!(report.is_clean(), "{report}");
}

fn broken_rules(replay: &Replay) -> Vec<Rule> {
    replay.check().counts.into_keys().collect()
}

#[test]
fn a_stage_is_the_highest_from_its_very_day_on() {
    let mut replay = Replay::correct();
    replay.remove_message(27, "B");
    replay.decide(27, "B1", "d3", "skip");
    replay.edit_message(28, "B", |m| *m = message(28, "B", "sms", "overdue", &[("B1", "d3")]));
    replay.decide(28, "B1", "d3", "send");
    assert_eq!(broken_rules(&replay), [Rule::StageNotHighest, Rule::StageUnnamed]);
}

#[test]
fn a_stage_that_ended_with_the_due_date_does_not_stand_above_one_that_did_not() {
    let mut replay = Replay::correct();
    replay.policy = replay.policy.replacen("pre_due", "overdue", 1);
    replay.history_of("C1").due_on = march(30);
    replay.add_decision(&decision(27, "C1", Some("d-3"), "skip", "no_consent"));
    replay.remove_message(28, "C");
    replay.decide(28, "C1", "d-3", "skip");
    replay.decide(30, "C1", "d0", "skip");
    replay.edit_message(31, "C", |m| {
        m["purpose"] = "overdue".into();
        m["stage"] = "d-3".into();
        m["obligations"][0]["stage"] = "d-3".into();
    });
    replay.decide(31, "C1", "d-3", "send");
    let report = replay.check();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn hours_are_the_customers_own_however_the_instant_is_written() {
    let mut replay = Replay::correct();
    replay.edit_message(20, "B", |m| m["at"] = "2026-03-20T11:59:00Z".into());
    assert_eq!(broken_rules(&replay), [Rule::Offset, Rule::OutsideHours]);
}

#[test]
fn the_end_of_a_deferral_is_the_first_that_it_names_in_the_customers_own_calendar() {
    let taken_up_on = |day: u64, ends: &[&str]| {
        let mut replay = Replay::correct();
        let reasons: Vec<Value> =
            ends.iter().map(|until| json!({"code": "x", "detail": "", "until": until})).collect();
        let mut line = deferral(20, "C1", "d-3", 20);
        line["reasons"] = reasons.into();
        replay.add_decision(&line);
        replay.add_decision(&decision(day, "C1", None, "skip", "not_due_yet"));
        broken_rules(&replay).is_empty()
    };
    assert!(taken_up_on(24, &["2026-03-24T07:00:00-03:00", "2026-03-26T07:00:00-03:00"]));
    assert!(!taken_up_on(25, &["2026-03-24T07:00:00-03:00", "2026-03-26T07:00:00-03:00"]));
    // Half past two in UTC is still the evening before in Santiago.
    assert!(!taken_up_on(25, &["2026-03-25T02:30:00Z"]));
    assert!(taken_up_on(25, &["2026-03-25T03:30:00Z"]));
    // An end on the same day leaves it to the next day.
    assert!(taken_up_on(21, &["2026-03-20T18:00:00-03:00"]));
    assert!(!taken_up_on(22, &["2026-03-20T18:00:00-03:00"]));
}
