//! How long the evidence of 10,000 decisions takes to verify. The product promises less than a second.

use std::collections::BTreeMap;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use domain::jurisdiction::Jurisdiction;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const POLICY: &str = include_str!("../../../infra/demo/policy.toml");
const DECISIONS: i64 = 10_000;
const HOUR_MILLIS: i64 = 3_600_000;
/// Monday 4 January 2027 in Bogotá, ten in the morning.
const START_MS: i64 = 1_799_074_800_000;

fn main() {
    divan::main();
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}

/// Decisions an hour apart, none of which sends.
fn evidence() -> String {
    let version = Jurisdiction::built_in("CO").expect("a built-in profile").version();
    let (mut entries, mut prev) = (Vec::new(), Value::Null);
    for n in 0..DECISIONS {
        let at_ms = START_MS + n * HOUR_MILLIS;
        let local = chrono::DateTime::from_timestamp_millis(at_ms - 5 * HOUR_MILLIS).expect("an instant");
        let document = json!({
            "v": 2, "tenant": "demo", "customer": "7590-VHVEG", "at_ms": at_ms,
            "local": local.format("%Y-%m-%dT%H:%M:%S%.3f-05:00").to_string(), "zone": "America/Bogota",
            "cause": "plan", "policy": "default", "policy_version": 1, "policy_hash": hash(POLICY)[..32], "profile": "CO",
            "profile_version": version, "fence_version": n, "inputs": "0".repeat(64),
            "verdicts": [{"obligation": "9611365-0001", "due_on": local.date_naive() - chrono::Days::new(5), "stage": "d3",
                "decision": "skip", "reasons": [{"code": "dispute"}]}],
            "prev": prev,
        })
        .to_string();
        let hash = hash(&document);
        entries.push(json!({"document": document, "hash": hash}));
        prev = hash.into();
    }
    let text = Jurisdiction::built_in_text("CO").expect("a built-in profile");
    let holidays = domain::calendar::HolidayTable::built_in_text("CO").expect("a built-in table");
    let mut file = json!({
        "format": "puntual-evidence", "version": 2, "notes": [], "tenant": "demo", "customer": "7590-VHVEG",
        "made_at": "2028-01-01T00:00:00Z", "contact_data": "masked", "erased_at_ms": null,
        "fence_version": DECISIONS, "head": prev, "entries": entries, "touches": [], "contacts": [],
        "reached": [], "failed": [], "obligations": [], "payments": [], "consents": [], "suppressions": [],
        "contact_points": [], "profile": null,
        "policies": [{"id": "default", "version": 1, "hash": hash(POLICY)[..32], "text": POLICY}],
        "profiles": [{"id": "CO", "version": version, "texts": [text], "holidays": holidays}],
    });
    let seal = |(section, value): (&String, &Value)| json!({"section": section, "sha256": hash(&sorted(value).to_string())});
    let sections: BTreeMap<&String, &Value> = file.as_object().into_iter().flatten().collect();
    let seals: Value = sections.into_iter().map(seal).collect();
    file["seals"] = seals;
    file.to_string()
}

/// A value whose objects have their keys in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let keys: BTreeMap<&String, Value> = object.iter().map(|(k, v)| (k, sorted(v))).collect();
            Value::Object(keys.into_iter().map(|(k, v)| (k.clone(), v)).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[divan::bench]
fn evidence_verified(bencher: Bencher<'_, '_>) {
    let text = evidence();
    let counted =
        bencher.counter(ItemsCount::new(DECISIONS.unsigned_abs())).counter(BytesCount::of_str(&text));
    counted.bench(|| verifier::verify(text.as_bytes()).expect("the file is sound").entries);
}
