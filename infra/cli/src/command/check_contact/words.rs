//! One answer in words, for a compliance officer: the article, what else is needed, and what the law leaves open.

use chrono::{DateTime, FixedOffset};
use domain::calendar::{COMMON_ID, HolidayTable};
use domain::contact_check::ContactAnswer;
use domain::jurisdiction::{Adjustment, ContactRules, Jurisdiction, Requirement};
use runtime::decision_log::local;

use super::Question;
use crate::clock;

pub(super) fn say(question: &Question<'_>) {
    let what = format!("{} by {} on {}", question.purpose, question.channel, moment(question));
    let reviewed = question.jurisdiction.reviewed_on();
    let profile = format!("profile {}, reviewed on {reviewed}", question.jurisdiction.id());
    match question.answer() {
        ContactAnswer::Allowed(permission) => {
            let cite = permission.cite.unwrap_or("no article");
            say!("{}: {what}.", allowed(question));
            say!("Grounds: {cite} ({}; {profile}).", permission.basis.as_str());
            if permission.exempt {
                say!("Exempt: neither hours nor limits apply.");
            }
            say_what_allowed_it(question);
        }
        ContactAnswer::Refused(refusal) => {
            let cite = refusal.cite.unwrap_or("no article");
            say!("Not allowed: {what}.\nReason: {}.", refusal.code);
            say!("Grounds: {cite} ({}; {profile}).", refusal.basis.as_str());
            if let Some(adjustment) = refusal.adjustment {
                say!("Decided by the tenant's own rule: {}.", described(adjustment));
            }
            say!("Next allowed: {}.", next(question.next_allowed_at()));
        }
    }
    say_holidays(question);
    say_what_is_needed(question);
    say_open_questions(question);
}

/// That a contact is allowed, with what this hangs on: gates that no moment opens, and open questions whose strict answer
/// refuses it.
fn allowed(question: &Question<'_>) -> String {
    let profile = question.jurisdiction;
    let requires = profile.requires(question.purpose, question.channel);
    if !requires.is_empty() {
        let gates: Vec<&str> = requires.iter().map(|gate| gate.as_str()).collect();
        return format!("Allowed only with {}", gates.join(" and "));
    }
    let is_strict = strict(question).is_none_or(|strict| strict.check(&question.query()).is_allowed());
    let open: Vec<&str> = profile
        .questions_about(question.purpose, question.channel)
        .filter(|open| !is_strict && profile.answer_to(open).is_some_and(|id| id != open.strict))
        .map(|open| open.id.as_str())
        .collect();
    if open.is_empty() {
        "Allowed".to_owned()
    } else {
        format!("Allowed only under the open question {}", open.join(", "))
    }
}

/// Which holidays a profile of any country was asked with.
fn say_holidays(question: &Question<'_>) {
    let profile = question.jurisdiction;
    if profile.country().is_some() {
        return;
    }
    let (table, years) = (profile.holiday_table(), profile.holidays().map_or(0, HolidayTable::last_year));
    if table != COMMON_ID {
        say!("Holidays: those of {table}, to {years}; a day outside the table is refused.");
        return;
    }
    say!(
        "Holidays: the table {table} (1 January, Good Friday, 1 May, 25 December), to {years}, because no country with a \
         table was named (--country); a day outside the table is refused."
    );
    say!(
        "  A lender closes the other holidays of its customers' countries itself, under contact_rules.{}.closed_days; \
         a year for which it closed no day is refused.",
        profile.id()
    );
}

fn moment(question: &Question<'_>) -> String {
    local(question.at, question.time_zone).format("%A %Y-%m-%d %H:%M:%S %:z").to_string()
}

fn next(at: Option<DateTime<FixedOffset>>) -> String {
    at.map_or_else(
        || "at no time that the profile knows".to_owned(),
        |at| at.format("%A %Y-%m-%d %H:%M:%S %:z").to_string(),
    )
}

/// An adjustment in words: where it stands, why, and who allowed it.
fn described(adjustment: &Adjustment) -> String {
    let record = match (&adjustment.approved_by, adjustment.approved_on) {
        (Some(by), Some(on)) => format!(" (approved by {by} on {on})"),
        (Some(by), None) => format!(" (approved by {by})"),
        (None, _) => String::new(),
    };
    format!("{}, because: {}{record}", adjustment.place, adjustment.reason)
}

/// What the tenant added to a contact that the profile alone refuses.
fn say_what_allowed_it(question: &Question<'_>) {
    let Ok(base) = Jurisdiction::built_in(question.jurisdiction.id()) else { return };
    let alone = base.check(&question.query());
    if alone.is_allowed() {
        return;
    }
    say!("The profile alone refuses it: {}.", alone.reason());
    for adjustment in question.jurisdiction.adjustments_for(question.purpose, question.channel) {
        say!("Allowed by the tenant's own rule: {}.", described(adjustment));
    }
}

/// The gates and the consent that this answer, which is about hours and limits, does not look at.
fn say_what_is_needed(question: &Question<'_>) {
    let (profile, purpose, channel) = (question.jurisdiction, question.purpose, question.channel);
    let consent = &profile.duties().consent;
    for gate in profile.requires(purpose, channel) {
        match gate {
            Requirement::OptIn => say!("Needed: opt_in, the customer agreed to {purpose} by {channel}."),
            Requirement::OptInByOwnInitiative => say!(
                "Needed: opt_in_by_own_initiative, the customer made contact and agreed. No fact that is kept shows \
                 this, so nothing is sent."
            ),
            Requirement::NotInRegistry => {
                let name = consent.dnc_registry.as_ref().map_or("do not contact", |r| r.name.as_str());
                say!(
                    "Needed: {}, the contact point is not in the registry {name}. No fact that is kept shows this, \
                     so nothing is sent.",
                    gate.as_str()
                );
            }
        }
    }
    let basis = consent.channel_authorisation.as_ref();
    let basis = basis.map_or(String::new(), |word| format!(" ({word}, by the profile)"));
    say!("Needed: consent, the customer authorised {channel} for {purpose}{basis} and did not withdraw it.");
}

/// How open legal questions about the contact were answered, and what the strict answers say.
fn say_open_questions(question: &Question<'_>) {
    let profile = question.jurisdiction;
    for open in profile.questions_about(question.purpose, question.channel) {
        let Some(id) = profile.answer_to(open) else { continue };
        let means = |id: &str| open.answers.get(id).map_or("", |answer| answer.means.as_str());
        say!("Open question {}: {}", open.id, open.asks);
        if id == open.strict {
            say!("  Answered with the strict answer, {id}: {}.", means(id));
            continue;
        }
        say!("  Answered with {id}: {}.", means(id));
        say!("  The strict answer, {}: {}. {}", open.strict, means(&open.strict), strictly(question));
        say!(
            "  A tenant that records no other answer has the strict one: ask with --tenant FILE, or answer {:?} under \
             contact_rules.{}.answers.{}.",
            open.strict,
            profile.id(),
            open.id
        );
    }
}

/// The profile with the strict answers to all of its questions.
fn strict(question: &Question<'_>) -> Option<Jurisdiction> {
    let base = Jurisdiction::built_in(question.jurisdiction.id()).ok()?;
    base.adjusted(&ContactRules::default(), clock::now().date_naive()).ok()
}

/// What the profile says with the strict answers to all of its questions.
fn strictly(question: &Question<'_>) -> String {
    let Some(strict) = strict(question) else { return "It cannot be said.".to_owned() };
    match strict.check(&question.query()) {
        ContactAnswer::Allowed(_) => "It allows the contact, too.".to_owned(),
        ContactAnswer::Refused(refusal) => {
            let next = next(question.next_allowed_under(&strict));
            format!("It refuses the contact: {}; next allowed: {next}.", refusal.code)
        }
    }
}
