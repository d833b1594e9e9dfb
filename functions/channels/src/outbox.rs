//! The outbox: messages that stay on this machine, in memory or in a file, for local runs and tests.
//!
//! Invariant: a message is kept before it is said to be accepted, whole and once for every call: an outbox hides no
//! duplicate. Only [`Fault`]s that a test asks for make it answer anything else than what it did.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};

use chrono::{DateTime, FixedOffset, SecondsFormat};
use domain::channel::{Channel, Purpose, Tone};
use domain::contact::Address;
use domain::ids::{CustomerId, ObligationId, StageId, TouchId};
use serde::{Deserialize, Serialize, Serializer};

use crate::{Outcome, Outgoing, tag};

/// The folder of the previews, below the one that was asked for.
const PREVIEW_FOLDER: &str = "mail";

/// Why an outbox could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The folder of the file or of the previews could not be made.
    #[error("cannot make the folder {path} of the outbox")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be opened.
    #[error("cannot open {path} for appending; expected a file that this user may write")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// One obligation of a message, with the stage that the message brings it to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxItem {
    /// The obligation.
    pub id: ObligationId,
    /// Its stage.
    pub stage: StageId,
}

/// One kept message: a line of the file. The order of the fields is the order of the keys, which readers may rely on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxMessage {
    /// When it was sent, to the second, with the customer's own offset.
    #[serde(serialize_with = "to_the_second")]
    pub at: DateTime<FixedOffset>,
    /// The touch that was sent.
    pub touch: TouchId,
    /// Who it is for.
    pub customer: CustomerId,
    /// What it is about, most overdue first.
    pub obligations: Vec<OutboxItem>,
    /// The stage that decided tone, purpose and template.
    pub stage: StageId,
    /// The tone of that stage.
    pub tone: Tone,
    /// What the contact is for.
    pub purpose: Purpose,
    /// How it was sent.
    pub channel: Channel,
    /// Where it was sent.
    pub to: Address,
    /// The subject, on channels that have one.
    pub subject: Option<String>,
    /// The plain text.
    pub body: String,
}

impl OutboxMessage {
    fn new(outgoing: &Outgoing<'_>) -> Self {
        let touch = outgoing.touch;
        let item =
            |i: &domain::touch::TouchItem| OutboxItem { id: i.obligation.clone(), stage: i.stage.clone() };
        Self {
            at: outgoing.at,
            touch: touch.id.clone(),
            customer: touch.customer.clone(),
            obligations: touch.items.iter().map(item).collect(),
            stage: touch.stage.clone(),
            tone: touch.tone,
            purpose: touch.purpose,
            channel: outgoing.to.channel,
            to: outgoing.to.address.clone(),
            subject: outgoing.message.subject.clone(),
            body: outgoing.message.text.clone(),
        }
    }
}

impl fmt::Debug for OutboxMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The subject and the body speak of the customer's debts.
        f.debug_struct("OutboxMessage")
            .field("at", &self.at)
            .field("touch", &self.touch)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// What the outbox is to answer to one call instead of what it would; for tests of what comes after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is kept, and the answer says so.
    Refuse {
        /// Whether the same call may succeed later.
        retry: bool,
    },
    /// Nothing is kept, and the answer is in doubt.
    LoseRequest,
    /// The message is kept, and the answer is in doubt.
    LoseAnswer,
}

/// Where messages stay on this machine. Clones share one outbox.
#[derive(Clone)]
pub struct Outbox {
    state: Arc<Mutex<State>>,
    previews: Option<PathBuf>,
}

struct State {
    kept: Kept,
    faults: VecDeque<Fault>,
}

enum Kept {
    Memory(Vec<OutboxMessage>),
    File(File),
}

impl Outbox {
    /// An outbox that lives as long as its handles; see [`Outbox::messages`].
    #[must_use]
    pub fn memory() -> Self {
        Self::over(Kept::Memory(Vec::new()))
    }

    /// An outbox that appends one JSON line a message to a file (`messages.jsonl`), after what is there already.
    ///
    /// # Errors
    /// [`OutboxError`] when the folder cannot be made or the file cannot be opened.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, OutboxError> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|source| OutboxError::Folder { path: folder.to_owned(), source })?;
        }
        let file = OpenOptions::new().create(true).append(true).read(true).open(path);
        let kept = file.and_then(|mut file| cut_torn_line(&mut file).map(|()| file));
        let file = kept.map_err(|source| OutboxError::File { path: path.to_owned(), source })?;
        Ok(Self::over(Kept::File(file)))
    }

    /// Also writes the HTML part of an email to `<dir>/mail/<touch>.html`, to be looked at in a browser.
    ///
    /// # Errors
    /// [`OutboxError::Folder`] when the folder cannot be made.
    pub fn with_previews(mut self, dir: impl AsRef<Path>) -> Result<Self, OutboxError> {
        let path = dir.as_ref().join(PREVIEW_FOLDER);
        fs::create_dir_all(&path).map_err(|source| OutboxError::Folder { path: path.clone(), source })?;
        self.previews = Some(path);
        Ok(self)
    }

    /// The messages kept in memory, oldest first; empty for an outbox over a file, whose lines are
    /// [`OutboxMessage`]s.
    #[must_use]
    pub fn messages(&self) -> Vec<OutboxMessage> {
        match &self.state().kept {
            Kept::Memory(messages) => messages.clone(),
            Kept::File(_) => Vec::new(),
        }
    }

    /// Lets one later call end in a fault; several are used up in the order in which they were asked for.
    pub fn fail_next(&self, fault: Fault) {
        self.state().faults.push_back(fault);
    }

    pub(crate) fn send(&self, outgoing: &Outgoing<'_>) -> Outcome {
        let mut state = self.state();
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Refuse { retry }) => {
                return Outcome::NotSent { reason: "outbox refused".into(), retry };
            }
            Some(Fault::LoseRequest) => return Outcome::Unknown { reason: "outbox lost the request".into() },
            Some(Fault::LoseAnswer) | None => {}
        }
        // The preview comes first: when it fails, the message is still known not to be sent.
        if let Err(error) = self.preview(outgoing) {
            return Outcome::NotSent { reason: format!("outbox preview {:?}", error.kind()), retry: true };
        }
        let kept = state.kept.keep(outgoing);
        match (kept, fault) {
            (Outcome::Accepted { .. }, Some(_)) => {
                Outcome::Unknown { reason: "outbox lost the answer".into() }
            }
            (kept, _) => kept,
        }
    }

    fn over(kept: Kept) -> Self {
        Self { state: Arc::new(Mutex::new(State { kept, faults: VecDeque::new() })), previews: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of another test thread leaves whole messages behind, so what is kept is still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn preview(&self, outgoing: &Outgoing<'_>) -> io::Result<()> {
        let (Some(folder), Channel::Email, Some(html)) =
            (&self.previews, outgoing.to.channel, &outgoing.message.html)
        else {
            return Ok(());
        };
        // Ids are free text; a tag value has no character that a path gives a meaning to.
        let name = tag::encode(outgoing.touch.id.as_str()).ok_or(io::ErrorKind::InvalidFilename)?;
        fs::write(folder.join(format!("{name}.html")), html)
    }
}

impl Kept {
    fn keep(&mut self, outgoing: &Outgoing<'_>) -> Outcome {
        let message = OutboxMessage::new(outgoing);
        let accepted = Outcome::Accepted { provider_id: format!("outbox-{}", message.touch) };
        match self {
            Self::Memory(messages) => {
                messages.push(message);
                accepted
            }
            Self::File(file) => match append(file, &message) {
                Ok(Appended::Whole) => accepted,
                Ok(Appended::Torn) => Outcome::Unknown { reason: "outbox wrote a part of the line".into() },
                Err(error) => {
                    Outcome::NotSent { reason: format!("outbox write {:?}", error.kind()), retry: true }
                }
            },
        }
    }
}

enum Appended {
    Whole,
    Torn,
}

/// One write for the whole line: two processes that append to one file cannot mix their lines, and a write that
/// fails has written nothing.
fn append(file: &mut File, message: &OutboxMessage) -> io::Result<Appended> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if file.write(&line)? < line.len() || file.flush().is_err() {
        return Ok(Appended::Torn);
    }
    Ok(Appended::Whole)
}

fn to_the_second<S: Serializer>(at: &DateTime<FixedOffset>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Secs, false))
}

/// How much of the end of a file is searched for its last whole line at once, in bytes.
const TAIL_BYTES: u64 = 1 << 16;

/// Cuts a last line that was not written to its end. Its message was never accepted, and the next one must not be glued
/// to it.
fn cut_torn_line(file: &mut File) -> std::io::Result<()> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let from = end.saturating_sub(TAIL_BYTES);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        Read::by_ref(file).take(end - from).read_to_end(&mut tail)?;
        if let Some(last) = tail.iter().rposition(|b| *b == b'\n') {
            end = from + last as u64 + 1;
            break;
        }
        end = from;
    }
    if end < file.metadata()?.len() { file.set_len(end) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
