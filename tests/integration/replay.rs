//! Replays through the command line: lawful, the same every time, and none the worse for having been stopped.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use chrono::{Days, NaiveDate};
use serde_json::Value;
use tempfile::TempDir;

use crate::fixture::{puntual, run, run_json, run_to, text};
use crate::tidy::root;

/// How the made-up history is read.
const MAPPING: &str = r#"
[file]
kind = "accounts"
delimiter = ","
date_formats = ["%Y-%m-%d"]
decimal_sign = "."
currency = "COP"

[customer]
id = "customer"
preferred_channel = { column = "channel", values = { email = "email", sms = "sms" } }

[consent]
assume = ["email", "sms"]
source = "made up"

[contacts]
made_up = { email_domain = "example.com", phone_region = "CO" }

[obligation]
id = "invoice"
amount = "amount"
due_on = "due"
known_on = "issued"

[payment]
closed_on = "settled"

[dispute]
column = "disputed"
yes = ["yes"]
no = ["no"]
from = "due_on"
until = "closed_on"
"#;

const INVOICES: u64 = 60;
const CUSTOMERS: u64 = 5;
/// The first and the last day: Holy Week and four long weekends lie between them.
const SPAN: (&str, &str) = ("2026-03-02", "2026-06-29");
/// The last day of a replay that goes on later; it lies between two checkpoints.
const HALF_WAY: &str = "2026-05-05";
/// How often a file is looked for before a test is given up; each look takes a system call or two.
const LOOKS_MAX: u64 = 100_000_000;
/// How often a test tries to stop a program before it is done.
const STOPS_MAX: usize = 5;

/// Invoices of four months: paid early, late, very late or never, some of them disputed.
fn history() -> String {
    let start = NaiveDate::from_ymd_opt(2026, 2, 10).expect("a day");
    let mut lines = vec!["customer,channel,invoice,issued,due,settled,amount,disputed".to_owned()];
    for n in 0..INVOICES {
        let after = |days: u64| start + Days::new(days);
        let issued = after(n * 2);
        let due = issued + Days::new(14 + n % 7);
        let settled = match n % 5 {
            0 => String::new(),
            1 => (due - Days::new(5)).to_string(),
            2 => (due + Days::new(4)).to_string(),
            3 => (due + Days::new(19)).to_string(),
            _ => (due + Days::new(41)).to_string(),
        };
        let (customer, channel) = (n % CUSTOMERS, if n % 2 == 0 { "email" } else { "sms" });
        let disputed = if n % 11 == 7 { "yes" } else { "no" };
        let amount = 10_000 + n * 37;
        lines.push(format!("C{customer},{channel},I{n:03},{issued},{due},{settled},{amount}.50,{disputed}"));
    }
    lines.join("\n") + "\n"
}

/// A folder with the made-up history and its mapping.
struct Inputs(TempDir);

impl Inputs {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        fs::write(folder.path().join("history.csv"), history()).expect("a file can be written");
        fs::write(folder.path().join("mapping.toml"), MAPPING).expect("a file can be written");
        Self(folder)
    }

    /// The arguments of a replay into the folder `out` until a day.
    fn arguments(&self, jurisdiction: &str, to: &str, out: &str) -> Vec<String> {
        let file = |name: &str| text_of(&self.0.path().join(name));
        let policy = text_of(&root().join("infra/demo/policy.toml"));
        let (history, mapping, out) = (file("history.csv"), file("mapping.toml"), file(out));
        let named = [
            ("--file", history.as_str()),
            ("--mapping", &mapping),
            ("--policy", &policy),
            ("--jurisdiction", jurisdiction),
            ("--from", SPAN.0),
            ("--to", to),
            ("--out", &out),
        ];
        std::iter::once("replay")
            .chain(named.into_iter().flat_map(|(k, v)| [k, v]))
            .map(str::to_owned)
            .collect()
    }

    fn replay(&self, jurisdiction: &str, to: &str, out: &str) -> Value {
        let arguments = self.arguments(jurisdiction, to, out);
        run_json(0, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn file(&self, out: &str, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(out).join(name)).expect("the replay wrote its files")
    }

    /// Fails where two folders differ in what was sent and decided.
    fn assert_same(&self, one: &str, other: &str) {
        for name in ["messages.jsonl", "decisions.jsonl"] {
            let (one, other) = (self.file(one, name), self.file(other, name));
            assert!(!one.is_empty(), "{name} is empty");
            assert!(one == other, "{name} differs: {} and {} bytes", one.len(), other.len());
        }
    }

    /// Starts a replay and kills it as soon as the file `seen` is there and not empty.
    fn kill_once_there(&self, jurisdiction: &str, out: &str, seen: &str) {
        for _ in 0..STOPS_MAX {
            let folder = self.0.path().join(out);
            // A replay that was done before it could be stopped proves nothing: it is tried again from the start.
            if folder.exists() {
                fs::remove_dir_all(&folder).expect("a folder can be removed");
            }
            let mut child = puntual()
                .args(self.arguments(jurisdiction, SPAN.1, out))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("puntual can be started");
            let is_there = || fs::metadata(folder.join(seen)).is_ok_and(|file| file.len() > 0);
            let mut looks = 0;
            while !is_there() && child.try_wait().expect("a child can be asked").is_none() {
                assert!(looks < LOOKS_MAX, "{seen} was never written");
                looks += 1;
                std::thread::yield_now();
            }
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
            if is_there() && !folder.join("summary.json").exists() {
                return;
            }
        }
        panic!("the replay was always done before it could be stopped");
    }
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("paths of the tests are text").to_owned()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|l| serde_json::from_str(l).expect("a line of JSON")).collect()
}

fn sum(of: &Value) -> u64 {
    of.as_object().expect("an object of counts").values().filter_map(Value::as_u64).sum()
}

#[test]
fn a_replay_is_lawful_and_its_summary_says_what_its_files_say() {
    let inputs = Inputs::new();
    let summary = inputs.replay("CO", SPAN.1, "out");
    assert_eq!(summary["violations"], 0);
    assert_eq!((&summary["customers"], &summary["days"]), (&CUSTOMERS.into(), &120.into()));
    assert_eq!((&summary["obligations"], &summary["bad_rows"]), (&INVOICES.into(), &0.into()));
    let messages = lines(&inputs.file("out", "messages.jsonl"));
    let decisions = lines(&inputs.file("out", "decisions.jsonl"));
    assert!(messages.len() > 50, "the history gives enough to say");
    assert_eq!(summary["messages"], messages.len());
    assert_eq!(sum(&summary["by_stage"]), messages.len() as u64);
    assert_eq!(sum(&summary["by_channel"]), messages.len() as u64);
    assert_eq!(sum(&summary["verdicts"]), decisions.len() as u64);
    for verdict in ["send", "defer", "skip"] {
        let count = decisions.iter().filter(|d| d["verdict"] == verdict).count();
        assert!(count > 0, "the history gives cause to {verdict}");
        assert_eq!(summary["verdicts"][verdict], count);
    }
    let mut stages: Vec<String> = messages
        .iter()
        .flat_map(|m| m["obligations"].as_array().expect("obligations"))
        .map(|o| format!("{} {}", o["id"], o["stage"]))
        .collect();
    assert_eq!(summary["verdicts"]["send"], stages.len(), "each stage that was decided was sent");
    let all = stages.len();
    stages.sort_unstable();
    stages.dedup();
    assert_eq!(stages.len(), all, "a stage was sent twice");
    let written: Value = serde_json::from_slice(&inputs.file("out", "summary.json")).unwrap();
    assert_eq!(written, summary);
}

#[test]
fn two_replays_give_the_same_files() {
    let inputs = Inputs::new();
    for out in ["one", "other"] {
        inputs.replay("PE", SPAN.1, out);
    }
    inputs.assert_same("one", "other");
    let again = inputs.replay("PE", SPAN.1, "other");
    assert_eq!(again["violations"], 0);
    inputs.assert_same("one", "other");
}

/// Stops a replay in every way there is, and compares what it ends with to one that was never stopped.
fn stopped_and_continued(jurisdiction: &str) {
    let inputs = Inputs::new();
    let whole = inputs.replay(jurisdiction, SPAN.1, "whole");
    assert_eq!(whole["violations"], 0);

    inputs.replay(jurisdiction, HALF_WAY, "halved");
    assert!(inputs.file("halved", "messages.jsonl").len() < inputs.file("whole", "messages.jsonl").len());
    // Before the first checkpoint, and after it.
    inputs.kill_once_there(jurisdiction, "killed early", "messages.jsonl");
    inputs.kill_once_there(jurisdiction, "killed late", "checkpoint.json");
    for out in ["halved", "killed early", "killed late"] {
        let summary = inputs.replay(jurisdiction, SPAN.1, out);
        inputs.assert_same("whole", out);
        for key in
            ["messages", "verdicts", "reasons", "by_stage_and_channel", "days", "violations", "obligations"]
        {
            assert_eq!(summary[key], whole[key], "{key} of the replay {out}");
        }
    }
}

#[test]
fn a_replay_that_was_stopped_ends_like_one_that_was_not_in_colombia() {
    stopped_and_continued("CO");
}

#[test]
fn a_replay_that_was_stopped_ends_like_one_that_was_not_in_peru() {
    stopped_and_continued("PE");
}

#[test]
fn a_folder_of_other_inputs_is_refused_and_left_alone() {
    let inputs = Inputs::new();
    inputs.replay("CO", HALF_WAY, "out");
    let before = inputs.file("out", "messages.jsonl");
    let refuse = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let error = text(&run_to(1, &arguments).stderr);
        assert!(error.contains("other inputs"), "{error}");
        assert!(inputs.file("out", "messages.jsonl") == before, "the folder was changed");
    };
    refuse(inputs.arguments("PE", HALF_WAY, "out"));
    let mut shifted = inputs.arguments("CO", HALF_WAY, "out");
    shifted.extend(["--shift-days", "7"].map(str::to_owned));
    refuse(shifted);
    fs::write(inputs.0.path().join("history.csv"), history().replace("10000.50", "10001.50")).unwrap();
    refuse(inputs.arguments("CO", HALF_WAY, "out"));

    let strange = inputs.0.path().join("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("messages.jsonl"), "not ours\n").unwrap();
    let arguments = inputs.arguments("CO", HALF_WAY, "strange");
    let refused = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(strange.join("messages.jsonl")).unwrap(), "not ours\n");
}

#[test]
fn three_months_of_real_invoices_are_replayed_without_a_violation() {
    let file = root().join("../shared/data/accounts-receivable.csv");
    if !file.exists() {
        println!("skipped: ../shared/data/accounts-receivable.csv is missing");
        return;
    }
    let folder = TempDir::new().unwrap();
    let demo = |name: &str| text_of(&root().join("infra/demo").join(name));
    let (mapping, policy, file) = (demo("accounts-receivable.toml"), demo("policy.toml"), text_of(&file));
    for jurisdiction in ["CO", "PE"] {
        let out = text_of(&folder.path().join(jurisdiction));
        let inputs = ["replay", "--file", &file, "--mapping", &mapping, "--policy", &policy];
        // 626 weeks bring the invoices of 2013 to the year 2025.
        let span = ["--shift-days", "4382", "--from", "2025-03-01", "--to", "2025-05-29"];
        let summary =
            run_json(0, &[&inputs[..], &span, &["--jurisdiction", jurisdiction, "--out", &out]].concat());
        assert_eq!((&summary["violations"], &summary["days"]), (&0.into(), &90.into()), "{jurisdiction}");
        assert!(summary["messages"].as_u64().unwrap() > 200, "{jurisdiction}: {}", summary["messages"]);
    }
}

/// Where the customers `C0` to `C4` live: twice a profile of their own, twice a holiday table alone, and neither. A
/// country with several clocks needs the zone.
const COUNTRIES: [&str; 5] = ["GT,", "CO,", "AR,", "PE,", "BR,America/Sao_Paulo"];

#[test]
fn customers_of_other_countries_are_written_to_by_their_own_law_or_not_at_all() {
    let inputs = Inputs::new();
    let history = history().lines().enumerate().fold(String::new(), |all, (at, line)| {
        let customer = line.get(1..2).and_then(|digit| digit.parse::<usize>().ok());
        let country = if at == 0 { "country,zone" } else { customer.map_or(",", |n| COUNTRIES[n]) };
        all + line + "," + country + "\n"
    });
    fs::write(inputs.0.path().join("history.csv"), history).expect("a file can be written");
    let columns = "id = \"customer\"\ncountry = \"country\"\ntime_zone = \"zone\"";
    let mapping = MAPPING.replace("id = \"customer\"", columns);
    fs::write(inputs.0.path().join("mapping.toml"), mapping).expect("a file can be written");
    let summary = inputs.replay("CO", SPAN.1, "abroad");
    assert_eq!(summary["violations"], 0, "{summary}");
    let folder = inputs.0.path().join("abroad");
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.join(name)).expect("a replay leaves its files");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    };
    let messages = lines("messages.jsonl");
    let days_of = |customer: &str| -> Vec<String> {
        let own = messages.iter().filter(|m| m["customer"] == customer);
        own.map(|m| m["at"].as_str().expect("a moment")[..10].to_owned()).collect()
    };
    for (at, country) in COUNTRIES.iter().enumerate() {
        // C1 pays early, always.
        assert_eq!(days_of(&format!("C{at}")).is_empty(), ["GT,", "CO,"].contains(country), "{country}");
    }
    // Holidays of Argentina and of Brazil that Colombia does not keep.
    assert!(
        !days_of("C2").iter().any(|on| ["2026-03-24", "2026-05-25", "2026-06-17"].contains(&on.as_str()))
    );
    assert!(!days_of("C4").iter().any(|on| ["2026-04-21", "2026-06-04"].contains(&on.as_str())));
    let stranger = lines("decisions.jsonl").into_iter().filter(|d| d["customer"] == "C0");
    let codes =
        |d: Value| d["reasons"].as_array().expect("reasons").iter().map(|r| r["code"].clone()).collect();
    let reasons: Vec<Vec<Value>> = stranger.map(codes).collect();
    assert!(reasons.iter().any(|codes| codes.contains(&"no_calendar".into())), "{:?}", reasons.first());

    // The evidence of each names the law that decided, its holidays included.
    for customer in ["C0", "C2", "C3", "C4"] {
        let (out, file) = (text_of(&folder), text_of(&inputs.0.path().join(customer)));
        run_to(0, &["evidence", "--customer", customer, "--folder", &out, "--out", &file]);
        run_to(0, &["verify", &file]);
        // Nobody reads what it says.
        let mut child = puntual()
            .args(["verify", &file])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("puntual starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("the program ends");
        let errors = text(&ended.stderr);
        assert_eq!((ended.status.code(), errors.contains("panic")), (Some(0), false), "{errors}");
    }
}

#[test]
fn a_column_that_looks_like_a_role_and_is_not_read_is_told() {
    let inputs = Inputs::new();
    let file = |name: &str, bytes: String| {
        let path = inputs.0.path().join(name);
        fs::write(&path, bytes).expect("a file can be written");
        text_of(&path)
    };
    let rows = history()
        .lines()
        .enumerate()
        .fold(String::new(), |all, (at, line)| all + line + if at == 0 { ",Rol\n" } else { ",referencia\n" });
    let (rows, unread) = (file("rows.csv", rows), file("unread.toml", MAPPING.to_owned()));
    let role = "id = \"customer\"\nrole = { column = \"rol\", values = { referencia = \"reference\" } }";
    let read = file("read.toml", MAPPING.replace("id = \"customer\"", role));
    let told = |mapping: &str| {
        text(&run_to(0, &["import", "--dry-run", "--file", &rows, "--mapping", mapping]).stderr)
    };
    assert!(told(&unread).contains("60 rows have a column that looks like the role"), "{}", told(&unread));
    assert!(!told(&read).contains("looks like"), "{}", told(&read));
}
