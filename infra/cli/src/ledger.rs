//! Importing a file on this machine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use domain::import::mapping::Mapping;
use sha2::{Digest, Sha256};

/// How much of a file is hashed at once, in bytes.
const HASH_BLOCK_BYTES: usize = 1 << 16;

/// A file to import, with the digest of its bytes.
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) sha256: String,
}

impl Source {
    /// Opens a file and reads it once for its digest.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("the file {} cannot be read", path.display());
        let mut file = File::open(path).with_context(unreadable)?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; HASH_BLOCK_BYTES];
        loop {
            let read = file.read(&mut block).with_context(unreadable)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
        }
        file.seek(SeekFrom::Start(0)).with_context(unreadable)?;
        Ok(Self { file, sha256: hex(&hasher.finalize()) })
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Reads a mapping file: its text, and what it means.
pub(crate) fn mapping(path: &Path) -> anyhow::Result<(String, Arc<Mapping>)> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the mapping {} cannot be read", path.display()))?;
    let mapping = Mapping::parse(&text).with_context(|| format!("the mapping {}", path.display()))?;
    Ok((text, Arc::new(mapping)))
}
