//! The law of an entry: the hours of its profile, with what the tenant answered, loosened, tightened and closed.
//!
//! Invariants: what is not understood is refused, never left out. Hours are judged by the checker, which reads the profile
//! again; the tenant's own rules are laid over its text first, or asked beside it.

use std::collections::BTreeSet;

use checker::ContactHours;
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Weekday};
use serde::Deserialize;
use toml::{Table, Value};

use crate::file::AgreedHours;

pub(crate) const PURPOSES: [&str; 5] = ["pre_due", "overdue", "transactional", "requested", "marketing"];
pub(crate) const CHANNELS: [&str; 5] = ["email", "sms", "push", "whatsapp", "call"];
pub(crate) const DAYS: [&str; 8] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"];
const EVERY_CHANNEL: &str = "*";
/// The key of the holiday table.
const HOLIDAYS: &str = "holidays";
/// The key of the clock of a country.
const TIME_ZONE: &str = "timezone";
const DAY_SECONDS: u32 = 86_400;
/// The key of a profile that takes a customer's request for other hours, and the one word that it has.
const OFF_HOURS: (&str, &str) = ("off_hours", "debtor_initiated_separate_later_instrument");

/// The hours of a profile and of the tenant.
pub(crate) struct Law {
    hours: ContactHours,
    time_zone: Option<String>,
    holidays: BTreeSet<NaiveDate>,
    takes_other_hours: bool,
    /// The purposes and channels with neither hours nor calendar.
    exempt: BTreeSet<(String, String)>,
    closed_on: BTreeSet<NaiveDate>,
    /// A year for which the tenant closed no day is not known.
    needs_closed_days: bool,
    narrowed: Vec<Change>,
}

/// A tenant's own rules for one profile.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct OwnRules {
    closed_days: Vec<ClosedDay>,
    answers: toml::Table,
    tighten: Vec<Change>,
    loosen: Vec<Change>,
}

#[derive(Deserialize)]
struct ClosedDay {
    on: NaiveDate,
}

/// Other hours for some purposes and channels. A change of a cap has none.
#[derive(Deserialize)]
struct Change {
    purposes: Vec<String>,
    #[serde(default = "every_channel")]
    channels: Channels,
    #[serde(default)]
    hours: Table,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Channels {
    Listed(Vec<String>),
    Every(String),
}

fn every_channel() -> Channels {
    Channels::Every(EVERY_CHANNEL.to_owned())
}

impl Channels {
    fn hold(&self, channel: &str) -> bool {
        match self {
            Self::Every(word) => word == EVERY_CHANNEL,
            Self::Listed(words) => words.iter().any(|word| word == EVERY_CHANNEL || word == channel),
        }
    }
}

impl Change {
    fn speaks_for(&self, purpose: &str, channel: &str) -> bool {
        self.purposes.iter().any(|p| p == purpose) && self.channels.hold(channel)
    }
}

impl Law {
    /// Reads the texts of a profile: a full one, what is laid over it, the tenant's own rules, which have no `id`, and the
    /// holiday table and the clock of a country, where the profile serves any.
    pub(crate) fn read(id: &str, texts: &[String], holidays: &str) -> Result<Self, String> {
        let (mut whole, mut own) = (Table::new(), None);
        let (mut has_country, mut has_place) = (false, false);
        for text in texts {
            let mut table: Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
            if has_place {
                return Err("a text follows the holidays of a country; expected them last".to_owned());
            }
            if !table.contains_key("id")
                && table.keys().all(|key| [HOLIDAYS, TIME_ZONE].contains(&key.as_str()))
            {
                has_country = table.contains_key(HOLIDAYS);
                has_place = true;
                whole.extend(table);
                continue;
            }
            if own.is_some() {
                return Err("a text follows the tenant's own rules; expected them last".to_owned());
            }
            if !table.contains_key("id") {
                own = Some(OwnRules::deserialize(Value::Table(table)).map_err(|e| e.to_string())?);
                continue;
            }
            // What it is laid over is the text before it.
            table.remove("extends");
            whole.extend(table);
        }
        if whole.get("id").and_then(Value::as_str) != Some(id) {
            return Err("it is the text of another profile".to_owned());
        }
        let own: OwnRules = own.unwrap_or_default();
        let serves_any = !whole.contains_key("country")
            && whole.get(HOLIDAYS).is_some_and(|id| id.as_str() != Some("none"));
        let exempt = spread(&mut whole)?;
        let exempt = adjust(&mut whole, &own, exempt)?;
        let consent = whole.get("consent").and_then(|c| c.get(OFF_HOURS.0)).and_then(Value::as_str);
        let listed = |line: &str| line.get(..10)?.parse().ok();
        Ok(Self {
            time_zone: whole.get(TIME_ZONE).and_then(Value::as_str).map(str::to_owned),
            hours: ContactHours::parse(&whole.to_string(), holidays).map_err(|e| e.to_string())?,
            holidays: holidays.lines().skip(1).filter_map(listed).collect(),
            takes_other_hours: consent == Some(OFF_HOURS.1),
            exempt,
            needs_closed_days: serves_any && !has_country,
            closed_on: own.closed_days.iter().map(|day| day.on).collect(),
            narrowed: own.tighten,
        })
    }

    /// The time zone of customers who have none of their own, and none by their country; a profile of any country has none.
    pub(crate) fn time_zone(&self) -> Option<String> {
        self.time_zone.clone()
    }

    /// The rule that a contact at a local moment would break; `None` where it is allowed.
    pub(crate) fn objection(
        &self,
        purpose: &str,
        channel: &str,
        local: NaiveDateTime,
        agreed: Option<&AgreedHours>,
    ) -> Option<String> {
        use checker::Rule::{ClosedDay, Holiday, OutsideHours};
        let broken = self.hours.objection(purpose, channel, local);
        if let Some(rule) = broken {
            let waits = matches!(rule, ClosedDay | Holiday | OutsideHours);
            let reminder = matches!(purpose, "pre_due" | "overdue");
            let asked = agreed.is_some_and(|hours| self.is_asked(hours, channel, local));
            if !(waits && reminder && self.takes_other_hours && asked) {
                return Some(rule.as_str().to_owned());
            }
        }
        if self.exempt.contains(&(purpose.to_owned(), channel.to_owned())) {
            return None;
        }
        if self.needs_closed_days && self.closed_on.iter().all(|closed| closed.year() != local.year()) {
            return Some("no_calendar: the tenant closed no day of the year".to_owned());
        }
        if self.closed_on.contains(&local.date()) {
            return Some("closed_day of the tenant".to_owned());
        }
        let day = self.day(local.date());
        let shut = |change: &&Change| {
            let list = change.hours.get(day).and_then(Value::as_array);
            change.speaks_for(purpose, channel) && list.is_some_and(|list| !is_open(list, local.time()))
        };
        self.narrowed.iter().find(shut).map(|_| "outside_hours of the tenant".to_owned())
    }

    fn is_asked(&self, agreed: &AgreedHours, channel: &str, local: NaiveDateTime) -> bool {
        let day = self.day(local.date());
        let holds = |from: &str, to: &str| within(from, to, local.time());
        agreed.document_on > agreed.contract_on
            && agreed.channels.iter().any(|c| c == channel)
            && agreed.hours.iter().any(|h| h.days.iter().any(|d| d == day) && holds(&h.from, &h.to))
    }

    fn day(&self, on: NaiveDate) -> &'static str {
        match on.weekday() {
            _ if self.holidays.contains(&on) => DAYS[7],
            Weekday::Mon => DAYS[0],
            Weekday::Tue => DAYS[1],
            Weekday::Wed => DAYS[2],
            Weekday::Thu => DAYS[3],
            Weekday::Fri => DAYS[4],
            Weekday::Sat => DAYS[5],
            Weekday::Sun => DAYS[6],
        }
    }
}

fn is_open(list: &[Value], at: NaiveTime) -> bool {
    let ends = |interval: &Value| {
        let ends = interval.as_array()?;
        Some(within(ends.first()?.as_str()?, ends.get(1)?.as_str()?, at))
    };
    list.iter().any(|interval| ends(interval) == Some(true))
}

fn within(from: &str, to: &str, at: NaiveTime) -> bool {
    let second = at.num_seconds_from_midnight();
    matches!((second_of_day(from), second_of_day(to)), (Some(from), Some(to)) if from <= second && second < to)
}

/// The second of a day that a time such as `19:30` names; `24:00` is its end.
pub(crate) fn second_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| digits.parse::<u32>().ok().filter(|_| digits.len() == 2);
    let second = two(hour)? * 3_600 + two(minute).filter(|minute| *minute < 60)? * 60;
    (second <= DAY_SECONDS).then_some(second)
}

/// Every purpose on every channel.
fn cells() -> impl Iterator<Item = (&'static str, &'static str)> {
    PURPOSES.into_iter().flat_map(|purpose| CHANNELS.map(|channel| (purpose, channel)))
}

/// The name of the hours of one purpose on one channel.
fn cell(purpose: &str, channel: &str) -> String {
    format!("{purpose}/{channel}")
}

/// The rules and the hours of a profile, taken out of it.
fn taken(profile: &mut Table) -> (Vec<Value>, Table) {
    let rules = match profile.remove("rules") {
        Some(Value::Array(rules)) => rules,
        Some(_) | None => Vec::new(),
    };
    let windows = match profile.remove("windows") {
        Some(Value::Table(windows)) => windows,
        Some(_) | None => Table::new(),
    };
    (rules, windows)
}

/// Gives every purpose and channel a rule and hours of its own, so that one can be changed without the others, and says
/// which are exempt.
fn spread(profile: &mut Table) -> Result<BTreeSet<(String, String)>, String> {
    let (rules, windows) = taken(profile);
    let has = |rule: &Value, key: &str, word: &str| {
        let words = rule.get(key).and_then(Value::as_array);
        words.is_some_and(|w| w.iter().filter_map(Value::as_str).any(|w| w == word || w == EVERY_CHANNEL))
    };
    let (mut all, mut exempt, mut hours) = (Vec::new(), BTreeSet::new(), windows.clone());
    for (purpose, channel) in cells() {
        let found = rules.iter().find(|r| has(r, "purposes", purpose) && has(r, "channels", channel));
        let Some(Value::Table(rule)) = found else { continue };
        let mut rule = rule.clone();
        rule.insert("purposes".to_owned(), Value::Array(vec![purpose.into()]));
        rule.insert("channels".to_owned(), Value::Array(vec![channel.into()]));
        if rule.get("exempt").and_then(Value::as_bool) == Some(true) {
            exempt.insert((purpose.to_owned(), channel.to_owned()));
        } else {
            let name = rule.get("window").and_then(Value::as_str).unwrap_or_default();
            let window = windows.get(name).ok_or_else(|| format!("there are no hours {name:?}"))?;
            hours.insert(cell(purpose, channel), window.clone());
            rule.insert("window".to_owned(), cell(purpose, channel).into());
        }
        all.push(Value::Table(rule));
    }
    profile.insert("rules".to_owned(), Value::Array(all));
    profile.insert("windows".to_owned(), Value::Table(hours));
    Ok(exempt)
}

/// Lays the answers and the loosenings over a spread profile, and says which of the exempt stay so: what an answer or a
/// tightening gives hours has them from then on.
fn adjust(
    profile: &mut Table,
    own: &OwnRules,
    exempt: BTreeSet<(String, String)>,
) -> Result<BTreeSet<(String, String)>, String> {
    let answered = answered(profile, own)?;
    let (mut rules, mut windows) = taken(profile);
    let mut stays = exempt;
    for (purpose, channel) in cells() {
        let name = cell(purpose, channel);
        let mut given = None;
        for (change, window) in answered.iter().filter(|(c, _)| c.speaks_for(purpose, channel)) {
            let hours = windows.get(window).ok_or_else(|| format!("there are no hours {window:?}"))?;
            given = Some(hours.clone());
            debug_assert!(change.hours.is_empty(), "an answer names hours of the profile");
        }
        let is_tightened = own.tighten.iter().any(|change| change.speaks_for(purpose, channel));
        let key = (purpose.to_owned(), channel.to_owned());
        if given.is_none() && is_tightened && stays.contains(&key) {
            given = Some(always());
        }
        if let Some(hours) = given {
            windows.insert(name.clone(), hours);
            stays.remove(&key);
            rules.iter_mut().for_each(|rule| hold_to_hours(rule, &key, &name));
        }
        for change in own.loosen.iter().filter(|change| change.speaks_for(purpose, channel)) {
            if let Some(Value::Table(window)) = windows.get_mut(&name) {
                window.extend(change.hours.clone());
            }
        }
    }
    profile.insert("rules".to_owned(), Value::Array(rules));
    profile.insert("windows".to_owned(), Value::Table(windows));
    Ok(stays)
}

/// Makes the rule for a purpose and a channel one with hours.
fn hold_to_hours(rule: &mut Value, (purpose, channel): &(String, String), name: &str) {
    let is =
        |key: &str, word: &str| rule.get(key).and_then(|v| v.get(0)).and_then(Value::as_str) == Some(word);
    if is("purposes", purpose)
        && is("channels", channel)
        && let Value::Table(rule) = rule
    {
        rule.remove("exempt");
        rule.insert("window".to_owned(), name.into());
    }
}

/// Open all day, every day.
fn always() -> Value {
    let day = || Value::Array(vec![Value::Array(vec!["00:00".into(), "24:00".into()])]);
    Value::Table(DAYS.iter().map(|name| ((*name).to_owned(), day())).collect())
}

/// For which purposes and channels the tenant's answers choose hours of the profile, and which.
fn answered(profile: &Table, own: &OwnRules) -> Result<Vec<(Change, String)>, String> {
    let questions = profile.get("questions").and_then(Value::as_array);
    let mut all = Vec::new();
    for (id, choice) in &own.answers {
        let answer = choice.get("answer").and_then(Value::as_str).unwrap_or_default();
        let is_it = |q: &&Value| q.get("id").and_then(Value::as_str) == Some(id);
        let question = questions.and_then(|all| all.iter().find(is_it));
        let found = question.and_then(|q| q.get("answers")?.get(answer));
        let found = found.ok_or_else(|| format!("it has no question {id} with the answer {answer:?}"))?;
        for hours in found.get("hours").and_then(Value::as_array).into_iter().flatten() {
            let window = hours.get("window").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut hours = hours.clone();
            if let Value::Table(hours) = &mut hours {
                hours.remove("window");
            }
            all.push((Change::deserialize(hours).map_err(|e| e.to_string())?, window));
        }
    }
    Ok(all)
}
