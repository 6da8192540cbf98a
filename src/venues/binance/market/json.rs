//! The whole truth about a frame: a real JSON parser, for every shape that the scanner leaves alone (klines, mark prices,
//! unusual order or spacing) and for saying in words what is wrong with a bad one.

use std::borrow::Cow;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{DecodeError, Decoder, Other, Parsed, Shape, StreamName, time_of};
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{BookTicker, Candle, Level, TradePrint};
use crate::domain::money::Price;
use crate::domain::time::Timestamp;
use crate::venues::grid::{Grid, Step, StepMiss};

/// What of a wrong text is shown: enough to recognise it, little enough for a log line.
const EXCERPT_MAX: usize = 60;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Every field that any of the kinds uses. The same letter means different things in different kinds, so all are raw.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    e: Option<&'a RawValue>,
    #[serde(borrow, rename = "E")]
    event_time: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow, rename = "U")]
    first_id: Option<&'a RawValue>,
    #[serde(borrow)]
    u: Option<&'a RawValue>,
    #[serde(borrow)]
    pu: Option<&'a RawValue>,
    #[serde(borrow)]
    b: Option<&'a RawValue>,
    #[serde(borrow)]
    a: Option<&'a RawValue>,
    #[serde(borrow, rename = "B")]
    bid_quantity: Option<&'a RawValue>,
    #[serde(borrow, rename = "A")]
    ask_quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    p: Option<&'a RawValue>,
    #[serde(borrow)]
    q: Option<&'a RawValue>,
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    m: Option<&'a RawValue>,
    #[serde(borrow, rename = "X")]
    execution: Option<&'a RawValue>,
    #[serde(borrow)]
    k: Option<&'a RawValue>,
    #[serde(borrow, rename = "lastUpdateId")]
    last_update_id: Option<&'a RawValue>,
    #[serde(borrow)]
    bids: Option<&'a RawValue>,
    #[serde(borrow)]
    asks: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kline<'a> {
    #[serde(rename = "t")]
    open_time: u64,
    #[serde(rename = "T")]
    close_time: u64,
    #[serde(borrow, rename = "o")]
    open: Cow<'a, str>,
    #[serde(borrow, rename = "h")]
    high: Cow<'a, str>,
    #[serde(borrow, rename = "l")]
    low: Cow<'a, str>,
    #[serde(borrow, rename = "c")]
    close: Cow<'a, str>,
    #[serde(borrow, rename = "v")]
    volume: Cow<'a, str>,
    #[serde(borrow, rename = "q")]
    quote_volume: Cow<'a, str>,
    #[serde(rename = "n")]
    trades: u32,
    #[serde(rename = "x")]
    closed: bool,
}

type Outcome = Result<Result<Parsed, Other>, DecodeError>;

pub(super) fn parse(decoder: &mut Decoder, unnamed: Option<usize>, text: &[u8], received_at: Timestamp) -> Outcome {
    let text = std::str::from_utf8(text).map_err(|error| DecodeError::Json { found: format!("{error}") })?;
    if text.trim_start().starts_with('[') {
        return whole(text).map(|_: &RawValue| Err(Other::UnknownStream));
    }
    let envelope: Envelope<'_> = whole(text)?;
    let (stream, body) = match envelope.data {
        Some(data) => (envelope.stream.unwrap_or_default(), data.get()),
        None => (Cow::Borrowed(""), text),
    };
    // Streams of many symbols (`!ticker@arr`) send an array.
    if !body.starts_with('{') && envelope.data.is_some() {
        return Ok(Err(Other::UnknownStream));
    }
    let payload: Payload<'_> = whole(body)?;
    let frame = Frame { symbol: symbol_of(decoder, unnamed, &stream, &payload), payload };
    frame.parse(decoder, StreamName::of(stream.as_bytes()), received_at)
}

fn whole<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|error| DecodeError::Json { found: format!("{error} in {}", excerpt(text)) })
}

/// The payload's own symbol, else the stream's, else the one that is known from elsewhere.
fn symbol_of(decoder: &mut Decoder, unnamed: Option<usize>, stream: &str, payload: &Payload<'_>) -> Result<usize, DecodeError> {
    let name = match payload.s {
        Some(raw) => text_of("frame", "s", raw)?.into_owned(),
        None => match stream.split_once('@') {
            Some((name, _)) => name.to_ascii_uppercase(),
            None => return unnamed.ok_or(DecodeError::UnknownSymbol { found: String::new() }),
        },
    };
    decoder.find(name.as_bytes()).ok_or(DecodeError::UnknownSymbol { found: name })
}

struct Frame<'a> {
    /// An error only matters if the kind is one that is used.
    symbol: Result<usize, DecodeError>,
    payload: Payload<'a>,
}

/// An instrument together with the kind of frame, for reading numbers and for error texts.
#[derive(Clone, Copy)]
struct Context {
    kind: &'static str,
    symbol: Symbol,
    grid: Grid,
}

impl Frame<'_> {
    fn parse(&self, decoder: &mut Decoder, stream: StreamName, received_at: Timestamp) -> Outcome {
        let payload = &self.payload;
        let kind = match payload.e {
            Some(raw) => text_of("frame", "e", raw)?,
            None if payload.last_update_id.is_some() => Cow::Borrowed("snapshot"),
            None if payload.u.is_some() && payload.b.is_some() => Cow::Borrowed("bookTicker"),
            None if payload.id.is_some() => return Ok(Err(Other::Reply)),
            None => return Ok(Err(Other::UnknownStream)),
        };
        let shape = match &*kind {
            "depthUpdate" => self.depth(decoder, stream)?,
            "snapshot" => self.snapshot(decoder)?,
            "bookTicker" => self.ticker(decoder)?,
            "trade" if self.is_no_match()? => return Ok(Err(Other::NoMatch)),
            "trade" => self.trade(decoder, "trade", "t", payload.t)?,
            "aggTrade" => self.trade(decoder, "aggTrade", "a", payload.a)?,
            "serverShutdown" => return Ok(Err(Other::ServerShutdown)),
            "markPriceUpdate" => Shape::Mark(price_of("markPriceUpdate", "p", &text("markPriceUpdate", "p", payload.p)?)?),
            "kline" => match self.kline()? {
                Some(candle) => Shape::Candle(candle),
                None => return Ok(Err(Other::OpenCandle)),
            },
            _ => return Ok(Err(Other::UnknownStream)),
        };
        Ok(Ok(Parsed { entry: self.symbol.clone()?, venue_time: self.venue_time(&kind, &shape)?, received_at, shape }))
    }

    /// Only spot's bookTicker and snapshots may be without a time.
    fn venue_time(&self, kind: &str, shape: &Shape) -> Result<Option<Timestamp>, DecodeError> {
        let may_lack = matches!(shape, Shape::Ticker(_)) || kind == "snapshot";
        if self.payload.event_time.is_none() && may_lack {
            return Ok(None);
        }
        let number = integer("frame", "E", self.payload.event_time)?;
        time_of(number).map(Some).ok_or_else(|| wrong("frame", "E", "a time", &number.to_string()))
    }

    fn context(&self, decoder: &Decoder, kind: &'static str) -> Result<Context, DecodeError> {
        let entry = &decoder.entries[self.symbol.clone()?];
        Ok(Context { kind, symbol: entry.symbol, grid: entry.grid })
    }

    fn depth(&self, decoder: &mut Decoder, stream: StreamName) -> Result<Shape, DecodeError> {
        let context = self.context(decoder, "depthUpdate")?;
        let payload = &self.payload;
        decoder.depth.first_id = integer(context.kind, "U", payload.first_id)?;
        decoder.depth.final_id = integer(context.kind, "u", payload.u)?;
        decoder.depth.previous_id = match payload.pu {
            Some(raw) => Some(integer(context.kind, "pu", Some(raw))?),
            None => None,
        };
        decoder.dust += context.levels("b", payload.b, &mut decoder.depth.bids)?;
        decoder.dust += context.levels("a", payload.a, &mut decoder.depth.asks)?;
        if stream.partial_depth {
            decoder.depth_into_snapshot();
            return Ok(Shape::Snapshot);
        }
        Ok(Shape::Depth)
    }

    fn snapshot(&self, decoder: &mut Decoder) -> Result<Shape, DecodeError> {
        let context = self.context(decoder, "snapshot")?;
        decoder.snapshot.last_id = integer(context.kind, "lastUpdateId", self.payload.last_update_id)?;
        decoder.dust += context.levels("bids", self.payload.bids, &mut decoder.snapshot.bids)?;
        decoder.dust += context.levels("asks", self.payload.asks, &mut decoder.snapshot.asks)?;
        Ok(Shape::Snapshot)
    }

    fn ticker(&self, decoder: &Decoder) -> Result<Shape, DecodeError> {
        let context = self.context(decoder, "bookTicker")?;
        let payload = &self.payload;
        let bid = Level { price: context.ticks("b", payload.b)?, quantity: context.lots("B", payload.bid_quantity)? };
        let ask = Level { price: context.ticks("a", payload.a)?, quantity: context.lots("A", payload.ask_quantity)? };
        Ok(Shape::Ticker(BookTicker { id: integer(context.kind, "u", payload.u)?, bid, ask }))
    }

    fn is_no_match(&self) -> Result<bool, DecodeError> {
        Ok(match self.payload.execution {
            Some(raw) => text_of("trade", "X", raw)? != "MARKET",
            None => false,
        })
    }

    fn trade(&self, decoder: &Decoder, kind: &'static str, id_field: &'static str, id: Option<&RawValue>) -> Result<Shape, DecodeError> {
        let context = self.context(decoder, kind)?;
        let payload = &self.payload;
        let maker = payload.m.map_or("nothing", RawValue::get);
        Ok(Shape::Trade(TradePrint {
            id: integer(kind, id_field, id)?,
            price: context.ticks("p", payload.p)?,
            quantity: context.lots("q", payload.q)?,
            buyer_is_maker: bool::from_str(maker).map_err(|_| wrong(kind, "m", "true or false", maker))?,
        }))
    }

    fn kline(&self) -> Result<Option<Candle>, DecodeError> {
        let raw = self.payload.k.map_or("nothing", RawValue::get);
        let kline: Kline<'_> =
            serde_json::from_str(raw).map_err(|error| wrong("kline", "k", "a kline object", &format!("{error} in {raw}")))?;
        if !kline.closed {
            return Ok(None);
        }
        let time = |field, number: u64| time_of(number).ok_or_else(|| wrong("kline", field, "a time", &number.to_string()));
        Ok(Some(Candle {
            open_time: time("t", kline.open_time)?,
            close_time: time("T", kline.close_time)?,
            open: price_of("kline", "o", &kline.open)?,
            high: price_of("kline", "h", &kline.high)?,
            low: price_of("kline", "l", &kline.low)?,
            close: price_of("kline", "c", &kline.close)?,
            volume: kline.volume.parse().map_err(|_| wrong("kline", "v", "a decimal text", &kline.volume))?,
            quote_volume: kline.quote_volume.parse().map_err(|_| wrong("kline", "q", "a decimal text", &kline.quote_volume))?,
            trades: kline.trades,
        }))
    }
}

impl Context {
    fn ticks(&self, field: &'static str, raw: Option<&RawValue>) -> Result<Ticks, DecodeError> {
        self.steps(self.grid.price, field, &text(self.kind, field, raw)?).map(Ticks)
    }

    fn lots(&self, field: &'static str, raw: Option<&RawValue>) -> Result<Lots, DecodeError> {
        self.steps(self.grid.quantity, field, &text(self.kind, field, raw)?).map(Lots)
    }

    /// Gives how many of the quantities had a part below one lot.
    fn levels(&self, field: &'static str, raw: Option<&RawValue>, into: &mut Vec<Level>) -> Result<u64, DecodeError> {
        let mut dust = 0;
        into.clear();
        let raw = raw.map_or("nothing", RawValue::get);
        let expected = "an array of [price, quantity] texts";
        let rows: Vec<Vec<&RawValue>> = serde_json::from_str(raw).map_err(|_| wrong(self.kind, field, expected, raw))?;
        for row in rows {
            let [price, quantity, ..] = row[..] else {
                return Err(wrong(self.kind, field, expected, raw));
            };
            let quantity = text(self.kind, field, Some(quantity))?;
            let (lots, left_over) = self
                .grid
                .quantity
                .parse_down(quantity.as_bytes())
                .map_err(|miss| self.missed(miss, self.grid.quantity, field, &quantity))?;
            dust += u64::from(left_over);
            into.push(Level { price: self.ticks(field, Some(price))?, quantity: Lots(lots) });
        }
        Ok(dust)
    }

    fn steps(&self, step: Step, field: &'static str, text: &str) -> Result<i64, DecodeError> {
        step.parse(text.as_bytes()).map_err(|miss| self.missed(miss, step, field, text))
    }

    fn missed(&self, miss: StepMiss, step: Step, field: &'static str, text: &str) -> DecodeError {
        match miss {
            StepMiss::NotDecimal => wrong(self.kind, field, "a decimal text that is not negative", text),
            StepMiss::TooLarge => wrong(self.kind, field, "a decimal that fits 63 bits of steps", text),
            StepMiss::OffGrid => {
                let mut size = String::new();
                step.write(1, 0, &mut size);
                DecodeError::OffGrid { kind: self.kind, symbol: self.symbol, field, step: size, found: excerpt(text) }
            }
        }
    }
}

fn wrong(kind: &'static str, field: &'static str, expected: &'static str, found: &str) -> DecodeError {
    DecodeError::Field { kind, field, expected, found: excerpt(found) }
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn integer(kind: &'static str, field: &'static str, raw: Option<&RawValue>) -> Result<u64, DecodeError> {
    let raw = raw.map_or("nothing", RawValue::get);
    raw.parse().map_err(|_| wrong(kind, field, "a whole number", raw))
}

fn text<'a>(kind: &'static str, field: &'static str, raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, DecodeError> {
    match raw {
        Some(raw) => text_of(kind, field, raw),
        None => Err(wrong(kind, field, "a text", "nothing")),
    }
}

fn text_of<'a>(kind: &'static str, field: &'static str, raw: &'a RawValue) -> Result<Cow<'a, str>, DecodeError> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str(raw.get()).map(|Text(text)| text).map_err(|_| wrong(kind, field, "a text", raw.get()))
}

fn price_of(kind: &'static str, field: &'static str, text: &str) -> Result<Price, DecodeError> {
    text.parse().map_err(|_| wrong(kind, field, "a decimal text", text))
}
