//! Every single change of a file is seen: each key and each element removed, repeated and moved, each value changed.
//!
//! Invariant: sealed again after the change, a file is verified only where the change is to something that the chain does
//! not hold, and those places are listed here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::made_up::{Evidence, START_MS, sealed};
use crate::verify;

/// Where a change can be sealed again unseen, with every index left out: what imports and providers say, what is told
/// about the file itself, and how far the fence has moved since the last entry.
const NOT_HELD: [&str; 14] = [
    "/notes/*",
    "/fence_version",
    "/consents/*",
    "/consents/*/granted",
    "/consents/*/on",
    "/contact_points/*/test",
    "/suppressions/*/suppressed",
    "/obligations/*/amount_minor",
    "/obligations/*/paid_minor",
    "/payments/*",
    "/payments/*/amount_minor",
    "/payments/*/id",
    "/payments/*/obligation",
    "/payments/*/paid_on",
];
/// The same, about the reports of providers.
const REPORTED: [&str; 3] =
    ["/touches/*/provider_id", "/touches/*/history/*/at_ms", "/touches/*/history/*/code"];

/// A file with something in most of its sections.
fn whole() -> Value {
    let mut evidence = Evidence::of_days(3);
    let at_ms = START_MS + 2 * 86_400_000 + 1;
    evidence.records(at_ms, json!({"contact": {"at_ms": at_ms, "channel": "call", "answered": true}}));
    evidence.push("contacts", json!({"at_ms": at_ms, "channel": "call", "answered": true}));
    let word = json!({"channel": "sms", "granted": true, "on": "2026-03-03", "at": "2026-03-03T15:00:00Z",
        "source": "api", "evidence": "call 7"});
    let choice = json!({"id": "w", "at": "2026-03-03T15:00:00Z", "what": {"words": [word]}});
    evidence.records(at_ms, json!({"choice": choice}));
    evidence.push("consents", word);
    evidence.push(
        "consents",
        json!({"channel": "sms", "granted": true, "on": "2026-03-01", "source": "contract"}),
    );
    evidence.push(
        "payments",
        json!({"id": "p", "obligation": "o00", "amount_minor": 10, "paid_on": "2026-03-01"}),
    );
    evidence.beside["obligations"][0]["paid_minor"] = json!(10);
    let file = evidence.file();
    verify(file.to_string().as_bytes()).expect("the file is whole");
    file
}

/// The pointers to every value below one.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let at = format!("{at}/{key}");
                all.push(at.clone());
                pointers(value, &at, all);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                let at = format!("{at}/{i}");
                all.push(at.clone());
                pointers(value, &at, all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Another value of the same kind, which could stand in its place.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!("x"), json!(1)],
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => {
            let number = number.as_i64().expect("whole numbers");
            vec![json!(number + 1), json!(number - 1), Value::Null]
        }
        Value::String(text) => match text.parse::<chrono::NaiveDate>() {
            Ok(on) => vec![json!(on.succ_opt()), json!(on.pred_opt())],
            Err(_) => vec![json!(format!("{text}x")), json!(""), Value::Null],
        },
        Value::Array(_) | Value::Object(_) => Vec::new(),
    }
}

/// Every change of one place of a file.
fn changes(file: &Value, pointer: &str) -> Vec<Value> {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer has a slash");
    let mut all = Vec::new();
    let mut changed = |change: &dyn Fn(&mut Value)| {
        let mut file = file.clone();
        change(file.pointer_mut(parent).expect("it is there"));
        all.push(file);
    };
    match file.pointer(parent).expect("it is there") {
        Value::Object(_) => changed(&|parent| drop(parent.as_object_mut().expect("an object").remove(key))),
        Value::Array(items) => {
            let i: usize = key.parse().expect("an index");
            let is_last = i + 1 == items.len();
            changed(&|parent| drop(parent.as_array_mut().expect("an array").remove(i)));
            changed(&|parent| {
                let items = parent.as_array_mut().expect("an array");
                items.insert(i, items[i].clone());
            });
            if !is_last && items[i] != items[i + 1] {
                changed(&|parent| parent.as_array_mut().expect("an array").swap(i, i + 1));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            panic!("nothing is below {parent}")
        }
    }
    let value = file.pointer(pointer).expect("it is there");
    for other in others(value).into_iter().filter(|other| other != value) {
        let mut file = file.clone();
        *file.pointer_mut(pointer).expect("it is there") = other;
        all.push(file);
    }
    all
}

fn without_indexes(pointer: &str) -> String {
    let part = |part: &str| if part.parse::<usize>().is_ok() { "*".to_owned() } else { part.to_owned() };
    pointer.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn every_single_change_is_refused() {
    let file = whole();
    let mut all = Vec::new();
    pointers(&file, "", &mut all);
    assert!(all.len() > 200, "{}", all.len());
    for pointer in &all {
        for (n, changed) in changes(&file, pointer).iter().enumerate() {
            assert!(verify(changed.to_string().as_bytes()).is_err(), "change {n} of {pointer}");
        }
    }
}

#[test]
fn sealed_again_only_what_the_chain_does_not_hold_can_be_changed() {
    let file = whole();
    let mut all = Vec::new();
    pointers(&file, "", &mut all);
    let mut unseen = BTreeSet::new();
    for pointer in all.iter().filter(|p| !p.starts_with("/seals")) {
        for changed in changes(&file, pointer) {
            if verify(sealed(changed).to_string().as_bytes()).is_ok() {
                unseen.insert(without_indexes(pointer));
            }
        }
    }
    let profile = ["/profile/segment".to_owned()];
    let accounts = ["/obligations/*/account".to_owned(), "/obligations/*".to_owned()];
    let expected: BTreeSet<String> =
        NOT_HELD.iter().chain(&REPORTED).map(|p| (*p).to_owned()).chain(profile).chain(accounts).collect();
    assert_eq!(unseen, expected);
}

#[test]
fn a_key_that_is_there_twice_is_refused_with_its_line() {
    let text = serde_json::to_string_pretty(&whole()).unwrap();
    for (once, twice) in [
        ("  \"head\":", "  \"head\": null,\n  \"head\":"),
        ("\"state\":", "\"state\": \"sent\",\n      \"state\":"),
        ("\"granted\":", "\"granted\": true,\n      \"granted\":"),
    ] {
        let changed = text.replacen(once, twice, 1);
        assert_ne!(changed, text);
        let error = verify(changed.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("duplicate field") && error.contains(" at line "), "{error}");
    }
}
