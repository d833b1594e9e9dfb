//! Imports: an address to upload a file to, and what became of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::ids::ImportId;
use serde::{Deserialize, Serialize};

use crate::problem::Mistake;

/// The largest file that can be uploaded, in bytes.
pub const FILE_BYTES_MAX: u64 = 400 << 20;
/// How long an address for an upload can be used, in minutes.
pub const ADDRESS_MINUTES: u32 = 15;
/// How many imports a page has where the caller does not say.
pub const PAGE_DEFAULT: u32 = 20;
/// How many a page has at most.
pub const PAGE_MAX: u32 = 100;

/// Which mapping reads the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingName {
    /// The one of the tenant's settings, the only one that a tenant has.
    #[default]
    Settings,
}

/// `POST /v1/tenants/{tenant}/imports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// The size of the file, in bytes: 1 to [`FILE_BYTES_MAX`]. The address takes a file of this size and no other.
    pub bytes: u64,
    /// The number of the source: a file with a lower one never overwrites what a higher one said. The moment of the
    /// upload in milliseconds since 1970 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Which mapping reads it.
    #[serde(default)]
    pub mapping: MappingName,
}

impl NewImport {
    /// What is wrong with it; nothing where it can be used.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if !(1..=FILE_BYTES_MAX).contains(&self.bytes) {
            let expected = format!("1 to {FILE_BYTES_MAX} bytes");
            mistakes.push(Mistake::new("/bytes", format!("{} bytes", self.bytes), expected));
        }
        // The store keeps whole numbers up to this one exactly, in every backend and browser.
        if self.sequence.is_some_and(|sequence| sequence >= 1 << 53) {
            mistakes.push(Mistake::new("/sequence", "is too large", "a whole number below 2^53"));
        }
        mistakes
    }
}

/// Where to upload a file, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadAddress {
    /// The import that the file starts.
    pub id: ImportId,
    /// The HTTP method, `PUT`.
    pub method: String,
    /// The address. Whoever has it can upload, until it expires.
    pub url: String,
    /// The headers that the request must have.
    pub headers: BTreeMap<String, String>,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
}

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ImportState {
    /// No file has come.
    Waiting,
    /// The file is read.
    Reading {
        /// How many rows are surely stored.
        rows_done: u64,
    },
    /// It is imported.
    Done {
        /// Rows below the header; 0 where the same file was imported before and was not read again.
        rows: u64,
        /// Rows that were refused.
        bad: u64,
        /// Rows that say again what an earlier one said.
        repeated: u64,
        /// Whether the same file had been imported before; then nothing was done.
        already_imported: bool,
        /// How many of which kind of fact were written.
        counts: BTreeMap<String, u64>,
    },
    /// The file as a whole was refused.
    Refused {
        /// Why.
        problem: String,
    },
}

/// One import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportView {
    /// Its id.
    pub id: ImportId,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// By whom, by the id of the identity provider.
    pub requested_by: String,
    /// The number of the source, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// How far it is.
    #[serde(flatten)]
    pub state: ImportState,
}

/// `GET /v1/tenants/{tenant}/imports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportList {
    /// The imports, the newest first.
    pub imports: Vec<ImportView>,
    /// `after` of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<ImportId>,
}
