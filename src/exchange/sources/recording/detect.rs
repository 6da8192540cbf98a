//! What a file is: the kind of its lines, the symbols in it, the venue they come from and the digits of their numbers.
//! Looks at the first lines only; what it finds is then used for the whole file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::lines::Lines;
use super::rows::{Columns, cells};
use super::source::told_time;
use super::{Options, RecordingError};
use crate::domain::ids::Symbol;
use crate::domain::instrument::InstrumentKind;
use crate::domain::time::Timestamp;
use crate::exchange::instruments::QUOTES;
use crate::venues::grid::SCALE_MAX;

/// Lines looked at before reading: some ten seconds of a busy symbol, and a few dozen milliseconds of work.
pub(super) const PROBED_LINES_MAX: usize = 4096;

/// What the lines of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format {
    /// `<local ns> {frame}` or a frame alone.
    Raw,
    Rows(Columns),
}

#[derive(Debug)]
pub(super) struct Probe {
    pub format: Format,
    /// The symbol of lines that name none.
    pub symbol: Option<Symbol>,
    pub kind: InstrumentKind,
    pub observed: BTreeMap<Symbol, Digits>,
    /// Of candles.
    pub interval: Option<Duration>,
    /// The time of the first frame that tells one: those before it are as old.
    pub first_time: Option<Timestamp>,
}

/// The finest digits after the point, without trailing zeros.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digits {
    pub price: u32,
    quantity: u32,
    /// Levels of the book by the digits of their quantity.
    levels: [u32; SCALE_MAX as usize + 1],
}

impl Digits {
    fn of(price: u32, quantity: u32) -> Self {
        Self { price, quantity, ..Self::default() }
    }

    fn of_level(price: u32, quantity: u32) -> Self {
        let mut levels = [0; SCALE_MAX as usize + 1];
        levels[quantity as usize] = 1;
        Self { price, quantity: 0, levels }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.price = self.price.max(other.price);
        self.quantity = self.quantity.max(other.quantity);
        for (count, more) in self.levels.iter_mut().zip(other.levels) {
            *count += more;
        }
    }

    /// Those of trades and tickers, and those that more than one level in a hundred needs: the few finer ones are what is left
    /// of a time of smaller lots, and the codec takes their whole lots.
    pub(super) fn quantity(&self) -> u32 {
        let total: u32 = self.levels.iter().sum();
        let finer_than = |digits: u32| self.levels.iter().skip(digits as usize + 1).sum::<u32>();
        let of_levels = (0..=SCALE_MAX).find(|digits| finer_than(*digits) <= total / 100).unwrap_or(SCALE_MAX);
        self.quantity.max(of_levels)
    }
}

pub(super) fn probe(path: &Path, options: &Options) -> Result<Probe, RecordingError> {
    let unreadable = |error: std::io::Error| RecordingError::Unreadable { file: path.to_owned(), why: error.to_string() };
    let mut lines = Lines::open(path).map_err(unreadable)?;
    let mut found =
        Found { format: None, votes: 0, digits: BTreeMap::new(), unnamed: Digits::default(), times: Vec::new(), first_time: None };
    let mut first = String::new();
    for _ in 0..PROBED_LINES_MAX {
        match lines.advance() {
            Some(Ok(())) => found.look_at(lines.current()),
            // The reading itself will say so, with what stands before it.
            Some(Err(error)) if found.format.is_none() => return Err(unreadable(error)),
            Some(Err(_)) | None => break,
        }
        if first.is_empty() {
            first = String::from_utf8_lossy(lines.current()).chars().take(60).collect();
        }
    }
    let symbol = options.symbol.or_else(|| symbol_of_name(path));
    let format = found.format.clone().ok_or_else(|| RecordingError::Format { file: path.to_owned(), found: first })?;
    let kind = options.kind.or(found.kind()).or_else(|| kind_of_path(path)).unwrap_or(InstrumentKind::Spot);
    let interval = found.interval().or_else(|| interval_of_name(path));
    let mut observed = found.digits;
    if observed.is_empty() || matches!(format, Format::Rows(_)) {
        let symbol = symbol.ok_or_else(|| RecordingError::Symbol { file: path.to_owned() })?;
        observed.entry(symbol).or_default().merge(found.unnamed);
    }
    let only = observed.keys().next().copied().filter(|_| observed.len() == 1);
    let symbol = only.or(symbol.filter(|symbol| observed.contains_key(symbol)));
    Ok(Probe { format, symbol, kind, observed, interval, first_time: found.first_time })
}

struct Found {
    format: Option<Format>,
    /// Signs of USD-M minus signs of spot.
    votes: i64,
    digits: BTreeMap<Symbol, Digits>,
    unnamed: Digits,
    /// Open or close times of candles.
    times: Vec<i64>,
    first_time: Option<Timestamp>,
}

impl Found {
    fn look_at(&mut self, line: &[u8]) {
        match &self.format {
            None => self.classify(line),
            Some(Format::Raw) => self.look_at_frame(line),
            Some(Format::Rows(columns)) => {
                let columns = columns.clone();
                self.look_at_row(&columns, line);
            }
        }
    }

    fn classify(&mut self, line: &[u8]) {
        if body_of(line).1.first() == Some(&b'{') {
            self.format = Some(Format::Raw);
            return self.look_at_frame(line);
        }
        let Ok(cells) = cells(line) else { return };
        if let Some(columns) = Columns::from_header(&cells) {
            // USD-M's files of trades have a header, and no flag of the best match.
            let of_trades = cells.contains(&"quote_qty") && !cells.contains(&"is_best_match");
            self.votes += i64::from(of_trades || cells.contains(&"agg_trade_id"));
            self.format = Some(Format::Rows(columns));
        } else if let Some(columns) = Columns::from_row(&cells) {
            // The flag of the best match is spot's alone.
            let flags = cells.iter().filter(|cell| cell.eq_ignore_ascii_case("true") || cell.eq_ignore_ascii_case("false")).count();
            self.votes += match flags {
                0 => 0,
                1 => 1,
                _ => -1,
            };
            self.look_at_row(&columns, line);
            self.format = Some(Format::Rows(columns));
        }
    }

    fn look_at_row(&mut self, columns: &Columns, line: &[u8]) {
        let Ok(cells) = cells(line) else { return };
        let (prices, quantity) = columns.grid_cells(&cells);
        for price in prices {
            self.unnamed.price = self.unnamed.price.max(decimals(price));
        }
        self.unnamed.quantity = self.unnamed.quantity.max(quantity.map_or(0, decimals));
        if let Columns::Candles(columns) = columns
            && let Ok((open, _)) = columns.times(&cells, Duration::ZERO)
        {
            self.times.push(open.0);
        }
    }

    fn look_at_frame(&mut self, line: &[u8]) {
        self.first_time = self.first_time.or_else(|| told_time(line).ok().flatten());
        let Ok(frame) = serde_json::from_slice::<Value>(body_of(line).1) else { return };
        let payload = frame.get("data").unwrap_or(&frame);
        self.votes += venue_vote(payload);
        let stream = frame.get("stream").and_then(Value::as_str).and_then(|name| name.split_once('@')).map(|(name, _)| name);
        let name = payload.get("s").and_then(Value::as_str).or(stream);
        let digits = digits_of(payload);
        match name.and_then(|name| Symbol::new(&name.to_ascii_uppercase()).ok()) {
            Some(symbol) => self.digits.entry(symbol).or_default().merge(digits),
            None => self.unnamed.merge(digits),
        }
    }

    fn kind(&self) -> Option<InstrumentKind> {
        match self.votes {
            0 => None,
            1.. => Some(InstrumentKind::Perpetual),
            _ => Some(InstrumentKind::Spot),
        }
    }

    /// The commonest distance is the interval; a gap is larger than it, so the smallest is taken.
    fn interval(&self) -> Option<Duration> {
        let steps = self.times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).filter(|step| *step > 0);
        steps.min().and_then(|step| u64::try_from(step).ok()).map(Duration::from_nanos)
    }
}

/// A line's local time, as text, and its frame.
pub(super) fn body_of(line: &[u8]) -> (&[u8], &[u8]) {
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    let (time, rest) = line.split_at(digits);
    (time, rest.trim_ascii_start())
}

/// Which venue's shape a payload has: 1 USD-M, -1 spot, 0 either.
fn venue_vote(payload: &Value) -> i64 {
    let has = |key: &str| payload.get(key).is_some();
    let is_usdm = match payload.get("e").and_then(Value::as_str) {
        Some("depthUpdate") => has("pu"),
        Some("bookTicker" | "markPriceUpdate") => true,
        Some("trade" | "aggTrade") => !has("M"),
        None if has("u") && has("B") => false,
        _ => return 0,
    };
    if is_usdm { 1 } else { -1 }
}

fn digits_of(payload: &Value) -> Digits {
    let mut digits = Digits::default();
    let text = |key: &str| payload.get(key).and_then(Value::as_str).map_or(0, decimals);
    let kind = payload.get("e").and_then(Value::as_str);
    match kind {
        Some("trade" | "aggTrade") => digits = Digits::of(text("p"), text("q")),
        Some("bookTicker") | None => {
            digits = Digits::of(text("b").max(text("a")), text("B").max(text("A")));
        }
        _ => {}
    }
    for key in ["b", "a", "bids", "asks"] {
        for level in payload.get(key).and_then(Value::as_array).into_iter().flatten() {
            let cell = |index: usize| level.get(index).and_then(Value::as_str).map_or(0, decimals);
            digits.merge(Digits::of_level(cell(0), cell(1)));
        }
    }
    digits
}

/// Digits after the point that are needed to write the number.
fn decimals(text: &str) -> u32 {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction.trim_end_matches('0'));
    // A text longer than this is refused when it is read.
    u32::try_from(fraction.len()).unwrap_or(u32::MAX).min(SCALE_MAX)
}

/// The words of a file's name: `BTCUSDT-aggTrades-2024-08-08.csv`, `btcusdt_20240808.gz`.
fn words(path: &Path) -> Vec<String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect()
}

fn symbol_of_name(path: &Path) -> Option<Symbol> {
    words(path).into_iter().map(|word| word.to_ascii_uppercase()).find_map(|word| {
        let known = QUOTES.iter().any(|quote| word.len() > quote.len() && word.ends_with(quote));
        Symbol::new(&word).ok().filter(|_| known)
    })
}

fn kind_of_path(path: &Path) -> Option<InstrumentKind> {
    let text = path.to_string_lossy().to_ascii_lowercase();
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    if words.iter().any(|word| matches!(*word, "usdm" | "um" | "futures" | "perp" | "perpetual" | "fapi")) {
        return Some(InstrumentKind::Perpetual);
    }
    words.contains(&"spot").then_some(InstrumentKind::Spot)
}

/// `1m`, `15m`, `1h`, `1d` in the name, for a file of one candle.
fn interval_of_name(path: &Path) -> Option<Duration> {
    words(path).iter().find_map(|word| {
        let unit = match word.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let count: u64 = word[..word.len() - 1].parse().ok()?;
        count.checked_mul(unit).filter(|seconds| *seconds > 0).map(Duration::from_secs)
    })
}
