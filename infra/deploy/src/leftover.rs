//! What a removed stack leaves behind on purpose, and how it is removed after all.
//!
//! Invariant: nothing is removed here that the person did not ask for by `--delete-data`.

use anyhow::bail;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::cloud::{Cloud, because};

/// The most resources of a stack that are read. CloudFormation allows 500.
const PAGES_MAX: u32 = 20;
/// The most pages of a bucket that are emptied in one run, of a thousand files each.
const FILE_PAGES_MAX: u32 = 10_000;

/// A resource that stays when its stack goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// Its kind, such as `AWS::DynamoDB::Table`.
    pub(crate) kind: String,
    /// Its own name in the account.
    pub(crate) id: String,
}

/// How a kind of leftover is treated by `--delete-data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Its protection is taken off, then it is removed.
    Table,
    /// It is emptied and removed.
    Bucket,
    /// Its protection is taken off, then it is removed.
    UserPool,
    /// It stays, and the person is told: a key or secret in another's use cannot be had back.
    Stays,
}

fn treatment(kind: &str) -> Option<Treatment> {
    match kind {
        "AWS::DynamoDB::Table" => Some(Treatment::Table),
        "AWS::S3::Bucket" => Some(Treatment::Bucket),
        "AWS::Cognito::UserPool" => Some(Treatment::UserPool),
        "AWS::KMS::Key"
        | "AWS::SecretsManager::Secret"
        | "AWS::SES::EmailIdentity"
        | "AWS::Logs::LogGroup" => Some(Treatment::Stays),
        _ => None,
    }
}

/// What the stack will leave, read while it still stands.
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
            if let (Some(_), Some(id)) = (treatment(kind), resource.physical_resource_id()) {
                found.push(Leftover { kind: kind.to_owned(), id: id.to_owned() });
            }
        }
        from = page.next_token().map(str::to_owned);
        if from.is_none() {
            return Ok(found);
        }
    }
    bail!("stack {stack} has more than {PAGES_MAX} pages of resources")
}

/// Removes one; says whether it was removed.
pub(crate) async fn remove(cloud: &Cloud, leftover: &Leftover) -> anyhow::Result<bool> {
    match treatment(&leftover.kind) {
        Some(Treatment::Table) => table(cloud, &leftover.id).await.map(|()| true),
        Some(Treatment::Bucket) => bucket(cloud, &leftover.id).await.map(|()| true),
        Some(Treatment::UserPool) => user_pool(cloud, &leftover.id).await.map(|()| true),
        Some(Treatment::Stays) | None => Ok(false),
    }
}

async fn table(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let request = cloud.dynamodb.update_table().table_name(name).deletion_protection_enabled(false);
    request
        .send()
        .await
        .map_err(|e| because(&format!("the protection of table {name} could not be taken off"), &e))?;
    let request = cloud.dynamodb.delete_table().table_name(name);
    request.send().await.map_err(|e| because(&format!("table {name} could not be removed"), &e))?;
    Ok(())
}

async fn user_pool(cloud: &Cloud, id: &str) -> anyhow::Result<()> {
    use aws_sdk_cognitoidentityprovider::types::DeletionProtectionType;
    let request = cloud
        .cognito
        .update_user_pool()
        .user_pool_id(id)
        .deletion_protection(DeletionProtectionType::Inactive);
    request
        .send()
        .await
        .map_err(|e| because(&format!("the protection of user pool {id} could not be taken off"), &e))?;
    let request = cloud.cognito.delete_user_pool().user_pool_id(id);
    request.send().await.map_err(|e| because(&format!("user pool {id} could not be removed"), &e))?;
    Ok(())
}

async fn bucket(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let failed = |e: &dyn std::error::Error| anyhow::anyhow!("bucket {name} could not be emptied: {e}");
    for _ in 0..FILE_PAGES_MAX {
        // What is removed is found no more, so every page is the first.
        let page = cloud.s3.list_object_versions().bucket(name).send().await.map_err(|e| failed(&e))?;
        let version = |key: Option<&str>, id: Option<&str>| {
            ObjectIdentifier::builder()
                .key(key.unwrap_or_default())
                .set_version_id(id.map(str::to_owned))
                .build()
        };
        let files = page.versions().iter().map(|v| version(v.key(), v.version_id()));
        let marks = page.delete_markers().iter().map(|m| version(m.key(), m.version_id()));
        let all = files.chain(marks).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            let request = cloud.s3.delete_bucket().bucket(name);
            request.send().await.map_err(|e| because(&format!("bucket {name} could not be removed"), &e))?;
            return Ok(());
        }
        let request = cloud.s3.delete_objects().bucket(name);
        let answer =
            request.delete(Delete::builder().set_objects(Some(all)).quiet(true).build()?).send().await;
        let answer = answer.map_err(|e| failed(&e))?;
        if let Some(first) = answer.errors().first() {
            bail!("bucket {name} could not be emptied: {}", first.message().unwrap_or("no reason was given"));
        }
    }
    bail!("bucket {name} is not empty after {FILE_PAGES_MAX} pages; run the same command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the template keeps when the stack goes is known here, so that nothing is left without a word.
    #[test]
    fn everything_that_the_template_retains_is_known() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let template = std::fs::read_to_string(path).expect("the template is in the repository");
        let mut kind = "";
        let mut retained = 0;
        for line in template.lines() {
            if let Some(named) = line.strip_prefix("    Type: ") {
                kind = named.trim();
            }
            if line.trim() == "DeletionPolicy: Retain" {
                retained += 1;
                assert!(treatment(kind).is_some(), "{kind} is kept, and destroy does not know it");
            }
        }
        assert!(retained >= 4, "two tables, the key and the user pool at least");
    }
}
