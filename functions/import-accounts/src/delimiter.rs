//! The delimiter: found out from the first records, with quotes respected.
//!
//! Invariant: only signs that a mapping may name are tried, and the mapping's own columns decide: the sign under
//! which the header has them is the right one.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use domain::import::mapping::Mapping;
use domain::import::row::RowParser;

use crate::csv_file::{COLUMNS_MAX, ROW_BYTES_MAX};

const CANDIDATES: [u8; 3] = [b',', b';', b'\t'];
/// How many records are compared.
const RECORDS_MAX: usize = 20;

pub(crate) fn csv_reader(delimiter: u8) -> Reader {
    ReaderBuilder::new().delimiter(delimiter).build()
}

/// The delimiter of a text, by its beginning.
pub(crate) fn detect(text: &[u8], mapping: &Mapping) -> u8 {
    let score = |delimiter: u8| {
        let counts = Counts::of(text, delimiter, mapping);
        (counts.fits, counts.fields > 1, counts.alike, counts.fields)
    };
    let best = CANDIDATES.into_iter().rev().max_by_key(|delimiter| score(*delimiter));
    best.unwrap_or(b',')
}

struct Counts {
    /// The header has the mapping's columns.
    fits: bool,
    /// Fields of the first record.
    fields: usize,
    /// Records with as many fields as the first.
    alike: usize,
}

impl Counts {
    fn of(text: &[u8], delimiter: u8, mapping: &Mapping) -> Self {
        let mut reader = csv_reader(delimiter);
        let mut out = vec![0; ROW_BYTES_MAX];
        let mut ends = vec![0; COLUMNS_MAX];
        let mut counts = Self { fits: false, fields: 0, alike: 0 };
        let mut rest = text;
        for record in 0..RECORDS_MAX {
            let (result, read, written, fields) = reader.read_record(rest, &mut out, &mut ends);
            rest = &rest[read..];
            let is_last = matches!(result, ReadRecordResult::InputEmpty);
            if !is_last && !matches!(result, ReadRecordResult::Record) {
                break;
            }
            // The last record of the text is cut short, or has no line break behind it.
            let fields = fields + usize::from(is_last);
            if record == 0 {
                ends[fields.saturating_sub(1).min(COLUMNS_MAX - 1)] = written;
                let header = fields_of(&out, ends.get(..fields).unwrap_or(&ends));
                counts.fits = RowParser::new(mapping, &header, 0).is_ok();
                counts.fields = fields;
            }
            counts.alike += usize::from(!is_last && fields == counts.fields);
            if is_last {
                break;
            }
        }
        counts
    }
}

/// The fields of a record by their ends; text that is not UTF-8 counts as none.
pub(crate) fn fields_of<'a>(out: &'a [u8], ends: &[usize]) -> Vec<&'a str> {
    let mut start = 0;
    let field = |end: &usize| {
        let field = out.get(start..*end).unwrap_or_default();
        start = *end;
        std::str::from_utf8(field).unwrap_or_default()
    };
    ends.iter().map(field).collect()
}
