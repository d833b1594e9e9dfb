//! Decoding: a sliding window of UTF-8 over the bytes of a file in its own encoding.
//!
//! Invariant: the window is valid UTF-8 at every moment; bytes that are no text stand in it as U+FFFD, so that
//! the row that holds them is refused and no other.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use domain::import::mapping::Encoding;
use encoding_rs::{CoderResult, Decoder, UTF_8, WINDOWS_1252};

/// How much is read and decoded at a time, and how much the encoding is guessed from, in bytes.
const CHUNK_BYTES: usize = 65_536;

/// The decoded text that is not consumed yet.
pub(crate) struct TextWindow<R> {
    input: R,
    raw: Box<[u8]>,
    /// Absent while everything so far was ASCII, which is the same in every encoding that is accepted.
    decoder: Option<Decoder>,
    text: Vec<u8>,
    start: usize,
    at_end: bool,
}

impl<R: Read> TextWindow<R> {
    pub(crate) fn new(input: R, encoding: Encoding) -> Self {
        let decoder = match encoding {
            Encoding::Auto => None,
            Encoding::Utf8 => Some(UTF_8.new_decoder()),
            Encoding::Windows1252 => Some(WINDOWS_1252.new_decoder()),
        };
        let raw = vec![0; CHUNK_BYTES].into_boxed_slice();
        Self { input, raw, decoder, text: Vec::new(), start: 0, at_end: false }
    }

    /// What is decoded and not consumed.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text[self.start..]
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.text.len());
    }

    /// Decodes more behind what is there; `false` when there is no more.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        self.text.drain(..self.start);
        self.start = 0;
        let before = self.text.len();
        while !self.at_end && self.text.len() == before {
            let read = self.read_chunk()?;
            self.at_end = read < self.raw.len();
            let chunk = &self.raw[..read];
            if self.decoder.is_none() {
                if chunk.is_ascii() {
                    self.text.extend_from_slice(chunk);
                    continue;
                }
                self.decoder = Some(guess(chunk, self.at_end));
            }
            if let Some(decoder) = &mut self.decoder {
                decode(decoder, chunk, self.at_end, &mut self.text);
            }
        }
        Ok(self.text.len() > before)
    }

    /// A whole chunk, or less at the end of the file only: the guess should see as much as it can.
    fn read_chunk(&mut self) -> io::Result<usize> {
        let mut filled = 0;
        while filled < self.raw.len() {
            match self.input.read(&mut self.raw[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

fn decode(decoder: &mut Decoder, mut chunk: &[u8], last: bool, text: &mut Vec<u8>) {
    loop {
        let written_before = text.len();
        let room = decoder.max_utf8_buffer_length(chunk.len()).unwrap_or(chunk.len()).max(16);
        text.resize(written_before + room, 0);
        let (result, read, written, _) = decoder.decode_to_utf8(chunk, &mut text[written_before..], last);
        text.truncate(written_before + written);
        chunk = &chunk[read..];
        match result {
            CoderResult::InputEmpty => return,
            CoderResult::OutputFull => {}
        }
    }
}

/// The decoder for a chunk with the first bytes that are not ASCII. A byte order mark beats every guess.
fn guess(chunk: &[u8], last: bool) -> Decoder {
    let (mut valid, mut invalid) = (0_usize, 0_usize);
    for part in chunk.utf8_chunks() {
        valid += part.valid().chars().filter(|c| !c.is_ascii()).count();
        invalid += usize::from(!part.invalid().is_empty());
    }
    // Western text hardly ever looks like UTF-8 by chance. A file with much sound UTF-8 and one broken byte is a
    // broken UTF-8 file: read as windows-1252 it would turn every accent into two wrong letters, unnoticed.
    if valid > invalid {
        return UTF_8.new_decoder();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(chunk, last);
    // The country only helps to tell Western encodings from Eastern ones.
    let guessed = detector.guess(Some(b"co"), Utf8Detection::Allow);
    // Lenders' files in Latin America are in UTF-8 or in the code page of a Western Windows.
    if guessed == UTF_8 { UTF_8.new_decoder() } else { WINDOWS_1252.new_decoder() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], encoding: Encoding) -> String {
        let mut window = TextWindow::new(bytes, encoding);
        while window.fill().unwrap() {}
        String::from_utf8(window.text().to_vec()).unwrap()
    }

    #[test]
    fn the_encoding_is_found_out() {
        let text = "Muñoz;Peña;Canción\n";
        let (latin, _, _) = WINDOWS_1252.encode(text);
        let utf16: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let with_mark = format!("\u{feff}{text}");
        for bytes in [text.as_bytes(), &latin, &utf16, with_mark.as_bytes()] {
            assert_eq!(decoded(bytes, Encoding::Auto), text);
        }
        assert_eq!(decoded(&latin, Encoding::Windows1252), text);
        assert_eq!(decoded(b"\xd1", Encoding::Auto), "Ñ");
    }

    #[test]
    fn the_guess_waits_for_the_first_text_that_is_not_ascii() {
        let mut bytes = vec![b'a'; CHUNK_BYTES * 2 + 5];
        bytes.extend_from_slice(b"Mu\xf1oz");
        assert!(decoded(&bytes, Encoding::Auto).ends_with("aMuñoz"));
    }

    #[test]
    fn a_letter_across_two_chunks_stays_whole() {
        for before in CHUNK_BYTES - 3..CHUNK_BYTES + 1 {
            let text = format!("é{}€ñ", "a".repeat(before - 2));
            assert_eq!(decoded(text.as_bytes(), Encoding::Auto), text);
        }
    }

    #[test]
    fn one_broken_byte_does_not_spoil_the_rest() {
        let mut bytes = "Muñoz Peña Núñez ".repeat(3).into_bytes();
        bytes.push(0xff);
        bytes.extend_from_slice("Ríos".as_bytes());
        let text = decoded(&bytes, Encoding::Auto);
        assert!(text.starts_with("Muñoz") && text.ends_with("\u{fffd}Ríos"), "{text}");
    }
}
