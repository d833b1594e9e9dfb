//! Sound rows, bad rows, and that no row is both or neither.

use proptest::prelude::*;

use super::*;
use crate::channel::Channel;
use crate::contact::ConsentSource;
use crate::customer::{CustomerKind, Role};
use crate::import::fields::{Cell, FIELD_BYTES_MAX};
use crate::import::record::AccountRow;

const MAPPING: &str = r#"
[file]
kind = "accounts"
date_formats = ["%d/%m/%Y"]
decimal_sign = ","
currency = "COP"
phone_region = "CO"
[customer]
id = "cliente"
name = "nombre"
email = "correo"
phone = "celular"
kind = { column = "tipo", values = { Natural = "person" } }
role = { column = "papel", values = { Deudor = "debtor", Fiador = "guarantor", Referencia = "reference" } }
country = "país"
time_zone = "zona"
language = "idioma"
segment = "segmento"
preferred_channel = { column = "canal", values = { Correo = "email" } }
[consent]
columns = { sms = "acepta_sms", email = "acepta_correo" }
on = "fecha autorizacion"
source = "contrato"
evidence = "soporte"
[obligation]
id = "cuota"
account = "credito"
amount = "valor"
currency = "moneda"
due_on = "vence"
known_on = "emitida"
[payment]
closed_on = "pagada"
paid_amount = "abonado"
[dispute]
column = "reclamo"
from = "reclamo_desde"
"#;

/// The columns of the file and a sound row.
const ROW: [(&str, &str); 24] = [
    ("CLIENTE", "C-1"),
    ("Nombre", "Ana  Díaz"),
    ("Correo", "ana@Example.com"),
    ("Celular", "300 123 4567"),
    ("Tipo", "natural"),
    ("Papel", "Fiador"),
    ("Pais", "CO"),
    ("Zona", "America/Bogota"),
    ("Idioma", "es"),
    ("Segmento", "microcredito"),
    ("Canal", "CORREO"),
    ("Acepta-SMS", "Sí"),
    ("acepta  correo", "no"),
    ("Fecha de autorizacion", ""),
    ("Fecha autorización", "05/01/2026"),
    ("Soporte", "DOC-7"),
    ("Cuota", "Q-1"),
    ("Crédito", "CR-9"),
    ("Valor", "$ 150.000,50"),
    ("Moneda", ""),
    ("Vence", "28/02/2026"),
    ("Emitida", "01/02/2026"),
    ("Pagada", ""),
    ("Abonado", "0"),
];

fn parse_with(changes: &[(&str, &str)]) -> Result<AccountRow, Vec<RowError>> {
    let mut row: Vec<(&str, &str)> = ROW.to_vec();
    row.extend([("Reclamo", "x"), ("Reclamo desde", "03/03/2026")]);
    for (column, value) in changes {
        row.iter_mut().find(|(name, _)| name == column).unwrap().1 = value;
    }
    let header: Vec<&str> = row.iter().map(|(name, _)| *name).collect();
    let fields: Vec<&str> = row.iter().map(|(_, value)| *value).collect();
    let parser = RowParser::new(&Mapping::parse(MAPPING).unwrap(), &header, 0).unwrap();
    match parser.parse(2, fields.as_slice())? {
        Record::Account(row) => Ok(*row),
        Record::Payment(_) => panic!("a payment"),
    }
}

#[test]
fn a_sound_row_becomes_a_record() {
    let row = parse_with(&[]).unwrap();
    let customer = &row.customer;
    assert_eq!(customer.name.reveal(), "Ana Díaz");
    assert_eq!(customer.kind, Some(CustomerKind::Person));
    assert_eq!(customer.preferred_channel, Some(Channel::Email));
    let points: Vec<_> =
        customer.contact_points.iter().map(|p| (p.channel, p.address.reveal(), p.test)).collect();
    assert_eq!(points, [(Channel::Email, "ana@example.com", false), (Channel::Sms, "+573001234567", false)]);
    let consents: Vec<_> =
        customer.consents.iter().map(|c| (c.channel, c.granted, c.on.to_string())).collect();
    assert_eq!(
        consents,
        [(Channel::Email, false, "2026-01-05".to_owned()), (Channel::Sms, true, "2026-01-05".to_owned())]
    );
    assert_eq!(customer.role, Role::Guarantor);
    for word in ["codebtor", "co-debtor", "Co_Debtor"] {
        assert_eq!(parse_with(&[("Papel", word)]).unwrap().customer.role, Role::Codebtor, "{word}");
    }
    let word = customer.consents.first().unwrap();
    assert_eq!(word.source, ConsentSource::Import);
    assert_eq!(word.evidence.as_ref().unwrap().as_str(), "DOC-7");
    let of_file = parse_with(&[("Soporte", "")]).unwrap().customer.consents;
    assert_eq!(of_file[0].evidence.as_ref().unwrap().as_str(), "contrato");
    assert_eq!(row.obligation.amount.amount_minor, 15_000_050);
    assert_eq!(row.obligation.amount.currency.code(), "COP");
    assert_eq!(row.obligation.due_on.to_string(), "2026-02-28");
    assert_eq!(row.dispute.unwrap().from_on.to_string(), "2026-03-03");
}

#[test]
fn an_authorisation_without_a_day_is_not_of_the_day_of_the_obligation() {
    let row = parse_with(&[("Fecha autorización", "")]).unwrap();
    assert!(row.known_on.is_some());
    assert!(row.customer.consents.iter().all(|word| word.on == CONSENT_FLOOR_ON));
}

#[test]
fn every_bad_field_is_refused_with_its_line_and_column() {
    use RowErrorCode::*;
    let megabyte = "9".repeat(1 << 20);
    let cases = [
        ("CLIENTE", " ", Empty),
        ("CLIENTE", "a\0b", ControlCharacter),
        ("Cuota", &megabyte, FieldTooLong),
        ("Cuota", &megabyte[..101], BadId),
        ("Cuota", "a\tb", BadId),
        ("Cuota", "", Empty),
        ("Nombre", "", Empty),
        ("Nombre", "Mar\u{fffd}a", BadEncoding),
        ("Nombre", &megabyte, FieldTooLong),
        ("Vence", "30/02/2026", BadDate),
        ("Vence", "2026-02-28", BadDate),
        ("Vence", "28/02/26", DateOutOfRange),
        ("Vence", "", Empty),
        ("Pagada", "99/99/9999", BadDate),
        ("Reclamo desde", "ayer", BadDate),
        ("Fecha autorización", "x", BadDate),
        ("Valor", "1,2,3", BadAmount),
        ("Valor", "1,234.56", BadAmount),
        ("Valor", "0", AmountNotPositive),
        ("Valor", "-5", AmountNotPositive),
        ("Valor", "99999999999999999999", AmountTooLarge),
        ("Valor", "1,234", TooManyDecimals),
        ("Valor", "US$ 5", CurrencyMismatch),
        ("Valor", "", Empty),
        ("Abonado", "-1", AmountNotPositive),
        ("Moneda", "PESOS", UnknownCurrency),
        ("Correo", "ana@", BadEmail),
        ("Celular", "12", BadPhone),
        ("Soporte", "ana@example.com", BadId),
        ("Papel", "tía", UnknownWord),
        ("Canal", "fax", UnknownWord),
        ("Tipo", "perro", UnknownWord),
        ("Pais", "Colombia", UnknownWord),
        ("Zona", "Bogota", UnknownWord),
        ("Idioma", "fr", UnknownWord),
        ("Acepta-SMS", "quizás", UnknownWord),
        ("Reclamo", "tal vez", UnknownWord),
    ];
    for (column, value, code) in cases {
        let errors = parse_with(&[(column, value)]).unwrap_err();
        let shown: String = value.chars().take(30).collect();
        assert_eq!(errors.len(), 1, "{column} {shown:?}: {errors:?}");
        assert_eq!(
            (errors[0].line, errors[0].column.as_deref(), errors[0].code),
            (2, Some(column), code),
            "{shown:?}"
        );
        assert!(errors[0].to_string().len() < 500);
    }
}

#[test]
fn all_errors_of_a_row_come_at_once_and_none_names_a_person() {
    let errors = parse_with(&[
        ("Nombre", "Secreto\u{1}"),
        ("Correo", "secreto@"),
        ("Celular", "secreto 300"),
        ("Valor", "abc"),
        ("Vence", "hoy"),
    ])
    .unwrap_err();
    assert_eq!(errors.len(), 5);
    let text = errors.iter().map(ToString::to_string).collect::<String>();
    assert!(!text.to_lowercase().contains("secreto"), "{text}");
    assert!(text.contains("\"abc\"") && text.contains("\"hoy\""), "{text}");
}

#[test]
fn a_dispute_that_would_begin_when_it_is_closed_is_none() {
    assert!(parse_with(&[("Pagada", "03/03/2026")]).unwrap().dispute.is_none());
    assert!(parse_with(&[("Pagada", "04/03/2026")]).unwrap().dispute.is_some());
    assert!(parse_with(&[("Reclamo", "no")]).unwrap().dispute.is_none());
    assert!(parse_with(&[("Reclamo", "")]).unwrap().dispute.is_none());
}

#[test]
fn a_header_must_have_each_column_once() {
    let mapping = Mapping::parse(MAPPING).unwrap();
    let mut header: Vec<&str> = ROW.iter().map(|(name, _)| *name).collect();
    header.extend(["reclamo", "reclamo desde", "x", "x", "VENCE", "ana@example.com", "3001234567"]);
    header[0] = "otro";
    let error = RowParser::new(&mapping, &header, 0).unwrap_err();
    assert_eq!((&error.missing, &error.repeated), (&vec!["cliente".to_owned()], &vec!["vence".to_owned()]));
    let text = error.to_string();
    assert!(text.contains("missing \"cliente\"") && text.contains("\"otro\""), "{text}");
    assert!(!text.contains("ana@") && !text.contains("3001234567"), "{text}");
}

#[test]
fn a_ragged_row_is_refused_as_a_whole() {
    let text = MAPPING.split("[dispute]").next().unwrap();
    let header: Vec<&str> = ROW.iter().map(|(name, _)| *name).collect();
    let parser = RowParser::new(&Mapping::parse(text).unwrap(), &header, 0).unwrap();
    for count in [0, 1, ROW.len() - 1, ROW.len() + 1] {
        let errors = parser.parse(9, vec!["x"; count].as_slice()).unwrap_err();
        assert_eq!((errors.len(), errors[0].code, errors[0].line), (1, RowErrorCode::RaggedRow, 9));
    }
}

struct OneCell<'a>(Cell<'a>);

impl Fields for OneCell<'_> {
    fn count(&self) -> usize {
        5
    }
    fn cell(&self, index: usize) -> Cell<'_> {
        match index {
            3 => self.0,
            4 => Cell::Text("02/01/2026"),
            _ => Cell::Text("1"),
        }
    }
}

#[test]
fn days_move_by_the_shift_and_numbers_of_a_sheet_have_a_point() {
    let text = "[file]\nkind = \"payments\"\ndate_formats = [\"%d/%m/%Y\"]\ndecimal_sign = \",\"\ncurrency = \"PEN\"\n\
                [payment]\nid = \"a\"\nobligation = \"b\"\ncustomer = \"c\"\namount = \"d\"\npaid_on = \"e\"";
    let mapping = Mapping::parse(text).unwrap();
    let header = ["a", "b", "c", "d", "e"];
    let parser = RowParser::new(&mapping, &header, 30).unwrap();
    let row = OneCell(Cell::Number { text: "1250.5", as_day: None });
    let Record::Payment(payment) = parser.parse(1, &row).unwrap() else { panic!("not a payment") };
    assert_eq!((payment.amount_minor, payment.paid_on.to_string().as_str()), (125_050, "2026-02-01"));
    for cell in [Cell::Faulty, Cell::Day(CONSENT_FLOOR_ON)] {
        assert_eq!(parser.parse(1, &OneCell(cell)).unwrap_err()[0].code, RowErrorCode::WrongCell);
    }
    let far = RowParser::new(&mapping, &header, i64::MAX).unwrap();
    assert_eq!(far.parse(1, &row).unwrap_err()[0].code, RowErrorCode::DateOutOfRange);
}

proptest! {
    #[test]
    fn no_field_panics(value in "\\PC{0,60}|[\\x00-\\x7f]{0,20}", column in 0..ROW.len()) {
        let result = parse_with(&[(ROW[column].0, &value)]);
        if let Err(errors) = result {
            prop_assert!(!errors.is_empty());
        }
    }
}

#[test]
fn the_field_limit_is_in_bytes() {
    let name = "ñ".repeat(FIELD_BYTES_MAX / 2);
    assert!(parse_with(&[("Nombre", &name)]).is_ok());
    assert!(parse_with(&[("Nombre", &format!("{name}x"))]).is_err());
}
