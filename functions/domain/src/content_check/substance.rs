//! Substance: whether what a lender says of itself in every message says anything.
//!
//! Invariant: a value that would satisfy a rule by its presence alone, such as an opt-out of one full stop, does not.

use std::sync::LazyLock;

use regex::Regex;

use super::fold::{Folded, Reading};
use crate::email::parse_email;
use crate::jurisdiction::Jurisdiction;
use crate::locale::Country;
use crate::phone;
use crate::tenant::Tenant;

/// The fewest letters and digits of a name, or of a way to pay.
const LETTERS_MIN: usize = 3;
/// How many digits a short number of an operator has, after its sign.
const SHORT_NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 2..=6;

/// A word that says what to do.
static INSTRUCTION: LazyLock<Regex> = LazyLock::new(|| {
    let words = "respond[a-z]*|contest[a-z]*|envi[a-z]*|escrib[a-z]*|llam[a-z]*|marqu[a-z]*|ingres[a-z]*|visit[a-z]*|\
                 baja|salir|sair|stop|cancel[a-z]*|desuscrib[a-z]*|retir[a-z]*|revoc[a-z]*|no mas|parar|detener|\
                 reply|text|call|write|visit|unsubscribe|opt out|respond[a-z]*|responda|envie|ligue|descadastr[a-z]*";
    Regex::new(&format!(r"(?-u:\b)(?:{words})(?-u:\b)")).expect("a constant expression is sound")
});
/// An address of a page, with or without its scheme.
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?:/\S*)?")
        .expect("a constant expression is sound")
});

/// The keys of the lender whose values say nothing, each with what was expected. Blank values are not among them: they
/// are missing wherever they are asked for.
pub(super) fn hollow(tenant: &Tenant) -> Vec<(&'static str, &'static str)> {
    let lender = &tenant.lender;
    let mut found = Vec::new();
    let mut expect = |key, value: &str, is_sound: bool, expected| {
        if !value.trim().is_empty() && !is_sound {
            found.push((key, expected));
        }
    };
    expect("name", &lender.name, has_letters(&lender.name), "a name of three letters or more");
    let phone = lender.phone.as_str();
    expect("phone", phone, is_phone(tenant.country, phone), "a telephone number that can be called");
    expect("email", &lender.email, parse_email(&lender.email).is_ok(), "an email address");
    for way in &lender.ways_to_pay {
        expect("ways_to_pay", way, has_letters(way), "where or how to pay");
    }
    let lines = [("opt_out_email", &lender.opt_out_email), ("opt_out_sms", &lender.opt_out_sms)];
    for (key, line) in lines {
        expect(key, line, says_how(line), "what to do to stop the messages, or a link");
    }
    found
}

fn has_letters(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphanumeric()).count() >= LETTERS_MIN
}

fn says_how(text: &str) -> bool {
    LINK.is_match(text)
        || (has_letters(text) && INSTRUCTION.is_match(Folded::of(text, Reading::Plain).text()))
}

/// A number of the lender's own country, of another that has a profile, or a short number such as `#321`.
fn is_phone(own: Country, text: &str) -> bool {
    if let Some(short) = text.trim().strip_prefix(['#', '*']) {
        return SHORT_NUMBER_DIGITS.contains(&short.len()) && short.bytes().all(|b| b.is_ascii_digit());
    }
    let profiles = Jurisdiction::built_in_ids().filter_map(|id| Jurisdiction::built_in(id).ok()?.country());
    std::iter::once(own).chain(profiles).any(|country| phone::parse(country, text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../../../infra/demo/tenant.toml");

    #[test]
    fn a_value_that_says_nothing_is_named_with_what_was_expected() {
        let demo: Tenant = toml::from_str(DEMO).unwrap();
        assert_eq!(hollow(&demo), []);
        let mut poor = demo.clone();
        let lender = &mut poor.lender;
        lender.name = "--".to_owned();
        lender.phone = "123".to_owned();
        lender.email = "nobody".to_owned();
        lender.ways_to_pay = vec![".".to_owned()];
        lender.opt_out_email = "Gracias por su confianza.".to_owned();
        lender.opt_out_sms = ".".to_owned();
        let keys: Vec<&str> = hollow(&poor).iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["name", "phone", "email", "ways_to_pay", "opt_out_email", "opt_out_sms"]);
        for line in ["BAJA al 8500", "Responda SALIR", "andino.example.com/b", "Reply STOP"] {
            poor.lender.opt_out_sms = line.to_owned();
            assert!(!hollow(&poor).iter().any(|(key, _)| *key == "opt_out_sms"), "{line}");
        }
        poor.lender.phone = "#321".to_owned();
        assert!(!hollow(&poor).iter().any(|(key, _)| *key == "phone"));
    }
}
