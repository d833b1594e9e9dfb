//! The check of texts: whether what a policy would say may be said, and says what it must, in a jurisdiction.
//!
//! Invariants: required content is looked for in what a customer would read, with marked values, so that a text passes
//! only if every message of it names them; forbidden content is looked for in rendered messages and also in every
//! piece of the sources, so that no branch escapes; a word of a profile that this check does not know is an objection.

mod fold;
mod forbidden;
mod lines;
mod objection;
mod required;
mod sample;
#[cfg(test)]
mod tests;
mod visible;

use std::borrow::Cow;

use chrono::NaiveDate;

use crate::channel::Channel;
use crate::jurisdiction::{Basis, Confidence, Grounds, Jurisdiction};
use crate::policy::{Policy, Stage, StatutoryNotice};
use crate::template::{Message, TemplatePart};
use crate::tenant::Lender;

use fold::{Folded, Reading};
use forbidden::{FORBIDDEN, ForbiddenCode, Readings};
use required::{Element, REQUIRED};
use sample::{Marks, Sample};

pub use lines::TemplateLines;
pub use objection::{ContentObjection, Finding, Place};

/// The code whose phrases a stage may use that is declared as the notice before a report to a credit bureau.
const BUREAU_REPORT: &str = "bureau_report_threat_without_notice";
/// The code that the line on opting out has, under which a profile says why it is asked for.
pub(crate) const OPT_OUT: &str = "opt_out";

/// Everything that is wrong with the texts of a policy in a jurisdiction: what is missing, what is forbidden, and what
/// the profile asks for and this check does not know. Empty where every text may be used.
///
/// With a lender, its own values are checked too, and one that is blank is missing wherever it is asked for.
#[must_use]
pub fn check_texts(
    policy: &Policy,
    jurisdiction: &Jurisdiction,
    lender: Option<&Lender>,
) -> Vec<ContentObjection> {
    let mut objections = Vec::new();
    let rules = Rules::of(jurisdiction, &mut objections);
    if let Some(lender) = lender {
        rules.check_lender(lender, &mut objections);
    }
    let marks = Marks::new(jurisdiction, lender).expect("only constant, valid values are set");
    for stage in &policy.stages {
        for channel in Channel::ALL.iter().copied().filter(|c| policy.templates.has(&stage.template, *c)) {
            StageTexts { rules: &rules, policy, stage, channel }.check(&marks, &mut objections);
        }
    }
    objections
}

/// When a person last read the lists of what a text must and must not say; the earlier day of the two.
#[must_use]
pub fn lists_reviewed_on() -> NaiveDate {
    FORBIDDEN.reviewed_on.min(REQUIRED.reviewed_on)
}

/// What a jurisdiction asks of texts, with the grounds of each code.
struct Rules<'a> {
    required: Vec<(&'a str, &'static Element, Grounds)>,
    forbidden: Vec<(&'a str, &'static ForbiddenCode, Grounds)>,
    /// Calendar days between the notice and a report to a credit bureau.
    notice_days: Option<u32>,
}

impl<'a> Rules<'a> {
    fn of(jurisdiction: &'a Jurisdiction, objections: &mut Vec<ContentObjection>) -> Self {
        let duties = jurisdiction.duties();
        let grounds = |code: &str| duties.content.grounds.get(code).cloned().unwrap_or_else(our_choice);
        let mut unknown = |key: &str, word: &str, grounds: Grounds| {
            let place = Place::Profile { key: key.to_owned() };
            objections.push(ContentObjection {
                place,
                finding: Finding::UnknownWord { word: word.to_owned() },
                grounds,
            });
        };
        let mut required: Vec<(&str, &Element, Grounds)> = Vec::new();
        let mut asked: Vec<&str> = REQUIRED.everywhere.iter().map(String::as_str).collect();
        asked.extend(duties.content.must_include.iter().map(String::as_str));
        if let Some(word) = &duties.consent.opt_out {
            match REQUIRED.opt_out(word) {
                Some(code) => asked.push(code),
                None => unknown("consent.opt_out", word, grounds(OPT_OUT)),
            }
        }
        for code in asked {
            match REQUIRED.element(code) {
                Some(_) if required.iter().any(|(known, ..)| *known == code) => {}
                Some(element) => required.push((code, element, grounds(code))),
                None => unknown("content.must_include", code, grounds(code)),
            }
        }
        let mut forbidden: Vec<(&str, &ForbiddenCode, Grounds)> = Vec::new();
        for code in FORBIDDEN.everywhere.iter().chain(&duties.content.must_not) {
            match FORBIDDEN.code(code) {
                Some(_) if forbidden.iter().any(|(known, ..)| known == code) => {}
                Some(known) => {
                    let mut grounds = grounds(code);
                    if grounds.cite.is_none() {
                        grounds.source.get_or_insert_with(|| known.cite.clone());
                    }
                    forbidden.push((code, known, grounds));
                }
                None => unknown("content.must_not", code, grounds(code)),
            }
        }
        Self { required, forbidden, notice_days: duties.credit_bureau.as_ref().map(|b| b.notice_days) }
    }

    /// The first forbidden words under each code, with the code.
    fn forbidden_in<'r>(&'r self, text: &str) -> impl Iterator<Item = (&'r str, String, &'r Grounds)> {
        let readings = Readings::of(text);
        self.forbidden.iter().filter_map(move |(code, known, grounds)| {
            let words = text.get(known.find_in(&readings)?)?.to_owned();
            Some((*code, words, grounds))
        })
    }

    fn means(&self, code: &str) -> String {
        let known = self.forbidden.iter().find(|(known, ..)| *known == code);
        known.map_or_else(String::new, |(_, known, _)| known.means.clone())
    }

    fn check_lender(&self, lender: &Lender, objections: &mut Vec<ContentObjection>) {
        let ways = lender.ways_to_pay.iter().map(|way| ("ways_to_pay", way));
        let values = [
            ("name", &lender.name),
            ("phone", &lender.phone),
            ("email", &lender.email),
            ("opt_out_email", &lender.opt_out_email),
            ("opt_out_sms", &lender.opt_out_sms),
        ];
        for (key, value) in values.into_iter().chain(ways) {
            for (code, words, grounds) in self.forbidden_in(value) {
                let place = Place::Lender { key };
                let finding = Finding::Forbidden {
                    code: code.to_owned(),
                    means: self.means(code),
                    words,
                    notice_days: None,
                };
                objections.push(ContentObjection { place, finding, grounds: grounds.clone() });
            }
        }
    }
}

/// Where no law is known that asks for it.
fn our_choice() -> Grounds {
    Grounds { cite: None, basis: Basis::Policy, confidence: Some(Confidence::Choice), source: None }
}

/// The texts of one stage on one channel.
struct StageTexts<'a> {
    rules: &'a Rules<'a>,
    policy: &'a Policy,
    stage: &'a Stage,
    channel: Channel,
}

impl StageTexts<'_> {
    fn check(&self, marks: &Marks, objections: &mut Vec<ContentObjection>) {
        let mut found: Vec<ContentObjection> = Vec::new();
        let samples = marks.samples(self.policy, self.stage);
        let (first, last) = (samples.first().map(|s| s.dpd), samples.last().map(|s| s.dpd));
        for sample in samples {
            let rendered = self.policy.templates.render(&self.stage.template, self.channel, &sample.context);
            match rendered {
                Ok(message) => {
                    self.check_message(&sample, &message, &mut found);
                    // What differs on the days between is in the literals.
                    if [first, last].contains(&Some(sample.dpd)) {
                        self.check_words(&message, &mut found);
                    }
                }
                Err(error) => {
                    let finding = Finding::NotRendered { reason: error.to_string() };
                    let objection =
                        ContentObjection { place: self.place(None), finding, grounds: our_choice() };
                    add(&mut found, objection);
                }
            }
        }
        for (part, words) in self.policy.templates.literals(&self.stage.template, self.channel) {
            for text in &words {
                let text = if part == TemplatePart::EmailHtml { &visible::visible_text(text) } else { text };
                self.check_forbidden(part, text, false, &mut found);
            }
        }
        objections.append(&mut found);
    }

    fn check_message(&self, sample: &Sample<'_>, message: &Message, found: &mut Vec<ContentObjection>) {
        for (part, text) in bodies(message) {
            self.check_required(sample, part, &text, found);
        }
    }

    fn check_words(&self, message: &Message, found: &mut Vec<ContentObjection>) {
        if let Some(subject) = &message.subject {
            self.check_forbidden(TemplatePart::EmailSubject, subject, false, found);
        }
        for (part, text) in bodies(message) {
            self.check_forbidden(part, &text, true, found);
        }
    }

    fn check_required(
        &self,
        sample: &Sample<'_>,
        part: TemplatePart,
        text: &str,
        found: &mut Vec<ContentObjection>,
    ) {
        let folded = Folded::of(text, Reading::Plain);
        for (code, element, grounds) in &self.rules.required {
            let mut alternatives = element.alternatives(self.channel).iter();
            if alternatives.any(|facts| facts.iter().all(|f| sample.names(*f, &folded, self.channel))) {
                continue;
            }
            let finding = Finding::Missing {
                code: (*code).to_owned(),
                means: element.means.clone(),
                write: element.write.clone(),
                sample: sample.describe(),
            };
            add(found, ContentObjection { place: self.place(Some(part)), finding, grounds: grounds.clone() });
        }
    }

    /// `is_body` for what a customer reads as a whole: only there a notice must name its days.
    fn check_forbidden(
        &self,
        part: TemplatePart,
        text: &str,
        is_body: bool,
        found: &mut Vec<ContentObjection>,
    ) {
        for (code, words, grounds) in self.rules.forbidden_in(text) {
            if code == BUREAU_REPORT && self.is_lawful_notice(is_body.then_some(text)) {
                continue;
            }
            let finding = Finding::Forbidden {
                code: code.to_owned(),
                means: self.rules.means(code),
                words,
                notice_days: self.rules.notice_days.filter(|_| code == BUREAU_REPORT),
            };
            add(found, ContentObjection { place: self.place(Some(part)), finding, grounds: grounds.clone() });
        }
    }

    fn is_lawful_notice(&self, body: Option<&str>) -> bool {
        let Some(days) = self.rules.notice_days else { return false };
        let folded = |text: &str| Folded::of(text, Reading::Plain);
        let names_days = |body| folded(body).has_words(&folded(&format!("{days} días")));
        self.stage.notice == Some(StatutoryNotice::CreditBureau) && body.is_none_or(names_days)
    }

    fn place(&self, part: Option<TemplatePart>) -> Place {
        Place::Text {
            stage: self.stage.id.clone(),
            template: self.stage.template.clone(),
            channel: self.channel,
            part,
        }
    }
}

/// The parts that a customer reads as a whole, as they are read.
fn bodies(message: &Message) -> impl Iterator<Item = (TemplatePart, Cow<'_, str>)> {
    let text_part = if message.sms.is_some() { TemplatePart::SmsText } else { TemplatePart::EmailText };
    let html =
        message.html.as_deref().map(|html| (TemplatePart::EmailHtml, visible::visible_text(html).into()));
    std::iter::once((text_part, message.text.as_str().into())).chain(html)
}

/// Adds an objection unless the same was found in the same part before: one message is enough to show it.
fn add(found: &mut Vec<ContentObjection>, objection: ContentObjection) {
    if !found
        .iter()
        .any(|known| known.place == objection.place && known.finding.code() == objection.finding.code())
    {
        found.push(objection);
    }
}
