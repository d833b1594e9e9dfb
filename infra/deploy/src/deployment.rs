//! `deploy`: from the sources to a stack that works.
//!
//! Invariant: every step can be done again, so an interrupted deployment is mended by the same command, and the account
//! is asked before anything is compiled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use aws_sdk_cloudformation::types::Stack;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::archive::{self, Archive};
use crate::change::{listed, losing};
use crate::change_set::{self, Wanted};
use crate::cloud::{Cloud, Place, because};
use crate::emulator::{self, Emulator, Start};
use crate::follow::{self, Before};
use crate::function::{Architecture, Compiler, code_parameter};
use crate::parameters::{self, Sources};
use crate::sms::Logs;
use crate::stack::{NextStep, next_step};
use crate::tool::CargoLambda;
use crate::{afterwards, kept, leftover, people, question, sms, upload};

/// How often one command tries to bring a stack into a state that can be changed.
const ROUNDS_MAX: u32 = 4;
/// CloudFormation's limit for a template that lies in a bucket.
const TEMPLATE_BYTES_MAX: usize = 1_000_000;
/// How much of the template's hash names a change set.
const HASH_CHARS: usize = 16;
/// The word of `--emulator` without an address.
const STARTED_HERE: &str = "started here";

/// Puts Puntual into an account.
#[derive(Debug, Args)]
pub(crate) struct DeployArguments {
    /// The name of the stack, and the beginning of the names of all it makes.
    #[arg(long, default_value = "puntual", value_parser = stack_name)]
    stack: String,
    /// The region, such as us-east-1 or sa-east-1.
    #[arg(long)]
    region: String,
    /// Who becomes the first administrator and gets the alarms.
    #[arg(long, value_parser = mailbox)]
    admin_email: String,
    /// A parameter of the template, as Name=Value; may be given several times. What is not given stays as it is.
    #[arg(long = "parameter", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Builds for x86-64 instead of arm64.
    #[arg(long = "x86-64")]
    x86_64: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// Only shows what would change.
    #[arg(long)]
    plan: bool,
    /// Makes a new stack although an earlier one of this name left its tables. They stay, and are not used.
    #[arg(long)]
    begin_anew: bool,
    /// Deploys to an emulator on this machine, which runs until this command is ended; with an address, to one that runs.
    #[arg(
        long,
        value_name = "URL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = STARTED_HERE,
        value_parser = emulator_word
    )]
    emulator: Option<String>,
    /// Takes this program and the functions from a folder in which they lie already, and compiles nothing. Only for an
    /// emulator: what Lambda runs is compiled for it.
    #[arg(long, value_name = "FOLDER", requires = "emulator")]
    built: Option<PathBuf>,
    /// The port of the emulator; a free one unless it is said.
    #[arg(long, requires = "emulator")]
    port: Option<u16>,
    /// Lets the emulator refuse what a role does not allow.
    #[arg(long, requires = "emulator")]
    enforce_roles: bool,
}

/// What a deployment works with.
struct Work<'a> {
    arguments: &'a DeployArguments,
    root: PathBuf,
    cloud: Cloud,
    compiler: Compiler,
}

pub(crate) async fn deploy(arguments: &DeployArguments) -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root
        .canonicalize()
        .context("the workspace is not where this program was built; expected a checkout")?;
    // From here on an emulator that was started ends with this program, however it is told to end.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        done = deploy_from(arguments, &root) => done,
        _ = interrupted.recv() => Ok(ended(arguments)),
        _ = terminated.recv() => Ok(ended(arguments)),
    }
}

/// What an end by a signal is to whoever asked for it. An emulator is ended in no other way; a stack of AWS goes on with
/// what it was told, and the same command follows it again.
fn ended(arguments: &DeployArguments) -> ExitCode {
    if arguments.emulator.is_some() {
        return ExitCode::SUCCESS;
    }
    eprintln!("ended; what was begun is gone on with by the same command");
    ExitCode::FAILURE
}

async fn deploy_from(arguments: &DeployArguments, root: &Path) -> anyhow::Result<ExitCode> {
    let started = match arguments.emulator.as_deref() {
        Some(STARTED_HERE) => {
            let start = Start {
                region: &arguments.region,
                port: arguments.port,
                enforces_roles: arguments.enforce_roles,
            };
            Some(Emulator::start(root, &start).await?)
        }
        Some(_) | None => None,
    };
    let running = started.as_ref().map(|emulator| emulator.endpoint.clone());
    let place =
        Place { region: arguments.region.clone(), emulator: running.or_else(|| arguments.emulator.clone()) };
    let cloud = Cloud::reach(&place).await?;
    let compiler = if let Some(folder) = &arguments.built {
        Compiler::Done(folder.clone())
    } else if place.emulator.is_some() {
        Compiler::ForThisMachine
    } else {
        let architecture = if arguments.x86_64 { Architecture::X86_64 } else { Architecture::Arm64 };
        Compiler::ForLambda(CargoLambda::find(root)?, architecture)
    };
    eprintln!("account {}, region {}, stack {}", cloud.account, cloud.region, arguments.stack);
    let work = Work { arguments, root: root.to_owned(), cloud, compiler };
    let code = work.carry_out().await?;
    if let Some(emulator) = started {
        eprintln!("the emulator answers at {}; Ctrl-C ends it", emulator.endpoint);
        std::future::pending::<()>().await;
    }
    Ok(code)
}

impl Work<'_> {
    async fn carry_out(&self) -> anyhow::Result<ExitCode> {
        let stack = &self.arguments.stack;
        let found = self.made_ready().await?;
        if found.is_none() && !self.arguments.begin_anew {
            let tables = kept::tables_with_items(&self.cloud, stack).await?;
            if !tables.is_empty() {
                bail!("{}", kept::objection(stack, &tables));
            }
        }
        let code = self.compiler.archives(&self.root).await?;
        let template = self.template()?;
        let bucket = upload::bucket(&self.cloud).await?;
        let mut new = 0;
        for archive in code.iter().map(|(_, archive)| archive).chain([&template]) {
            new += u32::from(upload::upload(&self.cloud, &bucket, archive).await?);
        }
        eprintln!("{} files of code, {new} of them new", code.len() + 1);
        let template_url = match &self.cloud.emulator {
            Some(endpoint) => format!("{endpoint}/{bucket}/{}", template.key),
            None => format!("https://{bucket}.s3.{}.amazonaws.com/{}", self.cloud.region, template.key),
        };
        let names = change_set::parameters_of(&self.cloud, &template_url).await?;
        let (parameters, logs) = self.parameters(&names, found.as_ref(), &bucket, &code).await?;
        let hash: String = template.hash.chars().take(HASH_CHARS).collect();
        let wanted = Wanted {
            stack,
            name: format!("puntual-{hash}"),
            template_url,
            creates: found.is_none(),
            parameters,
        };
        if self.changed(&wanted, logs.as_ref()).await? == Changed::NotAgreed {
            return Ok(ExitCode::SUCCESS);
        }
        afterwards::finish(&self.cloud, &self.root, stack, &self.arguments.admin_email).await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Brings the stack into a state that can be changed; gives it where it is there.
    async fn made_ready(&self) -> anyhow::Result<Option<Stack>> {
        let (cloud, name) = (&self.cloud, self.arguments.stack.as_str());
        for _ in 0..ROUNDS_MAX {
            let found = change_set::find(cloud, name).await?;
            let status = found.as_ref().and_then(|s| s.stack_status()).map(|s| s.as_str().to_owned());
            match next_step(name, status.as_deref())? {
                NextStep::Create => return Ok(None),
                NextStep::Update => return Ok(found),
                NextStep::Wait => {
                    eprintln!("stack {name} is at work ({}); waiting for it", status.unwrap_or_default());
                    // Its end may be a failure of that work; what to do then is the next round's question.
                    if let Err(end) = follow::to_the_end(cloud, name, 0, Before::default()).await {
                        eprintln!("{end:#}");
                    }
                }
                NextStep::ContinueRollback => {
                    eprintln!("stack {name} is half rolled back; going on with it");
                    let request = cloud.cloudformation.continue_update_rollback().stack_name(name);
                    request
                        .send()
                        .await
                        .map_err(|e| because("the rollback could not be gone on with", &e))?;
                }
                NextStep::RemoveThenCreate => self.remove_remains(name).await?,
            }
        }
        bail!("stack {name} did not come to rest; look at its events in the console of CloudFormation")
    }

    async fn remove_remains(&self, name: &str) -> anyhow::Result<()> {
        if self.arguments.plan {
            bail!(
                "the first creation of stack {name} failed, and its remains must be removed first; run without --plan"
            );
        }
        let question =
            format!("The first creation of stack {name} failed. Remove its remains and begin anew?");
        if !self.arguments.yes && !question::agreed(&question, "--yes")? {
            bail!("stack {name} was left as it is");
        }
        let leftovers = leftover::of_stack(&self.cloud, name).await?;
        let before = follow::before(&self.cloud, name).await?;
        let request = self.cloud.cloudformation.delete_stack().stack_name(name);
        request.send().await.map_err(|e| because("the remains could not be removed", &e))?;
        follow::to_the_end(&self.cloud, name, 0, before).await?;
        // What stays when a stack goes stays here, too. A stack that was never whole has nothing to keep.
        if kept::tables_with_items(&self.cloud, name).await?.is_empty() {
            for leftover in &leftovers {
                leftover::remove(&self.cloud, leftover).await?;
            }
        }
        Ok(())
    }

    fn template(&self) -> anyhow::Result<Archive> {
        let path = self.root.join("infra/template.yaml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        if text.len() > TEMPLATE_BYTES_MAX {
            bail!("{} has {} bytes; CloudFormation takes {TEMPLATE_BYTES_MAX}", path.display(), text.len());
        }
        Ok(archive::template(&text))
    }

    /// The values of the parameters, and the log groups of SMS where they were looked for.
    async fn parameters(
        &self,
        names: &[String],
        found: Option<&Stack>,
        bucket: &str,
        code: &[(&'static str, Archive)],
    ) -> anyhow::Result<(BTreeMap<String, Option<String>>, Option<Logs>)> {
        let mut own = BTreeMap::from([
            ("AdminEmail".to_owned(), self.arguments.admin_email.clone()),
            ("Architecture".to_owned(), self.compiler.architecture().word().to_owned()),
            ("CodeBucket".to_owned(), bucket.to_owned()),
        ]);
        own.extend(code.iter().map(|(function, archive)| (code_parameter(function), archive.key.clone())));
        let mut sources = Sources {
            names,
            stack: found.map(parameters::of_stack),
            own,
            said: &self.arguments.parameters,
            emulator: self.cloud.emulator.is_some(),
        };
        sources.first_sender(&self.arguments.admin_email);
        if let Some(identity) = sources.new_identity().map(str::to_owned) {
            let there = people::identity(&self.cloud, &identity).await?.is_some();
            sources.identity_is_there(there);
        }
        let logs = match sources.asks_for_sms_logs() {
            true => Some(sms::logs(&self.cloud).await?),
            false => None,
        };
        if let Some(logs) = &logs {
            sources.sms_logs(logs.word());
        }
        Ok((sources.values()?, logs))
    }

    async fn changed(&self, wanted: &Wanted<'_>, logs: Option<&Logs>) -> anyhow::Result<Changed> {
        let before = follow::before(&self.cloud, wanted.stack).await?;
        let Some(changes) = change_set::make(&self.cloud, wanted).await? else {
            eprintln!("nothing changes");
            return Ok(if self.arguments.plan { Changed::NotAgreed } else { Changed::Nothing });
        };
        eprint!("{}", listed(&changes));
        let lost: Vec<&str> =
            losing(&changes, self.cloud.worked_out_by()).iter().map(|c| c.resource.as_str()).collect();
        if !lost.is_empty() {
            change_set::drop_it(&self.cloud, wanted).await?;
            bail!(
                "this would remove or replace {}, and what it holds would be lost; refused",
                lost.join(", ")
            );
        }
        if self.arguments.plan {
            change_set::drop_it(&self.cloud, wanted).await?;
            eprintln!("{} changes; nothing was changed", changes.len());
            return Ok(Changed::NotAgreed);
        }
        let question = format!("Carry out these {} changes?", changes.len());
        if !self.arguments.yes && !question::agreed(&question, "--yes")? {
            change_set::drop_it(&self.cloud, wanted).await?;
            eprintln!("nothing was changed");
            return Ok(Changed::NotAgreed);
        }
        if let Some(logs) = logs {
            sms::complete(&self.cloud, logs).await?;
        }
        change_set::execute(&self.cloud, wanted).await?;
        follow::to_the_end(&self.cloud, wanted.stack, changes.len() as u64, before).await?;
        Ok(Changed::Done)
    }
}

/// What came of a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    /// There was nothing to change.
    Nothing,
    /// It was carried out.
    Done,
    /// It was only shown, or the person said no.
    NotAgreed,
}

/// CloudFormation's own rule, and short enough for the names of buckets and domains that begin with it.
fn stack_name(text: &str) -> Result<String, String> {
    let fine = text.len() <= 24
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.ends_with('-');
    match fine {
        true => Ok(text.to_owned()),
        false => Err("expected at most 24 lower-case letters, digits and dashes, a letter first".to_owned()),
    }
}

fn mailbox(text: &str) -> Result<String, String> {
    match text.split_once('@') {
        Some((name, domain))
            if !name.is_empty() && domain.contains('.') && !text.contains([' ', ',', '<']) =>
        {
            Ok(text.to_owned())
        }
        _ => Err("expected an email address such as ops@lender.example".to_owned()),
    }
}

/// The address of an emulator, or the word for one that is started here.
fn emulator_word(text: &str) -> Result<String, String> {
    if text == STARTED_HERE { Ok(text.to_owned()) } else { emulator::address(text) }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected Name=Value")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_aws_would_refuse_are_refused_before_anything_is_built() {
        for good in ["puntual", "puntual-prod", "p2"] {
            assert!(stack_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Puntual",
            "2puntual",
            "puntual_prod",
            "puntual-",
            "a-name-that-is-much-too-long-for-buckets",
        ] {
            assert!(stack_name(bad).is_err(), "{bad}");
        }
        assert!(mailbox("ops@lender.example").is_ok());
        for bad in ["ops", "ops@", "@lender.example", "Ops <ops@lender.example>", "a@b"] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
        assert_eq!(parameter("LogDays=90"), Ok(("LogDays".to_owned(), "90".to_owned())));
        assert_eq!(parameter("EmailFrom=a=b@c.example").map(|p| p.1), Ok("a=b@c.example".to_owned()));
        assert!(parameter("LogDays").is_err());
    }
}
