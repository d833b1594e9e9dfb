//! `cargo puntual phone`: whether a telephone number can be one, its E.164 form and its type.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use domain::csv_text::neutralise_csv;
use domain::locale::Country;
use domain::phone::parse;
use serde::Deserialize;

/// Reads a telephone number as an import would.
#[derive(Debug, Args)]
pub(crate) struct PhoneArguments {
    /// The country of numbers without a calling code, such as CO.
    #[arg(long, required_unless_present = "vectors")]
    region: Option<String>,
    /// The number.
    #[arg(long, required_unless_present = "vectors", allow_hyphen_values = true)]
    number: Option<String>,
    /// A CSV file of numbers: default_region, input; other columns are ignored.
    #[arg(long, conflicts_with_all = ["region", "number"])]
    vectors: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Case {
    default_region: String,
    input: String,
}

pub(crate) fn phone(arguments: PhoneArguments) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.vectors {
        let mut reader = csv::Reader::from_path(path)
            .with_context(|| format!("the file {} cannot be read", path.display()))?;
        let mut writer = csv::Writer::from_writer(crate::output::stdout());
        writer.write_record(["input", "valid", "e164", "type"])?;
        for case in reader.deserialize::<Case>() {
            let case = case.with_context(|| format!("{}", path.display()))?;
            let region = Country::new(&case.default_region).context("default_region")?;
            let row = match parse(region, &case.input) {
                Ok(phone) => {
                    [echo(&case.input), "true".into(), phone.e164.reveal().into(), phone.kind.to_string()]
                }
                Err(_) => [echo(&case.input), "false".into(), String::new(), "unknown".into()],
            };
            writer.write_record(row)?;
        }
        writer.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let region = Country::new(&arguments.region.unwrap_or_default()).context("--region")?;
    match parse(region, &arguments.number.unwrap_or_default()) {
        Ok(phone) => {
            say!("valid, {}, {}", phone.e164.reveal(), phone.kind);
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            say!("not valid: the number {problem}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The input as it was, unless a spreadsheet could take it for a formula: what has neither letters nor operators but
/// those of written numbers calls nothing.
fn echo(input: &str) -> String {
    let is_number = input.chars().all(|c| c.is_ascii_digit() || " +-().,/".contains(c));
    if is_number { input.to_owned() } else { neutralise_csv(input).into_owned() }
}
