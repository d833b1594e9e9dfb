//! Literals: what a template can say in its own words, also in a branch that no message reaches.
//!
//! Invariant: every character outside the tags, and every quoted text inside them, is there.

use std::sync::LazyLock;

use regex::Regex;

use super::{TemplatePart, TemplateSet};
use crate::channel::Channel;
use crate::ids::TemplateId;

/// What stands where a tag stood. It is a word, so that no phrase reaches over it.
const TAG: &str = " qextag ";

/// `{{ … }}`, `{% … %}` or `{# … #}`.
static TAGS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}").expect("a constant expression is sound")
});
/// A quoted text inside a tag.
static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?s)"([^"]*)"|'([^']*)'"#).expect("a constant expression is sound"));

impl TemplateSet {
    /// The words of each part of a template for a channel: first those outside the tags, then each quoted text.
    #[must_use]
    pub fn literals(&self, id: &TemplateId, channel: Channel) -> Vec<(TemplatePart, Vec<String>)> {
        let Some(entry) = self.entries.get(id) else { return Vec::new() };
        let names = match channel {
            Channel::Email => entry.email.as_ref().map_or(Vec::new(), |email| {
                vec![
                    (TemplatePart::EmailSubject, &email.subject),
                    (TemplatePart::EmailText, &email.text),
                    (TemplatePart::EmailHtml, &email.html),
                ]
            }),
            Channel::Sms => {
                entry.sms.as_ref().map_or(Vec::new(), |sms| vec![(TemplatePart::SmsText, &sms.text)])
            }
            Channel::Push | Channel::Whatsapp | Channel::Call => Vec::new(),
        };
        let words = |name: &str| self.environment.get_template(name).map(|t| of_source(t.source())).ok();
        names.into_iter().filter_map(|(part, name)| Some((part, words(name)?))).collect()
    }
}

fn of_source(source: &str) -> Vec<String> {
    let mut words = vec![TAGS.replace_all(source, TAG).into_owned()];
    for tag in TAGS.find_iter(source).filter(|tag| !tag.as_str().starts_with("{#")) {
        for quoted in QUOTED.captures_iter(tag.as_str()) {
            let text = quoted.get(1).or_else(|| quoted.get(2)).map_or("", |m| m.as_str());
            if !text.trim().is_empty() {
                words.push(text.to_owned());
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_quoted_text_are_there_and_comments_are_not() {
        let source = "Hola {{ 'uno' if dpd > 900 else \"dos\" }}{# no #}{% if dpd == 901 %}tres{% endif %}.";
        assert_eq!(of_source(source), ["Hola  qextag  qextag  qextag tres qextag .", "uno", "dos"]);
    }
}
