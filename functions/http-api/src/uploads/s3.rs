//! Addresses of a bucket: presigned, so that the file goes there without passing through here.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::presigning::PresigningConfig;

use super::{Address, AddressError, Expected};

/// A presigned address. The size is among what is signed, so a file of another size is refused by the bucket.
pub(super) async fn address(
    client: &Client,
    bucket: &str,
    expected: &Expected<'_>,
) -> Result<Address, AddressError> {
    let lasts = (expected.expires_at - expected.now).to_std().unwrap_or(Duration::from_secs(1));
    let presigning = PresigningConfig::builder().start_time(expected.now.into()).expires_in(lasts).build();
    let presigning = presigning.map_err(|error| AddressError(error.to_string()))?;
    let bytes = i64::try_from(expected.bytes).unwrap_or(i64::MAX);
    let request = client.put_object().bucket(bucket).key(expected.key()).content_length(bytes);
    let signed = request.presigned(presigning).await;
    let signed = signed.map_err(|error| AddressError(DisplayErrorContext(&error).to_string()))?;
    let headers = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Address { url: signed.uri().to_owned(), headers })
}
