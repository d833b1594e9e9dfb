//! Change sets: what CloudFormation would do, before it does it.
//!
//! Invariant: nothing is executed that was not described to the end.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudformation::operation::create_change_set::{CreateChangeSetError, CreateChangeSetOutput};
use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, Parameter, Stack, Tag};

use crate::change::{Change, action};
use crate::cloud::{Cloud, because};

/// How often a change set in the making is looked at, every few seconds.
const LOOKS_MAX: u32 = 120;
/// The most pages of a change set. A template has at most 500 resources, a page 100.
const PAGES_MAX: u32 = 20;

/// What a change set is made of.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) stack: &'a str,
    /// Where the template lies.
    pub(crate) template_url: String,
    /// Names and values. `None` keeps the value that the stack has.
    pub(crate) parameters: BTreeMap<String, Option<String>>,
    /// Whether there is nothing yet that would be changed.
    pub(crate) creates: bool,
    /// The change set's own name.
    pub(crate) name: String,
}

/// The stack, or `None` where there is none.
pub(crate) async fn find(cloud: &Cloud, stack: &str) -> anyhow::Result<Option<Stack>> {
    match cloud.cloudformation.describe_stacks().stack_name(stack).send().await {
        Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next()),
        Err(error) if error.message().is_some_and(|m| m.contains("does not exist")) => Ok(None),
        Err(error) => Err(because(&format!("stack {stack} could not be looked at"), &error)),
    }
}

/// Makes a change set and gives its changes; `None` where nothing would change.
pub(crate) async fn make(cloud: &Cloud, wanted: &Wanted<'_>) -> anyhow::Result<Option<Vec<Change>>> {
    if let Err(error) = ask_for(cloud, wanted).await {
        if !error.as_service_error().is_some_and(|e| e.is_already_exists_exception()) {
            return Err(because("CloudFormation refused the template or its parameters", &error));
        }
        // An interrupted run left it, perhaps with other parameters.
        remove(cloud, wanted).await?;
        ask_for(cloud, wanted)
            .await
            .map_err(|e| because("CloudFormation refused the template or its parameters", &e))?;
    }
    if !described(cloud, wanted).await? {
        drop_it(cloud, wanted).await?;
        return Ok(None);
    }
    changes(cloud, wanted).await.map(Some)
}

async fn ask_for(
    cloud: &Cloud,
    wanted: &Wanted<'_>,
) -> Result<CreateChangeSetOutput, SdkError<CreateChangeSetError>> {
    let kind = if wanted.creates { ChangeSetType::Create } else { ChangeSetType::Update };
    let parameter = |(name, value): (&String, &Option<String>)| {
        let named = Parameter::builder().parameter_key(name);
        match value {
            Some(value) => named.parameter_value(value).build(),
            None => named.use_previous_value(true).build(),
        }
    };
    let request = cloud
        .cloudformation
        .create_change_set()
        .stack_name(wanted.stack)
        .change_set_name(&wanted.name)
        .change_set_type(kind)
        .template_url(&wanted.template_url)
        .set_parameters(Some(wanted.parameters.iter().map(parameter).collect()))
        .capabilities(Capability::CapabilityIam)
        .capabilities(Capability::CapabilityAutoExpand)
        .tags(Tag::builder().key("Application").value("puntual").build());
    request.send().await
}

/// Waits until the change set is made; says whether it holds a change.
async fn described(cloud: &Cloud, wanted: &Wanted<'_>) -> anyhow::Result<bool> {
    for _ in 0..LOOKS_MAX {
        let answer = describe(cloud, wanted, None).await?;
        match answer.status() {
            Some(ChangeSetStatus::CreateComplete) => return Ok(true),
            Some(ChangeSetStatus::Failed) => {
                let reason = answer.status_reason().unwrap_or("no reason was given");
                if says_nothing_changes(reason) {
                    return Ok(false);
                }
                drop_it(cloud, wanted).await?;
                bail!("CloudFormation could not work out the changes: {reason}");
            }
            _ => tokio::time::sleep(cloud.look_every()).await,
        }
    }
    bail!("the change set {} was not made after {LOOKS_MAX} looks; run the same command again", wanted.name)
}

/// CloudFormation tells by these words, and only by them, that a change set is empty.
fn says_nothing_changes(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

async fn describe(
    cloud: &Cloud,
    wanted: &Wanted<'_>,
    from: Option<String>,
) -> anyhow::Result<aws_sdk_cloudformation::operation::describe_change_set::DescribeChangeSetOutput> {
    let request = cloud
        .cloudformation
        .describe_change_set()
        .stack_name(wanted.stack)
        .change_set_name(&wanted.name)
        .set_next_token(from);
    request.send().await.map_err(|e| because(&format!("change set {} could not be read", wanted.name), &e))
}

async fn changes(cloud: &Cloud, wanted: &Wanted<'_>) -> anyhow::Result<Vec<Change>> {
    let mut found = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let page = describe(cloud, wanted, from).await?;
        for change in page.changes().iter().filter_map(|c| c.resource_change()) {
            found.push(Change {
                resource: change.logical_resource_id().unwrap_or_default().to_owned(),
                kind: change.resource_type().unwrap_or_default().to_owned(),
                action: action(
                    change.action().map_or("", |a| a.as_str()),
                    change.replacement().map(|r| r.as_str()),
                ),
            });
        }
        from = page.next_token().map(str::to_owned);
        if from.is_none() {
            return Ok(found);
        }
    }
    bail!("change set {} has more than {PAGES_MAX} pages", wanted.name)
}

/// Carries the change set out; the work goes on after this returns.
pub(crate) async fn execute(cloud: &Cloud, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    // A first creation that fails leaves nothing that holds nothing, whatever the template keeps later.
    let request = cloud
        .cloudformation
        .execute_change_set()
        .stack_name(wanted.stack)
        .change_set_name(&wanted.name)
        .set_retain_except_on_create(wanted.creates.then_some(true));
    request.send().await.map_err(|e| because("the changes could not be begun", &e))?;
    Ok(())
}

/// Removes a change set that is not carried out, and the empty shell of a stack that it would have created.
pub(crate) async fn drop_it(cloud: &Cloud, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    remove(cloud, wanted).await?;
    if wanted.creates {
        let request = cloud.cloudformation.delete_stack().stack_name(wanted.stack);
        request
            .send()
            .await
            .map_err(|e| because(&format!("the empty stack {} could not be removed", wanted.stack), &e))?;
    }
    Ok(())
}

async fn remove(cloud: &Cloud, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    let request =
        cloud.cloudformation.delete_change_set().stack_name(wanted.stack).change_set_name(&wanted.name);
    request
        .send()
        .await
        .map_err(|e| because(&format!("change set {} could not be removed", wanted.name), &e))?;
    Ok(())
}

/// The names of the template's parameters, as CloudFormation reads them.
pub(crate) async fn parameters_of(cloud: &Cloud, template_url: &str) -> anyhow::Result<Vec<String>> {
    let answer = cloud.cloudformation.get_template_summary().template_url(template_url).send().await;
    let answer = answer.map_err(|e| because("CloudFormation cannot read the template", &e))?;
    let names =
        answer.parameters.context("the template has no parameters; expected those of infra/template.yaml")?;
    Ok(names.into_iter().filter_map(|p| p.parameter_key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_change_set_is_told_from_a_wrong_one() {
        assert!(says_nothing_changes(
            "The submitted information didn't contain changes. Submit different information to create a change set."
        ));
        assert!(says_nothing_changes("No updates are to be performed."));
        assert!(!says_nothing_changes("Parameter EmailFrom failed to satisfy constraint"));
    }
}
