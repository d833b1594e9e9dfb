//! Uploads: files that somebody was given an address for, and what became of them.
//!
//! Invariant: an upload is known before its file can come, and says under which key the import ledger has it. Where no
//! file ever comes, it is forgotten after [`UPLOAD_DAYS_KEPT`] days.

use chrono::{DateTime, Days, Utc};
use domain::ids::{ImportId, TenantId};
use serde::{Deserialize, Serialize};

use crate::backend::{Expression, Failure, Item, Query, Table, Write};
use crate::item::{Reader, keyed, set, set_some};
use crate::touch::clipped;
use crate::{ImportCounts, PAGE_ITEMS_MAX, Store, StoreError, failed, key};

/// For how many days an upload without a file is kept.
pub const UPLOAD_DAYS_KEPT: u64 = 7;

/// An upload that is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, which is the name of the file.
    pub id: ImportId,
    /// The number of the source; the moment of the upload where absent.
    pub sequence: Option<u64>,
    /// Who asked for it, by the id of the identity provider.
    pub requested_by: String,
    /// When.
    pub requested_at: DateTime<Utc>,
}

/// What an import wrote, and what it refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReport {
    /// Rows below the header.
    pub rows: u64,
    /// Rows that were refused.
    pub bad: u64,
    /// Rows that say again what an earlier one said.
    pub repeated: u64,
    /// Whether the same file had been imported before; then nothing was done.
    pub already_imported: bool,
    /// What was written. It counts repeated rows of its own, so it stands under a key of its own.
    pub counts: ImportCounts,
}

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadState {
    /// No file has come.
    Waiting,
    /// The file is read; the ledger knows it by this key.
    Reading {
        /// The key of the ledger.
        import_key: String,
    },
    /// It is imported.
    Done(UploadReport),
    /// The file as a whole was refused.
    Refused {
        /// Why; it names places of the file and no values.
        problem: String,
    },
}

/// An upload, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadRecord {
    /// The upload.
    pub upload: Upload,
    /// How far it is.
    pub state: UploadState,
}

/// A page of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPage {
    /// The uploads, the newest first.
    pub uploads: Vec<UploadRecord>,
    /// After which one the next page begins; `None` at the end.
    pub next: Option<ImportId>,
}

impl Store {
    /// Expects a file. Counted as `upload`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken.
    pub async fn expect_upload(&self, tenant: &TenantId, upload: &Upload) -> Result<(), StoreError> {
        let mut item = keyed(key::upload(tenant, &upload.id));
        set(&mut item, "st", "waiting");
        set_some(&mut item, "q", upload.sequence);
        set(&mut item, "by", upload.requested_by.as_str());
        set(&mut item, "at", upload.requested_at.timestamp_millis());
        let until = upload.requested_at.checked_add_days(Days::new(UPLOAD_DAYS_KEPT));
        set(&mut item, "ex", until.unwrap_or(upload.requested_at).timestamp());
        let put = Write::Put { table: Table::Ops, item, condition: Some(Expression::absent()) };
        self.write("upload", put).await.map_err(|failure| failed("upload", failure))
    }

    /// An upload; `None` where none was expected under this id. Counted as `upload`.
    ///
    /// # Errors
    /// [`StoreError`] when the read fails, or the item cannot be read.
    pub async fn upload(&self, tenant: &TenantId, id: &ImportId) -> Result<Option<UploadRecord>, StoreError> {
        self.get("upload", key::upload(tenant, id)).await?.map(|item| record_of(&item)).transpose()
    }

    /// The uploads of a tenant, the newest first, after one of them. `limit` is bounded by [`PAGE_ITEMS_MAX`].
    /// Counted as `upload`.
    ///
    /// # Errors
    /// [`StoreError`] when the query fails, or an item cannot be read.
    pub async fn uploads_page(
        &self,
        tenant: &TenantId,
        after: Option<&ImportId>,
        limit: u32,
    ) -> Result<UploadPage, StoreError> {
        let condition =
            Expression::of("#pk = :pk", &["pk"], vec![(":pk", key::upload_partition(tenant).into())]);
        let query = Query {
            table: Table::Ops,
            index: None,
            condition,
            consistent: true,
            limit: Some(limit.clamp(1, PAGE_ITEMS_MAX)),
            start: after.map(|id| keyed(key::upload(tenant, id))),
        };
        let page = self.query("upload", query).await?;
        let uploads = page.items.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
        let next = page.next.and_then(|_| uploads.last().map(|last| last.upload.id.clone()));
        Ok(UploadPage { uploads, next })
    }

    /// Notes that the file of an upload is read, and under which key the ledger has it. Counted as `upload`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when no such upload was expected.
    pub async fn begin_upload(
        &self,
        tenant: &TenantId,
        id: &ImportId,
        import_key: &str,
    ) -> Result<(), StoreError> {
        let values = vec![(":st", "reading".into()), (":ik", import_key.into())];
        let names = &["pk", "st", "ik", "ex", "rs", "j"];
        let update = "SET #st = :st, #ik = :ik REMOVE #ex, #rs, #j";
        self.update_upload(tenant, id, update, Expression::of("attribute_exists(#pk)", names, values)).await
    }

    /// Notes what became of the file of an upload. Counted as `upload`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when no such upload was expected.
    pub async fn finish_upload(
        &self,
        tenant: &TenantId,
        id: &ImportId,
        report: &UploadReport,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(report).expect("a report has only numbers under text keys");
        let values = vec![(":st", "done".into()), (":j", json.into())];
        let names = &["pk", "st", "j", "ex", "rs"];
        let update = "SET #st = :st, #j = :j REMOVE #ex, #rs";
        self.update_upload(tenant, id, update, Expression::of("attribute_exists(#pk)", names, values)).await
    }

    /// Notes that the file of an upload was refused as a whole. Counted as `upload`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when no such upload was expected.
    pub async fn refuse_upload(
        &self,
        tenant: &TenantId,
        id: &ImportId,
        problem: &str,
    ) -> Result<(), StoreError> {
        let values = vec![(":st", "refused".into()), (":rs", clipped(problem).into())];
        let names = &["pk", "st", "rs", "ex", "j"];
        let update = "SET #st = :st, #rs = :rs REMOVE #ex, #j";
        self.update_upload(tenant, id, update, Expression::of("attribute_exists(#pk)", names, values)).await
    }

    async fn update_upload(
        &self,
        tenant: &TenantId,
        id: &ImportId,
        update: &'static str,
        condition: Expression,
    ) -> Result<(), StoreError> {
        let write = Write::Update { key: key::upload(tenant, id), update, condition };
        match self.write("upload", write).await {
            Err(Failure::Condition(_)) => {
                let what = format!("no upload {id} is known; expected one that was asked for");
                Err(StoreError::Conflict { operation: "upload", what })
            }
            other => other.map_err(|failure| failed("upload", failure)),
        }
    }
}

fn record_of(item: &Item) -> Result<UploadRecord, StoreError> {
    let r = Reader::new("upload", item);
    let upload = Upload {
        id: r.read("sk", "an id of an import", key::upload_of)?,
        sequence: r.number_or("q")?,
        requested_by: r.text("by")?.to_owned(),
        requested_at: r.instant_or("at")?.ok_or_else(|| r.corrupt("at", "milliseconds since 1970"))?,
    };
    let state = match r.text("st")? {
        "waiting" => UploadState::Waiting,
        "reading" => UploadState::Reading { import_key: r.text("ik")?.to_owned() },
        "done" => UploadState::Done(r.read("j", "a report in JSON", |j| serde_json::from_str(j).ok())?),
        "refused" => UploadState::Refused { problem: r.text("rs")?.to_owned() },
        _ => return Err(r.corrupt("st", "waiting, reading, done or refused")),
    };
    Ok(UploadRecord { upload, state })
}
