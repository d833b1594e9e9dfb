//! `cargo puntual dlq … --stack`: the messages of a stack that no function could handle.
//!
//! Invariant: the queues are those that CloudFormation made for this stack, by their names in the template. What came
//! from no queue is never sent anywhere: nothing tells which function it was for.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use aws_sdk_cloudformation::types::ResourceStatus;
use chrono::{DateTime, Utc};
use dead_letters::{DlqArguments, Home, Lane, Line, Reply, StackPlace, operate};
use runtime::dead_letter::{QueueName, SqsDeadLetters, SqsPlace};

use crate::cloud::{Cloud, Place, because};
use crate::{WRONG_USAGE, emulator};

/// The most pages of a stack's resources that are read. CloudFormation allows 500 resources.
const PAGES_MAX: u32 = 20;

/// The names of the template: what letters come from, where they lie, and the queue that they go back to.
const QUEUES: [(Lane, &str, Option<&str>); 5] = [
    (Lane::Queue(QueueName::PlanShard), "PlanDeadLetters", Some("PlanQueue")),
    (Lane::Queue(QueueName::SendEmail), "EmailDeadLetters", Some("EmailQueue")),
    (Lane::Queue(QueueName::SendSms), "SmsDeadLetters", Some("SmsQueue")),
    (Lane::Queue(QueueName::RecordDelivery), "EventsDeadLetters", Some("EventsQueue")),
    (Lane::Calls, "CallsDeadLetters", None),
];

pub(crate) async fn dlq(arguments: DlqArguments) -> anyhow::Result<ExitCode> {
    let place = match arguments.place() {
        Ok(dead_letters::Place::Stack(place)) => place,
        Ok(dead_letters::Place::Folder(_)) => return Ok(wrong("expected --stack and --region")),
        Err(problem) => return Ok(wrong(&problem.to_string())),
    };
    start_log();
    let reply = answer(place, arguments).await?;
    write(&reply).context("what was asked for could not be written in full")?;
    Ok(ExitCode::from(reply.code))
}

fn wrong(problem: &str) -> ExitCode {
    eprintln!("error: {problem}");
    ExitCode::from(WRONG_USAGE)
}

async fn answer(place: StackPlace, arguments: DlqArguments) -> anyhow::Result<Reply> {
    let StackPlace { stack, region, emulator } = place;
    let emulator = emulator.map(|url| emulator::address(&url)).transpose();
    let emulator = emulator.map_err(|problem| anyhow!("--emulator: {problem}"))?;
    let cloud = Cloud::reach(&Place { region, emulator }).await?;
    let letters = SqsDeadLetters::new(cloud.sqs.clone(), places(&cloud, &stack).await?);
    operate(&letters, Home::Stack, arguments.ask, now()).await
}

/// The dead letters of a stack.
async fn places(cloud: &Cloud, stack: &str) -> anyhow::Result<Vec<SqsPlace>> {
    let found = resources(cloud, stack).await?;
    let url = |name: &str| {
        let lacks = || {
            anyhow!(
                "stack {stack} has no queue {name}; expected a stack of Puntual that `cargo puntual deploy` has finished"
            )
        };
        found.get(name).cloned().ok_or_else(lacks)
    };
    let place = |(lane, dead, back): (Lane, &str, Option<&str>)| {
        Ok(SqsPlace {
            name: lane.as_str().to_owned(),
            dead_url: url(dead)?,
            back_url: back.map(url).transpose()?,
        })
    };
    QUEUES.into_iter().map(place).collect()
}

/// The queues of a stack: their names in the template, and their addresses.
async fn resources(cloud: &Cloud, stack: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let request = cloud.cloudformation.list_stack_resources().stack_name(stack).set_next_token(from);
        let page = match request.send().await {
            Ok(page) => page,
            Err(error) if error.message().is_some_and(|m| m.contains("does not exist")) => {
                bail!(
                    "account {} has no stack {stack} in region {}; expected the --stack and --region of a deployment",
                    cloud.account,
                    cloud.region
                );
            }
            Err(error) => {
                return Err(because(&format!("the resources of {stack} could not be read"), &error));
            }
        };
        for resource in page.stack_resource_summaries() {
            let is_queue = resource.resource_type() == Some("AWS::SQS::Queue")
                && resource.resource_status() != Some(&ResourceStatus::DeleteComplete);
            // The own name of a queue is its address.
            if let (true, Some(name), Some(url)) =
                (is_queue, resource.logical_resource_id(), resource.physical_resource_id())
            {
                found.insert(name.to_owned(), url.to_owned());
            }
        }
        from = page.next_token().map(str::to_owned);
        if from.is_none() {
            return Ok(found);
        }
    }
    bail!("stack {stack} has more than {PAGES_MAX} pages of resources; expected the template of Puntual")
}

/// Writes a reply. A reader that went away ends nothing: what was done is done.
fn write(reply: &Reply) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut said = || -> io::Result<()> {
        for line in &reply.lines {
            match line {
                Line::Out(text) => writeln!(out, "{text}")?,
                Line::Error(text) => eprintln!("{text}"),
            }
        }
        out.flush()
    };
    said().or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// What the dead letters themselves warn of goes to standard error; the clients of AWS say what they have in errors.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::new("runtime=warn");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}

#[expect(clippy::disallowed_methods, reason = "`now` comes in here, once, and is passed on as a value")]
fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now())
}

#[cfg(test)]
mod tests;
