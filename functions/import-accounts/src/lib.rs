//! Import: from the bytes of a lender's file to sound records and a list of bad rows.
//!
//! Invariant: reading touches nothing but its input: no clock, no disk, no output. Memory is bounded whatever
//! the file holds: a row, a field, a header and a workbook each have a named limit.

mod csv_file;
mod decode;
mod delimiter;
pub mod import;
pub mod reader;
mod sheet;
pub mod upload;

pub use reader::{FileError, ReadOptions, ReadSummary, RowOutcome, SinkError, read_records};
