//! SMS: what a text costs, and how to make it cheaper.
//!
//! Invariant: [`measure`] counts as a handset packs: an escape pair of GSM 03.38 or a surrogate pair of UTF-16 is
//! never cut, so a part may close one unit early. [`transliterate`] never touches a character that GSM 03.38 has.

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The units of a GSM-7 message that fits into one part.
const GSM_SINGLE_UNITS_MAX: usize = 160;
/// The units of each part of a longer GSM-7 message; the header of the parts takes the rest.
const GSM_PART_UNITS_MAX: usize = 153;
/// The units of a UCS-2 message that fits into one part.
const UCS2_SINGLE_UNITS_MAX: usize = 70;
/// The units of each part of a longer UCS-2 message.
const UCS2_PART_UNITS_MAX: usize = 67;
/// How often the replacement of a character is replaced again; a fraction becomes digits and a slash in two steps.
const MAPPING_DEPTH_MAX: usize = 3;

/// How a text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The 7-bit alphabet of GSM 03.38 with its extension table.
    Gsm7,
    /// UTF-16, for everything else.
    Ucs2,
}

impl Encoding {
    /// The stable wire name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gsm7 => "GSM-7",
            Self::Ucs2 => "UCS-2",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a text costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SmsSize {
    /// The alphabet it needs.
    pub encoding: Encoding,
    /// Its length in units of the alphabet: septets or UTF-16 units.
    pub units: usize,
    /// How many messages are paid for; 1 for the empty text.
    pub parts: usize,
}

/// Counts the units and parts of a text.
#[must_use]
pub fn measure(text: &str) -> SmsSize {
    let size = |encoding, units, parts| SmsSize { encoding, units, parts };
    match pack(text.chars().map(gsm_units), GSM_SINGLE_UNITS_MAX, GSM_PART_UNITS_MAX) {
        Some((units, parts)) => size(Encoding::Gsm7, units, parts),
        None => {
            let widths = text.chars().map(|c| Some(c.len_utf16()));
            let (units, parts) = pack(widths, UCS2_SINGLE_UNITS_MAX, UCS2_PART_UNITS_MAX).unwrap_or((0, 1));
            size(Encoding::Ucs2, units, parts)
        }
    }
}

/// Replaces what GSM 03.38 does not have by its nearest form there: `á` becomes `a`, `é` stays, curly quotes become
/// straight. What has no near form stays as it is.
#[must_use]
pub fn transliterate(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| gsm_units(c).is_some()) {
        return Cow::Borrowed(text);
    }
    // Composed first: a decomposed `é` is the letter that GSM has, not an `e` with something to drop.
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Owned(mapped(text.chars())),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(mapped(text.nfc())),
    }
}

fn mapped(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::with_capacity(chars.size_hint().1.unwrap_or(0));
    for c in chars {
        let start = out.len();
        if !push_mapped(&mut out, c, 0) {
            out.truncate(start);
            out.push(c);
        }
    }
    out
}

/// Why a text with escapes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnescapeError {
    /// A backslash is followed by something that is not an escape.
    #[error(
        "unknown escape at byte {0}; expected \\xNN, \\uNNNN, \\UNNNNNNNN, \\n, \\r, \\t, \\\\, \\' or \\\""
    )]
    Unknown(usize),
    /// An escape has too few hexadecimal digits, or they name no character.
    #[error("the escape at byte {0} names no character")]
    NoCharacter(usize),
}

/// Reads a text in which characters are written as `\xNN`, `\uNNNN` (also as a surrogate pair) or `\UNNNNNNNN`.
///
/// # Errors
/// [`UnescapeError`], with the byte at which the unreadable escape starts.
pub fn unescape(text: &str) -> Result<String, UnescapeError> {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(offset) = text[at..].find('\\') {
        let start = at + offset;
        out.push_str(&text[at..start]);
        let (c, length) = unescape_one(&text[start..], start)?;
        out.push(c);
        at = start + length;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

fn unescape_one(rest: &str, start: usize) -> Result<(char, usize), UnescapeError> {
    let none = UnescapeError::NoCharacter(start);
    let hex = |from: usize, digits: usize| {
        rest.get(from..from + digits)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|d| u32::from_str_radix(d, 16).ok())
            .ok_or(none.clone())
    };
    let (code, length) = match rest.as_bytes().get(1) {
        Some(b'x') => (hex(2, 2)?, 4),
        Some(b'U') => (hex(2, 8)?, 10),
        Some(b'u') => {
            let high = hex(2, 4)?;
            if (0xD800..0xDC00).contains(&high) && rest.get(6..8) == Some("\\u") {
                let low = hex(8, 4)?;
                if !(0xDC00..0xE000).contains(&low) {
                    return Err(none);
                }
                (0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), 12)
            } else {
                (high, 6)
            }
        }
        Some(b'n') => (0x0A, 2),
        Some(b'r') => (0x0D, 2),
        Some(b't') => (0x09, 2),
        Some(b @ (b'\\' | b'\'' | b'"')) => (u32::from(*b), 2),
        _ => return Err(UnescapeError::Unknown(start)),
    };
    char::from_u32(code).map(|c| (c, length)).ok_or(none)
}

/// Units and parts of characters of the given widths; `None` as soon as one has none.
fn pack(
    widths: impl Iterator<Item = Option<usize>>,
    single_units_max: usize,
    part_units_max: usize,
) -> Option<(usize, usize)> {
    let (mut units, mut parts, mut used) = (0, 1, 0);
    for width in widths {
        let width = width?;
        units += width;
        used += width;
        if used > part_units_max {
            parts += 1;
            used = width;
        }
    }
    Some((units, if units <= single_units_max { 1 } else { parts }))
}

/// The septets of a character, or `None` when GSM 03.38 does not have it.
const fn gsm_units(c: char) -> Option<usize> {
    match c {
        // The extension table: an escape septet comes first.
        '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€' | '\u{0C}' => Some(2),
        '`' => None,
        ' '..='~' | '\n' | '\r' => Some(1),
        '£' | '¥' | 'è' | 'é' | 'ù' | 'ì' | 'ò' | 'Ç' | 'Ø' | 'ø' | 'Å' | 'å' => Some(1),
        'Δ' | 'Φ' | 'Γ' | 'Λ' | 'Ω' | 'Π' | 'Ψ' | 'Σ' | 'Θ' | 'Ξ' => Some(1),
        'Æ' | 'æ' | 'ß' | 'É' | '¤' | '¡' | '¿' | '§' => Some(1),
        'Ä' | 'Ö' | 'Ñ' | 'Ü' | 'ä' | 'ö' | 'ñ' | 'ü' | 'à' => Some(1),
        _ => None,
    }
}

/// The nearest GSM-7 form of what Unicode does not decompose into it.
fn nearest(c: char) -> Option<&'static str> {
    Some(match c {
        // The usual letters, without the price of a decomposition.
        'á' => "a",
        'í' => "i",
        'ó' => "o",
        'ú' => "u",
        'Á' => "A",
        'Í' => "I",
        'Ó' => "O",
        'Ú' => "U",
        '\u{A0}' => " ",
        '\u{2018}'..='\u{201B}' | '\u{2032}' | '\u{2039}' | '\u{203A}' | '´' | '`' => "'",
        '\u{201C}'..='\u{201F}' | '\u{2033}' | '«' | '»' => "\"",
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '•' | '\u{2043}' => "-",
        '·' | '\u{2219}' => ".",
        '\u{2026}' => "...",
        '\t' | '\u{2028}' | '\u{2029}' => " ",
        // Soft hyphens, joiners, direction marks, and marks that no letter took.
        '\u{AD}'
        | '\u{200B}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{FE0E}'
        | '\u{FE0F}'
        | '\u{FEFF}' => "",
        '°' => "o",
        '₡' => "CRC",
        '¢' => "c",
        '©' => "(C)",
        '®' => "(R)",
        '×' => "x",
        '÷' | '\u{2044}' => "/",
        'ł' => "l",
        'Ł' => "L",
        'đ' => "d",
        'Đ' | 'Ð' => "D",
        'ı' => "i",
        'œ' => "oe",
        'Œ' => "OE",
        _ => return None,
    })
}

/// Appends the nearest GSM-7 form of a character; `false` when there is none.
fn push_mapped(out: &mut String, c: char, depth: usize) -> bool {
    if gsm_units(c).is_some() {
        out.push(c);
        return true;
    }
    if let Some(text) = nearest(c) {
        out.push_str(text);
        return true;
    }
    // A mark that no letter took is dropped; so are the marks of a decomposition.
    if is_combining_mark(c) {
        return true;
    }
    let mut parts = std::iter::once(c).nfkd();
    if depth == MAPPING_DEPTH_MAX || parts.next() == Some(c) {
        return false;
    }
    std::iter::once(c).nfkd().filter(|part| !is_combining_mark(*part)).all(|p| push_mapped(out, p, depth + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let size = measure(text);
        format!("{} {} {}", size.encoding, size.units, size.parts)
    }

    #[test]
    fn every_sample_is_counted_as_expected() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/vectors/sms_segment.csv");
        let Ok(mut reader) = csv::Reader::from_path(path) else {
            println!("skipped: ../shared/facts/vectors/sms_segment.csv is missing");
            return;
        };
        let mut count = 0;
        for row in reader.records() {
            let row = row.unwrap();
            let text = unescape(&row[1]).unwrap();
            assert_eq!(written(&text), format!("{} {} {}", &row[2], &row[3], &row[4]), "{}", &row[0]);
            count += 1;
        }
        assert!(count >= 16, "{count}");
    }

    #[test]
    fn a_pair_that_would_be_cut_moves_to_the_next_part() {
        assert_eq!(written(&("a".repeat(158) + "{")), "GSM-7 160 1");
        // Two parts would hold 306 units, if the pair at the end of the first one could be cut.
        assert_eq!(written(&("a".repeat(152) + "{" + &"a".repeat(152))), "GSM-7 306 3");
        assert_eq!(written(&("á".repeat(66) + "😀" + &"á".repeat(66))), "UCS-2 134 3");
        assert_eq!(written(&"😀".repeat(35)), "UCS-2 70 1");
        assert_eq!(written("\u{0C}\n\r"), "GSM-7 4 1");
        assert_eq!(written("`"), "UCS-2 1 1");
    }

    #[test]
    fn only_what_gsm_does_not_have_is_replaced() {
        assert_eq!(
            transliterate("Señor Ángel, el café está aquí: ¿vence mañana? “Sí” – 1\u{a0}000…"),
            "Señor Angel, el café esta aqui: ¿vence mañana? \"Si\" - 1 000..."
        );
        assert_eq!(transliterate("e\u{301} a\u{301} n\u{303} ½ № 1.º ﬁn\u{200b}"), "é a ñ 1/2 No 1.o fin");
        assert_eq!(transliterate("漢字 😀 ₡"), "漢字 😀 CRC");
        assert!(matches!(transliterate("Año [é] €"), Cow::Borrowed(_)));
    }

    #[test]
    fn escapes_are_read_and_bad_ones_are_located() {
        assert_eq!(unescape(r"a\xf1\u20ac\U0001f600\ud83d\ude00\n\t\\[\u2019]").unwrap(), "añ€😀😀\n\t\\[’]");
        assert_eq!(unescape(r"ab\q"), Err(UnescapeError::Unknown(2)));
        for bad in [r"a\x1", r"a\u12g4", r"a\ud800", r"a\ud800\u0041", r"a\U00110000", r"a\x+1"] {
            assert_eq!(unescape(bad), Err(UnescapeError::NoCharacter(1)), "{bad}");
        }
        assert_eq!(unescape("a\\"), Err(UnescapeError::Unknown(1)));
    }

    proptest! {
        #[test]
        fn transliteration_is_stable_and_keeps_gsm_text(text in "\\PC{0,40}[a-zéñáíóú¿]{0,10}") {
            let once = transliterate(&text).into_owned();
            prop_assert_eq!(transliterate(&once).into_owned(), once.clone());
            if measure(&text).encoding == Encoding::Gsm7 {
                prop_assert_eq!(&once, &text);
            }
            let kept = |t: &str| t.chars().filter(|c| c.is_ascii_alphanumeric()).count();
            prop_assert!(kept(&once) >= kept(&text));
        }

        #[test]
        fn parts_hold_all_units_and_are_never_more_than_one_pair_short(text in "[a{áé😀]{0,400}") {
            let size = measure(&text);
            let (single, part) = match size.encoding {
                Encoding::Gsm7 => (160, 153),
                Encoding::Ucs2 => (70, 67),
            };
            if size.units <= single {
                prop_assert_eq!(size.parts, 1);
            } else {
                prop_assert!(size.parts >= size.units.div_ceil(part));
                prop_assert!(size.parts <= size.units.div_ceil(part - 1));
            }
        }

        #[test]
        fn any_text_survives_being_escaped(text in any::<String>()) {
            let escaped: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
            prop_assert_eq!(unescape(&escaped).unwrap(), text);
        }
    }
}
