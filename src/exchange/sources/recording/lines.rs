//! The lines of a file, unpacked as they are read: plain, gzip or zip, told apart by the first bytes and not by the name.
//! Memory is bounded by the longest line.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// What is read at once: large enough that unpacking is not slowed by calls.
const CHUNK_BYTES: usize = 256 * 1024;
/// A snapshot of 5,000 levels a side is some 350 kB; a line of 16 MB is no frame.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) struct Lines {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet given out.
    filled: Range<usize>,
    line: Range<usize>,
    number: u64,
    done: bool,
    /// Over everything that was read, unpacked.
    checksum: flate2::Crc,
}

impl Lines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            reader: unpacked(File::open(path)?)?,
            buffer: vec![0; CHUNK_BYTES],
            filled: 0..0,
            line: 0..0,
            number: 0,
            done: false,
            checksum: flate2::Crc::new(),
        })
    }

    /// Goes to the next line that is not blank. An error ends the file; [`Lines::number`] is then the line it hit.
    pub(super) fn advance(&mut self) -> Option<io::Result<()>> {
        loop {
            match self.read_line() {
                Ok(true) if self.current().iter().all(u8::is_ascii_whitespace) => {}
                Ok(true) => return Some(Ok(())),
                Ok(false) => return None,
                Err(error) => {
                    self.done = true;
                    self.filled = 0..0;
                    return Some(Err(error));
                }
            }
        }
    }

    /// The line without its end.
    pub(super) fn current(&self) -> &[u8] {
        &self.buffer[self.line.clone()]
    }

    /// The CRC-32 of what was read so far, which no single changed digit escapes, and its length.
    pub(super) fn checksum(&self) -> (u32, u32) {
        (self.checksum.sum(), self.checksum.amount())
    }

    /// Counted from one, blank lines too.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn read_line(&mut self) -> io::Result<bool> {
        let mut searched = 0;
        loop {
            let window = &self.buffer[self.filled.clone()];
            if let Some(length) = memchr::memchr(b'\n', &window[searched..]).map(|at| at + searched) {
                self.give(length, 1);
                return Ok(true);
            }
            searched = window.len();
            if self.done {
                self.give(searched, 0);
                return Ok(searched > 0);
            }
            if let Err(error) = self.fill() {
                self.number += 1;
                return Err(error);
            }
        }
    }

    fn give(&mut self, length: usize, end: usize) {
        let start = self.filled.start;
        let mut line = start..start + length;
        if self.buffer[line.clone()].ends_with(b"\r") {
            line.end -= 1;
        }
        self.number += u64::from(length + end > 0);
        self.line = line;
        self.filled.start += length + end;
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.filled.end == self.buffer.len() {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
            if self.filled.end == self.buffer.len() {
                self.grow()?;
            }
        }
        match self.reader.read(&mut self.buffer[self.filled.end..]) {
            Ok(0) => self.done = true,
            Ok(count) => {
                self.checksum.update(&self.buffer[self.filled.end..self.filled.end + count]);
                self.filled.end += count;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn grow(&mut self) -> io::Result<()> {
        if self.buffer.len() >= LINE_BYTES_MAX {
            return Err(invalid(format!("expected a line of at most {LINE_BYTES_MAX} bytes, found a longer one")));
        }
        self.buffer.resize(self.buffer.len() * 2, 0);
        Ok(())
    }
}

fn unpacked(mut file: File) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = [0; 4];
    let mut filled = 0;
    while filled < magic.len() {
        match file.read(&mut magic[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    file.rewind()?;
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, file))),
        [b'P', b'K', 3, 4] => from_zip(file)?,
        _ => Box::new(file),
    })
}

/// The only file of an archive, as Binance's public data come. It is unpacked from its place in the file, so that the
/// reader owns all it needs.
fn from_zip(file: File) -> io::Result<Box<dyn Read + Send>> {
    let mut archive =
        zip::ZipArchive::new(file.try_clone()?).map_err(|error| invalid(format!("expected a sound zip archive, found: {error}")))?;
    if archive.len() != 1 {
        return Err(invalid(format!("expected one file in the zip archive, found {}; unpack it and give the files", archive.len())));
    }
    let entry = archive.by_index(0).map_err(|error| invalid(format!("expected a readable zip archive, found: {error}")))?;
    let (start, packed, crc, method) = (entry.data_start(), entry.compressed_size(), entry.crc32(), entry.compression());
    drop(entry);
    let mut file = file;
    file.seek(SeekFrom::Start(start))?;
    let body = BufReader::with_capacity(CHUNK_BYTES, file.take(packed));
    let inner: Box<dyn Read + Send> = match method {
        zip::CompressionMethod::Stored => Box::new(body),
        zip::CompressionMethod::Deflated => Box::new(flate2::read::DeflateDecoder::new(body)),
        other => return Err(invalid(format!("expected a stored or deflated zip entry, found {other}; unpack it and give the file"))),
    };
    Ok(Box::new(Checked { inner, crc: flate2::Crc::new(), expected: crc }))
}

/// Compares the checksum at the end, which a raw deflate stream does not do by itself.
struct Checked {
    inner: Box<dyn Read + Send>,
    crc: flate2::Crc,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.crc.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.crc.sum() != self.expected {
            return Err(invalid(format!(
                "expected the checksum {:08x}, found {:08x}; the archive is damaged",
                self.expected,
                self.crc.sum()
            )));
        }
        Ok(count)
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
