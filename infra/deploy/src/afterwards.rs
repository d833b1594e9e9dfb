//! What a template cannot do, and what the person needs to know, once the stack stands.
//!
//! Invariant: it is done after every deployment, also one that changed nothing, so an interrupted one is mended.

use std::path::Path;

use anyhow::Context;
use aws_sdk_cloudformation::types::Stack;

use crate::cloud::Cloud;
use crate::{change_set, console, parameters, people, sms};

/// Makes the administrator, tells SNS where to report, publishes the console, and prints the outputs.
pub(crate) async fn finish(cloud: &Cloud, root: &Path, stack: &str, admin_email: &str) -> anyhow::Result<()> {
    let name = stack;
    let stack = change_set::find(cloud, name).await?;
    let stack = stack.context("the stack is gone; somebody removed it at this moment")?;
    if people::administrator(cloud, output(&stack, "UserPoolId")?, admin_email).await? {
        eprintln!("the administrator was made; Cognito sends the invitation");
    }
    let role = sms::let_report(cloud, output(&stack, "SmsDeliveryRoleArn")?, name).await?;
    if console::is_there(root) {
        let files = console::build(root)?;
        let dist = root.join("admin-web/dist");
        let (bucket, distribution) =
            (output(&stack, "ConsoleBucketName")?, output(&stack, "ConsoleDistributionId")?);
        let at = stack.last_updated_time().or(stack.creation_time());
        let reference = at.map(|t| t.secs().to_string()).unwrap_or_default();
        console::publish(cloud, &dist, &files, bucket, distribution, &reference).await?;
    }
    for output in stack.outputs() {
        eprintln!(
            "{:<22} {}",
            output.output_key().unwrap_or_default(),
            output.output_value().unwrap_or_default()
        );
    }
    let values = parameters::of_stack(&stack);
    let identity = values.get("EmailIdentity").map_or(admin_email, String::as_str);
    let sender = people::sender(cloud, identity).await?;
    let mut open = people::before_the_first_reminder(&sender, identity, &cloud.region);
    if let Some(role) = role {
        open.push_str(&format!("- {role}\n"));
    }
    if !open.is_empty() {
        eprint!("Before the first reminder can go out:\n{open}");
    }
    Ok(())
}

fn output<'a>(stack: &'a Stack, name: &str) -> anyhow::Result<&'a str> {
    let found = stack.outputs().iter().find(|o| o.output_key() == Some(name)).and_then(|o| o.output_value());
    found.with_context(|| format!("the stack has no output {name}; expected those of infra/template.yaml"))
}
