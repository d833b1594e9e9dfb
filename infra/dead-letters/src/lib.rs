//! `cargo puntual dlq`: the messages that no function could handle, for whoever operates a folder or a stack.
//!
//! Invariants: a folder and a stack are asked in the same words and answer in the same form. What is shown names ids and
//! no person. What is sent back is decided anew by whoever takes it; so to send back twice, or what went out meanwhile,
//! sends nothing.

mod arguments;
mod reply;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::contact::EvidenceRef;
use domain::fact_record::PersonWord;
use domain::ids::OperatorId;
use runtime::dead_letter::{
    Answer, DeadLetter, DeadLetters, Found, Listing, MessageId, Redriven, Removed, shown_body,
};
use serde_json::{Value, json};

pub use arguments::{Ask, DlqArguments, Lane, Place, StackPlace, WrongPlace};
pub use reply::{Line, Reply};

/// The exit code where there is no such dead letter.
pub const UNKNOWN_LETTER: u8 = 2;
/// How much of a reason a line of the list shows, in characters; `inspect` shows all of it.
const LISTED_CHARS_MAX: usize = 100;

/// Where the letters lie, as far as the words of an answer depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// A folder of this machine, which remembers what a person did.
    Folder,
    /// The queues of a stack, which remember nothing of a message that is gone, and no reason.
    Stack,
}

/// Does what is asked for with dead letters, wherever they lie.
///
/// # Errors
/// When the letters cannot be worked on, or what is asked for makes no sense; the text says what was expected.
pub async fn operate(
    letters: &impl DeadLetters,
    home: Home,
    ask: Ask,
    now: DateTime<Utc>,
) -> anyhow::Result<Reply> {
    match ask {
        Ask::List { queue, json } => {
            if (queue, home) == (Some(Lane::Calls), Home::Folder) {
                bail!("a folder has no calls among its dead letters; expected --stack, or another --queue");
            }
            list(&letters.list(queue.map(Lane::as_str)).await?, home, json)
        }
        Ask::Inspect { id } => {
            let id = MessageId::new(id);
            match letters.inspect(&id).await? {
                Found::Dead(letter) => inspect(&letter),
                Found::Ended(removed) => Ok(dealt_with(&id, &removed)),
                Found::Nothing => Ok(no_letter(&id, home)),
            }
        }
        Ask::Redrive { id: None, .. } => redrive_all(letters, home, now).await,
        Ask::Redrive { id: Some(id), .. } => {
            let id = MessageId::new(id);
            let answer = letters.redrive(&id, now).await?;
            Ok(done(&id, &answer, home, &format!("waits in its queue again; {}", taken_by(home))))
        }
        Ask::Discard { id, reason } => {
            if reason.trim().is_empty() {
                bail!("--reason is empty; expected why the message is thrown away");
            }
            if !names_nobody(&reason) {
                bail!(
                    "--reason may name a person, and is kept; expected at most 80 characters without an address and without six \
                     digits in a row"
                );
            }
            let id = MessageId::new(id);
            let answer = letters.discard(&id, &reason, now).await?;
            let mut reply = done(&id, &answer, home, &format!("was thrown away: {reason}"));
            if (answer, home) == (Answer::Done, Home::Stack) {
                reply.tell("SQS keeps no reason; keep this line where others find it".to_owned());
            }
            Ok(reply)
        }
    }
}

/// Whether a reason could stand in a person's word on a message, which is kept for good.
fn names_nobody(reason: &str) -> bool {
    let word = || PersonWord::new(OperatorId::new("operator").ok()?, EvidenceRef::note(reason).ok()?).ok();
    word().is_some()
}

async fn redrive_all(letters: &impl DeadLetters, home: Home, now: DateTime<Utc>) -> anyhow::Result<Reply> {
    let mut reply = Reply::default();
    let Redriven { messages, is_all } = letters.redrive_all(None, now).await?;
    reply.say(format!("{messages} messages wait in their queues again; {}", taken_by(home)));
    if !is_all {
        reply.tell("there are more; the same command takes the rest".to_owned());
    }
    if home == Home::Stack {
        let calls = letters.list(Some(Lane::Calls.as_str())).await?.letters.len();
        if calls > 0 {
            reply.tell(format!("{calls} calls stay: they came from no queue, so they cannot be sent back"));
        }
    }
    Ok(reply)
}

fn list(listing: &Listing, home: Home, json: bool) -> anyhow::Result<Reply> {
    let Listing { letters, is_all } = listing;
    let mut reply = Reply::default();
    if json {
        let letters: Vec<Value> = letters.iter().map(summary).collect();
        reply.say(serde_json::to_string_pretty(&letters)?);
    } else {
        for letter in letters {
            let reason: String = reason_of(letter, home).chars().take(LISTED_CHARS_MAX).collect();
            let (id, queue) = (letter.id.as_str(), &letter.queue);
            reply.say(format!("{id:<8} {queue:<16} {:<21} {reason}", since(letter)));
        }
        reply.say(format!("{} dead letters", letters.len()));
    }
    if !is_all {
        reply.tell("there are more than are listed".to_owned());
    }
    Ok(reply)
}

fn inspect(letter: &DeadLetter) -> anyhow::Result<Reply> {
    let mut shown = summary(letter);
    shown["body"] = shown_body(&letter.body);
    let mut reply = Reply::default();
    reply.say(serde_json::to_string_pretty(&shown)?);
    Ok(reply)
}

fn done(id: &MessageId, answer: &Answer, home: Home, words: &str) -> Reply {
    match answer {
        Answer::Done => {
            let mut reply = Reply::default();
            reply.say(format!("{id} {words}"));
            reply
        }
        Answer::Before(removed) => dealt_with(id, removed),
        Answer::Nothing => no_letter(id, home),
    }
}

/// Says what became of a letter that is dead no more. What was sent back or thrown away before is no mistake.
fn dealt_with(id: &MessageId, removed: &Removed) -> Reply {
    let mut reply = Reply::default();
    reply.tell(match removed {
        Removed::Redriven { at } => format!("{id} was sent back at {}; nothing to do", text(*at)),
        Removed::Discarded { reason, at } => {
            format!("{id} was thrown away at {}: {reason}; nothing to do", text(*at))
        }
    });
    reply
}

fn no_letter(id: &MessageId, home: Home) -> Reply {
    let mut reply = Reply { code: UNKNOWN_LETTER, ..Reply::default() };
    reply.tell(match home {
        Home::Folder => format!("{id} is no dead letter; expected an id of `cargo puntual dlq list`"),
        Home::Stack => format!(
            "{id} is no dead letter of the stack, or no more; expected an id of `cargo puntual dlq list`. Nothing was done"
        ),
    });
    reply
}

const fn taken_by(home: Home) -> &'static str {
    match home {
        Home::Folder => "the next run takes it",
        Home::Stack => "its function takes it now",
    }
}

fn summary(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "receives": letter.receives,
        "dead_at": letter.dead_at.map(text),
    })
}

fn reason_of(letter: &DeadLetter, home: Home) -> &str {
    letter.reason.as_deref().unwrap_or(match home {
        Home::Folder => "its function died or ran out of time",
        Home::Stack => "the log of its function says why",
    })
}

fn since(letter: &DeadLetter) -> String {
    letter.dead_at.map_or_else(String::new, text)
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
