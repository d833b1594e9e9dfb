//! Workbooks: dates, numbers, damaged files.

use domain::import::mapping::Mapping;
use domain::import::record::Record;
use domain::import::row_error::RowErrorCode;
use rust_xlsxwriter::{ExcelDateTime as WrittenDay, Format, Workbook, Worksheet};

use crate::reader::{FileError, ReadOptions, ReadSummary, RowOutcome, read_records};

const MAPPING: &str = r#"
[file]
kind = "payments"
date_formats = ["%d/%m/%Y"]
decimal_sign = ","
currency = "PEN"
[payment]
id = "id"
obligation = "cuota"
customer = "cliente"
amount = "monto"
paid_on = "fecha"
"#;

fn read(bytes: &[u8], mapping: &str) -> Result<(ReadSummary, Vec<RowOutcome>), FileError> {
    let mut outcomes = Vec::new();
    let mapping = Mapping::parse(mapping).unwrap();
    let summary = read_records(bytes, &mapping, ReadOptions::default(), &mut |outcome| {
        outcomes.push(outcome);
        Ok(())
    })?;
    Ok((summary, outcomes))
}

/// A workbook whose second sheet, `Pagos`, has a header on its third row.
fn workbook(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    workbook.add_worksheet().set_name("Notas").unwrap().write(0, 0, "nada").unwrap();
    let sheet = workbook.add_worksheet();
    sheet.set_name("Pagos").unwrap();
    for (column, name) in (0..).zip(["ID", "Cuota", "Cliente", "Monto", "Fecha"]) {
        sheet.write(2, column, name).unwrap();
    }
    fill(sheet);
    workbook.save_to_buffer().unwrap()
}

fn row(sheet: &mut Worksheet, row: u32, id: &str) {
    for (column, text) in (0..).zip([id, "q", "c", "10,00", "31/01/2026"]) {
        sheet.write(row, column, text).unwrap();
    }
}

fn in_sheet() -> String {
    MAPPING.replace("decimal_sign", "sheet = \"Pagos\"\ndecimal_sign")
}

#[test]
fn numbers_have_no_float_noise_and_days_may_be_serials_or_text() {
    let day = Format::new().set_num_format("dd/mm/yyyy");
    let bytes = workbook(|sheet| {
        for (i, amount) in (3..).zip([1250.5, 0.1 + 0.2, 1234567.89, 4.35 * 100.0, 0.07]) {
            row(sheet, i, &format!("p{i}"));
            sheet.write(i, 3, amount).unwrap();
        }
        sheet.write(3, 0, 611_365).unwrap();
        sheet.write_with_format(4, 4, WrittenDay::from_ymd(2026, 1, 31).unwrap(), &day).unwrap();
        sheet.write(5, 4, 46_053).unwrap();
    });
    let (summary, outcomes) = read(&bytes, &in_sheet()).unwrap();
    assert_eq!(summary, ReadSummary { rows: 5, records: 5, bad: 0, repeated: 0, blank: 0, roles_unread: 0 });
    let payments: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            RowOutcome::Record(Record::Payment(p)) => {
                (p.id.as_str(), p.line, p.amount_minor, p.paid_on.to_string())
            }
            RowOutcome::Record(Record::Account(_)) | RowOutcome::Bad(_) => panic!("{outcome:?}"),
        })
        .collect();
    let amounts: Vec<_> = payments.iter().map(|p| p.2).collect();
    assert_eq!(amounts, [125_050, 30, 123_456_789, 43_500, 7]);
    assert_eq!((payments[0].0, payments[0].1), ("611365", 4));
    assert!(payments.iter().all(|p| p.3 == "2026-01-31"), "{payments:?}");
}

#[test]
fn a_bad_cell_makes_a_bad_row_with_the_row_of_the_sheet() {
    let bytes = workbook(|sheet| {
        for i in 3..9 {
            row(sheet, i, &format!("p{i}"));
        }
        sheet.write(3, 3, 1.005).unwrap();
        sheet.write(4, 3, "1.2.3,4").unwrap();
        sheet.write(5, 5, "too far right").unwrap();
        sheet.write(6, 0, "x".repeat(30_000)).unwrap();
        sheet.write(7, 4, " ").unwrap();
    });
    let (summary, outcomes) = read(&bytes, &in_sheet()).unwrap();
    assert_eq!((summary.rows, summary.records, summary.bad), (6, 1, 5));
    let errors: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            RowOutcome::Bad(errors) => Some((errors[0].line, errors[0].code)),
            RowOutcome::Record(_) => None,
        })
        .collect();
    use RowErrorCode::*;
    assert_eq!(errors, [(4, TooManyDecimals), (5, BadAmount), (6, RaggedRow), (7, FieldTooLong), (8, Empty)]);
}

#[test]
fn a_sheet_that_is_not_there_is_named() {
    let bytes = workbook(|_| {});
    let error = read(&bytes, &in_sheet().replace("Pagos", "Otra")).unwrap_err().to_string();
    assert!(error.contains("Otra") && error.contains("Notas, Pagos"), "{error}");
    // Without a name it is the first sheet, whose header does not fit.
    assert!(matches!(read(&bytes, MAPPING).unwrap_err(), FileError::Header(_)));
    assert_eq!(read(&bytes, &in_sheet()).unwrap().0, ReadSummary::default());
}

#[test]
fn a_damaged_workbook_is_an_error_and_no_panic() {
    let bytes = workbook(|sheet| row(sheet, 3, "p"));
    for cut in (4..bytes.len()).step_by(97) {
        assert!(read(&bytes[..cut], &in_sheet()).is_err(), "{cut}");
    }
    for at in (4..bytes.len()).step_by(53) {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        let _ = read(&changed, &in_sheet());
    }
}

#[test]
fn a_workbook_beyond_the_limit_is_refused_before_it_is_parsed() {
    let limit = super::SHEET_BYTES_MAX as usize;
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(limit + 1, 0);
    assert!(matches!(read(&bytes, MAPPING).unwrap_err(), FileError::TooLarge(..)));
}
