//! The check finds what was changed, removed, moved or added, whoever did it and wherever.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::chain::hex_of;
use crate::{Problem, VerifyError, verify};

/// Open on weekdays from seven to seven, closed on Sundays and holidays.
const PROFILE: &str = r#"
id = "XX"
timezone = "America/Bogota"
week = "iso"
holidays = "XX"
channels = ["email", "sms"]
[windows.day]
mon = [["07:00", "19:00"]]
tue = [["07:00", "19:00"]]
wed = [["07:00", "19:00"]]
thu = [["07:00", "19:00"]]
fri = [["07:00", "19:00"]]
sat = [["07:00", "19:00"]]
sun = []
holiday = []
[counting]
mode = "any"
[[rules]]
purposes = ["overdue"]
channels = ["*"]
window = "day"
"#;
const HOLIDAYS: &str = "date,name\n2026-01-01,New Year\n2026-03-23,Saint Joseph\n";
const POLICY: &str = "id = \"p\"\nversion = 1\n";

const DAY_MILLIS: i64 = 86_400_000;
/// Monday 2 March 2026, ten in the morning in Bogotá.
const START_MS: i64 = 1_772_463_600_000;

/// An evidence file in the making.
struct Evidence {
    documents: Vec<Value>,
    touches: Vec<Value>,
    fence_version: u64,
}

impl Evidence {
    fn new() -> Self {
        Self { documents: Vec::new(), touches: Vec::new(), fence_version: 1 }
    }

    /// `count` decisions on consecutive days; every second one claims a touch, unless the day is a Sunday.
    fn of_days(count: i64) -> Self {
        let mut evidence = Self::new();
        for n in 0..count {
            let at_ms = START_MS + n * DAY_MILLIS;
            // 23 March is a holiday of the table, and the 22nd day after the start is a Monday in it.
            let closed = n % 7 == 6 || n == 21;
            if n % 2 == 0 && !closed { evidence.claims(at_ms, n) } else { evidence.holds(at_ms) }
        }
        evidence
    }

    fn holds(&mut self, at_ms: i64) {
        self.decides(at_ms, "plan", "skip", "dispute", Value::Null);
    }

    fn claims(&mut self, at_ms: i64, n: i64) {
        let items = json!([["a", "2026-03-01", "d3", 3]]);
        let (id, channel) = (format!("{n:032x}"), "sms");
        let touch = json!({"id": id, "channel": channel, "purpose": "overdue", "stage": "d3", "template": "t", "items": items});
        self.decides(at_ms, "claim", "send", "stage_due", touch);
        let item = json!({"obligation": "a", "due_on": "2026-03-01", "stage": "d3"});
        self.touches.push(
            json!({"id": id, "channel": channel, "items": [item], "state": "sent", "claimed_at_ms": at_ms}),
        );
    }

    fn decides(&mut self, at_ms: i64, cause: &str, decision: &str, code: &str, touch: Value) {
        let local = chrono::DateTime::from_timestamp_millis(at_ms - 5 * 3_600_000).unwrap();
        let mut document = json!({
            "v": 1, "tenant": "t", "customer": "c", "at_ms": at_ms,
            "local": local.format("%Y-%m-%dT%H:%M:%S%.3f-05:00").to_string(), "zone": "America/Bogota",
            "cause": cause, "policy": "p", "policy_version": 1,
            "profile": "XX", "profile_version": hex_of(PROFILE)[..16], "fence_version": self.fence_version,
            "inputs": "0".repeat(64),
            "verdicts": [{"obligation": "a", "due_on": "2026-03-01", "stage": "d3", "decision": decision,
                "reasons": [{"code": code}]}],
        });
        if !touch.is_null() {
            document["touch"] = touch;
        }
        self.documents.push(document);
        self.fence_version += 1;
    }

    /// The file as the product would write it: the chain is made over the documents as they stand.
    fn file(&self) -> Value {
        let mut prev = Value::Null;
        let mut entries = Vec::new();
        for document in &self.documents {
            let mut document = document.clone();
            document["prev"] = prev;
            let (text, hash) = (document.to_string(), hex_of(&document.to_string()));
            prev = json!(hash);
            entries.push(json!({"document": text, "hash": hash}));
        }
        json!({
            "format": "puntual-evidence", "version": 1, "notes": [], "tenant": "t", "customer": "c",
            "fence_version": self.fence_version, "head": prev, "entries": entries, "touches": self.touches,
            "policies": [{"id": "p", "version": 1, "text": POLICY}],
            "profiles": [{"id": "XX", "version": hex_of(PROFILE)[..16], "texts": [PROFILE], "holidays": HOLIDAYS}],
        })
    }
}

fn broken(file: &Value) -> Problem {
    match verify(file.to_string().as_bytes()) {
        Err(VerifyError::Broken(problem)) => problem,
        other => panic!("expected a broken link, found {other:?}"),
    }
}

fn entries(file: &mut Value) -> &mut Vec<Value> {
    file["entries"].as_array_mut().unwrap()
}

#[test]
fn a_whole_file_is_verified_and_counted() {
    let file = Evidence::of_days(30).file();
    let verified = verify(file.to_string().as_bytes()).unwrap();
    assert_eq!((verified.entries, verified.claims, verified.touches), (30, 13, 13));
    assert_eq!(verified.first_at.as_deref(), Some("2026-03-02T15:00:00.000Z"));
    assert_eq!(verified.head.as_deref(), file["head"].as_str());
    let none = verify(Evidence::new().file().to_string().as_bytes()).unwrap();
    assert_eq!((none.entries, none.head), (0, None));
}

#[test]
fn what_is_no_evidence_is_told_from_what_is_broken() {
    let other = |text: &str| matches!(verify(text.as_bytes()), Err(VerifyError::NotEvidence(_)));
    assert!(other("") && other("[]") && other("{}") && other("date,amount\n2026-01-01,5\n"));
    let mut file = Evidence::of_days(2).file();
    assert!(other(&file.to_string()[..200]));
    file["version"] = json!(2);
    assert!(other(&file.to_string()));
}

#[test]
fn removed_swapped_repeated_and_cut_off_entries_are_found() {
    let whole = Evidence::of_days(8).file();
    let entry_of = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut file = whole.clone();
        change(entries(&mut file));
        broken(&file).entry
    };
    for n in 0..7 {
        assert_eq!(entry_of(&|e| drop(e.remove(n))), Some(n + 1), "the next one stands in its place");
        assert_eq!(entry_of(&|e| e.swap(n, n + 1)), Some(n + 1));
        assert_eq!(entry_of(&|e| e.insert(n, e[n].clone())), Some(n + 2));
        assert_eq!(entry_of(&|e| e.truncate(n + 1)), Some(n + 1), "the head names another");
    }
    assert_eq!(entry_of(&|e| e.clear()), None);
    assert_eq!(entry_of(&|e| e.push(e[7].clone())), Some(9));
}

#[test]
fn a_chain_that_was_made_anew_must_still_fit_the_touches_and_the_law() {
    let found = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = Evidence::of_days(8);
        change(&mut evidence);
        broken(&evidence.file())
    };
    // A claim on a Sunday, on a holiday, at night, and by a channel that no rule speaks for.
    for at_ms in
        [START_MS + 13 * DAY_MILLIS, START_MS + 21 * DAY_MILLIS, START_MS + 9 * DAY_MILLIS + 9 * 3_600_000]
    {
        let problem = found(&|e| e.claims(at_ms, 99));
        assert_eq!(problem.entry, Some(9), "{problem}");
        assert!(problem.what.contains("expected an allowed moment"), "{problem}");
    }
    assert_eq!(found(&|e| e.documents[2]["touch"]["channel"] = json!("call")).entry, Some(3));
    // A claim without its touch, a touch without its claim, a touch about something else.
    assert_eq!(found(&|e| drop(e.touches.remove(1))).entry, Some(3));
    assert_eq!(found(&|e| e.documents[4]["at_ms"] = json!(START_MS + 4 * DAY_MILLIS + 1)).entry, Some(5));
    assert!(found(&|e| drop(e.documents.remove(4))).what.contains("expected the entry of its claim"));
    assert_eq!(found(&|e| e.touches[1]["items"][0]["stage"] = json!("d8")).entry, Some(3));
    let unclaimed =
        found(&|e| e.touches.push(json!({"id": "x", "channel": "sms", "items": [], "state": "sent"})));
    assert!(unclaimed.what.contains("never claimed"), "{unclaimed}");
    // Time that runs backwards, another customer, another zone, an unknown key, a rule that is not in the file.
    assert_eq!(found(&|e| e.holds(START_MS)).entry, Some(9));
    assert_eq!(found(&|e| e.documents[3]["customer"] = json!("d")).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["zone"] = json!("America/Santiago")).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["more"] = json!(1)).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["policy_version"] = json!(2)).entry, Some(4));
    assert_eq!(found(&|e| e.documents[3]["profile_version"] = json!("0".repeat(16))).entry, Some(4));
    assert_eq!(found(&|e| e.fence_version = 8).entry, Some(8));
}

#[test]
fn a_text_counts_only_under_its_version() {
    let mut file = Evidence::of_days(3).file();
    file["profiles"][0]["texts"][0] = json!(PROFILE.replace("19:00", "20:00"));
    assert!(broken(&file).what.contains("the text of profile XX has version"));
    let mut file = Evidence::of_days(3).file();
    file["policies"][0]["text"] = json!("id = \"p\"\nversion = 2\n");
    assert!(broken(&file).what.contains("policy p version 1"));
}

#[test]
fn a_small_difference_of_clocks_breaks_nothing() {
    let mut evidence = Evidence::of_days(2);
    evidence.holds(START_MS + DAY_MILLIS - 900);
    assert!(verify(evidence.file().to_string().as_bytes()).is_ok());
}

#[test]
fn a_broken_link_is_told_with_its_number_its_moment_and_what_was_expected() {
    let mut file = Evidence::of_days(4).file();
    entries(&mut file).remove(1);
    let told = VerifyError::Broken(broken(&file)).to_string();
    let start =
        "the evidence is broken at entry 2 of 2026-03-04T15:00:00.000Z: it follows the entry with the hash";
    assert!(told.starts_with(start) && told.contains("; expected "), "{told}");
}

proptest! {
    #[test]
    fn no_byte_of_the_chain_can_be_changed(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let file = Evidence::of_days(12).file();
        let chain = json!({"head": file["head"], "entries": file["entries"]}).to_string();
        let mut changed = chain.into_bytes();
        let place = at.index(changed.len());
        changed[place] ^= 1 << bit;
        // What is no text any more cannot be read; anything else must not be verified.
        if let Ok(text) = String::from_utf8(changed)
            && let Ok(part) = serde_json::from_str::<Value>(&text)
        {
            let mut file = file.clone();
            file["head"] = part["head"].clone();
            file["entries"] = part["entries"].clone();
            prop_assert!(verify(file.to_string().as_bytes()).is_err(), "byte {place}, bit {bit}");
        }
    }
}
