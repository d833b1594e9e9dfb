//! `destroy`: the stack is removed, the data only where the person asks for that, too.
//!
//! Invariant: two answers stand before the removal, and what stays is named. What holds data goes last, so that a removal
//! that stops halfway lost nothing that was to stay.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::change_set;
use crate::cloud::{Cloud, Place, because};
use crate::leftover::{self, Leftover};
use crate::{bucket, emulator, follow, kept, question};

/// Removes Puntual from an account.
#[derive(Debug, Args)]
pub(crate) struct DestroyArguments {
    /// The name of the stack.
    #[arg(long)]
    stack: String,
    /// The region it is in.
    #[arg(long)]
    region: String,
    /// Also removes the tables, files and users that a stack leaves behind. They cannot be had back.
    #[arg(long)]
    delete_data: bool,
    /// The name of the stack once more, instead of the two questions.
    #[arg(long, value_name = "STACK")]
    confirm: Option<String>,
    /// Takes this program from a folder in which it lies already, and compiles nothing.
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,
    /// Where an emulator listens, such as http://127.0.0.1:4566.
    #[arg(long, value_name = "URL", value_parser = emulator::address)]
    emulator: Option<String>,
}

pub(crate) async fn destroy(arguments: &DestroyArguments) -> anyhow::Result<ExitCode> {
    let stack = arguments.stack.as_str();
    let place = Place { region: arguments.region.clone(), emulator: arguments.emulator.clone() };
    let cloud = Cloud::reach(&place).await?;
    let stands = change_set::find(&cloud, stack).await?.is_some();
    let leftovers = match (stands, arguments.delete_data) {
        (true, _) => leftover::of_stack(&cloud, stack).await?,
        (false, true) => kept::leftovers(&cloud, stack).await?,
        (false, false) => Vec::new(),
    };
    if !stands && leftovers.is_empty() {
        bail!("account {} has no stack {stack} in region {}", cloud.account, cloud.region);
    }
    if !agreed(arguments, &cloud)? {
        eprintln!("nothing was removed");
        return Ok(ExitCode::SUCCESS);
    }
    if stands {
        bucket::empty_those_of(&cloud, stack).await?;
        let before = follow::before(&cloud, stack).await?;
        let request = cloud.cloudformation.delete_stack().stack_name(stack);
        request.send().await.map_err(|e| because(&format!("stack {stack} could not be removed"), &e))?;
        follow::to_the_end(&cloud, stack, 0, before).await?;
        eprintln!("stack {stack} is removed");
    }
    let stays = if arguments.delete_data { removed(&cloud, leftovers).await? } else { leftovers };
    if !stays.is_empty() {
        eprintln!("These stay, and what they hold is paid for as long as they do:");
        for leftover in &stays {
            eprintln!("  {:<28} {}", leftover.kind, leftover.id);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn agreed(arguments: &DestroyArguments, cloud: &Cloud) -> anyhow::Result<bool> {
    let stack = arguments.stack.as_str();
    if let Some(confirmed) = &arguments.confirm {
        if confirmed != stack {
            bail!("--confirm says {confirmed} and --stack says {stack}; expected the same name twice");
        }
        return Ok(true);
    }
    let data = if arguments.delete_data { "its tables, files and users included" } else { "its data stays" };
    let question = format!("Remove stack {stack} of account {}, {data}? [y/N]", cloud.account);
    if !question::agreed(&question, "--confirm STACK")? {
        return Ok(false);
    }
    question::typed("Type the name of the stack to remove it:", stack, "--confirm STACK")
}

/// Removes what the person asked to be removed; gives what stays.
async fn removed(cloud: &Cloud, leftovers: Vec<Leftover>) -> anyhow::Result<Vec<Leftover>> {
    let mut stays = Vec::new();
    for leftover in leftovers {
        if leftover::remove(cloud, &leftover).await? {
            eprintln!("removed {:<28} {}", leftover.kind, leftover.id);
        } else {
            stays.push(leftover);
        }
    }
    Ok(stays)
}
