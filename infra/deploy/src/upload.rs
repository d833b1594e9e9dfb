//! The bucket that code is handed over in, and what is put there.
//!
//! Invariant: the bucket is private and belongs to the account, and everything in it lies under the hash of its content,
//! so nothing is uploaded twice and nothing there ever changes.

use anyhow::bail;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
    ServerSideEncryptionRule,
};

use crate::archive::Archive;
use crate::cloud::{Cloud, because};

/// The region whose buckets are made without naming it.
const FIRST_REGION: &str = "us-east-1";

/// The name of the bucket of an account and region.
pub(crate) fn bucket_name(cloud: &Cloud) -> String {
    format!("puntual-code-{}-{}", cloud.account, cloud.region)
}

/// Makes the bucket where it is missing; where it is there, it must be the account's own.
pub(crate) async fn bucket(cloud: &Cloud) -> anyhow::Result<String> {
    let name = bucket_name(cloud);
    let head = cloud.s3.head_bucket().bucket(&name).expected_bucket_owner(&cloud.account).send().await;
    match head {
        Ok(_) => return Ok(name),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => {}
        Err(error) if error.raw_response().is_some_and(|r| r.status().as_u16() == 403) => bail!(
            "bucket {name} is there and not open to these credentials; expected it to belong to account {}",
            cloud.account
        ),
        Err(error) => return Err(because(&format!("bucket {name} could not be looked for"), &error)),
    }
    create(cloud, &name).await?;
    close(cloud, &name).await?;
    Ok(name)
}

async fn create(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let mut request = cloud.s3.create_bucket().bucket(name);
    if cloud.region != FIRST_REGION {
        let place = BucketLocationConstraint::from(cloud.region.as_str());
        request = request.create_bucket_configuration(
            CreateBucketConfiguration::builder().location_constraint(place).build(),
        );
    }
    match request.send().await {
        Ok(_) => Ok(()),
        // A run that was interrupted here, or another beside this one.
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
        Err(error) => Err(because(&format!("bucket {name} could not be made"), &error)),
    }
}

/// Closes it to the public, and encrypts what comes.
async fn close(cloud: &Cloud, name: &str) -> anyhow::Result<()> {
    let blocked = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    let request = cloud.s3.put_public_access_block().bucket(name).public_access_block_configuration(blocked);
    request
        .send()
        .await
        .map_err(|e| because(&format!("bucket {name} could not be closed to the public"), &e))?;
    let by_default =
        ServerSideEncryptionByDefault::builder().sse_algorithm(ServerSideEncryption::AwsKms).build()?;
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(by_default)
        .bucket_key_enabled(true)
        .build();
    let encrypted = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
    let request =
        cloud.s3.put_bucket_encryption().bucket(name).server_side_encryption_configuration(encrypted);
    request.send().await.map_err(|e| because(&format!("bucket {name} could not be encrypted"), &e))?;
    Ok(())
}

/// Uploads what is not there yet; says whether it was uploaded.
pub(crate) async fn upload(cloud: &Cloud, bucket: &str, archive: &Archive) -> anyhow::Result<bool> {
    let key = &archive.key;
    let head = cloud.s3.head_object().bucket(bucket).key(key).send().await;
    match head {
        Ok(_) => return Ok(false),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_not_found()) => {}
        Err(error) => return Err(because(&format!("{key} could not be looked for"), &error)),
    }
    let body = ByteStream::from(archive.bytes.clone());
    let request =
        cloud.s3.put_object().bucket(bucket).key(key).expected_bucket_owner(&cloud.account).body(body);
    request.send().await.map_err(|e| because(&format!("{key} could not be uploaded"), &e))?;
    Ok(true)
}
