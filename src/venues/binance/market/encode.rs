//! Domain frames as Binance would send them: what the exchange carried inside publishes. What is written here is read back
//! by the decoder as the same frame; times are written in milliseconds, as Binance does by default.

use std::fmt::Write;

use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEventRef, MarketFrameRef, TradePrint};
use crate::domain::money::{Price, Ratio};
use crate::domain::time::Timestamp;
use crate::venues::binance::interval;
use crate::venues::grid::{Grid, StepError};

/// Spot pads every decimal to eight digits.
const SPOT_DIGITS: u32 = 8;

/// Writes the market frames of one instrument.
#[derive(Debug, Clone)]
pub struct Encoder {
    symbol: String,
    stream_prefix: String,
    kind: InstrumentKind,
    grid: Grid,
    price_digits: u32,
    quantity_digits: u32,
    plain: bool,
}

// Writing to a String cannot fail, so the results of `write!` are dropped throughout.
impl Encoder {
    /// # Errors
    /// When a step of the instrument cannot be a grid.
    pub fn new(instrument: &Instrument) -> Result<Self, StepError> {
        let (price_digits, quantity_digits) = match instrument.kind {
            InstrumentKind::Spot => (SPOT_DIGITS, SPOT_DIGITS),
            InstrumentKind::Perpetual => (instrument.price_step.0.scale(), instrument.quantity_step.0.scale()),
        };
        Ok(Self {
            symbol: instrument.symbol.to_string(),
            stream_prefix: instrument.symbol.as_str().to_ascii_lowercase(),
            kind: instrument.kind,
            grid: Grid::of(instrument)?,
            price_digits,
            quantity_digits,
            plain: false,
        })
    }

    /// Without the fields that USD-M has taken on since 2025 (`nq`, `ap`, `ps`, `st`): what its look-alikes send.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Whether USD-M's newer fields are written.
    fn has_extras(&self) -> bool {
        self.kind == InstrumentKind::Perpetual && !self.plain
    }

    #[must_use]
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// Appends the pair and the kind of symbol, which end most of USD-M's frames.
    pub fn pair_and_kind(&self, out: &mut String) {
        if self.has_extras() {
            let _ = write!(out, ",\"ps\":\"{}\",\"st\":1", self.symbol);
        }
    }

    /// The stream that such a frame comes on: `btcusdt@depth@100ms`.
    #[must_use]
    pub fn stream_name(&self, event: &MarketEventRef<'_>) -> String {
        let prefix = &self.stream_prefix;
        match event {
            MarketEventRef::Depth(_) => format!("{prefix}@depth@100ms"),
            MarketEventRef::Snapshot(_) => format!("{prefix}@depth20@100ms"),
            MarketEventRef::Ticker(_) => format!("{prefix}@bookTicker"),
            MarketEventRef::Trade(_) => format!("{prefix}@trade"),
            MarketEventRef::Mark(_) => format!("{prefix}@markPrice@1s"),
            MarketEventRef::Candle(candle) => format!("{prefix}@kline_{}", interval_name(candle)),
        }
    }

    /// Appends a combined-stream frame: `{"stream":…,"data":…}`.
    pub fn frame(&self, frame: &MarketFrameRef<'_>, out: &mut String) {
        self.frame_of(&self.stream_name(&frame.event), frame, out);
    }

    /// As [`Encoder::frame`], under the name that the client subscribed to.
    pub fn frame_of(&self, stream: &str, frame: &MarketFrameRef<'_>, out: &mut String) {
        let _ = write!(out, "{{\"stream\":\"{stream}\",\"data\":");
        self.payload(frame, out);
        out.push('}');
    }

    /// Appends what a raw stream (`/ws/…`) sends.
    pub fn payload(&self, frame: &MarketFrameRef<'_>, out: &mut String) {
        let at = frame.venue_time;
        match &frame.event {
            MarketEventRef::Depth(update) => self.depth(at, update, out),
            MarketEventRef::Snapshot(snapshot) => self.partial_depth(at, snapshot, out),
            MarketEventRef::Ticker(ticker) => self.ticker(at, ticker, out),
            MarketEventRef::Trade(trade) => self.trade(at, trade, out),
            MarketEventRef::Mark(price) => self.mark(at, *price, out),
            MarketEventRef::Candle(candle) => self.candle(at, candle, out),
        }
    }

    /// Appends several trades as one: `total` has their price, side and whole quantity.
    pub fn aggregate(&self, at: Timestamp, traded_at: Timestamp, id: u64, total: &TradePrint, ids: (u64, u64), out: &mut String) {
        self.head("aggTrade", at, out);
        let _ = write!(out, ",\"a\":{id},\"p\":");
        self.price(total.price.0, out);
        out.push_str(",\"q\":");
        self.quantity(total.quantity.0, out);
        if self.has_extras() {
            out.push_str(",\"nq\":");
            self.quantity(total.quantity.0, out);
        }
        let _ = write!(out, ",\"f\":{},\"l\":{},\"T\":{},\"m\":{}", ids.0, ids.1, traded_at.as_millis(), total.buyer_is_maker);
        out.push_str(match self.kind {
            InstrumentKind::Spot => ",\"M\":true}",
            InstrumentKind::Perpetual if self.plain => "}",
            InstrumentKind::Perpetual => ",\"st\":1}",
        });
    }

    /// Appends the answer of `GET …/depth`.
    pub fn rest_depth(&self, at: Timestamp, traded_at: Timestamp, snapshot: &DepthSnapshot, out: &mut String) {
        let _ = write!(out, "{{\"lastUpdateId\":{}", snapshot.last_id);
        if self.kind == InstrumentKind::Perpetual {
            let _ = write!(out, ",\"E\":{},\"T\":{}", at.as_millis(), traded_at.as_millis());
        }
        self.levels(",\"bids\":", &snapshot.bids, out);
        self.levels(",\"asks\":", &snapshot.asks, out);
        out.push('}');
    }

    fn depth(&self, at: Timestamp, update: &DepthUpdate, out: &mut String) {
        self.diff(at, at, update, out);
    }

    /// Appends a diff that is sent at `at` and was true at `traded_at`.
    pub fn diff(&self, at: Timestamp, traded_at: Timestamp, update: &DepthUpdate, out: &mut String) {
        let (ids, previous) = ((update.first_id, update.final_id), update.previous_id);
        self.depth_update(at, traded_at, ids, previous, (&update.bids, &update.asks), out);
    }

    fn depth_update(
        &self,
        at: Timestamp,
        traded_at: Timestamp,
        (first, last): (u64, u64),
        previous: Option<u64>,
        (bids, asks): (&[Level], &[Level]),
        out: &mut String,
    ) {
        match self.kind {
            InstrumentKind::Spot => self.head("depthUpdate", at, out),
            InstrumentKind::Perpetual => self.timed_head("depthUpdate", at, traded_at, out),
        }
        let _ = write!(out, ",\"U\":{first},\"u\":{last}");
        if self.kind == InstrumentKind::Perpetual {
            let _ = write!(out, ",\"pu\":{}", previous.unwrap_or(first.saturating_sub(1)));
        }
        self.levels(",\"b\":", bids, out);
        self.levels(",\"a\":", asks, out);
        self.pair_and_kind(out);
        out.push('}');
    }

    /// USD-M sends a partial book in the shape of a diff, spot in the shape of the REST answer.
    fn partial_depth(&self, at: Timestamp, snapshot: &DepthSnapshot, out: &mut String) {
        let id = snapshot.last_id;
        self.partial(at, at, snapshot, (id, id, id.saturating_sub(1)), out);
    }

    /// The same with the ids (`U`, `u`, `pu`) of the diffs since the last one.
    pub fn partial(
        &self,
        at: Timestamp,
        traded_at: Timestamp,
        book: &DepthSnapshot,
        (first, last, previous): (u64, u64, u64),
        out: &mut String,
    ) {
        if self.kind == InstrumentKind::Spot {
            return self.rest_depth(at, at, book, out);
        }
        self.depth_update(at, traded_at, (first, last), Some(previous), (&book.bids, &book.asks), out);
    }

    pub fn ticker(&self, at: Timestamp, ticker: &BookTicker, out: &mut String) {
        let usdm = self.kind == InstrumentKind::Perpetual;
        out.push('{');
        if usdm {
            out.push_str("\"e\":\"bookTicker\",");
        }
        let _ = write!(out, "\"u\":{}", ticker.id);
        if usdm {
            let _ = write!(out, ",\"E\":{0},\"T\":{0}", at.as_millis());
        }
        let _ = write!(out, ",\"s\":\"{}\"", self.symbol);
        if self.has_extras() {
            let _ = write!(out, ",\"ps\":\"{}\"", self.symbol);
        }
        for (keys, level) in [((",\"b\":", ",\"B\":"), ticker.bid), ((",\"a\":", ",\"A\":"), ticker.ask)] {
            out.push_str(keys.0);
            self.price(level.price.0, out);
            out.push_str(keys.1);
            self.quantity(level.quantity.0, out);
        }
        out.push_str(if self.has_extras() { ",\"st\":1}" } else { "}" });
    }

    pub fn trade(&self, at: Timestamp, trade: &TradePrint, out: &mut String) {
        match self.kind {
            InstrumentKind::Spot => self.head("trade", at, out),
            InstrumentKind::Perpetual => self.timed_head("trade", at, at, out),
        }
        let _ = write!(out, ",\"t\":{},\"p\":", trade.id);
        self.price(trade.price.0, out);
        out.push_str(",\"q\":");
        self.quantity(trade.quantity.0, out);
        let _ = match self.kind {
            InstrumentKind::Spot => write!(out, ",\"T\":{},\"m\":{},\"M\":true}}", at.as_millis(), trade.buyer_is_maker),
            InstrumentKind::Perpetual => write!(out, ",\"X\":\"MARKET\",\"m\":{}}}", trade.buyer_is_maker),
        };
    }

    /// A mark without what belongs to it is told with the last known way of the venue: no funding, the next eight hours.
    fn mark(&self, at: Timestamp, price: Price, out: &mut String) {
        const FUNDING_INTERVAL_MS: i64 = 8 * 3_600_000;
        let next_funding = (at.as_millis().div_euclid(FUNDING_INTERVAL_MS) + 1) * FUNDING_INTERVAL_MS;
        self.mark_with(
            at,
            &Premium { mark: price, index: price, rate: Ratio::ZERO, next_funding: Timestamp::from_millis(next_funding) },
            out,
        );
    }

    /// Appends a mark with its index and its funding. The settlement estimate is the index.
    pub fn mark_with(&self, at: Timestamp, premium: &Premium, out: &mut String) {
        self.head("markPriceUpdate", at, out);
        let (mark, index) = (premium.mark.0, premium.index.0);
        let _ = write!(out, ",\"p\":\"{mark:.8}\",\"i\":\"{index:.8}\",\"P\":\"{index:.8}\",\"r\":\"{:.8}\"", premium.rate.0);
        if self.has_extras() {
            let _ = write!(out, ",\"ap\":\"{mark:.8}\"");
        }
        let _ = write!(out, ",\"T\":{}", premium.next_funding.as_millis());
        out.push_str(if self.has_extras() { ",\"st\":1}" } else { "}" });
    }

    fn candle(&self, at: Timestamp, candle: &Candle, out: &mut String) {
        self.head("kline", at, out);
        let _ = write!(
            out,
            ",\"k\":{{\"t\":{},\"T\":{},\"s\":\"{}\",\"i\":\"{}\",\"f\":-1,\"L\":-1,\"o\":\"{}\",\"c\":\"{}\",\"h\":\"{}\",\"l\":\"{}\",\
             \"v\":\"{}\",\"n\":{},\"x\":true,\"q\":\"{}\",\"V\":\"0\",\"Q\":\"0\",\"B\":\"0\"}}}}",
            candle.open_time.as_millis(),
            candle.close_time.as_millis(),
            self.symbol,
            interval_name(candle),
            candle.open,
            candle.close,
            candle.high,
            candle.low,
            candle.volume,
            candle.trades,
            candle.quote_volume,
        );
    }

    /// Appends `{"e":…,"E":…,"s":…`.
    pub fn head(&self, kind: &str, at: Timestamp, out: &mut String) {
        let _ = write!(out, "{{\"e\":\"{kind}\",\"E\":{},\"s\":\"{}\"", at.as_millis(), self.symbol);
    }

    /// USD-M says the time of the trade before the symbol.
    fn timed_head(&self, kind: &str, at: Timestamp, traded_at: Timestamp, out: &mut String) {
        let _ = write!(out, "{{\"e\":\"{kind}\",\"E\":{},\"T\":{},\"s\":\"{}\"", at.as_millis(), traded_at.as_millis(), self.symbol);
    }

    fn levels(&self, key: &str, levels: &[Level], out: &mut String) {
        out.push_str(key);
        out.push('[');
        for (index, level) in levels.iter().enumerate() {
            out.push_str(if index == 0 { "[" } else { ",[" });
            self.price(level.price.0, out);
            out.push(',');
            self.quantity(level.quantity.0, out);
            out.push(']');
        }
        out.push(']');
    }

    /// Appends a price in quotes.
    pub fn price(&self, ticks: i64, out: &mut String) {
        out.push('"');
        self.grid.price.write(ticks, self.price_digits, out);
        out.push('"');
    }

    /// Appends a quantity in quotes.
    pub fn quantity(&self, lots: i64, out: &mut String) {
        out.push('"');
        self.grid.quantity.write(lots, self.quantity_digits, out);
        out.push('"');
    }

    /// Appends ticks times lots as money in quotes.
    pub fn money(&self, turnover: i128, out: &mut String) {
        let (price, quantity) = (self.grid.price, self.grid.quantity);
        let units = turnover.saturating_mul(i128::from(price.mantissa)).saturating_mul(i128::from(quantity.mantissa));
        let scale = price.scale + quantity.scale;
        let digits = if self.kind == InstrumentKind::Spot { SPOT_DIGITS } else { self.price_digits + self.quantity_digits };
        out.push('"');
        write_units(units, scale, digits, out);
        out.push('"');
    }

    /// Appends what a unit cost on average, in quotes: turnover by lots.
    pub fn average(&self, turnover: i128, lots: i128, out: &mut String) {
        let digits = self.price_digits.max(self.grid.price.scale);
        let power = 10_i128.pow(digits - self.grid.price.scale);
        let units = turnover.saturating_mul(i128::from(self.grid.price.mantissa)).saturating_mul(power);
        let average = if lots == 0 { 0 } else { (units + lots / 2) / lots };
        out.push('"');
        write_units(average, digits, digits, out);
        out.push('"');
    }
}

/// What belongs to a mark price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Premium {
    pub mark: Price,
    pub index: Price,
    /// What was paid, or will be, at the next funding.
    pub rate: Ratio,
    pub next_funding: Timestamp,
}

/// Writes `units × 10^-scale` with `digits` digits after the point, or fewer than its scale has, cut off.
pub fn write_units(units: i128, scale: u32, digits: u32, out: &mut String) {
    let cut = scale.saturating_sub(digits);
    let (units, scale) = (units / 10_i128.pow(cut), scale - cut);
    let (sign, units, power) = (if units < 0 { "-" } else { "" }, units.unsigned_abs(), 10_u128.pow(scale));
    let _ = write!(out, "{sign}{}", units / power);
    if digits > 0 {
        out.push('.');
    }
    if scale > 0 {
        let _ = write!(out, "{:0width$}", units % power, width = scale as usize);
    }
    out.extend(std::iter::repeat_n('0', (digits - scale) as usize));
}

/// A candle shorter than a second has no name of Binance's; its stream is `0s`, which nobody can ask for.
fn interval_name(candle: &Candle) -> String {
    interval::interval_name(interval::candle_interval(candle)).unwrap_or_else(|| "0s".to_owned())
}
