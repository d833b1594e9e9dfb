//! Uploads: where a file goes, and the address that lets somebody bring it there.
//!
//! Invariant: an address is for one file of one size, for a short time; the file never passes through the API's memory.

#[cfg(feature = "local")]
pub mod folder;
#[cfg(feature = "aws")]
mod s3;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::ids::ImportId;
use domain::tenant::TenantSlug;

/// A file that is expected.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(any(feature = "aws", feature = "local")),
    expect(dead_code, reason = "only a place for uploads needs all of it")
)]
pub(crate) struct Expected<'a> {
    pub(crate) tenant: &'a TenantSlug,
    pub(crate) id: &'a ImportId,
    pub(crate) bytes: u64,
    pub(crate) now: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

#[cfg(feature = "aws")]
impl Expected<'_> {
    /// Where the file lies in the bucket: the function that imports finds tenant and name there.
    fn key(&self) -> String {
        format!("imports/{}/{}", self.tenant, self.id)
    }
}

/// An address, and the headers that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// No address could be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(String);

/// Where files are uploaded to.
#[derive(Debug, Clone)]
pub enum Uploads {
    /// A bucket, whose events start the import.
    #[cfg(feature = "aws")]
    S3 {
        /// The client.
        client: aws_sdk_s3::Client,
        /// The bucket.
        bucket: String,
    },
    /// A folder of this machine.
    #[cfg(feature = "local")]
    Folder(folder::Folder),
    /// Nowhere.
    Closed,
}

impl Uploads {
    pub(crate) async fn address(&self, expected: &Expected<'_>) -> Result<Address, AddressError> {
        match self {
            #[cfg(feature = "aws")]
            Self::S3 { client, bucket } => s3::address(client, bucket, expected).await,
            #[cfg(feature = "local")]
            Self::Folder(folder) => Ok(folder.address(expected)),
            Self::Closed => {
                Err(AddressError(format!("import {} has nowhere to go; expected a place", expected.id)))
            }
        }
    }
}
