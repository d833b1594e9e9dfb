//! Errors of templates: why one cannot be used, and why a message cannot be rendered.
//!
//! Invariant: an error names the place and what was expected, and never a value of a message.

use std::fmt;

use super::{PART_BYTES_MAX, TEMPLATES_MAX, TemplatePart};
use crate::channel::Channel;
use crate::ids::TemplateId;

/// Why a template cannot be used: which one, where, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template {template}{}: {problem}", Place(*part, *line))]
pub struct TemplateError {
    pub(super) template: TemplateId,
    pub(super) part: Option<TemplatePart>,
    pub(super) line: Option<u16>,
    pub(super) problem: TemplateProblem,
}

impl TemplateError {
    /// The template with the error.
    #[must_use]
    pub fn template(&self) -> &TemplateId {
        &self.template
    }

    /// The part with the error; `None` when it is about the template as a whole.
    #[must_use]
    pub fn part(&self) -> Option<TemplatePart> {
        self.part
    }

    /// The line inside the part, counted from 1, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<u16> {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &TemplateProblem {
        &self.problem
    }
}

struct Place(Option<TemplatePart>, Option<u16>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |part| write!(f, ", {part}"))?;
        self.1.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateProblem {
    /// Two templates share the id.
    #[error("is defined twice; expected one definition")]
    Duplicate,
    /// Neither an email nor a text message.
    #[error("has no text; expected an email or an sms part")]
    NoPart,
    /// More than [`TEMPLATES_MAX`].
    #[error("is one too many; expected at most {TEMPLATES_MAX} templates")]
    TooMany,
    /// The source is longer than [`PART_BYTES_MAX`].
    #[error("has {0} bytes; expected at most {PART_BYTES_MAX}")]
    TooLong(usize),
    /// It does not follow the grammar.
    #[error("{0}")]
    Syntax(String),
    /// A variable or field that does not exist.
    #[error("unknown variable `{name}`; available: {available}")]
    UnknownVariable {
        /// The name.
        name: String,
        /// What there is.
        available: String,
    },
    /// A filter that does not exist here.
    #[error("unknown filter `{name}`; available: {available}")]
    UnknownFilter {
        /// The name.
        name: String,
        /// What there is.
        available: &'static str,
    },
    /// Something of the language that could fail at the moment of sending.
    #[error("{found} cannot be used here; expected {expected}")]
    NotAllowed {
        /// What was written.
        found: String,
        /// What can be written.
        expected: &'static str,
    },
    /// Nothing is left of the part for some message.
    #[error("is empty for {0}; expected some text for every message")]
    Empty(&'static str),
    /// A subject of several lines.
    #[error("has a line break or another control character; expected one line")]
    LineBreak,
}

/// Why a message cannot be rendered. It never holds a value of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The set has no text of the template for the channel.
    #[error("template {template} has no text for {channel}")]
    NoTemplate {
        /// The template.
        template: TemplateId,
        /// The channel.
        channel: Channel,
    },
    /// A text names the opt-out link, and the message has none.
    #[error("template {template} has an opt-out link for {channel}, and the lender no opt_out_url")]
    NoLink {
        /// The template.
        template: TemplateId,
        /// The channel.
        channel: Channel,
    },
    /// The message is about nothing.
    #[error("template {0} was given no obligation; expected at least one")]
    NoItems(TemplateId),
    /// The template failed in spite of every check; a fault of the checks.
    #[error("template {template}, {part} failed: {reason}")]
    Failed {
        /// The template.
        template: TemplateId,
        /// The part.
        part: TemplatePart,
        /// The kind of failure, without any value.
        reason: String,
    },
}
