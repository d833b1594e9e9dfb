//! The text around a number: what is cut off, what makes it unreadable, and how it becomes plain digits.
//!
//! Invariant: what [`plain`] accepts, [`number`] and [`normalize`] read as the same digits.

use std::sync::LazyLock;

use regex::Regex;

/// A text with at least so many letters spells digits by letters, as in 01-800-TELMEX.
const SPELLING_LETTERS_MIN: usize = 3;
/// Fewer digits than this, and the text is no number.
const DIGITS_MIN: usize = 3;

/// The digits of a text that has only digits, plain separators and `+` signs before the first digit.
///
/// `None` where the text needs a closer look, or has more digits than the buffer.
pub(super) fn plain<'a>(input: &str, buffer: &'a mut [u8]) -> Option<(bool, &'a str)> {
    let (mut plus, mut count, mut previous) = (false, 0, b' ');
    for byte in input.bytes() {
        match byte {
            b'0'..=b'9' => {
                *buffer.get_mut(count)? = byte;
                count += 1;
            }
            b'+' if count == 0 && (!plus || previous == b'+') => plus = true,
            b' ' | b'-' | b'.' | b'(' | b')' => {}
            _ => return None,
        }
        previous = byte;
    }
    if count < DIGITS_MIN {
        return None;
    }
    std::str::from_utf8(&buffer[..count]).ok().map(|digits| (plus, digits))
}

/// The part of a text that is one number, without an extension; `None` where there is none.
pub(super) fn number(input: &str) -> Option<&str> {
    // A second number after a slash: the first one counts.
    static SECOND: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\\/] *x").expect("a constant pattern, compiled by every test"));
    static EXTENSION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(&extension_pattern()).expect("a constant pattern, compiled by every test")
    });

    // A number that is only valid in the context of another one is not an address.
    if input.contains(";phone-context=") {
        return None;
    }
    let text = input.split(";isub=").next().unwrap_or(input);
    let text = &text[text.find(|c| is_plus(c) || digit(c).is_some())?..];
    let text = text.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '#');
    let text = SECOND.find(text).map_or(text, |m| &text[..m.start()]);
    match EXTENSION.find(text) {
        Some(extension) if is_viable(&text[..extension.start()]) => Some(&text[..extension.start()]),
        _ => Some(text).filter(|t| is_viable(t)),
    }
}

/// Whether a number begins with `+`, and its digits in ASCII.
pub(super) fn normalize(number: &str) -> (bool, String) {
    let rest = number.trim_start_matches(is_plus);
    let is_spelled = rest.bytes().filter(u8::is_ascii_alphabetic).count() >= SPELLING_LETTERS_MIN;
    let digits = rest
        .chars()
        .filter_map(|c| digit(c).or_else(|| if is_spelled { keypad(c) } else { None }))
        .filter_map(|d| char::from_digit(d, 10))
        .collect();
    (rest.len() < number.len(), digits)
}

/// Whether a text has the shape of a number: `+` signs only first, three digits before the first letter.
fn is_viable(text: &str) -> bool {
    let rest = text.trim_start_matches(is_plus);
    let mut digits = 0;
    for c in rest.chars() {
        if digit(c).is_some() {
            digits += 1;
        } else if !(is_separator(c) || (c.is_ascii_alphabetic() && digits >= DIGITS_MIN)) {
            return false;
        }
    }
    digits >= DIGITS_MIN || (digits == 2 && text.chars().count() == 2)
}

/// The ways to write an extension after a number, with the most digits that each is believed with.
fn extension_pattern() -> String {
    const SPACES: &str = r"[ \x{A0}\t,]*";
    const AFTER: &str = r"[:.\x{FF0E}]?[ \x{A0}\t,-]*";
    [
        r"(?i)(?:;ext=\d{1,20}".to_owned(),
        format!(r"{SPACES}(?:e?xt(?:ensi(?:o\x{{301}}?|ó))?n?|ｅ?ｘｔｎ?|доб|anexo){AFTER}\d{{1,20}}#?"),
        format!(r"{SPACES}(?:[xｘ#＃~～]|int|ｉｎｔ){AFTER}\d{{1,9}}#?"),
        r"[- ]+\d{1,6}#".to_owned(),
        format!(r"[ \x{{A0}}\t]*(?:,,|;){AFTER}\d{{1,15}}#?"),
        format!(r"[ \x{{A0}}\t]*,+{AFTER}\d{{1,9}}#?)$"),
    ]
    .join("|")
}

fn is_plus(c: char) -> bool {
    matches!(c, '+' | '＋')
}

fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '.' | '(' | ')' | '[' | ']' | '/' | '~' | '*' | 'x' | 'X'
        | '\u{A0}' | '\u{AD}' | '\u{2010}'..='\u{2015}' | '\u{200B}' | '\u{2053}' | '\u{2060}'
        | '\u{2212}' | '\u{223C}' | '\u{3000}' | '\u{30FC}' | '\u{FF08}' | '\u{FF09}'
        | '\u{FF0D}'..='\u{FF0F}' | '\u{FF3B}' | '\u{FF3D}' | '\u{FF5E}'
    )
}

/// The value of a digit: ASCII, full-width, or Arabic.
fn digit(c: char) -> Option<u32> {
    let zero = match c {
        '0'..='9' => '0',
        '\u{FF10}'..='\u{FF19}' => '\u{FF10}',
        '\u{0660}'..='\u{0669}' => '\u{0660}',
        '\u{06F0}'..='\u{06F9}' => '\u{06F0}',
        _ => return None,
    };
    Some(u32::from(c) - u32::from(zero))
}

/// The key of a letter on a telephone's keypad.
fn keypad(c: char) -> Option<u32> {
    Some(match c.to_ascii_uppercase() {
        'A'..='C' => 2,
        'D'..='F' => 3,
        'G'..='I' => 4,
        'J'..='L' => 5,
        'M'..='O' => 6,
        'P'..='S' => 7,
        'T'..='V' => 8,
        'W'..='Z' => 9,
        _ => return None,
    })
}
