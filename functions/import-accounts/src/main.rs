//! The Lambda function `import-accounts`: imports a file that was put into the bucket for uploads.
//!
//! A file lies under `imports/<tenant>/<name>`; it is read with the mapping of the tenant's settings.

// The future of an SDK call is deep, and its layout is computed for the whole of main.
#![recursion_limit = "256"]

use std::io::{Seek, SeekFrom, Write};

use anyhow::{Context, bail};
use aws_lambda_events::event::s3::{S3Event, S3EventRecord};
use chrono::{DateTime, Utc};
use domain::ids::TenantId;
use import_accounts::upload::{Uploaded, import_upload};
use runtime::lambda::{aws_config, lambda_error, serve, start_log, store};
use runtime::metric::{Count, Step, count, timer};
use sha2::{Digest, Sha256};
use store::Store;

/// The largest file that is taken, in bytes.
const FILE_BYTES_MAX: i64 = 400 << 20;

struct Deps {
    store: Store,
    bucket: aws_sdk_s3::Client,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    start_log();
    let config = aws_config().await;
    let deps = &Deps { store: store(&config)?, bucket: aws_sdk_s3::Client::new(&config) };
    serve(&deps.store, async move |event: S3Event, now| {
        for record in event.records {
            import_object(deps, record, now).await.map_err(|e| lambda_error(format!("{e:#}")))?;
        }
        Ok(())
    })
    .await
}

async fn import_object(deps: &Deps, record: S3EventRecord, now: DateTime<Utc>) -> anyhow::Result<()> {
    let bucket = record.s3.bucket.name.context("the event names no bucket")?;
    let key =
        record.s3.object.url_decoded_key.or(record.s3.object.key).context("the event names no object")?;
    let (tenant, name) = match key.split('/').collect::<Vec<_>>()[..] {
        ["imports", tenant, name] => (TenantId::new(tenant)?, name.to_owned()),
        _ => bail!("the object lies elsewhere; expected imports/<tenant>/<name>"),
    };
    let (file, sha256) = download(deps, &bucket, &key).await?;
    let uploaded = Uploaded { tenant, name, sha256, uploaded_at: record.event_time };
    let mut problems = 0_u64;
    let on_bad = |error: &domain::import::row_error::RowError| {
        problems += 1;
        let column = error.column.as_deref().unwrap_or_default();
        tracing::warn!(line = error.line, column, code = error.code.as_str(), "bad row");
    };
    let timer = timer(Step::Import);
    let report = import_upload(&deps.store, &uploaded, file, now, on_bad).await?;
    drop(timer);
    if !report.already_imported {
        count(Count::RowsImported, report.rows - report.bad);
        count(Count::RowsRefused, report.bad);
    }
    tracing::info!(
        tenant = %uploaded.tenant, name = uploaded.name, rows = report.rows, bad = report.bad, problems,
        already_imported = report.already_imported, "file imported"
    );
    Ok(())
}

/// Brings an object to a temporary file, so that memory does not grow with it.
async fn download(deps: &Deps, bucket: &str, key: &str) -> anyhow::Result<(std::fs::File, String)> {
    let mut object = deps.bucket.get_object().bucket(bucket).key(key).send().await.context("the object")?;
    if object.content_length().is_none_or(|bytes| bytes > FILE_BYTES_MAX) {
        bail!("the object has {:?} bytes; expected at most {FILE_BYTES_MAX}", object.content_length());
    }
    let mut file = tempfile::tempfile().context("a temporary file")?;
    let mut hasher = Sha256::new();
    while let Some(bytes) = object.body.try_next().await.context("the object broke off")? {
        hasher.update(&bytes);
        file.write_all(&bytes)?;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((file, hasher.finalize().iter().map(|b| format!("{b:02x}")).collect()))
}
