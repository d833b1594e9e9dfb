//! `cargo puntual import`: a lender's file into the local database, or only a look at what is in it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use chrono::NaiveDate;
use clap::Args;
use domain::csv_text::neutralise_csv;
use domain::import::mapping::Mapping;
use domain::import::record::Record;
use domain::import::row_error::RowError;
use domain::jurisdiction::TenantJurisdictions;
use domain::tenant::Tenant;
use domain::zone::zone_for;
use import_accounts::import::{ImportJob, import_file, import_key};
use import_accounts::{ReadOptions, RowOutcome, read_records};
use store::{ImportCounts, Scope, Store};

use crate::ledger::{self, Source};
use crate::replay::checkpoint::refuse_folder;
use crate::{clock, demo, folder, progress};

/// The exit code of an import that refused rows.
const SOME_ROWS_BAD: u8 = 2;

/// Imports a lender's file, or only checks it.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file: CSV or XLSX.
    #[arg(long)]
    file: PathBuf,
    /// The mapping that says what its columns are.
    #[arg(long)]
    mapping: PathBuf,
    /// Lists what would be imported, and every bad row, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Moves every date of the file by so many days.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    shift_days: i64,
    /// The folder of the database.
    #[arg(long, visible_alias = "folder", default_value = "puntual-demo")]
    out: PathBuf,
    /// The number of the source; a file with a lower one never overwrites a later one. The present second, where it is
    /// not said.
    #[arg(long)]
    sequence: Option<u64>,
    /// The day whose truth the file tells; today where it is not said.
    #[arg(long)]
    as_of: Option<NaiveDate>,
    /// Prints the figures as one JSON object, bad rows included.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn import(arguments: ImportArguments) -> anyhow::Result<ExitCode> {
    let (text, mapping) = ledger::mapping(&arguments.mapping)?;
    if arguments.dry_run {
        dry_run(&arguments, &mapping)
    } else {
        store_file(&arguments, &text, mapping).await
    }
}

/// What a file holds, for a person or a program.
#[derive(Debug, Default, serde::Serialize)]
struct Listing {
    /// The same bytes were imported before: nothing was read, so the figures are those of no rows.
    already_imported: bool,
    rows: u64,
    records: u64,
    bad: u64,
    repeated: u64,
    blank: u64,
    /// Good rows with a column that is named like a role and that the mapping does not read; counted in a dry run.
    roles_unread: u64,
    /// Good rows of customers of whom nobody knows by which clock they live; counted in a dry run.
    zones_unknown: u64,
    customers: usize,
    /// What became of the good rows; nothing in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<ImportCounts>,
    /// The first [`BAD_ROWS_KEPT_MAX`] of what is wrong.
    bad_rows: Vec<RowError>,
}

/// The most problems that a JSON listing holds, so that memory stays small whatever the file is; all are counted.
const BAD_ROWS_KEPT_MAX: usize = 10_000;

impl Listing {
    /// Takes a problem: a person sees it at once, a program gets it with the figures.
    fn note(&mut self, error: &RowError, json: bool) {
        if !json {
            let column = error.column.as_ref().map_or(String::new(), |c| format!(", column {c:?}"));
            let RowError { line, problem, expected, .. } = error;
            tell!("line {line}{column}: {problem} [{}]; expected {expected}", error.code.as_str());
        } else if self.bad_rows.len() < BAD_ROWS_KEPT_MAX {
            self.bad_rows.push(error.clone());
        }
    }
}

fn dry_run(arguments: &ImportArguments, mapping: &Mapping) -> anyhow::Result<ExitCode> {
    let source = Source::open(&arguments.file)?;
    let mut out = std::io::BufWriter::new(crate::output::stdout());
    let mut listing = Listing::default();
    let profiles = profiles()?;
    // Eight bytes a row, so that a file of a million rows stays small; sorted and counted at the end.
    let mut customers: Vec<u64> = Vec::new();
    if !arguments.json {
        writeln!(
            out,
            "line,kind,customer,obligation,due_on,amount_minor,currency,known_on,closed_on,disputed_from"
        )?;
    }
    let options = ReadOptions { shift_days: arguments.shift_days };
    let json = arguments.json;
    let summary = read_records(source.file, mapping, options, &mut |outcome| {
        match outcome {
            RowOutcome::Record(record) => {
                customers.push(customer_hash(&record));
                listing.zones_unknown += u64::from(has_no_zone(&record, &profiles));
                if !json {
                    writeln!(out, "{}", record_line(&record))?;
                }
            }
            RowOutcome::Bad(errors) => errors.iter().for_each(|error| listing.note(error, json)),
        }
        Ok(())
    });
    out.flush()?;
    drop(out);
    let summary = summary.with_context(|| format!("{}", arguments.file.display()))?;
    customers.sort_unstable();
    customers.dedup();
    listing.customers = customers.len();
    (listing.rows, listing.records) = (summary.rows, summary.records);
    (listing.bad, listing.repeated, listing.blank) = (summary.bad, summary.repeated, summary.blank);
    listing.roles_unread = summary.roles_unread;
    print_listing(&listing, arguments.json)
}

/// The profiles that protect the customers of the demo tenant.
fn profiles() -> anyhow::Result<TenantJurisdictions> {
    let tenant: Tenant = toml::from_str(demo::TENANT).context("the demo's tenant")?;
    let today = clock::now().with_timezone(&tenant.time_zone).date_naive();
    TenantJurisdictions::new(&tenant, today).context("the demo's contact rules")
}

/// Whether nothing would be sent to the customer of a row, because nobody knows by which clock it lives.
fn has_no_zone(record: &Record, profiles: &TenantJurisdictions) -> bool {
    let Record::Account(row) = record else { return false };
    profiles.for_country(row.customer.country).is_ok_and(|profile| zone_for(&row.customer, profile).is_none())
}

/// Enough of a customer to count it.
fn customer_hash(record: &Record) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    match record {
        Record::Account(row) => row.customer.id.hash(&mut hasher),
        Record::Payment(row) => row.customer.hash(&mut hasher),
    }
    hasher.finish()
}

fn record_line(record: &Record) -> String {
    let day = |on: Option<NaiveDate>| on.map_or(String::new(), |on| on.to_string());
    let cells = match record {
        Record::Account(row) => [
            row.line.to_string(),
            "obligation".to_owned(),
            row.customer.id.to_string(),
            row.obligation.id.to_string(),
            row.obligation.due_on.to_string(),
            row.obligation.amount.amount_minor.to_string(),
            row.obligation.amount.currency.to_string(),
            day(row.known_on),
            day(row.closed_on),
            day(row.dispute.as_ref().map(|d| d.from_on)),
        ],
        Record::Payment(row) => [
            row.line.to_string(),
            "payment".to_owned(),
            row.customer.to_string(),
            row.obligation.to_string(),
            String::new(),
            row.amount_minor.to_string(),
            String::new(),
            String::new(),
            row.paid_on.to_string(),
            String::new(),
        ],
    };
    csv_line(&cells)
}

/// A line of CSV that no spreadsheet takes for a formula.
fn csv_line(cells: &[String]) -> String {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    // Writing to memory does not fail, and a line of text is UTF-8 again.
    let written = writer.write_record(cells.iter().map(|c| neutralise_csv(c).into_owned()));
    let bytes = written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

async fn store_file(
    arguments: &ImportArguments,
    mapping_text: &str,
    mapping: std::sync::Arc<Mapping>,
) -> anyhow::Result<ExitCode> {
    let out = &arguments.out;
    std::fs::create_dir_all(out).with_context(|| format!("the folder {} cannot be made", out.display()))?;
    let _lock = folder::lock(out)?;
    refuse_folder(out)?;
    let tenant: Tenant = toml::from_str(demo::TENANT).context("the demo's tenant")?;
    let store = Store::file(&out.join("puntual.sqlite"))?;
    store.create_tables().await?;
    let now = clock::now();
    let source = Source::open(&arguments.file)?;
    let as_of = arguments.as_of.unwrap_or_else(|| now.with_timezone(&tenant.time_zone).date_naive());
    let options = ReadOptions { shift_days: arguments.shift_days };
    let job = ImportJob {
        scope: Scope::new(tenant.id.clone(), tenant.shards),
        sequence: arguments.sequence.unwrap_or_else(|| u64::try_from(now.timestamp()).unwrap_or_default()),
        as_of,
        key: import_key(&source.sha256, mapping_text, as_of, options),
        options,
    };
    let bar = progress::spinner("importing", arguments.json);
    let mut listing = Listing::default();
    let imported = import_file(
        &store,
        &job,
        mapping,
        source.file,
        |error| listing.note(error, arguments.json),
        |rows| bar.inc(rows),
    )
    .await;
    bar.finish_and_clear();
    let report = imported.with_context(|| format!("{}", arguments.file.display()))?;
    if report.already_imported {
        tell!("this file was imported before; nothing changed");
        if !arguments.json {
            return Ok(ExitCode::SUCCESS);
        }
    }
    listing.already_imported = report.already_imported;
    listing.rows = report.rows;
    listing.records = report.rows - report.bad - report.repeated;
    (listing.bad, listing.repeated) = (report.bad, report.repeated);
    listing.customers = usize::try_from(report.counts.customers_new).unwrap_or(usize::MAX);
    listing.stored = Some(report.counts);
    print_listing(&listing, arguments.json)
}

fn print_listing(listing: &Listing, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        say!("{}", serde_json::to_string_pretty(listing)?);
    } else {
        let Listing { rows, records, bad, repeated, blank, customers, .. } = listing;
        tell!(
            "{rows} rows: {records} good of {customers} customers, {bad} bad, {repeated} repeated, {blank} blank"
        );
    }
    if listing.roles_unread > 0 && !json {
        tell!(
            "warning: {} rows have a column that looks like the role of the person, and the mapping has no customer.role: \
             all of them count as debtors, references too",
            listing.roles_unread
        );
    }
    if listing.zones_unknown > 0 && !json {
        tell!(
            "warning: {} rows are of customers of whom nobody knows by which clock they live, because their country has several \
             and the row names no time zone: nothing is sent to them (no_time_zone); map customer.time_zone",
            listing.zones_unknown
        );
    }
    if let Some(counts) = listing.stored.filter(|_| !json) {
        let changed = counts.obligations_changed + counts.customers_changed + counts.payments_changed;
        tell!(
            "stored: {} new customers, {} new obligations, {} new payments, {changed} changed; {} unchanged, {} older than \
             what is stored, {} not known yet on the day, {} of erased customers rejected",
            counts.customers_new,
            counts.obligations_new,
            counts.payments_new,
            counts.unchanged,
            counts.older_rejected,
            counts.not_yet_known,
            counts.erased_rejected,
        );
    }
    if listing.rows == 0 && !listing.already_imported {
        bail!("the file has a header and no rows");
    }
    Ok(if listing.bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(SOME_ROWS_BAD) })
}
