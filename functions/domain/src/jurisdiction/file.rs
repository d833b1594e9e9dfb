//! The profile file, schema 1, as it is written: its keys, and nothing that is not one.
//!
//! Invariant: an unknown key or word is an error that names its dotted key and line.

use std::collections::BTreeMap;
use std::fmt;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Spanned;

use super::duties::{Consents, Content, CreditBureau, Records};
use super::error::{Place, Problem, ProfileError};
use super::grounds::{Basis, Confidence};
use crate::caps::{CountingMode, Per, Week};
use crate::channel::{Channel, Purpose};
use crate::contact_check::ReasonCode;
use crate::locale::Country;

/// A full profile.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFile {
    pub(super) schema: Spanned<u32>,
    pub(super) id: String,
    pub(super) country: Option<Country>,
    pub(super) timezone: Option<Tz>,
    pub(super) week: Week,
    pub(super) holidays: Spanned<String>,
    pub(super) in_force_from: Option<NaiveDate>,
    pub(super) reviewed: NaiveDate,
    #[serde(default)]
    pub(super) authority: Vec<String>,
    pub(super) channels: Spanned<Vec<Channel>>,
    pub(super) windows: BTreeMap<String, WindowFile>,
    pub(super) counting: CountingFile,
    pub(super) rules: Vec<Spanned<RuleFile>>,
    #[serde(default)]
    pub(super) questions: Vec<Spanned<QuestionFile>>,
    #[serde(default)]
    pub(super) consent: Consents,
    #[serde(default)]
    pub(super) content: Content,
    pub(super) credit_bureau: Option<CreditBureau>,
    pub(super) records: Option<Records>,
}

/// A variant: everything of another profile, except how contacts are counted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantFile {
    pub(super) schema: Spanned<u32>,
    pub(super) extends: Spanned<String>,
    pub(super) id: String,
    pub(super) reviewed: NaiveDate,
    pub(super) counting: CountingFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowFile {
    pub(super) mon: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) tue: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) wed: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) thu: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) fri: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) sat: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) sun: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) holiday: Vec<Spanned<(DayTime, DayTime)>>,
    pub(super) cite: Option<String>,
    pub(super) basis: Option<Basis>,
    pub(super) confidence: Option<Confidence>,
    pub(super) source: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountingFile {
    pub(super) mode: CountingMode,
    pub(super) cite: Option<String>,
    pub(super) basis: Option<Basis>,
    pub(super) confidence: Option<Confidence>,
    pub(super) source: Option<String>,
    /// Profiles that count in another way, for people to choose from.
    #[serde(default)]
    pub(super) alternatives: BTreeMap<String, CountingMode>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFile {
    pub(super) purposes: Vec<Purpose>,
    pub(super) channels: Channels,
    pub(super) window: Option<String>,
    #[serde(default)]
    pub(super) exempt: bool,
    #[serde(default)]
    pub(super) require: Vec<String>,
    #[serde(default)]
    pub(super) caps: Vec<Spanned<CapFile>>,
    pub(super) cite: Option<String>,
    pub(super) basis: Option<Basis>,
    pub(super) confidence: Option<Confidence>,
    pub(super) source: Option<String>,
}

/// An open legal question and its answers, by their id.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuestionFile {
    pub(super) id: String,
    pub(super) asks: String,
    pub(super) strict: String,
    pub(super) answers: BTreeMap<String, AnswerFile>,
    pub(super) cite: Option<String>,
    pub(super) basis: Option<Basis>,
    pub(super) confidence: Option<Confidence>,
    pub(super) source: Option<String>,
}

/// What an answer means, and what it changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerFile {
    pub(super) means: String,
    pub(super) counting: Option<CountingMode>,
    #[serde(default)]
    pub(super) hours: Vec<AnswerHoursFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerHoursFile {
    pub(super) purposes: Vec<Purpose>,
    pub(super) channels: Channels,
    pub(super) window: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindWord {
    Count,
    DistinctChannels,
    MinGap,
    RollingCount,
    AfterDirect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CapFile {
    pub(super) code: ReasonCode,
    pub(super) kind: KindWord,
    pub(super) per: Option<Per>,
    pub(super) max: Option<u32>,
    pub(super) hours: Option<u32>,
    pub(super) days: Option<u32>,
    #[serde(default)]
    pub(super) over: Channels,
    pub(super) cite: Option<String>,
    pub(super) basis: Option<Basis>,
    pub(super) confidence: Option<Confidence>,
    pub(super) source: Option<String>,
}

/// `"*"`, `["*"]`, or a list of channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Channels {
    #[default]
    All,
    Listed(Vec<Channel>),
}

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Channels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"*\" or a list of channels")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Channels, E> {
                if text == "*" {
                    Ok(Channels::All)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Channels, A::Error> {
                let mut words: Vec<String> = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                if words == ["*"] {
                    return Ok(Channels::All);
                }
                words
                    .iter()
                    .map(|word| word.parse().map_err(de::Error::custom))
                    .collect::<Result<_, _>>()
                    .map(Channels::Listed)
            }
        }
        deserializer.deserialize_any(Words)
    }
}

impl Serialize for Channels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("*"),
            Self::Listed(channels) => channels.serialize(serializer),
        }
    }
}

/// A local time of day in seconds, 0 to 86,400, always on a full minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DayTime(pub(super) u32);

impl<'de> Deserialize<'de> for DayTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = |digits: &[u8]| match digits {
            [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
            _ => None,
        };
        let minutes = match text.as_bytes() {
            [hour @ .., b':', m1, m2] => number(hour).zip(number(&[*m1, *m2])),
            _ => None,
        };
        match minutes {
            Some((hour, minute)) if minute < 60 && hour * 60 + minute <= 24 * 60 => {
                Ok(Self((hour * 60 + minute) * 60))
            }
            _ => {
                let shown: String = text.chars().take(20).collect();
                Err(de::Error::custom(format!("{shown:?} is not a time; expected HH:MM from 00:00 to 24:00")))
            }
        }
    }
}

impl Serialize for DayTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let minutes = self.0 / 60;
        serializer.collect_str(&format_args!("{:02}:{:02}", minutes / 60, minutes % 60))
    }
}

/// The key under which `toml::Spanned` hands its value over; nobody wrote it, so no place shows it.
const SPANNED_KEY: &str = ".$__serde_spanned_private_value";

/// Reads a file or says where it is wrong.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, ProfileError> {
    let wrong = |key: String, error: &toml::de::Error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let problem = Problem::Format(error.message().replace('\n', "; "));
        ProfileError { place: Place { key, line }, problem }
    };
    let file = toml::Deserializer::parse(text).map_err(|error| wrong(".".to_owned(), &error))?;
    serde_path_to_error::deserialize(file)
        .map_err(|error| wrong(error.path().to_string().replace(SPANNED_KEY, ""), error.inner()))
}

/// The line of a byte of a text, counted from one.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    1 + text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count()
}
