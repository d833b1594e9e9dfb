//! What follows from what is said about a touch, in any order.

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
    for report in [Report::Sent, Report::Delayed, Report::Delivered, Report::HardBounced, Report::Failed] {
        assert_eq!(TouchState::Unknown.advance(provider(report)), Step::Made(report.state()));
    }
    let person = |report| Transition { report, source: Source::Person };
    assert_eq!(TouchState::Unknown.advance(person(Report::Failed)), Step::Made(TouchState::Failed));
    assert_eq!(TouchState::Claimed.advance(person(Report::Sent)), Step::Refused(Refused::NotUnknown));
    assert_eq!(TouchState::Sent.advance(person(Report::Failed)), Step::Refused(Refused::NotUnknown));
    assert_eq!(TouchState::Unknown.advance(person(Report::Delivered)), Step::Refused(Refused::NotItsWord));
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
    for report in [Report::Sent, Report::Delayed, Report::Delivered, Report::SoftBounced, Report::Complained]
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
