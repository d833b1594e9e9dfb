//! From a profile file to a [`Jurisdiction`]: what the file format alone cannot forbid is checked here.
//!
//! Invariant: what comes out can be asked about any contact at any moment without failing.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono_tz::Tz;
use toml::Spanned;

use super::duties::{Consents, Content};
use super::error::{Place, Problem, ProfileError};
use super::file::{
    CapFile, Channels, CountingFile, DayTime, KindWord, ProfileFile, QuestionFile, RuleFile, WindowFile,
    line_of,
};
use super::grounds::{Basis, Confidence, Grounds};
use super::question::{Answer, AnswerHours, Question};
use super::{
    CAPS_PER_RULE_MAX, Counting, INTERVALS_PER_DAY_MAX, Interval, Jurisdiction, QUESTIONS_MAX, RULES_MAX,
    Requirement, Rule, RuleCap, Window,
};
use crate::calendar::HolidayTable;
use crate::caps::{CAP_DAYS_MAX, Cap, CapKind, ChannelSet, Per};
use crate::channel::Channel;
use crate::contact_check::ReasonCode;
use crate::content_check::{COLLECTION_FEE, OPT_OUT};

/// The largest number that a cap may name; more is a typing error.
const CAP_MAX: u32 = 1_000;

/// The word for "this profile has no holiday table".
const NO_TABLE: &str = "none";

/// The text of the file, so that a place can name its line.
pub(super) struct Builder<'a> {
    pub(super) text: &'a str,
}

pub(super) type Windows = BTreeMap<String, (Window, Option<Grounds>)>;

impl Builder<'_> {
    fn error(&self, key: impl Into<String>, span: Option<Range<usize>>, problem: Problem) -> ProfileError {
        let line = span.map(|span| line_of(self.text, span.start));
        ProfileError { place: Place { key: key.into(), line }, problem }
    }

    pub(super) fn schema(&self, schema: &Spanned<u32>) -> Result<(), ProfileError> {
        match *schema.get_ref() {
            1 => Ok(()),
            found => Err(self.error("schema", Some(schema.span()), Problem::Schema(found))),
        }
    }

    pub(super) fn no_base(&self, extends: &Spanned<String>) -> ProfileError {
        self.error("extends", Some(extends.span()), Problem::NoBase(extends.get_ref().clone()))
    }

    pub(super) fn table(&self, id: &Spanned<String>) -> Result<Option<&'static HolidayTable>, ProfileError> {
        if id.get_ref() == NO_TABLE {
            return Ok(None);
        }
        let problem = || Problem::NoTable {
            found: id.get_ref().clone(),
            expected: HolidayTable::built_in_ids().collect::<Vec<_>>().join(", "),
        };
        HolidayTable::built_in(id.get_ref())
            .map(Some)
            .ok_or_else(|| self.error("holidays", Some(id.span()), problem()))
    }

    /// A profile of a country has its zone, and one that serves any has none: its customers may live anywhere.
    pub(super) fn time_zone(&self, file: &ProfileFile) -> Result<Option<Tz>, ProfileError> {
        match (file.country, file.timezone) {
            (Some(_), None) => Err(self.error("timezone", None, Problem::Missing("the zone of the country"))),
            (None, Some(_)) => {
                let why = "a profile that serves any country has no zone";
                Err(self.error("timezone", None, Problem::Misplaced(why)))
            }
            (_, zone) => Ok(zone),
        }
    }

    pub(super) fn counting(&self, file: CountingFile) -> Result<Counting, ProfileError> {
        let grounds = self
            .grounds("counting", None, file.cite, file.basis, file.confidence, file.source)?
            .ok_or_else(|| self.error("counting.basis", None, Problem::Missing("law, guidance or policy")))?;
        Ok(Counting { mode: file.mode, grounds, alternatives: file.alternatives })
    }

    /// Every word on content has its grounds, and nothing else has: an objection can always say why.
    pub(super) fn content_grounds(&self, content: &Content, consent: &Consents) -> Result<(), ProfileError> {
        let opt_out = consent.opt_out.as_ref().map(|_| OPT_OUT);
        let lists = content.must_include.iter().chain(&content.must_not);
        let fees = content.collection_fees.as_ref().map(|_| COLLECTION_FEE);
        let words: Vec<&str> = lists.map(String::as_str).chain(opt_out).chain(fees).collect();
        let wrong = |word: &str, problem| Err(self.error(format!("content.grounds.{word}"), None, problem));
        if let Some(word) = words.iter().find(|word| !content.grounds.contains_key(**word)) {
            return wrong(word, Problem::Missing("a table with its basis and cite"));
        }
        match content.grounds.keys().find(|key| !words.contains(&key.as_str())) {
            Some(other) => wrong(other, Problem::Misplaced("no list of content has this word")),
            None => Ok(()),
        }
    }

    pub(super) fn windows(&self, file: &mut ProfileFile) -> Result<Windows, ProfileError> {
        std::mem::take(&mut file.windows)
            .into_iter()
            .map(|(name, window)| self.window(&name, window).map(|window| (name, window)))
            .collect()
    }

    pub(super) fn rules(&self, file: &mut ProfileFile, windows: &Windows) -> Result<Vec<Rule>, ProfileError> {
        if file.channels.get_ref().is_empty() {
            let problem = Problem::Missing("at least one channel");
            return Err(self.error("channels", Some(file.channels.span()), problem));
        }
        if file.rules.is_empty() || file.rules.len() > RULES_MAX {
            return Err(self.error("rules", None, range(file.rules.len() as u64, 1, RULES_MAX as u64)));
        }
        let registry =
            file.consent.dnc_registry.as_ref().map(|r| format!("not_in_{}", r.name.to_lowercase()));
        let known = file.channels.get_ref();
        std::mem::take(&mut file.rules)
            .into_iter()
            .enumerate()
            .map(|(i, rule)| {
                let span = rule.span();
                // No more than `RULES_MAX` rules come this far.
                let place = u8::try_from(i).unwrap_or(u8::MAX);
                self.rule(place, span, rule.into_inner(), known, windows, registry.as_deref())
            })
            .collect()
    }

    fn window(&self, name: &str, file: WindowFile) -> Result<(Window, Option<Grounds>), ProfileError> {
        let key = format!("windows.{name}");
        let day =
            |day: &str, list: &[Spanned<(DayTime, DayTime)>]| self.intervals(&format!("{key}.{day}"), list);
        let window = Window {
            weekdays: [
                day("mon", &file.mon)?,
                day("tue", &file.tue)?,
                day("wed", &file.wed)?,
                day("thu", &file.thu)?,
                day("fri", &file.fri)?,
                day("sat", &file.sat)?,
                day("sun", &file.sun)?,
            ],
            holiday: day("holiday", &file.holiday)?,
        };
        let grounds = self.grounds(&key, None, file.cite, file.basis, file.confidence, file.source)?;
        Ok((window, grounds))
    }

    fn intervals(
        &self,
        key: &str,
        list: &[Spanned<(DayTime, DayTime)>],
    ) -> Result<Box<[Interval]>, ProfileError> {
        let times: Vec<_> = list.iter().map(|spanned| *spanned.get_ref()).collect();
        intervals_of(&times).map_err(|(place, problem)| match place {
            Some(i) => self.error(format!("{key}[{i}]"), Some(list[i].span()), problem),
            None => self.error(key, None, problem),
        })
    }

    fn rule(
        &self,
        place: u8,
        span: Range<usize>,
        file: RuleFile,
        known: &[Channel],
        windows: &Windows,
        registry: Option<&str>,
    ) -> Result<Rule, ProfileError> {
        let key = &format!("rules[{place}]");
        let wrong = |name: &str, problem| self.error(format!("{key}.{name}"), Some(span.clone()), problem);
        if file.purposes.is_empty() {
            return Err(wrong("purposes", Problem::Missing("at least one purpose")));
        }
        let channels = self.channels(&format!("{key}.channels"), &span, &file.channels, known)?;
        let own =
            self.grounds(key, Some(span.clone()), file.cite, file.basis, file.confidence, file.source)?;
        if file.exempt && (file.window.is_some() || !file.caps.is_empty()) {
            return Err(wrong("exempt", Problem::Misplaced("an exempt rule has no window and no caps")));
        }
        let (window, lent) = match &file.window {
            None if file.exempt => (None, None),
            None => return Err(wrong("window", Problem::Missing("the name of a window, or exempt = true"))),
            Some(name) => {
                let problem = || Problem::NoWindow {
                    found: name.clone(),
                    expected: windows.keys().cloned().collect::<Vec<_>>().join(", "),
                };
                let (window, grounds) = windows.get(name).ok_or_else(|| wrong("window", problem()))?;
                (Some(window.clone()), grounds.clone())
            }
        };
        // The most specific place that states a basis speaks: a window lent to another purpose may be our choice.
        let grounds =
            own.or(lent).ok_or_else(|| wrong("basis", Problem::Missing("a basis here or at the window")))?;
        if file.caps.len() > CAPS_PER_RULE_MAX {
            return Err(wrong("caps", range(file.caps.len() as u64, 0, CAPS_PER_RULE_MAX as u64)));
        }
        let caps = file.caps.into_iter().enumerate();
        let caps = caps
            .map(|(i, cap)| {
                let span = cap.span();
                let cap = self.cap(&format!("{key}.caps[{i}]"), span, cap.into_inner(), known, &grounds)?;
                Ok(RuleCap { cap, by: None })
            })
            .collect::<Result<_, _>>()?;
        let require = file.require.iter().map(|word| match word.as_str() {
            "opt_in" => Ok(Requirement::OptIn),
            "opt_in_by_own_initiative" => Ok(Requirement::OptInByOwnInitiative),
            other if Some(other) == registry => Ok(Requirement::NotInRegistry),
            other => Err(wrong("require", Problem::Requirement(other.to_owned()))),
        });
        let require = require.collect::<Result<_, _>>()?;
        Ok(Rule {
            place,
            purposes: file.purposes,
            channels,
            window,
            window_by: None,
            narrowed: Vec::new(),
            caps,
            require,
            grounds,
        })
    }

    fn cap(
        &self,
        key: &str,
        span: Range<usize>,
        file: CapFile,
        known: &[Channel],
        rule: &Grounds,
    ) -> Result<Cap, ProfileError> {
        let wrong = |name: &str, problem| self.error(format!("{key}.{name}"), Some(span.clone()), problem);
        let numbers = CapNumbers { per: file.per, max: file.max, hours: file.hours, days: file.days };
        let kind = cap_kind(file.kind, numbers).map_err(|(name, problem)| wrong(name, problem))?;
        if !matches!(
            file.code,
            ReasonCode::DailyCap | ReasonCode::WeeklyCap | ReasonCode::MinGap | ReasonCode::ChannelWeek
        ) {
            return Err(wrong(
                "code",
                Problem::Misplaced("expected daily_cap, weekly_cap, min_gap or channel_week"),
            ));
        }
        let over = self.channels(&format!("{key}.over"), &span, &file.over, known)?;
        let own =
            self.grounds(key, Some(span.clone()), file.cite, file.basis, file.confidence, file.source)?;
        Ok(Cap { kind, over, code: file.code, grounds: own.unwrap_or_else(|| rule.clone()) })
    }

    /// The open questions, each with at least two answers, one of them the strict one.
    pub(super) fn questions(
        &self,
        files: Vec<Spanned<QuestionFile>>,
        known: &[Channel],
        windows: &Windows,
    ) -> Result<Vec<Question>, ProfileError> {
        if files.len() > QUESTIONS_MAX {
            return Err(self.error("questions", None, range(files.len() as u64, 0, QUESTIONS_MAX as u64)));
        }
        let mut questions: Vec<Question> = Vec::with_capacity(files.len());
        for (i, spanned) in files.into_iter().enumerate() {
            let (key, span) = (format!("questions[{i}]"), spanned.span());
            let question = self.question(&key, &span, spanned.into_inner(), known, windows)?;
            if questions.iter().any(|above| above.id == question.id) {
                let problem = Problem::Misplaced("a question above has the same id");
                return Err(self.error(format!("{key}.id"), Some(span), problem));
            }
            questions.push(question);
        }
        Ok(questions)
    }

    fn question(
        &self,
        key: &str,
        span: &Range<usize>,
        file: QuestionFile,
        known: &[Channel],
        windows: &Windows,
    ) -> Result<Question, ProfileError> {
        let wrong = |name: &str, problem| self.error(format!("{key}.{name}"), Some(span.clone()), problem);
        if file.answers.len() < 2 {
            return Err(wrong("answers", Problem::Missing("at least two answers")));
        }
        if !file.answers.contains_key(&file.strict) {
            return Err(wrong("strict", Problem::Missing("the id of one of the answers")));
        }
        let grounds =
            self.grounds(key, Some(span.clone()), file.cite, file.basis, file.confidence, file.source)?;
        let grounds = grounds.ok_or_else(|| wrong("basis", Problem::Missing("law, guidance or policy")))?;
        let mut answers = BTreeMap::new();
        for (id, answer) in file.answers {
            let mut hours = Vec::with_capacity(answer.hours.len());
            for (i, one) in answer.hours.into_iter().enumerate() {
                let key = format!("{key}.answers.{id}.hours[{i}]");
                let problem = || Problem::NoWindow {
                    found: one.window.clone(),
                    expected: windows.keys().cloned().collect::<Vec<_>>().join(", "),
                };
                let window = windows.get(&one.window);
                let (window, _) = window
                    .ok_or_else(|| self.error(format!("{key}.window"), Some(span.clone()), problem()))?;
                let channels = self.channels(&format!("{key}.channels"), span, &one.channels, known)?;
                hours.push(AnswerHours { purposes: one.purposes, channels, window: window.clone() });
            }
            answers.insert(id, Answer { means: answer.means, counting: answer.counting, hours });
        }
        Ok(Question { id: file.id, asks: file.asks, strict: file.strict, answers, grounds })
    }

    /// The first question none of whose answers is what the profile says would make an answer change more than it
    /// says, so it is refused.
    pub(super) fn answered(&self, profile: &Jurisdiction) -> Result<(), ProfileError> {
        match profile.questions.iter().position(|q| profile.answer_to(q).is_none()) {
            Some(i) => {
                let problem = Problem::Missing("one answer that changes nothing in this profile");
                Err(self.error(format!("questions[{i}].answers"), None, problem))
            }
            None => Ok(()),
        }
    }

    fn channels(
        &self,
        key: &str,
        span: &Range<usize>,
        channels: &Channels,
        known: &[Channel],
    ) -> Result<ChannelSet, ProfileError> {
        let listed = match channels {
            Channels::All => return Ok(known.iter().copied().collect()),
            Channels::Listed(listed) => listed,
        };
        if listed.is_empty() {
            return Err(self.error(key, Some(span.clone()), Problem::Missing("at least one channel")));
        }
        match listed.iter().find(|channel| !known.contains(channel)) {
            Some(other) => Err(self.error(key, Some(span.clone()), Problem::NotAChannel(other.as_str()))),
            None => Ok(listed.iter().copied().collect()),
        }
    }

    fn grounds(
        &self,
        key: &str,
        span: Option<Range<usize>>,
        cite: Option<String>,
        basis: Option<Basis>,
        confidence: Option<Confidence>,
        source: Option<String>,
    ) -> Result<Option<Grounds>, ProfileError> {
        match basis {
            Some(basis) => Ok(Some(Grounds { cite, basis, confidence, source })),
            None if cite.is_none() && confidence.is_none() && source.is_none() => Ok(None),
            // An article without a basis could be read as law by mistake.
            None => {
                Err(self.error(format!("{key}.basis"), span, Problem::Missing("law, guidance or policy")))
            }
        }
    }
}

fn range(found: u64, min: u64, max: u64) -> Problem {
    Problem::OutOfRange { found, min, max }
}

/// The intervals of a day, in order and apart; where they are not, the place in the list and what is wrong there.
pub(super) fn intervals_of(list: &[(DayTime, DayTime)]) -> Result<Box<[Interval]>, (Option<usize>, Problem)> {
    if list.len() > INTERVALS_PER_DAY_MAX {
        return Err((None, range(list.len() as u64, 0, INTERVALS_PER_DAY_MAX as u64)));
    }
    let mut intervals: Vec<Interval> = Vec::with_capacity(list.len());
    for (i, (from, to)) in list.iter().enumerate() {
        if from >= to {
            return Err((Some(i), Problem::Inverted));
        }
        if intervals.last().is_some_and(|above| from.0 < above.to_second) {
            return Err((Some(i), Problem::Overlap));
        }
        intervals.push(Interval { from_second: from.0, to_second: to.0 });
    }
    Ok(intervals.into())
}

/// The numbers that a cap may name; each kind takes some of them.
#[derive(Clone, Copy)]
pub(super) struct CapNumbers {
    pub(super) per: Option<Per>,
    pub(super) max: Option<u32>,
    pub(super) hours: Option<u32>,
    pub(super) days: Option<u32>,
}

/// What a cap limits, or the key that is wrong and why.
pub(super) fn cap_kind(kind: KindWord, given: CapNumbers) -> Result<CapKind, (&'static str, Problem)> {
    let number = |name: &'static str, value: Option<u32>, max: u32| match value {
        None => Err((name, Problem::Missing("a number"))),
        Some(found) if found == 0 || found > max => Err((name, range(found.into(), 1, max.into()))),
        Some(found) => Ok(found),
    };
    let (takes, kind): (&[&str], _) = match kind {
        KindWord::Count => {
            let per = given.per.ok_or(("per", Problem::Missing("day or week")))?;
            (&["per", "max"], CapKind::Count { per, max: number("max", given.max, CAP_MAX)? })
        }
        KindWord::DistinctChannels => {
            if given.per != Some(Per::Week) {
                return Err(("per", Problem::Missing("week")));
            }
            (&["per", "max"], CapKind::DistinctChannels { max: number("max", given.max, CAP_MAX)? })
        }
        KindWord::MinGap => {
            (&["hours"], CapKind::MinGap { hours: number("hours", given.hours, CAP_DAYS_MAX * 24)? })
        }
        KindWord::RollingCount => {
            let days = number("days", given.days, CAP_DAYS_MAX)?;
            (&["days", "max"], CapKind::RollingCount { days, max: number("max", given.max, CAP_MAX)? })
        }
        KindWord::AfterDirect => {
            (&["days"], CapKind::AfterDirect { days: number("days", given.days, CAP_DAYS_MAX)? })
        }
    };
    let there = [
        ("per", given.per.is_some()),
        ("max", given.max.is_some()),
        ("hours", given.hours.is_some()),
        ("days", given.days.is_some()),
    ];
    match there.into_iter().find(|(name, there)| *there && !takes.contains(name)) {
        Some((name, _)) => Err((name, Problem::Misplaced("a cap of this kind does not take it"))),
        None => Ok(kind),
    }
}
