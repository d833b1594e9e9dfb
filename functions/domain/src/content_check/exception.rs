//! Exceptions: sentences that a tenant says although the lists of words object, each on the record.
//!
//! Invariants: an exception is for one sentence and one code, with who allowed it, when and why; it takes nothing from
//! what a text must say, and it is shown with the answer of the check.

use std::cell::Cell;
use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::fold::{Folded, Reading};

/// The fewest words of a sentence that is excepted, so that no single word is.
pub const EXCEPTED_WORDS_MIN: usize = 3;
/// The longest sentence, reason or name of an exception, in characters.
pub const EXCEPTION_CHARS_MAX: usize = 500;
/// The most exceptions of a tenant.
pub const EXCEPTIONS_MAX: usize = 200;
/// What stands in a text for a sentence that is excepted. It is a word of no phrase.
const EXCEPTED: &str = " qexexcepted ";

/// A sentence that may be said although the words of a code are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextException {
    /// The code of forbidden content, such as `threat`.
    pub code: String,
    /// The whole sentence, as it stands in the text or the lender's settings.
    pub sentence: String,
    /// Why it does not say what the code forbids.
    pub reason: String,
    /// Who allowed it.
    pub approved_by: String,
    /// When.
    pub approved_on: NaiveDate,
}

impl TextException {
    /// What is wrong with the record; `None` where nothing is.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let texts = [&self.sentence, &self.reason, &self.approved_by];
        if texts.iter().any(|t| t.trim().is_empty() || t.chars().count() > EXCEPTION_CHARS_MAX) {
            Some(
                "lacks a sentence, a reason or who approved it, or one is too long; expected 1 to 500 characters",
            )
        } else if words(&self.sentence) < EXCEPTED_WORDS_MIN {
            Some("is for fewer than three words; expected a whole sentence")
        } else {
            None
        }
    }
}

impl fmt::Display for TextException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, sentence, reason, approved_by, approved_on } = self;
        write!(
            f,
            "\"{}\" ({code}), allowed by {approved_by} on {approved_on}: {reason}",
            sentence.escape_debug()
        )
    }
}

/// The exceptions of a tenant, and which of them a check has met.
#[derive(Debug, Default)]
pub(super) struct Exceptions<'a>(Vec<(&'a TextException, Cell<bool>)>);

impl<'a> Exceptions<'a> {
    pub(super) fn of(exceptions: &'a [TextException]) -> Self {
        let sound = exceptions.iter().take(EXCEPTIONS_MAX).filter(|e| e.problem().is_none());
        Self(sound.map(|e| (e, Cell::new(false))).collect())
    }

    /// The exceptions that were met, in the order of the settings.
    pub(super) fn met(self) -> Vec<TextException> {
        self.0.into_iter().filter(|(_, met)| met.get()).map(|(e, _)| e.clone()).collect()
    }

    /// A text without the sentences that are excepted for a code; `None` where there is none of them.
    ///
    /// A text that is a piece of a longer one may begin inside a sentence, or end inside one; so much of it counts, too.
    pub(super) fn taken_from(&self, text: &str, code: &str, is_piece: bool) -> Option<String> {
        let mut left: Option<String> = None;
        for (exception, met) in self.0.iter().filter(|(e, _)| e.code == code) {
            let sentence = Folded::of(&exception.sentence, Reading::Plain);
            let whole = left.as_deref().unwrap_or(text);
            if let Some(without) = without(whole, sentence.text(), is_piece) {
                met.set(true);
                left = Some(without);
            }
        }
        left
    }
}

fn without(text: &str, sentence: &str, is_piece: bool) -> Option<String> {
    let folded = Folded::of(text, Reading::Plain);
    let words = folded.text();
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    if is_piece
        && let Some(start) = ends(sentence).find(|end| words.starts_with(&format!("{end} ")) || words == *end)
    {
        found.push(0..start.len());
    }
    for (at, _) in words.match_indices(sentence) {
        let end = at + sentence.len();
        let is_whole =
            (at == 0 || words[..at].ends_with(' ')) && (end == words.len() || words[end..].starts_with(' '));
        if is_whole && found.last().is_none_or(|last| last.end <= at) {
            found.push(at..end);
        }
    }
    if is_piece
        && let Some(end) =
            starts(sentence).find(|start| words.ends_with(&format!(" {start}")) || words == *start)
    {
        let at = words.len() - end.len();
        if found.last().is_none_or(|last| last.end <= at) {
            found.push(at..words.len());
        }
    }
    if found.is_empty() {
        return None;
    }
    let mut left = String::with_capacity(text.len());
    let mut done = 0;
    for place in found {
        let origin = folded.origin(place);
        left.push_str(text.get(done..origin.start).unwrap_or_default());
        left.push_str(EXCEPTED);
        done = origin.end;
    }
    left.push_str(text.get(done..).unwrap_or_default());
    Some(left)
}

fn words(text: &str) -> usize {
    Folded::of(text, Reading::Plain).text().split(' ').filter(|word| !word.is_empty()).count()
}

/// The ends of a sentence that are shorter than it, longest first.
fn ends(sentence: &str) -> impl Iterator<Item = &str> {
    let ends = sentence.match_indices(' ').map(|(at, _)| &sentence[at + 1..]);
    ends.filter(|end| words(end) >= EXCEPTED_WORDS_MIN)
}

/// The starts of a sentence that are shorter than it, longest first.
fn starts(sentence: &str) -> impl Iterator<Item = &str> {
    let starts = sentence.rmatch_indices(' ').map(|(at, _)| &sentence[..at]);
    starts.filter(|start| words(start) >= EXCEPTED_WORDS_MIN)
}
