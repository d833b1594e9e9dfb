//! Evidence for the tests: a file in the making, of which every part can be made wrong.
//!
//! Invariant: what it makes without more is whole, as the product would write it.

use serde_json::{Value, json};

use crate::chain::{hex_of, touch_id};
use crate::file::Item;
use crate::{VerifyError, verify};

/// Open on weekdays from seven to seven, closed on Sundays and holidays.
pub(crate) const PROFILE: &str = r#"
id = "XX"
country = "XX"
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
pub(crate) const POLICY: &str = r#"
id = "p"
version = 1
[[stages]]
id = "d3"
dpd = 3
tone = "friendly"
purpose = "overdue"
channels = ["sms"]
template = "t"
[[stages]]
id = "d8"
dpd = 8
tone = "firm"
purpose = "overdue"
channels = ["sms"]
template = "t"
[[templates]]
id = "t"
[templates.sms]
text = "Pague."
"#;

/// From ten in the morning to six.
const MOMENTS_A_DAY: i64 = 48;

pub(crate) const DAY_MILLIS: i64 = 86_400_000;
pub(crate) const HOUR_MILLIS: i64 = 3_600_000;
/// Monday 2 March 2026, ten in the morning in Bogotá.
pub(crate) const START_MS: i64 = 1_772_463_600_000;

/// An evidence file in the making.
#[derive(Clone)]
pub(crate) struct Evidence {
    pub(crate) documents: Vec<Value>,
    /// Everything beside the chain, by its section.
    pub(crate) beside: Value,
    pub(crate) fence_version: u64,
    pub(crate) policy: String,
    /// The texts of the profile, and its holidays.
    pub(crate) texts: Vec<String>,
}

fn local_of(at_ms: i64) -> chrono::NaiveDateTime {
    chrono::DateTime::from_timestamp_millis(at_ms - 5 * HOUR_MILLIS).unwrap().naive_utc()
}

impl Evidence {
    pub(crate) fn new() -> Self {
        let beside = json!({
            "erased_at_ms": null, "touches": [], "contacts": [], "reached": [], "failed": [], "obligations": [],
            "payments": [], "consents": [], "suppressions": [{"channel": "sms", "suppressed": false}],
            "contact_points": [{"channel": "sms", "address": "***", "test": true}],
            "profile": {"name": "***", "kind": null, "role": "debtor", "country": null, "time_zone": null,
                "language": null, "segment": null, "preferred_channel": null, "hold": null, "agreed_hours": null},
        });
        let (policy, texts) = (POLICY.to_owned(), vec![PROFILE.to_owned()]);
        Self { documents: Vec::new(), beside, fence_version: 1, policy, texts }
    }

    /// `count` decisions on consecutive days; every second one claims a touch, unless the day is a Sunday.
    pub(crate) fn of_days(count: i64) -> Self {
        let mut evidence = Self::new();
        for n in 0..count {
            let at_ms = START_MS + n * DAY_MILLIS;
            // 23 March is a holiday of the table, and the 22nd day after the start is a Monday in it.
            let closed = n % 7 == 6 || n == 21;
            if n % 2 == 0 && !closed { evidence.claims(at_ms, n) } else { evidence.holds(at_ms) }
        }
        evidence
    }

    /// `count` decisions ten minutes apart in the open hours of the days; every second one claims a touch.
    pub(crate) fn of_moments(count: i64) -> Self {
        let mut evidence = Self::new();
        let of_day = |day: i64| (0..MOMENTS_A_DAY).map(move |n| START_MS + day * DAY_MILLIS + n * 600_000);
        let open = (0..).filter(|day| day % 7 != 6 && *day != 21).flat_map(of_day);
        for (n, at_ms) in (0..count).zip(open) {
            if n % 2 == 0 { evidence.claims(at_ms, n) } else { evidence.holds(at_ms) }
        }
        let kept = |contact: &Value, last_ms: i64| {
            let day = |at_ms: i64| at_ms.div_euclid(DAY_MILLIS);
            contact["at_ms"].as_i64().is_some_and(|at_ms| day(last_ms) - day(at_ms) <= 35)
        };
        let contacts = evidence.beside["contacts"].as_array_mut().unwrap();
        let last_ms = contacts.last().and_then(|contact| contact["at_ms"].as_i64()).unwrap_or_default();
        contacts.retain(|contact| kept(contact, last_ms));
        let touches = evidence.beside["touches"].as_array_mut().unwrap();
        touches.sort_by_key(|touch| (touch["on"].to_string(), touch["id"].to_string()));
        evidence
    }

    pub(crate) fn push(&mut self, section: &str, value: Value) {
        self.beside[section].as_array_mut().unwrap().push(value);
    }

    pub(crate) fn holds(&mut self, at_ms: i64) {
        self.decides(at_ms, "plan", ("skip", "dispute"), "a", Value::Null);
    }

    /// A claim about an obligation of its own, which is due three days before.
    pub(crate) fn claims(&mut self, at_ms: i64, n: i64) {
        let obligation = if n < 100 { format!("o{n:02}") } else { format!("p{n:05}") };
        let due_on = local_of(at_ms).date() - chrono::Days::new(3);
        let item = json!({"obligation": obligation, "due_on": due_on, "stage": "d3", "dpd": 3});
        let items: Vec<Item> = vec![serde_json::from_value(item.clone()).unwrap()];
        let id = touch_id("t", "sms", &items);
        let touch = json!({"id": id, "channel": "sms", "purpose": "overdue", "stage": "d3", "template": "t",
            "items": [[obligation, due_on, "d3", 3]]});
        let fence_version = self.fence_version;
        self.decides(at_ms, "claim", ("send", "stage_due"), &obligation, touch);
        self.push("touches", json!({
            "id": id, "on": local_of(at_ms).date(), "send_at_ms": at_ms, "channel": "sms", "purpose": "overdue",
            "stage": "d3", "tone": "friendly", "template": "t", "items": [item], "policy": "p",
            "policy_version": 1, "state": "sent", "claimed_at_ms": at_ms, "settled_at_ms": at_ms + 100,
            "fence_version": fence_version, "provider_id": "0100", "reason": null,
            "history": [{"report": "sent", "source": "sender", "code": "", "at_ms": at_ms + 100,
                "recorded_at_ms": at_ms + 100}],
        }));
        self.push("contacts", json!({"at_ms": at_ms, "channel": "sms", "answered": false}));
        self.push("reached", item);
        self.push(
            "obligations",
            json!({"id": obligation, "account": null, "due_on": due_on,
            "amount_minor": 100, "currency": "COP", "paid_minor": 0, "closed_on": null, "holds": []}),
        );
    }

    fn decides(&mut self, at_ms: i64, cause: &str, told: (&str, &str), obligation: &str, touch: Value) {
        let local = local_of(at_ms);
        let mut document = json!({
            "v": 2, "tenant": "t", "customer": "c", "at_ms": at_ms,
            "local": local.format("%Y-%m-%dT%H:%M:%S%.3f-05:00").to_string(), "zone": "America/Bogota",
            "cause": cause, "policy": "p", "policy_version": 1, "policy_hash": hex_of(&self.policy)[..32],
            "profile": "XX", "profile_version": self.profile_version(), "fence_version": self.fence_version,
            "inputs": "0".repeat(64),
            "verdicts": [{"obligation": obligation, "due_on": local.date() - chrono::Days::new(3), "stage": "d3",
                "decision": told.0, "reasons": [{"code": told.1}]}],
        });
        if !touch.is_null() {
            document["touch"] = touch;
        }
        self.documents.push(document);
        self.fence_version += 1;
    }

    pub(crate) fn records(&mut self, at_ms: i64, fact: Value) {
        self.documents.push(json!({"v": 2, "tenant": "t", "customer": "c", "at_ms": at_ms,
            "fence_version": self.fence_version, "fact": fact}));
        self.fence_version += 1;
    }

    fn profile_version(&self) -> String {
        hex_of(self.texts.concat() + HOLIDAYS)[..16].to_owned()
    }

    /// The file as the product would write it: the chain is made over the documents as they stand.
    pub(crate) fn file(&self) -> Value {
        let mut prev = Value::Null;
        let mut entries = Vec::new();
        for document in &self.documents {
            let mut document = document.clone();
            document["prev"] = prev;
            let (text, hash) = (document.to_string(), hex_of(document.to_string()));
            prev = json!(hash);
            entries.push(json!({"document": text, "hash": hash}));
        }
        let decided = self.documents.iter().any(|d| d.get("fact").is_none());
        let policy =
            json!({"id": "p", "version": 1, "hash": hex_of(&self.policy)[..32], "text": self.policy});
        let profile = json!({"id": "XX", "version": self.profile_version(), "texts": self.texts,
            "holidays": HOLIDAYS});
        let mut file = json!({
            "format": "puntual-evidence", "version": 2, "notes": ["a note"], "tenant": "t", "customer": "c",
            "made_at": "2026-04-01T10:00:00Z", "contact_data": "masked",
            "fence_version": self.fence_version, "head": prev, "entries": entries,
            "policies": if decided { json!([policy]) } else { json!([]) },
            "profiles": if decided { json!([profile]) } else { json!([]) },
        });
        for (section, value) in self.beside.as_object().unwrap() {
            file[section] = value.clone();
        }
        sealed(file)
    }
}

/// A file with the seals that its sections have as they stand.
pub(crate) fn sealed(mut file: Value) -> Value {
    file.as_object_mut().unwrap().remove("seals");
    let seal = |(section, value): (&String, &Value)| json!({"section": section, "sha256": hex_of(crate::seal::canonical(value))});
    let sections: std::collections::BTreeMap<_, _> = file.as_object().unwrap().iter().collect();
    file["seals"] = sections.into_iter().map(seal).collect();
    file
}

pub(crate) fn verified(evidence: &Evidence) -> Result<crate::Verified, VerifyError> {
    verify(evidence.file().to_string().as_bytes())
}
