//! Numbering plans: the data of the `phonenumber` crate, compiled once per calling code for fast look-ups.
//!
//! Invariant: a pattern matches a whole national number, never its beginning, and lengths are checked with it.

use std::borrow::Cow;
use std::sync::OnceLock;

use phonenumber::Metadata;
use phonenumber::metadata::{DATABASE, Descriptor};
use regex::{Regex, RegexSet, RegexSetBuilder};

use super::PhoneKind;

/// One above the largest calling code.
const CALLING_CODES_MAX: usize = 1000;

/// The kinds in the order in which libphonenumber asks; the two fixed and mobile ones come last, together.
const KINDS: [PhoneKind; 10] = [
    PhoneKind::PremiumRate,
    PhoneKind::TollFree,
    PhoneKind::SharedCost,
    PhoneKind::Voip,
    PhoneKind::PersonalNumber,
    PhoneKind::Pager,
    PhoneKind::Uan,
    PhoneKind::Voicemail,
    PhoneKind::FixedLine,
    PhoneKind::Mobile,
];

/// Ranges that were opened after the release of the crate's data: region, kinds, pattern of the national number.
/// Each is joined to the crate's own one, so an entry that the crate catches up with does no harm.
const NEWER_RANGES: [(&str, &[PhoneKind], &str); 7] = [
    ("AR", &[PhoneKind::FixedLine], r"110\d{7}"),
    ("AR", &[PhoneKind::Mobile], r"9110\d{7}"),
    ("CA", &[PhoneKind::FixedLine, PhoneKind::Mobile], r"273[2-9]\d{6}"),
    ("CL", &[PhoneKind::FixedLine, PhoneKind::Mobile], r"2338[4-7]\d{4}"),
    ("EC", &[PhoneKind::Mobile], r"93[0-2]\d{6}"),
    ("PE", &[PhoneKind::FixedLine], r"19[02-68]\d{5}"),
    ("US", &[PhoneKind::FixedLine, PhoneKind::Mobile], r"(?:274[2-9]|472[2-9]|983[2-57-9])\d{6}"),
];

/// How the length of a number compares with the lengths of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Numbers of the length exist.
    Possible,
    /// It can only be dialled inside its own area.
    LocalOnly,
    /// Shorter than every number.
    TooShort,
    /// Between the shortest and the longest, but of no number's length.
    Invalid,
    /// Longer than every number.
    TooLong,
}

/// The numbering plan of one region.
pub(super) struct Plan {
    /// The region's code, `001` for a worldwide service.
    pub(super) id: String,
    /// The calling code, which several regions may share.
    pub(super) calling_code: u16,
    /// The calling code in digits.
    pub(super) calling_code_text: String,
    /// One bit per possible length of a national number.
    lengths: u32,
    /// One bit per length that is only dialled locally.
    local_lengths: u32,
    /// One bit per length, for the pattern of the same index.
    pattern_lengths: Vec<u32>,
    /// The kind of the pattern of the same index; `None` for the general one, which is the first.
    pattern_kinds: Vec<Option<PhoneKind>>,
    patterns: Vec<String>,
    /// Compiled at the first use, since the 25 regions of +1 are rarely all needed.
    compiled: OnceLock<Compiled>,
}

struct Compiled {
    set: RegexSet,
    national_prefix: Option<Regex>,
    transform_rule: Option<String>,
    international_prefix: Option<Regex>,
    leading_digits: Option<Regex>,
}

impl Plan {
    /// The plan of a region.
    pub(super) fn of_region(region: &str) -> Option<&'static Self> {
        let calling_code = DATABASE.by_id(region)?.country_code();
        Self::of_calling_code(calling_code).iter().find(|plan| plan.id == region)
    }

    /// The plans that share a calling code, the main one first; none where nobody has the code.
    pub(super) fn of_calling_code(calling_code: u16) -> &'static [Self] {
        static PLANS: [OnceLock<Vec<Plan>>; CALLING_CODES_MAX] =
            [const { OnceLock::new() }; CALLING_CODES_MAX];
        PLANS.get(usize::from(calling_code)).map_or(&[], |plans| {
            plans.get_or_init(|| {
                DATABASE.by_code(&calling_code).into_iter().flatten().map(Self::from_metadata).collect()
            })
        })
    }

    /// What kind of number it is in the first plan that knows it.
    pub(super) fn kind_among(plans: &[Self], national: &str) -> Option<PhoneKind> {
        if let [only] = plans {
            return only.kind_of(national);
        }
        for plan in plans {
            match &plan.compiled().leading_digits {
                Some(leading) if leading.is_match(national) => return plan.kind_of(national),
                Some(_) => {}
                None => {
                    let kind = plan.kind_of(national);
                    if kind.is_some() {
                        return kind;
                    }
                }
            }
        }
        None
    }

    /// The number without the prefix for calls inside the country, unless that makes a good number a bad one.
    pub(super) fn without_national_prefix<'a>(&self, national: &'a str) -> Cow<'a, str> {
        let compiled = self.compiled();
        let Some(prefix) = &compiled.national_prefix else { return national.into() };
        if !prefix.is_match(national) {
            return national.into();
        }
        let Some(captures) = prefix.captures(national) else { return national.into() };
        let end = captures.get(0).map_or(0, |m| m.end());
        let rest = &national[end..];
        let is_last_group_matched = captures.get(captures.len() - 1).is_some();
        let stripped = match &compiled.transform_rule {
            Some(rule) if is_last_group_matched => {
                let mut text = String::new();
                captures.expand(rule, &mut text);
                text.push_str(rest);
                Cow::Owned(text)
            }
            _ => Cow::Borrowed(rest),
        };
        if self.is_general(national) && !self.is_general(&stripped) { national.into() } else { stripped }
    }

    /// What follows the region's prefix for calls abroad; `None` where there is no such prefix.
    pub(super) fn without_international_prefix<'a>(&self, digits: &'a str) -> Option<&'a str> {
        let prefix = self.compiled().international_prefix.as_ref()?.find(digits)?;
        let rest = &digits[prefix.end()..];
        // No calling code begins with a zero, so that was not the prefix.
        (!rest.starts_with('0')).then_some(rest)
    }

    /// Whether the general pattern of the plan knows the number, whatever its length.
    pub(super) fn is_general(&self, national: &str) -> bool {
        self.compiled().set.matches(national).matched(0)
    }

    /// How the length of a number compares with the plan's.
    pub(super) fn length_of(&self, national: &str) -> Length {
        let bit = bit(national.len());
        if self.lengths == 0 {
            Length::Invalid
        } else if self.local_lengths & bit != 0 {
            Length::LocalOnly
        } else if self.lengths & bit != 0 {
            Length::Possible
        } else if national.len() < self.lengths.trailing_zeros() as usize {
            Length::TooShort
        } else if bit == 0 || bit > self.lengths {
            Length::TooLong
        } else {
            Length::Invalid
        }
    }

    /// What kind of number it is; `None` where the plan has no such number.
    fn kind_of(&self, national: &str) -> Option<PhoneKind> {
        let bit = bit(national.len());
        if self.lengths & bit == 0 {
            return None;
        }
        let matches = self.compiled().set.matches(national);
        if !matches.matched(0) {
            return None;
        }
        let mut fixed_line = false;
        for index in matches.iter().filter(|index| self.pattern_lengths[*index] & bit != 0) {
            match self.pattern_kinds[index] {
                Some(PhoneKind::FixedLine) => fixed_line = true,
                Some(PhoneKind::Mobile) if fixed_line => return Some(PhoneKind::FixedLineOrMobile),
                Some(kind) => return Some(kind),
                None => {}
            }
        }
        fixed_line.then_some(PhoneKind::FixedLine)
    }

    fn from_metadata(meta: &Metadata) -> Self {
        let all = meta.descriptors();
        let descriptor = |kind: PhoneKind| match kind {
            PhoneKind::PremiumRate => all.premium_rate(),
            PhoneKind::TollFree => all.toll_free(),
            PhoneKind::SharedCost => all.shared_cost(),
            PhoneKind::Voip => all.voip(),
            PhoneKind::PersonalNumber => all.personal_number(),
            PhoneKind::Pager => all.pager(),
            PhoneKind::Uan => all.uan(),
            PhoneKind::Voicemail => all.voicemail(),
            PhoneKind::FixedLine => all.fixed_line(),
            PhoneKind::Mobile => all.mobile(),
            PhoneKind::FixedLineOrMobile => None,
        };
        let present: Vec<(PhoneKind, &Descriptor)> =
            KINDS.into_iter().filter_map(|kind| Some((kind, descriptor(kind)?))).collect();
        let lengths = present.iter().fold(0, |mask, (_, d)| mask | bits(d.possible_length()));
        let local = present.iter().fold(0, |mask, (_, d)| mask | bits(d.possible_local_length()));
        let mut plan = Self {
            id: meta.id().to_owned(),
            calling_code: meta.country_code(),
            calling_code_text: meta.country_code().to_string(),
            lengths,
            local_lengths: local & !lengths,
            pattern_lengths: vec![u32::MAX],
            pattern_kinds: vec![None],
            patterns: vec![all.general().national_number().as_str().to_owned()],
            compiled: OnceLock::new(),
        };
        for (kind, descriptor) in present {
            plan.pattern_lengths.push(bits(descriptor.possible_length()));
            plan.pattern_kinds.push(Some(kind));
            let newer = NEWER_RANGES
                .iter()
                .filter(|(region, kinds, _)| *region == plan.id && kinds.contains(&kind))
                .map(|(_, _, pattern)| *pattern);
            let pattern = std::iter::once(descriptor.national_number().as_str()).chain(newer);
            plan.patterns.push(pattern.collect::<Vec<_>>().join("|"));
        }
        plan
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let meta = DATABASE
                .by_code(&self.calling_code)
                .into_iter()
                .flatten()
                .find(|meta| meta.id() == self.id)
                .expect("the plan was made from this entry of the same constant table");
            Compiled {
                set: RegexSetBuilder::new(self.patterns.iter().map(|p| format!("^(?:{p})$")))
                    .ignore_whitespace(true)
                    .build()
                    .expect("the patterns are constants, and a test compiles every one"),
                // Where only a fixed prefix is given, it is also the one to look for.
                national_prefix: meta
                    .national_prefix_for_parsing()
                    .map(|p| p.as_str().to_owned())
                    .or_else(|| meta.national_prefix().map(str::to_owned))
                    .map(|p| at_start(&p)),
                transform_rule: meta.national_prefix_transform_rule().map(braced),
                international_prefix: meta.international_prefix().map(|p| at_start(p.as_str())),
                leading_digits: meta.leading_digits().map(|p| at_start(p.as_str())),
            }
        })
    }

    /// Compiles every plan there is.
    #[cfg(test)]
    pub(super) fn compile_all() -> usize {
        let codes = 0..u16::try_from(CALLING_CODES_MAX).unwrap();
        codes.flat_map(Self::of_calling_code).map(|plan| plan.compiled().set.len().min(1)).sum()
    }
}

fn at_start(pattern: &str) -> Regex {
    regex::RegexBuilder::new(&format!("^(?:{pattern})"))
        .ignore_whitespace(true)
        .build()
        .expect("the patterns are constants, and a test compiles every one")
}

/// A rule such as `9$1` with its group in braces, so that a digit after it is not taken for a part of its number.
fn braced(rule: &str) -> String {
    let mut out = String::with_capacity(rule.len() + 4);
    let mut chars = rule.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '$'
            && let Some(digit) = chars.next_if(char::is_ascii_digit)
        {
            out.push('{');
            out.push(digit);
            out.push('}');
        }
    }
    out
}

/// The bit of a length; none for a length that no plan has.
fn bit(length: usize) -> u32 {
    u32::try_from(length).ok().and_then(|l| 1_u32.checked_shl(l)).unwrap_or(0)
}

fn bits(lengths: &[u16]) -> u32 {
    lengths.iter().fold(0, |mask, length| mask | bit(usize::from(*length)))
}
