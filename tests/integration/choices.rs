//! Choices on the command line: what is withdrawn is not used by the next run, and what is granted is used again.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::command_line::{mapping, path, portfolio, row, written};
use crate::fixture::{run_json, run_to, text};

/// Imports the customer `C-1`, who takes text messages only and owes since Friday 20 November.
fn folder_with_a_debtor(folder: &TempDir, name: &str) -> String {
    folder_with_a_debt_of(folder, name, "20/11/2026")
}

/// The same, of a debt of another day.
fn folder_with_a_debt_of(folder: &TempDir, name: &str, due_on: &str) -> String {
    let out = path(&folder.path().join(name));
    let rows = [row("Q-1", &[("Autoriza correo", "no"), ("Vence", due_on)])];
    let file = written(folder, &format!("{name}.csv"), portfolio(&rows));
    let import = ["import", "--file", &file, "--mapping", &mapping(), "--out", &out];
    run_to(0, &[&import[..], &["--as-of", "2026-11-22"]].concat());
    out
}

/// Runs a day of November and says what the customer has got until then, as `channel stage`.
fn sent_until(of_november: u32, out: &str) -> Vec<String> {
    let at = format!("2026-11-{of_november}T08:00:00-05:00");
    run_json(0, &["run", "--size", "1", "--at", &at, "--out", out]);
    let messages = fs::read_to_string(Path::new(out).join("messages.jsonl")).expect("a run leaves messages");
    let lines = messages.lines().map(|line| serde_json::from_str::<Value>(line).expect("a message is JSON"));
    let told = |m: Value| format!("{} {}", m["channel"], m["stage"]).replace('"', "");
    lines.filter(|m| m["customer"] == "C-1").map(told).collect()
}

/// Records a choice of `C-1` at a moment of November and says what is printed.
fn choose(out: &str, at: &str, word: &[&str]) -> String {
    let at = format!("2026-11-{at}:00:00-05:00");
    let choice = [&["choice", "--out", out, "--at", &at, "--now", &at], word].concat();
    text(&run_to(0, &choice).stdout)
}

const SMS: [&str; 4] = ["--customer", "C-1", "--channel", "sms"];

#[test]
fn a_withdrawn_channel_is_not_used_until_it_is_granted_again() {
    let folder = TempDir::new().unwrap();
    assert_eq!(sent_until(23, &folder_with_a_debtor(&folder, "untouched")), ["sms d3"]);

    let out = folder_with_a_debtor(&folder, "withdrawn");
    let said = choose(&out, "23T07", &[&SMS[..], &["--withdraw"]].concat());
    assert!(
        said.starts_with("recorded: customer C-1 withdrew sms for every purpose at 2026-11-23 07:00"),
        "{said}"
    );
    assert!(said.contains("sms: no longer authorised for pre_due, overdue"), "{said}");
    let again = choose(&out, "23T07", &[&SMS[..], &["--withdraw"]].concat());
    assert!(again.starts_with("known before:") && again.contains("nothing else changed"), "{again}");
    assert!(sent_until(23, &out).is_empty());
    assert!(sent_until(24, &out).is_empty());

    let evidence = ["--grant", "--purpose", "overdue", "--purpose", "pre_due", "--evidence", "call-7781"];
    let said = choose(&out, "24T09", &[&SMS[..], &evidence].concat());
    assert!(said.contains("sms: authorised from now on for pre_due, overdue\n"), "{said}");
    assert_eq!(sent_until(25, &out), ["sms d3"]);
}

#[test]
fn the_link_of_a_message_stops_the_next_one_and_is_kept_nowhere_else() {
    let folder = TempDir::new().unwrap();
    let out = path(&folder.path().join("mailed"));
    let file = written(&folder, "mailed.csv", portfolio(&[row("Q-1", &[("Autoriza SMS", "no")])]));
    let import = ["import", "--file", &file, "--mapping", &mapping(), "--out", &out];
    run_to(0, &[&import[..], &["--as-of", "2026-11-22"]].concat());
    assert_eq!(sent_until(23, &out), ["email d3"]);

    let base = "https://creditoandino.example.com/baja/";
    let messages = fs::read_to_string(Path::new(&out).join("messages.jsonl")).unwrap();
    let mut lines = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let message = lines.find(|m| m["customer"] == "C-1").unwrap();
    let body = message["body"].as_str().unwrap();
    let link = body.split_whitespace().find(|word| word.starts_with(base)).unwrap();
    let tag = link.rsplit('.').next().unwrap();

    let said = choose(&out, "24T09", &["--token", link]);
    assert!(said.contains("withdrew email for every purpose by a link"), "{said}");
    assert_eq!(sent_until(30, &out), ["email d3"], "the next stage is not sent");

    // Whoever reads the evidence, the verdicts or the database cannot follow the link.
    let evidence = path(&folder.path().join("evidence.json"));
    run_to(
        0,
        &["evidence", "--customer", "C-1", "--folder", &out, "--with-contact-data", "--out", &evidence],
    );
    run_to(0, &["verify", &evidence]);
    let mut read = vec![evidence.into()];
    read.extend(fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()));
    for file in read.iter().filter(|file| file.is_file() && !file.ends_with("messages.jsonl")) {
        let bytes = fs::read(file).unwrap();
        let found = bytes.windows(tag.len()).any(|window| window == tag.as_bytes());
        assert!(!found, "{} holds what the link was signed with", file.display());
    }
}

#[test]
fn other_hours_need_a_document_that_is_later_than_the_contract_and_count_for_the_next_run() {
    let folder = TempDir::new().unwrap();
    // The stage d3 is due on Sunday 22 November, on which nobody is reminded in Colombia.
    let out = folder_with_a_debt_of(&folder, "hours", "19/11/2026");
    let hours = ["--hours", "sat,sun 07:00-10:00", "--document", "carta-14", "--contract-on", "2026-01-10"];
    let ask = |code, on: &str| {
        let at = [
            "choice",
            "--out",
            &out,
            "--at",
            "2026-11-22T07:00:00-05:00",
            "--now",
            "2026-11-22T07:00:00-05:00",
        ];
        let ran = run_to(code, &[&at[..], &SMS, &hours, &["--document-on", on]].concat());
        text(&ran.stdout) + &text(&ran.stderr)
    };
    for (on, why) in
        [("2026-01-10", "expected a document that is later"), ("2026-11-23", "is after 2026-11-22")]
    {
        let refused = ask(2, on);
        assert!(refused.contains(why) && refused.contains("nothing was recorded"), "{refused}");
    }
    let wrong = |word: &[&str], code| {
        text(&run_to(code, &[&["choice", "--folder", &out], &SMS[..], word].concat()).stderr)
    };
    assert!(wrong(&["--hours", "sun 10:00-12:00"], 64).contains("--document"));
    let dated = ["--document", "carta-14", "--document-on", "2026-11-20", "--contract-on", "2026-01-10"];
    for hours in ["sun", "sun 12:00-10:00", "someday 10:00-12:00"] {
        let told = wrong(&[&["--hours", hours], &dated[..]].concat(), 2);
        assert!(told.contains("such as \"sat,sun 10:00-12:00\""), "{told}");
    }
    let said = ask(0, "2026-11-20");
    assert!(said.starts_with("recorded: customer C-1 asked for other hours at 2026-11-22 07:00"), "{said}");
    assert!(
        said.contains("other hours from now on, on every channel, for pre_due, overdue, by the document"),
        "{said}"
    );
    assert!(ask(0, "2026-11-20").starts_with("known before:"));
    assert_eq!(sent_until(22, &out), ["sms d3"], "a Sunday, because the customer asked for it");

    let out = folder_with_a_debt_of(&folder, "no_hours", "19/11/2026");
    assert!(sent_until(22, &out).is_empty());
    let said = choose(&out, "22T09", &["--customer", "C-1", "--no-hours"]);
    assert!(said.contains("took back its other hours") && said.contains("nothing else changed"), "{said}");
}

#[test]
fn a_link_withdraws_its_channel_and_a_forged_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let out = folder_with_a_debtor(&folder, "linked");
    let choice = |code, word: &[&str]| run_to(code, &[&["choice", "--out", &out], word].concat());
    let token = text(&choice(0, &[&SMS[..], &["--link"]].concat()).stdout).trim().to_owned();
    let other = text(&choice(0, &["--customer", "C-1", "--channel", "email", "--link"]).stdout);
    let (payload, _) = other.trim().split_once('.').unwrap();
    let (_, tag) = token.split_once('.').unwrap();
    let refused = text(&choice(2, &["--token", &format!("{payload}.{tag}")]).stderr);
    assert!(refused.contains("was not made here") && refused.contains("nothing was recorded"), "{refused}");
    assert!(text(&choice(2, &["--token", "no token"]).stderr).contains("no opt-out token"));
    assert_eq!(sent_until(23, &out), ["sms d3"], "a refused token withdraws nothing");

    let said = choose(&out, "24T09", &["--token", &token]);
    assert!(said.contains("withdrew sms for every purpose by a link"), "{said}");
    assert!(said.contains("sms: no longer authorised for pre_due"), "{said}");
    assert_eq!(sent_until(30, &out), ["sms d3"], "the next stage is not sent");

    let nobody = ["--customer", "nobody", "--channel", "sms"];
    for word in ["--withdraw", "--link"] {
        let unknown = text(&choice(2, &[&nobody[..], &[word]].concat()).stderr);
        assert!(unknown.contains("nobody is not known here"), "{unknown}");
    }
    for wrong in [
        &SMS[..],
        &[&SMS[..], &["--withdraw", "--grant"]].concat(),
        &[&SMS[..], &["--withdraw", "--purpose", "fun"]].concat(),
        &["--customer", "C-1", "--withdraw"],
        &["--customer", "C-1", "--channel", "all", "--link"],
        &["--token", &token, "--purpose", "overdue"],
    ] {
        choice(64, wrong);
    }
}
