//! Money in minor units, with the decimals that ISO 4217 gives the currency, and written as people in
//! Latin America write it.
//!
//! Invariant: an amount never passes through a float. `amount_minor` counts the smallest unit of the currency
//! (centavos, céntimos; whole pesos in Chile, which has none).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::locale::Locale;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

/// A code that ISO 4217 does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown currency {0:?}; expected a code of ISO 4217 such as COP, PEN or USD")]
pub struct UnknownCurrency(String);

impl Currency {
    /// The three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals the minor unit stands for (COP 2, CLP 0). Funds codes without one count as 0.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }

    /// How many minor units make one major unit.
    #[must_use]
    pub fn minor_per_major(self) -> i64 {
        10_i64.pow(self.decimals())
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;
    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let code = text.trim().to_ascii_uppercase();
        iso_currency::Currency::from_code(&code)
            .map(Self)
            .ok_or_else(|| UnknownCurrency(text.chars().take(20).collect()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount in the minor units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The amount, in minor units.
    pub amount_minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount in minor units.
    #[must_use]
    pub const fn new(amount_minor: i64, currency: Currency) -> Self {
        Self { amount_minor, currency }
    }

    /// The amount as people of `locale` write it: `$ 150.000` in Colombia, `S/ 1,250.50` in Peru.
    ///
    /// Where a currency's cents are out of everyday use (Colombia), a whole amount shows none.
    #[must_use]
    pub fn format(self, locale: &Locale) -> String {
        let digits = Grouped {
            minor: self.amount_minor.unsigned_abs(),
            decimals: self.currency.decimals(),
            hide_zero_cents: self.currency.0 == iso_currency::Currency::COP,
            thousands: locale.thousands(),
            point: locale.decimal_point(),
        };
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        format!("{sign}{} {digits}", locale.currency_symbol(self.currency.code()))
    }
}

struct Grouped {
    minor: u64,
    decimals: u32,
    hide_zero_cents: bool,
    thousands: char,
    point: char,
}

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u64.pow(self.decimals);
        let whole = (self.minor / unit).to_string();
        let cents = self.minor % unit;
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                write!(f, "{}", self.thousands)?;
            }
            write!(f, "{digit}")?;
        }
        if self.decimals == 0 || (cents == 0 && self.hide_zero_cents) {
            return Ok(());
        }
        write!(f, "{}{cents:0width$}", self.point, width = self.decimals as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(amount_minor: i64, code: &str, locale: &str) -> String {
        Money::new(amount_minor, code.parse().unwrap()).format(&locale.parse().unwrap())
    }

    #[test]
    fn amounts_are_written_as_in_the_country() {
        assert_eq!(written(15_000_000, "COP", "es-CO"), "$ 150.000");
        assert_eq!(written(15_000_050, "COP", "es-CO"), "$ 150.000,50");
        assert_eq!(written(125_050, "PEN", "es-PE"), "S/ 1,250.50");
        assert_eq!(written(100, "PEN", "es-PE"), "S/ 1.00");
        assert_eq!(written(5_594, "USD", "es-CO"), "US$ 55,94");
        assert_eq!(written(1_234_567, "CLP", "es-CL"), "$ 1.234.567");
        assert_eq!(written(99_999_999, "MXN", "es-MX"), "$ 999,999.99");
        assert_eq!(written(-5, "PEN", "es-PE"), "-S/ 0.05");
    }

    #[test]
    fn an_unknown_currency_is_refused() {
        assert!("COPX".parse::<Currency>().is_err());
        assert!("".parse::<Currency>().is_err());
        assert_eq!(" usd ".parse::<Currency>().unwrap().code(), "USD");
    }
}
