//! Templates: the lender's wording, checked once and rendered many times.
//!
//! Invariant: a compiled template cannot fail for any message. [`TemplateSet::compile`] checks every expression of
//! every branch against the types of the variables ([`check`]), and renders each part for many sample messages, so
//! nothing is left to fail at the moment of sending.
//!
//! The language is that of Jinja: text, `{{ … }}`, `for` and `if`. The variables:
//!
//! | name | what |
//! |---|---|
//! | `customer_name`, `first_name` | the customer; `first_name` is the whole name of a company |
//! | `lender_name`, `lender_phone`, `lender_email` | the lender |
//! | `ways_to_pay` | list of texts |
//! | `opt_out` | the line of the channel on how to stop the messages |
//! | `opt_out_link` | the customer's own link that withdraws the channel, for lenders with an `opt_out_url` |
//! | `amount` | what all items owe together, in the habits of the country; one amount for each currency |
//! | `due_on`, `due_on_short` | due date of the most overdue item: `28 de febrero de 2025`, `28/02/2025` |
//! | `dpd`, `days_late`, `days_until_due` | of the most overdue item; the last two are never negative |
//! | `count` | how many items |
//! | `overdue_count`, `overdue_amount` | how many items are past their due date, and what they owe; 0 and empty where none is |
//! | `upcoming_count`, `upcoming_amount` | the same of the items that are not past it |
//! | `items` | most overdue first, never empty; each with `obligation`, `account` (may be empty), `amount`, `due_on`, `due_on_short`, `dpd`, `days_late`, `days_until_due` |
//!
//! `email.html` escapes every value; the other parts are plain text. A control character in a value becomes a
//! space, so no value can break a line of its own or a header.

mod branches;
mod check;
mod context;
mod error;
mod message;
mod wordings;

use std::collections::BTreeMap;
use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Deserialize;

use crate::channel::Channel;
use crate::ids::TemplateId;
use crate::sms;

pub(crate) use branches::{CONDITIONS_MAX, TooManyBranches};
pub use context::{MessageContext, MessageItem, MessageLender, first_name};
pub use error::{RenderError, TemplateError, TemplateProblem};
pub use message::Message;

/// The longest source of one part, in bytes.
pub const PART_BYTES_MAX: usize = 60_000;
/// The most templates in a set.
pub const TEMPLATES_MAX: usize = 500;

/// The source of one template, as it stands in a policy file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSource {
    /// The template.
    pub id: TemplateId,
    /// The email, where it has one.
    #[serde(default)]
    pub email: Option<EmailSource>,
    /// The text message, where it has one.
    #[serde(default)]
    pub sms: Option<SmsSource>,
}

/// The source of an email.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailSource {
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// The source of a text message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmsSource {
    /// The text.
    pub text: String,
    /// Replace what GSM-7 does not have, so that a part holds 160 characters and not 70.
    #[serde(default)]
    pub transliterate: bool,
}

/// A part of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplatePart {
    /// `email.subject`
    EmailSubject,
    /// `email.text`
    EmailText,
    /// `email.html`
    EmailHtml,
    /// `sms.text`
    SmsText,
}

impl TemplatePart {
    /// The part as it is named in a policy file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmailSubject => "email.subject",
            Self::EmailText => "email.text",
            Self::EmailHtml => "email.html",
            Self::SmsText => "sms.text",
        }
    }
}

impl fmt::Display for TemplatePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Compiled templates.
#[derive(Debug)]
pub struct TemplateSet {
    environment: Environment<'static>,
    entries: BTreeMap<TemplateId, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    email: Option<EmailNames>,
    sms: Option<SmsName>,
}

/// The names under which the parts stand in the environment, built once.
#[derive(Debug)]
struct EmailNames {
    subject: String,
    text: String,
    html: String,
    names_link: bool,
}

#[derive(Debug)]
struct SmsName {
    text: String,
    transliterate: bool,
    names_link: bool,
}

impl TemplateSet {
    /// Compiles and checks templates.
    ///
    /// # Errors
    /// Every [`TemplateError`] of every template, in the order of the sources.
    pub fn compile(sources: Vec<TemplateSource>) -> Result<Self, Vec<TemplateError>> {
        let mut set = Self { environment: environment(), entries: BTreeMap::new() };
        let mut errors = Vec::new();
        for source in sources {
            set.add(source, &mut errors);
        }
        if errors.is_empty() {
            set.render_samples(&mut errors);
        }
        if errors.is_empty() { Ok(set) } else { Err(errors) }
    }

    /// Whether there is a text of a template for a channel.
    #[must_use]
    pub fn has(&self, id: &TemplateId, channel: Channel) -> bool {
        self.entries.get(id).is_some_and(|entry| match channel {
            Channel::Email => entry.email.is_some(),
            Channel::Sms => entry.sms.is_some(),
            Channel::Push | Channel::Whatsapp | Channel::Call => false,
        })
    }

    /// Whether a text of a template for a channel names the customer's opt-out link.
    #[must_use]
    pub fn names_opt_out_link(&self, id: &TemplateId, channel: Channel) -> bool {
        self.entries.get(id).is_some_and(|entry| match channel {
            Channel::Email => entry.email.as_ref().is_some_and(|email| email.names_link),
            Channel::Sms => entry.sms.as_ref().is_some_and(|sms| sms.names_link),
            Channel::Push | Channel::Whatsapp | Channel::Call => false,
        })
    }

    /// The parts of a template for a channel, with their names in the environment.
    fn part_names(&self, id: &TemplateId, channel: Channel) -> Vec<(TemplatePart, &str)> {
        let Some(entry) = self.entries.get(id) else { return Vec::new() };
        match channel {
            Channel::Email => entry.email.as_ref().map_or(Vec::new(), |email| {
                vec![
                    (TemplatePart::EmailSubject, email.subject.as_str()),
                    (TemplatePart::EmailText, email.text.as_str()),
                    (TemplatePart::EmailHtml, email.html.as_str()),
                ]
            }),
            Channel::Sms => {
                entry.sms.as_ref().map_or(Vec::new(), |sms| vec![(TemplatePart::SmsText, sms.text.as_str())])
            }
            Channel::Push | Channel::Whatsapp | Channel::Call => Vec::new(),
        }
    }

    /// The ids of the templates, in order.
    pub fn ids(&self) -> impl Iterator<Item = &TemplateId> {
        self.entries.keys()
    }

    /// Renders a message.
    ///
    /// # Errors
    /// [`RenderError`] when the set has no such text, or the message is about nothing.
    pub fn render(
        &self,
        id: &TemplateId,
        channel: Channel,
        context: &MessageContext<'_>,
    ) -> Result<Message, RenderError> {
        let none = || RenderError::NoTemplate { template: id.clone(), channel };
        let entry = self.entries.get(id).ok_or_else(none)?;
        if context.items.is_empty() {
            return Err(RenderError::NoItems(id.clone()));
        }
        if context.opt_out_link.is_none() && self.names_opt_out_link(id, channel) {
            return Err(RenderError::NoLink { template: id.clone(), channel });
        }
        match channel {
            Channel::Email => {
                let names = entry.email.as_ref().ok_or_else(none)?;
                let values = context.values(channel);
                let mut subject = self.part(id, TemplatePart::EmailSubject, &names.subject, &values)?;
                // Values are clean already; this also holds for an escape inside an expression of the template.
                if let std::borrow::Cow::Owned(clean) = context::clean(&subject) {
                    subject = clean;
                }
                let text = self.part(id, TemplatePart::EmailText, &names.text, &values)?;
                let html = self.part(id, TemplatePart::EmailHtml, &names.html, &values)?;
                Ok(Message { subject: Some(subject), text, html: Some(html), sms: None })
            }
            Channel::Sms => {
                let name = entry.sms.as_ref().ok_or_else(none)?;
                let mut text = self.part(id, TemplatePart::SmsText, &name.text, &context.values(channel))?;
                if name.transliterate {
                    text = sms::transliterate(&text).into_owned();
                }
                let size = sms::measure(&text);
                Ok(Message { subject: None, text, html: None, sms: Some(size) })
            }
            Channel::Push | Channel::Whatsapp | Channel::Call => Err(none()),
        }
    }

    fn part(
        &self,
        id: &TemplateId,
        part: TemplatePart,
        name: &str,
        values: &Value,
    ) -> Result<String, RenderError> {
        self.environment.get_template(name).and_then(|t| t.render(values)).map_err(|error| {
            // The kind only: the detail may quote a value.
            RenderError::Failed { template: id.clone(), part, reason: format!("{:?}", error.kind()) }
        })
    }

    fn add(&mut self, source: TemplateSource, errors: &mut Vec<TemplateError>) {
        let id = source.id;
        let whole = |problem| TemplateError { template: id.clone(), part: None, line: None, problem };
        if self.entries.contains_key(&id) {
            return errors.push(whole(TemplateProblem::Duplicate));
        }
        if self.entries.len() == TEMPLATES_MAX {
            return errors.push(whole(TemplateProblem::TooMany));
        }
        if source.email.is_none() && source.sms.is_none() {
            errors.push(whole(TemplateProblem::NoPart));
        }
        let mut add = |part, text| self.add_part(&id, part, text, errors);
        let email = source.email.map(|email| {
            let subject = add(TemplatePart::EmailSubject, email.subject);
            (subject, add(TemplatePart::EmailText, email.text), add(TemplatePart::EmailHtml, email.html))
        });
        let sms = source.sms.map(|sms| (add(TemplatePart::SmsText, sms.text), sms.transliterate));
        let email = email.map(|(subject, text, html)| {
            let names_link = [&subject, &text, &html].into_iter().any(|name| self.names_link(name));
            EmailNames { subject, text, html, names_link }
        });
        let sms = sms.map(|(text, transliterate)| {
            let names_link = self.names_link(&text);
            SmsName { text, transliterate, names_link }
        });
        self.entries.insert(id, Entry { email, sms });
    }

    /// Whether a part names the customer's opt-out link, in whatever branch.
    fn names_link(&self, name: &str) -> bool {
        let part = self.environment.get_template(name);
        part.is_ok_and(|part| part.undeclared_variables(false).contains(context::OPT_OUT_LINK))
    }

    /// Checks one part and puts it into the environment; gives its name there.
    fn add_part(
        &mut self,
        id: &TemplateId,
        part: TemplatePart,
        source: String,
        errors: &mut Vec<TemplateError>,
    ) -> String {
        let name = format!("{id}/{part}");
        let mut report = |line, problem| {
            errors.push(TemplateError { template: id.clone(), part: Some(part), line, problem });
        };
        let source = source.trim_end().to_owned();
        if source.len() > PART_BYTES_MAX {
            report(None, TemplateProblem::TooLong(source.len()));
            return name;
        }
        if part == TemplatePart::EmailSubject && source.contains(char::is_control) {
            report(None, TemplateProblem::LineBreak);
        }
        for (line, problem) in check::problems(&source) {
            report(line, problem);
        }
        // The same grammar as that of the check, so there is nothing new to report.
        let _ = self.environment.add_template_owned(name.clone(), source);
        name
    }

    fn render_samples(&self, errors: &mut Vec<TemplateError>) {
        for id in self.entries.keys() {
            let mut found: Vec<TemplateError> = Vec::new();
            context::for_each_sample(|what, sample| {
                for channel in [Channel::Email, Channel::Sms].into_iter().filter(|c| self.has(id, *c)) {
                    let Some((part, problem)) = sample_problem(what, self.render(id, channel, sample)) else {
                        continue;
                    };
                    if found.iter().all(|e| e.part != Some(part)) {
                        found.push(TemplateError {
                            template: id.clone(),
                            part: Some(part),
                            line: None,
                            problem,
                        });
                    }
                }
            });
            errors.append(&mut found);
        }
    }
}

fn sample_problem(
    what: &'static str,
    rendered: Result<Message, RenderError>,
) -> Option<(TemplatePart, TemplateProblem)> {
    let blank = |text: &str| text.trim().is_empty();
    let text_part =
        |m: &Message| if m.sms.is_some() { TemplatePart::SmsText } else { TemplatePart::EmailText };
    match rendered {
        Err(RenderError::Failed { part, reason, .. }) => Some((part, TemplateProblem::Syntax(reason))),
        Err(RenderError::NoTemplate { .. } | RenderError::NoLink { .. } | RenderError::NoItems(_)) => None,
        Ok(m) if m.subject.as_deref().is_some_and(blank) => {
            Some((TemplatePart::EmailSubject, TemplateProblem::Empty(what)))
        }
        Ok(m) if m.html.as_deref().is_some_and(blank) => {
            Some((TemplatePart::EmailHtml, TemplateProblem::Empty(what)))
        }
        Ok(m) if blank(&m.text) => Some((text_part(&m), TemplateProblem::Empty(what))),
        Ok(_) => None,
    }
}

/// The grammar of checks and rendering: a line with only a block leaves no empty line.
fn syntax() -> SyntaxConfig {
    let built = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    built.expect("only constant, valid options are set")
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(syntax());
    environment.set_auto_escape_callback(|name| {
        if name.ends_with("/email.html") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment
}

#[cfg(test)]
mod default_tests;
#[cfg(test)]
mod tests;
