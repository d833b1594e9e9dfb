//! The console: built, uploaded, and made known, as soon as its folder is there.
//!
//! Invariant: pages that name other files are uploaded last, so nobody gets a page whose parts are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use aws_sdk_s3::primitives::ByteStream;

use crate::cloud::{Cloud, because};

/// The most files that a console has.
const FILES_MAX: usize = 2_000;

/// Whether there is a console to deploy.
pub(crate) fn is_there(root: &Path) -> bool {
    root.join("admin-web/Cargo.toml").is_file()
}

/// Builds it and gives its files, the pages last.
pub(crate) fn build(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = root.join("admin-web");
    let built =
        Command::new("trunk").args(["build", "--release"]).current_dir(&folder).stdin(Stdio::null()).status();
    if !built.context("trunk could not be started; expected it on the path (cargo install trunk)")?.success()
    {
        bail!("the console could not be built; what trunk said stands above");
    }
    files(&folder.join("dist"))
}

fn files(dist: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![dist.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
            if found.len() > FILES_MAX {
                bail!("{} holds more than {FILES_MAX} files; expected a console", dist.display());
            }
        }
    }
    found.sort_by_key(|path| (path.extension().is_some_and(|e| e == "html"), path.clone()));
    Ok(found)
}

/// Uploads the files and makes CloudFront forget the old ones.
pub(crate) async fn publish(
    cloud: &Cloud,
    dist: &Path,
    files: &[PathBuf],
    bucket: &str,
    distribution: &str,
    reference: &str,
) -> anyhow::Result<()> {
    for path in files {
        let key = path.strip_prefix(dist).unwrap_or(path).to_string_lossy().into_owned();
        let body = ByteStream::from_path(path)
            .await
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let request = cloud
            .s3
            .put_object()
            .bucket(bucket)
            .key(&key)
            .content_type(content_type(path))
            .cache_control(cache_control(path))
            .body(body);
        request.send().await.map_err(|e| because(&format!("{key} could not be uploaded"), &e))?;
    }
    let paths = Paths::builder().quantity(1).items("/*").build()?;
    let batch = InvalidationBatch::builder().caller_reference(reference).paths(paths).build()?;
    let request =
        cloud.cloudfront.create_invalidation().distribution_id(distribution).invalidation_batch(batch);
    request.send().await.map_err(|e| because("CloudFront could not be told of the new console", &e))?;
    Ok(())
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Trunk puts a hash into the name of every file but the page, so only that may ever be out of date.
fn cache_control(path: &Path) -> &'static str {
    if path.extension().is_some_and(|e| e == "html") {
        "no-cache"
    } else {
        "public, max-age=31536000, immutable"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_last_and_are_asked_for_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("assets")).expect("a folder");
        for name in ["index.html", "app-1a2b.js", "app-1a2b_bg.wasm", "assets/logo.svg"] {
            std::fs::write(folder.path().join(name), "x").expect("a file");
        }
        let found = files(folder.path()).expect("they can be listed");
        assert_eq!(found.len(), 4);
        assert!(found[3].ends_with("index.html"));
        assert_eq!(cache_control(&found[3]), "no-cache");
        assert!(found[..3].iter().all(|f| cache_control(f).contains("immutable")));
        assert_eq!(content_type(Path::new("a.wasm")), "application/wasm");
    }
}
