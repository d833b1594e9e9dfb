//! Adjusting a profile: the answers, closed days, and tighter or looser rules of one tenant, laid over the profile.
//!
//! Invariants: what is tightened allows nothing that the profile refuses. What is loosened rests on policy, and the
//! record says who allowed it. The version of an adjusted profile is its own.

use std::sync::Arc;

use chrono::NaiveDate;

use super::adjust_error::{AdjustError, AdjustProblem};
use super::change::{Spot, What, kind_of, loosen_cap, loosen_hours, set_of, tighten_cap, tighten_hours};
use super::error::Problem;
use super::file::Channels;
use super::own::{Change, Choice, ClosedDay, ContactRules, Loosening, OwnRules, Tightening};
use super::question::Question;
use super::{Jurisdiction, Rule, Window, lookup, version};
use crate::calendar::Day;
use crate::caps::{ChannelSet, CountingMode};
use crate::channel::{Channel, Purpose};

/// The most closed days, tightenings, or loosenings of a profile.
pub const ADJUSTMENTS_MAX: usize = 200;
/// The longest reason or name of a record, in characters.
pub const RECORD_CHARS_MAX: usize = 500;

/// One adjustment of a tenant, as a decision names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// The dotted key in the tenant's settings, such as `contact_rules.CO.closed_days[0]`.
    pub place: String,
    /// Why, in the tenant's words, or in the profile's for an answer without any.
    pub reason: String,
    /// Who allowed what the profile does not.
    pub approved_by: Option<String>,
    /// When.
    pub approved_on: Option<NaiveDate>,
}

impl Jurisdiction {
    /// The profile with what a tenant adds to it: first its answers, then what it loosens, then what it tightens.
    /// Where the tenant adds nothing to this profile, the same profile with the same version.
    ///
    /// # Errors
    /// [`AdjustError`] names the key of the settings, and the article that stands against it.
    pub fn adjusted(&self, rules: &ContactRules) -> Result<Self, AdjustError> {
        let Some(own) = rules.of(&self.id).filter(|own| !own.is_empty()) else { return Ok(self.clone()) };
        let mut adjuster = Adjuster::of(self);
        let place = format!("contact_rules.{}", self.id);
        adjuster.limit(&place, own)?;
        for (id, choice) in &own.answers {
            adjuster.answer(&format!("{place}.answers.{id}"), id, choice)?;
        }
        for (i, loosening) in own.loosen.iter().enumerate() {
            adjuster.loosen(format!("{place}.loosen[{i}]"), loosening)?;
        }
        adjuster.tightenings_from = adjuster.profile.adjustments.len();
        for (i, tightening) in own.tighten.iter().enumerate() {
            adjuster.tighten(format!("{place}.tighten[{i}]"), tightening)?;
        }
        for (i, closed) in own.closed_days.iter().enumerate() {
            adjuster.close(format!("{place}.closed_days[{i}]"), closed)?;
        }
        Ok(adjuster.finish(own))
    }

    /// An adjustment by its place in the list, as rules name it.
    pub(crate) fn adjustment(&self, by: Option<usize>) -> Option<&Adjustment> {
        self.adjustments.get(by?)
    }

    /// The adjustments that give a contact more than the profile does, or other hours: the answers and loosenings
    /// that speak for its purpose and channel.
    #[must_use]
    pub fn adjustments_for(&self, purpose: Purpose, channel: Channel) -> Vec<&Adjustment> {
        let rule = self.rule(purpose, channel).map(|(_, rule)| rule);
        let by_rule = rule.into_iter().flat_map(|r| r.caps.iter().map(|cap| cap.by).chain([r.window_by]));
        let mut found: Vec<usize> = by_rule.chain([self.counting_by]).flatten().collect();
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|by| self.adjustment(Some(by))).collect()
    }
}

/// A profile on its way to an adjusted one, with one rule for each purpose and channel.
struct Adjuster<'a> {
    base: &'a Jurisdiction,
    profile: Jurisdiction,
    tightenings_from: usize,
}

pub(super) fn wrong(place: impl Into<String>, problem: impl Into<AdjustProblem>) -> AdjustError {
    AdjustError { place: place.into(), problem: Box::new(problem.into()) }
}

impl<'a> Adjuster<'a> {
    fn of(base: &'a Jurisdiction) -> Self {
        let mut rules = Vec::new();
        for purpose in Purpose::ALL {
            for channel in Channel::ALL {
                let Some((_, rule)) = base.rule(*purpose, *channel) else { continue };
                let channels: ChannelSet = std::iter::once(*channel).collect();
                rules.push(Rule { purposes: vec![*purpose], channels, ..rule.clone() });
            }
        }
        let profile = Jurisdiction { lookup: lookup(&rules), rules, ..base.clone() };
        Self { base, profile, tightenings_from: usize::MAX }
    }

    fn limit(&self, place: &str, own: &OwnRules) -> Result<(), AdjustError> {
        let sizes = [
            ("closed_days", own.closed_days.len()),
            ("answers", own.answers.len()),
            ("loosen", own.loosen.len()),
            ("tighten", own.tighten.len()),
        ];
        match sizes.into_iter().find(|(_, size)| *size > ADJUSTMENTS_MAX) {
            Some((name, size)) => {
                let problem = Problem::OutOfRange { found: size as u64, min: 0, max: ADJUSTMENTS_MAX as u64 };
                Err(wrong(format!("{place}.{name}"), problem))
            }
            None => Ok(()),
        }
    }

    fn record(&mut self, adjustment: Adjustment) -> Result<usize, AdjustError> {
        text(&adjustment.place, "reason", &adjustment.reason)?;
        if let Some(name) = &adjustment.approved_by {
            text(&adjustment.place, "approved_by", name)?;
        }
        self.profile.adjustments.push(adjustment);
        Ok(self.profile.adjustments.len() - 1)
    }

    fn rule(&mut self, purpose: Purpose, channel: Channel) -> Option<&mut Rule> {
        let index = self.profile.lookup[purpose as usize][channel as usize]?;
        self.profile.rules.get_mut(usize::from(index))
    }

    fn answer(&mut self, place: &str, id: &str, choice: &Choice) -> Result<(), AdjustError> {
        let base = self.base;
        let question = base.questions.iter().find(|q| q.id == id).ok_or_else(|| {
            let expected = base.questions.iter().map(|q| q.id.as_str());
            wrong(place, unknown("question", id, expected))
        })?;
        let answer = question.answers.get(&choice.answer).ok_or_else(|| {
            let expected = question.answers.keys().map(String::as_str);
            wrong(format!("{place}.answer"), unknown("answer", &choice.answer, expected))
        })?;
        if base.answer_to(question) == Some(&choice.answer) {
            return Ok(());
        }
        let recorded =
            choice.reason.is_some() && choice.approved_by.is_some() && choice.approved_on.is_some();
        if choice.answer != question.strict && !recorded {
            return Err(wrong(place, AdjustProblem::NoRecord));
        }
        let by = self.record(Adjustment {
            place: place.to_owned(),
            reason: choice.reason.clone().unwrap_or_else(|| answer.means.clone()),
            approved_by: choice.approved_by.clone(),
            approved_on: choice.approved_on,
        })?;
        if let Some(mode) = answer.counting {
            self.count(mode, question, by);
        }
        for hours in &answer.hours {
            for (purpose, channel) in hours.cells() {
                let Some(rule) = self.rule(purpose, channel) else { continue };
                rule.window = Some(hours.window.clone());
                rule.window_by = Some(by);
                rule.grounds = question.grounds.clone();
            }
        }
        Ok(())
    }

    fn count(&mut self, mode: CountingMode, question: &Question, by: usize) {
        self.profile.counting.mode = mode;
        self.profile.counting.grounds = question.grounds.clone();
        self.profile.counting_by = Some(by);
    }

    fn loosen(&mut self, place: String, loosening: &Loosening) -> Result<(), AdjustError> {
        let by = self.record(Adjustment {
            place: place.clone(),
            reason: loosening.reason.clone(),
            approved_by: Some(loosening.approved_by.clone()),
            approved_on: Some(loosening.approved_on),
        })?;
        let change = loosening.change();
        let what = What::of(&place, &change)?;
        let (known, tightenings_from) = (self.profile.channels, self.tightenings_from);
        for (purpose, channel) in self.targets(&place, &change)? {
            let Some(rule) = self.rule(purpose, channel) else { continue };
            let spot = Spot { place: &place, purpose, channel, by, tightenings_from };
            match &what {
                What::Hours(days) => loosen_hours(&spot, rule, days)?,
                What::Cap(cap) => loosen_cap(&spot, rule, kind_of(&place, cap)?, set_of(&cap.over, known))?,
            }
        }
        Ok(())
    }

    fn tighten(&mut self, place: String, tightening: &Tightening) -> Result<(), AdjustError> {
        let by = self.record(Adjustment {
            place: place.clone(),
            reason: tightening.reason.clone(),
            approved_by: None,
            approved_on: None,
        })?;
        let change = tightening.change();
        let what = What::of(&place, &change)?;
        let (known, tightenings_from) = (self.profile.channels, self.tightenings_from);
        for (purpose, channel) in self.targets(&place, &change)? {
            let Some(rule) = self.rule(purpose, channel) else { continue };
            let spot = Spot { place: &place, purpose, channel, by, tightenings_from };
            // What the profile exempts has hours from now on: all of them, less what the tenant takes away.
            rule.window.get_or_insert_with(Window::always);
            match &what {
                What::Hours(days) => tighten_hours(&spot, rule, days)?,
                What::Cap(cap) => tighten_cap(&spot, rule, kind_of(&place, cap)?, set_of(&cap.over, known))?,
            }
        }
        Ok(())
    }

    /// The purposes and channels that a change is for.
    fn targets(&self, place: &str, change: &Change<'_>) -> Result<Vec<(Purpose, Channel)>, AdjustError> {
        if change.purposes.is_empty() {
            return Err(wrong(format!("{place}.purposes"), Problem::Missing("at least one purpose")));
        }
        let mut targets = Vec::new();
        for purpose in change.purposes {
            let has_rule = |channel: &Channel| self.profile.rule(*purpose, *channel).is_some();
            let none = |channel| {
                let problem = AdjustProblem::NoRule { purpose: *purpose, channel };
                wrong(format!("{place}.purposes"), problem)
            };
            let before = targets.len();
            match change.channels {
                Channels::All => {
                    targets.extend(
                        Channel::ALL.iter().copied().filter(has_rule).map(|channel| (*purpose, channel)),
                    );
                }
                Channels::Listed(listed) => {
                    if let Some(other) = listed.iter().find(|channel| !has_rule(channel)) {
                        return Err(none(other.as_str()));
                    }
                    targets.extend(listed.iter().map(|channel| (*purpose, *channel)));
                }
            }
            if targets.len() == before {
                return Err(none("any channel"));
            }
        }
        targets.sort_unstable();
        targets.dedup();
        Ok(targets)
    }

    fn close(&mut self, place: String, closed: &ClosedDay) -> Result<(), AdjustError> {
        if self.profile.closed_days.contains_key(&closed.on) {
            return Err(wrong(format!("{place}.on"), AdjustProblem::Twice));
        }
        if self.profile.day(closed.on) == Day::OutsideTable {
            return Err(wrong(format!("{place}.on"), AdjustProblem::OutsideTable));
        }
        let reason = closed.reason.clone();
        let by = self.record(Adjustment { place, reason, approved_by: None, approved_on: None })?;
        self.profile.closed_days.insert(closed.on, by);
        Ok(())
    }

    fn finish(self, own: &OwnRules) -> Jurisdiction {
        // The rules are maps, lists and texts, which TOML can always say. One that could not be said is in the version.
        let words = toml::to_string(own).unwrap_or_else(|error| format!("# {error}"));
        let texts: Vec<Arc<str>> = self.base.texts.iter().cloned().chain([words.into()]).collect();
        let parts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        Jurisdiction { version: version(&parts, self.base.holiday_text), texts, ..self.profile }
    }
}

fn unknown<'a>(what: &'static str, found: &str, expected: impl Iterator<Item = &'a str>) -> AdjustProblem {
    let expected = expected.collect::<Vec<_>>().join(", ");
    let expected = if expected.is_empty() { "none: the profile has none".to_owned() } else { expected };
    AdjustProblem::Unknown { what, found: found.chars().take(40).collect(), expected }
}

fn text(place: &str, key: &str, words: &str) -> Result<(), AdjustError> {
    let found = words.trim().chars().count();
    if (1..=RECORD_CHARS_MAX).contains(&found) {
        return Ok(());
    }
    Err(wrong(format!("{place}.{key}"), AdjustProblem::Length { found, max: RECORD_CHARS_MAX }))
}
