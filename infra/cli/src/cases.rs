//! CSV files of cases that a command answers one by one.
//!
//! Invariants: a column that the command needs and does not find is an error, also where it is only misspelt. A row that
//! cannot be read costs no other: it comes with its line, and never with an answer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use csv::{ByteRecord, Reader, ReaderBuilder};

/// The longest header that is looked at for the ending of lines.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// The most rows of a file.
const ROWS_MAX: usize = 10_000_000;
/// How many edits make one column's name out of another that is probably meant, for names of up to four letters and for
/// longer ones.
const EDITS_MAX: [usize; 2] = [1, 2];

/// A file whose header was understood.
pub(crate) struct Cases<const N: usize> {
    reader: Reader<File>,
    /// Where the columns stand.
    places: [usize; N],
    width: usize,
    rows: usize,
    /// 1 where lines end in CR LF: a record then begins, for the reader, before the LF of the line above.
    lines_ahead: u64,
}

/// One row.
pub(crate) struct Case<const N: usize> {
    /// Its line in the file, counted from one.
    pub(crate) line: u64,
    /// The fields of the columns, in the order in which they were asked for, or what is wrong with the row.
    pub(crate) fields: Result<[String; N], UnreadableRow<N>>,
}

/// A row that is not what the header says.
pub(crate) struct UnreadableRow<const N: usize> {
    /// What can be read of the columns, to tell the row by.
    pub(crate) there: [String; N],
    pub(crate) problem: String,
}

impl<const N: usize> Cases<N> {
    /// Opens a file that must have the columns, in any order and among any others.
    pub(crate) fn open(path: &Path, columns: [&str; N]) -> anyhow::Result<Self> {
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .from_path(path)
            .with_context(|| format!("the file {} cannot be read", path.display()))?;
        let place = || format!("{}", path.display());
        let header = reader.headers().with_context(place)?.clone();
        if header.iter().all(|name| name.trim().is_empty()) {
            bail!("{}: the file is empty; expected a header with {}", path.display(), columns.join(", "));
        }
        let names: Vec<&str> = header.iter().map(str::trim).collect();
        let places = places(&names, columns).with_context(place)?;
        let others = names.iter().filter(|name| !columns.contains(name));
        for (other, known) in others.filter_map(|name| Some((name, meant_by(name, &columns)?))) {
            tell!("warning: {}: the column {other:?} is ignored; {known:?} is read", path.display());
        }
        let lines_ahead = u64::from(ends_in_cr_lf(path).with_context(place)?);
        Ok(Self { reader, places, width: names.len(), rows: 0, lines_ahead })
    }

    /// The next row; `None` after the last.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Case<N>>> {
        let mut record = ByteRecord::new();
        if !self.reader.read_byte_record(&mut record)? {
            if self.rows == 0 {
                bail!("the file has a header and no row; expected at least one");
            }
            return Ok(None);
        }
        self.rows += 1;
        if self.rows > ROWS_MAX {
            bail!("the file has more than {ROWS_MAX} rows; expected it in parts");
        }
        let line = record.position().map_or(0, csv::Position::line) + self.lines_ahead;
        let field = |place: usize| record.get(place).unwrap_or_default();
        let fields = self.places.map(|place| String::from_utf8_lossy(field(place)).into_owned());
        let problem = if record.len() != self.width {
            Some(format!("the row has {} fields; expected {}, as the header has", record.len(), self.width))
        } else if self.places.iter().any(|place| std::str::from_utf8(field(*place)).is_err()) {
            Some("the row is not UTF-8".to_owned())
        } else {
            None
        };
        Ok(Some(Case {
            line,
            fields: match problem {
                None => Ok(fields),
                Some(problem) => Err(UnreadableRow { there: fields, problem }),
            },
        }))
    }
}

/// Whether the first line of a file ends in CR LF.
fn ends_in_cr_lf(path: &Path) -> std::io::Result<bool> {
    let mut first = Vec::new();
    BufReader::new(File::open(path)?.take(HEADER_BYTES_MAX)).read_until(b'\n', &mut first)?;
    Ok(first.ends_with(b"\r\n"))
}

/// Where the columns stand in a header; each must be there once.
fn places<const N: usize>(names: &[&str], columns: [&str; N]) -> anyhow::Result<[usize; N]> {
    let missing: Vec<String> = columns
        .iter()
        .filter(|column| !names.contains(column))
        .map(|column| {
            let instead = names.iter().find(|name| meant_by(name, &[*column]).is_some());
            instead.map_or_else(|| (*column).to_owned(), |name| format!("{column} (is it {name:?}?)"))
        })
        .collect();
    if !missing.is_empty() {
        bail!("the header has no {}; expected {}", missing.join(", no "), columns.join(", "));
    }
    if let Some(twice) = columns.iter().find(|column| names.iter().filter(|name| name == column).count() > 1)
    {
        bail!("the header has {twice} twice; expected each column once");
    }
    Ok(columns.map(|column| names.iter().position(|name| *name == column).unwrap_or_default()))
}

/// The column that a name, which is none of them, was probably meant to be.
fn meant_by<'a>(name: &str, columns: &[&'a str]) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    columns.iter().copied().find(|column| {
        let edits_max = EDITS_MAX[usize::from(column.len() > 4)];
        let (name, column) = (folded(name), folded(column));
        name == column
            || strsim::damerau_levenshtein(&name, &column) <= edits_max && !column.starts_with(&name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn refused(text: &str) -> String {
        let file = file(text.as_bytes());
        let mut cases = match Cases::open(file.path(), ["id", "timezone", "at"]) {
            Ok(cases) => cases,
            Err(problem) => return format!("{problem:#}"),
        };
        cases.next().map(|_| String::new()).unwrap_or_else(|problem| format!("{problem:#}"))
    }

    #[test]
    fn a_header_without_a_column_is_refused_with_the_name_that_was_meant() {
        assert!(
            refused("id,time_zone,at\n1,,x\n").contains("no timezone (is it \"time_zone\"?); expected id")
        );
        assert!(refused("id,tmezone,at\n").contains("(is it \"tmezone\"?)"));
        assert!(refused("id,zone\n1,\n").contains("no timezone, no at;"));
        assert!(refused("id,timezone,at,at\n1,,x,y\n").contains("has at twice"));
        assert!(refused("").contains("is empty"));
        assert!(refused("\n").contains("is empty"));
        assert!(refused("id,timezone,at\n").contains("no row"));
        assert_eq!(refused("note,at,allowed,id,timezone\n1,2,3,4,5\n"), "");
    }

    #[test]
    fn other_columns_are_ignored_and_near_misses_are_known() {
        let columns = ["id", "timezone", "purpose", "channel", "at", "prior", "jurisdiction"];
        for other in ["allowed", "reason", "next_allowed", "note", "comment", "n", "customer"] {
            assert_eq!(meant_by(other, &columns), None, "{other}");
        }
        for (other, known) in [("Purpose", "purpose"), ("time zone", "timezone"), ("chanel", "channel")] {
            assert_eq!(meant_by(other, &columns), Some(known));
        }
    }

    #[test]
    fn lines_are_counted_however_they_end() {
        for ending in ["\n", "\r\n"] {
            let file = file(["id,timezone,at", "1,a,b", "2,a,b", "3"].join(ending).as_bytes());
            let mut cases = Cases::open(file.path(), ["id", "timezone", "at"]).unwrap();
            let lines: Vec<u64> = std::iter::from_fn(|| Some(cases.next().unwrap()?.line)).collect();
            assert_eq!(lines, [2, 3, 4], "{ending:?}");
        }
    }

    #[test]
    fn a_ragged_row_comes_with_its_line_and_costs_no_other() {
        let file = file(b"id,timezone,at\n1,a,b\n2,a\n\"3\n3\",a,b\n4,a,b,c\n5,\xff,b\n6,a,b\n");
        let mut cases = Cases::open(file.path(), ["id", "timezone", "at"]).unwrap();
        let mut seen = Vec::new();
        while let Some(case) = cases.next().unwrap() {
            seen.push(match case.fields {
                Ok([id, ..]) => format!("{} {id}", case.line),
                Err(UnreadableRow { there: [id, ..], problem }) => format!("{} {id}: {problem}", case.line),
            });
        }
        assert_eq!(
            seen,
            [
                "2 1",
                "3 2: the row has 2 fields; expected 3, as the header has",
                "4 3\n3",
                "6 4: the row has 4 fields; expected 3, as the header has",
                "7 5: the row is not UTF-8",
                "8 6",
            ]
        );
    }
}
