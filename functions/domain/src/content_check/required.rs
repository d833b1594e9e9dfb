//! Required content: which facts a text must name, by code and channel, from `content/required.toml`.
//!
//! Invariant: a code that is asked for and not known is an objection, and never passes silently.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::NaiveDate;
use regex::Regex;
use serde::Deserialize;

use crate::channel::Channel;
use crate::policy::StatutoryNotice;

/// The codes that are compiled in.
pub(super) static REQUIRED: LazyLock<Required> = LazyLock::new(|| {
    let parsed = Required::parse(include_str!("../../content/required.toml"));
    parsed.expect("the file is compiled in, and a test reads it")
});

/// Every code of required content.
pub(super) struct Required {
    /// When a person last read the list.
    pub(super) reviewed_on: NaiveDate,
    /// The codes that are asked for in every place.
    pub(super) everywhere: Vec<String>,
    elements: BTreeMap<String, Element>,
    opt_outs: BTreeMap<String, String>,
    notices: Vec<NoticePart>,
}

/// Something that a notice of the law must say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoticePart {
    notice: StatutoryNotice,
    pub(super) code: String,
    /// In words that stand before "is missing".
    pub(super) means: String,
    /// What a text would say.
    pub(super) write: String,
    phrases: Vec<String>,
}

impl NoticePart {
    /// What says it, for a number of days. `None` where the phrases cannot be read, which a test rules out.
    pub(super) fn said(&self, days: u32) -> Option<Regex> {
        let in_words = NUMBERS_IN_WORDS.iter().find(|(number, _)| *number == days);
        let days =
            in_words.map_or_else(|| days.to_string(), |(number, words)| format!("(?:{number}|{words})"));
        let all = self.phrases.join("|").replace("{days}", &days);
        Regex::new(&format!(r"(?-u:\b)(?:{all})(?-u:\b)")).ok()
    }
}

/// How numbers of days are written out.
const NUMBERS_IN_WORDS: [(u32, &str); 4] =
    [(10, "diez|ten"), (15, "quince|fifteen"), (20, "veinte|twenty"), (30, "treinta|thirty")];

/// What a text must say under one code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Element {
    code: String,
    /// In words that stand before "is missing".
    pub(super) means: String,
    /// What a template would say.
    pub(super) write: String,
    email: Vec<Vec<Fact>>,
    sms: Vec<Vec<Fact>>,
    /// Why less is asked of a text message.
    #[serde(default)]
    reason_sms: Option<String>,
}

/// Something that a text can be seen to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fact {
    /// The lender's name.
    LenderName,
    /// The reference of every item.
    Obligation,
    /// The reference of a credit product.
    Account,
    /// What all items owe, what those past due owe, or what each owes.
    Amount,
    /// The due date of the most overdue item.
    DueOn,
    /// One of the ways to pay.
    WayToPay,
    /// The lender's number or address.
    Contact,
    /// The channel's line on how to stop the messages, or the customer's own link that does.
    OptOut,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    reviewed: NaiveDate,
    everywhere: Vec<String>,
    elements: Vec<Element>,
    opt_outs: Vec<OptOut>,
    notices: Vec<NoticePart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptOut {
    word: String,
    element: String,
    reason: String,
}

impl Required {
    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.schema != 1 {
            return Err(format!("schema {} is unknown; expected 1", file.schema));
        }
        let mut elements = BTreeMap::new();
        for element in file.elements {
            if element.email.is_empty() || element.sms.is_empty() {
                return Err(format!("{}: expected at least one alternative for each channel", element.code));
            }
            if element.email != element.sms && element.reason_sms.is_none() {
                return Err(format!(
                    "{}: a text message is asked for something else without a reason",
                    element.code
                ));
            }
            if let Some(first) = elements.insert(element.code.clone(), element) {
                return Err(format!("{} is defined twice", first.code));
            }
        }
        let named = file.everywhere.iter().chain(file.opt_outs.iter().map(|o| &o.element));
        if let Some(code) = named.into_iter().find(|code| !elements.contains_key(*code)) {
            return Err(format!("unknown code {code:?}"));
        }
        if let Some(opt_out) = file.opt_outs.iter().find(|o| o.reason.is_empty()) {
            return Err(format!("{}: expected a reason", opt_out.word));
        }
        if let Some(part) =
            file.notices.iter().find(|part| part.said(20).is_none() || part.phrases.is_empty())
        {
            return Err(format!("{}: expected phrases that can be read", part.code));
        }
        let opt_outs = file.opt_outs.into_iter().map(|o| (o.word, o.element)).collect();
        Ok(Self {
            reviewed_on: file.reviewed,
            everywhere: file.everywhere,
            elements,
            opt_outs,
            notices: file.notices,
        })
    }

    /// What a notice must say.
    pub(super) fn notice(&self, notice: StatutoryNotice) -> impl Iterator<Item = &NoticePart> {
        self.notices.iter().filter(move |part| part.notice == notice)
    }

    pub(super) fn element(&self, code: &str) -> Option<&Element> {
        self.elements.get(code)
    }

    /// The code that a profile's word on opting out asks for.
    pub(super) fn opt_out(&self, word: &str) -> Option<&str> {
        self.opt_outs.get(word).map(String::as_str)
    }
}

impl Element {
    /// The alternatives for a channel, each a list of facts that must all be there.
    pub(super) fn alternatives(&self, channel: Channel) -> &[Vec<Fact>] {
        match channel {
            Channel::Sms => &self.sms,
            Channel::Email | Channel::Push | Channel::Whatsapp | Channel::Call => &self.email,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jurisdiction::Jurisdiction;

    #[test]
    fn every_word_of_every_profile_is_known() {
        for id in Jurisdiction::built_in_ids() {
            let duties = Jurisdiction::built_in(id).unwrap().duties();
            for code in &duties.content.must_include {
                assert!(REQUIRED.element(code).is_some(), "{id}: {code}");
            }
            if let Some(word) = &duties.consent.opt_out {
                assert_eq!(REQUIRED.opt_out(word), Some("opt_out"), "{id}: {word}");
            }
        }
        assert!(REQUIRED.reviewed_on >= NaiveDate::from_ymd_opt(2026, 11, 22).unwrap());
    }

    #[test]
    fn less_for_a_text_message_needs_a_reason() {
        let text = include_str!("../../content/required.toml");
        let reasons: Vec<&str> = text.lines().filter(|l| l.starts_with("reason_sms")).collect();
        assert_eq!(reasons.len(), 2);
        for reason in reasons {
            let error = Required::parse(&text.replace(reason, "")).err().unwrap();
            assert!(error.ends_with("without a reason"), "{error}");
        }
    }
}
