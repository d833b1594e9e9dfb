//! `puntual`: the local stack, one-shot runs, replays and checks.
//!
//! Invariant: this is the one place that reads the clock, the arguments and the disk; everything below gets values.

#[macro_use]
mod output;

mod cases;
mod clock;
mod command;
mod decisions;
mod demo;
mod folder;
mod ledger;
mod moment;
mod policy_check;
mod product;
mod progress;
mod replay;
mod report;
mod stack;

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit code of arguments that cannot be understood, as in sysexits.h.
const WRONG_USAGE: u8 = 64;

/// Lawful payment reminders, on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo puntual", bin_name = "cargo puntual", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the whole product on this machine, or moves the clock of one that runs.
    Up(command::up::UpArguments),
    /// Makes a demo portfolio, imports it, scans for today, and sends to an outbox on this machine.
    Run(command::run::RunArguments),
    /// Replays real history day by day under a virtual clock.
    Replay(command::replay::ReplayArguments),
    /// Imports a lender's file, or only checks it.
    Import(command::import::ImportArguments),
    /// Writes everything that was decided, sent, received and consented for one customer.
    Evidence(command::evidence::EvidenceArguments),
    /// Checks an evidence file, without access to the database, and names the first broken link.
    Verify(command::verify::VerifyArguments),
    /// Says whether a contact may be made at a moment, by which article, and when it may next.
    CheckContact(command::check_contact::CheckContactArguments),
    /// Records contacts that others made, so that they count against the caps.
    Contact(command::contact::ContactArguments),
    /// Records what a customer chooses about being contacted, by word or by the link of a message.
    Choice(command::choice::ChoiceArguments),
    /// Erases the personal data of one customer, and keeps the proof of what was decided.
    Erase(command::erase::EraseArguments),
    /// Erases the personal data of customers whose time of retention is over.
    Retain(command::retain::RetainArguments),
    /// Shows the messages of which nobody knows whether they went out, and records what a person found out.
    Unknown(command::unknown::UnknownArguments),
    /// Shows the messages that no function could handle, sends them back or throws them away.
    Dlq(dead_letters::DlqArguments),
    /// Says whether a policy may be used in a jurisdiction, and what speaks against it.
    CheckPolicy(command::check_policy::CheckPolicyArguments),
    /// Counts the parts of a text message.
    Sms(command::sms::SmsArguments),
    /// Reads a telephone number as an import would.
    Phone(command::phone::PhoneArguments),
    /// Runs whole worlds from seeds, with crashes and lost answers, and checks each against a model.
    Simulate(command::simulate::SimulateArguments),
    /// Puts Puntual into an AWS account: builds, shows what will change, asks, and changes it.
    Deploy(command::deploy::DeployArguments),
    /// Removes Puntual from an AWS account. Data stays unless it is told otherwise.
    Destroy(command::deploy::DeployArguments),
    /// Runs every check: format, lints, tests, the build for the browser.
    Test(command::test::TestArguments),
    /// Runs the benchmarks.
    Bench(command::bench::BenchArguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(problem) => return usage(&problem),
    };
    start_log();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(carry_out(arguments.command)));
    match done {
        Ok(_) if output::is_incomplete() => {
            tell!("error: standard output could not be written in full; expected room for it");
            ExitCode::FAILURE
        }
        Ok(code) => code,
        Err(error) => {
            tell!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Help and version are answers; anything else is wrong usage, which has an exit code of its own, so that a script can
/// tell it from a file with bad rows.
fn usage(problem: &clap::Error) -> ExitCode {
    let is_unsaid = problem.print().is_err_and(|error| error.kind() != ErrorKind::BrokenPipe);
    if is_unsaid || problem.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS }
}

async fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => command::up::up(arguments).await,
        Command::Run(arguments) => command::run::run(arguments).await,
        Command::Replay(arguments) => command::replay::replay(arguments).await,
        Command::Import(arguments) => command::import::import(arguments).await,
        Command::Evidence(arguments) => command::evidence::evidence(arguments).await,
        Command::Verify(arguments) => command::verify::verify_file(&arguments),
        Command::CheckContact(arguments) => command::check_contact::check_contact(arguments),
        Command::Contact(arguments) => command::contact::contact(arguments).await,
        Command::Choice(arguments) => command::choice::choice(arguments).await,
        Command::Erase(arguments) => command::erase::erase(arguments).await,
        Command::Retain(arguments) => command::retain::retain(arguments).await,
        Command::Unknown(arguments) => command::unknown::unknown(arguments).await,
        Command::Dlq(arguments) => command::dlq::dlq(arguments).await,
        Command::CheckPolicy(arguments) => command::check_policy::check_policy(&arguments),
        Command::Sms(arguments) => command::sms::sms(arguments),
        Command::Phone(arguments) => command::phone::phone(arguments),
        Command::Simulate(arguments) => command::simulate::simulate(&arguments),
        Command::Deploy(arguments) => command::deploy::deploy("deploy", &arguments),
        Command::Destroy(arguments) => command::deploy::deploy("destroy", &arguments),
        Command::Test(arguments) => command::test::test(&arguments),
        Command::Bench(arguments) => command::bench::bench(&arguments),
    }
}

/// Warnings go to standard error; `PUNTUAL_LOG` asks for more.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
        .with_env_var("PUNTUAL_LOG")
        .from_env_lossy();
    // What cannot be logged is not worth a panic: `2>&1 | head` closes standard error, too.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    log.with_env_filter(filter).with_writer(std::io::stderr).init();
}
