//! Buckets of the stack, which must be empty before they can be removed.
//!
//! Invariant: a bucket is empty when no version and no mark of a removed file is left in it.

use anyhow::bail;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use crate::cloud::{Cloud, because};

/// The buckets that go with the stack. They hold copies: of files that the lender has, and of the console.
pub(crate) const GO_WITH_THE_STACK: [&str; 2] = ["UploadBucket", "ConsoleBucket"];
/// The most pages of a bucket that are emptied in one run, of a thousand files each.
const FILE_PAGES_MAX: u32 = 10_000;

/// Empties the buckets that go with the stack; CloudFormation removes no other.
pub(crate) async fn empty_those_of(cloud: &Cloud, stack: &str) -> anyhow::Result<()> {
    for resource in GO_WITH_THE_STACK {
        let request =
            cloud.cloudformation.describe_stack_resources().stack_name(stack).logical_resource_id(resource);
        let found = match request.send().await {
            Ok(found) => found,
            // A stack of which only a part was made may lack it.
            Err(error)
                if aws_sdk_cloudformation::error::ProvideErrorMetadata::message(&error)
                    .is_some_and(|m| m.contains("does not exist")) =>
            {
                continue;
            }
            Err(error) => return Err(because(&format!("{resource} could not be looked for"), &error)),
        };
        let name = found.stack_resources().first().and_then(|r| r.physical_resource_id());
        if let Some(name) = name {
            empty(cloud, name).await?;
        }
    }
    Ok(())
}

/// Empties a bucket. One that is not there is empty.
pub(crate) async fn empty(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    for _ in 0..FILE_PAGES_MAX {
        // What is removed is found no more, so every page is the first.
        let page = match cloud.s3.list_object_versions().bucket(name).send().await {
            Ok(page) => page,
            Err(error) if error.raw_response().is_some_and(|r| r.status().as_u16() == 404) => return Ok(()),
            Err(error) => return Err(because(&format!("bucket {name} could not be emptied"), &error)),
        };
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
            return Ok(());
        }
        let request = cloud.s3.delete_objects().bucket(name);
        let answer =
            request.delete(Delete::builder().set_objects(Some(all)).quiet(true).build()?).send().await;
        let answer = answer.map_err(|e| because(&format!("bucket {name} could not be emptied"), &e))?;
        if let Some(first) = answer.errors().first() {
            bail!("bucket {name} could not be emptied: {}", first.message().unwrap_or("no reason was given"));
        }
    }
    bail!("bucket {name} is not empty after {FILE_PAGES_MAX} pages; run the same command again")
}

/// Empties and removes a bucket. One that is not there is removed.
pub(crate) async fn remove(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    empty(cloud, name).await?;
    match cloud.s3.delete_bucket().bucket(name).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.raw_response().is_some_and(|r| r.status().as_u16() == 404) => Ok(()),
        Err(error) => Err(because(&format!("bucket {name} could not be removed"), &error)),
    }
}
