//! Keywords, tokens, hours, and that no order of words lets a message out after a withdrawal.

use chrono::{Days, NaiveDate, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::channel::{Channel, Purpose};
use crate::contact::{ConsentSource, PurposeScope};
use crate::customer::Reach;
use crate::ids::{CustomerId, TenantId};
use crate::planner_scenarios::{World, day};

fn meaning(text: &str) -> ReplyMeaning {
    read_reply(&ReplyText::new(text))
}

#[test]
fn keywords_withdraw_whatever_their_case_accents_and_punctuation() {
    for text in [
        "BAJA",
        " baja. ",
        "Stop!!",
        "SALIR",
        "Cancelar",
        "NO MÁS",
        "no mas",
        "¡No, más!",
        "«Baja»",
        "baja por favor",
    ] {
        assert_eq!(meaning(text), ReplyMeaning::Withdraw, "{text:?}");
    }
    for text in ["ALTA", "alta.", "Start"] {
        assert_eq!(meaning(text), ReplyMeaning::GrantAgain, "{text:?}");
    }
    let long = "baja ".repeat(100);
    let sentences = [
        "",
        "?",
        "ya pagué",
        "voy a cancelar mañana",
        "me dieron de alta",
        "baja la cuota",
        "no",
        "más",
        &long,
    ];
    for text in sentences {
        assert_eq!(meaning(text), ReplyMeaning::ForPerson, "{text:?}");
    }
}

fn link() -> OptOutLink {
    OptOutLink {
        tenant: TenantId::new("demo").unwrap(),
        customer: CustomerId::new("C \"1\".ñ").unwrap(),
        channel: Channel::Sms,
        issued_on: day("2026-11-23"),
    }
}

#[test]
fn a_token_comes_back_as_it_was_made() {
    let key = OptOutKey::new(*b"a secret");
    let token = key.token(&link());
    assert_eq!(key.verify(&token), Ok(link()));
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{token}");
    assert_eq!(format!("{key:?}"), "OptOutKey(***)");
}

#[test]
fn a_forged_or_foreign_token_is_refused() {
    let key = OptOutKey::new(*b"a secret");
    let token = key.token(&link());
    assert_eq!(OptOutKey::new(*b"another").verify(&token), Err(TokenError::Forged));
    let other = OptOutLink { tenant: TenantId::new("rival").unwrap(), ..link() };
    let (_, tag) = token.split_once('.').unwrap();
    let foreign = key.token(&other);
    let (payload, _) = foreign.split_once('.').unwrap();
    assert_eq!(key.verify(&format!("{payload}.{tag}")), Err(TokenError::Forged));
    assert_eq!(key.verify(&format!("{payload}.")), Err(TokenError::Forged));
    for text in ["", ".", "a.b.c", "no token", &"A".repeat(TOKEN_CHARS_MAX + 1)] {
        assert_eq!(key.verify(text), Err(TokenError::Malformed), "{text:.20}");
    }
}

#[test]
fn a_link_is_the_lenders_address_and_the_token_and_is_masked() {
    for (text, expected) in [
        ("https://example.com", "https://example.com/t.k"),
        ("https://www.example.com/", "https://www.example.com/t.k"),
        ("https://example.com/Baja_1/~x/", "https://example.com/Baja_1/~x/t.k"),
    ] {
        let link = OptOutUrl::try_from(text.to_owned()).unwrap().link("t.k");
        assert_eq!(link.reveal(), expected);
        assert_eq!(format!("{link:?}"), "SignedLink(***)");
    }
    let long = format!("https://example.com/{}", "a".repeat(OPT_OUT_URL_CHARS_MAX));
    for bad in [
        "",
        "https://",
        "https:///baja",
        "http://example.com/baja",
        "https://localhost",
        "https://example..com",
        "https://ana@example.com",
        "https://example.com:443/b",
        "https://example.com/b?x=",
        "https://example.com/#b",
        "https://example.com//b",
        "https://example.com/../b",
        "https://example.com/ b",
        "https://example.com/b%20",
        "https://example.com/ñ",
        "https://example.com/b\r\n",
        "javascript:alert(1)",
        "https://.example.com",
        &long,
    ] {
        let error = OptOutUrl::try_from(bad.to_owned()).unwrap_err().to_string();
        assert!(error.contains("expected https://"), "{bad}: {error}");
    }
}

#[test]
fn what_marks_a_token_has_no_part_of_it() {
    let key = OptOutKey::new(*b"a secret");
    let (token, other) = (key.token(&link()), key.token(&OptOutLink { channel: Channel::Email, ..link() }));
    let mark = token_mark(&token);
    assert_eq!(mark, token_mark(&token));
    assert_ne!(mark, token_mark(&other));
    assert!(!token.contains(&mark[..6]), "{mark}");
}

proptest! {
    #[test]
    fn no_changed_character_passes(place in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_.-]") {
        let key = OptOutKey::new(*b"a secret");
        let token = key.token(&link());
        let at = place.index(token.len());
        let changed = format!("{}{letter}{}", &token[..at], &token[at + 1..]);
        prop_assert_eq!(key.verify(&changed).is_ok(), changed == token);
    }

    #[test]
    fn no_text_makes_the_reading_of_a_token_or_a_reply_fail(text in "\\PC{0,80}") {
        prop_assert!(OptOutKey::new(*b"a secret").verify(&text).is_err());
        let _ = meaning(&text);
    }
}

fn request() -> serde_json::Value {
    serde_json::json!({
        "channels": ["sms"],
        "hours": [{"days": ["mon", "sun"], "from": "19:00", "to": "24:00"}],
        "document": "doc-17", "document_on": "2026-03-02", "contract_on": "2026-03-01",
    })
}

#[test]
fn other_hours_need_a_document_that_is_later_than_the_contract() {
    let hours: AgreedHours = serde_json::from_value(request()).unwrap();
    assert_eq!(hours.document().1, day("2026-03-02"));
    assert_eq!(serde_json::to_value(&hours).unwrap(), request());
    let refused = |key: &str, value: serde_json::Value| {
        let mut request = request();
        request[key] = value;
        serde_json::from_value::<AgreedHours>(request).unwrap_err().to_string()
    };
    assert!(refused("document_on", "2026-03-01".into()).contains("later than the contract"));
    assert!(refused("document_on", "2025-12-31".into()).contains("later than the contract"));
    assert!(refused("document", "ana@example.com".into()).contains("no reference"));
    assert!(refused("channels", serde_json::json!([])).contains("at least one channel"));
    assert!(refused("hours", serde_json::json!([])).contains("intervals"));
    for (from, to) in
        [("19:00", "19:00"), ("20:00", "19:00"), ("19:00", "24:01"), ("7:00", "9:00"), ("19:60", "20:00")]
    {
        let hours = serde_json::json!([{"days": ["mon"], "from": from, "to": to}]);
        assert!(refused("hours", hours).contains("cannot be"), "{from} {to}");
    }
    let early = hours.clone().there_on(day("2026-03-01"));
    assert!(matches!(early, Err(HoursRefusal::Future { .. })));
    assert!(hours.there_on(day("2026-03-02")).is_ok());
}

#[test]
fn only_a_profile_that_takes_other_hours_takes_them() {
    use crate::jurisdiction::Jurisdiction;
    let taken = Jurisdiction::built_in_ids()
        .filter(|id| Jurisdiction::built_in(id).unwrap().takes_other_hours().is_ok())
        .collect::<Vec<_>>();
    assert_eq!(taken, ["CO", "CO-DIRECT"]);
}

fn word(granted: bool, on: NaiveDate) -> Consent {
    Consent::of_contract(Channel::Sms, granted, on)
}

#[test]
fn an_imported_word_is_dated_so_that_it_cannot_undo_a_choice() {
    let (undated, as_of) = (CONSENT_FLOOR_ON, day("2026-03-10"));
    let kept = |words: &[Consent], before: &[Consent], as_of| -> Vec<NaiveDate> {
        imported_words(words, before, as_of).into_iter().map(|w| w.on).collect()
    };
    // An authorisation without a day never gets one, and one of the future is not believed.
    assert_eq!(kept(&[word(true, undated)], &[], as_of), [undated]);
    assert_eq!(kept(&[word(true, day("2026-03-11"))], &[], as_of), [undated]);
    assert_eq!(kept(&[word(true, as_of)], &[], as_of), [as_of]);
    // A withdrawal without a day stands from when it was first seen.
    assert_eq!(kept(&[word(false, undated)], &[], as_of), [as_of]);
    let before = [word(false, day("2026-02-01"))];
    assert_eq!(kept(&[word(false, undated)], &before, as_of), [day("2026-02-01")]);
    assert_eq!(kept(&[word(false, undated)], &[word(true, undated)], as_of), [as_of]);
}

#[test]
fn a_newer_file_with_an_older_authorisation_does_not_undo_a_withdrawal() {
    let reached = |consents: Vec<Consent>| {
        let mut customer = World::new("CO").customer;
        customer.consents = consents;
        let reach = customer.reachable(Channel::Sms, Purpose::Overdue);
        !matches!(reach, Reach::OptedOut | Reach::NoConsent)
    };
    let before = imported_words(&[word(false, day("2026-06-01"))], &[], day("2026-11-20"));
    let as_of = day("2026-11-23");
    let older = imported_words(&[word(true, day("2026-01-01"))], &before, as_of);
    assert!(!reached(older.clone()));
    assert!(!reached(imported_words(&[word(true, CONSENT_FLOOR_ON)], &before, as_of)));
    let silent = imported_words(&[], &before, as_of);
    assert!(!reached(silent.clone()));
    assert!(reached(imported_words(&[word(true, day("2026-06-02"))], &silent, as_of)));
    // What a file says nothing about stays, and nothing grows without end.
    assert!(reached(imported_words(&[], &[word(true, day("2026-01-01"))], as_of)));
    let again = imported_words(&[word(false, day("2026-07-01"))], &older, as_of);
    assert_eq!(again.iter().filter(|w| !w.granted).count(), 1);
}

/// Something that is said about SMS: by the customer at an hour, or by a file of a day.
#[derive(Debug, Clone)]
enum Said {
    Choice { granted: bool, hour: i64, scope: Option<Purpose> },
    Import { granted: bool, dated: Option<u64>, file_day: u64 },
}

fn said() -> impl Strategy<Value = Said> {
    let scope = proptest::option::of(prop_oneof![Just(Purpose::PreDue), Just(Purpose::Overdue)]);
    prop_oneof![
        2 => (any::<bool>(), 0_i64..480, scope)
            .prop_map(|(granted, hour, scope)| Said::Choice { granted, hour, scope }),
        1 => (any::<bool>(), proptest::option::of(0_u64..30), 0_u64..20)
            .prop_map(|(granted, dated, file_day)| Said::Import { granted, dated, file_day }),
    ]
}

/// The first Monday of a made-up month; every moment of the property is within the three weeks after it.
const START: &str = "2026-03-02";

proptest! {
    /// Whatever was said in whatever order: after a withdrawal that is the latest word, nothing goes out.
    #[test]
    fn no_order_of_words_lets_a_message_out_after_a_withdrawal(
        words in proptest::collection::vec(said(), 0..8),
        late_by_hours in 0_i64..48,
        scope in proptest::option::of(Just(Purpose::Overdue)),
        shift in any::<prop::sample::Index>(),
    ) {
        let start = day(START);
        let zero = start.and_hms_opt(5, 0, 0).unwrap().and_utc();
        let withdrawn_at = zero + TimeDelta::hours(480 + late_by_hours);
        let mut world = World::new("CO");
        world.reach(Channel::Sms);
        world.owes("o", start + Days::new(20), 100);
        let file = |said: &Said| match said {
            Said::Import { granted, dated, file_day } => {
                let on = dated.map_or(CONSENT_FLOOR_ON, |d| start + Days::new(d));
                Some((word(*granted, on), start + Days::new(*file_day)))
            }
            Said::Choice { .. } => None,
        };
        // Files replace each other; choices are added.
        for (said, as_of) in words.iter().filter_map(file) {
            world.customer.consents = imported_words(&[said], &world.customer.consents, as_of);
        }
        let scoped = |purpose: Option<Purpose>| purpose.and_then(|p| PurposeScope::only([p])).unwrap_or_default();
        let made = |number: usize, granted: bool, at: DateTime<Utc>, purpose: Option<Purpose>| {
            let on = (at - TimeDelta::hours(5)).date_naive();
            let word = Consent { at: Some(at), purposes: scoped(purpose), source: ConsentSource::Api, ..word(granted, on) };
            Choice { id: ChoiceId::new(number.to_string()).unwrap(), at, what: Chosen::Words(vec![word]) }
        };
        let mut choices: Vec<Choice> = words.iter().enumerate().filter_map(|(n, said)| match said {
            Said::Choice { granted, hour, scope } => Some(made(n, *granted, zero + TimeDelta::hours(*hour), *scope)),
            Said::Import { .. } => None,
        }).collect();
        choices.push(made(99, false, withdrawn_at, scope));
        let middle = shift.index(choices.len());
        choices.rotate_left(middle);
        world.customer.take_choices(choices);

        prop_assert_eq!(world.customer.reachable(Channel::Sms, Purpose::Overdue), Reach::OptedOut);
        for hours in 0..72 {
            let plan = world.plan(withdrawn_at + TimeDelta::hours(hours));
            for touch in plan.now.iter().chain(&plan.later) {
                prop_assert!(scope.is_some() && touch.purpose == Purpose::PreDue, "{:?}", touch);
            }
        }
    }
}
