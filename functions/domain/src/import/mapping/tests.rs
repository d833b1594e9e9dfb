//! What a mapping file may and may not say.

use super::*;

const DEMO: &str = include_str!("../../../../../infra/demo/accounts-receivable.toml");

/// The demonstration's mapping with one text put in place of another.
fn changed(from: &str, to: &str) -> Result<Mapping, MappingError> {
    assert!(DEMO.contains(from), "{from:?} is not in the demonstration's mapping");
    Mapping::parse(&DEMO.replacen(from, to, 1))
}

fn line_of(text: &str) -> usize {
    DEMO.lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn the_demonstration_is_a_sound_mapping() {
    let mapping = Mapping::parse(DEMO).unwrap();
    assert_eq!(mapping.file.delimiter, Delimiter::Byte(b','));
    assert_eq!(mapping.file.currency.unwrap().code(), "USD");
    let Content::Accounts(accounts) = mapping.content else { panic!("not accounts") };
    let preferred = accounts.customer.preferred_channel.unwrap();
    assert_eq!(preferred.values["electronic"], Channel::Email);
    assert_eq!(preferred.values["paper"], Channel::Sms);
    assert_eq!(accounts.consent.unwrap().assume, Channel::ALL);
    assert_eq!(accounts.dispute.unwrap().from, DisputeDay::DueOn);
    assert!(accounts.made_up.is_some());
}

#[test]
fn every_mistake_is_named_with_its_line_and_key() {
    for (from, to, key, part) in [
        ("amount = \"InvoiceAmount\"", "amunt = \"InvoiceAmount\"", "obligation.amunt", "unknown field"),
        ("kind = \"accounts\"", "kind = \"loans\"", "file.kind", "loans"),
        ("delimiter = \",\"", "delimiter = \"|\"", "file.delimiter", "|"),
        ("encoding = \"utf-8\"", "encoding = \"latin1\"", "file.encoding", "latin1"),
        ("\"%m/%d/%Y\"", "\"%m/%d\"", "file.date_formats", "not a format of days"),
        ("\"%m/%d/%Y\"", "\"%m/%d/%Y\", \"%d/%m/%Y\"", "file.date_formats", "two days"),
        ("decimal_sign = \".\"", "decimal_sign = \";\"", "file.decimal_sign", ";"),
        ("currency = \"USD\"", "currency = \"XXQ\"", "file.currency", "unknown currency"),
        ("id = \"customerID\"", "id = \" \"", "customer.id", "a column needs a name"),
        ("Paper = \"sms\"", "Paper = \"fax\"", "customer.preferred_channel", "fax"),
        ("Paper = \"sms\"", "ELECTRONIC = \"sms\"", "customer.preferred_channel", "twice"),
        ("example.com", "gmail.com", "contacts.made_up", "may belong to somebody"),
        (
            "phone_region = \"CO\" }",
            "phone_region = \"JP\" }",
            "contacts.made_up",
            "made-up telephone numbers",
        ),
        ("source = \"demo", "purposes = []\nsource = \"demo", "consent.purposes", "at least one"),
        ("yes = [\"Yes\"]", "yes = [\"NO\"]", "dispute.yes", "cannot mean yes"),
        ("from = \"due_on\"", "from = \"closed_on\"", "dispute.from", "cannot begin"),
    ] {
        let error = changed(from, to).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (line_of(from), key), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn what_a_record_needs_must_be_named() {
    let error = changed("currency = \"USD\"", "").unwrap_err();
    assert_eq!((error.key.as_str(), error.line), ("file.currency", line_of("[file]")), "{error}");
    let error =
        changed("made_up = { email_domain = \"example.com\", phone_region = \"CO\" }", "").unwrap_err();
    assert!(error.to_string().contains("`name` is missing"), "{error}");
    let error = changed("id = \"customerID\"", "id = \"customerID\"\nphone = \"Tel\"").unwrap_err();
    assert_eq!(error.key, "file.phone_region");
    let error = changed("due_on = \"DueDate\"", "").unwrap_err();
    assert!(error.key.starts_with("obligation") && error.problem.contains("due_on"), "{error}");
    let error = changed("closed_on = \"SettledDate\"", "paid_on = \"SettledDate\"").unwrap_err();
    assert_eq!((error.key.as_str(), error.line), ("payment.paid_on", line_of("SettledDate")));
    let error = changed("kind = \"accounts\"", "kind = \"payments\"").unwrap_err();
    assert_eq!((error.key.as_str(), error.line), ("customer", line_of("[customer]")));
    assert!(Mapping::parse(&"#".repeat(MAPPING_BYTES_MAX + 1)).unwrap_err().problem.contains("bytes"));
    assert!(Mapping::parse("").is_err());
}

#[test]
fn a_file_of_payments_has_its_own_columns() {
    let text = r#"
[file]
kind = "payments"
date_formats = ["%Y-%m-%d"]
decimal_sign = ","
currency = "COP"
[payment]
id = "Recibo"
obligation = "Cuota"
customer = "Cliente"
amount = "Valor"
paid_on = "Fecha"
"#;
    assert!(matches!(Mapping::parse(text).unwrap().content, Content::Payments(_)));
    let error = Mapping::parse(&text.replace("id = \"Recibo\"\n", "")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mapping, line 7, key \"payment\": `id` is missing; expected the name of a column"
    );
    let error = Mapping::parse(&text.replace("paid_on", "closed_on = \"X\"\npaid_on")).unwrap_err();
    assert_eq!(error.key, "payment.closed_on");
}
