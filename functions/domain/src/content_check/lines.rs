//! Lines: where in a policy file an objection's text stands.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::forbidden::FORBIDDEN;
use super::objection::{ContentObjection, Finding, Place};
use super::phrases::Beginnings;
use crate::ids::TemplateId;
use crate::template::TemplatePart;

/// The places of the texts of a policy file.
#[derive(Debug)]
pub struct TemplateLines<'a> {
    text: &'a str,
    templates: Vec<Spanned<TemplateFile>>,
}

#[derive(Debug, Deserialize)]
struct PolicyFile {
    #[serde(default)]
    templates: Vec<Spanned<TemplateFile>>,
}

#[derive(Debug, Deserialize)]
struct TemplateFile {
    id: TemplateId,
    email: Option<EmailFile>,
    sms: Option<SmsFile>,
}

#[derive(Debug, Deserialize)]
struct EmailFile {
    subject: Spanned<String>,
    text: Spanned<String>,
    html: Spanned<String>,
}

#[derive(Debug, Deserialize)]
struct SmsFile {
    text: Spanned<String>,
}

impl<'a> TemplateLines<'a> {
    /// Reads where the texts of a policy file stand. A file that is no policy has none.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let templates = toml::from_str::<PolicyFile>(text).map(|file| file.templates);
        Self { text, templates: templates.unwrap_or_default() }
    }

    /// The line of an objection, counted from 1: that of the forbidden words, or the first of the text that lacks
    /// something. `None` where it is not about a text of the file.
    #[must_use]
    pub fn line_of(&self, objection: &ContentObjection) -> Option<usize> {
        let Place::Text { template, part, .. } = &objection.place else { return None };
        let found = self.templates.iter().find(|t| t.get_ref().id == *template)?;
        let span = part.and_then(|part| span_of(found.get_ref(), part)).unwrap_or(found.span());
        let source = self.text.get(span.clone())?;
        let words = match &objection.finding {
            Finding::Forbidden { code, .. } => FORBIDDEN.code(code).and_then(|known| {
                FORBIDDEN.find(known, &FORBIDDEN.readings(source, &mut Beginnings::default()))
            }),
            Finding::Disguised { words, .. } => source.find(words.as_str()).map(|at| at..at + words.len()),
            Finding::Missing { .. }
            | Finding::UnknownWord { .. }
            | Finding::TooManyBranches
            | Finding::Hollow { .. }
            | Finding::NotRendered { .. } => None,
        };
        let byte = span.start + words.map_or(0, |words| words.start);
        Some(self.text.get(..byte)?.matches('\n').count() + 1)
    }
}

fn span_of(template: &TemplateFile, part: TemplatePart) -> Option<Range<usize>> {
    let email = template.email.as_ref();
    Some(match part {
        TemplatePart::EmailSubject => email?.subject.span(),
        TemplatePart::EmailText => email?.text.span(),
        TemplatePart::EmailHtml => email?.html.span(),
        TemplatePart::SmsText => template.sms.as_ref()?.text.span(),
    })
}
