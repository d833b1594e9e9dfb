//! `cargo puntual phone`: whether a telephone number can be one, its E.164 form and its type.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use domain::csv_text::neutralise_csv;
use domain::locale::Country;
use domain::phone::parse;

use crate::cases::{Case, Cases, UnreadableRow};

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

pub(crate) fn phone(arguments: PhoneArguments) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.vectors {
        return read_file(path);
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

/// Reads every number of a file. A row that cannot be read, or names no country, is an error in its line, and costs no
/// other.
fn read_file(path: &Path) -> anyhow::Result<ExitCode> {
    let place = || format!("{}", path.display());
    let mut cases = Cases::open(path, ["default_region", "input"])?;
    let mut writer = csv::Writer::from_writer(crate::output::stdout());
    writer.write_record(["input", "valid", "e164", "type"])?;
    let mut bad = 0_usize;
    while let Some(Case { line, fields }) = cases.next().with_context(place)? {
        let (input, region) = match fields {
            Ok([region, input]) => (input, Country::new(&region).context("default_region")),
            Err(UnreadableRow { there: [_, input], problem }) => (input, Err(anyhow::Error::msg(problem))),
        };
        let row = match region.map(|region| parse(region, &input)) {
            Ok(Ok(phone)) => {
                [echo(&input), "true".into(), phone.e164.reveal().into(), phone.kind.to_string()]
            }
            Ok(Err(_)) => [echo(&input), "false".into(), String::new(), "unknown".into()],
            Err(problem) => {
                bad += 1;
                // A number is nobody else's business, so the line alone says which row it is.
                tell!("line {line}: {problem:#}");
                [echo(&input), "false".into(), String::new(), "error".into()]
            }
        };
        writer.write_record(row)?;
    }
    writer.flush()?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The input as it was, unless a spreadsheet could take it for a formula: what has neither letters nor operators but
/// those of written numbers calls nothing.
fn echo(input: &str) -> String {
    let is_number = input.chars().all(|c| c.is_ascii_digit() || " +-().,/".contains(c));
    if is_number { input.to_owned() } else { neutralise_csv(input).into_owned() }
}
