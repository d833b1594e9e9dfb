//! The zip of one function.
//!
//! Invariant: the same binary gives the same bytes, so that a deployment of unchanged code uploads and changes nothing.

use std::io::{Cursor, Write};

use anyhow::Context;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// What Lambda starts in a zip for `provided.al2023`.
const BOOTSTRAP: &str = "bootstrap";
/// Anybody may read and start it; nobody writes.
const MODE: u32 = 0o755;

/// A file that is uploaded under the hash of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Where it lies in the bucket: what it is, then its hash.
    pub(crate) key: String,
    /// The hash of its bytes, in hexadecimal.
    pub(crate) hash: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// How hard a zip is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As small as it gets: every cold start loads it.
    Small,
    /// Soon done, for what never leaves this machine.
    Fast,
}

impl Effort {
    /// The level of the deflate algorithm.
    fn level(self) -> i64 {
        match self {
            Effort::Small => 9,
            Effort::Fast => 1,
        }
    }
}

/// The zip of a function's binary.
///
/// # Errors
///
/// Where the zip cannot be written, which only a binary of 4 GiB does.
pub(crate) fn function(name: &str, binary: &[u8], effort: Effort) -> anyhow::Result<Archive> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(effort.level()))
        .last_modified_time(DateTime::default())
        .unix_permissions(MODE);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(BOOTSTRAP, options)
        .and_then(|()| Ok(zip.write_all(binary)?))
        .and_then(|()| zip.finish())
        .map(|cursor| {
            let bytes = cursor.into_inner();
            let hash = hash(&bytes);
            Archive { key: format!("functions/{name}/{hash}.zip"), hash, bytes }
        })
        .with_context(|| format!("{name} could not be zipped"))
}

/// The template, which is too long to be sent along with a call.
pub(crate) fn template(text: &str) -> Archive {
    let hash = hash(text.as_bytes());
    Archive { key: format!("templates/{hash}.yaml"), hash, bytes: text.as_bytes().to_vec() }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_zip_and_another_gives_another() {
        let one = function("send-email", b"\x7fELF one", Effort::Small).expect("it can be zipped");
        assert_eq!(one, function("send-email", b"\x7fELF one", Effort::Small).expect("it can be zipped"));
        assert_ne!(
            one.key,
            function("send-email", b"\x7fELF two", Effort::Small).expect("it can be zipped").key
        );
    }

    #[test]
    fn lambda_finds_a_program_it_may_start() {
        let made = function("send-email", b"\x7fELF one", Effort::Small).expect("it can be zipped");
        let mut zip = zip::ZipArchive::new(Cursor::new(made.bytes)).expect("a zip");
        let mut file = zip.by_name(BOOTSTRAP).expect("it holds a bootstrap");
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(MODE));
        let mut binary = Vec::new();
        file.read_to_end(&mut binary).expect("it can be read");
        assert_eq!(binary, b"\x7fELF one");
    }
}
