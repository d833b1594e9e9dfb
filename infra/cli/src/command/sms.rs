//! `cargo puntual sms`: how many parts a text message takes, and in which encoding.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use domain::csv_text::neutralise_csv;
use domain::sms::{measure, transliterate, unescape};
use serde::Deserialize;

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

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    text_unicode_escape: String,
}

pub(crate) fn sms(arguments: SmsArguments) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.vectors {
        let mut reader = csv::Reader::from_path(path)
            .with_context(|| format!("the file {} cannot be read", path.display()))?;
        let mut writer = csv::Writer::from_writer(crate::output::stdout());
        writer.write_record(["name", "encoding", "units", "segments"])?;
        for case in reader.deserialize::<Case>() {
            let case = case.with_context(|| format!("{}", path.display()))?;
            let text =
                unescape(&case.text_unicode_escape).with_context(|| format!("text {:?}", case.name))?;
            let size = measure(&text);
            let (units, parts) = (size.units.to_string(), size.parts.to_string());
            writer.write_record([
                &*neutralise_csv(&case.name),
                &size.encoding.to_string(),
                &units,
                &parts,
            ])?;
        }
        writer.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = arguments.text.unwrap_or_default();
    let text = if arguments.transliterate { transliterate(&text).into_owned() } else { text };
    let size = measure(&text);
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    say!("{}, {}, {}", size.encoding, counted(size.units, "unit"), counted(size.parts, "part"));
    Ok(ExitCode::SUCCESS)
}
