//! Choices: what customers decide about being contacted, however the word reaches us.
//!
//! Invariants: a choice is only ever added, never replaced, so no later file can undo one; which word counts follows from
//! their times alone ([`crate::customer::Customer::reachable`]). A withdrawal that cannot be told from anything else is
//! left to a person, and so is a reply that only looks like an authorisation.

mod hours;
mod link;
#[cfg(test)]
mod tests;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

pub use hours::{
    AgreedHours, DayName, HOURS_PER_REQUEST_MAX, HoursRefusal, HoursRequest, IntervalError, RequestedHours,
};
pub use link::{
    OPT_OUT_URL_CHARS_MAX, OptOutKey, OptOutLink, OptOutUrl, OptOutUrlError, SignedLink, TOKEN_CHARS_MAX,
    TokenError, token_mark,
};

use crate::contact::{Consent, ReplyText};
use crate::customer::Customer;
use crate::ids::ChoiceId;
use crate::import::fold::fold;
use crate::import::row::CONSENT_FLOOR_ON;

/// The longest reply that can be a keyword, in bytes; a longer one is read by a person.
const KEYWORD_BYTES_MAX: usize = 160;

/// One choice of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The event that brought it; the same event again changes nothing.
    pub id: ChoiceId,
    /// When the customer made it.
    pub at: DateTime<Utc>,
    /// What was chosen.
    pub what: Chosen,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// Words on consent, one for each channel.
    Words(Vec<Consent>),
    /// Other hours; `None` takes back what was asked for before.
    Hours(Option<AgreedHours>),
}

impl Chosen {
    /// Whether something is allowed that was not before: such a choice may be refused, a withdrawal may not.
    #[must_use]
    pub fn grants(&self) -> bool {
        match self {
            Self::Words(words) => words.iter().any(|word| word.granted),
            Self::Hours(hours) => hours.is_some(),
        }
    }
}

impl Customer {
    /// Adds the customer's own choices to what the lender's files say: every word, and the hours of the latest request.
    pub fn take_choices(&mut self, mut choices: Vec<Choice>) {
        choices.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        for choice in choices {
            match choice.what {
                Chosen::Words(words) => self.consents.extend(words),
                Chosen::Hours(hours) => self.agreed_hours = hours,
            }
        }
    }
}

/// The words of a lender's file as they are kept, where `before` are those that were kept until now and `as_of` is the
/// day of the file.
///
/// An authorisation counts from the day that the file gives it. One that the file dates into the future is not believed:
/// it would beat every withdrawal until then. A withdrawal without a day stands from the day on which a file first brought
/// it, so that it beats what was authorised before and yields to what the customer authorises later.
///
/// A file does not take back what an earlier one said: a withdrawal stays until the customer authorises again later, also
/// where a newer file brings an older authorisation, and a channel that the file says nothing about stays as it was.
#[must_use]
pub fn imported_words(words: &[Consent], before: &[Consent], as_of: NaiveDate) -> Vec<Consent> {
    let settled = |word: &Consent| {
        let first_on = || {
            let same = |b: &&Consent| {
                !b.granted && b.channel == word.channel && b.purposes == word.purposes && b.at.is_none()
            };
            // Where the file before authorised the channel, the withdrawal is a new word.
            let taken_back = before.iter().any(|b| b.granted && b.channel == word.channel);
            before.iter().find(same).filter(|_| !taken_back).map_or(as_of, |b| b.on)
        };
        let on = match word.granted {
            true if word.on > as_of => CONSENT_FLOOR_ON,
            false if word.on == CONSENT_FLOOR_ON => first_on(),
            true | false => word.on,
        };
        Consent { on, ..word.clone() }
    };
    let mut kept: Vec<Consent> = words.iter().map(settled).collect();
    let silent = |channel| words.iter().all(|w| w.channel != channel);
    for earlier in before {
        let newer_refusal = |w: &Consent| {
            !w.granted
                && w.channel == earlier.channel
                && w.purposes == earlier.purposes
                && (w.on, w.at) >= (earlier.on, earlier.at)
        };
        let stays = if earlier.granted { silent(earlier.channel) } else { !kept.iter().any(newer_refusal) };
        if stays && !kept.contains(earlier) {
            kept.push(earlier.clone());
        }
    }
    kept
}

/// What a reply to a message means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyMeaning {
    /// No more messages.
    Withdraw,
    /// Messages again.
    GrantAgain,
    /// Whatever it is, a person must read it.
    ForPerson,
}

/// Replies that withdraw, folded. `cancelar` also means to pay, but alone it is an answer to the opt-out line.
const WITHDRAW: &[&str] = &[
    "alto",
    "baja",
    "cancelar",
    "cancelar suscripcion",
    "dar de baja",
    "darme de baja",
    "desuscribir",
    "desuscribirme",
    "no enviar mas",
    "no mas",
    "no mas mensajes",
    "no mas sms",
    "nomas",
    "salir",
    "stop",
    "stopall",
    "unsubscribe",
];
/// Replies that take a withdrawal back, folded.
const GRANT_AGAIN: &[&str] = &["alta", "start"];
/// Words that change nothing about what a reply means.
const POLITE: &[&str] = &["favor", "gracias", "hola", "please", "por", "porfavor"];

/// What a reply means. Case, accents and punctuation make no difference; the whole reply must be a keyword, because a
/// sentence with one in it may say anything.
#[must_use]
pub fn read_reply(text: &ReplyText) -> ReplyMeaning {
    let text = text.reveal();
    if text.len() > KEYWORD_BYTES_MAX {
        return ReplyMeaning::ForPerson;
    }
    let letters: String = text.chars().map(|c| if c.is_ascii_punctuation() { ' ' } else { c }).collect();
    let folded: String =
        fold(&letters).chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    let words: Vec<&str> = folded.split_whitespace().filter(|word| !POLITE.contains(word)).collect();
    let said = words.join(" ");
    match said.as_str() {
        withdraw if WITHDRAW.contains(&withdraw) => ReplyMeaning::Withdraw,
        again if GRANT_AGAIN.contains(&again) => ReplyMeaning::GrantAgain,
        _ => ReplyMeaning::ForPerson,
    }
}
