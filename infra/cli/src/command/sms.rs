//! `cargo puntual sms`: how many parts a text message takes, and in which encoding.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use domain::csv_text::neutralise_csv_id;
use domain::sms::{measure, transliterate, unescape};

use crate::cases::{Case, Cases, UnreadableRow};

/// Counts the parts of a text message.
#[derive(Debug, Args)]
pub(crate) struct SmsArguments {
    /// The text.
    #[arg(long, required_unless_present = "vectors")]
    text: Option<String>,
    /// Replaces what GSM-7 has not by its nearest form first.
    #[arg(long)]
    transliterate: bool,
    /// A CSV file of texts: name, text_unicode_escape; other columns are ignored.
    #[arg(long, conflicts_with_all = ["text", "transliterate"])]
    vectors: Option<PathBuf>,
}

pub(crate) fn sms(arguments: SmsArguments) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.vectors {
        return measure_file(path);
    }
    let text = arguments.text.unwrap_or_default();
    let text = if arguments.transliterate { transliterate(&text).into_owned() } else { text };
    let size = measure(&text);
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    say!("{}, {}, {}", size.encoding, counted(size.units, "unit"), counted(size.parts, "part"));
    Ok(ExitCode::SUCCESS)
}

/// Counts every text of a file. A row that cannot be read is an error in its line, and costs no other.
fn measure_file(path: &Path) -> anyhow::Result<ExitCode> {
    let place = || format!("{}", path.display());
    let mut cases = Cases::open(path, ["name", "text_unicode_escape"])?;
    let mut writer = csv::Writer::from_writer(crate::output::stdout());
    writer.write_record(["name", "encoding", "units", "segments"])?;
    let mut bad = 0_usize;
    while let Some(Case { line, fields }) = cases.next().with_context(place)? {
        let (name, text) = match fields {
            Ok([name, text]) => (name, unescape(&text).map_err(anyhow::Error::from)),
            Err(UnreadableRow { there: [name, _], problem }) => (name, Err(anyhow::Error::msg(problem))),
        };
        let written = neutralise_csv_id(&name);
        match text {
            Ok(text) => {
                let size = measure(&text);
                let (units, parts) = (size.units.to_string(), size.parts.to_string());
                writer.write_record([&*written, &size.encoding.to_string(), &units, &parts])?;
            }
            Err(problem) => {
                bad += 1;
                tell!("line {line}, name {name:?}: {problem:#}");
                writer.write_record([&*written, "error", "", ""])?;
            }
        }
    }
    writer.flush()?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
