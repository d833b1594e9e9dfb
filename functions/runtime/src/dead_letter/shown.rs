//! What of a message may be shown.
//!
//! Invariant: only values that are known to name no person are shown: those of our own jobs, which carry ids, and of a
//! provider's event the few that say what happened to which message. Everything else is a count of its characters.

use serde_json::Value;

/// Keys whose values name no person: those of our jobs, and those of provider events that say what happened.
const PLAIN_KEYS: [&str; 24] = [
    "v",
    "tenant",
    "shard",
    "as_of",
    "customer",
    "touch",
    "on",
    "channel",
    "wave",
    "send_at",
    "eventType",
    "notificationType",
    "detail-type",
    "source",
    "version",
    "timestamp",
    "messageId",
    "MessageId",
    "bounceType",
    "bounceSubType",
    "complaintFeedbackType",
    "delayType",
    "status",
    "Type",
];
/// How much of a value of a plain key is shown, in characters: longer ones are no ids.
const PLAIN_CHARS_MAX: usize = 200;
/// Keys whose text is JSON of its own.
const NESTED_KEYS: [&str; 2] = ["Message", "message"];

/// A message as it may be shown: JSON of the same form with what could name a person replaced, or a word on its size.
#[must_use]
pub fn shown_body(body: &str) -> Value {
    match serde_json::from_str(body) {
        Ok(value) => shown(None, value),
        Err(_) => Value::String(format!("{} bytes that are no JSON", body.len())),
    }
}

fn shown(key: Option<&str>, value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (String, Value)| {
                let value = shown(Some(&name), value);
                (if is_name(&name) { name } else { size_of(&name) }, value)
            };
            Value::Object(fields.into_iter().map(field).collect())
        }
        Value::Array(values) => values.into_iter().map(|value| shown(key, value)).collect(),
        Value::String(text) => Value::String(shown_text(key, text)),
        Value::Number(_) if !key.is_some_and(is_plain) => Value::String("a number".to_owned()),
        Value::Number(_) | Value::Bool(_) | Value::Null => value,
    }
}

fn shown_text(key: Option<&str>, text: String) -> String {
    if key.is_some_and(|key| NESTED_KEYS.contains(&key))
        && let Ok(nested) = serde_json::from_str::<Value>(&text)
        && nested.is_object()
    {
        return shown(None, nested).to_string();
    }
    // An id of ours is free text, and one that looks like an address is not shown either.
    if key.is_some_and(is_plain) && text.chars().count() <= PLAIN_CHARS_MAX && !text.contains('@') {
        text
    } else {
        size_of(&text)
    }
}

fn is_plain(key: &str) -> bool {
    PLAIN_KEYS.contains(&key)
}

/// Whether a key is the name of a field and not itself a value.
fn is_name(key: &str) -> bool {
    key.len() <= 40 && key.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.' | ':'))
}

fn size_of(text: &str) -> String {
    format!("{} characters", text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_is_shown_as_it_is() {
        let job = json!({"v": 1, "tenant": "demo", "customer": "C-1", "touch": "t", "on": "2026-11-23", "channel": "sms"});
        assert_eq!(shown_body(&job.to_string()), job);
    }

    #[test]
    fn nothing_of_an_event_names_a_person() {
        let event = json!({
            "eventType": "Bounce",
            "mail": {
                "messageId": "0100", "destination": ["ana@example.com"], "commonHeaders": {"subject": "Ana debe"},
                "tags": {"ana@example.com": ["x"]},
            },
            "bounce": {"bouncedRecipients": [{"emailAddress": "ana@example.com", "diagnosticCode": "550 ana"}]},
            "phone": 573_001_234_567_u64,
        });
        let topic = json!({"Type": "Notification", "Message": event.to_string()});
        for body in [event.to_string(), topic.to_string(), json!({"customer": "ana@example.com"}).to_string()]
        {
            let shown = shown_body(&body).to_string();
            for said in ["ana", "Ana", "example", "57300"] {
                assert!(!shown.contains(said), "{said} is in {shown}");
            }
        }
        assert!(shown_body(&topic.to_string()).to_string().contains("Bounce"));
        assert_eq!(shown_body("ana@example.com"), json!("15 bytes that are no JSON"));
    }
}
