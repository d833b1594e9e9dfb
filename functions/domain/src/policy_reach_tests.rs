//! Which stages are objected to, and which are fine.

use super::*;
use crate::jurisdiction::ContactRules;
use crate::policy::tests::{LADDER, ladder_policy};

fn from() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

fn adjusted(id: &str, rules: &str) -> Jurisdiction {
    let rules: ContactRules = toml::from_str(rules).unwrap();
    Jurisdiction::built_in(id).unwrap().adjusted(&rules, from()).unwrap()
}

fn told(policy: &Policy, jurisdiction: &Jurisdiction, from: NaiveDate) -> Vec<String> {
    objections(policy, jurisdiction, from).iter().map(ToString::to_string).collect()
}

/// Closes the given days for overdue messages by some channels.
fn closing(channels: &str, days: &str) -> String {
    format!(
        "[[CO.tighten]]\npurposes = [\"overdue\"]\nchannels = [{channels}]\nreason = \"r\"\nhours = {{ {days} }}\n"
    )
}

const EVERY_DAY: &str = "mon = [], tue = [], wed = [], thu = [], fri = [], sat = []";

#[test]
fn the_ladder_can_be_sent_under_every_built_in_profile() {
    for id in Jurisdiction::built_in_ids() {
        assert_eq!(told(&ladder_policy(), Jurisdiction::built_in(id).unwrap(), from()), [""; 0], "{id}");
    }
}

#[test]
fn a_stage_whose_hours_are_closed_on_every_day_is_refused_with_the_reason() {
    let closed = adjusted("CO", &closing("\"sms\", \"email\"", EVERY_DAY));
    let objections = told(&ladder_policy(), &closed, from());
    assert_eq!(objections.len(), 4, "{objections:?}");
    assert_eq!(
        objections[0],
        "stage d3 (overdue) can never be sent to customers without a channel rule: \
         by sms, no hour of any day is left open by Ley 2300/2023 art. 3 (law) with CO.tighten[0]; \
         by email, no hour of any day is left open by Ley 2300/2023 art. 3 (law) with CO.tighten[0]"
            .replace("CO.tighten", "contact_rules.CO.tighten")
    );
    // Two rules that leave nothing together: mornings only, and afternoons only.
    let week = |hours: &str| {
        ["mon", "tue", "wed", "thu", "fri"].map(|day| format!("{day} = [{hours}]")).join(", ") + ", sat = []"
    };
    let halves = closing("\"sms\", \"email\"", &week("[\"08:00\", \"12:00\"]"))
        + &closing("\"sms\", \"email\"", &week("[\"12:00\", \"18:00\"]"));
    assert_eq!(told(&ladder_policy(), &adjusted("CO", &halves), from()).len(), 4);
}

#[test]
fn one_open_channel_is_enough() {
    let closed = adjusted("CO", &closing("\"sms\"", EVERY_DAY));
    assert_eq!(told(&ladder_policy(), &closed, from()), [""; 0]);
    let saturday_is_left =
        adjusted("CO", &closing("\"sms\", \"email\"", &EVERY_DAY.replace(", sat = []", "")));
    assert_eq!(told(&ladder_policy(), &saturday_is_left, from()), [""; 0]);
}

#[test]
fn a_group_with_a_channel_of_its_own_is_judged_by_it() {
    let policy = |rules: &str| {
        let sms_only = LADDER.replace("channels = [\"sms\", \"email\"]", "channels = [\"sms\"]");
        let at = sms_only.find("[[templates]]").unwrap();
        let (head, tail) = sms_only.split_at(at);
        Policy::parse(&format!("{head}{rules}{tail}")).unwrap()
    };
    let closed = adjusted("CO", &closing("\"sms\"", EVERY_DAY));
    let firms = "[[channel_rules]]\nkind = \"company\"\nchannels = [\"email\"]\n";
    let found = objections(&policy(firms), &closed, from());
    assert!(found.iter().all(|o| o.group == ReachGroup::StageChannels), "{found:?}");
    assert_eq!(found.len(), 4);
    let everybody = "[[channel_rules]]\nchannels = [\"email\"]\n";
    assert_eq!(told(&policy(everybody), &closed, from()), [""; 0]);
    let sunday_people = "[[channel_rules]]\nsegment = \"s\"\nchannels = [\"sms\"]\n";
    let found = told(&policy(sunday_people), &closed, from());
    assert_eq!(found.len(), 8);
    assert!(found[1].contains("to customers of kind any and segment s: by sms, no hour"), "{found:?}");
}

#[test]
fn gates_missing_rules_and_the_end_of_the_table_are_objections() {
    let mut policy = ladder_policy();
    policy.stages.truncate(1);
    policy.stages[0].purpose = Purpose::Marketing;
    let gate = told(&policy, Jurisdiction::built_in("PE").unwrap(), from());
    assert!(gate[0].contains("asks for opt_in_by_own_initiative, which no fact"), "{gate:?}");
    let none = told(&policy, Jurisdiction::built_in("CL").unwrap(), from());
    assert!(none[0].contains("by sms, no rule of the profile allows it"), "{none:?}");
    let opted = told(&policy, Jurisdiction::built_in("DEFAULT").unwrap(), from());
    assert_eq!(opted, [""; 0]);
    let late = NaiveDate::from_ymd_opt(2031, 1, 1).unwrap();
    let over = told(&ladder_policy(), Jurisdiction::built_in("CO").unwrap(), late);
    assert!(over.len() == 6 && over[0].contains("the first because of no_calendar"), "{over:?}");
}
