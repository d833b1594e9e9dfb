//! Telephone numbers: whatever a lender's file holds, as an E.164 address with its kind, or a reason why not.
//!
//! Invariant: a [`Phone`] is a number that its numbering plan knows. Which numbers exist is the data of the
//! `phonenumber` crate ([`plan`]); reading them follows the rules of libphonenumber, which lenders' own systems
//! use. The crate's own parser is not used: it strips a national prefix twice, takes a number that only begins
//! like a valid one, and is several times too slow for an import.
//!
//! A text of digits and plain separators takes a short way to the same [`resolve`] as every other text.

mod plan;
mod text;

use std::fmt;

use crate::contact::Address;
use crate::locale::Country;
use plan::{Length, Plan};

/// The longest national number that any plan has, in digits.
const NATIONAL_DIGITS_MAX: usize = 17;
/// The shortest text of digits that can be a number.
const NATIONAL_DIGITS_MIN: usize = 2;
/// The longest calling code, in digits.
const CALLING_CODE_DIGITS_MAX: usize = 3;
/// The longest text that is looked at, in bytes.
const INPUT_BYTES_MAX: usize = 250;
/// The most digits that the short way holds on the stack.
const SHORT_WAY_DIGITS_MAX: usize = 24;

/// What kind of line a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PhoneKind {
    /// A mobile line.
    Mobile,
    /// A fixed line, which gets no text messages.
    FixedLine,
    /// The plan does not tell the two apart, as in North America.
    FixedLineOrMobile,
    /// Free for the caller.
    TollFree,
    /// Dearer than usual for the caller.
    PremiumRate,
    /// The caller pays a part.
    SharedCost,
    /// A personal number that follows its owner.
    PersonalNumber,
    /// Voice over the Internet.
    Voip,
    /// A pager.
    Pager,
    /// A company's universal number.
    Uan,
    /// A voice mailbox.
    Voicemail,
}

impl PhoneKind {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::FixedLine => "fixed_line",
            Self::FixedLineOrMobile => "fixed_line_or_mobile",
            Self::TollFree => "toll_free",
            Self::PremiumRate => "premium_rate",
            Self::SharedCost => "shared_cost",
            Self::PersonalNumber => "personal_number",
            Self::Voip => "voip",
            Self::Pager => "pager",
            Self::Uan => "uan",
            Self::Voicemail => "voicemail",
        }
    }

    /// Whether a text message can arrive there.
    #[must_use]
    pub const fn can_receive_sms(self) -> bool {
        matches!(self, Self::Mobile | Self::FixedLineOrMobile)
    }
}

impl fmt::Display for PhoneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number that its numbering plan knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// The number in E.164 form: `+`, calling code, national number.
    pub e164: Address,
    /// What kind of line it is.
    pub kind: PhoneKind,
}

/// Why a text is not a telephone number. The text itself is never in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing but white space.
    #[error("is empty; expected a telephone number")]
    Empty,
    /// Too few digits, or signs that no number has.
    #[error("is not a telephone number; expected digits, with or without +, spaces, hyphens and brackets")]
    NotANumber,
    /// The default country has no numbering plan.
    #[error("has no calling code, and the country {0} has no numbering plan; expected + and a calling code")]
    UnknownCountry(Country),
    /// No country has the calling code after the `+` or the international prefix.
    #[error("has an unknown calling code; expected one of the ITU's, such as +57 or +51")]
    UnknownCallingCode,
    /// Fewer digits than any number.
    #[error("has too few digits for a telephone number")]
    TooShort,
    /// More digits than any number.
    #[error("has too many digits for a telephone number")]
    TooLong,
    /// The plan of its calling code has no such number.
    #[error(
        "is not a number of the numbering plan of +{calling_code}; check its length and its first digits"
    )]
    NotInPlan {
        /// The calling code whose plan was asked.
        calling_code: u16,
    },
}

/// Reads a telephone number; `region` is the country of a number without a calling code.
///
/// # Errors
/// [`PhoneError`] when no numbering plan knows the number.
pub fn parse(region: Country, input: &str) -> Result<Phone, PhoneError> {
    let mut buffer = [0_u8; SHORT_WAY_DIGITS_MAX];
    match text::plain(input, &mut buffer) {
        Some((plus, digits)) => resolve(region, plus, digits),
        None => parse_any(region, input),
    }
}

/// Reads a text with letters, an extension, foreign digits, or anything else.
fn parse_any(region: Country, input: &str) -> Result<Phone, PhoneError> {
    if input.trim().is_empty() {
        return Err(PhoneError::Empty);
    }
    if input.len() > INPUT_BYTES_MAX {
        return Err(PhoneError::TooLong);
    }
    let number = text::number(input).ok_or(PhoneError::NotANumber)?;
    let (plus, digits) = text::normalize(number);
    resolve(region, plus, &digits)
}

/// Finds the plan and the national number of normalised digits, and looks the number up.
fn resolve(region: Country, plus: bool, digits: &str) -> Result<Phone, PhoneError> {
    let home = Plan::of_region(region.as_str());
    if home.is_none() && !plus {
        return Err(PhoneError::UnknownCountry(region));
    }
    let split = match split_calling_code(home, plus, digits) {
        // A `+` before a number without a calling code is a slip of the pen.
        Err(PhoneError::UnknownCallingCode) if plus => {
            Some(split_calling_code(home, false, digits)?.ok_or(PhoneError::UnknownCallingCode)?)
        }
        other => other?,
    };
    // Several countries may share a code: a number that names it is read by the habits of the main one, a national
    // number by those of its own country.
    let (plan, national) = match split {
        Some((code, national)) => (Plan::of_calling_code(code).first(), national),
        None => (home, digits.into()),
    };
    let plan = plan.ok_or(PhoneError::UnknownCallingCode)?;
    if national.len() < NATIONAL_DIGITS_MIN {
        return Err(PhoneError::TooShort);
    }
    let stripped = plan.without_national_prefix(&national);
    let national = match plan.length_of(&stripped) {
        Length::TooShort | Length::LocalOnly | Length::Invalid => &national,
        Length::Possible | Length::TooLong => &stripped,
    };
    if national.len() < NATIONAL_DIGITS_MIN {
        return Err(PhoneError::TooShort);
    }
    if national.len() > NATIONAL_DIGITS_MAX {
        return Err(PhoneError::TooLong);
    }
    let calling_code = plan.calling_code;
    let kind = Plan::kind_among(Plan::of_calling_code(calling_code), national)
        .ok_or(PhoneError::NotInPlan { calling_code })?;
    Ok(Phone { e164: Address::new(format!("+{calling_code}{national}")), kind })
}

type Split<'a> = (u16, std::borrow::Cow<'a, str>);

/// Takes the calling code off, where there is one; `None` when the number is a national one.
fn split_calling_code<'a>(
    home: Option<&Plan>,
    plus: bool,
    digits: &'a str,
) -> Result<Option<Split<'a>>, PhoneError> {
    let international =
        if plus { Some(digits) } else { home.and_then(|h| h.without_international_prefix(digits)) };
    if let Some(full) = international {
        if full.len() <= NATIONAL_DIGITS_MIN {
            return Err(PhoneError::TooShort);
        }
        return leading_calling_code(full).map(|(code, rest)| Some((code, rest.into())));
    }
    let Some(home) = home else { return Ok(None) };
    let Some(rest) = digits.strip_prefix(home.calling_code_text.as_str()) else { return Ok(None) };
    // The calling code without its `+`: taken off only when the number makes no sense with it.
    let rest = home.without_national_prefix(rest);
    let is_better = !home.is_general(digits) && home.is_general(&rest);
    Ok((is_better || home.length_of(digits) == Length::TooLong).then_some((home.calling_code, rest)))
}

fn leading_calling_code(digits: &str) -> Result<(u16, &str), PhoneError> {
    let mut code = 0_u16;
    for (index, digit) in digits.bytes().take(CALLING_CODE_DIGITS_MAX).enumerate() {
        code = code * 10 + u16::from(digit - b'0');
        if code == 0 {
            break;
        }
        if !Plan::of_calling_code(code).is_empty() {
            return Ok((code, &digits[index + 1..]));
        }
    }
    Err(PhoneError::UnknownCallingCode)
}

#[cfg(test)]
mod tests;
