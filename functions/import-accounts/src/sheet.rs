//! Sheets: the rows of an XLSX workbook, cell by cell.
//!
//! Invariant: what a workbook unpacks to is measured before it is parsed, since a small file can unpack to a
//! very large one. A number is what the spreadsheet shows of it, to fifteen digits, and never the noise behind.

use std::fmt::Write as _;
use std::io::{self, Cursor, Read};

use calamine::{DataRef, ExcelDateTime, ExcelDateTimeType, Reader as _, Xlsx, XlsxError};
use chrono::NaiveDate;
use domain::import::fields::{Cell, Fields};
use domain::import::mapping::Mapping;
use domain::import::row::RowParser;
use domain::import::row_error::{RowError, RowErrorCode};

use crate::csv_file::COLUMNS_MAX;
use crate::reader::{FileError, ReadOptions, ReadSummary, RowIntake, RowOutcome, SinkError};

/// The largest workbook, in bytes; it cannot be read as a stream.
pub(crate) const SHEET_BYTES_MAX: u64 = 32 << 20;
/// The most that a workbook may unpack to, in bytes.
pub(crate) const SHEET_UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// The most parts in a workbook's archive.
const PARTS_MAX: usize = 2_000;

pub(crate) fn read(
    input: impl Read,
    mapping: &Mapping,
    options: ReadOptions,
    sink: &mut dyn FnMut(RowOutcome) -> Result<(), SinkError>,
) -> Result<ReadSummary, FileError> {
    let mut bytes = Vec::new();
    input.take(SHEET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SHEET_BYTES_MAX {
        return Err(FileError::TooLarge(SHEET_BYTES_MAX, "as a file"));
    }
    measure(&bytes)?;
    let mut workbook = Xlsx::new(Cursor::new(bytes.as_slice())).map_err(workbook_error)?;
    let names = workbook.sheet_names();
    let sheet = match &mapping.file.sheet {
        Some(wanted) => names.iter().find(|name| *name == wanted),
        None => names.first(),
    };
    let sheet = sheet.cloned().ok_or_else(|| missing_sheet(mapping.file.sheet.as_deref(), &names))?;
    let is_1904 = workbook.has_1904_epoch();
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(workbook_error)?;
    let mut rows = SheetRows { row: SheetRow::default(), next: None, is_at_end: false, is_1904 };
    let mut intake: Option<RowIntake<'_>> = None;
    let mut sink = Some(sink);
    loop {
        let more = rows.next(&mut || {
            cells.next_cell().map(|cell| cell.map(|c| (c.get_position(), c.get_value().clone())))
        })?;
        if !more {
            return intake.map(|i| i.summary).ok_or(FileError::Empty);
        }
        match (&mut intake, sink.take()) {
            (Some(intake), _) => rows.hand_on(intake)?,
            (None, Some(sink)) if !rows.row.is_blank() => {
                let header = rows.row.texts();
                let parser = RowParser::new(mapping, &header, options.shift_days)?;
                intake = Some(RowIntake::new(parser, sink));
            }
            (None, unused) => sink = unused,
        }
    }
}

fn workbook_error(error: XlsxError) -> FileError {
    FileError::Workbook(error.to_string().chars().take(200).collect())
}

fn missing_sheet(wanted: Option<&str>, names: &[String]) -> FileError {
    let shown: Vec<_> = names.iter().take(20).map(|n| n.chars().take(40).collect::<String>()).collect();
    FileError::Workbook(format!("no sheet {:?}; it has {}", wanted.unwrap_or("at all"), shown.join(", ")))
}

/// Unpacks everything into nothing, with a limit: the sizes that an archive declares may lie.
fn measure(bytes: &[u8]) -> Result<(), FileError> {
    let bad_archive =
        |e: zip::result::ZipError| FileError::Workbook(e.to_string().chars().take(200).collect());
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(bad_archive)?;
    if archive.len() > PARTS_MAX {
        return Err(FileError::Workbook(format!("it has more than {PARTS_MAX} parts")));
    }
    let mut rest = SHEET_UNPACKED_BYTES_MAX;
    for i in 0..archive.len() {
        let part = archive.by_index(i).map_err(bad_archive)?;
        let unpacked = io::copy(&mut part.take(rest + 1), &mut io::sink())
            .map_err(|_| FileError::Workbook("a part cannot be unpacked".to_owned()))?;
        rest = rest
            .checked_sub(unpacked)
            .ok_or(FileError::TooLarge(SHEET_UNPACKED_BYTES_MAX, "when it is unpacked"))?;
    }
    Ok(())
}

type Positioned<'a> = ((u32, u32), DataRef<'a>);

struct SheetRows<'a> {
    row: SheetRow,
    /// The first cell of the following row, which ended this one.
    next: Option<Positioned<'a>>,
    /// There is nothing behind the last cell, and the parser must not be asked again.
    is_at_end: bool,
    is_1904: bool,
}

impl<'a> SheetRows<'a> {
    /// Gathers the cells of one row; `false` at the end of the sheet.
    fn next(
        &mut self,
        next_cell: &mut dyn FnMut() -> Result<Option<Positioned<'a>>, XlsxError>,
    ) -> Result<bool, FileError> {
        self.row.clear();
        let mut index = None;
        loop {
            let cell = match self.next.take() {
                Some(cell) => Some(cell),
                None if self.is_at_end => None,
                None => next_cell().map_err(workbook_error)?,
            };
            let Some(((row, column), value)) = cell else {
                self.is_at_end = true;
                return Ok(index.is_some());
            };
            if index.is_some_and(|index| index != row) {
                self.next = Some(((row, column), value));
                return Ok(true);
            }
            index = Some(row);
            self.row.line = u64::from(row) + 1;
            self.row.put(column as usize, &value, self.is_1904);
        }
    }

    fn hand_on(&mut self, intake: &mut RowIntake<'_>) -> Result<(), FileError> {
        if self.row.is_blank() {
            return intake.blank();
        }
        if self.row.is_too_wide {
            let expected = format!("at most {COLUMNS_MAX}");
            let error = RowError::of_row(
                self.row.line,
                RowErrorCode::RaggedRow,
                "the row has too many cells",
                expected,
            );
            return intake.bad(vec![error]);
        }
        // A sheet does not store the empty cells at the end of a row.
        let columns = intake.parser.columns();
        self.row.used = self.row.used.max(columns);
        while self.row.cells.len() < self.row.used {
            self.row.cells.push(SheetCell::default());
        }
        intake.row(self.row.line, &self.row)
    }
}

#[derive(Default)]
struct SheetCell {
    text: String,
    kind: CellKind,
}

#[derive(Default, Clone, Copy)]
enum CellKind {
    #[default]
    Text,
    Number(Option<NaiveDate>),
    Day(NaiveDate),
    Faulty,
}

/// One row; its cells keep their buffers from row to row.
#[derive(Default)]
struct SheetRow {
    line: u64,
    cells: Vec<SheetCell>,
    /// Cells up to the last one that holds anything.
    used: usize,
    is_too_wide: bool,
}

impl SheetRow {
    fn clear(&mut self) {
        for cell in &mut self.cells {
            cell.text.clear();
            cell.kind = CellKind::Text;
        }
        self.used = 0;
        self.is_too_wide = false;
    }

    fn is_blank(&self) -> bool {
        let is_empty = |cell: &SheetCell| matches!(cell.kind, CellKind::Text) && cell.text.trim().is_empty();
        !self.is_too_wide && self.cells[..self.used.min(self.cells.len())].iter().all(is_empty)
    }

    fn texts(&self) -> Vec<&str> {
        self.cells[..self.used].iter().map(|cell| cell.text.as_str()).collect()
    }

    fn put(&mut self, column: usize, value: &DataRef<'_>, is_1904: bool) {
        if matches!(value, DataRef::Empty) {
            return;
        }
        if column >= COLUMNS_MAX {
            self.is_too_wide = true;
            return;
        }
        while self.cells.len() <= column {
            self.cells.push(SheetCell::default());
        }
        self.cells[column].set(value, is_1904);
        let cell = &self.cells[column];
        if !matches!(cell.kind, CellKind::Text) || !cell.text.is_empty() {
            self.used = self.used.max(column + 1);
        }
    }
}

impl SheetCell {
    fn set(&mut self, value: &DataRef<'_>, is_1904: bool) {
        self.text.clear();
        self.kind = CellKind::Text;
        match value {
            DataRef::Empty => {}
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
                self.set_text(text);
                // A day in ISO 8601 is a day of the sheet, whatever the mapping's formats.
                let day = text.get(..10).and_then(|t| t.parse().ok());
                if let (DataRef::DateTimeIso(_), Some(day)) = (value, day) {
                    self.kind = CellKind::Day(day);
                }
            }
            DataRef::SharedString(text) => self.set_text(text),
            DataRef::Bool(yes) => self.set_text(if *yes { "true" } else { "false" }),
            DataRef::Int(number) => {
                self.kind = CellKind::Number(day_of(*number as f64, is_1904));
                // Writing to a `String` cannot fail.
                let _ = write!(self.text, "{number}");
            }
            DataRef::Float(number) => self.set_number(*number, is_1904),
            DataRef::DateTime(at) if at.is_duration() => self.kind = CellKind::Faulty,
            DataRef::DateTime(at) => self.kind = day_from(at).map_or(CellKind::Faulty, CellKind::Day),
            DataRef::Error(_) => self.kind = CellKind::Faulty,
        }
    }

    /// Keeps what fits a field and one byte more, so that a longer one is refused and not held.
    fn set_text(&mut self, text: &str) {
        let mut end = text.len().min(domain::import::fields::FIELD_BYTES_MAX + 4);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&text[..end]);
    }

    fn set_number(&mut self, number: f64, is_1904: bool) {
        if !number.is_finite() {
            self.kind = CellKind::Faulty;
            return;
        }
        self.kind = CellKind::Number(day_of(number, is_1904));
        // A spreadsheet keeps fifteen digits and shows 0.1 + 0.2 as 0.3; the shortest text of that number follows.
        let fifteen = format!("{number:.14e}").parse::<f64>().unwrap_or(number);
        let _ = write!(self.text, "{fifteen}");
    }
}

/// The day that a sheet would show for a whole number.
fn day_of(number: f64, is_1904: bool) -> Option<NaiveDate> {
    const LAST_SERIAL: f64 = 2_958_465.0;
    let is_day = number.fract() == 0.0 && (1.0..=LAST_SERIAL).contains(&number);
    is_day.then(|| day_from(&ExcelDateTime::new(number, ExcelDateTimeType::DateTime, is_1904))).flatten()
}

fn day_from(at: &ExcelDateTime) -> Option<NaiveDate> {
    let (year, month, day, ..) = at.to_ymd_hms_milli();
    NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day))
}

impl Fields for SheetRow {
    fn count(&self) -> usize {
        self.used
    }
    fn cell(&self, index: usize) -> Cell<'_> {
        let Some(cell) = self.cells.get(index) else { return Cell::Text("") };
        match cell.kind {
            CellKind::Text => Cell::Text(&cell.text),
            CellKind::Number(as_day) => Cell::Number { text: &cell.text, as_day },
            CellKind::Day(day) => Cell::Day(day),
            CellKind::Faulty => Cell::Faulty,
        }
    }
}

#[cfg(test)]
mod tests;
