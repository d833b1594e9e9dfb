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

use crate::archive::{self, Archive};
use crate::change::{listed, losing};
use crate::change_set::{self, Wanted};
use crate::cloud::{Cloud, Place, because};
use crate::emulator::Emulator;
use crate::follow::{self, Before};
use crate::function::{Architecture, Compiler, code_parameter};
use crate::stack::{NextStep, next_step};
use crate::tool::CargoLambda;
use crate::{console, people, question, upload};

/// How often one command tries to bring a stack into a state that can be changed.
const ROUNDS_MAX: u32 = 4;
/// CloudFormation's limit for a template that lies in a bucket.
const TEMPLATE_BYTES_MAX: usize = 1_000_000;

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
    /// Deploys to an emulator on this machine, which runs until this command is ended.
    #[arg(long)]
    emulator: bool,
    /// The port of the emulator; a free one unless it is said.
    #[arg(long, requires = "emulator")]
    port: Option<u16>,
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
    let emulator = match arguments.emulator {
        true => Some(Emulator::start(&root, arguments.port).await?),
        false => None,
    };
    let place = Place {
        region: arguments.region.clone(),
        emulator: emulator.as_ref().map(|emulator| emulator.endpoint.clone()),
    };
    let cloud = Cloud::reach(&place).await?;
    let compiler = if emulator.is_some() {
        Compiler::ForThisMachine
    } else {
        let architecture = if arguments.x86_64 { Architecture::X86_64 } else { Architecture::Arm64 };
        Compiler::ForLambda(CargoLambda::find(&root)?, architecture)
    };
    eprintln!("account {}, region {}, stack {}", cloud.account, cloud.region, arguments.stack);
    let work = Work { arguments, root, cloud, compiler };
    let code = work.carry_out().await?;
    if let Some(emulator) = emulator {
        eprintln!("the emulator answers at {}; Ctrl-C ends it", emulator.endpoint);
        tokio::signal::ctrl_c().await.context("Ctrl-C cannot be waited for")?;
    }
    Ok(code)
}

impl Work<'_> {
    async fn carry_out(&self) -> anyhow::Result<ExitCode> {
        let stack = &self.arguments.stack;
        let found = self.made_ready().await?;
        let architecture = match &self.compiler {
            Compiler::ForLambda(_, architecture) => *architecture,
            Compiler::ForThisMachine => Architecture::X86_64,
        };
        let code = self.archives()?;
        let template = self.template()?;
        let bucket = upload::bucket(&self.cloud).await?;
        let mut new = 0;
        for archive in code.iter().map(|(_, archive)| archive).chain([&template]) {
            new += u32::from(upload::upload(&self.cloud, &bucket, archive).await?);
        }
        eprintln!("{} files of code, {new} of them new", code.len() + 1);
        let template_url = match self.arguments.emulator {
            true => format!("{}/{bucket}/{}", self.endpoint()?, template.key),
            false => format!("https://{bucket}.s3.{}.amazonaws.com/{}", self.cloud.region, template.key),
        };
        let names = change_set::parameters_of(&self.cloud, &template_url).await?;
        let parameters = self.parameters(&names, found.as_ref(), &bucket, &code, architecture)?;
        let wanted = Wanted {
            stack,
            name: format!("puntual-{}", &template.key[template.key.len() - 21..template.key.len() - 5]),
            template_url,
            creates: found.is_none(),
            parameters,
        };
        if self.changed(&wanted).await? == Changed::NotAgreed {
            return Ok(ExitCode::SUCCESS);
        }
        self.finish().await.map(|()| ExitCode::SUCCESS)
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
        let before = follow::before(&self.cloud, name).await?;
        let request = self.cloud.cloudformation.delete_stack().stack_name(name);
        request.send().await.map_err(|e| because("the remains could not be removed", &e))?;
        follow::to_the_end(&self.cloud, name, 0, before).await.map(|_| ())
    }

    fn archives(&self) -> anyhow::Result<Vec<(&'static str, Archive)>> {
        eprintln!("building the functions");
        let zipped = |(function, path): (&'static str, PathBuf)| {
            let binary =
                std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            Ok((function, archive::function(function, &binary)?))
        };
        self.compiler.build(&self.root)?.into_iter().map(zipped).collect()
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

    fn parameters(
        &self,
        names: &[String],
        found: Option<&Stack>,
        bucket: &str,
        code: &[(&'static str, Archive)],
        architecture: Architecture,
    ) -> anyhow::Result<BTreeMap<String, Option<String>>> {
        let kept = found.map(|s| s.parameters().iter().filter_map(|p| p.parameter_key()).collect::<Vec<_>>());
        let mut set: BTreeMap<String, String> = BTreeMap::new();
        set.insert("AdminEmail".to_owned(), self.arguments.admin_email.clone());
        set.insert("Architecture".to_owned(), architecture.word().to_owned());
        set.insert("CodeBucket".to_owned(), bucket.to_owned());
        set.extend(code.iter().map(|(function, archive)| (code_parameter(function), archive.key.clone())));
        if found.is_none() {
            // Until the lender names another sender, reminders come from the administrator's own mailbox.
            for sender in ["EmailIdentity", "EmailFrom"] {
                set.insert(sender.to_owned(), self.arguments.admin_email.clone());
            }
        }
        for (name, value) in &self.arguments.parameters {
            if !names.contains(name) {
                bail!("the template has no parameter {name}; expected one of {}", names.join(", "));
            }
            set.insert(name.clone(), value.clone());
        }
        let of = |name: &String| match set.remove(name) {
            Some(value) => Some((name.clone(), Some(value))),
            None if kept.as_ref().is_some_and(|kept| kept.contains(&name.as_str())) => {
                Some((name.clone(), None))
            }
            // The template's own default.
            None => None,
        };
        Ok(names.iter().filter_map(of).collect())
    }

    async fn changed(&self, wanted: &Wanted<'_>) -> anyhow::Result<Changed> {
        let before = follow::before(&self.cloud, wanted.stack).await?;
        let Some(changes) = change_set::make(&self.cloud, wanted).await? else {
            eprintln!("nothing changes");
            return Ok(Changed::Nothing);
        };
        eprint!("{}", listed(&changes));
        let lost: Vec<&str> = losing(&changes).iter().map(|c| c.resource.as_str()).collect();
        if !lost.is_empty() {
            change_set::drop_it(&self.cloud, wanted).await?;
            bail!(
                "this would remove or replace {}, and what it holds would be lost; refused",
                lost.join(", ")
            );
        }
        if self.arguments.plan {
            change_set::drop_it(&self.cloud, wanted).await?;
            return Ok(Changed::NotAgreed);
        }
        let question = format!("Carry out these {} changes?", changes.len());
        if !self.arguments.yes && !question::agreed(&question, "--yes")? {
            change_set::drop_it(&self.cloud, wanted).await?;
            eprintln!("nothing was changed");
            return Ok(Changed::NotAgreed);
        }
        change_set::execute(&self.cloud, wanted).await?;
        follow::to_the_end(&self.cloud, wanted.stack, changes.len() as u64, before).await?;
        Ok(Changed::Done)
    }

    /// What a template cannot do, and what the person needs to know.
    async fn finish(&self) -> anyhow::Result<()> {
        let stack = change_set::find(&self.cloud, &self.arguments.stack).await?;
        let stack = stack.context("the stack is gone; somebody removed it at this moment")?;
        let output = |name: &str| {
            let found =
                stack.outputs().iter().find(|o| o.output_key() == Some(name)).and_then(|o| o.output_value());
            found.with_context(|| {
                format!("the stack has no output {name}; expected those of infra/template.yaml")
            })
        };
        if people::administrator(&self.cloud, output("UserPoolId")?, &self.arguments.admin_email).await? {
            eprintln!("the administrator was made; Cognito sends the invitation");
        }
        if console::is_there(&self.root) {
            let files = console::build(&self.root)?;
            let dist = self.root.join("admin-web/dist");
            let (bucket, distribution) = (output("ConsoleBucketName")?, output("ConsoleDistributionId")?);
            let reference = stack.last_updated_time().or(stack.creation_time()).map(|t| t.secs().to_string());
            let reference = reference.unwrap_or_default();
            console::publish(&self.cloud, &dist, &files, bucket, distribution, &reference).await?;
        }
        for output in stack.outputs() {
            eprintln!(
                "{:<22} {}",
                output.output_key().unwrap_or_default(),
                output.output_value().unwrap_or_default()
            );
        }
        let identity = stack.parameters().iter().find(|p| p.parameter_key() == Some("EmailIdentity"));
        let identity = identity.and_then(|p| p.parameter_value()).unwrap_or(&self.arguments.admin_email);
        let sender = people::sender(&self.cloud, identity).await?;
        let open = people::before_the_first_reminder(sender, identity, &self.cloud.region);
        if !open.is_empty() {
            eprint!("Before the first reminder can go out:\n{open}");
        }
        Ok(())
    }

    fn endpoint(&self) -> anyhow::Result<&str> {
        self.cloud.emulator.as_deref().context("an emulator has an endpoint")
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
