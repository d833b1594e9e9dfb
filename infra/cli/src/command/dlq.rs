//! `cargo puntual dlq`: the messages that no function could handle, for whoever operates a folder.
//!
//! Invariants: what is shown names ids and no person. What is sent back waits for the next run, which decides anew; so
//! to send back twice, or what went out meanwhile, sends nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use runtime::dead_letter::{DeadLetter, MessageId, QueueName, Removed, shown_body};
use runtime::local_queue::LocalQueues;
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
    #[arg(long, global = true, default_value = "puntual-demo")]
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

pub(crate) fn dlq(arguments: DlqArguments) -> anyhow::Result<ExitCode> {
    let DlqArguments { ask, out } = arguments;
    if !out.is_dir() {
        bail!("{} is no folder; expected the folder of a run", out.display());
    }
    let path = out.join(folder::QUEUES);
    match ask {
        Ask::List { queue, json } => {
            list(&LocalQueues::read(&path)?.dead(queue), json)?;
            Ok(ExitCode::SUCCESS)
        }
        Ask::Inspect { id } => inspect(&LocalQueues::read(&path)?, &MessageId::new(id)),
        Ask::Redrive { id, .. } => redrive(&out, &path, id.map(MessageId::new)),
        Ask::Discard { id, reason } => {
            if reason.trim().is_empty() {
                bail!("--reason is empty; expected why the message is thrown away");
            }
            discard(&out, &path, &MessageId::new(id), &reason)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the list is what the command is for")]
fn list(letters: &[DeadLetter], json: bool) -> anyhow::Result<()> {
    if json {
        let letters: Vec<Value> = letters.iter().map(summary).collect();
        println!("{}", serde_json::to_string_pretty(&letters)?);
        return Ok(());
    }
    for letter in letters {
        let reason: String = reason_of(letter).chars().take(LISTED_CHARS_MAX).collect();
        println!("{:<8} {:<16} {:<21} {reason}", letter.id.as_str(), letter.queue, since(letter));
    }
    println!("{} dead letters", letters.len());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the message is what the command is for")]
fn inspect(queues: &LocalQueues, id: &MessageId) -> anyhow::Result<ExitCode> {
    let Some(letter) = queues.find(id) else { return Ok(not_dead(queues, id)) };
    let mut shown = summary(&letter);
    shown["body"] = shown_body(&letter.body);
    println!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the answer is what the command is for")]
fn redrive(out: &Path, path: &Path, id: Option<MessageId>) -> anyhow::Result<ExitCode> {
    let _lock = folder::lock(out)?;
    let now = clock::now();
    let queues = LocalQueues::open(path, now)?;
    let Some(id) = id else {
        let letters = queues.dead(None);
        for letter in &letters {
            queues.redrive(&letter.id, now)?;
        }
        println!("{} messages wait in their queues again; the next run takes them", letters.len());
        return Ok(ExitCode::SUCCESS);
    };
    if !queues.redrive(&id, now)? {
        return Ok(not_dead(&queues, &id));
    }
    println!("{id} waits in its queue again; the next run takes it");
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the answer is what the command is for")]
fn discard(out: &Path, path: &Path, id: &MessageId, reason: &str) -> anyhow::Result<ExitCode> {
    let _lock = folder::lock(out)?;
    let now = clock::now();
    let queues = LocalQueues::open(path, now)?;
    if !queues.discard(id, reason, now)? {
        return Ok(not_dead(&queues, id));
    }
    println!("{id} was thrown away: {reason}");
    Ok(ExitCode::SUCCESS)
}

/// Says what became of a message that is no dead letter. What was sent back or thrown away before is no mistake.
fn not_dead(queues: &LocalQueues, id: &MessageId) -> ExitCode {
    match queues.end_of(id) {
        Some(Removed::Redriven { at }) => eprintln!("{id} was sent back at {}; nothing to do", text(at)),
        Some(Removed::Discarded { reason, at }) => {
            eprintln!("{id} was thrown away at {}: {reason}; nothing to do", text(at));
        }
        None => {
            eprintln!("{id} is no dead letter; expected an id of `cargo puntual dlq list`");
            return ExitCode::from(UNKNOWN_LETTER);
        }
    }
    ExitCode::SUCCESS
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
