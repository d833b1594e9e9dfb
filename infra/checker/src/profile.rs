//! Profiles: the contact rules of a jurisdiction and its holidays, read from their raw files.
//!
//! Invariant: what a profile asks for and this check does not understand is refused, never left out.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike, Weekday};
use chrono_tz::Tz;
use serde::Deserialize;

use crate::InputError;

/// The id of the holiday table of a profile without one.
const NO_HOLIDAYS: &str = "none";
/// The word for every channel.
const EVERY_CHANNEL: &str = "*";

/// The contact rules of a jurisdiction.
pub(crate) struct Profile {
    /// That of the place; a profile of any country has none.
    pub(crate) time_zone: Option<Tz>,
    /// Whether a week goes from Monday to Sunday; otherwise it is any seven consecutive local dates.
    pub(crate) iso_week: bool,
    /// Whether a message without an answer feeds the caps.
    pub(crate) counts_messages: bool,
    /// Whether there is a holiday table.
    pub(crate) has_holidays: bool,
    /// Whether it is of no country, and so has the holidays of the customer's.
    pub(crate) serves_any: bool,
    channels: Vec<String>,
    windows: BTreeMap<String, Window>,
    rules: Vec<ContactRule>,
    /// The hours that answers give instead of those of the rules.
    answered: Vec<AnsweredHours>,
}

/// Which answers the open legal questions of a profile have, where its text gives none beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenQuestions {
    /// What the profile itself says.
    AsWritten,
    /// The strict answers: what holds for a lender that gave none.
    Strict,
}

/// A question that the law leaves open.
#[derive(Deserialize)]
struct OpenQuestion {
    id: String,
    strict: String,
    answers: BTreeMap<String, AnswerWords>,
}

/// What an answer changes.
#[derive(Deserialize)]
struct AnswerWords {
    counting: Option<CountingMode>,
    #[serde(default)]
    hours: Vec<AnsweredHours>,
}

/// The hours that an answer gives to some purposes and channels.
#[derive(Clone, Deserialize)]
struct AnsweredHours {
    purposes: Vec<String>,
    channels: Vec<String>,
    window: String,
}

/// The answer that a lender gave.
#[derive(Deserialize)]
struct GivenAnswer {
    answer: String,
}

/// The rule for some purposes and channels.
#[derive(Deserialize)]
pub(crate) struct ContactRule {
    purposes: Vec<String>,
    channels: Vec<String>,
    window: Option<String>,
    #[serde(default)]
    pub(crate) exempt: bool,
    #[serde(default)]
    pub(crate) caps: Vec<Cap>,
}

/// The most contacts in a period.
#[derive(Deserialize)]
pub(crate) struct Cap {
    pub(crate) code: String,
    #[serde(flatten)]
    pub(crate) kind: CapKind,
    #[serde(default)]
    over: Over,
}

/// What a cap limits.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum CapKind {
    Count {
        per: Per,
        max: usize,
    },
    DistinctChannels {
        per: Per,
        max: usize,
    },
    MinGap {
        hours: i64,
    },
    RollingCount {
        days: i64,
        max: usize,
    },
    /// Closed after a two-way contact, which a message is not.
    AfterDirect {},
}

/// The period of a cap.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Per {
    Day,
    Week,
}

/// The channels whose contacts a cap counts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Over {
    One(String),
    Several(Vec<String>),
}

impl Default for Over {
    fn default() -> Self {
        Self::One(EVERY_CHANNEL.into())
    }
}

impl Cap {
    pub(crate) fn counts(&self, channel: &str) -> bool {
        match &self.over {
            Over::One(word) => word == EVERY_CHANNEL || word == channel,
            Over::Several(words) => words.iter().any(|word| word == EVERY_CHANNEL || word == channel),
        }
    }
}

/// The hours of each day of the week, and of holidays.
#[derive(Deserialize)]
pub(crate) struct Window {
    mon: Hours,
    tue: Hours,
    wed: Hours,
    thu: Hours,
    fri: Hours,
    sat: Hours,
    sun: Hours,
    holiday: Hours,
}

/// The open intervals of a day; each begins at its first time and ends before its second.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Hours(Vec<(String, String)>);

impl Hours {
    pub(crate) fn are_closed(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn hold(&self, local: NaiveDateTime) -> bool {
        let second = local.num_seconds_from_midnight();
        self.0.iter().any(|(from, to)| match (second_of_day(from), second_of_day(to)) {
            (Some(from), Some(to)) => from <= second && second < to,
            _ => false,
        })
    }
}

/// `HH:MM` as seconds from midnight; `24:00` is the end of the day.
fn second_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let second = hour * 3_600 + minute * 60;
    (hour <= 24 && minute < 60 && second <= 86_400).then_some(second)
}

impl Window {
    pub(crate) fn weekday(&self, day: Weekday) -> &Hours {
        match day {
            Weekday::Mon => &self.mon,
            Weekday::Tue => &self.tue,
            Weekday::Wed => &self.wed,
            Weekday::Thu => &self.thu,
            Weekday::Fri => &self.fri,
            Weekday::Sat => &self.sat,
            Weekday::Sun => &self.sun,
        }
    }

    pub(crate) fn holiday(&self) -> &Hours {
        &self.holiday
    }

    fn all(&self) -> [&Hours; 8] {
        [&self.mon, &self.tue, &self.wed, &self.thu, &self.fri, &self.sat, &self.sun, &self.holiday]
    }
}

#[derive(Deserialize)]
struct ProfileFile {
    timezone: Option<Tz>,
    week: Week,
    holidays: String,
    country: Option<String>,
    channels: Vec<String>,
    windows: BTreeMap<String, Window>,
    counting: Counting,
    rules: Vec<ContactRule>,
    #[serde(default)]
    questions: Vec<OpenQuestion>,
    /// The lender's own, where they stand beside the profile.
    #[serde(default)]
    answers: BTreeMap<String, GivenAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Week {
    Iso,
    SevenDays,
}

#[derive(Deserialize)]
struct Counting {
    mode: CountingMode,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CountingMode {
    Any,
    Direct,
}

impl Profile {
    pub(crate) fn parse(text: &str, open: OpenQuestions) -> Result<Self, InputError> {
        let table: toml::Table = toml::from_str(text).map_err(|e| InputError::Profile(e.to_string()))?;
        if table.contains_key("extends") {
            return Err(InputError::Profile("it extends another; expected the full profile".into()));
        }
        let file: ProfileFile = toml::from_str(text).map_err(|e| InputError::Profile(e.to_string()))?;
        let (mut mode, mut answered) = (file.counting.mode, Vec::new());
        for question in &file.questions {
            let given = file.answers.get(&question.id).map(|given| given.answer.as_str());
            let strict = (open == OpenQuestions::Strict).then_some(question.strict.as_str());
            let Some(id) = given.or(strict) else { continue };
            let Some(answer) = question.answers.get(id) else {
                let problem = format!("the question {} has no answer {id:?}", question.id);
                return Err(InputError::Profile(problem));
            };
            mode = answer.counting.unwrap_or(mode);
            answered.extend(answer.hours.iter().cloned());
        }
        let profile = Self {
            time_zone: file.timezone,
            iso_week: matches!(file.week, Week::Iso),
            counts_messages: matches!(mode, CountingMode::Any),
            has_holidays: file.holidays != NO_HOLIDAYS,
            serves_any: file.country.is_none(),
            channels: file.channels,
            windows: file.windows,
            rules: file.rules,
            answered,
        };
        profile.validate()?;
        Ok(profile)
    }

    fn validate(&self) -> Result<(), InputError> {
        for (name, window) in &self.windows {
            for (from, to) in window.all().into_iter().flat_map(|hours| &hours.0) {
                let sound = matches!((second_of_day(from), second_of_day(to)), (Some(a), Some(b)) if a < b);
                if !sound {
                    let problem =
                        format!("windows.{name} has {from:?} to {to:?}; expected HH:MM, the later last");
                    return Err(InputError::Profile(problem));
                }
            }
        }
        for rule in self.rules.iter().filter(|rule| !rule.exempt) {
            if rule.window.as_ref().is_none_or(|name| !self.windows.contains_key(name)) {
                let problem = format!("the rule for {:?} has no known window", rule.purposes);
                return Err(InputError::Profile(problem));
            }
        }
        match self.answered.iter().find(|hours| !self.windows.contains_key(&hours.window)) {
            Some(hours) => {
                let problem = format!("an answer for {:?} has no known window", hours.purposes);
                Err(InputError::Profile(problem))
            }
            None => Ok(()),
        }
    }

    /// The first rule for a purpose and a channel.
    pub(crate) fn rule(&self, purpose: &str, channel: &str) -> Option<&ContactRule> {
        if !self.channels.iter().any(|c| c == channel) {
            return None;
        }
        self.rules.iter().find(|rule| {
            rule.purposes.iter().any(|p| p == purpose)
                && rule.channels.iter().any(|c| c == EVERY_CHANNEL || c == channel)
        })
    }

    /// The hours of a rule for a purpose and a channel: those of an answer where one speaks for them.
    pub(crate) fn window_of(&self, rule: &ContactRule, purpose: &str, channel: &str) -> Option<&Window> {
        let speaks = |hours: &&AnsweredHours| {
            hours.purposes.iter().any(|p| p == purpose)
                && hours.channels.iter().any(|c| c == EVERY_CHANNEL || c == channel)
        };
        let answered = self.answered.iter().rfind(speaks).map(|hours| &hours.window);
        self.windows.get(answered.or(rule.window.as_ref())?)
    }
}

/// A dated table of public holidays.
pub(crate) enum HolidayTable {
    /// There is none: every date is judged by its weekday.
    None,
    /// The holidays; a year without any is a year that the table does not know.
    Dates(BTreeSet<NaiveDate>),
}

impl HolidayTable {
    pub(crate) fn parse(text: &str) -> Result<Self, InputError> {
        let mut dates = BTreeSet::new();
        for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
            let (date, _name): (NaiveDate, String) = row.map_err(|e| InputError::Holidays(e.to_string()))?;
            dates.insert(date);
        }
        Ok(Self::Dates(dates))
    }

    pub(crate) fn knows_year_of(&self, on: NaiveDate) -> bool {
        match self {
            Self::None => true,
            Self::Dates(dates) => dates.iter().any(|date| date.year() == on.year()),
        }
    }

    pub(crate) fn is_holiday(&self, on: NaiveDate) -> bool {
        match self {
            Self::None => false,
            Self::Dates(dates) => dates.contains(&on),
        }
    }
}
