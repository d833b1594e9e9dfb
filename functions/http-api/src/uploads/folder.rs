//! Uploads into a folder of this machine, in place of a bucket: the same steps for whoever uploads.
//!
//! Invariant: a file is there whole or not at all, and whoever imports hears of it after it is there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api_types::problem::Code;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path as InPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use chrono::{DateTime, Utc};
use domain::ids::ImportId;
use domain::tenant::TenantSlug;
use futures_util::StreamExt as _;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc::Sender;

use super::{Address, Expected, Uploads};
use crate::Deps;
use crate::guard::{Now, unknown};
use crate::identity::local::{LocalTokens, UploadGrant};
use crate::refusal::Refusal;

/// A file that was uploaded, for whoever imports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// For whom.
    pub tenant: TenantSlug,
    /// Which import.
    pub id: ImportId,
    /// Where it lies.
    pub path: PathBuf,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// When it was uploaded.
    pub uploaded_at: DateTime<Utc>,
}

/// A folder for uploads.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder; files lie in it as in the bucket.
    pub path: PathBuf,
    /// Where the API is served, such as `http://127.0.0.1:8080`.
    pub served_at: String,
    /// What signs the addresses.
    pub tokens: LocalTokens,
    /// Who is told of a file.
    pub arrived: Sender<Arrived>,
}

impl Folder {
    pub(super) fn address(&self, expected: &Expected<'_>) -> Address {
        let grant = UploadGrant {
            tenant: expected.tenant.to_string(),
            import: expected.id.to_string(),
            bytes: expected.bytes,
        };
        let token = self.tokens.grant(&grant, expected.now, expected.expires_at);
        let url = format!(
            "{}/v1/uploads/{}/{}?token={token}",
            self.served_at.trim_end_matches('/'),
            expected.tenant,
            expected.id
        );
        let headers = BTreeMap::from([("content-length".to_owned(), expected.bytes.to_string())]);
        Address { url, headers }
    }
}

/// The token of an address.
#[derive(Debug, Clone, Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
}

/// The route that takes files. The token of the address says which file it is for, in place of an identity.
pub(crate) fn routes(deps: Arc<Deps>) -> Router {
    Router::new()
        .route("/v1/uploads/{tenant}/{import}", put(take).fallback(unknown))
        .layer(DefaultBodyLimit::disable())
        .with_state(deps)
}

/// `PUT /v1/uploads/{tenant}/{import}`
async fn take(
    State(deps): State<Arc<Deps>>,
    axum::Extension(Now(now)): axum::Extension<Now>,
    place: Result<InPath<(String, String)>, PathRejection>,
    token: Result<Query<Token>, QueryRejection>,
    body: Body,
) -> Response {
    let (Uploads::Folder(folder), Ok(InPath((tenant, import))), Ok(Query(Token { token }))) =
        (&deps.uploads, place, token)
    else {
        return unknown().await;
    };
    let Some(grant) = folder.tokens.granted(&token, now).filter(|g| g.tenant == tenant && g.import == import)
    else {
        return unknown().await;
    };
    keep(folder, &grant, body, now)
        .await
        .map_or_else(IntoResponse::into_response, IntoResponse::into_response)
}

async fn keep(
    folder: &Folder,
    grant: &UploadGrant,
    body: Body,
    now: DateTime<Utc>,
) -> Result<StatusCode, Refusal> {
    let tenant = TenantSlug::new(&grant.tenant).map_err(|_| Refusal::not_found())?;
    let id = ImportId::new(&grant.import).map_err(|_| Refusal::not_found())?;
    let within = folder.path.join("imports").join(tenant.as_str());
    let path = within.join(id.as_str());
    let part = within.join(format!("{id}.{}.part", uuid::Uuid::new_v4().simple()));
    tokio::fs::create_dir_all(&within).await.map_err(|error| cannot_keep(&error))?;
    let written = write(&part, grant.bytes, body).await;
    let sha256 = match written {
        Ok(sha256) => sha256,
        Err(refusal) => {
            // What came of the file is of no use; a leftover is removed with the folder.
            let _ = tokio::fs::remove_file(&part).await;
            return Err(refusal);
        }
    };
    tokio::fs::rename(&part, &path).await.map_err(|error| cannot_keep(&error))?;
    let arrived = Arrived { tenant, id, path, sha256, uploaded_at: now };
    folder.arrived.send(arrived).await.map_err(|_| {
        Refusal::new(Code::Unavailable, "nobody imports files at present; the same request may be sent again")
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes a body into a file, at most as many bytes as were announced, and gives its digest.
async fn write(path: &Path, bytes: u64, body: Body) -> Result<String, Refusal> {
    let mut file = tokio::fs::File::create(path).await.map_err(|error| cannot_keep(&error))?;
    let mut hasher = Sha256::new();
    let mut left = bytes;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::new(Code::Malformed, "the file broke off"))?;
        left = left.checked_sub(chunk.len() as u64).ok_or_else(|| other_size(bytes))?;
        hasher.update(&chunk);
        file.write_all(&chunk).await.map_err(|error| cannot_keep(&error))?;
    }
    if left > 0 {
        return Err(other_size(bytes));
    }
    file.flush().await.map_err(|error| cannot_keep(&error))?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn other_size(bytes: u64) -> Refusal {
    Refusal::new(Code::Malformed, "the file has another size than was announced")
        .detail(format!("expected {bytes} bytes"))
}

fn cannot_keep(error: &std::io::Error) -> Refusal {
    tracing::error!(%error, "an uploaded file cannot be kept");
    Refusal::new(Code::Unavailable, "the file cannot be kept now")
}
