//! Recorded markets from files: raw frames as a recorder took them off the socket, candle CSV, and Binance's public CSV of
//! aggTrades, trades and klines; plain, gzip or zip. Files are streamed with bounded memory and merged by time. What cannot
//! be read is told with file and line, and the reading goes on behind it if the caller likes.

mod detect;
mod lines;
mod rows;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{MarketFrame, MarketFrameRef};
use crate::exchange::instruments;
use crate::venues::binance::market::Other;
use crate::venues::grid::Grid;
use detect::{Digits, PROBED_LINES_MAX, Probe, probe};
use source::Source;

/// What the files do not say themselves.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The symbol of files that name none; else it is taken from the file's name.
    pub symbol: Option<Symbol>,
    /// Spot or perpetual; else it is recognised from the frames, then from the path.
    pub kind: Option<InstrumentKind>,
    /// Instruments to use instead of the bundled ones.
    pub instruments: Vec<Instrument>,
}

/// Why files cannot be replayed at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    #[error("{}: expected a readable recording, found: {why}", file.display())]
    Unreadable { file: PathBuf, why: String },
    #[error(
        "{}: expected Binance frames, candles (open,high,low,close,volume and a time) or Binance's aggTrades, trades or klines, found {found:?}",
        file.display()
    )]
    Format { file: PathBuf, found: String },
    #[error("{}: expected a symbol in the file's name such as BTCUSDT-trades.csv, found none; rename the file or name the symbol", file.display())]
    Symbol { file: PathBuf },
    #[error("{}: expected at least two candles, or the interval in the file's name such as BTCUSDT-1m.csv, found neither", file.display())]
    Interval { file: PathBuf },
    #[error("{symbol} expected from one venue, found spot in one file and USD-M in another; replay them apart")]
    TwoVenues { symbol: Symbol },
    #[error("{symbol}: {why}")]
    Grid { symbol: Symbol, why: String },
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{}:{line}: {why}", file.display())]
pub struct Undecodable {
    pub file: PathBuf,
    /// Counted from one.
    pub line: u64,
    pub why: String,
}

/// Several files as one stream of frames in the order of time.
pub struct Recording {
    sources: Vec<Source>,
    selected: usize,
    instruments: Vec<Instrument>,
    warnings: Vec<String>,
    others: BTreeMap<Other, u64>,
}

/// Those of the files that are of one product.
///
/// # Errors
/// When a file cannot be opened, or is of no known format.
pub fn files_of(kind: InstrumentKind, paths: &[PathBuf]) -> Result<Vec<PathBuf>, RecordingError> {
    let mut files = Vec::new();
    for path in paths {
        if probe(path, &Options::default())?.kind == kind {
            files.push(path.clone());
        }
    }
    Ok(files)
}

impl Recording {
    /// Looks at the first lines of every file, settles the instruments and opens the files for reading.
    ///
    /// # Errors
    /// When a file cannot be opened, is of no known format, or the files contradict each other.
    pub fn open(paths: &[PathBuf], options: &Options) -> Result<Self, RecordingError> {
        let mut probes = Vec::with_capacity(paths.len());
        for path in paths {
            probes.push((path.as_path(), probe(path, options)?));
        }
        let mut warnings = Vec::new();
        let instruments = settle_instruments(&probes, options, &mut warnings)?;
        let mut sources = Vec::with_capacity(probes.len());
        for (path, probe) in probes {
            sources.push(Source::open(path, probe, &instruments)?);
        }
        Ok(Self { sources, selected: 0, instruments, warnings, others: BTreeMap::new() })
    }

    /// The instruments of all symbols in the files, in the order of their names.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// What was assumed, in words for the user.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Lines so far that are sound and carry no market event.
    #[must_use]
    pub fn others(&self) -> &BTreeMap<Other, u64> {
        &self.others
    }

    /// Levels so far whose quantity had a part below one lot, which was left out.
    #[must_use]
    pub fn dust(&self) -> u64 {
        self.sources.iter().map(Source::dust).sum()
    }

    /// Checksum and length of what was read of each file, in the order named. A decoder leaves out what no market event needs
    /// (a second time, dust, columns of its own); here every digit counts.
    pub fn checksums(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.sources.iter().map(Source::checksum)
    }

    /// The next frame in time, its levels lent until the next call. `None` at the end of all files.
    pub fn next_frame(&mut self) -> Option<Result<MarketFrameRef<'_>, Undecodable>> {
        loop {
            self.selected = self.earliest()?;
            match self.sources[self.selected].take() {
                Ok(None) => break,
                Ok(Some(other)) => *self.others.entry(other).or_default() += 1,
                Err(undecodable) => return Some(Err(undecodable)),
            }
        }
        self.sources[self.selected].current().map(Ok)
    }

    /// The source with the earliest line; of several, the file named first.
    fn earliest(&mut self) -> Option<usize> {
        if let [source] = self.sources.as_mut_slice() {
            return source.peek().map(|_| 0);
        }
        let heads = self.sources.iter_mut().enumerate().filter_map(|(index, source)| Some((source.peek()?, index)));
        heads.min().map(|(_, index)| index)
    }
}

impl Iterator for Recording {
    type Item = Result<MarketFrame, Undecodable>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.next_frame()?.map(MarketFrameRef::to_owned))
    }
}

fn settle_instruments(probes: &[(&Path, Probe)], options: &Options, warnings: &mut Vec<String>) -> Result<Vec<Instrument>, RecordingError> {
    let mut symbols: BTreeMap<Symbol, (InstrumentKind, Digits)> = BTreeMap::new();
    for (_, probe) in probes {
        for (symbol, digits) in &probe.observed {
            let (kind, known) = symbols.entry(*symbol).or_insert((probe.kind, *digits));
            if *kind != probe.kind {
                return Err(RecordingError::TwoVenues { symbol: *symbol });
            }
            known.merge(*digits);
        }
    }
    symbols.into_iter().map(|(symbol, (kind, digits))| settle(symbol, kind, digits, options, warnings)).collect()
}

/// The configured or bundled instrument where the data fit its grid, else one with a grid that they fit.
fn settle(
    symbol: Symbol,
    kind: InstrumentKind,
    digits: Digits,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<Instrument, RecordingError> {
    let configured = options.instruments.iter().find(|instrument| instrument.symbol == symbol).cloned();
    let Some(known) = configured.or_else(|| instruments::bundled(kind, symbol)) else {
        let made = instruments::inferred(kind, symbol, digits.price, digits.quantity());
        warnings.push(format!(
            "{symbol} is not a bundled instrument: using tick size {} and step size {}, inferred from the first {PROBED_LINES_MAX} lines",
            made.price_step, made.quantity_step
        ));
        return Ok(made);
    };
    let grid = Grid::of(&known).map_err(|error| RecordingError::Grid { symbol, why: error.to_string() })?;
    let (price, quantity) = (digits.price.max(grid.price.scale), digits.quantity().max(grid.quantity.scale));
    if (price, quantity) == (grid.price.scale, grid.quantity.scale) {
        return Ok(known);
    }
    let made = instruments::inferred(kind, symbol, price, quantity);
    warnings.push(format!(
        "{symbol} does not fit its instrument (tick size {}, step size {}): using tick size {} and step size {}, inferred from the first \
         {PROBED_LINES_MAX} lines",
        known.price_step, known.quantity_step, made.price_step, made.quantity_step
    ));
    let (price_step, quantity_step) = (made.price_step.min(known.price_step), made.quantity_step.min(known.quantity_step));
    Ok(Instrument { price_step, quantity_step, min_quantity: known.min_quantity.min(quantity_step), ..known })
}

#[cfg(test)]
mod tests;
