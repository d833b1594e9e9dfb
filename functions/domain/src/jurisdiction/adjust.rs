//! Adjusting a profile: the answers, closed days, and tighter or looser rules of one tenant, laid over the profile.
//!
//! Invariants: what is tightened allows nothing that the profile refuses. What is loosened rests on policy, and the
//! record says who allowed it, on a day that has come. An open question that the tenant does not answer has its strict
//! answer. The version of an adjusted profile is its own.

use std::sync::Arc;

use chrono::NaiveDate;

use super::adjust_error::{AdjustError, AdjustErrors, AdjustProblem, Mistakes};
use super::change::{Spot, What, loosen_cap, loosen_hours, set_of, tighten_cap, tighten_hours};
use super::error::Problem;
use super::file::Channels;
use super::own::{Change, Choice, ClosedDay, ContactRules, Loosening, OwnRules, Tightening};
use super::question::{Answer, Question};
use super::{Jurisdiction, Rule, Window, lookup, version};
use crate::calendar::Day;
use crate::caps::ChannelSet;
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
    /// The profile as it holds for a tenant on `today`, with what the tenant adds to it: first its answers, then what it
    /// loosens, then what it tightens. An open question without an answer gets the strict one. Where all of that changes
    /// nothing, the same profile with the same version.
    ///
    /// # Errors
    /// [`AdjustErrors`] names every key of the settings that is wrong, and the article that stands against it.
    pub fn adjusted(&self, rules: &ContactRules, today: NaiveDate) -> Result<Self, AdjustErrors> {
        let mut own = rules.of(&self.id).cloned().unwrap_or_default();
        let unanswered: Vec<&Question> = self.questions.iter().filter(|q| self.is_lenient(q, &own)).collect();
        if own.is_empty() && unanswered.is_empty() {
            return Ok(self.clone());
        }
        let mut adjuster = Adjuster::of(self, today);
        let place = format!("contact_rules.{}", self.id);
        adjuster.limit(&place, &own);
        adjuster.mistakes.refuse_any()?;
        for question in unanswered {
            adjuster.answer_strictly(&place, question);
            own.answers.insert(question.id.clone(), Choice::of(&question.strict));
        }
        for (id, choice) in rules.of(&self.id).into_iter().flat_map(|own| &own.answers) {
            adjuster.answer(&format!("{place}.answers.{id}"), id, choice);
        }
        for (i, loosening) in own.loosen.iter().enumerate() {
            adjuster.loosen(format!("{place}.loosen[{i}]"), loosening);
        }
        adjuster.tightenings_from = adjuster.profile.adjustments.len();
        for (i, tightening) in own.tighten.iter().enumerate() {
            adjuster.tighten(format!("{place}.tighten[{i}]"), tightening);
        }
        for (i, closed) in own.closed_days.iter().enumerate() {
            adjuster.close(format!("{place}.closed_days[{i}]"), closed);
        }
        adjuster.finish(&own)
    }

    /// Whether the profile has another than the strict answer to a question, and the tenant none.
    fn is_lenient(&self, question: &Question, own: &OwnRules) -> bool {
        !own.answers.contains_key(&question.id) && self.answer_to(question) != Some(&question.strict)
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
    /// The tenant's own day: nobody has allowed anything after it.
    today: NaiveDate,
    tightenings_from: usize,
    mistakes: Mistakes,
}

pub(super) fn wrong(place: impl Into<String>, problem: impl Into<AdjustProblem>) -> AdjustError {
    AdjustError { place: place.into(), problem: Box::new(problem.into()) }
}

impl<'a> Adjuster<'a> {
    fn of(base: &'a Jurisdiction, today: NaiveDate) -> Self {
        let mut rules = Vec::new();
        for purpose in Purpose::ALL {
            for channel in Channel::ALL {
                let Some((_, rule)) = base.rule(*purpose, *channel) else { continue };
                let channels: ChannelSet = std::iter::once(*channel).collect();
                rules.push(Rule { purposes: vec![*purpose], channels, ..rule.clone() });
            }
        }
        let profile = Jurisdiction { lookup: lookup(&rules), rules, ..base.clone() };
        Self { base, profile, today, tightenings_from: usize::MAX, mistakes: Mistakes::default() }
    }

    fn limit(&mut self, place: &str, own: &OwnRules) {
        let sizes = [
            ("closed_days", own.closed_days.len()),
            ("answers", own.answers.len()),
            ("loosen", own.loosen.len()),
            ("tighten", own.tighten.len()),
        ];
        for (name, size) in sizes.into_iter().filter(|(_, size)| *size > ADJUSTMENTS_MAX) {
            let problem = Problem::OutOfRange { found: size as u64, min: 0, max: ADJUSTMENTS_MAX as u64 };
            self.mistakes.add(wrong(format!("{place}.{name}"), problem));
        }
    }

    /// Takes an adjustment into the list, and says under which number.
    fn record(&mut self, adjustment: Adjustment) -> usize {
        let Adjustment { place, reason, approved_by, approved_on } = &adjustment;
        for (key, words) in [("reason", Some(reason)), ("approved_by", approved_by.as_ref())] {
            self.mistakes.take(words.map_or(Ok(()), |words| text(place, key, words)));
        }
        if let Some(on) = approved_on.filter(|on| *on > self.today) {
            let problem = AdjustProblem::NotYet { on, today: self.today };
            self.mistakes.add(wrong(format!("{place}.approved_on"), problem));
        }
        self.profile.adjustments.push(adjustment);
        self.profile.adjustments.len() - 1
    }

    fn rule(&mut self, purpose: Purpose, channel: Channel) -> Option<(&mut Rule, &mut Mistakes)> {
        let index = self.profile.lookup[purpose as usize][channel as usize]?;
        Some((self.profile.rules.get_mut(usize::from(index))?, &mut self.mistakes))
    }

    fn answer(&mut self, place: &str, id: &str, choice: &Choice) {
        let base = self.base;
        let Some(question) = base.questions.iter().find(|q| q.id == id) else {
            let expected = base.questions.iter().map(|q| q.id.as_str());
            return self.mistakes.add(wrong(place, unknown("question", id, expected)));
        };
        let Some(answer) = question.answers.get(&choice.answer) else {
            let expected = question.answers.keys().map(String::as_str);
            let problem = unknown("answer", &choice.answer, expected);
            return self.mistakes.add(wrong(format!("{place}.answer"), problem));
        };
        let Choice { reason, approved_by, approved_on, .. } = choice;
        let is_strict = choice.answer == question.strict;
        if !is_strict && (reason.is_none() || approved_by.is_none() || approved_on.is_none()) {
            return self.mistakes.add(wrong(place, AdjustProblem::NoRecord));
        }
        let is_the_profiles = base.answer_to(question) == Some(&choice.answer);
        if is_strict && is_the_profiles {
            return;
        }
        let by = self.record(Adjustment {
            place: place.to_owned(),
            reason: reason.clone().unwrap_or_else(|| answer.means.clone()),
            approved_by: approved_by.clone(),
            approved_on: *approved_on,
        });
        // Who chose what the profile says, too, is on record; it changes nothing.
        if !is_the_profiles {
            self.follow(question, answer, by);
        }
    }

    fn answer_strictly(&mut self, place: &str, question: &Question) {
        let Some(answer) = question.answers.get(&question.strict) else { return };
        let by = self.record(Adjustment {
            place: format!("{place}.answers.{}", question.id),
            reason: format!("{} (the strict answer, because the settings have none)", answer.means),
            approved_by: None,
            approved_on: None,
        });
        self.follow(question, answer, by);
    }

    fn follow(&mut self, question: &Question, answer: &Answer, by: usize) {
        if let Some(mode) = answer.counting {
            self.profile.counting.mode = mode;
            self.profile.counting.grounds = question.grounds.clone();
            self.profile.counting_by = Some(by);
        }
        for hours in &answer.hours {
            for (purpose, channel) in hours.cells() {
                let Some((rule, _)) = self.rule(purpose, channel) else { continue };
                rule.window = Some(hours.window.clone());
                rule.window_by = Some(by);
                rule.grounds = question.grounds.clone();
            }
        }
    }

    fn loosen(&mut self, place: String, loosening: &Loosening) {
        let by = self.record(Adjustment {
            place: place.clone(),
            reason: loosening.reason.clone(),
            approved_by: Some(loosening.approved_by.clone()),
            approved_on: Some(loosening.approved_on),
        });
        let change = loosening.change();
        let Some(what) = What::of(&place, &change, &mut self.mistakes) else { return };
        let (known, tightenings_from) = (self.profile.channels, self.tightenings_from);
        for (purpose, channel) in self.targets(&place, &change) {
            let Some((rule, mistakes)) = self.rule(purpose, channel) else { continue };
            let spot = Spot { place: &place, purpose, channel, by, tightenings_from };
            match &what {
                What::Hours(days) => loosen_hours(&spot, rule, days, mistakes),
                What::Cap { kind, over } => {
                    mistakes.take(loosen_cap(&spot, rule, *kind, set_of(over, known)));
                }
            }
        }
    }

    fn tighten(&mut self, place: String, tightening: &Tightening) {
        let by = self.record(Adjustment {
            place: place.clone(),
            reason: tightening.reason.clone(),
            approved_by: None,
            approved_on: None,
        });
        let change = tightening.change();
        let Some(what) = What::of(&place, &change, &mut self.mistakes) else { return };
        let (known, tightenings_from) = (self.profile.channels, self.tightenings_from);
        for (purpose, channel) in self.targets(&place, &change) {
            let Some((rule, mistakes)) = self.rule(purpose, channel) else { continue };
            let spot = Spot { place: &place, purpose, channel, by, tightenings_from };
            // What the profile exempts has hours from now on: all of them, less what the tenant takes away.
            rule.window.get_or_insert_with(Window::always);
            match &what {
                What::Hours(days) => tighten_hours(&spot, rule, days, mistakes),
                What::Cap { kind, over } => {
                    mistakes.take(tighten_cap(&spot, rule, *kind, set_of(over, known)));
                }
            }
        }
    }

    /// The purposes and channels that a change is for; those for which there is no rule are mistakes.
    fn targets(&mut self, place: &str, change: &Change<'_>) -> Vec<(Purpose, Channel)> {
        let key = format!("{place}.purposes");
        if change.purposes.is_empty() {
            self.mistakes.add(wrong(&*key, Problem::Missing("at least one purpose")));
        }
        let mut targets = Vec::new();
        for purpose in change.purposes {
            let has_rule = |channel: &Channel| self.profile.rule(*purpose, *channel).is_some();
            let (found, without) = match change.channels {
                Channels::All => {
                    let found: Vec<Channel> = Channel::ALL.iter().copied().filter(has_rule).collect();
                    let without = found.is_empty().then_some("any channel");
                    (found, without)
                }
                Channels::Listed(listed) => {
                    let other = listed.iter().find(|channel| !has_rule(channel)).map(|c| c.as_str());
                    let nothing = listed.is_empty().then_some("any channel");
                    (listed.iter().copied().filter(has_rule).collect(), other.or(nothing))
                }
            };
            if let Some(channel) = without {
                self.mistakes.add(wrong(&*key, AdjustProblem::NoRule { purpose: *purpose, channel }));
            }
            targets.extend(found.into_iter().map(|channel| (*purpose, channel)));
        }
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    fn close(&mut self, place: String, closed: &ClosedDay) {
        let key = format!("{place}.on");
        if self.profile.closed_days.contains_key(&closed.on) {
            self.mistakes.add(wrong(key, AdjustProblem::Twice));
        } else if self.profile.day(closed.on) == Day::OutsideTable {
            self.mistakes.add(wrong(key, AdjustProblem::OutsideTable));
        }
        let reason = closed.reason.clone();
        let by = self.record(Adjustment { place, reason, approved_by: None, approved_on: None });
        self.profile.closed_days.insert(closed.on, by);
    }

    fn finish(self, own: &OwnRules) -> Result<Jurisdiction, AdjustErrors> {
        self.mistakes.refuse_any()?;
        // The rules are maps, lists and texts, which TOML can always say. One that could not be said is in the version.
        let words = toml::to_string(own).unwrap_or_else(|error| format!("# {error}"));
        Ok(self.profile.followed_by(&self.base.texts, words))
    }
}

impl Jurisdiction {
    /// The same profile under the version of some texts and one more.
    pub(super) fn followed_by(self, texts: &[Arc<str>], words: String) -> Self {
        let texts: Vec<Arc<str>> = texts.iter().cloned().chain([words.into()]).collect();
        let parts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        Self { version: version(&parts, self.holiday_text), texts, ..self }
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
