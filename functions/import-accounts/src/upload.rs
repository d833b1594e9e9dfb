//! The import of an uploaded file: with the mapping of the tenant's settings, and with word of what became of it where
//! the upload was asked for.
//!
//! Invariant: a file that is refused as a whole is refused for good, and says so; anything else is worth another try.

use std::io::Read;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::ids::{ImportId, TenantId};
use domain::import::mapping::{Mapping, MappingError};
use domain::import::row_error::RowError;
use runtime::rules::{RulesError, tenant_settings};
use store::{Scope, Store, StoreError, UploadReport};

use crate::import::{ImportError, ImportJob, ImportReport, import_file, import_key};
use crate::reader::{FileError, ReadOptions};

/// A file that was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// For whom.
    pub tenant: TenantId,
    /// Its name: the id of the import where the upload was asked for.
    pub name: String,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// When it was uploaded; orders files that say no sequence.
    pub uploaded_at: DateTime<Utc>,
}

/// Why an uploaded file was not imported.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The tenant's settings.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The settings have no mapping.
    #[error("the settings of tenant {0} have no mapping; expected one before a file is uploaded")]
    NoMapping(TenantId),
    /// The mapping cannot be followed.
    #[error("the mapping of the tenant's settings: {0}")]
    Mapping(#[from] MappingError),
    /// The file as a whole cannot be read.
    #[error(transparent)]
    File(FileError),
    /// The import did not come to its end.
    #[error("the reader stopped without a word")]
    ReaderGone,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl UploadError {
    /// Whether the same file under the same settings would be refused again.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::NoMapping(_) | Self::Mapping(_) | Self::File(_) => true,
            Self::Rules(_) | Self::ReaderGone | Self::Store(_) => false,
        }
    }
}

impl From<ImportError> for UploadError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::File(error) => Self::File(error),
            ImportError::Store(error) => Self::Store(error),
            ImportError::ReaderGone => Self::ReaderGone,
        }
    }
}

/// Imports an uploaded file. `on_bad` sees every problem of every bad row.
///
/// # Errors
/// [`UploadError`] when the file is not imported. A final one is noted with the upload; after any other the same call
/// goes on where it was.
pub async fn import_upload<R: Read + Send + 'static>(
    store: &Store,
    uploaded: &Uploaded,
    input: R,
    now: DateTime<Utc>,
    on_bad: impl FnMut(&RowError),
) -> Result<ImportReport, UploadError> {
    let asked_for = match ImportId::new(&uploaded.name) {
        Ok(id) => store.upload(&uploaded.tenant, &id).await?.map(|record| record.upload),
        // A file that somebody put there under another name.
        Err(_) => None,
    };
    let sequence = asked_for.as_ref().and_then(|upload| upload.sequence);
    let id = asked_for.map(|upload| upload.id);
    let imported = import_with(store, uploaded, (id.as_ref(), sequence), input, now, on_bad).await;
    let Some(id) = id else { return imported };
    match &imported {
        Ok(report) => store.finish_upload(&uploaded.tenant, &id, &report_of(report)).await?,
        Err(error) if error.is_final() => {
            store.refuse_upload(&uploaded.tenant, &id, &error.to_string()).await?;
        }
        Err(_) => {}
    }
    imported
}

async fn import_with<R: Read + Send + 'static>(
    store: &Store,
    uploaded: &Uploaded,
    (id, sequence): (Option<&ImportId>, Option<u64>),
    input: R,
    now: DateTime<Utc>,
    on_bad: impl FnMut(&RowError),
) -> Result<ImportReport, UploadError> {
    let tenant = &uploaded.tenant;
    let settings = tenant_settings(store, tenant).await?;
    let text = settings.mapping.as_deref().ok_or_else(|| UploadError::NoMapping(tenant.clone()))?;
    let mapping = Arc::new(Mapping::parse(text)?);
    let as_of = now.with_timezone(&settings.time_zone).date_naive();
    let options = ReadOptions::default();
    let key = import_key(&uploaded.sha256, text, as_of, options);
    if let Some(id) = id {
        store.begin_upload(tenant, id, &key).await?;
    }
    // The moment of the upload orders the files: a late event of an older file changes nothing.
    let uploaded_ms = u64::try_from(uploaded.uploaded_at.timestamp_millis()).unwrap_or_default();
    let job = ImportJob {
        scope: Scope::new(tenant.clone(), settings.shards),
        sequence: sequence.unwrap_or(uploaded_ms),
        as_of,
        key,
        options,
    };
    Ok(import_file(store, &job, mapping, input, on_bad, |_| ()).await?)
}

fn report_of(report: &ImportReport) -> UploadReport {
    UploadReport {
        rows: report.rows,
        bad: report.bad,
        repeated: report.repeated,
        already_imported: report.already_imported,
        counts: report.counts,
    }
}

#[cfg(test)]
mod tests {
    use domain::tenant::Tenant;
    use store::{SettingsDoc, Upload, UploadState};

    use super::*;

    const FILE: &str = "cliente,cuota,vence,monto\nC-1,A-1,2026-12-01,1000\nC-2,A-2,mal,1000\n";
    const MAPPING: &str = r#"
        [file]
        kind = "accounts"
        date_formats = ["%Y-%m-%d"]
        decimal_sign = "."
        currency = "COP"
        [customer]
        id = "cliente"
        [contacts]
        made_up = { email_domain = "example.com", phone_region = "CO" }
        [obligation]
        id = "cuota"
        amount = "monto"
        due_on = "vence"
    "#;

    async fn store_with(mapping: Option<&str>) -> (Store, TenantId) {
        let store = Store::memory().unwrap();
        store.create_tables().await.unwrap();
        let demo: Tenant = toml::from_str(include_str!("../../../infra/demo/tenant.toml")).unwrap();
        let tenant = Tenant { mapping: mapping.map(str::to_owned), ..demo };
        let document = serde_json::to_string(&tenant).unwrap();
        store.put_settings(&tenant.id, &SettingsDoc { version: 1, document }).await.unwrap();
        (store, tenant.id)
    }

    fn now() -> DateTime<Utc> {
        "2026-11-20T15:00:00Z".parse().unwrap()
    }

    async fn uploaded(
        store: &Store,
        tenant: &TenantId,
        file: &'static str,
    ) -> Result<ImportReport, UploadError> {
        let id = ImportId::of(1, 1);
        let upload =
            Upload { id: id.clone(), sequence: Some(4), requested_by: "s".to_owned(), requested_at: now() };
        store.expect_upload(tenant, &upload).await.unwrap();
        let sha256 = "ab".to_owned();
        let told = Uploaded { tenant: tenant.clone(), name: id.to_string(), sha256, uploaded_at: now() };
        import_upload(store, &told, file.as_bytes(), now(), |_| ()).await
    }

    async fn state(store: &Store, tenant: &TenantId) -> UploadState {
        store.upload(tenant, &ImportId::of(1, 1)).await.unwrap().unwrap().state
    }

    #[tokio::test]
    async fn a_file_that_was_asked_for_tells_what_became_of_it() {
        let (store, tenant) = store_with(Some(MAPPING)).await;
        let report = uploaded(&store, &tenant, FILE).await.unwrap();
        assert_eq!((report.rows, report.bad), (2, 1));
        assert_eq!(state(&store, &tenant).await, UploadState::Done(report_of(&report)));
    }

    #[tokio::test]
    async fn what_is_refused_for_good_says_why() {
        let cases = [(None, FILE, "no mapping"), (Some(MAPPING), "", "empty"), (Some("x"), FILE, "mapping")];
        for (mapping, file, word) in cases {
            let (store, tenant) = store_with(mapping).await;
            assert!(uploaded(&store, &tenant, file).await.unwrap_err().is_final());
            let UploadState::Refused { problem } = state(&store, &tenant).await else { panic!("{word}") };
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_file_that_nobody_asked_for_is_imported_too() {
        let (store, tenant) = store_with(Some(MAPPING)).await;
        let name = "cartera.csv".to_owned();
        let told = Uploaded { tenant, name, sha256: "ab".to_owned(), uploaded_at: now() };
        let mut bad = 0;
        let report = import_upload(&store, &told, FILE.as_bytes(), now(), |_| bad += 1).await.unwrap();
        assert_eq!((report.rows, bad), (2, 1));
    }
}
