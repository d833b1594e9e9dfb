//! What a template may say, and what is refused before it is used.

use proptest::prelude::*;

use super::*;
use crate::choice::{OptOutUrl, SignedLink};
use crate::contact::PersonName;
use crate::customer::CustomerKind;
use crate::ids::{AccountId, ObligationId};
use crate::money::Money;
use chrono::NaiveDate;

fn email(subject: &str, text: &str, html: &str) -> TemplateSource {
    let email = EmailSource { subject: subject.to_owned(), text: text.to_owned(), html: html.to_owned() };
    TemplateSource { id: TemplateId::new("t").unwrap(), email: Some(email), sms: None }
}

fn sms(text: &str, transliterate: bool) -> TemplateSource {
    let sms = SmsSource { text: text.to_owned(), transliterate };
    TemplateSource { id: TemplateId::new("t").unwrap(), email: None, sms: Some(sms) }
}

fn errors_of(source: TemplateSource) -> Vec<String> {
    TemplateSet::compile(vec![source]).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The only error of a text.
fn error_of(text: &str) -> String {
    let errors = errors_of(sms(text, false));
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

fn day(y: i32, m: u32, d: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(y, m, d).unwrap()
}

/// Renders with the name `name`, a company's name as the lender's, and one item of each currency.
fn rendered(source: TemplateSource, channel: Channel, name: &str, currencies: &[&str]) -> Message {
    let url = OptOutUrl::try_from("https://example.com/baja".to_owned()).unwrap();
    let set = TemplateSet::compile(vec![source]).unwrap();
    render(&set, channel, name, currencies, Some(&url.link("t.k"))).unwrap()
}

fn render(
    set: &TemplateSet,
    channel: Channel,
    name: &str,
    currencies: &[&str],
    link: Option<&SignedLink>,
) -> Result<Message, RenderError> {
    let name = PersonName::new(name);
    let (obligation, account) = (ObligationId::new("F-1").unwrap(), AccountId::new("A<1>").unwrap());
    let ways = ["PSE".to_owned(), "Caja".to_owned()];
    let context = MessageContext {
        customer_name: &name,
        first_name: first_name(&name, Some(CustomerKind::Person)),
        lender: MessageLender {
            name: "Crédito & Cía",
            phone: "1",
            email: "p@example.com",
            ways_to_pay: &ways,
            opt_out_email: "email BAJA",
            opt_out_sms: "sms BAJA",
        },
        opt_out_link: link,
        locale: "es-PE".parse().unwrap(),
        today: day(2025, 3, 3),
        items: currencies
            .iter()
            .map(|code| MessageItem {
                obligation: &obligation,
                account: Some(&account),
                outstanding: Money::new(125_050, code.parse().unwrap()),
                due_on: day(2025, 2, 28),
            })
            .collect(),
    };
    set.render(&TemplateId::new("t").unwrap(), channel, &context)
}

#[test]
fn an_unknown_variable_is_named_with_its_place_and_the_choices() {
    assert_eq!(
        error_of("uno\ndos {{ nombre }}"),
        "template t, sms.text, line 2: unknown variable `nombre`; available: customer_name, first_name, \
         lender_name, lender_phone, lender_email, ways_to_pay, opt_out, opt_out_link, amount, due_on, due_on_short, dpd, \
         days_late, days_until_due, count, overdue_count, overdue_amount, upcoming_count, upcoming_amount, items"
    );
    let error =
        error_of("x{% for item in items %}{% if item.dpd > 999 %}{{ item.foo }}{% endif %}{% endfor %}");
    assert!(error.contains("unknown variable `item.foo`; available: obligation, account, amount"), "{error}");
}

#[test]
fn whatever_could_fail_at_the_moment_of_sending_is_refused_in_every_branch() {
    for (text, what) in [
        ("{{ amount | uper }}", "unknown filter `uper`; available: upper"),
        ("{% if dpd > 9999 %}{{ amount | uper }}{% endif %}", "unknown filter"),
        ("{{ amount | safe }}", "unknown filter"),
        ("{{ amount + 1 }}", "this arithmetic"),
        ("{{ 1 / dpd }}", "this arithmetic"),
        ("{{ items }}", "the list of items"),
        ("{{ items[1].amount }}", "an index"),
        ("{{ ways_to_pay[0] }}", "an index"),
        ("{{ ways_to_pay | first }}", "filter `first`"),
        ("{{ amount.foo }}", "`.foo` of a text"),
        ("{% if amount > 5 %}x{% endif %}", "a comparison of a text with a number"),
        ("{{ amount() }}", "call"),
        ("{{ range(9) }}", "call"),
        ("{{ 'x' if dpd > 0 }}", "`if` without `else`"),
        ("{% for x in amount %}x{% endfor %}", "a text"),
        ("{% for k, v in items %}x{% endfor %}", "this target"),
        ("{% set x = 1 %}", "this kind of block"),
        ("{% if amount is defined %}x{% endif %}", "test expression"),
        ("{{ amount", "syntax error"),
        ("{% if dpd %}", "syntax error"),
    ] {
        let error = error_of(text);
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn a_part_that_is_empty_for_some_message_is_refused() {
    assert_eq!(
        error_of("{% if dpd > 0 %}tarde{% endif %}"),
        "template t, sms.text: is empty for a message before the due date; expected some text for every message"
    );
    let errors = errors_of(email("", "a", "b"));
    assert!(errors[0].starts_with("template t, email.subject: is empty"), "{errors:?}");
    let errors = errors_of(email("a\nb", "a", "b"));
    assert!(errors[0].starts_with("template t, email.subject: has a line break"), "{errors:?}");
}

#[test]
fn the_set_as_a_whole_is_checked_and_all_errors_are_reported() {
    let bad = email("{{ a }}", "{{ b }}", "{{ c }}{{ d }}");
    assert_eq!(errors_of(bad).len(), 4);
    let errors = TemplateSet::compile(vec![sms("a", true), sms("b", true)]).unwrap_err();
    assert_eq!(errors[0].to_string(), "template t: is defined twice; expected one definition");
    assert_eq!(errors[0].template().as_str(), "t");
    let nothing = TemplateSource { id: TemplateId::new("t").unwrap(), email: None, sms: None };
    assert!(errors_of(nothing)[0].contains("has no text"));
    assert!(error_of(&"x".repeat(PART_BYTES_MAX + 1)).contains("60001 bytes"));
    assert!(toml::from_str::<SmsSource>("text = 'a'\ntransliterat = true").is_err());
}

#[test]
fn what_the_set_has_is_rendered_and_the_rest_is_refused() {
    let set = TemplateSet::compile(vec![sms("a", true)]).unwrap();
    let id = TemplateId::new("t").unwrap();
    assert!(set.has(&id, Channel::Sms) && !set.has(&id, Channel::Email) && !set.has(&id, Channel::Push));
    assert!(!set.has(&TemplateId::new("other").unwrap(), Channel::Sms));
    context::for_each_sample(|_, sample| {
        assert!(matches!(set.render(&id, Channel::Email, sample), Err(RenderError::NoTemplate { .. })));
        let nothing = MessageContext { items: vec![], ..sample.clone() };
        assert_eq!(set.render(&id, Channel::Sms, &nothing).err(), Some(RenderError::NoItems(id.clone())));
    });
}

#[test]
fn only_html_escapes_its_values() {
    let line = "{{ lender_name }} {{ items[0].account }}";
    let message = rendered(email(line, line, line), Channel::Email, "Ana", &["PEN"]);
    assert_eq!(message.subject.as_deref(), Some("Crédito & Cía A<1>"));
    assert_eq!(message.text, "Crédito & Cía A<1>");
    assert_eq!(message.html.as_deref(), Some("Crédito &amp; Cía A&lt;1&gt;"));
}

#[test]
fn every_variable_has_its_value() {
    let all = "{{ customer_name }}|{{ first_name }}|{{ lender_phone }}|{{ lender_email }}|\
               {{ ways_to_pay | join(', ') }}|{{ opt_out }}|{{ opt_out_link }}|{{ amount }}|{{ due_on }}|{{ due_on_short }}|\
               {{ dpd }}|{{ days_late }}|{{ days_until_due }}|{{ count }}|\
               {% for i in items %}{{ loop.index }}:{{ i.obligation }},{{ i.account }},{{ i.amount }},\
               {{ i.due_on }},{{ i.due_on_short }},{{ i.dpd }},{{ i.days_late }},{{ i.days_until_due }};\
               {% endfor %}";
    let message = rendered(sms(all, true), Channel::Sms, "Ana Pérez", &["PEN", "USD", "PEN"]);
    let item = |n: u8, money: &str| format!("{n}:F-1,A<1>,{money},28 de febrero de 2025,28/02/2025,3,3,0;");
    let items = item(1, "S/ 1,250.50") + &item(2, "US$ 1,250.50") + &item(3, "S/ 1,250.50");
    assert_eq!(
        message.text,
        "Ana Pérez|Ana|1|p@example.com|PSE, Caja|sms BAJA|https://example.com/baja/t.k|S/ 2,501.00 y US$ 1,250.50|28 de febrero de 2025|\
         28/02/2025|3|3|0|3|"
            .to_owned()
            + &items
    );
    assert_eq!(message.sms.unwrap().encoding, sms::Encoding::Gsm7);
}

#[test]
fn a_text_that_names_the_link_in_some_branch_is_not_rendered_without_one() {
    let hidden =
        "Hola{% if dpd > 400 %}{% for i in items %} {{ opt_out_link | upper }}{% endfor %}{% endif %}";
    let id = TemplateId::new("t").unwrap();
    let parts = [
        (email(hidden, "x", "x"), Channel::Email),
        (email("x", hidden, "x"), Channel::Email),
        (email("x", "x", hidden), Channel::Email),
        (sms(hidden, false), Channel::Sms),
    ];
    for (source, channel) in parts {
        let set = TemplateSet::compile(vec![source]).unwrap();
        assert!(set.names_opt_out_link(&id, channel));
        let error = render(&set, channel, "Ana", &["PEN"], None).err().unwrap();
        assert_eq!(error, RenderError::NoLink { template: id.clone(), channel });
    }
    let set = TemplateSet::compile(vec![sms("{{ opt_out }} opt_out_link", false)]).unwrap();
    assert!(!set.names_opt_out_link(&id, Channel::Sms) && !set.names_opt_out_link(&id, Channel::Email));
    assert!(render(&set, Channel::Sms, "Ana", &["PEN"], None).is_ok());
}

#[test]
fn a_text_message_is_transliterated_only_where_the_template_says_so() {
    let text = "Aquí, señor: café";
    assert_eq!(rendered(sms(text, true), Channel::Sms, "Ana", &["PEN"]).text, "Aqui, señor: café");
    let plain = rendered(sms(text, false), Channel::Sms, "Ana", &["PEN"]);
    assert_eq!((plain.text.as_str(), plain.sms.unwrap().encoding), (text, sms::Encoding::Ucs2));
}

#[test]
fn a_company_is_greeted_by_its_whole_name() {
    let name = PersonName::new(" Comercial Andina S.A.S. ");
    assert_eq!(first_name(&name, Some(CustomerKind::Company)), "Comercial Andina S.A.S.");
    assert_eq!(first_name(&name, None), "Comercial Andina S.A.S.");
    assert_eq!(first_name(&name, Some(CustomerKind::Person)), "Comercial");
}

proptest! {
    #[test]
    fn no_name_breaks_a_subject_or_leaves_its_place_in_html(name in "[A-Za-z<>&\"'\\r\\n\\t\\x00\u{85}\u{2028}{}%]{1,20}") {
        let source = email("Hola {{ customer_name }} {{ first_name }}", "{{ customer_name }}", "<p>{{ customer_name }}</p>");
        let message = rendered(source, Channel::Email, &name, &["PEN"]);
        let broken = message.subject.unwrap().contains(|c: char| c.is_control() || c == '\u{2028}');
        prop_assert!(!broken);
        prop_assert!(!message.text.contains(char::is_control));
        prop_assert_eq!(message.html.unwrap().matches(['<', '>']).count(), 4);
    }
}
