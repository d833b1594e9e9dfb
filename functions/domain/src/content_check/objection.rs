//! Objections: what is wrong with a text, where, and by which rule.

use std::fmt;

use crate::channel::Channel;
use crate::ids::{StageId, TemplateId};
use crate::jurisdiction::Grounds;
use crate::template::{CONDITIONS_MAX, TemplatePart};

/// Something wrong with the texts of a policy in a jurisdiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentObjection {
    /// Where.
    pub place: Place,
    /// What.
    pub finding: Finding,
    /// By which rule.
    pub grounds: Grounds,
}

/// What an objection is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A text of the policy.
    Text {
        /// The stage that would send it.
        stage: StageId,
        /// The template.
        template: TemplateId,
        /// The channel.
        channel: Channel,
        /// The part, where it is about one.
        part: Option<TemplatePart>,
    },
    /// A value of the lender.
    Lender {
        /// Its key under `lender`.
        key: &'static str,
    },
    /// A sentence that the tenant excepts.
    Exception {
        /// Its place in the list, counted from 1.
        number: usize,
    },
    /// The profile.
    Profile {
        /// The dotted key.
        key: String,
    },
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Something that must be said is not.
    Missing {
        /// The code, such as `creditor_identity`.
        code: String,
        /// What it is.
        means: String,
        /// What a template would say.
        write: String,
        /// A message in which it is missing.
        sample: String,
    },
    /// Something is said that must not be.
    Forbidden {
        /// The code, such as `threat`.
        code: String,
        /// What it means.
        means: String,
        /// The words that were found, as they are written.
        words: String,
        /// Calendar days that a notice must come before, where one would make the words lawful.
        notice_days: Option<u32>,
    },
    /// The profile asks for something that this check does not know.
    UnknownWord {
        /// The word.
        word: String,
    },
    /// The text has more branches than are looked at, so nothing about it is known.
    TooManyBranches,
    /// The words are written so that a person reads something else than a program.
    Disguised {
        /// How.
        how: &'static str,
        /// Where, as it is written.
        words: String,
    },
    /// A value of the tenant that says nothing of what it is for.
    Hollow {
        /// What was expected, or what is wrong.
        expected: &'static str,
    },
    /// The text cannot be rendered, so nothing about it is known.
    NotRendered {
        /// Why.
        reason: String,
    },
}

impl Finding {
    /// The code of the rule; a stable name where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Missing { code, .. } | Self::Forbidden { code, .. } => code,
            Self::UnknownWord { .. } => "unknown_word",
            Self::TooManyBranches => "too_many_branches",
            Self::Disguised { .. } => "disguised",
            Self::Hollow { .. } => "not_substantive",
            Self::NotRendered { .. } => "not_rendered",
        }
    }

    /// The kind of finding, as a stable name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Forbidden { .. } => "forbidden",
            Self::UnknownWord { .. } => "unknown_word",
            Self::TooManyBranches => "too_many_branches",
            Self::Disguised { .. } => "disguised",
            Self::Hollow { .. } => "not_substantive",
            Self::NotRendered { .. } => "not_rendered",
        }
    }
}

impl fmt::Display for ContentObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [", self.place, self.finding)?;
        match (&self.grounds.cite, &self.grounds.source) {
            (Some(article), _) => f.write_str(article)?,
            (None, Some(elsewhere)) => write!(f, "no article here, as in {elsewhere}")?,
            (None, None) => f.write_str("no article")?,
        }
        write!(f, "; {}]", self.grounds.basis.as_str())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { stage, template, channel, part } => {
                write!(f, "stage {stage}, template {template}, ")?;
                match part {
                    Some(part) => write!(f, "{part}"),
                    None => write!(f, "{channel}"),
                }
            }
            Self::Lender { key } => write!(f, "lender.{key}"),
            Self::Exception { number } => write!(f, "text_exceptions[{number}]"),
            Self::Profile { key } => write!(f, "profile, {key}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { code, means, write, sample } => {
                write!(f, "{means} is missing ({code}), for {sample}; expected {write}")
            }
            Self::Forbidden { code, means, words, notice_days } => {
                write!(f, "\"{}\" {means} ({code})", words.escape_debug())?;
                match notice_days {
                    Some(days) => write!(
                        f,
                        "; only a stage with notice = \"credit_bureau\" may say so, in texts that name the {days} days before a report, what is reported, and that one can pay or dispute it"
                    ),
                    None => Ok(()),
                }
            }
            Self::UnknownWord { word } => {
                write!(f, "unknown word {word:?}; no text can be checked for it, so none may be used")
            }
            Self::TooManyBranches => write!(
                f,
                "too many branches to check; expected fewer conditions in one part (at most {CONDITIONS_MAX} that do not only compare numbers)"
            ),
            Self::Disguised { how, words } => {
                write!(f, "\"{}\" {how}; expected plain letters", words.escape_debug())
            }
            Self::Hollow { expected } => write!(f, "says too little; expected {expected}"),
            Self::NotRendered { reason } => f.write_str(reason),
        }
    }
}
