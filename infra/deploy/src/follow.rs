//! Following a stack at work, event by event, to its end.
//!
//! Invariant: each event is told once, and the reason of a failure is its first.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};

use crate::change_set::find;
use crate::cloud::{Cloud, because};
use crate::failure::{Event, advice, first_failure};
use crate::stack::{Ending, ending};

/// How long a stack may work: CloudFront takes some minutes, a table with an index, too.
const LOOKS_MAX: u32 = 1_200;
/// After how many looks a stack without news is believed to be at rest. Before that, an ending is one of the work before.
const QUIET_LOOKS: u32 = 5;
/// The most pages of events that are read for one look.
const PAGES_MAX: u32 = 30;

/// What is known of the events that were there before the work began.
#[derive(Debug, Default)]
pub(crate) struct Before {
    seen: BTreeSet<String>,
}

/// Remembers the events that are no news.
pub(crate) async fn before(cloud: &Cloud, stack: &str) -> anyhow::Result<Before> {
    if find(cloud, stack).await?.is_none() {
        return Ok(Before::default());
    }
    let seen = news(cloud, stack, &BTreeSet::new()).await?.into_iter().map(|e| e.id).collect();
    Ok(Before { seen })
}

/// Waits until the stack has done what it was told.
///
/// # Errors
///
/// Where it ends in another way: the first failing resource, its reason, and what may help.
pub(crate) async fn to_the_end(
    cloud: &Cloud,
    stack: &str,
    resources: u64,
    before: Before,
) -> anyhow::Result<Ending> {
    let bar = bar(resources);
    let mut seen = before.seen;
    let mut all: Vec<Event> = Vec::new();
    let mut end = None;
    for look in 0..LOOKS_MAX {
        // Events first: once the work's first one is there, the status is that of this work and not of the one before.
        for event in news(cloud, stack, &seen).await? {
            seen.insert(event.id.clone());
            if event.is_end() {
                bar.inc(1);
            }
            bar.set_message(format!("{} {}", event.resource, event.status));
            all.push(event);
        }
        if let Some(end) = end {
            bar.finish_and_clear();
            return match end {
                Ending::Done | Ending::Gone => Ok(end),
                Ending::RolledBack | Ending::Broken => bail!("{}", failed(stack, end, &all)),
            };
        }
        let begun = !all.is_empty() || look >= QUIET_LOOKS;
        let status = find(cloud, stack).await?.and_then(|s| s.stack_status().map(|s| s.as_str().to_owned()));
        // A stack that is gone is found no more by its name. An ending is told after one more look at the events, of
        // which the last may have come meanwhile.
        end = status.as_deref().map_or(Some(Ending::Gone), |s| ending(s).filter(|_| begun));
        if end.is_none() {
            tokio::time::sleep(cloud.look_every()).await;
        }
    }
    bar.finish_and_clear();
    bail!(
        "stack {stack} was still at work after {} minutes; run the same command again to go on following it",
        LOOKS_MAX / 20
    )
}

fn failed(stack: &str, end: Ending, events: &[Event]) -> String {
    let then = match end {
        Ending::RolledBack => "What was there before is there again.",
        Ending::Done | Ending::Broken | Ending::Gone => "What was there before could not be put back wholly.",
    };
    let Some(first) = first_failure(events) else {
        return format!("stack {stack} failed, and no event says why. {then}");
    };
    let help = advice(&first.reason).map(|advice| format!("\n{advice}")).unwrap_or_default();
    format!("stack {stack} failed at {} ({}): {}\n{then}{help}", first.resource, first.kind, first.reason)
}

/// The events not seen yet, in the order in which they happened.
async fn news(cloud: &Cloud, stack: &str, seen: &BTreeSet<String>) -> anyhow::Result<Vec<Event>> {
    let mut found = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let request = cloud.cloudformation.describe_stack_events().stack_name(stack).set_next_token(from);
        let page = match request.send().await {
            Ok(page) => page,
            // The stack went while it was watched.
            Err(error)
                if aws_sdk_cloudformation::error::ProvideErrorMetadata::message(&error)
                    .is_some_and(|m| m.contains("does not exist")) =>
            {
                break;
            }
            Err(error) => {
                return Err(because(&format!("the events of stack {stack} could not be read"), &error));
            }
        };
        let mut old = false;
        for event in page.stack_events() {
            let id = event.event_id().unwrap_or_default().to_owned();
            old |= seen.contains(&id);
            if old {
                break;
            }
            found.push(Event {
                id,
                resource: event.logical_resource_id().unwrap_or_default().to_owned(),
                kind: event.resource_type().unwrap_or_default().to_owned(),
                status: event.resource_status().map_or_else(String::new, |s| s.as_str().to_owned()),
                reason: event.resource_status_reason().unwrap_or_default().to_owned(),
            });
        }
        from = page.next_token().map(str::to_owned);
        if old || from.is_none() {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

fn bar(resources: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(resources);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} · {elapsed} · {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_first_resource_its_reason_and_what_helps() {
        let event = |resource: &str, status: &str, reason: &str| Event {
            id: resource.to_owned(),
            resource: resource.to_owned(),
            kind: "AWS::S3::Bucket".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        };
        let events = [
            event("UploadBucket", "CREATE_FAILED", "puntual-uploads already exists"),
            event("ConsoleBucket", "CREATE_FAILED", "Resource creation cancelled"),
        ];
        let text = failed("puntual", Ending::RolledBack, &events);
        assert!(text.starts_with(
            "stack puntual failed at UploadBucket (AWS::S3::Bucket): puntual-uploads already exists"
        ));
        assert!(text.contains("there again") && text.contains("another --stack"), "{text}");
        assert!(!text.contains("ConsoleBucket"), "{text}");
    }
}
