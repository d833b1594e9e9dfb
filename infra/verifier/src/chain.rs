//! The chain: every entry's hash, its predecessor, its order in time, and the moment of every claim.
//!
//! Invariant: entries are checked in their order, so the first that is reported is the first that is broken.

use checker::ContactHours;
use chrono::{DateTime, Offset, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use crate::file::{Cause, ClaimedTouch, DOCUMENT_VERSION, Document, Entry, EvidenceFile, Item};
use crate::rules::RuleTexts;
use crate::{CLOCK_SKEW_MILLIS_MAX, Problem};

/// An entry that was read.
pub(crate) struct Link<'a> {
    pub(crate) number: usize,
    pub(crate) document: Document,
    hash: &'a str,
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn hex_of(text: &str) -> String {
    Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}

/// An instant as people read it.
pub(crate) fn instant(at_ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(at_ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Checks all entries and the head.
pub(crate) fn check<'a>(file: &'a EvidenceFile, rules: &RuleTexts<'_>) -> Result<Vec<Link<'a>>, Problem> {
    let mut links: Vec<Link<'a>> = Vec::with_capacity(file.entries.len());
    for (index, entry) in file.entries.iter().enumerate() {
        let number = index + 1;
        let document = read(entry).map_err(|what| Problem { entry: Some(number), at: None, what })?;
        let broken = |what| Problem { entry: Some(number), at: instant(document.at_ms), what };
        follows(file, &document, links.last()).map_err(broken)?;
        let hours = rules.of(&document).map_err(broken)?;
        told(&document, hours).map_err(broken)?;
        links.push(Link { number, document, hash: &entry.hash });
    }
    let last = links.last();
    let broken = |what| {
        let (entry, at) = last.map_or((None, None), |l| (Some(l.number), instant(l.document.at_ms)));
        Err(Problem { entry, at, what })
    };
    let found = last.map(|link| link.hash);
    if found != file.head.as_deref() {
        return broken(match (found, &file.head) {
            (None, _) => "there is no entry; expected that of the head".to_owned(),
            (Some(_), None) => {
                "it is the last one and there is no head; expected the head to name it".to_owned()
            }
            (Some(_), Some(_)) => {
                "it is the last one and the head names another; expected the entry of the head".to_owned()
            }
        });
    }
    // Each entry moves the fence, so the fence of today is newer than that of the last decision.
    if last.is_some_and(|link| link.document.fence_version >= file.fence_version) {
        return broken("it was decided on a fence that is not older than that of the file".to_owned());
    }
    Ok(links)
}

fn read(entry: &Entry) -> Result<Document, String> {
    let found = hex_of(&entry.document);
    if found != entry.hash {
        return Err(format!("its document has the hash {found}; expected {}", clipped(&entry.hash)));
    }
    let document: Document =
        serde_json::from_str(&entry.document).map_err(|e| format!("its document cannot be read: {e}"))?;
    if document.v != DOCUMENT_VERSION {
        return Err(format!("its document has form {}; expected {DOCUMENT_VERSION}", document.v));
    }
    Ok(document)
}

/// Whether an entry is about the file's customer and comes right after the one before it.
fn follows(file: &EvidenceFile, document: &Document, before: Option<&Link<'_>>) -> Result<(), String> {
    if document.tenant != file.tenant || document.customer != file.customer {
        return Err("it is about another customer; expected that of the file".to_owned());
    }
    let named = |hash: Option<&str>| hash.map_or_else(|| "none".to_owned(), clipped);
    let expected = before.map(|link| link.hash);
    if document.prev.as_deref() != expected {
        let (found, expected) = (named(document.prev.as_deref()), named(expected));
        return Err(format!("it follows the entry with the hash {found}; expected {expected}"));
    }
    let Some(before) = before else { return Ok(()) };
    let (version, at_ms) = (before.document.fence_version, before.document.at_ms);
    if document.fence_version <= version {
        return Err(format!(
            "it was decided on fence version {}; expected more than {version}",
            document.fence_version
        ));
    }
    if document.at_ms.saturating_add(CLOCK_SKEW_MILLIS_MAX) < at_ms {
        return Err(format!(
            "it is older than the entry before it, of {}",
            instant(at_ms).unwrap_or_default()
        ));
    }
    Ok(())
}

/// Whether an entry says one thing about its moment and its touch, and the profile allows the moment.
fn told(document: &Document, hours: &ContactHours) -> Result<(), String> {
    let zone: Tz =
        document.zone.parse().map_err(|_| format!("the time zone {:?} is not known", document.zone))?;
    let at = DateTime::<Utc>::from_timestamp_millis(document.at_ms).ok_or("its instant is out of range")?;
    let local = DateTime::parse_from_rfc3339(&document.local)
        .map_err(|_| format!("its local time {:?} cannot be read", document.local))?;
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    if local.to_utc() != at || *local.offset() != offset {
        let expected = at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, false);
        return Err(format!("its local time is {}; expected {expected}", document.local));
    }
    let sends: Vec<_> = document.verdicts.iter().filter(|v| v.decision == "send").collect();
    match (document.cause, &document.touch) {
        (Cause::Claim, Some(touch)) => {
            let sent: Vec<Item> = sends
                .iter()
                .filter_map(|v| {
                    Some(Item { obligation: v.obligation.clone(), due_on: v.due_on, stage: v.stage.clone()? })
                })
                .collect();
            allowed(touch, &sent, hours, local.naive_local())
        }
        (Cause::Plan | Cause::Send, None) if sends.is_empty() => {
            if document.verdicts.iter().any(|v| v.reasons.is_empty()) {
                return Err("a verdict has no reason".to_owned());
            }
            Ok(())
        }
        (Cause::Claim, None) => Err("it is a claim without a touch".to_owned()),
        (Cause::Plan | Cause::Send, _) => Err("it sends something and is no claim".to_owned()),
    }
}

fn allowed(
    touch: &ClaimedTouch,
    sent: &[Item],
    hours: &ContactHours,
    local: chrono::NaiveDateTime,
) -> Result<(), String> {
    let items = touch.items();
    if items.is_empty() || items.len() != sent.len() || !items.iter().all(|item| sent.contains(item)) {
        return Err("its touch is not about what its verdicts send".to_owned());
    }
    match hours.objection(&touch.purpose, &touch.channel, local) {
        None => Ok(()),
        Some(rule) => {
            let (purpose, channel) = (&touch.purpose, &touch.channel);
            Err(format!(
                "{purpose} by {channel} at {local} local time breaks {rule}; expected an allowed moment"
            ))
        }
    }
}

/// A hash as far as it can be shown; what stands in a file may be longer than one.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}
