//! Delivery: what is said about a touch after its claim, by whom, and what follows from it.
//!
//! Invariants: reports may come in any order, late and repeated; the state they lead to is the same ([`fold`]). Each
//! kind of report is kept once per touch ([`History`]), the first of its kind, so that what follows from it is done once.
//! Only a provider's refusal is kept beside somebody else's word that nothing went out, because it says more.
//!
//! What follows: a hard bounce and a complaint end the use of the contact point, and so does the last of
//! [`SOFT_BOUNCES_MAX`] soft bounces. A message that surely did not arrive lets its stage fall back to the next
//! channel. A complaint never does: whoever complains wants to be left alone, not to be written to elsewhere. Where it
//! shows afterwards that a message went out that was taken for failed, its stage counts as reached again.

use chrono::{DateTime, Days, Utc};

use crate::touch::TouchState;

/// How many soft bounces within [`SOFT_BOUNCE_DAYS`] end the use of a contact point.
pub const SOFT_BOUNCES_MAX: usize = 3;
/// Over how many days soft bounces are counted.
pub const SOFT_BOUNCE_DAYS: u64 = 30;
/// The longest code that is kept of a report, in characters.
pub const CODE_CHARS_MAX: usize = 60;
/// The most entries of a history: one for each kind of report, and a provider's refusal beside somebody else's word.
pub const HISTORY_MAX: usize = Report::ALL.len() + 1;

/// What is said about the message of a claimed touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// Nobody knows whether the provider accepted it.
    Unknown,
    /// The provider accepted it.
    Sent,
    /// The provider accepted it and is still trying.
    Delayed,
    /// The provider, or the code before it, refused it; it was not sent.
    Failed,
    /// It arrived.
    Delivered,
    /// It did not arrive for a reason that may pass.
    SoftBounced,
    /// It did not arrive, and nothing sent to this contact point ever will.
    HardBounced,
    /// The customer complained about it.
    Complained,
}

impl Report {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Unknown,
        Self::Sent,
        Self::Delayed,
        Self::Failed,
        Self::Delivered,
        Self::SoftBounced,
        Self::HardBounced,
        Self::Complained,
    ];

    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Sent => "sent",
            Self::Delayed => "delayed",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::SoftBounced => "soft_bounced",
            Self::HardBounced => "hard_bounced",
            Self::Complained => "complained",
        }
    }

    /// The state that it tells of. A delay tells that the provider has accepted the message.
    #[must_use]
    pub const fn state(self) -> TouchState {
        match self {
            Self::Unknown => TouchState::Unknown,
            Self::Sent | Self::Delayed => TouchState::Sent,
            Self::Failed => TouchState::Failed,
            Self::Delivered => TouchState::Delivered,
            Self::SoftBounced | Self::HardBounced => TouchState::Bounced,
            Self::Complained => TouchState::Complained,
        }
    }

    /// Whether it may let the stage fall back to the next channel.
    #[must_use]
    pub const fn may_fall_back(self) -> bool {
        match self {
            Self::Failed | Self::SoftBounced | Self::HardBounced => true,
            Self::Unknown | Self::Sent | Self::Delayed | Self::Delivered | Self::Complained => false,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who says something about a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The function that called the provider.
    Sender,
    /// What looks for claims that nobody settled.
    Sweeper,
    /// The provider, in an event.
    Provider,
    /// A person, in the console or by API.
    Person,
}

impl Source {
    /// Every source.
    pub const ALL: &'static [Self] = &[Self::Sender, Self::Sweeper, Self::Provider, Self::Person];

    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Sweeper => "sweeper",
            Self::Provider => "provider",
            Self::Person => "person",
        }
    }

    /// Whether it can know such a thing at all.
    #[must_use]
    pub const fn may_say(self, report: Report) -> bool {
        match (self, report) {
            (Self::Sender, Report::Unknown | Report::Sent | Report::Failed)
            | (Self::Sweeper, Report::Unknown)
            | (Self::Person, Report::Sent | Report::Failed) => true,
            (Self::Provider, said) => !matches!(said, Report::Unknown),
            (Self::Sender | Self::Sweeper | Self::Person, _) => false,
        }
    }
}

/// A report and who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// What is said.
    pub report: Report,
    /// By whom.
    pub source: Source,
}

/// What a transition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The touch moves forward to this state.
    Made(TouchState),
    /// It is there already.
    Already,
    /// It was true once, and more is known by now.
    Ignored(Ignored),
    /// It cannot be true, or not from this source.
    Refused(Refused),
}

/// Why a transition changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// The touch is in a state of a higher rank.
    Behind,
}

/// Why a transition is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No provider was called for the touch.
    #[error("the touch is not claimed, so no provider was called for it")]
    NeverSent,
    /// The source cannot know this.
    #[error("this source cannot report this")]
    NotItsWord,
    /// A person settles what is unknown, and nothing else.
    #[error("the touch is not unknown; expected one whose outcome nobody knows")]
    NotUnknown,
    /// A person settles a claim after it was made.
    #[error("the word is of an earlier moment than the claim of the touch; expected a later one")]
    BeforeClaim,
    /// The sender's word against the provider's.
    #[error("the provider says that the message was sent")]
    Contradiction,
}

/// A short reason: a provider's own code, never an address or a content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// Keeps letters, digits and `_ . / -` of a text, and turns everything else into `_`, so that no address can
    /// pass through it whole. Cut to [`CODE_CHARS_MAX`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-');
        Self(text.trim().chars().take(CODE_CHARS_MAX).map(|c| if plain(c) { c } else { '_' }).collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One report in the history of a touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// What was said.
    pub report: Report,
    /// By whom.
    pub source: Source,
    /// Why.
    pub code: Code,
    /// When it happened, by whoever said it.
    pub at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// What was said about a touch, in the order in which it was recorded: each kind of report once, the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(Vec<HistoryEntry>);

impl History {
    /// What was said, oldest first; at most [`HISTORY_MAX`] entries.
    #[must_use]
    pub fn entries(&self) -> &[HistoryEntry] {
        &self.0
    }

    /// Whether something of this kind was said.
    #[must_use]
    pub fn has(&self, report: Report) -> bool {
        self.0.iter().any(|e| e.report == report)
    }

    /// Whether this was said, or as much: a provider's refusal is more than somebody else's word that nothing went out.
    #[must_use]
    pub fn tells(&self, Transition { report, source }: Transition) -> bool {
        let is_refusal = report == Report::Failed && source == Source::Provider;
        if is_refusal { self.is_refused() } else { self.has(report) }
    }

    /// Whether the provider itself has refused the message.
    #[must_use]
    fn is_refused(&self) -> bool {
        self.0.iter().any(|e| e.report == Report::Failed && e.source == Source::Provider)
    }

    /// Keeps an entry, unless as much was said before; says whether it was new.
    pub fn note(&mut self, entry: HistoryEntry) -> bool {
        let is_new = !self.tells(Transition { report: entry.report, source: entry.source });
        if is_new {
            self.0.push(entry);
        }
        is_new
    }
}

impl FromIterator<HistoryEntry> for History {
    fn from_iter<I: IntoIterator<Item = HistoryEntry>>(entries: I) -> Self {
        let mut history = Self::default();
        for entry in entries {
            history.note(entry);
        }
        history
    }
}

/// What becomes of a touch by one more report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// What it does to the state.
    pub step: Step,
    /// Whether it is to be kept: the state moves, or a provider says something of a kind that was not said before.
    pub is_news: bool,
    /// Whether the message surely did not arrive and the stage may go another way, if the contact point is of no more
    /// use or the provider refused the message.
    pub may_fall_back: bool,
    /// Whether the message went out after all, that was taken for failed: its stages count as reached again.
    pub went_out: bool,
}

/// Folds one more report into what is known about a touch.
#[must_use]
pub fn fold(state: TouchState, history: &History, transition: Transition) -> Folded {
    let Transition { report, source } = transition;
    let step = match state.advance(transition) {
        Step::Ignored(Ignored::Behind) if outdoes(state, history, transition) => Step::Made(report.state()),
        step @ (Step::Made(_) | Step::Already | Step::Ignored(_) | Step::Refused(_)) => step,
    };
    let is_news = match step {
        Step::Made(_) => true,
        Step::Already | Step::Ignored(_) => source == Source::Provider && !history.tells(transition),
        Step::Refused(_) => false,
    };
    // Where it arrived after all, or the customer complained, the stage stays where it is.
    let not_arrived = match step {
        Step::Made(_) => true,
        Step::Already => state == TouchState::Bounced,
        Step::Ignored(_) | Step::Refused(_) => false,
    };
    Folded {
        step,
        is_news,
        may_fall_back: is_news && not_arrived && report.may_fall_back(),
        went_out: state == TouchState::Failed && matches!(step, Step::Made(_)),
    }
}

/// Whether it is said of a failed touch that its provider has the message, by one who knows better than whoever said that
/// it failed. A provider's own refusal stands: it comes after it took the message.
fn outdoes(state: TouchState, history: &History, Transition { report, source }: Transition) -> bool {
    let went_out = state == TouchState::Failed && report.state() == TouchState::Sent;
    let by_person = || {
        let failed = history.entries().iter().find(|e| e.report == Report::Failed);
        failed.is_some_and(|e| e.source == Source::Person)
    };
    let knows_better = match source {
        Source::Provider => true,
        // Its call was answered after all, while a person took it for lost.
        Source::Sender => by_person(),
        Source::Sweeper | Source::Person => false,
    };
    went_out && knows_better && !history.is_refused()
}

/// The instants of an address's soft bounces that still count when another comes at `at`, oldest first, with it.
#[must_use]
pub fn soft_bounces_with(earlier: &[DateTime<Utc>], at: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut all: Vec<_> = earlier.iter().copied().chain([at]).collect();
    all.sort_unstable();
    let newest = all.last().copied().unwrap_or(at);
    let from = newest.checked_sub_days(Days::new(SOFT_BOUNCE_DAYS)).unwrap_or(newest);
    all.retain(|one| *one > from);
    // More than the limit says nothing more than the limit.
    all.split_off(all.len().saturating_sub(SOFT_BOUNCES_MAX))
}

#[cfg(test)]
mod tests;
