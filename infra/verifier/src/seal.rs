//! Seals: a hash of every section of the file, so that a change by accident or in passing shows, wherever it is.
//!
//! Invariant: every section has its seal, and every seal its section. A seal proves nothing against somebody who writes
//! the file anew and seals it again: that is what the chain is for, and the seal that somebody else has kept.

use serde::Serialize;
use serde_json::Value;

use crate::Problem;
use crate::chain::{clipped, hex_of};
use crate::file::Seal;

/// The section that holds the seals.
const SEALS: &str = "seals";

/// Checks the seals of a file, and gives the seal of all of them.
pub(crate) fn check(text: &[u8], seals: &[Seal]) -> Result<String, Problem> {
    let unreadable = |e: serde_json::Error| Problem::at(SEALS, e.to_string());
    let whole: Value = serde_json::from_slice(text).map_err(unreadable)?;
    let sections = whole.as_object().into_iter().flatten().filter(|(name, _)| *name != SEALS);
    for (i, seal) in seals.iter().enumerate() {
        if i > 0 && seals[i - 1].section >= seal.section {
            return Err(Problem::at(format!("seals[{i}]"), "it is out of order; expected each section once"));
        }
        if seal.section == SEALS || whole.get(&seal.section).is_none() {
            return Err(Problem::at(
                format!("seals[{i}]"),
                "there is no such section; expected one of the file",
            ));
        }
    }
    for (name, section) in sections {
        let found = hex_of(canonical(section));
        let sealed = seals.iter().find(|seal| seal.section == *name).map(|seal| seal.sha256.as_str());
        if sealed != Some(&found) {
            let expected = sealed.map_or_else(|| "a seal".to_owned(), clipped);
            let what = format!("the section has the seal {found}; expected {expected}");
            return Err(Problem::at(name.clone(), what));
        }
    }
    let lines: Vec<String> = seals.iter().map(|s| format!("{} {}\n", s.section, s.sha256)).collect();
    Ok(hex_of(lines.concat()))
}

/// A value in its canonical form: compact, with the keys of every object in the order of their bytes.
pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Object(object) => {
            let mut members: Vec<(&String, &Value)> = object.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            text.push(b'{');
            for (i, (key, value)) in members.into_iter().enumerate() {
                text.extend((i > 0).then_some(b','));
                scalar(key, text);
                text.push(b':');
                write(value, text);
            }
            text.push(b'}');
        }
        Value::Array(items) => {
            text.push(b'[');
            for (i, item) in items.iter().enumerate() {
                text.extend((i > 0).then_some(b','));
                write(item, text);
            }
            text.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value, text),
    }
}

fn scalar<T: Serialize>(value: &T, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value)
        .unwrap_or_else(|_| unreachable!("a text takes all that is written to it"));
}
