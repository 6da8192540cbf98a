//! Domain frames as Binance would send them: what the exchange carried inside publishes. What is written here is read back
//! by the decoder as the same frame; times are written in milliseconds, as Binance does by default.

use std::fmt::Write;

use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEventRef, MarketFrameRef, TradePrint};
use crate::domain::money::Price;
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
        })
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

    /// Appends a trade as `aggTrade` sends it: an aggregate of one.
    pub fn aggregate_trade(&self, at: Timestamp, trade: &TradePrint, out: &mut String) {
        self.head("aggTrade", at, out);
        let _ = write!(out, ",\"a\":{},\"p\":", trade.id);
        self.price(trade.price.0, out);
        out.push_str(",\"q\":");
        self.quantity(trade.quantity.0, out);
        let _ = write!(out, ",\"f\":{0},\"l\":{0},\"T\":{1},\"m\":{2}", trade.id, at.as_millis(), trade.buyer_is_maker);
        out.push_str(if self.kind == InstrumentKind::Spot { ",\"M\":true}" } else { "}" });
    }

    /// Appends the answer of `GET …/depth`.
    pub fn rest_depth(&self, at: Timestamp, snapshot: &DepthSnapshot, out: &mut String) {
        let _ = write!(out, "{{\"lastUpdateId\":{}", snapshot.last_id);
        if self.kind == InstrumentKind::Perpetual {
            let _ = write!(out, ",\"E\":{0},\"T\":{0}", at.as_millis());
        }
        self.levels(",\"bids\":", &snapshot.bids, out);
        self.levels(",\"asks\":", &snapshot.asks, out);
        out.push('}');
    }

    fn depth(&self, at: Timestamp, update: &DepthUpdate, out: &mut String) {
        self.head("depthUpdate", at, out);
        if self.kind == InstrumentKind::Perpetual {
            let _ = write!(out, ",\"T\":{}", at.as_millis());
        }
        let _ = write!(out, ",\"U\":{},\"u\":{}", update.first_id, update.final_id);
        if let Some(previous) = update.previous_id {
            let _ = write!(out, ",\"pu\":{previous}");
        }
        self.levels(",\"b\":", &update.bids, out);
        self.levels(",\"a\":", &update.asks, out);
        out.push('}');
    }

    /// USD-M sends a partial book in the shape of a diff, spot in the shape of the REST answer.
    fn partial_depth(&self, at: Timestamp, snapshot: &DepthSnapshot, out: &mut String) {
        if self.kind == InstrumentKind::Spot {
            return self.rest_depth(at, snapshot, out);
        }
        let id = snapshot.last_id;
        self.head("depthUpdate", at, out);
        let _ = write!(out, ",\"T\":{},\"U\":{id},\"u\":{id},\"pu\":{}", at.as_millis(), id.saturating_sub(1));
        self.levels(",\"b\":", &snapshot.bids, out);
        self.levels(",\"a\":", &snapshot.asks, out);
        out.push('}');
    }

    fn ticker(&self, at: Timestamp, ticker: &BookTicker, out: &mut String) {
        out.push('{');
        if self.kind == InstrumentKind::Perpetual {
            out.push_str("\"e\":\"bookTicker\",");
        }
        let _ = write!(out, "\"u\":{},\"s\":\"{}\",\"b\":", ticker.id, self.symbol);
        self.price(ticker.bid.price.0, out);
        out.push_str(",\"B\":");
        self.quantity(ticker.bid.quantity.0, out);
        out.push_str(",\"a\":");
        self.price(ticker.ask.price.0, out);
        out.push_str(",\"A\":");
        self.quantity(ticker.ask.quantity.0, out);
        if self.kind == InstrumentKind::Perpetual {
            let _ = write!(out, ",\"T\":{0},\"E\":{0}", at.as_millis());
        }
        out.push('}');
    }

    fn trade(&self, at: Timestamp, trade: &TradePrint, out: &mut String) {
        self.head("trade", at, out);
        let _ = write!(out, ",\"T\":{},\"t\":{},\"p\":", at.as_millis(), trade.id);
        self.price(trade.price.0, out);
        out.push_str(",\"q\":");
        self.quantity(trade.quantity.0, out);
        match self.kind {
            InstrumentKind::Spot => {
                let _ = write!(out, ",\"m\":{},\"M\":true}}", trade.buyer_is_maker);
            }
            InstrumentKind::Perpetual => {
                let _ = write!(out, ",\"X\":\"MARKET\",\"m\":{}}}", trade.buyer_is_maker);
            }
        }
    }

    /// The index and the settlement estimate are the mark itself: the exchange inside derives none of them apart.
    fn mark(&self, at: Timestamp, price: Price, out: &mut String) {
        const FUNDING_INTERVAL_MS: i64 = 8 * 3_600_000;
        let next_funding = (at.as_millis().div_euclid(FUNDING_INTERVAL_MS) + 1) * FUNDING_INTERVAL_MS;
        self.head("markPriceUpdate", at, out);
        let _ = write!(out, ",\"p\":\"{price}\",\"i\":\"{price}\",\"P\":\"{price}\",\"r\":\"0.00000000\",\"T\":{next_funding}}}");
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

    fn head(&self, kind: &str, at: Timestamp, out: &mut String) {
        let _ = write!(out, "{{\"e\":\"{kind}\",\"E\":{},\"s\":\"{}\"", at.as_millis(), self.symbol);
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

    fn price(&self, ticks: i64, out: &mut String) {
        out.push('"');
        self.grid.price.write(ticks, self.price_digits, out);
        out.push('"');
    }

    fn quantity(&self, lots: i64, out: &mut String) {
        out.push('"');
        self.grid.quantity.write(lots, self.quantity_digits, out);
        out.push('"');
    }
}

/// A candle shorter than a second has no name of Binance's; its stream is `0s`, which nobody can ask for.
fn interval_name(candle: &Candle) -> String {
    interval::interval_name(interval::candle_interval(candle)).unwrap_or_else(|| "0s".to_owned())
}
