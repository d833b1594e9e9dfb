//! The file of the local queues: one line for each thing that happened, in order.
//!
//! Invariant: a line that was torn by the end of its process says nothing, and can only be the last one. Any other that
//! cannot be read is kept in a file beside this one. The file is replaced by renaming, so there is always one that is
//! whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{LocalQueueError, State, UnreadableLine};
use crate::dead_letter::{QueueName, Removed};

/// The highest id of a message: no queue ever comes near it, and there is room for more behind it.
const ID_MAX: u64 = u64::MAX / 2;

/// One thing that happened.
#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    /// Ids up to this one were given away.
    Newest { id: u64 },
    /// A message came in.
    Sent {
        id: u64,
        queue: QueueName,
        body: String,
        /// How often it had been given out before the file was written anew.
        #[serde(default, skip_serializing_if = "is_zero")]
        receives: u32,
    },
    /// Messages were given to their function.
    Received { ids: Vec<u64> },
    /// Their function failed, and they wait again.
    Failed { ids: Vec<u64> },
    /// Their function is done with them.
    Done { ids: Vec<u64> },
    /// A message failed too often.
    Dead { id: u64, reason: String, at: DateTime<Utc> },
    /// A person sent it back.
    Redriven { id: u64, at: DateTime<Utc> },
    /// A person threw it away.
    Discarded { id: u64, reason: String, at: DateTime<Utc> },
    /// What a person had done with it before the file was written anew.
    Ended { id: u64, end: Removed },
}

impl Line {
    /// The highest id that it gives away; 0 where it gives none.
    const fn newest(&self) -> u64 {
        match self {
            Self::Newest { id } | Self::Sent { id, .. } => *id,
            Self::Received { .. }
            | Self::Failed { .. }
            | Self::Done { .. }
            | Self::Dead { .. }
            | Self::Redriven { .. }
            | Self::Discarded { .. }
            | Self::Ended { .. } => 0,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Where lines are added; nowhere for queues in memory and for those that are only read.
#[derive(Debug, Default)]
pub(super) struct Journal(Option<(PathBuf, File)>);

impl Journal {
    /// Replaces the file by these lines, and adds to it from then on.
    pub(super) fn rewrite(path: &Path, lines: &[Line]) -> Result<Self, LocalQueueError> {
        let write = || {
            let new = path.with_extension("new");
            fs::write(&new, text(lines)?)?;
            fs::rename(&new, path)?;
            File::options().append(true).open(path)
        };
        let file = write().map_err(|source| LocalQueueError::Io { path: path.to_owned(), source })?;
        Ok(Self(Some((path.to_owned(), file))))
    }

    /// Adds lines in one write.
    pub(super) fn append(&mut self, lines: &[Line]) -> Result<(), LocalQueueError> {
        let Some((path, file)) = &mut self.0 else { return Ok(()) };
        let written = text(lines).and_then(|bytes| file.write_all(&bytes));
        written.map_err(|source| LocalQueueError::Io { path: path.clone(), source })
    }
}

fn text(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// A line that cannot be read, as it is kept beside the file.
#[derive(Debug, Serialize)]
pub(super) struct SetApart {
    line: usize,
    problem: String,
    text: String,
}

/// Reads a file, and what cannot be read of it; one that is not there is empty.
pub(super) fn load(path: &Path) -> Result<(State, Vec<SetApart>), LocalQueueError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(LocalQueueError::Io { path: path.to_owned(), source }),
    };
    let (mut state, mut set_apart, mut is_ours) = (State::default(), Vec::new(), false);
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    for (at, line) in bytes[..whole].split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let read = serde_json::from_slice::<Line>(line)
            .map_err(|error| format!("{:?} error at column {}", error.classify(), error.column()));
        let too_far = || format!("an id beyond {ID_MAX}");
        match read.and_then(|line| if line.newest() <= ID_MAX { Ok(line) } else { Err(too_far()) }) {
            Ok(line) => {
                is_ours = true;
                state.take(line);
            }
            Err(problem) => {
                set_apart.push(SetApart {
                    line: at + 1,
                    problem,
                    text: String::from_utf8_lossy(line).into_owned(),
                });
            }
        }
    }
    if let Some(SetApart { line, problem, .. }) = set_apart.first().filter(|_| !is_ours) {
        let (path, line, problem) = (path.to_owned(), *line, problem.clone());
        return Err(LocalQueueError::Line { path, line, problem });
    }
    state.unreadable =
        set_apart.iter().map(|a| UnreadableLine { line: a.line, problem: a.problem.clone() }).collect();
    Ok((state, set_apart))
}

/// Adds what could not be read to the file beside the queues, before they are written without it.
pub(super) fn keep_apart(path: &Path, lines: &[SetApart], now: DateTime<Utc>) -> Result<(), LocalQueueError> {
    if lines.is_empty() {
        return Ok(());
    }
    let apart = path.with_extension("unreadable.jsonl");
    let write = || {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, &Kept { found_at: now, line })?;
            bytes.push(b'\n');
        }
        File::options().create(true).append(true).open(&apart)?.write_all(&bytes)
    };
    write().map_err(|source| LocalQueueError::Io { path: apart.clone(), source })
}

/// A line that was set apart, and when.
#[derive(Serialize)]
struct Kept<'a> {
    found_at: DateTime<Utc>,
    #[serde(flatten)]
    line: &'a SetApart,
}
