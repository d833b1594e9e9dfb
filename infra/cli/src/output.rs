//! Output: what a command says on standard output and on standard error.
//!
//! Invariant: a reader that went away (`| head`) ends nothing. What it does not read is dropped, the work goes on, and the
//! exit code is that of the work. Whatever else keeps standard output from being written, such as a full disk, makes
//! the command fail at its end.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, StdoutLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard output could not be written for another reason than that nobody reads it.
static IS_INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Says a line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::write_out(format_args!("{}\n", format_args!($($text)*))) };
}

/// Says a text on standard output without ending its line.
macro_rules! say_part {
    ($($text:tt)*) => { $crate::output::write_out(format_args!($($text)*)) };
}

/// Says a line on standard error.
macro_rules! tell {
    ($($text:tt)*) => { $crate::output::write_error(format_args!("{}\n", format_args!($($text)*))) };
}

/// A writer that drops what nobody reads.
#[derive(Debug)]
pub(crate) struct Heedless<W>(W);

impl<W: Write> Write for Heedless<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).or_else(|error| unread(error, bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().or_else(|error| unread(error, ()))
    }
}

fn unread<T>(error: io::Error, done: T) -> io::Result<T> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(done) } else { Err(error) }
}

/// Standard output, for what writes to it by itself.
pub(crate) fn stdout() -> Heedless<StdoutLock<'static>> {
    Heedless(io::stdout().lock())
}

/// Writes to standard output; what `say!` expands to.
pub(crate) fn write_out(text: Arguments<'_>) {
    if stdout().write_fmt(text).is_err() {
        IS_INCOMPLETE.store(true, Ordering::Relaxed);
    }
}

/// Writes to standard error, where nothing can be said about a failure; what `tell!` expands to.
pub(crate) fn write_error(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Whether something of standard output is missing that somebody waits for.
pub(crate) fn is_incomplete() -> bool {
    stdout().flush().is_err() || IS_INCOMPLETE.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place that refuses every write for one reason.
    struct Refuses(ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_reader_that_went_away_is_no_error() {
        let mut unread = Heedless(Refuses(ErrorKind::BrokenPipe));
        assert!(writeln!(unread, "a line").is_ok() && unread.flush().is_ok());
        let mut full = Heedless(Refuses(ErrorKind::StorageFull));
        assert!(writeln!(full, "a line").is_err() && full.flush().is_err());
    }
}
