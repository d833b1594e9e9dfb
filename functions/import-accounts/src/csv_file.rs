//! CSV files: rows out of a sliding window, one at a time, with a limit for each.
//!
//! Invariant: a broken row costs one line. Quotes that do not close, a row beyond the limit, or several lines
//! that only a stray quote holds together are reported at their first line, and reading goes on at the second.
//!
//! The rows are parsed by `csv-core`, the engine of the `csv` crate: its own reader grows its buffer to the next
//! closing quote, which for a stray one is the rest of the file, and cannot go back.

use std::io::Read;

use csv_core::{ReadRecordResult, Reader};
use domain::import::fields::{Cell, Fields};
use domain::import::mapping::{Delimiter, Mapping};
use domain::import::row::RowParser;
use domain::import::row_error::{RowError, RowErrorCode};

use crate::decode::TextWindow;
use crate::delimiter::{csv_reader, detect, fields_of};
use crate::reader::{FileError, ReadOptions, ReadSummary, RowIntake, RowOutcome, SinkError};

/// The longest row, in bytes of UTF-8, with its quotes and line break.
pub(crate) const ROW_BYTES_MAX: usize = 65_536;
/// The most columns.
pub(crate) const COLUMNS_MAX: usize = 1_024;

pub(crate) fn read(
    input: impl Read,
    mapping: &Mapping,
    options: ReadOptions,
    sink: &mut dyn FnMut(RowOutcome) -> Result<(), SinkError>,
) -> Result<ReadSummary, FileError> {
    let mut window = TextWindow::new(input, mapping.file.encoding);
    window.fill()?;
    let delimiter = match mapping.file.delimiter {
        Delimiter::Auto => detect(window.text(), mapping),
        Delimiter::Byte(byte) => byte,
    };
    let mut rows = CsvRows::new(window, delimiter);
    let parser = match rows.next()? {
        Framed::End => return Err(FileError::Empty),
        Framed::Broken { line, break_kind } => {
            return Err(FileError::BrokenHeader { line, problem: break_kind.problem() });
        }
        Framed::Row { .. } => {
            let header = fields_of(&rows.out, &rows.ends[..rows.fields]);
            RowParser::new(mapping, &header, options.shift_days)?
        }
    };
    let columns = parser.columns();
    let mut intake = RowIntake::new(parser, sink);
    loop {
        match rows.next()? {
            Framed::End => return Ok(intake.summary),
            Framed::Broken { line, break_kind } => {
                let column = break_kind.field().and_then(|field| intake.parser.column(field));
                let column = column.map(str::to_owned);
                intake.bad(vec![RowError { column, ..break_kind.error(line) }])?;
            }
            // Several lines with the wrong number of fields are held together by a stray quote.
            Framed::Row { line, is_one_line: false } if rows.fields != columns => {
                rows.go_back_to_second_line(line)?;
                intake.bad(vec![Break::Quote.error(line)])?;
            }
            Framed::Row { line, .. } => match rows.cells() {
                Cells::Blank => intake.blank()?,
                Cells::Nul { field } => {
                    let column = intake.parser.column(field).map(str::to_owned);
                    let code = RowErrorCode::ControlCharacter;
                    let error = RowError::of_row(line, code, "the field has NUL in it", "printable text");
                    intake.bad(vec![RowError { column, ..error }])?;
                }
                Cells::Text(fields) => intake.row(line, &fields)?,
            },
        }
    }
}

enum Framed {
    End,
    /// A row, whose fields are in the buffers of [`CsvRows`].
    Row {
        line: u64,
        is_one_line: bool,
    },
    /// A line that begins no sound row. Reading goes on with the next line.
    Broken {
        line: u64,
        break_kind: Break,
    },
}

#[derive(Clone, Copy)]
enum Break {
    Quote,
    /// With the field that the limit was reached in, counted from 0.
    TooLong {
        field: usize,
    },
    TooManyColumns,
}

impl Break {
    const fn problem(self) -> &'static str {
        match self {
            Self::Quote => "a quote is not closed, or text follows a closed one",
            Self::TooLong { .. } => "the row is too long",
            Self::TooManyColumns => "the row has too many fields",
        }
    }

    const fn field(self) -> Option<usize> {
        match self {
            Self::TooLong { field } => Some(field),
            Self::Quote | Self::TooManyColumns => None,
        }
    }

    fn error(self, line: u64) -> RowError {
        let (code, expected) = match self {
            Self::Quote => {
                (RowErrorCode::BrokenQuote, "quotes around whole fields, doubled inside them".to_owned())
            }
            Self::TooLong { .. } => (RowErrorCode::RowTooLong, format!("at most {ROW_BYTES_MAX} bytes")),
            Self::TooManyColumns => (RowErrorCode::RaggedRow, format!("at most {COLUMNS_MAX} fields")),
        };
        RowError::of_row(line, code, self.problem(), expected)
    }
}

struct CsvRows<R> {
    window: TextWindow<R>,
    reader: Reader,
    delimiter: u8,
    out: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
    /// The row's bytes in the window, which are consumed when the next row is asked for.
    row_bytes: usize,
    /// The line at the beginning of the window.
    line: u64,
}

enum Cells<'a> {
    Blank,
    Nul { field: usize },
    Text(CsvFields<'a>),
}

impl<R: Read> CsvRows<R> {
    fn new(window: TextWindow<R>, delimiter: u8) -> Self {
        Self {
            window,
            reader: csv_reader(delimiter),
            delimiter,
            out: vec![0; ROW_BYTES_MAX],
            ends: vec![0; COLUMNS_MAX],
            fields: 0,
            row_bytes: 0,
            line: 1,
        }
    }

    fn next(&mut self) -> Result<Framed, FileError> {
        self.consume_row();
        if !self.skip_line_breaks()? {
            return Ok(Framed::End);
        }
        let line = self.line;
        match self.frame()? {
            Ok(is_one_line) => Ok(Framed::Row { line, is_one_line }),
            Err(break_kind) => {
                self.skip_line()?;
                Ok(Framed::Broken { line, break_kind })
            }
        }
    }

    fn consume_row(&mut self) {
        self.line += line_breaks(&self.window.text()[..self.row_bytes]);
        self.window.consume(self.row_bytes);
        self.row_bytes = 0;
    }

    /// Goes back into the row that was just read, to the line below its first.
    fn go_back_to_second_line(&mut self, line: u64) -> Result<(), FileError> {
        self.row_bytes = 0;
        self.line = line;
        self.skip_line()
    }

    /// Consumes empty lines; `false` at the end of the file.
    fn skip_line_breaks(&mut self) -> Result<bool, FileError> {
        loop {
            let text = self.window.text();
            let breaks = text.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
            // A break at the very end may be half of \r\n.
            if breaks < text.len() {
                self.row_bytes = breaks;
                self.consume_row();
                return Ok(true);
            }
            if !self.window.fill()? {
                return Ok(false);
            }
        }
    }

    /// Consumes up to the end of the line, whatever is in it, holding no more than a chunk of it.
    fn skip_line(&mut self) -> Result<(), FileError> {
        loop {
            let text = self.window.text();
            match text.iter().position(|b| matches!(b, b'\n' | b'\r')) {
                // The break itself is left for `skip_line_breaks`, which knows \r\n.
                Some(at) => {
                    self.window.consume(at);
                    return Ok(());
                }
                None => {
                    let all = text.len();
                    self.window.consume(all);
                    if !self.window.fill()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Parses the row at the beginning of the window. `Ok` says whether it is on one line.
    fn frame(&mut self) -> Result<Result<bool, Break>, FileError> {
        self.reader.reset();
        let (mut read, mut written, mut fields) = (0, 0, 0);
        let mut is_at_end = false;
        loop {
            let text = self.window.text();
            let visible = text.len().min(ROW_BYTES_MAX);
            let (result, more_read, more_written, more_fields) = self.reader.read_record(
                text.get(read..visible).unwrap_or_default(),
                &mut self.out[written..],
                &mut self.ends[fields..],
            );
            read += more_read;
            written += more_written;
            fields += more_fields;
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::InputEmpty if read >= ROW_BYTES_MAX => {
                    return Ok(Err(Break::TooLong { field: fields }));
                }
                // At the end of the file an empty read makes the parser give what it has.
                ReadRecordResult::InputEmpty if is_at_end => {}
                ReadRecordResult::InputEmpty => is_at_end = !self.window.fill()?,
                ReadRecordResult::OutputFull => return Ok(Err(Break::TooLong { field: fields })),
                ReadRecordResult::OutputEndsFull => return Ok(Err(Break::TooManyColumns)),
                ReadRecordResult::End => break,
            }
        }
        // The parser stops behind \r; a \n behind it belongs to the same line break.
        if self.window.text()[..read].last() == Some(&b'\r') {
            if self.window.text().len() == read {
                self.window.fill()?;
            }
            read += usize::from(self.window.text().get(read) == Some(&b'\n'));
        }
        let raw = &self.window.text()[..read];
        self.row_bytes = read;
        self.fields = fields;
        let is_one_line = !without_break(raw).iter().any(|b| matches!(b, b'\n' | b'\r'));
        // A quote matters beyond its field only where it joins lines, or is open at the end of the file.
        if (!is_one_line || is_at_end) && !is_well_quoted(raw, self.delimiter) {
            self.row_bytes = 0;
            return Ok(Err(Break::Quote));
        }
        Ok(Ok(is_one_line))
    }

    /// The fields of the row that was just framed.
    fn cells(&self) -> Cells<'_> {
        let ends = &self.ends[..self.fields];
        let written = ends.last().copied().unwrap_or(0);
        // Cut at ASCII signs only, so what was UTF-8 in the window still is.
        let text = std::str::from_utf8(&self.out[..written]).unwrap_or("\0");
        if let Some(at) = text.find('\0') {
            return Cells::Nul { field: ends.iter().take_while(|end| **end <= at).count() };
        }
        if text.trim().is_empty() { Cells::Blank } else { Cells::Text(CsvFields { text, ends }) }
    }
}

struct CsvFields<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl Fields for CsvFields<'_> {
    fn count(&self) -> usize {
        self.ends.len()
    }
    fn cell(&self, index: usize) -> Cell<'_> {
        let start = if index == 0 { Some(0) } else { self.ends.get(index - 1).copied() };
        let range = start.zip(self.ends.get(index).copied());
        Cell::Text(range.and_then(|(start, end)| self.text.get(start..end)).unwrap_or(""))
    }
}

fn without_break(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

/// Line breaks in a text that does not end within one: `\n`, `\r\n` and a lone `\r` count once.
fn line_breaks(text: &[u8]) -> u64 {
    let feeds = text.iter().filter(|b| **b == b'\n').count();
    let returns = text.iter().filter(|b| **b == b'\r').count();
    let pairs = if returns == 0 { 0 } else { text.windows(2).filter(|pair| *pair == b"\r\n").count() };
    (feeds + returns - pairs) as u64
}

/// Whether every quoted field closes and ends there, which `csv-core` does not ask for.
fn is_well_quoted(row: &[u8], delimiter: u8) -> bool {
    let mut rest = row;
    loop {
        // Here begins a field.
        if let Some(mut inside) = rest.strip_prefix(b"\"") {
            loop {
                let Some(quote) = inside.iter().position(|b| *b == b'"') else { return false };
                inside = &inside[quote + 1..];
                match inside.strip_prefix(b"\"") {
                    Some(behind) => inside = behind,
                    None => break,
                }
            }
            rest = inside;
            let is_end = rest.first().is_none_or(|b| *b == delimiter || matches!(b, b'\n' | b'\r'));
            if !is_end {
                return false;
            }
        }
        match rest.iter().position(|b| *b == delimiter || matches!(b, b'\n' | b'\r')) {
            Some(at) if rest[at] == delimiter => rest = &rest[at + 1..],
            Some(_) | None => return true,
        }
    }
}
