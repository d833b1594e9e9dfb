//! From a profile file to a [`Jurisdiction`]: what the file format alone cannot forbid is checked here.
//!
//! Invariant: what comes out can be asked about any contact at any moment without failing.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::duties::{Consents, Content};
use super::error::{Place, Problem, ProfileError};
use super::file::{
    CapFile, Channels, CountingFile, DayTime, KindWord, ProfileFile, RuleFile, WindowFile, line_of,
};
use super::grounds::{Basis, Confidence, Grounds};
use super::{
    CAPS_PER_RULE_MAX, Counting, INTERVALS_PER_DAY_MAX, Interval, RULES_MAX, Requirement, Rule, Window,
};
use crate::calendar::HolidayTable;
use crate::caps::{CAP_DAYS_MAX, Cap, CapKind, ChannelSet};
use crate::channel::Channel;
use crate::contact_check::ReasonCode;
use crate::content_check::OPT_OUT;

/// The largest number that a cap may name; more is a typing error.
const CAP_MAX: u32 = 1_000;

/// The word for "this profile has no holiday table".
const NO_TABLE: &str = "none";

/// The text of the file, so that a place can name its line.
pub(super) struct Builder<'a> {
    pub(super) text: &'a str,
}

type Windows = BTreeMap<String, (Window, Option<Grounds>)>;

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
        let words: Vec<&str> = lists.map(String::as_str).chain(opt_out).collect();
        let wrong = |word: &str, problem| Err(self.error(format!("content.grounds.{word}"), None, problem));
        if let Some(word) = words.iter().find(|word| !content.grounds.contains_key(**word)) {
            return wrong(word, Problem::Missing("a table with its basis and cite"));
        }
        match content.grounds.keys().find(|key| !words.contains(&key.as_str())) {
            Some(other) => wrong(other, Problem::Misplaced("no list of content has this word")),
            None => Ok(()),
        }
    }

    pub(super) fn rules(&self, file: &mut ProfileFile) -> Result<Vec<Rule>, ProfileError> {
        let windows = std::mem::take(&mut file.windows)
            .into_iter()
            .map(|(name, window)| self.window(&name, window).map(|window| (name, window)))
            .collect::<Result<Windows, _>>()?;
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
                self.rule(
                    &format!("rules[{i}]"),
                    span,
                    rule.into_inner(),
                    known,
                    &windows,
                    registry.as_deref(),
                )
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
        if list.len() > INTERVALS_PER_DAY_MAX {
            return Err(self.error(key, None, range(list.len() as u64, 0, INTERVALS_PER_DAY_MAX as u64)));
        }
        let mut intervals: Vec<Interval> = Vec::with_capacity(list.len());
        for (i, spanned) in list.iter().enumerate() {
            let (from, to) = *spanned.get_ref();
            let wrong = |problem| Err(self.error(format!("{key}[{i}]"), Some(spanned.span()), problem));
            if from >= to {
                return wrong(Problem::Inverted);
            }
            if intervals.last().is_some_and(|above| from.0 < above.to_second) {
                return wrong(Problem::Overlap);
            }
            intervals.push(Interval { from_second: from.0, to_second: to.0 });
        }
        Ok(intervals.into())
    }

    fn rule(
        &self,
        key: &str,
        span: Range<usize>,
        file: RuleFile,
        known: &[Channel],
        windows: &Windows,
        registry: Option<&str>,
    ) -> Result<Rule, ProfileError> {
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
                self.cap(&format!("{key}.caps[{i}]"), span, cap.into_inner(), known, &grounds)
            })
            .collect::<Result<_, _>>()?;
        let require = file.require.iter().map(|word| match word.as_str() {
            "opt_in" => Ok(Requirement::OptIn),
            "opt_in_by_own_initiative" => Ok(Requirement::OptInByOwnInitiative),
            other if Some(other) == registry => Ok(Requirement::NotInRegistry),
            other => Err(wrong("require", Problem::Requirement(other.to_owned()))),
        });
        let require = require.collect::<Result<_, _>>()?;
        Ok(Rule { purposes: file.purposes, channels, window, caps, require, grounds })
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
        let number = |name: &str, value: Option<u32>, max: u32| match value {
            None => Err(wrong(name, Problem::Missing("a number"))),
            Some(found) if found == 0 || found > max => Err(wrong(name, range(found.into(), 1, max.into()))),
            Some(found) => Ok(found),
        };
        let (takes, kind): (&[&str], _) = match file.kind {
            KindWord::Count => {
                let per = file.per.ok_or_else(|| wrong("per", Problem::Missing("day or week")))?;
                (&["per", "max"], CapKind::Count { per, max: number("max", file.max, CAP_MAX)? })
            }
            KindWord::DistinctChannels => {
                if file.per != Some(crate::caps::Per::Week) {
                    return Err(wrong("per", Problem::Missing("week")));
                }
                (&["per", "max"], CapKind::DistinctChannels { max: number("max", file.max, CAP_MAX)? })
            }
            KindWord::MinGap => {
                (&["hours"], CapKind::MinGap { hours: number("hours", file.hours, CAP_DAYS_MAX * 24)? })
            }
            KindWord::RollingCount => {
                let days = number("days", file.days, CAP_DAYS_MAX)?;
                (&["days", "max"], CapKind::RollingCount { days, max: number("max", file.max, CAP_MAX)? })
            }
            KindWord::AfterDirect => {
                (&["days"], CapKind::AfterDirect { days: number("days", file.days, CAP_DAYS_MAX)? })
            }
        };
        let given = [
            ("per", file.per.is_some()),
            ("max", file.max.is_some()),
            ("hours", file.hours.is_some()),
            ("days", file.days.is_some()),
        ];
        if let Some((name, _)) = given.iter().find(|(name, there)| *there && !takes.contains(name)) {
            return Err(wrong(name, Problem::Misplaced("a cap of this kind does not take it")));
        }
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
