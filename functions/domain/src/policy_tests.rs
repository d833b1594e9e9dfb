//! What a policy file may and may not say.

use super::*;

pub(crate) const LADDER: &str = r#"
id = "test"
version = 3
stages = [
  { id = "d-3", dpd = -3, tone = "friendly", purpose = "pre_due", channels = ["sms", "email"], template = "t" },
  { id = "d0", dpd = 0, tone = "friendly", purpose = "pre_due", channels = ["sms", "email"], template = "t" },
  { id = "d3", dpd = 3, tone = "friendly", purpose = "overdue", channels = ["sms", "email"], template = "t" },
  { id = "d8", dpd = 8, tone = "firm", purpose = "overdue", channels = ["sms", "email"], template = "t" },
  { id = "d15", dpd = 15, tone = "formal", purpose = "overdue", channels = ["sms", "email"], template = "t" },
  { id = "d30", dpd = 30, tone = "legal", purpose = "overdue", channels = ["sms", "email"], template = "t" },
]

[[templates]]
id = "t"
[templates.email]
subject = "{{ lender_name }}"
text = "{{ customer_name }}: {{ amount }}"
html = "<p>{{ customer_name }}: {{ amount }}</p>"
[templates.sms]
text = "{{ amount }}"
transliterate = true
"#;

/// The default ladder with the shortest of texts.
pub(crate) fn ladder_policy() -> Policy {
    Policy::parse(LADDER).expect("the ladder of the tests can be followed")
}

fn problems(text: &str) -> Vec<String> {
    Policy::parse(text).expect_err("the policy is wrong").0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_ladder_is_read_as_it_stands() {
    let policy = ladder_policy();
    assert_eq!((policy.version, policy.from_dpd(), policy.until_dpd), (3, -3, UNTIL_DPD_DEFAULT));
    let triggers: Vec<i32> = policy.stages.iter().map(|s| s.dpd).collect();
    assert_eq!(triggers, [-3, 0, 3, 8, 15, 30]);
}

#[test]
fn a_stage_that_is_there_twice_is_refused_with_both_places() {
    let text = LADDER.replace(r#"id = "d15""#, r#"id = "d8""#);
    assert_eq!(problems(&text), ["line 9, column 10: stage d8 is already defined in line 8"]);
}

#[test]
fn stages_out_of_order_are_refused() {
    let text = LADDER.replace("dpd = 8,", "dpd = 2,");
    assert_eq!(
        problems(&text),
        ["line 8, column 22: stage d8 is out of order: dpd 2; expected more than 3, as of d3"]
    );
}

#[test]
fn a_channel_without_a_text_is_refused() {
    let text = LADDER.replace("[templates.sms]\ntext = \"{{ amount }}\"\ntransliterate = true\n", "");
    let problems = problems(&text);
    assert_eq!(problems.len(), 6);
    assert!(
        problems[0].ends_with("stage d-3 uses sms, for which the template t has no text"),
        "{}",
        problems[0]
    );
    let text = LADDER
        .replace(r#"channels = ["sms", "email"], template = "t" },"#, r#"channels = [], template = "t" },"#);
    assert!(self::problems(&text)[0].contains("has no channel"));
    let text = LADDER.replacen(r#"template = "t" },"#, r#"template = "nowhere" },"#, 1);
    assert!(self::problems(&text)[0].contains("the template nowhere has no text"));
}

#[test]
fn an_unknown_variable_is_refused_when_the_policy_is_read() {
    let text = LADDER.replace("{{ customer_name }}: {{ amount }}\"\nhtml", "{{ custmer_name }}\"\nhtml");
    let problems = problems(&text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("line 13"), "{}", problems[0]);
    assert!(problems[0].contains("custmer_name") && problems[0].contains("email.text"), "{}", problems[0]);
}

#[test]
fn a_purpose_that_does_not_fit_its_day_is_refused() {
    let text = LADDER.replace(
        r#"dpd = 3, tone = "friendly", purpose = "overdue""#,
        r#"dpd = 3, tone = "friendly", purpose = "pre_due""#,
    );
    assert!(problems(&text)[0].contains("stage d3 at dpd 3 has the purpose pre_due; expected overdue"));
}

#[test]
fn unknown_words_and_wrong_toml_name_their_place() {
    assert!(
        problems(&LADDER.replace("version = 3", "version = 3\nnonsense = 1"))[0]
            .starts_with("line 4, column 1: unknown field")
    );
    assert!(
        problems(&LADDER.replace("\"sms\", \"email\"], template", "\"fax\"], template"))[0].contains("fax")
    );
    assert!(problems(&LADDER.replace("version = 3", "version = "))[0].starts_with("line 3"));
    assert!(problems("")[0].contains("missing field"));
    assert!(
        problems(&LADDER.replace("version = 3", "version = 3\nuntil_dpd = 20"))[0]
            .contains("until_dpd is 20")
    );
}

#[test]
fn what_is_not_known_of_a_customer_does_not_meet_a_condition() {
    let conditions = Conditions { kinds: vec![CustomerKind::Person], ..Conditions::default() };
    let mut customer = crate::planner_scenarios::World::new("CO").customer;
    assert!(!conditions.applies_to(&customer, 1));
    customer.kind = Some(CustomerKind::Person);
    assert!(conditions.applies_to(&customer, 1));
    let at_least = Conditions { min_outstanding_minor: Some(100), ..Conditions::default() };
    assert!(!at_least.applies_to(&customer, 99) && at_least.applies_to(&customer, 100));
}
