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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn provider(report: Report) -> Transition {
        Transition { report, source: Source::Provider }
    }

    fn entry(transition: Transition) -> HistoryEntry {
        let at = DateTime::UNIX_EPOCH;
        let Transition { report, source } = transition;
        HistoryEntry { report, source, code: Code::default(), at, recorded_at: at }
    }

    fn run(from: TouchState, transitions: &[Transition]) -> (TouchState, History) {
        let (mut state, mut history) = (from, History::default());
        for transition in transitions {
            let folded = fold(state, &history, *transition);
            if let Step::Made(to) = folded.step {
                state = to;
            }
            if folded.is_news {
                history.note(entry(*transition));
            }
        }
        (state, history)
    }

    fn any_transition() -> impl Strategy<Value = Transition> {
        (prop::sample::select(Report::ALL), prop::sample::select(Source::ALL))
            .prop_map(|(report, source)| Transition { report, source })
    }

    fn events() -> impl Strategy<Value = Vec<Report>> {
        let said: Vec<Report> = Report::ALL.iter().copied().filter(|r| *r != Report::Unknown).collect();
        prop::collection::vec(prop::sample::select(said), 1..10)
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_of_events_ends_in_the_same_state(
            (said, shuffled) in events().prop_flat_map(|said| {
                let twice = [said.clone(), said.clone()].concat();
                (Just(said), Just(twice).prop_shuffle())
            }),
            from in prop::sample::select(
                &[TouchState::Claimed, TouchState::Unknown, TouchState::Sent, TouchState::Failed][..]
            ),
        ) {
            let all = |reports: &[Report]| reports.iter().map(|r| provider(*r)).collect::<Vec<_>>();
            let (one, other) = (run(from, &all(&said)), run(from, &all(&shuffled)));
            prop_assert_eq!(one.0, other.0);
            let kinds = |history: &History| {
                let mut kinds: Vec<Report> = history.entries().iter().map(|e| e.report).collect();
                kinds.sort_unstable();
                kinds
            };
            prop_assert_eq!(kinds(&one.1), kinds(&other.1));
        }

        #[test]
        fn the_rank_never_falls_and_the_history_is_bounded(
            from in prop::sample::select(TouchState::ALL),
            said in prop::collection::vec(any_transition(), 0..30),
        ) {
            let mut state = from;
            for transition in &said {
                if let Step::Made(to) = state.advance(*transition) {
                    prop_assert!(to.rank() > state.rank(), "{state} to {to}");
                    prop_assert!(state.rank().is_some());
                    state = to;
                }
            }
            prop_assert!(run(from, &said).1.entries().len() <= HISTORY_MAX);
        }

        #[test]
        fn what_is_said_twice_is_news_once(from in prop::sample::select(TouchState::ALL), said in any_transition()) {
            let (state, history) = run(from, &[said]);
            let again = fold(state, &history, said);
            prop_assert!(!again.is_news && !again.may_fall_back);
        }

        #[test]
        fn a_code_never_holds_an_address(text in "\\PC{0,80}") {
            let code = Code::new(&text);
            prop_assert!(!code.as_str().contains(['@', '+', ' ', '|', ',', '#']));
            prop_assert!(code.as_str().len() <= CODE_CHARS_MAX);
        }
    }

    #[test]
    fn what_is_known_is_not_taken_back_by_what_comes_late() {
        let (state, _) = run(TouchState::Sent, &[provider(Report::HardBounced), provider(Report::Delivered)]);
        assert_eq!(state, TouchState::Bounced);
        let late = [provider(Report::Complained), provider(Report::Delivered), provider(Report::Sent)];
        assert_eq!(run(TouchState::Sent, &late).0, TouchState::Complained);
        let (state, _) = run(TouchState::Delivered, &[provider(Report::Complained)]);
        assert_eq!(state, TouchState::Complained);
    }

    #[test]
    fn an_unknown_outcome_is_settled_by_an_event_or_a_person() {
        for report in [Report::Sent, Report::Delayed, Report::Delivered, Report::HardBounced, Report::Failed]
        {
            assert_eq!(TouchState::Unknown.advance(provider(report)), Step::Made(report.state()));
        }
        let person = |report| Transition { report, source: Source::Person };
        assert_eq!(TouchState::Unknown.advance(person(Report::Failed)), Step::Made(TouchState::Failed));
        assert_eq!(TouchState::Claimed.advance(person(Report::Sent)), Step::Refused(Refused::NotUnknown));
        assert_eq!(TouchState::Sent.advance(person(Report::Failed)), Step::Refused(Refused::NotUnknown));
        assert_eq!(
            TouchState::Unknown.advance(person(Report::Delivered)),
            Step::Refused(Refused::NotItsWord)
        );
        let swept = Transition { report: Report::Unknown, source: Source::Sweeper };
        assert_eq!(TouchState::Claimed.advance(swept), Step::Made(TouchState::Unknown));
        assert_eq!(TouchState::Sent.advance(swept), Step::Ignored(Ignored::Behind));
        assert_eq!(TouchState::Planned.advance(swept), Step::Refused(Refused::NeverSent));
    }

    #[test]
    fn evidence_that_a_message_went_out_outdoes_everything_but_the_providers_own_refusal() {
        let failed_by = |source| {
            let said = Transition { report: Report::Failed, source };
            History::from_iter([entry(said)])
        };
        let person = failed_by(Source::Person);
        for report in
            [Report::Sent, Report::Delayed, Report::Delivered, Report::SoftBounced, Report::Complained]
        {
            let folded = fold(TouchState::Failed, &person, provider(report));
            assert_eq!((folded.step, folded.went_out), (Step::Made(report.state()), true), "{report}");
        }
        let sender = Transition { report: Report::Sent, source: Source::Sender };
        assert_eq!(fold(TouchState::Failed, &person, sender).step, Step::Made(TouchState::Sent));
        let of_sender = failed_by(Source::Sender);
        assert_eq!(fold(TouchState::Failed, &of_sender, sender).step, Step::Ignored(Ignored::Behind));
        assert!(fold(TouchState::Failed, &of_sender, provider(Report::Sent)).went_out);
        // A provider refuses after it took a message, and whatever of the two comes first.
        let refused = fold(TouchState::Failed, &person, provider(Report::Failed));
        assert!(refused.is_news && refused.step == Step::Already && !refused.may_fall_back);
        let mut both = person;
        assert!(both.note(entry(provider(Report::Failed))));
        for history in [both, failed_by(Source::Provider)] {
            let step = fold(TouchState::Failed, &history, provider(Report::Sent)).step;
            assert_eq!(step, Step::Ignored(Ignored::Behind));
            assert!(fold(TouchState::Failed, &history, provider(Report::Delivered)).went_out);
        }
    }

    #[test]
    fn only_what_surely_did_not_arrive_falls_back() {
        let falls_back = |state, said: &[Report]| {
            let before: Vec<Transition> = said[..said.len() - 1].iter().map(|r| provider(*r)).collect();
            let (state, history) = run(state, &before);
            fold(state, &history, provider(said[said.len() - 1])).may_fall_back
        };
        assert!(falls_back(TouchState::Sent, &[Report::HardBounced]));
        assert!(falls_back(TouchState::Unknown, &[Report::Failed]));
        assert!(falls_back(TouchState::Sent, &[Report::SoftBounced, Report::HardBounced]));
        assert!(!falls_back(TouchState::Sent, &[Report::Complained]));
        assert!(!falls_back(TouchState::Sent, &[Report::Complained, Report::HardBounced]));
        assert!(!falls_back(TouchState::Sent, &[Report::Delivered, Report::Failed]));
        assert!(!falls_back(TouchState::Sent, &[Report::HardBounced, Report::HardBounced]));
    }

    #[test]
    fn soft_bounces_are_counted_within_their_days_in_any_order() {
        let on = |day: i64| DateTime::UNIX_EPOCH + chrono::Duration::days(day);
        assert_eq!(soft_bounces_with(&[], on(40)), [on(40)]);
        assert_eq!(soft_bounces_with(&[on(5), on(30)], on(40)), [on(30), on(40)]);
        assert_eq!(soft_bounces_with(&[on(30), on(40)], on(5)), [on(30), on(40)]);
        assert_eq!(soft_bounces_with(&[on(30), on(31), on(40)], on(35)).len(), SOFT_BOUNCES_MAX);
    }
}
