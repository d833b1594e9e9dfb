//! Policies whose texts may not be sent, as the users of the command line are told of them.

use std::fs;

use tempfile::TempDir;

use crate::fixture::{POLICY, TENANT, run_json, run_to, text};
use crate::tidy::root;

/// Words of the default policy that a test replaces.
const KIND: &str = "Si ya pagó, gracias: no tiene que hacer nada más.";

fn written(folder: &TempDir, policy: &str) -> String {
    let file = folder.path().join("policy.toml");
    fs::write(&file, policy).expect("a file of the test can be written");
    file.to_str().expect("paths of the tests are text").to_owned()
}

fn line_of(policy: &str, words: &str) -> usize {
    policy[..policy.find(words).expect("the policy has these words")].matches('\n').count() + 1
}

#[test]
fn the_default_policy_and_lender_have_nothing_against_them() {
    let tenant = root().join("infra/demo/tenant.toml");
    let policy = root().join("infra/demo/policy.toml");
    let [policy, tenant] = [&policy, &tenant].map(|p| p.to_str().expect("paths are text"));
    let asked = ["check-policy", "--policy", policy, "--tenant", tenant, "--jurisdiction", "CO"];
    let said = text(&run_to(0, &asked).stdout);
    assert!(said.starts_with("Nothing speaks against the policy default, version 1"), "{said}");
}

#[test]
fn forbidden_words_are_told_with_their_place_and_article() {
    let folder = TempDir::new().unwrap();
    let harsh = POLICY.replacen(KIND, "¿Por qué no ha pagado?", 1);
    let file = written(&folder, &harsh);
    let line = line_of(&harsh, "Por qué no ha pagado");
    let asked = ["check-policy", "--policy", &file, "--jurisdiction", "CO"];
    let said = text(&run_to(2, &asked).stdout);
    assert!(said.contains(&format!("line {line}: stage ")), "{said}");
    assert!(said.contains("\"Por qué no ha\"") && said.contains("Ley 2300/2023 art. 7"), "{said}");
    let said = run_json(2, &asked);
    let first = &said["objections"][0];
    assert_eq!((&first["line"], &first["kind"]), (&line.into(), &"forbidden".into()), "{said}");
    assert_eq!(first["part"], "email.text");
    // The law of Peru does not forbid the question.
    run_to(0, &["check-policy", "--policy", &file, "--jurisdiction", "PE"]);
}

#[test]
fn a_replay_refuses_a_policy_that_could_not_be_followed_lawfully() {
    let folder = TempDir::new().unwrap();
    let file = written(&folder, &POLICY.replace("{{ opt_out }}'''", "'''"));
    let out = folder.path().join("out");
    let out = out.to_str().expect("paths of the tests are text");
    let asked = ["replay", "--policy", &file, "--jurisdiction", "CO", "--out", out];
    let days = ["--from", "2026-11-20", "--to", "2026-11-21", "--file", "none.csv", "--mapping", "none.toml"];
    let error = text(&run_to(1, &[&asked[..], &days].concat()).stderr);
    assert!(error.contains("the policy default cannot be used under CO:\n  line "), "{error}");
    assert!(
        error.contains("template d8, sms.text: how to stop the messages is missing (opt_out)"),
        "{error}"
    );
}

#[test]
fn a_text_with_an_opt_out_link_needs_a_lender_that_has_one() {
    let folder = TempDir::new().unwrap();
    let tenant = folder.path().join("tenant.toml");
    let without: String =
        TENANT.lines().filter(|l| !l.starts_with("opt_out_url")).map(|l| l.to_owned() + "\n").collect();
    fs::write(&tenant, &without).unwrap();
    let policy = root().join("infra/demo/policy.toml");
    let asked = |tenant: &str, policy: &str, code| {
        // The profile is the tenant's own.
        let asked = ["check-policy", "--policy", policy, "--tenant", tenant];
        text(&run_to(code, &asked).stdout)
    };
    let (tenant, policy) = (tenant.to_str().unwrap(), policy.to_str().unwrap());
    let told = asked(tenant, policy, 2);
    let expected = "stage d3, template d3, email: its text has {{ opt_out_link }}, and the lender has no address for links; \
                    expected opt_out_url in its settings";
    assert!(told.contains(expected) && !told.contains(", sms: its text has"), "{told}");
    let plain = POLICY.replace("{{ opt_out_link }}", "{{ lender_email }}");
    asked(tenant, &written(&folder, &plain), 0);
    let wrong = format!("opt_out_url = \"http://example.com\"\n{without}");
    fs::write(tenant, wrong).unwrap();
    let error = text(
        &run_to(1, &["check-policy", "--policy", policy, "--jurisdiction", "CO", "--tenant", tenant]).stderr,
    );
    assert!(error.contains("opt_out_url") && error.contains("expected https://"), "{error}");
}

#[test]
fn wrong_arguments_and_unknown_places_are_told_apart_from_objections() {
    run_to(64, &["check-policy", "--jurisdiction", "CO"]);
    run_to(64, &["check-policy", "--policy", "policy.toml"]);
    let file = written(&TempDir::new().unwrap(), "");
    run_to(1, &["check-policy", "--policy", &file, "--jurisdiction", "CO"]);
}

#[test]
fn a_stage_that_can_never_be_sent_is_an_objection() {
    let folder = TempDir::new().unwrap();
    let own = "\n[[contact_rules.CO.tighten]]\npurposes = [\"overdue\"]\nreason = \"Nobody is dunned\"\n\
               hours = { mon = [], tue = [], wed = [], thu = [], fri = [], sat = [] }\n";
    let tenant = folder.path().join("tenant.toml");
    fs::write(&tenant, format!("{}{own}", TENANT)).unwrap();
    let tenant = tenant.to_str().unwrap();
    let policy = root().join("infra/demo/policy.toml");
    let policy = policy.to_str().unwrap();
    let asked = ["check-policy", "--policy", policy, "--jurisdiction", "CO", "--from", "2026-11-23"];
    run_to(0, &asked);
    let told = run_json(2, &[&asked[..], &["--tenant", tenant]].concat());
    let mut never: Vec<&str> = told["objections"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|o| o["kind"] == "never_sent")
        .map(|o| o["stage"].as_str().unwrap())
        .collect();
    // One for each group of customers.
    never.dedup();
    assert_eq!(never, ["d3", "d8", "d15", "d30"], "what is not overdue yet may still be sent");
}
