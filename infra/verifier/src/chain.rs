//! The chain: every entry's hash, its predecessor, its order, and what each decision says by itself and by its rules.
//!
//! Invariant: entries are checked in their order, so the first that is reported is the first that is broken.

use chrono::{DateTime, NaiveDateTime, Offset, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use sha2::{Digest, Sha256};

use crate::document::{Cause, Chosen, ClaimedTouch, Decided, Decision, Document, Fact};
use crate::file::{AgreedHours, DOCUMENT_VERSION, Entry, EvidenceFile, Item};
use crate::rules::{RuleTexts, Rules};
use crate::{CLOCK_SKEW_MILLIS_MAX, Problem};

/// The bytes of the hash of its items that are the id of a touch.
const TOUCH_ID_BYTES: usize = 16;

/// An entry that was read.
pub(crate) struct Link<'a> {
    pub(crate) number: usize,
    pub(crate) document: Document,
    /// The date of a decision on the customer's clock.
    pub(crate) local: Option<NaiveDateTime>,
    hash: &'a str,
}

impl Link<'_> {
    pub(crate) fn at_ms(&self) -> i64 {
        self.document.head().at_ms
    }

    pub(crate) fn broken(&self, what: impl Into<String>) -> Problem {
        Problem { entry: Some(self.number), place: None, at: instant(self.at_ms()), what: what.into() }
    }
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn hex_of(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}

/// An instant as people read it.
pub(crate) fn instant(at_ms: i64) -> Option<String> {
    DateTime::from_timestamp_millis(at_ms).map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Checks all entries and the head.
pub(crate) fn check<'a>(file: &'a EvidenceFile, rules: &RuleTexts<'_>) -> Result<Vec<Link<'a>>, Problem> {
    let mut links: Vec<Link<'a>> = Vec::with_capacity(file.entries.len());
    let mut known = Known::default();
    for (index, entry) in file.entries.iter().enumerate() {
        let number = index + 1;
        let unread = |what| Problem { entry: Some(number), place: None, at: None, what };
        let document = read(entry).map_err(unread)?;
        let mut link = Link { number, document, local: None, hash: &entry.hash };
        follows(file, &link, links.last()).map_err(|what| link.broken(what))?;
        match &link.document {
            Document::Decision(decision) => {
                let local = known.judge(file, decision, rules).map_err(|what| link.broken(what))?;
                link.local = Some(local);
            }
            Document::Fact(fact) => known.take(&fact.fact),
        }
        links.push(link);
    }
    check_head(file, links.last())?;
    Ok(links)
}

fn check_head(file: &EvidenceFile, last: Option<&Link<'_>>) -> Result<(), Problem> {
    let broken = |what: &str| match last {
        Some(link) => Err(link.broken(what)),
        None => Err(Problem { entry: None, place: None, at: None, what: what.to_owned() }),
    };
    match (last.map(|link| link.hash), file.head.as_deref()) {
        (found, expected) if found == expected => {}
        (None, _) => return broken("there is no entry; expected that of the head"),
        (Some(_), None) => {
            return broken("it is the last one and there is no head; expected the head to name it");
        }
        (Some(_), Some(_)) => {
            return broken("it is the last one and the head names another; expected the entry of the head");
        }
    }
    // Each entry moves the fence, so the fence of today is newer than that of the last one.
    if last.is_some_and(|link| link.document.head().fence_version >= file.fence_version) {
        return broken("it was made on a fence that is not older than that of the file");
    }
    Ok(())
}

fn read(entry: &Entry) -> Result<Document, String> {
    let found = hex_of(&entry.document);
    if found != entry.hash {
        return Err(format!("its document has the hash {found}; expected {}", clipped(&entry.hash)));
    }
    let document = Document::read(&entry.document)?;
    match document.head().v {
        DOCUMENT_VERSION => Ok(document),
        other => Err(format!("its document has form {other}; expected {DOCUMENT_VERSION}")),
    }
}

/// Whether an entry is about the file's customer and comes right after the one before it.
fn follows(file: &EvidenceFile, link: &Link<'_>, before: Option<&Link<'_>>) -> Result<(), String> {
    let head = link.document.head();
    if head.tenant != file.tenant || head.customer != file.customer {
        return Err("it is about another customer; expected that of the file".to_owned());
    }
    let named = |hash: Option<&str>| hash.map_or_else(|| "none".to_owned(), clipped);
    let expected = before.map(|link| link.hash);
    if head.prev != expected {
        let (found, expected) = (named(head.prev), named(expected));
        return Err(format!("it follows the entry with the hash {found}; expected {expected}"));
    }
    let Some(before) = before else { return Ok(()) };
    let version = before.document.head().fence_version;
    if head.fence_version <= version {
        return Err(format!(
            "it was made on fence version {}; expected more than {version}",
            head.fence_version
        ));
    }
    Ok(())
}

/// What the entries so far have made known, as far as it decides.
#[derive(Default)]
struct Known {
    /// The moment of the last decision. The moments of facts are those of whoever reports them, in any order.
    decided_at_ms: Option<i64>,
    /// The requests for other hours, with what orders them.
    hours: Vec<(DateTime<Utc>, String, Option<AgreedHours>)>,
}

impl Known {
    fn take(&mut self, fact: &Fact) {
        match fact {
            Fact::Choice(choice) => match &choice.what {
                Chosen::Hours(hours) => self.hours.push((choice.at, choice.id.clone(), hours.clone())),
                Chosen::Words(_) => {}
            },
            Fact::Erased { .. } => self.hours.clear(),
            Fact::Contact { .. } | Fact::Released { .. } | Fact::Report(_) => {}
        }
    }

    /// The hours of the latest request.
    fn agreed(&self) -> Option<&AgreedHours> {
        let latest = self.hours.iter().max_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)))?;
        latest.2.as_ref()
    }

    /// Whether a decision says one thing, in its place in time, and by its rules; gives its local moment.
    fn judge(
        &mut self,
        file: &EvidenceFile,
        decision: &Decision,
        rules: &RuleTexts<'_>,
    ) -> Result<NaiveDateTime, String> {
        if let Some(before_ms) = self.decided_at_ms
            && decision.at_ms.saturating_add(CLOCK_SKEW_MILLIS_MAX) < before_ms
        {
            let before = instant(before_ms).unwrap_or_default();
            return Err(format!("it is older than the decision before it, of {before}"));
        }
        self.decided_at_ms = Some(decision.at_ms);
        let rules = rules.of(decision)?;
        let local = local_of(decision)?;
        told(file, decision)?;
        rules.policy.objection(decision, local.date()).map_or(Ok(()), Err)?;
        if let Some(touch) = &decision.touch {
            allowed(touch, &rules, self.agreed(), local)?;
        }
        Ok(local)
    }
}

fn local_of(decision: &Decision) -> Result<NaiveDateTime, String> {
    let zone: Tz =
        decision.zone.parse().map_err(|_| format!("the time zone {:?} is not known", decision.zone))?;
    let at = DateTime::<Utc>::from_timestamp_millis(decision.at_ms).ok_or("its instant is out of range")?;
    let local = DateTime::parse_from_rfc3339(&decision.local)
        .map_err(|_| format!("its local time {:?} cannot be read", decision.local))?;
    let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
    if local.to_utc() != at || *local.offset() != offset {
        let expected = at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Millis, false);
        return Err(format!("its local time is {}; expected {expected}", decision.local));
    }
    Ok(local.naive_local())
}

/// Whether what a decision sends is its touch, and what it does not send has a reason.
fn told(file: &EvidenceFile, decision: &Decision) -> Result<(), String> {
    if decision.verdicts.is_empty() || decision.verdicts.iter().any(|v| v.reasons.is_empty()) {
        return Err("it has no verdict, or one without a reason".to_owned());
    }
    let sends: Vec<_> = decision.verdicts.iter().filter(|v| v.decision == Decided::Send).collect();
    match (decision.cause, &decision.touch) {
        (Cause::Claim, Some(touch)) => {
            let items = touch.items();
            let is_sent = |item: &Item| {
                sends.iter().any(|v| {
                    v.obligation == item.obligation
                        && v.due_on == item.due_on
                        && v.stage.as_ref() == Some(&item.stage)
                })
            };
            if items.is_empty() || items.len() != sends.len() || !items.iter().all(is_sent) {
                return Err("its touch is not about what its verdicts send".to_owned());
            }
            let id = touch_id(&file.tenant, &touch.channel, &items);
            if first_of(&touch.id).unwrap_or(&touch.id) != id {
                return Err(format!(
                    "its touch is {}; expected {id}, by what it is about",
                    clipped(&touch.id)
                ));
            }
            Ok(())
        }
        (Cause::Plan | Cause::Send, None) if sends.is_empty() => Ok(()),
        (Cause::Claim, None) => Err("it is a claim without a touch".to_owned()),
        (Cause::Plan | Cause::Send, _) => Err("it sends something and is no claim".to_owned()),
    }
}

/// The id of the first attempt, where this is the id of a second one.
pub(crate) fn first_of(touch: &str) -> Option<&str> {
    touch.strip_suffix("-2")
}

/// The id of a touch, which follows from what it is about.
pub(crate) fn touch_id(tenant: &str, channel: &str, items: &[Item]) -> String {
    let mut lines: Vec<String> =
        items.iter().map(|i| format!("{}\u{1f}{}\u{1f}{}", i.obligation, i.due_on, i.stage)).collect();
    lines.sort_unstable();
    let mut bytes = Vec::new();
    for part in [tenant, channel].into_iter().chain(lines.iter().map(String::as_str)) {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0x1e);
    }
    hex_of(bytes)[..TOUCH_ID_BYTES * 2].to_owned()
}

fn allowed(
    touch: &ClaimedTouch,
    rules: &Rules<'_>,
    agreed: Option<&AgreedHours>,
    local: NaiveDateTime,
) -> Result<(), String> {
    let (purpose, channel) = (&touch.purpose, &touch.channel);
    rules.law.objection(purpose, channel, local, agreed).map_or(Ok(()), |rule| {
        Err(format!("{purpose} by {channel} at {local} local time breaks {rule}; expected an allowed moment"))
    })
}

/// A hash as far as it can be shown; what stands in a file may be longer than one.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().take(64).collect()
}
