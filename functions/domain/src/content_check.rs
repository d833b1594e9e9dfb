//! The check of texts: whether what a policy would say may be said, and says what it must, in a jurisdiction.
//!
//! Invariants: required content is looked for in what a customer surely sees, with marked values, in every branch of a
//! text; forbidden content is looked for in rendered messages and in whatever can stand side by side over all branches,
//! seen or hidden; what has too many branches to look at, and a word of a profile that this check does not know, is an
//! objection.

mod css;
mod exception;
mod fold;
mod forbidden;
mod lines;
mod markup;
mod objection;
mod phrases;
mod required;
mod sample;
mod substance;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashSet;

use chrono::NaiveDate;

use crate::channel::Channel;
use crate::jurisdiction::{Basis, Confidence, Grounds, Jurisdiction};
use crate::policy::{Policy, Stage, StatutoryNotice};
use crate::template::{Message, MessageContext, TemplatePart, TooManyBranches};
use crate::tenant::Tenant;

use exception::Exceptions;
pub(crate) use fold::is_invisible;
use fold::{Folded, Reading};
use forbidden::{FORBIDDEN, ForbiddenCode};
use markup::Markup;
use phrases::Beginnings;
use required::{Element, REQUIRED};
use sample::{Compared, Marks, Sample};

pub use exception::{EXCEPTED_WORDS_MIN, EXCEPTION_CHARS_MAX, EXCEPTIONS_MAX, TextException};
pub use lines::TemplateLines;
pub use objection::{ContentObjection, Finding, Place};

/// The code whose phrases a stage may use that is declared as the notice before a report to a credit bureau.
const BUREAU_REPORT: &str = "bureau_report_threat_without_notice";
/// The code that the line on opting out has, under which a profile says why it is asked for.
pub(crate) const OPT_OUT: &str = "opt_out";
/// The code under which a profile says why a contact may not be charged for, or may.
pub(crate) const COLLECTION_FEE: &str = "collection_fee";

/// What a check of texts has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextCheck {
    /// Everything that is wrong: what is missing, what is forbidden, and what the profile asks for and this check does not
    /// know. Empty where every text may be used.
    pub objections: Vec<ContentObjection>,
    /// The exceptions of the tenant without which there would be more objections.
    pub excepted: Vec<TextException>,
}

/// Checks the texts of a policy in a jurisdiction.
///
/// With a tenant, its lender's own values are checked too, one that is blank is missing wherever it is asked for, and
/// the sentences that it excepts may be said.
#[must_use]
pub fn check_texts(policy: &Policy, jurisdiction: &Jurisdiction, tenant: Option<&Tenant>) -> TextCheck {
    let mut objections = Vec::new();
    let excepted = tenant.map_or(&[][..], |tenant| &tenant.text_exceptions);
    let rules = Rules::of(jurisdiction, Exceptions::of(excepted), &mut objections);
    if let Some(tenant) = tenant {
        rules.check_tenant(tenant, &mut objections);
    }
    let lender = tenant.map(|tenant| &tenant.lender);
    let marks = Marks::new(jurisdiction, lender).expect("only constant, valid values are set");
    for stage in &policy.stages {
        for channel in Channel::ALL.iter().copied().filter(|c| policy.templates.has(&stage.template, *c)) {
            StageTexts { rules: &rules, policy, stage, channel }.check(&marks, &mut objections);
        }
    }
    TextCheck { objections, excepted: rules.exceptions.met() }
}

/// What is wrong with the exceptions of a tenant, each with its place among them, from 0. Those have no effect.
pub fn exception_problems(exceptions: &[TextException]) -> impl Iterator<Item = (usize, &'static str)> {
    exceptions.iter().enumerate().filter_map(|(at, exception)| {
        let problem = if at >= EXCEPTIONS_MAX {
            Some("is one too many; expected at most 200")
        } else if FORBIDDEN.code(&exception.code).is_none() {
            Some("names no code of forbidden words; expected one such as threat")
        } else {
            exception.problem()
        };
        Some((at, problem?))
    })
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
    exceptions: Exceptions<'a>,
    /// What was found out about the words of the texts so far.
    beginnings: RefCell<Beginnings>,
    /// Pieces in which nothing was found: the stages of a policy say much alike.
    clean: RefCell<HashSet<String>>,
}

impl<'a> Rules<'a> {
    fn of(
        jurisdiction: &'a Jurisdiction,
        exceptions: Exceptions<'a>,
        objections: &mut Vec<ContentObjection>,
    ) -> Self {
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
        let lists = FORBIDDEN.everywhere.iter().chain(&duties.content.must_not);
        let mut ruled_out: Vec<&str> = lists.map(String::as_str).collect();
        if let Some(word) = &duties.content.collection_fees {
            match FORBIDDEN.fee(word) {
                Some(code) => ruled_out.push(code),
                None => unknown("content.collection_fees", word, grounds(COLLECTION_FEE)),
            }
        }
        for code in ruled_out {
            match FORBIDDEN.code(code) {
                Some(_) if forbidden.iter().any(|(known, ..)| *known == code) => {}
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
        let notice_days = duties.credit_bureau.as_ref().map(|b| b.notice_days);
        let (beginnings, clean) = (RefCell::default(), RefCell::default());
        Self { required, forbidden, notice_days, exceptions, beginnings, clean }
    }

    /// The first forbidden words under each code that no exception takes away, with the code.
    fn forbidden_in<'r>(
        &'r self,
        text: &str,
        is_piece: bool,
    ) -> impl Iterator<Item = (&'r str, String, &'r Grounds)> {
        let readings = FORBIDDEN.readings(text, &mut self.beginnings.borrow_mut());
        self.forbidden.iter().filter_map(move |(code, known, grounds)| {
            let found = text.get(FORBIDDEN.find(known, &readings)?)?.to_owned();
            match self.exceptions.taken_from(text, code, is_piece) {
                None => Some((*code, found, grounds)),
                Some(left) => {
                    let readings = FORBIDDEN.readings(&left, &mut self.beginnings.borrow_mut());
                    let found = left.get(FORBIDDEN.find(known, &readings)?)?.to_owned();
                    Some((*code, found, grounds))
                }
            }
        })
    }

    fn means(&self, code: &str) -> String {
        let known = self.forbidden.iter().find(|(known, ..)| *known == code);
        known.map_or_else(String::new, |(_, known, _)| known.means.clone())
    }

    fn check_tenant(&self, tenant: &Tenant, objections: &mut Vec<ContentObjection>) {
        let lender = &tenant.lender;
        let mut hollow = |place, expected| {
            let finding = Finding::Hollow { expected };
            objections.push(ContentObjection { place, finding, grounds: our_choice() });
        };
        for (key, expected) in substance::hollow(tenant) {
            hollow(Place::Lender { key }, expected);
        }
        for (at, problem) in exception_problems(&tenant.text_exceptions) {
            hollow(Place::Exception { number: at + 1 }, problem);
        }
        let ways = lender.ways_to_pay.iter().map(|way| ("ways_to_pay", way));
        let values = [
            ("name", &lender.name),
            ("phone", &lender.phone),
            ("email", &lender.email),
            ("opt_out_email", &lender.opt_out_email),
            ("opt_out_sms", &lender.opt_out_sms),
        ];
        for (key, value) in values.into_iter().chain(ways) {
            for (code, words, grounds) in self.forbidden_in(value, false) {
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
        self.check_branches(marks, &mut found);
        let samples = marks.samples(self.policy, self.stage, &Compared::default());
        for sample in samples.first().into_iter().chain(samples.last()) {
            let rendered = self.policy.templates.render(&self.stage.template, self.channel, &sample.context);
            // What cannot be rendered was found above.
            if let Ok(message) = rendered {
                self.check_message(&message, &mut found);
            }
        }
        let read = |part: TemplatePart, text: &str| match part {
            TemplatePart::EmailHtml => {
                let Markup { shown, said, .. } = Markup::of(text);
                if shown == said { vec![said] } else { vec![shown, said] }
            }
            TemplatePart::EmailSubject | TemplatePart::EmailText | TemplatePart::SmsText => {
                vec![text.to_owned()]
            }
        };
        for (part, pieces) in self.policy.templates.wordings(&self.stage.template, self.channel, &read) {
            match pieces {
                Ok(pieces) => pieces.iter().for_each(|p| self.check_forbidden(part, p, false, &mut found)),
                Err(TooManyBranches) => self.object(Some(part), Finding::TooManyBranches, &mut found),
            }
        }
        objections.append(&mut found);
    }

    /// Holds each part that is read as a whole against what is required, in each of its branches.
    fn check_branches(&self, marks: &Marks, found: &mut Vec<ContentObjection>) {
        let (templates, id) = (&self.policy.templates, &self.stage.template);
        let parts = templates.branches(id, self.channel, self.stage.notice.is_some());
        let mut compared = Compared::default();
        for (_, branches) in &parts {
            compared.days.extend(&branches.days);
            compared.counts.extend(&branches.counts);
        }
        let samples = marks.samples(self.policy, self.stage, &compared);
        let messages: Vec<MessageContext<'_>> = samples.iter().map(|s| s.context.clone()).collect();
        for (part, branches) in &parts {
            let rendered =
                templates.render_branches((id, self.channel, *part), branches, &messages, |at, text| {
                    let Some(sample) = samples.get(at) else { return };
                    if *part == TemplatePart::EmailHtml {
                        let Markup { mut shown, links, said: _ } = Markup::of(text);
                        // The link that stops the messages is seen by its words, whatever they are.
                        if let Some(link) =
                            sample.opt_out_link().filter(|link| links.iter().any(|l| l == link))
                        {
                            shown.push('\n');
                            shown.push_str(link);
                        }
                        self.check_required(sample, *part, &shown, found);
                    } else {
                        self.check_required(sample, *part, text, found);
                    }
                });
            match rendered {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    self.object(None, Finding::NotRendered { reason: error.to_string() }, found);
                }
                Err(TooManyBranches) => self.object(Some(*part), Finding::TooManyBranches, found),
            }
        }
    }

    /// Holds a rendered message against what is forbidden.
    fn check_message(&self, message: &Message, found: &mut Vec<ContentObjection>) {
        if let Some(subject) = &message.subject {
            self.check_forbidden(TemplatePart::EmailSubject, subject, false, found);
        }
        let text_part = if message.sms.is_some() { TemplatePart::SmsText } else { TemplatePart::EmailText };
        self.check_forbidden(text_part, &message.text, true, found);
        if let Some(html) = &message.html {
            let Markup { shown, said, .. } = Markup::of(html);
            self.check_forbidden(TemplatePart::EmailHtml, &shown, true, found);
            if said != shown {
                self.check_forbidden(TemplatePart::EmailHtml, &said, false, found);
            }
        }
    }

    fn object(&self, part: Option<TemplatePart>, finding: Finding, found: &mut Vec<ContentObjection>) {
        add(found, ContentObjection { place: self.place(part), finding, grounds: our_choice() });
    }

    fn check_required(
        &self,
        sample: &Sample<'_>,
        part: TemplatePart,
        text: &str,
        found: &mut Vec<ContentObjection>,
    ) {
        let folded = Folded::of(text, Reading::Plain);
        if self.is_notice() {
            self.check_notice(sample, part, &folded, found);
        }
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

    /// `is_body` for what a customer reads as a whole, and no piece of it.
    fn check_forbidden(
        &self,
        part: TemplatePart,
        text: &str,
        is_body: bool,
        found: &mut Vec<ContentObjection>,
    ) {
        if !is_body && self.rules.clean.borrow().contains(text) {
            return;
        }
        let mut is_clean = true;
        if let Some((how, words)) = fold::disguise(text) {
            is_clean = false;
            self.object(Some(part), Finding::Disguised { how, words }, found);
        }
        for (code, words, grounds) in self.rules.forbidden_in(text, !is_body) {
            is_clean = false;
            if code == BUREAU_REPORT && self.is_notice() {
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
        if is_clean && !is_body {
            self.rules.clean.borrow_mut().insert(text.to_owned());
        }
    }

    /// Whether the stage is the notice, under a profile that knows of one. That its texts say all of it is required.
    fn is_notice(&self) -> bool {
        self.rules.notice_days.is_some() && self.stage.notice == Some(StatutoryNotice::CreditBureau)
    }

    /// Holds a text of a stage that is a notice of the law against what the notice must say.
    fn check_notice(
        &self,
        sample: &Sample<'_>,
        part: TemplatePart,
        text: &Folded,
        found: &mut Vec<ContentObjection>,
    ) {
        let (Some(notice), Some(days)) = (self.stage.notice, self.rules.notice_days) else { return };
        let law = self.rules.forbidden.iter().find(|(code, ..)| *code == BUREAU_REPORT);
        let grounds = law.map_or_else(our_choice, |(_, _, grounds)| grounds.clone());
        for (said, missing) in REQUIRED.notice(notice).filter_map(|part| Some((part.said(days)?, part))) {
            if !said.is_match(text.text()) {
                let finding = Finding::Missing {
                    code: missing.code.clone(),
                    means: missing.means.clone(),
                    write: missing.write.clone(),
                    sample: sample.describe(),
                };
                add(
                    found,
                    ContentObjection { place: self.place(Some(part)), finding, grounds: grounds.clone() },
                );
            }
        }
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

/// Adds an objection unless the same was found in the same part before: one message is enough to show it.
fn add(found: &mut Vec<ContentObjection>, objection: ContentObjection) {
    if !found
        .iter()
        .any(|known| known.place == objection.place && known.finding.code() == objection.finding.code())
    {
        found.push(objection);
    }
}
