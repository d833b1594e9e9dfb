//! Words: what stands in the file is said in the words that the product has, and in a sound form; and the customer's time
//! zone and role are those that the last decision was made with, where nothing became known since.
//!
//! Invariant: a word that is not known here is refused, because what is not understood is not verified.

use std::collections::BTreeSet;

use chrono::DateTime;
use chrono_tz::Tz;
use iso_currency::Currency;

use crate::Problem;
use crate::chain::{Link, clipped};
use crate::document::{Chosen, Decision, Document, Fact};
use crate::file::{AgreedHours, EvidenceFile, Hold, Profile, Word};
use crate::law::{CHANNELS, DAYS, PURPOSES, second_of_day};
use crate::rules::RuleTexts;

/// Where a word on consent can come from.
const SOURCES: [&str; 6] = ["contract", "api", "reply", "link", "import", "person"];
/// Why reminders can be stopped.
const HOLDS: [&str; 4] = ["dispute", "promise", "hardship", "manual"];
const KINDS: [&str; 2] = ["person", "company"];
const LANGUAGES: [&str; 2] = ["es", "en"];
/// What a customer can be to the debt.
const ROLES: [&str; 4] = ["debtor", "codebtor", "guarantor", REFERENCE];
/// Who owes nothing, and is never contacted.
const REFERENCE: &str = "reference";
/// The reason of a decision about such a one.
const THIRD_PARTY: &str = "third_party";
/// The clock of the record where nobody knows the customer's.
const NO_ZONE: &str = "Etc/UTC";
/// The word for contact data that is left out, and what stands in its place.
const MASKED: (&str, &str) = ("masked", "***");
const CONTACT_DATA: [&str; 2] = [MASKED.0, "in full"];

/// Checks every word that no other check compares with something.
pub(crate) fn check(file: &EvidenceFile, links: &[Link<'_>], rules: &RuleTexts<'_>) -> Result<(), Problem> {
    told(file)?;
    links.iter().try_for_each(in_chain)?;
    for (i, said) in file.consents.iter().enumerate() {
        word(said).map_err(|what| Problem::at(format!("consents[{i}]"), what))?;
    }
    amounts(file)?;
    points(file)?;
    let Some(profile) = &file.profile else { return Ok(()) };
    of_profile(profile).map_err(|(key, what)| Problem::at(format!("profile.{key}"), what))?;
    as_decided(file, profile, links, rules)
}

/// One of the known words.
fn known(found: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&found) {
        return Ok(());
    }
    Err(format!("{:?} is no word for it; expected one of {}", clipped(found), words.join(", ")))
}

fn some(found: &str, what: &str) -> Result<(), String> {
    if found.trim().is_empty() { Err(format!("it is blank; expected {what}")) } else { Ok(()) }
}

/// What the file says about itself.
fn told(file: &EvidenceFile) -> Result<(), Problem> {
    let at = |place: &str, found: Result<(), String>| found.map_err(|what| Problem::at(place, what));
    for (i, note) in file.notes.iter().enumerate() {
        at(&format!("notes[{i}]"), some(note, "a note"))?;
    }
    at("tenant", some(&file.tenant, "the tenant"))?;
    at("customer", some(&file.customer, "the customer"))?;
    at("contact_data", known(&file.contact_data, &CONTACT_DATA))?;
    let made_at = DateTime::parse_from_rfc3339(&file.made_at);
    if made_at.is_err() || !file.made_at.ends_with('Z') {
        let what = format!(
            "{:?} is no moment in UTC; expected one such as 2026-11-23T13:00:00Z",
            clipped(&file.made_at)
        );
        return Err(Problem::at("made_at", what));
    }
    Ok(())
}

/// The words of facts. Those of decisions are held to their policy and profile.
fn in_chain(link: &Link<'_>) -> Result<(), Problem> {
    let Document::Fact(fact) = &link.document else { return Ok(()) };
    let found = match &fact.fact {
        Fact::Contact { channel, .. } => known(channel, &CHANNELS),
        Fact::Choice(choice) => match &choice.what {
            Chosen::Words(said) => said.iter().try_for_each(|said| dated(said).and_then(|()| word(said))),
            Chosen::Hours(asked) => asked.as_ref().map_or(Ok(()), hours),
        },
        Fact::Released { .. } | Fact::Report(_) | Fact::Erased { .. } => Ok(()),
    };
    found.map_err(|what| link.broken(what))
}

/// Who makes a choice makes it on a day; only a lender's file may give none.
fn dated(said: &Word) -> Result<(), String> {
    said.on.map(|_| ()).ok_or_else(|| "it is of no day; expected the day of the choice".to_owned())
}

fn word(said: &Word) -> Result<(), String> {
    known(&said.channel, &CHANNELS)?;
    known(&said.source, &SOURCES)?;
    if let Some(purposes) = &said.purposes {
        if purposes.is_empty() {
            return Err("it is for no purpose; expected one, or all by naming none".to_owned());
        }
        purposes.iter().try_for_each(|purpose| known(purpose, &PURPOSES))?;
    }
    said.evidence.as_ref().map_or(Ok(()), |evidence| some(evidence, "a reference"))
}

fn hours(asked: &AgreedHours) -> Result<(), String> {
    asked.channels.iter().try_for_each(|channel| known(channel, &CHANNELS))?;
    some(&asked.document, "the document of the request")?;
    for interval in &asked.hours {
        interval.days.iter().try_for_each(|day| known(day, &DAYS))?;
        let ends = (second_of_day(&interval.from), second_of_day(&interval.to));
        if !matches!(ends, (Some(from), Some(to)) if from < to) {
            let (from, to) = (clipped(&interval.from), clipped(&interval.to));
            return Err(format!("{from:?} to {to:?} are no hours of a day; expected such as 19:00 to 21:00"));
        }
    }
    Ok(())
}

fn hold(hold: &Hold) -> Result<(), String> {
    known(&hold.reason, &HOLDS)?;
    match hold.until_on {
        Some(until_on) if until_on < hold.from_on => {
            Err(format!("it ends on {until_on}, before it begins on {}", hold.from_on))
        }
        Some(_) | None => Ok(()),
    }
}

/// Obligations and payments, as far as they can be judged by themselves.
fn amounts(file: &EvidenceFile) -> Result<(), Problem> {
    for (i, obligation) in file.obligations.iter().enumerate() {
        let at = |what| Problem::at(format!("obligations[{i}]"), what);
        let currency = &obligation.currency;
        if Currency::from_code(currency).is_none() {
            return Err(at(format!("{:?} is no currency; expected a code of ISO 4217", clipped(currency))));
        }
        let account =
            obligation.account.as_ref().map_or(Ok(()), |account| some(account, "an account or null"));
        let held = obligation.holds.iter().try_for_each(hold);
        some(&obligation.id, "an id").and(account).and(held).map_err(at)?;
    }
    for (i, payment) in file.payments.iter().enumerate() {
        let found = some(&payment.id, "an id").and_then(|()| some(&payment.obligation, "an obligation"));
        found.map_err(|what| Problem::at(format!("payments[{i}]"), what))?;
    }
    Ok(())
}

/// Contact points, of which each has its suppression; masked where the file says so.
fn points(file: &EvidenceFile) -> Result<(), Problem> {
    let masked = file.contact_data == MASKED.0;
    for (i, point) in file.contact_points.iter().enumerate() {
        let address = match masked && point.address != MASKED.1 {
            true => Err("it has an address, and the file says that they are masked".to_owned()),
            false => some(&point.address, "an address"),
        };
        let found = known(&point.channel, &CHANNELS).and(address);
        found.map_err(|what| Problem::at(format!("contact_points[{i}]"), what))?;
    }
    let points: BTreeSet<&str> = file.contact_points.iter().map(|point| point.channel.as_str()).collect();
    let said: BTreeSet<&str> = file.suppressions.iter().map(|said| said.channel.as_str()).collect();
    if points != said {
        let what = "they are not of the channels of the contact points; expected one for each";
        return Err(Problem::at("suppressions", what));
    }
    let name = file.profile.as_ref().map(|profile| profile.name.as_str());
    if masked && name.is_some_and(|name| name != MASKED.1) {
        return Err(Problem::at("profile.name", "it has a name, and the file says that it is masked"));
    }
    Ok(())
}

fn of_profile(profile: &Profile) -> Result<(), (&'static str, String)> {
    let Profile { name, kind, role, country, time_zone, language, segment, preferred_channel, .. } = profile;
    let listed = |key, found: &Option<String>, words: &[&str]| {
        found.as_ref().map_or(Ok(()), |found| known(found, words)).map_err(|what| (key, what))
    };
    some(name, "a name").map_err(|what| ("name", what))?;
    known(role, &ROLES).map_err(|what| ("role", what))?;
    listed("kind", kind, &KINDS)?;
    listed("language", language, &LANGUAGES)?;
    listed("preferred_channel", preferred_channel, &CHANNELS)?;
    let segment = segment.as_ref().map_or(Ok(()), |segment| some(segment, "a segment or null"));
    segment.map_err(|what| ("segment", what))?;
    let is_country = |c: &String| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase());
    if let Some(country) = country.as_ref().filter(|c| !is_country(c)) {
        let what = format!("{:?} is no country; expected two capital letters such as CO", clipped(country));
        return Err(("country", what));
    }
    if let Some(zone) = time_zone.as_ref().filter(|zone| zone.parse::<Tz>().is_err()) {
        let what = format!("{:?} is no time zone; expected one such as America/Bogota", clipped(zone));
        return Err(("time_zone", what));
    }
    profile.hold.as_ref().map_or(Ok(()), hold).map_err(|what| ("hold", what))?;
    profile.agreed_hours.as_ref().map_or(Ok(()), hours).map_err(|what| ("agreed_hours", what))
}

/// Every changed fact moves the fence. Where the fence stands as the last decision left it, the profile is the one that
/// was decided on.
fn as_decided(
    file: &EvidenceFile,
    profile: &Profile,
    links: &[Link<'_>],
    rules: &RuleTexts<'_>,
) -> Result<(), Problem> {
    let Some(link) = links.last() else { return Ok(()) };
    let Document::Decision(decision) = &link.document else { return Ok(()) };
    if decision.fence_version.checked_add(1) != Some(file.fence_version) {
        return Ok(());
    }
    let by_country = || Some(checker::only_zone_of(profile.country.as_deref()?)?.name().to_owned());
    let zone = match profile.time_zone.clone().or_else(by_country) {
        Some(zone) => zone,
        None => rules
            .of(decision)
            .map_err(|what| link.broken(what))?
            .law
            .time_zone()
            .unwrap_or(NO_ZONE.to_owned()),
    };
    if zone != decision.zone {
        let what =
            format!("it differs from {}, with which entry {} was decided last", decision.zone, link.number);
        return Err(Problem::at("profile.time_zone", what));
    }
    if is_about_third_party(decision) && profile.role != REFERENCE {
        let what = format!(
            "it is {}, and entry {} was decided last about one who owes nothing; expected {REFERENCE}",
            profile.role, link.number
        );
        return Err(Problem::at("profile.role", what));
    }
    Ok(())
}

fn is_about_third_party(decision: &Decision) -> bool {
    decision.verdicts.iter().flat_map(|verdict| &verdict.reasons).any(|reason| reason.code == THIRD_PARTY)
}
