//! `ringfence data features`: candles from a CSV file, their indicator columns into another. Reads and writes files and
//! decides nothing: the figures are `domain::indicators`'. The output appears whole or not at all; it is written beside
//! its place and moved there when it is complete.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::domain::indicators::{Bar, FeatureRow, Features};

/// The columns that are read, by header name. The order is that of `Bar`.
const INPUT_COLUMNS: [&str; 5] = ["open", "high", "low", "close", "volume"];
const CLOSE: usize = 3;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// Data rows read, and as many written.
    pub rows: u64,
    /// Columns of the output.
    pub columns: usize,
}

/// Why no features were written.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    #[error("{path}: cannot read: {source}; give a readable CSV file, plain or gzip")]
    Open { path: PathBuf, source: io::Error },
    #[error("{path}: line {line}: cannot read: {why}; the file may be cut off or damaged")]
    Read { path: PathBuf, line: u64, why: String },
    #[error("{path}: column {column:?} expected once in the header, found {found}; name the columns open, high, low, close, volume")]
    Header { path: PathBuf, column: &'static str, found: String },
    #[error("{path}: line {line}: column {column:?} expected a number such as 61800.1, found {found:?}")]
    Number { path: PathBuf, line: u64, column: &'static str, found: String },
    #[error("{path}: cannot write: {source}; nothing was left behind")]
    Write { path: PathBuf, source: io::Error },
}

/// Reads `input`, plain or gzip, and writes its features to `output`, gzip when it ends in `.gz`.
///
/// # Errors
/// When a file cannot be read or written, a column is missing, or a cell is not a number. `output` is then as it was.
pub fn run(input: &Path, output: &Path) -> Result<Summary, FeaturesError> {
    let mut candles = Candles::open(input)?;
    let mut target = Target::create(output)?;
    let mut features = Features::default();
    let mut line = header();
    let columns = line.split(',').count();
    let mut rows = 0;
    target.write(&line)?;
    while let Some((bar, close)) = candles.next()? {
        write_row(&mut line, close, features.push(bar));
        target.write(&line)?;
        rows += 1;
    }
    target.finish()?;
    Ok(Summary { rows, columns })
}

fn header() -> String {
    let mut line = String::from("close");
    for (name, _) in FeatureRow::default().columns() {
        line.push(',');
        line.push_str(name);
    }
    line.push('\n');
    line
}

/// One row of output. `Display` of an `f64` is its shortest text that reads back as the same number.
fn write_row(line: &mut String, close: &str, row: &FeatureRow) {
    line.clear();
    line.push_str(close);
    for (_, value) in row.columns() {
        line.push(',');
        if let Some(value) = value {
            // Invariant: writing to a String cannot fail.
            let _ = write!(line, "{value}");
        }
    }
    line.push('\n');
}

/// The candles of a CSV file, one at a time.
struct Candles<'a> {
    path: &'a Path,
    reader: csv::Reader<Box<dyn Read>>,
    /// Where each of `INPUT_COLUMNS` stands.
    positions: [usize; 5],
    record: StringRecord,
}

impl<'a> Candles<'a> {
    fn open(path: &'a Path) -> Result<Self, FeaturesError> {
        let source = open_plain_or_gzip(path).map_err(|source| FeaturesError::Open { path: path.to_owned(), source })?;
        // Flexible: a short row is reported by the column that it lacks, and extra cells are as unread as extra columns.
        // Lines end in a line feed, a carriage return before it is trimmed as a blank: so lines are counted right in both
        // conventions.
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).terminator(csv::Terminator::Any(b'\n')).from_reader(source);
        let header = reader.headers().map_err(|error| read_error(path, 1, &error))?;
        let mut positions = [0; 5];
        for (position, column) in positions.iter_mut().zip(INPUT_COLUMNS) {
            *position = position_of(path, header, column)?;
        }
        Ok(Self { path, reader, positions, record: StringRecord::new() })
    }

    /// The next candle, and its close as it is written in the file.
    fn next(&mut self) -> Result<Option<(Bar, &str)>, FeaturesError> {
        loop {
            let more = self.reader.read_record(&mut self.record);
            if !more.map_err(|error| read_error(self.path, self.reader.position().line(), &error))? {
                return Ok(None);
            }
            // The reader skips empty lines, but for those that end in a carriage return too.
            if self.record.len() > 1 || self.record.get(0) != Some("") {
                break;
            }
        }
        let mut values = [0.0; 5];
        for (index, value) in values.iter_mut().enumerate() {
            *value = self.number(index)?;
        }
        let [open, high, low, close, volume] = values;
        let text = self.record.get(self.positions[CLOSE]).unwrap_or_default();
        Ok(Some((Bar { open, high, low, close, volume }, text)))
    }

    fn number(&self, index: usize) -> Result<f64, FeaturesError> {
        let found = self.record.get(self.positions[index]).unwrap_or_default();
        // Rust reads "nan" and "inf" as numbers, and 1e999 as infinity; a candle has none of them.
        found.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| FeaturesError::Number {
            path: self.path.to_owned(),
            // The reader stands behind the line that it has read.
            line: self.reader.position().line() - 1,
            column: INPUT_COLUMNS[index],
            found: found.to_owned(),
        })
    }
}

fn open_plain_or_gzip(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(File::open(path)?);
    // By content, not by name: a renamed file still reads.
    let gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    // So that the last line ends as every other does; an empty line more is skipped.
    let end = &b"\n"[..];
    Ok(if gzip { Box::new(MultiGzDecoder::new(file).chain(end)) } else { Box::new(file.chain(end)) })
}

fn position_of(path: &Path, header: &StringRecord, column: &'static str) -> Result<usize, FeaturesError> {
    // A spreadsheet may have put a byte order mark before the first name.
    let mut places = header.iter().enumerate().filter(|(_, name)| name.trim_start_matches('\u{feff}').eq_ignore_ascii_case(column));
    match (places.next(), places.next()) {
        (Some((position, _)), None) => Ok(position),
        (None, _) | (Some(_), Some(_)) => {
            let names: Vec<&str> = header.iter().collect();
            let found = if names.is_empty() { "an empty file".to_owned() } else { format!("the header {:?}", names.join(",")) };
            Err(FeaturesError::Header { path: path.to_owned(), column, found })
        }
    }
}

/// `line` is where the reader stands: in the line that it could not read, or behind the one that it could not decode.
fn read_error(path: &Path, line: u64, error: &csv::Error) -> FeaturesError {
    let (line, why) = match error.kind() {
        csv::ErrorKind::Io(error) => (line, error.to_string()),
        csv::ErrorKind::Utf8 { .. } => (line.saturating_sub(1).max(1), "expected text in UTF-8, found other bytes".to_owned()),
        _ => (line, error.to_string()),
    };
    FeaturesError::Read { path: path.to_owned(), line, why }
}

/// The output, beside its place until it is complete.
struct Target<'a> {
    path: &'a Path,
    partial: Partial,
    writer: Sink,
}

enum Sink {
    Plain(BufWriter<File>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
}

/// A file that is removed unless it was moved to its place.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // It is gone already when it was moved.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl<'a> Target<'a> {
    fn create(path: &'a Path) -> Result<Self, FeaturesError> {
        let failed = |source| FeaturesError::Write { path: path.to_owned(), source };
        let name = path.file_name().ok_or_else(|| failed(io::Error::other("expected the name of a file")))?;
        // In the same folder, so that the move is one step; by process, so that two runs do not share it.
        let partial = path.with_file_name(format!(".{}.{}.partial", name.to_string_lossy(), std::process::id()));
        let file = BufWriter::new(File::create(&partial).map_err(failed)?);
        let gzip = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let writer = if gzip { Sink::Gzip(Box::new(GzEncoder::new(file, Compression::default()))) } else { Sink::Plain(file) };
        Ok(Self { path, partial: Partial(partial), writer })
    }

    fn write(&mut self, text: &str) -> Result<(), FeaturesError> {
        let written = match &mut self.writer {
            Sink::Plain(writer) => writer.write_all(text.as_bytes()),
            Sink::Gzip(writer) => writer.write_all(text.as_bytes()),
        };
        written.map_err(|source| FeaturesError::Write { path: self.path.to_owned(), source })
    }

    /// Makes the file durable, then visible.
    fn finish(self) -> Result<(), FeaturesError> {
        let Self { path, partial, writer } = self;
        let place = || {
            let buffer = match writer {
                Sink::Plain(buffer) => buffer,
                Sink::Gzip(encoder) => encoder.finish()?,
            };
            buffer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            std::fs::rename(&partial.0, path)
        };
        place().map_err(|source| FeaturesError::Write { path: path.to_owned(), source })
    }
}
