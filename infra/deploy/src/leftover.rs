//! What a removed stack leaves behind on purpose, and how it is removed after all.
//!
//! Invariant: nothing is removed here that the person did not ask for by `--delete-data`, but what a first creation that
//! failed left empty.

use anyhow::bail;
use aws_sdk_cognitoidentityprovider::types::DeletionProtectionType;

use crate::bucket;
use crate::cloud::{Cloud, because};

/// The most pages of a stack's resources that are read. CloudFormation allows 500 resources.
const PAGES_MAX: u32 = 20;
/// For how many days AWS can give a removed key or secret back.
const REGRET_DAYS: i32 = 30;

/// What CloudFormation calls a table.
const TABLE: &str = "AWS::DynamoDB::Table";

/// A resource that stays when its stack goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// Its kind, such as `AWS::DynamoDB::Table`.
    pub(crate) kind: String,
    /// Its own name in the account.
    pub(crate) id: String,
}

/// How a kind of leftover is treated by `--delete-data`, in the order in which that is done: what the key encrypts goes
/// before the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Treatment {
    /// Its protection is taken off, then it is removed.
    Table,
    /// It is emptied and removed.
    Bucket,
    /// It is removed, and can be had back for some days.
    Secret,
    /// It is removed after some days, in which it can be had back.
    Key,
    /// Its protection is taken off, then it is removed.
    UserPool,
    /// It stays, and the person is told: others may send from the same identity.
    Stays,
}

fn treatment(kind: &str) -> Option<Treatment> {
    match kind {
        TABLE => Some(Treatment::Table),
        "AWS::S3::Bucket" => Some(Treatment::Bucket),
        "AWS::SecretsManager::Secret" => Some(Treatment::Secret),
        "AWS::KMS::Key" => Some(Treatment::Key),
        "AWS::Cognito::UserPool" => Some(Treatment::UserPool),
        "AWS::SES::EmailIdentity" => Some(Treatment::Stays),
        _ => None,
    }
}

impl Leftover {
    /// A table of the stack.
    pub(crate) fn table(name: String) -> Self {
        Self { kind: TABLE.to_owned(), id: name }
    }

    /// A resource, where it is of a kind that stays.
    pub(crate) fn known(kind: &str, id: &str) -> Option<Self> {
        treatment(kind).map(|_| Self { kind: kind.to_owned(), id: id.to_owned() })
    }

    fn treatment(&self) -> Treatment {
        treatment(&self.kind).unwrap_or(Treatment::Stays)
    }
}

/// Puts leftovers into the order of their removal.
pub(crate) fn in_order(leftovers: &mut [Leftover]) {
    leftovers.sort_by_key(Leftover::treatment);
}

/// The resources of the stack that may stay when it goes, in the order of their removal.
pub(crate) async fn of_stack(cloud: &Cloud, stack: &str) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut from = None;
    for _ in 0..PAGES_MAX {
        let request = cloud.cloudformation.list_stack_resources().stack_name(stack).set_next_token(from);
        let page = request
            .send()
            .await
            .map_err(|e| because(&format!("the resources of {stack} could not be read"), &e))?;
        for resource in page.stack_resource_summaries() {
            let kind = resource.resource_type().unwrap_or_default();
            let goes =
                bucket::GO_WITH_THE_STACK.contains(&resource.logical_resource_id().unwrap_or_default());
            found.extend(
                resource.physical_resource_id().filter(|_| !goes).and_then(|id| Leftover::known(kind, id)),
            );
        }
        from = page.next_token().map(str::to_owned);
        if from.is_none() {
            in_order(&mut found);
            return Ok(found);
        }
    }
    bail!("stack {stack} has more than {PAGES_MAX} pages of resources")
}

/// Removes one; says whether it was removed. What is gone already counts as removed.
pub(crate) async fn remove(cloud: &Cloud, leftover: &Leftover) -> anyhow::Result<bool> {
    match leftover.treatment() {
        Treatment::Table => table(cloud, &leftover.id).await?,
        Treatment::Bucket => bucket::remove(cloud, &leftover.id).await?,
        Treatment::Secret => secret(cloud, &leftover.id).await?,
        Treatment::Key => key(cloud, &leftover.id).await?,
        Treatment::UserPool => user_pool(cloud, &leftover.id).await?,
        Treatment::Stays => return Ok(false),
    }
    Ok(true)
}

async fn table(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let request = cloud.dynamodb.update_table().table_name(name).deletion_protection_enabled(false);
    match request.send().await {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
            return Ok(());
        }
        Err(error) => {
            return Err(because(&format!("the protection of table {name} could not be taken off"), &error));
        }
    }
    let request = cloud.dynamodb.delete_table().table_name(name);
    request.send().await.map_err(|e| because(&format!("table {name} could not be removed"), &e))?;
    Ok(())
}

async fn secret(cloud: &Cloud, id: &str) -> anyhow::Result<()> {
    let request = cloud.secrets.delete_secret().secret_id(id).recovery_window_in_days(REGRET_DAYS.into());
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_resource_not_found_exception() || e.is_invalid_request_exception()) =>
        {
            // It is gone, or about to go.
            Ok(())
        }
        Err(error) => Err(because(&format!("secret {id} could not be removed"), &error)),
    }
}

async fn key(cloud: &Cloud, id: &str) -> anyhow::Result<()> {
    let request = cloud.kms.schedule_key_deletion().key_id(id).pending_window_in_days(REGRET_DAYS);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_not_found_exception() || e.is_kms_invalid_state_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(because(&format!("key {id} could not be removed"), &error)),
    }
}

async fn user_pool(cloud: &Cloud, id: &str) -> anyhow::Result<()> {
    let request = cloud
        .cognito
        .update_user_pool()
        .user_pool_id(id)
        .deletion_protection(DeletionProtectionType::Inactive);
    match request.send().await {
        Ok(_) => {}
        Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => {
            return Ok(());
        }
        Err(error) => {
            return Err(because(&format!("the protection of user pool {id} could not be taken off"), &error));
        }
    }
    let request = cloud.cognito.delete_user_pool().user_pool_id(id);
    request.send().await.map_err(|e| because(&format!("user pool {id} could not be removed"), &e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the template keeps when the stack goes is known here, so that nothing is left without a word.
    #[test]
    fn everything_that_the_template_retains_is_known() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let template = std::fs::read_to_string(path).expect("the template is in the repository");
        let (mut resource, mut kind) = ("", "");
        let (mut retained, mut emptied) = (0, 0);
        for line in template.lines() {
            if let Some(named) = line.strip_prefix("  ").filter(|l| !l.starts_with([' ', '#'])) {
                resource = named.trim_end_matches(':');
            }
            if let Some(named) = line.strip_prefix("    Type: ") {
                kind = named.trim();
            }
            let goes = bucket::GO_WITH_THE_STACK.contains(&resource);
            if line.trim() == "DeletionPolicy: Retain" {
                retained += 1;
                assert!(treatment(kind).is_some(), "{kind} is kept, and destroy does not know it");
                assert!(!goes, "{resource} stays");
            }
            if line.trim() == "DeletionPolicy: Delete" && kind == "AWS::S3::Bucket" {
                emptied += 1;
                assert!(goes, "bucket {resource} goes with the stack, and is not emptied before");
            }
        }
        assert!(retained >= 7, "two tables, three secrets, the key and the user pool at least");
        assert_eq!(emptied, bucket::GO_WITH_THE_STACK.len());
    }

    #[test]
    fn what_the_key_encrypts_goes_before_the_key() {
        assert!(Treatment::Table < Treatment::Key && Treatment::Secret < Treatment::Key);
    }
}
