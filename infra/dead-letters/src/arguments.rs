//! What may be asked, and where the letters lie.
//!
//! Invariant: a folder or a stack is named, never both, and a stack only with its region.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use runtime::dead_letter::{QueueName, UnknownQueue};

/// The folder where none is named.
const FOLDER: &str = "puntual-demo";

/// Shows the messages that no function could handle, sends them back or throws them away.
#[derive(Debug, Args)]
pub struct DlqArguments {
    /// What is asked.
    #[command(subcommand)]
    pub ask: Ask,
    /// The folder of the queues; without it, and without a stack, puntual-demo.
    #[arg(long, global = true, visible_alias = "folder")]
    pub out: Option<PathBuf>,
    /// The stack whose queues are meant, in place of a folder.
    #[arg(long, global = true)]
    pub stack: Option<String>,
    /// The region of the stack.
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// Where an emulator has the stack, such as http://127.0.0.1:4566.
    #[arg(long, global = true, value_name = "URL")]
    pub emulator: Option<String>,
    /// Takes the program for a stack from a folder in which it lies already, and compiles nothing.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub built: Option<PathBuf>,
}

/// What is asked about dead letters.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// Lists them, with the reason of each.
    List {
        /// Only those of one queue: plan-shard, send-email, send-sms, record-delivery, or of a stack calls.
        #[arg(long)]
        queue: Option<Lane>,
        /// Prints one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Shows one of them, and no personal data, as a JSON object.
    Inspect {
        /// Its id.
        id: String,
    },
    /// Sends one of them, or all, back into their queues. What came from no queue stays.
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
        /// Why; a folder keeps it, a stack does not. It must name no person.
        #[arg(long)]
        reason: String,
    },
}

/// Where letters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A queue.
    Queue(QueueName),
    /// Calls of a stack that no queue stands before: of schedules, of uploads, of replies, of the log group of SMS.
    Calls,
}

impl Lane {
    /// The name as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue(queue) => queue.as_str(),
            Self::Calls => "calls",
        }
    }
}

impl FromStr for Lane {
    type Err = UnknownQueue;

    fn from_str(text: &str) -> Result<Self, UnknownQueue> {
        if text == Self::Calls.as_str() { Ok(Self::Calls) } else { text.parse().map(Self::Queue) }
    }
}

/// Where the letters lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder of this machine.
    Folder(PathBuf),
    /// With a stack.
    Stack(StackPlace),
}

/// A stack, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackPlace {
    /// Its name.
    pub stack: String,
    /// Its region.
    pub region: String,
    /// Where an emulator has it; `None` is AWS.
    pub emulator: Option<String>,
}

/// Options that name no place, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongPlace(&'static str);

impl fmt::Display for WrongPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl DlqArguments {
    /// Which place is meant.
    ///
    /// # Errors
    /// [`WrongPlace`] where the options name none, or two.
    pub fn place(&self) -> Result<Place, WrongPlace> {
        let Self { out, stack, region, emulator, built, .. } = self;
        match (stack, region) {
            (Some(_), _) if out.is_some() => {
                Err(WrongPlace("--out names a folder and --stack a stack; expected one of them"))
            }
            (Some(stack), Some(region)) => Ok(Place::Stack(StackPlace {
                stack: stack.clone(),
                region: region.clone(),
                emulator: emulator.clone(),
            })),
            (Some(_), None) => Err(WrongPlace("--stack was given without --region; expected both")),
            (None, _) if region.is_some() || emulator.is_some() || built.is_some() => {
                Err(WrongPlace("--region, --emulator and --built are about a stack; expected --stack, too"))
            }
            (None, _) => Ok(Place::Folder(out.clone().unwrap_or_else(|| PathBuf::from(FOLDER)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        dlq: DlqArguments,
    }

    fn place(words: &str) -> Result<Place, String> {
        let program = Program::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
        program.dlq.place().map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn a_folder_or_a_stack_is_meant_and_never_both() {
        let stack = |emulator: Option<&str>| {
            let (stack, region) = ("p".to_owned(), "us-east-1".to_owned());
            Ok(Place::Stack(StackPlace { stack, region, emulator: emulator.map(str::to_owned) }))
        };
        assert_eq!(place("dlq list"), Ok(Place::Folder("puntual-demo".into())));
        assert_eq!(place("dlq --out d list"), Ok(Place::Folder("d".into())));
        assert_eq!(place("dlq redrive --all --stack p --region us-east-1"), stack(None));
        assert_eq!(place("dlq --stack p list --region us-east-1 --emulator e"), stack(Some("e")));
        for (words, expected) in [
            ("dlq list --stack p", "--region"),
            ("dlq list --region us-east-1", "--stack"),
            ("dlq list --emulator e --out d", "--stack"),
            ("dlq --out d list --stack p --region us-east-1", "one of them"),
            ("dlq list --queue send-fax", "expected plan-shard"),
        ] {
            let refused = place(words).unwrap_err();
            assert!(refused.contains(expected), "{words}: {refused}");
        }
    }

    #[test]
    fn every_lane_is_read_as_it_is_written() {
        for lane in QueueName::ALL.map(Lane::Queue).into_iter().chain([Lane::Calls]) {
            assert_eq!(lane.as_str().parse(), Ok(lane));
        }
    }
}
