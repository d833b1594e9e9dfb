//! What stands beside the chain for the next decision: contacts, stages, attempts, words on consent, and the mark of an
//! erasure. All of it is made again from the chain and compared.
//!
//! Invariant: nothing that counts against a cap, and no stage, is there without its entry, or missing with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problem;
use crate::chain::{Link, first_of, instant};
use crate::document::{Chosen, Document, Fact, Person, Report};
use crate::file::{AgreedHours, Contact, EvidenceFile, Item, Obligation, Said, Touch, Word};
use crate::touches::{Claim, code_of};

/// How many days contacts are kept.
const CONTACT_DAYS_KEPT: i64 = 35;
const DAY_MILLIS: i64 = 86_400_000;

/// Checks everything that the chain makes known against what stands beside it.
pub(crate) fn check(file: &EvidenceFile, links: &[Link<'_>], claims: &[Claim<'_>]) -> Result<(), Problem> {
    contacts(file, links)?;
    reached(file, claims)?;
    failed(file, claims)?;
    reports(file, links, claims)?;
    choices(file, links)?;
    erased(file, links, claims)
}

/// The contacts, made again: each claim and each report from outside adds one, a claim that was taken back removes it.
fn contacts(file: &EvidenceFile, links: &[Link<'_>]) -> Result<(), Problem> {
    let mut made: Vec<Contact> = Vec::new();
    // The channel of each claim, for those that are taken back.
    let mut claimed: BTreeMap<(&str, i64), &str> = BTreeMap::new();
    for link in links {
        match &link.document {
            Document::Decision(decision) => {
                let Some(touch) = &decision.touch else { continue };
                claimed.insert((&touch.id, decision.at_ms), &touch.channel);
                let contact =
                    Contact { at_ms: decision.at_ms, channel: touch.channel.clone(), answered: false };
                made.push(contact);
                forget(&mut made, decision.at_ms);
            }
            Document::Fact(fact) => match &fact.fact {
                Fact::Contact { at_ms, channel, answered } => {
                    forget(&mut made, fact.at_ms);
                    add(&mut made, Contact { at_ms: *at_ms, channel: channel.clone(), answered: *answered });
                }
                Fact::Released { touch, claimed_at_ms } => {
                    let channel = claimed.get(&(touch.as_str(), *claimed_at_ms)).copied();
                    let is_it =
                        |c: &Contact| c.at_ms == *claimed_at_ms && Some(c.channel.as_str()) == channel;
                    if let Some(place) = made.iter().position(is_it) {
                        made.remove(place);
                    }
                }
                Fact::Erased { .. } => made.clear(),
                Fact::Choice(_) | Fact::Report(_) => {}
            },
        }
    }
    let differs = |(found, expected): (&Contact, &Contact)| found != expected;
    let place = file.contacts.iter().zip(&made).position(differs);
    let place = place.unwrap_or(file.contacts.len().min(made.len()));
    if place == file.contacts.len() && place == made.len() {
        return Ok(());
    }
    let told = |contact: Option<&Contact>| match contact {
        None => "none".to_owned(),
        Some(Contact { at_ms, channel, answered }) => {
            let answered = if *answered { ", answered" } else { "" };
            format!("{channel} of {}{answered}", instant(*at_ms).unwrap_or_default())
        }
    };
    let (found, expected) = (told(file.contacts.get(place)), told(made.get(place)));
    let what = format!("the contact is {found}; expected {expected}, by the entries");
    Err(Problem::at(format!("contacts[{place}]"), what))
}

fn add(made: &mut Vec<Contact>, contact: Contact) {
    let same = |c: &&mut Contact| c.at_ms == contact.at_ms && c.channel == contact.channel;
    if let Some(known) = made.iter_mut().find(same) {
        known.answered |= contact.answered;
        return;
    }
    let place = made.partition_point(|c| c.at_ms <= contact.at_ms);
    made.insert(place, contact);
}

fn forget(made: &mut Vec<Contact>, at_ms: i64) {
    // Days of UTC, by their number: this is asked for every claim and every contact before it.
    let day = |at_ms: i64| at_ms.div_euclid(DAY_MILLIS);
    let first = day(at_ms) - CONTACT_DAYS_KEPT;
    made.retain(|c| day(c.at_ms) >= first);
}

/// Every stage that was reached is that of a claim, and every claim that arrived has raised the stage of its open
/// obligations.
fn reached(file: &EvidenceFile, claims: &[Claim<'_>]) -> Result<(), Problem> {
    let open: BTreeMap<&str, &Obligation> =
        file.obligations.iter().filter(|o| o.is_open()).map(|o| (o.id.as_str(), o)).collect();
    let claimed: BTreeSet<Item> = claims.iter().flat_map(|claim| claim.touch.items()).collect();
    // Two attempts at one message carry the same stages: what an entry of either takes back, it takes back for both.
    let mut fell_back: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for claim in claims {
        let message = first_of(&claim.touch.id).unwrap_or(&claim.touch.id);
        fell_back.entry(message).or_default().extend(&claim.fell_back);
    }
    let mut found: BTreeMap<&str, &Item> = BTreeMap::new();
    for (i, item) in file.reached.iter().enumerate() {
        let broken = |what: &str| {
            let what = format!("{} is said to have reached {}, {what}", item.obligation, item.stage);
            Err(Problem::at(format!("reached[{i}]"), what))
        };
        if found.last_key_value().is_some_and(|(last, _)| *last >= item.obligation.as_str()) {
            return broken("out of order; expected each obligation once, by its id");
        }
        found.insert(&item.obligation, item);
        if open.get(item.obligation.as_str()).is_none_or(|o| o.due_on != item.due_on) {
            return broken("and it is not open with that due date; expected an open obligation of the file");
        }
        if !claimed.contains(item) {
            return broken("and no entry claims it; expected the entry of its claim");
        }
    }
    for claim in claims.iter().filter(|c| !c.is_released) {
        for item in claim.touch.items() {
            let id = item.obligation.as_str();
            let message = first_of(&claim.touch.id).unwrap_or(&claim.touch.id);
            let counts = !fell_back.get(message).is_some_and(|taken| taken.contains(id))
                && open.get(id).is_some_and(|o| o.due_on == item.due_on);
            if counts && found.get(id).is_none_or(|r| r.dpd < item.dpd) {
                let what = format!(
                    "entry {} brought {id} to {}; expected it here, or a later stage",
                    claim.number, item.stage
                );
                return Err(Problem::at("reached", what));
            }
        }
    }
    Ok(())
}

/// Every attempt that did not arrive is a claim, with the stages that a report took back.
fn failed(file: &EvidenceFile, claims: &[Claim<'_>]) -> Result<(), Problem> {
    for (i, attempt) in file.failed.iter().enumerate() {
        let is_it = |c: &&Claim<'_>| c.at_ms == attempt.at_ms && c.touch.channel == attempt.channel;
        let claim = claims.iter().filter(|c| !c.is_released).find(is_it);
        let is_sound = claim.is_some_and(|claim| {
            let items = claim.touch.items();
            let names: Vec<&str> = attempt.items.iter().map(|item| item.obligation.as_str()).collect();
            attempt.items.iter().all(|item| items.contains(item))
                && names.len() == claim.fell_back.len()
                && names.iter().all(|name| claim.fell_back.contains(name))
        });
        if !is_sound {
            let what = "no entry takes exactly these stages back; expected what its report says";
            return Err(Problem::at(format!("failed[{i}]"), what));
        }
    }
    Ok(())
}

/// Every report that is on record stands with its touch as well, and every word of a person is on record.
fn reports(file: &EvidenceFile, links: &[Link<'_>], claims: &[Claim<'_>]) -> Result<(), Problem> {
    let mut on_record: BTreeSet<(&str, i64, &str, &str)> = BTreeSet::new();
    let kept: BTreeSet<(&str, i64)> = claims.iter().map(|c| (c.touch.id.as_str(), c.at_ms)).collect();
    let touches: BTreeMap<(&str, i64), &Touch> =
        file.touches.iter().filter_map(|t| Some(((t.id.as_str(), t.claimed_at_ms?), t))).collect();
    for link in links {
        let Document::Fact(fact) = &link.document else { continue };
        match &fact.fact {
            Fact::Report(report) => {
                let place = (report.touch.as_str(), report.claimed_at_ms);
                let is_it = |s: &Said| is_told(s, report);
                let is_told = touches.get(&place).is_some_and(|touch| touch.history.iter().any(is_it));
                if kept.contains(&place) && !is_told {
                    let what =
                        format!("the history of its touch does not say {}; expected it there", report.report);
                    return Err(link.broken(what));
                }
                on_record.insert((place.0, place.1, &report.report, &report.source));
            }
            Fact::Erased { .. } | Fact::Contact { .. } | Fact::Choice(_) | Fact::Released { .. } => {}
        }
    }
    for (i, touch) in file.touches.iter().enumerate() {
        for (n, said) in touch.history.iter().enumerate().filter(|(_, said)| said.source == "person") {
            let entry =
                touch.claimed_at_ms.map(|at_ms| (touch.id.as_str(), at_ms, &*said.report, &*said.source));
            if entry.is_none_or(|entry| !on_record.contains(&entry)) {
                let what = "a person said it and no entry does; expected the entry";
                return Err(Problem::at(format!("touches[{i}].history[{n}]"), what));
            }
        }
    }
    Ok(())
}

/// Whether an entry of a history is what a report on record says, in the words of the person where one said it.
fn is_told(said: &Said, report: &Report) -> bool {
    let is_word = |word: &Person| said.code == code_of(&format!("{}: {}", word.by, word.evidence));
    said.report == report.report
        && said.source == report.source
        && report.person.as_ref().is_none_or(|word| report.source == "person" && is_word(word))
}

/// Every choice of the customer stands among the words on consent, or is the hours that hold; and no word that says it
/// came from the customer stands there without its entry.
fn choices(file: &EvidenceFile, links: &[Link<'_>]) -> Result<(), Problem> {
    let mut words: Vec<(&Link<'_>, &Word)> = Vec::new();
    let mut hours: Vec<(_, &str, Option<&AgreedHours>)> = Vec::new();
    for link in links {
        let Document::Fact(fact) = &link.document else { continue };
        match &fact.fact {
            Fact::Choice(choice) => match &choice.what {
                Chosen::Words(said) => words.extend(said.iter().map(|word| (link, word))),
                Chosen::Hours(asked) => hours.push((choice.at, &choice.id, asked.as_ref())),
            },
            Fact::Erased { .. } => {
                words.clear();
                hours.clear();
            }
            Fact::Contact { .. } | Fact::Released { .. } | Fact::Report(_) => {}
        }
    }
    let Some(profile) = &file.profile else {
        let is_empty = file.consents.is_empty() && file.obligations.is_empty();
        let what = "there is none; expected the profile of whom obligations and consents are";
        return if is_empty { Ok(()) } else { Err(Problem::at("profile", what)) };
    };
    // Each word once for each time that it was said.
    let mut left: Vec<&Word> = file.consents.iter().collect();
    for (link, word) in &words {
        let Some(place) = left.iter().position(|said| said == word) else {
            let what = format!("its word on {} is not among the consents; expected it there", word.channel);
            return Err(link.broken(what));
        };
        left.remove(place);
    }
    // A file has days and no moments; what has a moment is a choice.
    if let Some(word) = left.iter().find(|word| word.at.is_some()) {
        let place = file.consents.iter().position(|said| said == *word).unwrap_or_default();
        let what = "it has a moment, as only choices have, and no entry says it; expected the entry";
        return Err(Problem::at(format!("consents[{place}]"), what));
    }
    let latest = hours.iter().max_by_key(|(at, id, _)| (*at, *id)).and_then(|(.., hours)| *hours);
    if profile.agreed_hours.as_ref() != latest {
        let what = "the other hours are not those of the latest request among the entries";
        return Err(Problem::at("profile.agreed_hours", what));
    }
    Ok(())
}

/// The mark of an erasure has its entry, and after it nothing of before is left but the touches that it keeps.
fn erased(file: &EvidenceFile, links: &[Link<'_>], claims: &[Claim<'_>]) -> Result<(), Problem> {
    let entry = links.iter().rev().find(
        |link| matches!(&link.document, Document::Fact(fact) if matches!(fact.fact, Fact::Erased { .. })),
    );
    match (entry, file.erased_at_ms) {
        (None, None) => return Ok(()),
        (Some(link), Some(at_ms)) if link.at_ms() == at_ms => {}
        (Some(link), _) => {
            return Err(link.broken("it erases the customer's data; expected the mark of it in the file"));
        }
        (None, Some(_)) => {
            return Err(Problem::at("erased_at_ms", "no entry erases the customer's data; expected it"));
        }
    }
    let left = [
        ("touches", file.touches.iter().all(|t| claims.iter().any(|claim| claim.touch.id == t.id))),
        ("obligations", file.obligations.is_empty()),
        ("payments", file.payments.is_empty()),
        ("consents", file.consents.is_empty()),
        ("contact_points", file.contact_points.is_empty()),
        ("profile", file.profile.is_none()),
    ];
    match left.into_iter().find(|(_, is_empty)| !is_empty) {
        Some((section, _)) => {
            Err(Problem::at(section, "the customer's data was erased; expected nothing here"))
        }
        None => Ok(()),
    }
}

/// Ids that are there twice, and payments of more than is said to be paid.
pub(crate) fn facts(file: &EvidenceFile) -> Result<(), Problem> {
    let twice = |section: &str, ids: Vec<&str>| {
        let mut known = BTreeSet::new();
        let repeated = ids.iter().enumerate().find(|(_, id)| !known.insert(**id));
        repeated.map_or(Ok(()), |(i, id)| {
            Err(Problem::at(format!("{section}[{i}]"), format!("{id} is there twice; expected once")))
        })
    };
    twice("obligations", file.obligations.iter().map(|o| o.id.as_str()).collect())?;
    twice("payments", file.payments.iter().map(|p| p.id.as_str()).collect())?;
    twice("contact_points", file.contact_points.iter().map(|p| p.channel.as_str()).collect())?;
    twice("suppressions", file.suppressions.iter().map(|s| s.channel.as_str()).collect())?;
    let mut paid: BTreeMap<&str, i64> = BTreeMap::new();
    for payment in &file.payments {
        let sum = paid.entry(&payment.obligation).or_default();
        *sum = sum.saturating_add(payment.amount_minor);
    }
    for (i, obligation) in file.obligations.iter().enumerate() {
        let paid_minor = paid.get(obligation.id.as_str()).copied().unwrap_or(0);
        if paid_minor > obligation.paid_minor {
            let what = format!(
                "{} is said to be paid with {}, and its payments are {paid_minor}; expected that or more",
                obligation.id, obligation.paid_minor
            );
            return Err(Problem::at(format!("obligations[{i}]"), what));
        }
    }
    Ok(())
}
