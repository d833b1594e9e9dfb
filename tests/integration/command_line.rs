//! The command line as its users see it: what it prints, what it leaves in its folder, and its exit codes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use store::Store;
use tempfile::TempDir;

use crate::fixture::{POLICY, TENANT, customer_id, run, run_json, run_to, text};
use crate::tidy::root;

/// The header of the portfolio that `infra/demo/portfolio.toml` reads.
const HEADER: &str = "Cliente;Nombre;Tipo;País;Zona horaria;Correo;Celular;Canal preferido;Segmento;Crédito;Cuota;Vence;\
                      Valor;Moneda;Pagado el;En disputa;Autoriza correo;Autoriza SMS";

pub(crate) fn mapping() -> String {
    path(&root().join("infra/demo/portfolio.toml"))
}

pub(crate) fn path(path: &Path) -> String {
    path.to_str().expect("paths of the tests are text").to_owned()
}

/// Writes a file into a folder and returns its path.
pub(crate) fn written(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let file = folder.path().join(name);
    fs::write(&file, bytes).expect("a file of the test can be written");
    path(&file)
}

/// A sound row of the portfolio, with some columns changed.
pub(crate) fn row(obligation: &str, changes: &[(&str, &str)]) -> String {
    let columns: Vec<&str> = HEADER.split(';').collect();
    let sound = [
        "C-1",
        "Ana Ruiz",
        "persona",
        "CO",
        "America/Bogota",
        "ana@example.com",
        "3001234567",
        "correo",
        "consumo",
        "CR-1",
        obligation,
        "20/11/2026",
        "150000,50",
        "COP",
        "",
        "no",
        "sí",
        "sí",
    ];
    let mut fields = sound.map(str::to_owned);
    for (column, value) in changes {
        let at = columns.iter().position(|c| c == column).expect("a column of the portfolio");
        (*value).clone_into(&mut fields[at]);
    }
    fields.join(";")
}

pub(crate) fn portfolio(rows: &[String]) -> String {
    let lines: Vec<&str> = std::iter::once(HEADER).chain(rows.iter().map(String::as_str)).collect();
    lines.join("\n") + "\n"
}

/// Every stage of every obligation that a folder's messages brought, in order.
fn stages_sent(folder: &Path) -> Vec<String> {
    let messages = fs::read_to_string(folder.join("messages.jsonl")).expect("messages were written");
    let mut stages = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).expect("a message is a line of JSON");
        for item in message["obligations"].as_array().expect("a message has obligations") {
            stages.push(format!("{} {}", item["id"], item["stage"]));
        }
    }
    stages
}

fn run_on(day: &str, folder: &str) -> Value {
    let at = format!("{day}T08:00:00-05:00");
    run_json(0, &["run", "--size", "60", "--seed", "3", "--at", &at, "--out", folder])
}

#[test]
fn a_run_sends_once_and_the_next_day_repeats_no_stage() {
    let folder = TempDir::new().unwrap();
    let out = path(folder.path());
    let first = run_on("2026-11-23", &out);
    assert!(first["messages"].as_u64().unwrap() > 0, "{first}");
    assert_eq!(first["customers"], 60);
    let after_first = stages_sent(folder.path());
    assert_eq!(first["verdicts"]["send"].as_u64(), Some(after_first.len() as u64));

    let again = run_on("2026-11-23", &out);
    assert_eq!((&again["messages"], &again["customers"]), (&0.into(), &60.into()));
    assert_eq!(stages_sent(folder.path()), after_first);

    for day in ["2026-11-24", "2026-11-25", "2026-11-26"] {
        run_on(day, &out);
    }
    let all = stages_sent(folder.path());
    assert!(all.len() > after_first.len(), "the next days have something to send too");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a stage was sent twice");
}

#[test]
fn the_same_seed_gives_the_same_messages_in_any_folder() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for folder in [&one, &other] {
        run_on("2026-11-23", &path(folder.path()));
    }
    for file in ["messages.jsonl", "decisions-2026-11-23.jsonl", "portfolio-60-3.csv"] {
        let bytes = |folder: &TempDir| fs::read(folder.path().join(file)).unwrap();
        assert!(bytes(&one) == bytes(&other), "{file} differs");
        assert!(!bytes(&one).is_empty(), "{file} is empty");
    }
}

/// Rows that cannot be sound, each with the code of its mistake and the column that it is in.
fn bad_rows() -> Vec<(String, &'static str, Option<&'static str>)> {
    let bad = |n: usize, column: &str, value: &str| row(&format!("B-{n}"), &[(column, value)]);
    vec![
        ("C-1;Ana Ruiz;persona".to_owned(), "ragged_row", None),
        (bad(1, "Crédito", "CR\0-1"), "control_character", Some("Crédito")),
        (bad(2, "Nombre", &"x".repeat(1 << 20)), "row_too_long", Some("Nombre")),
        (bad(3, "Vence", "30/02/2026"), "bad_date", Some("Vence")),
        (bad(4, "Valor", "1,5,0"), "bad_amount", Some("Valor")),
        (bad(5, "Valor", "-100"), "amount_not_positive", Some("Valor")),
        (bad(6, "Valor", "0"), "amount_not_positive", Some("Valor")),
        (bad(7, "Moneda", "XQZ"), "unknown_currency", Some("Moneda")),
        (bad(8, "Celular", "12"), "bad_phone", Some("Celular")),
        (bad(9, "Correo", "ana@@example"), "bad_email", Some("Correo")),
        (row("G-1", &[("Valor", "999")]), "conflicting_duplicate", Some("Cuota")),
    ]
}

#[test]
fn every_bad_row_is_listed_with_its_place_and_the_good_ones_are_kept() {
    let folder = TempDir::new().unwrap();
    let bad = bad_rows();
    let mut rows = vec![row("G-1", &[])];
    rows.extend(bad.iter().map(|(row, ..)| row.clone()));
    rows.push(row("G-2", &[]));
    let file = written(&folder, "bad.csv", portfolio(&rows));
    let arguments = ["import", "--dry-run", "--file", &file, "--mapping", &mapping()];

    let listing = run_json(2, &arguments);
    assert_eq!((&listing["rows"], &listing["records"]), (&rows.len().into(), &2.into()), "{listing}");
    assert_eq!(listing["bad"], bad.len());
    let found: Vec<(u64, String, Option<String>)> =
        listing["bad_rows"].as_array().unwrap().iter().map(place_of).collect();
    // The header is line 1, the first good row line 2.
    let expected: Vec<(u64, String, Option<String>)> = (3..)
        .zip(&bad)
        .map(|(line, (_, code, column))| (line, (*code).to_owned(), column.map(str::to_owned)))
        .collect();
    assert_eq!(found, expected);

    let printed = run_to(2, &arguments);
    let (records, problems) = (text(&printed.stdout), text(&printed.stderr));
    let good: Vec<&str> = records.lines().skip(1).map(|l| l.split(',').nth(3).unwrap()).collect();
    assert_eq!(good, ["G-1", "G-2"]);
    for (line, code, column) in expected {
        let place = column.map_or(format!("line {line}: "), |c| format!("line {line}, column {c:?}: "));
        let told = problems.lines().find(|l| l.starts_with(&place));
        assert!(told.is_some_and(|l| l.contains(&code) && l.contains("expected")), "{place}: {problems}");
    }
    for secret in ["ana@@example", "Ana Ruiz", "3001234567"] {
        assert!(!problems.contains(secret) && !records.contains(secret), "{secret} was printed");
    }
}

fn place_of(bad: &Value) -> (u64, String, Option<String>) {
    let text = |key: &str| bad[key].as_str().map(str::to_owned);
    (bad["line"].as_u64().expect("a line"), text("code").expect("a code"), text("column"))
}

#[test]
fn a_file_that_is_no_list_is_refused_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let empty = written(&folder, "empty.csv", "");
    let binary = written(&folder, "binary.csv", (0..=255_u8).cycle().take(9_000).collect::<Vec<u8>>());
    let only_header = written(&folder, "header.csv", HEADER);
    let other_header = written(&folder, "other.csv", "a;b\n1;2\n");
    let missing = path(&folder.path().join("missing.csv"));
    let out = path(&folder.path().join("out"));
    let cases = [
        (&empty, "the file is empty; expected a header and rows"),
        (&binary, "neither text nor a workbook; expected CSV or XLSX"),
        (&only_header, "a header and no rows"),
        (&other_header, "Cliente"),
        (&missing, "cannot be read"),
    ];
    for (file, problem) in cases {
        for how in [&["--dry-run"][..], &["--out", &out]] {
            let import = ["import", "--file", file, "--mapping", &mapping()];
            let output = run_to(1, &[&import, how].concat());
            let error = text(&output.stderr);
            assert!(error.contains("error: ") && error.contains(problem), "{file}: {error}");
        }
    }
}

#[test]
fn a_field_that_would_be_a_formula_is_printed_as_text() {
    let folder = TempDir::new().unwrap();
    let rows = [row("=HYPERLINK(1)", &[]), row("G-1", &[("Cliente", "@SUM(A1)")]), row("+1", &[])];
    let file = written(&folder, "formula.csv", portfolio(&rows));
    let output = run_to(0, &["import", "--dry-run", "--file", &file, "--mapping", &mapping()]);
    let printed = text(&output.stdout);
    for neutral in ["'=HYPERLINK(1)", "'@SUM(A1)", "'+1"] {
        assert!(printed.contains(neutral), "{printed}");
    }
    let starts = |cell: &str| cell.starts_with(['=', '@', '+', '-']);
    assert!(!printed.lines().any(|l| l.split(',').any(starts)), "{printed}");
}

/// What a folder's database knows about the customer of [`row`].
fn facts_in(folder: &Path) -> store::CustomerFacts {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let tenant: domain::tenant::Tenant = toml::from_str(TENANT).expect("the demo's tenant is sound");
    let store = Store::file(&folder.join("puntual.sqlite")).expect("the import left a database");
    let facts = runtime.block_on(store.customer_facts(&tenant.id, &customer_id("C-1")));
    facts.expect("facts can be read").expect("the customer was imported")
}

#[test]
fn importing_a_file_again_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let rows = [row("G-1", &[]), row("G-2", &[("Vence", "05/12/2026")])];
    let file = written(&folder, "once.csv", portfolio(&rows));
    let out = path(folder.path());
    let import = |file: &str, sequence: &str| {
        let named = ["import", "--file", file, "--mapping", &mapping(), "--out", &out];
        run_to(0, &[&named[..], &["--sequence", sequence, "--as-of", "2026-11-23"]].concat())
    };
    import(&file, "5");
    let first = facts_in(folder.path());
    assert_eq!(first.obligations.len(), 2);
    let told = text(&import(&file, "5").stderr);
    assert!(told.contains("nothing changed") && !told.contains("error"), "{told}");
    assert_eq!(facts_in(folder.path()), first);
    // The same rows in other bytes, as a later export would have them.
    let export = written(&folder, "again.csv", portfolio(&rows).replace('\n', "\r\n"));
    import(&export, "6");
    assert_eq!(facts_in(folder.path()), first, "rows that say the same are no new facts");
    // An old file that comes late says something else, and is not listened to.
    let late = written(&folder, "late.csv", portfolio(&[row("G-1", &[("Valor", "1,00")])]));
    import(&late, "4");
    assert_eq!(facts_in(folder.path()).obligations, first.obligations);
}

/// Replays the rows of nobody under a policy; only what is refused before the first day is of interest.
fn replay_under(folder: &TempDir, policy: &str, jurisdiction: &str) -> std::process::Output {
    let file = written(folder, "rows.csv", portfolio(&[row("G-1", &[])]));
    let policy = written(folder, "policy.toml", policy);
    let out = path(&folder.path().join("out"));
    run(&[
        "replay",
        "--file",
        &file,
        "--mapping",
        &mapping(),
        "--policy",
        &policy,
        "--jurisdiction",
        jurisdiction,
        "--from",
        "2026-11-20",
        "--to",
        "2026-11-24",
        "--out",
        &out,
    ])
}

/// The place of some text in the policy, counted from 1.
fn place_in(policy: &str, text: &str) -> (usize, usize) {
    let before = &policy[..policy.find(text).expect("the policy has this text")];
    (
        before.lines().count() + usize::from(before.ends_with('\n')),
        before.len() - before.rfind('\n').unwrap_or(0),
    )
}

#[test]
fn a_policy_that_cannot_be_followed_is_refused_with_its_place() {
    let folder = TempDir::new().unwrap();
    let sound = replay_under(&folder, POLICY, "CO");
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stderr));
    let d8 = "id = \"d8\"\ndpd = 8";
    let d15 = "channels = [\"email\", \"sms\"]\ntemplate = \"d15\"";
    let cases = [
        (d8, "id = \"d3\"\ndpd = 8", "\"d3\"\ndpd = 8", "stage d3 is already defined"),
        (d8, "id = \"d8\"\ndpd = 2", "2\ntone = \"firm\"", "stage d8 is out of order"),
        (d15, "channels = [\"email\", \"push\"]\ntemplate = \"d15\"", "\"d15\"\n\n", "uses push"),
    ];
    for (from, to, at, problem) in cases {
        let policy = POLICY.replacen(from, to, 1);
        assert_ne!(policy, POLICY, "{from}");
        let refused = replay_under(&folder, &policy, "CO");
        let error = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{error}");
        let (line, column) = place_in(&policy, at);
        let told = error.lines().find(|l| l.contains(problem)).unwrap_or_default();
        assert!(told.contains(&format!("line {line}, column {column}: ")), "{line}, {column}: {error}");
    }
}

#[test]
fn a_text_with_an_unknown_variable_is_refused_with_its_place() {
    let folder = TempDir::new().unwrap();
    let policy = POLICY.replacen("Hola, {{ first_name }}:", "Hola, {{ apodo }}:", 1);
    let refused = replay_under(&folder, &policy, "CO");
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    let told = error.lines().find(|l| l.contains("apodo")).unwrap_or_default();
    assert!(told.trim_start().starts_with("line ") && told.contains(", column "), "{error}");
    assert!(!folder.path().join("out/messages.jsonl").exists());
}

#[test]
fn an_unknown_jurisdiction_is_refused_with_those_that_there_are() {
    let folder = TempDir::new().unwrap();
    let refused = replay_under(&folder, POLICY, "XX");
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    for id in ["XX", "CO", "PE"] {
        assert!(error.contains(id), "{error}");
    }
}

/// Imports one sound row into a folder, for the customer `C-1`.
fn imported(folder: &TempDir) -> String {
    let out = path(&folder.path().join("out"));
    let file = written(folder, "one.csv", format!("{HEADER}\n{}", row("Q-1", &[])));
    run_to(0, &["import", "--file", &file, "--mapping", &mapping(), "--out", &out]);
    out
}

#[test]
fn contacts_of_others_are_recorded_line_by_line() {
    let folder = TempDir::new().unwrap();
    let out = imported(&folder);
    let lines = [
        "customer,channel,at,answered,agent",
        "C-1,call,2026-11-19T10:00:00-05:00,no,7",
        "C-1,call,2026-11-19T10:00:00-05:00,no,7",
        "C-1,pigeon,2026-11-19T10:00:00-05:00,no,7",
        "C-1,call,2026-11-19 10:00,no,7",
        "C-1,call,9026-11-19T10:00:00-05:00,no,7",
        "C-9,call,2026-11-19T10:00:00-05:00,no,7",
        "C-1,sms,2001-11-19T10:00:00-05:00,yes,7",
    ];
    let file = written(&folder, "calls.csv", lines.join("\n"));
    let now = ["--now", "2026-11-20T09:00:00-05:00"];
    let output = run_to(2, &[&["contact", "--file", &file, "--out", &out, "--json"], &now[..]].concat());
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        counts,
        serde_json::json!({
            "recorded": 1, "known_before": 1, "refused": 4, "too_old_to_count": 1, "unknown_customer": 1
        })
    );
    let errors = text(&output.stderr);
    for told in ["line 4: channel", "line 5: at", "line 6: at", "line 7: customer"] {
        assert!(errors.contains(told), "{told}: {errors}");
    }
    let again = ["contact", "--customer", "C-1", "--channel", "call", "--at", "2026-11-19T10:00:00-05:00"];
    let output = run_to(0, &[&again[..], &["--answered", "--out", &out], &now].concat());
    assert!(text(&output.stdout).contains("recorded"), "the customer answered after all");
}

#[test]
fn an_erased_customer_is_refused_by_the_next_import() {
    let folder = TempDir::new().unwrap();
    let out = imported(&folder);
    let erase = |customer: &'static str| vec!["erase", "--customer", customer];
    let with_out = |mut arguments: Vec<&'static str>, more: &[&'static str]| {
        arguments.extend_from_slice(more);
        arguments.iter().map(|a| (*a).to_owned()).chain(["--out".to_owned(), out.clone()]).collect::<Vec<_>>()
    };
    let run_owned = |code, arguments: Vec<String>| {
        run_to(code, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refused = run_owned(1, with_out(erase("C-1"), &[]));
    assert!(text(&refused.stderr).contains("--yes"));
    run_owned(2, with_out(erase("nobody"), &["--yes"]));
    run_owned(0, with_out(erase("C-1"), &["--yes"]));
    let file = written(&folder, "again.csv", format!("{HEADER}\n{}", row("Q-2", &[])));
    let stored =
        run_json(0, &["import", "--file", &file, "--mapping", &mapping(), "--out", &out])["stored"].clone();
    assert_eq!((&stored["erased_rejected"], &stored["obligations_new"]), (&1.into(), &0.into()));
}

#[test]
fn an_erased_name_and_number_stand_in_no_file_of_the_folder() {
    let (source, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let out = path(folder.path());
    let rows = [
        row("Q-1", &[]),
        row(
            "Q-2",
            &[
                ("Cliente", "C-2"),
                ("Nombre", "Bo Paz"),
                ("Correo", "bo@example.com"),
                ("Celular", "3007654321"),
            ],
        ),
    ];
    let file = written(&source, "two.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    run_to(0, &["import", "--file", &file, "--mapping", &mapping(), "--out", &out]);
    let at = "2026-11-23T08:00:00-05:00";
    run_to(0, &["run", "--size", "1", "--at", at, "--out", &out]);
    let holds = |wanted: &[u8]| -> Vec<String> {
        let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let has = |path: &std::path::PathBuf| {
            fs::read(path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted)
        };
        files.filter(has).map(|path| path.display().to_string()).collect()
    };
    let of_ana = ["Ana Ruiz", "3001234567", "ana@example.com"].map(str::as_bytes);
    let kept = holds(of_ana[1]);
    assert_eq!(kept.len(), 2, "the database and the messages: {kept:?}");
    let erased = run_to(0, &["erase", "--customer", "C-1", "--yes", "--out", &out]);
    assert!(text(&erased.stdout).contains("1 messages of this machine"), "{}", text(&erased.stdout));
    for secret in of_ana {
        assert_eq!(holds(secret), Vec::<String>::new(), "{}", String::from_utf8_lossy(secret));
    }
    assert!(!holds(b"Bo Paz").is_empty(), "others stay");
    let messages = fs::read_to_string(folder.path().join("messages.jsonl")).unwrap();
    let left: Value = serde_json::from_str(messages.lines().find(|l| l.contains("C-1")).unwrap()).unwrap();
    assert_eq!(
        (&left["to"], &left["body"], &left["stage"]),
        (&"erased".into(), &"erased".into(), &"d3".into())
    );
}

#[test]
fn simulated_worlds_are_told_as_one_object_and_a_world_as_its_trace() {
    let told = run_to(0, &["simulate", "--seeds", "4", "--from-seed", "7", "--json"]);
    let object: Value = serde_json::from_slice(&told.stdout).expect("one object");
    assert_eq!(object["seeds"], 4);
    for key in ["duplicates_known", "lost", "other_violations"] {
        assert_eq!(object[key], 0, "{key}");
    }
    assert_eq!(object["duplicates_after_unknown"], object["duplicates_after_words"], "only by a wrong word");
    for key in ["touches", "sends", "unknown_reported", "prevented", "seconds"] {
        assert!(object[key].is_number(), "{key}");
    }
    let traced = run_to(0, &["simulate", "--seed", "7", "--verbose"]);
    assert!(text(&traced.stderr).contains("starts: scan-due: scan"));
    let usage = run(&["simulate", "--verbose"]);
    assert_eq!(usage.status.code(), Some(64), "a trace of many worlds is no use");
}

#[test]
fn what_was_kept_long_enough_is_erased_and_the_rest_stays() {
    let folder = TempDir::new().unwrap();
    let paid = |id: &'static str, due: &'static str, paid: &'static str| {
        row(&format!("Q-{id}"), &[("Cliente", id), ("Vence", due), ("Pagado el", paid)])
    };
    let rows = [
        paid("C-1", "10/01/2019", "12/01/2019"),
        paid("C-2", "01/12/2023", "05/12/2023"),
        row("Q-C-3", &[("Cliente", "C-3"), ("Vence", "10/01/2019")]),
    ];
    let file = written(&folder, "old.csv", portfolio(&rows));
    let out = path(&folder.path().join("out"));
    let import = ["import", "--file", &file, "--mapping", &mapping(), "--out", &out];
    run_to(0, &[&import[..], &["--as-of", "2024-01-01"]].concat());
    let retain = |more: &[&str]| {
        let asked = ["retain", "--out", &out, "--today", "2024-06-01"];
        text(&run_to(0, &[&asked[..], more].concat()).stdout)
    };
    let dry = retain(&["--dry-run"]);
    assert!(dry.starts_with("would erase C-1\n1 customers would be erased, 2 stay\n"), "{dry}");
    let evidence = path(&folder.path().join("evidence.json"));
    let asked = |id: &'static str| vec!["evidence", "--folder", &out, "--customer", id, "--out", &evidence];
    run_to(0, &asked("C-1"));
    let done = retain(&[]);
    assert!(done.starts_with("erased C-1: ") && done.contains("1 customers erased, 2 stay\n"), "{done}");
    assert!(done.contains("1 owe something") && done.contains("1 were active"), "{done}");
    // What remains of an erased customer is evidence, too.
    for id in ["C-1", "C-2", "C-3"] {
        run_to(0, &asked(id));
        run_to(0, &["verify", &evidence]);
    }
    assert!(retain(&[]).starts_with("0 customers erased, 2 stay\n"));
}
