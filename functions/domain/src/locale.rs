//! Locales: a language and a country, and how numbers, dates and currencies are written there.
//!
//! Invariant: only languages that Puntual has texts for can be named.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

/// A country by its ISO 3166 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// A text that is not a country code or a locale.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocaleError {
    /// Not two letters.
    #[error("unknown country {0:?}; expected a two-letter code of ISO 3166 such as CO")]
    Country(String),
    /// Not a language with texts.
    #[error("unknown language {0:?}; expected es or en, with or without a country, such as es-CO")]
    Language(String),
}

impl Country {
    /// Takes a two-letter code, in any case.
    ///
    /// # Errors
    /// [`LocaleError::Country`] when it is not two ASCII letters.
    pub fn new(text: &str) -> Result<Self, LocaleError> {
        match text.trim().as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(LocaleError::Country(text.chars().take(20).collect())),
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl TryFrom<String> for Country {
    type Error = LocaleError;
    fn try_from(text: String) -> Result<Self, LocaleError> {
        Self::new(&text)
    }
}

impl From<Country> for String {
    fn from(country: Country) -> String {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A language that messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Spanish.
    Es,
    /// English.
    En,
}

impl Language {
    /// The ISO 639 code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es => "es",
            Self::En => "en",
        }
    }
}

impl FromStr for Language {
    type Err = LocaleError;
    fn from_str(text: &str) -> Result<Self, LocaleError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "es" => Ok(Self::Es),
            "en" => Ok(Self::En),
            _ => Err(LocaleError::Language(text.chars().take(20).collect())),
        }
    }
}

/// A language as it is written in a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Locale {
    /// The language of the words.
    pub language: Language,
    /// The country whose number and date habits are followed.
    pub country: Country,
}

const MONTHS_ES: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];
const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Locale {
    /// A locale of its two parts.
    #[must_use]
    pub const fn new(language: Language, country: Country) -> Self {
        Self { language, country }
    }

    /// The sign between groups of three digits.
    #[must_use]
    pub fn thousands(&self) -> char {
        if self.decimal_point() == '.' { ',' } else { '.' }
    }

    /// The sign before the cents. Peru, Mexico, Central America and the United States write a point.
    #[must_use]
    pub fn decimal_point(&self) -> char {
        match self.country.as_str() {
            "PE" | "MX" | "US" | "GT" | "SV" | "HN" | "NI" | "PA" | "DO" | "PR" => '.',
            _ => ',',
        }
    }

    /// The everyday symbol of a currency: the bare `$` only where it is the country's own money.
    #[must_use]
    pub fn currency_symbol(&self, code: &'static str) -> &'static str {
        match (code, self.country.as_str()) {
            ("PEN", _) => "S/",
            ("BRL", _) => "R$",
            ("BOB", _) => "Bs",
            ("GTQ", _) => "Q",
            ("CRC", _) => "₡",
            ("EUR", _) => "€",
            ("COP", "CO")
            | ("MXN", "MX")
            | ("CLP", "CL")
            | ("ARS", "AR")
            | ("UYU", "UY")
            | ("USD", "US" | "EC" | "SV" | "PA" | "PR") => "$",
            ("USD", _) => "US$",
            (other, _) => other,
        }
    }

    /// A date in words: `28 de febrero de 2025`.
    #[must_use]
    pub fn long_date(&self, on: NaiveDate) -> String {
        let month = on.month0() as usize;
        match self.language {
            Language::Es => format!("{} de {} de {}", on.day(), MONTHS_ES[month], on.year()),
            Language::En => format!("{} {} {}", on.day(), MONTHS_EN[month], on.year()),
        }
    }

    /// A date in figures, day first: `28/02/2025`.
    #[must_use]
    pub fn short_date(&self, on: NaiveDate) -> String {
        format!("{:02}/{:02}/{}", on.day(), on.month(), on.year())
    }
}

impl FromStr for Locale {
    type Err = LocaleError;
    fn from_str(text: &str) -> Result<Self, LocaleError> {
        match text.split_once(['-', '_']) {
            Some((language, country)) => Ok(Self::new(language.parse()?, Country::new(country)?)),
            None => Err(LocaleError::Language(text.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.language.as_str(), self.country)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_day_first() {
        let on = NaiveDate::from_ymd_opt(2025, 2, 28).unwrap();
        let locale: Locale = "es-CO".parse().unwrap();
        assert_eq!(locale.long_date(on), "28 de febrero de 2025");
        assert_eq!(locale.short_date(on), "28/02/2025");
    }

    #[test]
    fn a_locale_needs_a_known_language() {
        assert!("fr-CO".parse::<Locale>().is_err());
        assert!("es-COL".parse::<Locale>().is_err());
        assert_eq!("ES_pe".parse::<Locale>().unwrap().to_string(), "es-PE");
    }
}
