//! `puntual-deploy`: puts Puntual into an AWS account, takes it out again, and looks after its dead letters. The command line starts it.
//!
//! Invariant: it is the only package that links the clients for deploying, so no local command waits for them. Nothing is
//! changed before its changes were shown.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

mod afterwards;
mod archive;
mod bucket;
mod change;
mod change_set;
mod cloud;
mod console;
mod deployment;
mod dlq;
mod emulator;
mod failure;
mod follow;
mod function;
mod kept;
mod leftover;
mod parameters;
mod people;
mod question;
mod removal;
mod sms;
mod stack;
mod tool;
mod upload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit code of arguments that cannot be understood, as in sysexits.h.
const WRONG_USAGE: u8 = 64;

/// Puntual in an AWS account.
#[derive(Debug, Parser)]
#[command(name = "cargo puntual", bin_name = "cargo puntual", version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the functions, shows what will change in the account, asks, and changes it.
    Deploy(deployment::DeployArguments),
    /// Removes the stack. Data stays unless it is told otherwise.
    Destroy(removal::DestroyArguments),
    /// Shows the messages of a stack that no function could handle, sends them back or throws them away.
    Dlq(dead_letters::DlqArguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(problem) => {
            let said = problem.print().is_ok();
            let wrong = problem.use_stderr() || !said;
            return if wrong { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(carry_out(arguments.command)));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Deploy(arguments) => deployment::deploy(&arguments).await,
        Command::Destroy(arguments) => removal::destroy(&arguments).await,
        Command::Dlq(arguments) => dlq::dlq(arguments).await,
    }
}
