//! `cargo puntual dlq`: the messages that no function could handle, for whoever operates a folder.
//!
//! Invariants: what is shown names ids and no person. What is sent back waits for the next run, which decides anew; so
//! to send back twice, or what went out meanwhile, sends nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use runtime::dead_letter::{
    Answer, DeadLetter, DeadLetters, Found, Listing, MessageId, QueueName, Redriven, Removed, shown_body,
};
use serde_json::{Value, json};

use crate::{clock, folder};

/// The exit code where there is no such dead letter.
const UNKNOWN_LETTER: u8 = 2;
/// How much of a reason a line of the list shows, in characters; `inspect` shows all of it.
const LISTED_CHARS_MAX: usize = 100;

/// Shows the messages that no function could handle, sends them back or throws them away.
#[derive(Debug, Args)]
pub(crate) struct DlqArguments {
    #[command(subcommand)]
    ask: Ask,
    /// The folder of the queues.
    #[arg(long, global = true, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Ask {
    /// Lists them, with the reason of each.
    List {
        /// Only those of one queue: plan-shard, send-email, send-sms or record-delivery.
        #[arg(long)]
        queue: Option<QueueName>,
        /// Prints one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Shows one of them, and no personal data, as a JSON object.
    Inspect {
        /// Its id.
        id: String,
    },
    /// Sends one of them, or all, back into their queues. The next run takes them.
    Redrive {
        /// Its id.
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// All of them.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Throws one of them away.
    Discard {
        /// Its id.
        id: String,
        /// Why; it is kept, and must name no person.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn dlq(arguments: DlqArguments) -> anyhow::Result<ExitCode> {
    let DlqArguments { ask, out } = arguments;
    if !out.is_dir() {
        bail!("{} is no folder; expected the folder of a run", out.display());
    }
    let now = clock::now();
    match ask {
        Ask::List { .. } | Ask::Inspect { .. } => operate(&folder::queues_as_they_are(&out)?, ask, now).await,
        Ask::Redrive { .. } | Ask::Discard { .. } => {
            let _lock = folder::lock(&out)?;
            operate(&folder::queues(&out, now)?, ask, now).await
        }
    }
}

/// Does what is asked for with dead letters, wherever they lie.
async fn operate(letters: &impl DeadLetters, ask: Ask, now: DateTime<Utc>) -> anyhow::Result<ExitCode> {
    match ask {
        Ask::List { queue, json } => list(&letters.list(queue.map(QueueName::as_str)).await?, json),
        Ask::Inspect { id } => {
            let id = MessageId::new(id);
            match letters.inspect(&id).await? {
                Found::Dead(letter) => inspect(&letter),
                Found::Ended(removed) => Ok(dealt_with(&id, &removed)),
                Found::Nothing => Ok(no_letter(&id)),
            }
        }
        Ask::Redrive { id: None, .. } => {
            let Redriven { messages, is_all } = letters.redrive_all(None, now).await?;
            say!("{messages} messages wait in their queues again; the next run takes them");
            if !is_all {
                tell!("there are more; the same command takes the rest");
            }
            Ok(ExitCode::SUCCESS)
        }
        Ask::Redrive { id: Some(id), .. } => {
            let id = MessageId::new(id);
            let done = letters.redrive(&id, now).await?;
            Ok(said(&id, &done, "waits in its queue again; the next run takes it"))
        }
        Ask::Discard { id, reason } => {
            if reason.trim().is_empty() {
                bail!("--reason is empty; expected why the message is thrown away");
            }
            let id = MessageId::new(id);
            let done = letters.discard(&id, &reason, now).await?;
            Ok(said(&id, &done, &format!("was thrown away: {reason}")))
        }
    }
}

fn list(listing: &Listing, json: bool) -> anyhow::Result<ExitCode> {
    let Listing { letters, is_all } = listing;
    if json {
        let letters: Vec<Value> = letters.iter().map(summary).collect();
        say!("{}", serde_json::to_string_pretty(&letters)?);
    } else {
        for letter in letters {
            let reason: String = reason_of(letter).chars().take(LISTED_CHARS_MAX).collect();
            say!("{:<8} {:<16} {:<21} {reason}", letter.id.as_str(), letter.queue, since(letter));
        }
        say!("{} dead letters", letters.len());
    }
    if !is_all {
        tell!("there are more than are listed");
    }
    Ok(ExitCode::SUCCESS)
}

fn inspect(letter: &DeadLetter) -> anyhow::Result<ExitCode> {
    let mut shown = summary(letter);
    shown["body"] = shown_body(&letter.body);
    say!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(ExitCode::SUCCESS)
}

fn said(id: &MessageId, answer: &Answer, done: &str) -> ExitCode {
    match answer {
        Answer::Done => {
            say!("{id} {done}");
            ExitCode::SUCCESS
        }
        Answer::Before(removed) => dealt_with(id, removed),
        Answer::Nothing => no_letter(id),
    }
}

/// Says what became of a letter that is dead no more. What was sent back or thrown away before is no mistake.
fn dealt_with(id: &MessageId, removed: &Removed) -> ExitCode {
    match removed {
        Removed::Redriven { at } => tell!("{id} was sent back at {}; nothing to do", text(*at)),
        Removed::Discarded { reason, at } => {
            tell!("{id} was thrown away at {}: {reason}; nothing to do", text(*at));
        }
    }
    ExitCode::SUCCESS
}

fn no_letter(id: &MessageId) -> ExitCode {
    tell!("{id} is no dead letter; expected an id of `cargo puntual dlq list`");
    ExitCode::from(UNKNOWN_LETTER)
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

fn reason_of(letter: &DeadLetter) -> &str {
    letter.reason.as_deref().unwrap_or("its function died or ran out of time")
}

fn since(letter: &DeadLetter) -> String {
    letter.dead_at.map_or_else(String::new, text)
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
