//! Open legal questions of a profile: what nobody has settled, the answers that are defended, and what each changes.
//!
//! Invariant: every question has a strict answer, and one of its answers is what the profile itself says.

use std::collections::BTreeMap;

use super::grounds::Grounds;
use super::{Jurisdiction, Window};
use crate::caps::{ChannelSet, CountingMode};
use crate::channel::{Channel, Purpose};

/// A question that the law leaves open.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// The name of the setting.
    pub id: String,
    /// The question in words.
    pub asks: String,
    /// The id of the answer that protects the customer most.
    pub strict: String,
    /// The answers, by their id.
    pub answers: BTreeMap<String, Answer>,
    /// Where it is open.
    pub grounds: Grounds,
}

/// One answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What it means, in words.
    pub means: String,
    pub(super) counting: Option<CountingMode>,
    pub(super) hours: Vec<AnswerHours>,
}

/// The hours that an answer gives to some purposes and channels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AnswerHours {
    pub(super) purposes: Vec<Purpose>,
    pub(super) channels: ChannelSet,
    pub(super) window: Window,
}

impl AnswerHours {
    pub(super) fn cells(&self) -> impl Iterator<Item = (Purpose, Channel)> {
        let channels = || Channel::ALL.iter().copied().filter(|c| self.channels.contains(*c));
        self.purposes.iter().flat_map(move |purpose| channels().map(move |channel| (*purpose, channel)))
    }
}

impl Jurisdiction {
    /// The open questions of the profile.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The open questions whose answers may change what is said about a contact.
    pub fn questions_about(&self, purpose: Purpose, channel: Channel) -> impl Iterator<Item = &Question> {
        let caps = self.rule(purpose, channel).is_some_and(|(_, rule)| !rule.caps.is_empty());
        let about = move |answer: &Answer| {
            let hours = answer.hours.iter().any(|hours| hours.cells().any(|cell| cell == (purpose, channel)));
            hours || caps && answer.counting.is_some()
        };
        self.questions.iter().filter(move |question| question.answers.values().any(about))
    }

    /// The id of the answer that holds: the profile's own, or the tenant's where it chose another.
    #[must_use]
    pub fn answer_to<'a>(&self, question: &'a Question) -> Option<&'a str> {
        let holds = |answer: &Answer| {
            let hours = answer.hours.iter().all(|hours| {
                hours.cells().all(|(purpose, channel)| {
                    self.rule(purpose, channel).is_some_and(|(_, r)| r.window.as_ref() == Some(&hours.window))
                })
            });
            answer.counting.is_none_or(|mode| mode == self.counting.mode) && hours
        };
        question.answers.iter().find(|(_, answer)| holds(answer)).map(|(id, _)| id.as_str())
    }
}
