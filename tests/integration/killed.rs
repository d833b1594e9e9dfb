//! SIGKILL: the program, killed at random moments and started again, loses nothing and sends nothing twice.
//!
//! Every test prints its seed. A moment is a size that a file of the folder has reached, and some polls more, so nothing
//! here depends on how fast the machine is; whatever the moment, the same must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use domain::tenant::Tenant;
use domain::touch::TouchState;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use store::{CustomerFacts, Store};
use tempfile::TempDir;

use crate::command_line::{mapping, path, portfolio, row, written};
use crate::fixture::{TENANT, puntual, run_json, run_to, text};

/// How long one look at the files waits for the next.
const POLL_EVERY: Duration = Duration::from_millis(1);
/// The most looks that a kill waits after its file has the size.
const POLLS_MORE_MAX: u32 = 40;
/// How many customers one page of the store holds.
const PAGE: u32 = 5_000;

/// Starts the program and kills it when a moment has come; `false` where it ended by itself before.
fn is_killed(arguments: &[&str], errors: &Path, polls_more: u32, has_come: impl Fn() -> bool) -> bool {
    let log = File::create(errors).expect("a file for what the program says");
    let mut command = puntual();
    let mut child =
        command.args(arguments).stdout(Stdio::null()).stderr(log).spawn().expect("puntual starts");
    let mut polls_left = polls_more;
    loop {
        if let Some(status) = child.try_wait().expect("the program can be asked") {
            let said = fs::read(errors).expect("what the program said");
            assert!(status.success(), "{}", text(&said));
            return false;
        }
        if has_come() {
            if polls_left == 0 {
                // SIGKILL, which no program can see coming.
                child.kill().expect("the program can be killed");
                child.wait().expect("a killed program ends");
                return true;
            }
            polls_left -= 1;
        }
        thread::park_timeout(POLL_EVERY);
    }
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |found| found.len())
}

/// How much the database of a folder takes, with its write-ahead log, in bytes.
fn database_size(folder: &Path) -> u64 {
    size(&folder.join("puntual.sqlite")) + size(&folder.join("puntual.sqlite-wal"))
}

/// So many numbers below a bound, in order.
fn moments(random: &mut ChaCha8Rng, count: usize, below: u64) -> Vec<u64> {
    let mut moments: Vec<u64> = (0..count).map(|_| random.random_range(0..below)).collect();
    moments.sort_unstable();
    moments
}

/// The lines of a file of JSON.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("the file was written");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn tenant() -> Tenant {
    toml::from_str(TENANT).expect("the demo's tenant is sound")
}

/// What is known about every customer of a folder, by id.
async fn facts_of(folder: &Path) -> BTreeMap<String, CustomerFacts> {
    let store = Store::file(&folder.join("puntual.sqlite")).expect("the database opens");
    let tenant = tenant().id;
    let (mut known, mut cursor) = (BTreeMap::new(), None);
    loop {
        let page = store.customers_page(&tenant, cursor, PAGE).await.expect("customers can be read");
        for customer in page.items {
            let facts = store.customer_facts(&tenant, &customer).await.expect("facts can be read");
            known.insert(customer.to_string(), facts.expect("a customer has facts"));
        }
        cursor = page.next;
        if cursor.is_none() {
            return known;
        }
    }
}

/// What became of every touch of a folder, by id.
async fn touches_of(folder: &Path) -> BTreeMap<String, TouchState> {
    let store = Store::file(&folder.join("puntual.sqlite")).expect("the database opens");
    let tenant = tenant().id;
    let mut states = BTreeMap::new();
    for facts in facts_of(folder).await.into_values() {
        let touches = store.touches(&tenant, &facts.customer.id).await.expect("touches can be read");
        states.extend(touches.into_iter().map(|t| (t.touch.id.to_string(), t.state)));
    }
    states
}

/// Customers that give about 5,000 touches on the day.
const CUSTOMERS: &str = "6500";
/// What the outbox holds at least once everything was sent, in bytes: every kill comes before that.
const OUTBOX_BYTES: u64 = 2_500_000;
/// What the database takes at least once everything was imported, in bytes.
const IMPORTED_BYTES: u64 = 12_000_000;
const KILLS_AT_IMPORT: usize = 6;
const KILLS_AT_SENDING: usize = 44;

fn day_in(folder: &str) -> [&str; 9] {
    ["run", "--size", CUSTOMERS, "--seed", "11", "--at", "2026-11-23T08:00:00-05:00", "--out", folder]
}

#[tokio::test]
async fn a_run_that_is_killed_fifty_times_sends_every_message_once() {
    let seed = 20_261_123;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (whole, killed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (whole_out, out) = (path(whole.path()), path(killed.path()));
    let errors = killed.path().join("errors.txt");
    let reference = thread::spawn(move || run_json(0, &day_in(&whole_out)));

    let outbox = killed.path().join("messages.jsonl");
    let mut kills = 0;
    for bytes in moments(&mut random, KILLS_AT_IMPORT, IMPORTED_BYTES) {
        let more = random.random_range(0..POLLS_MORE_MAX);
        let has_come = || database_size(killed.path()) >= bytes;
        kills += usize::from(is_killed(&day_in(&out), &errors, more, has_come));
    }
    for bytes in moments(&mut random, KILLS_AT_SENDING, OUTBOX_BYTES) {
        let more = random.random_range(0..POLLS_MORE_MAX);
        kills += usize::from(is_killed(&day_in(&out), &errors, more, || size(&outbox) >= bytes));
    }
    assert_eq!(kills, KILLS_AT_IMPORT + KILLS_AT_SENDING, "every moment comes before the end");
    let last = run_json(0, &day_in(&out));
    let reference = reference.join().expect("the reference ran");
    assert!(size(&whole.path().join("messages.jsonl")) >= OUTBOX_BYTES);

    let expected = sent_once(&whole.path().join("messages.jsonl"));
    assert_eq!(reference["messages"], expected.len());
    assert!(expected.len() > 4_500, "about 5,000 touches: {}", expected.len());
    let sent = sent_once(&outbox);
    let states = touches_of(killed.path()).await;
    let unknown: BTreeSet<&String> =
        states.iter().filter(|(_, state)| **state == TouchState::Unknown).map(|(id, _)| id).collect();
    println!("{kills} kills, {} sent, {} unknown", sent.len(), unknown.len());
    assert_eq!(last["unknown"], unknown.len(), "the report shows what is unknown");
    assert!(unknown.len() <= kills, "at most one message was in flight at a kill");
    for touch in &expected {
        match states.get(touch) {
            Some(TouchState::Unknown) => {}
            Some(TouchState::Sent) => assert!(sent.contains(touch), "{touch} is said to be sent"),
            other => panic!("{touch} is {other:?}: it was lost"),
        }
    }
    assert!(sent.is_subset(&expected) && states.len() == expected.len(), "something else was sent");
    every_stage_has_its_verdict(whole.path(), killed.path(), &states);
}

/// The touches of an outbox, each of which is there once.
fn sent_once(outbox: &Path) -> BTreeSet<String> {
    let messages = lines(outbox);
    let (mut touches, mut stages) = (BTreeSet::new(), BTreeSet::new());
    for message in &messages {
        let touch = message["touch"].as_str().expect("a message names its touch");
        assert!(touches.insert(touch.to_owned()), "touch {touch} was sent twice");
        for item in message["obligations"].as_array().expect("a message has obligations") {
            assert!(stages.insert(item.to_string()), "stage {item} was sent twice");
        }
    }
    touches
}

/// Every obligation has the verdict that it has where nothing was killed; only of a message that is unknown it may be
/// said that its stage was reached.
fn every_stage_has_its_verdict(whole: &Path, killed: &Path, states: &BTreeMap<String, TouchState>) {
    let verdicts = |folder: &Path| -> BTreeMap<String, Value> {
        let lines = lines(&folder.join("decisions-2026-11-23.jsonl"));
        lines.into_iter().map(|line| (line["obligation"].to_string(), line)).collect()
    };
    let (expected, found) = (verdicts(whole), verdicts(killed));
    let unknown = states.values().filter(|state| **state == TouchState::Unknown).count();
    let mut without_send = BTreeSet::new();
    for (obligation, expected) in &expected {
        let found = found.get(obligation).unwrap_or_else(|| panic!("{obligation} has no verdict"));
        if found != expected {
            assert_eq!(expected["verdict"], "send", "{obligation}: {found}");
            assert_eq!(found["reasons"][0]["code"], "stage_reached", "{obligation}: {found}");
            without_send.insert(found["customer"].to_string());
        }
    }
    assert_eq!(found.len(), expected.len());
    assert!(without_send.len() <= unknown, "a message was sent and its reason is not on file");
}

/// How many rows the file of the import has.
const ROWS: usize = 20_000;
const KILLS_OF_THE_IMPORT: usize = 20;

#[tokio::test]
async fn an_import_that_is_killed_twenty_times_ends_with_the_same_facts() {
    let seed = 20_261_124;
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (whole, killed) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let rows: Vec<String> = (0..ROWS)
        .map(|at| {
            let (customer, obligation) = (format!("C-{}", at * 7 % 9_973), format!("O-{at}"));
            let address = format!("c{}@example.com", at * 7 % 9_973);
            row(
                &obligation,
                &[("Cliente", &customer), ("Correo", &address), ("Crédito", &format!("CR-{at}"))],
            )
        })
        .collect();
    let (file, mapping) = (written(&whole, "rows.csv", portfolio(&rows)), mapping());
    let (whole_out, out) = (path(whole.path()), path(killed.path()));
    let import = |out| {
        ["import", "--file", file.as_str(), "--mapping", &mapping, "--as-of", "2026-11-23", "--out", out]
    };
    run_to(0, &import(&whole_out));
    let below = database_size(whole.path()) / 10 * 9;

    let errors = killed.path().join("errors.txt");
    let mut kills = 0;
    for bytes in moments(&mut random, KILLS_OF_THE_IMPORT, below) {
        let more = random.random_range(0..POLLS_MORE_MAX);
        let has_come = || database_size(killed.path()) >= bytes;
        kills += usize::from(is_killed(&import(&out), &errors, more, has_come));
    }
    assert_eq!(kills, KILLS_OF_THE_IMPORT, "every moment comes before the end");
    run_to(0, &import(&out));
    assert!(text(&run_to(0, &import(&out)).stderr).contains("imported before"));

    let (expected, found) = (facts_of(whole.path()).await, facts_of(killed.path()).await);
    assert_eq!(expected.values().map(|facts| facts.obligations.len()).sum::<usize>(), ROWS);
    assert!(expected == found, "the facts differ");
}
