//! The scanner for the frames that come by the thousand: diffs, snapshots, tickers and trades. It reads each byte once,
//! in whatever order the fields come, and gives up (`None`) at anything that Binance does not usually write.

use super::scan::Cursor;
use super::{Decoder, Parsed, Shape, StreamName, time_of};
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{BookTicker, Level, TradePrint};
use crate::domain::time::Timestamp;
use crate::venues::grid::Grid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    /// No `e`: spot's bookTicker, or a snapshot.
    #[default]
    Unnamed,
    Depth,
    Ticker,
    Trade,
    AggTrade,
}

/// The fields of one object. Which are there is kept in `seen`, one bit for each `Field`.
#[derive(Debug, Default)]
struct Fields {
    seen: u32,
    kind: Kind,
    entry: usize,
    event_time: u64,
    first_id: u64,
    final_id: u64,
    previous_id: u64,
    trade_id: u64,
    aggregate_id: u64,
    last_update_id: u64,
    bid: Level,
    ask: Level,
    price: i64,
    quantity: i64,
    buyer_is_maker: bool,
}

/// Bits of `Fields::seen`.
mod field {
    pub const KIND: u32 = 1;
    pub const EVENT_TIME: u32 = 1 << 1;
    pub const TIME: u32 = 1 << 2;
    pub const SYMBOL: u32 = 1 << 3;
    pub const FIRST_ID: u32 = 1 << 4;
    pub const FINAL_ID: u32 = 1 << 5;
    pub const PREVIOUS_ID: u32 = 1 << 6;
    pub const TRADE_ID: u32 = 1 << 7;
    pub const AGGREGATE_ID: u32 = 1 << 8;
    pub const LAST_UPDATE_ID: u32 = 1 << 9;
    pub const BIDS: u32 = 1 << 10;
    pub const ASKS: u32 = 1 << 11;
    pub const BID_PRICE: u32 = 1 << 12;
    pub const BID_QUANTITY: u32 = 1 << 13;
    pub const ASK_PRICE: u32 = 1 << 14;
    pub const ASK_QUANTITY: u32 = 1 << 15;
    pub const PRICE: u32 = 1 << 16;
    pub const QUANTITY: u32 = 1 << 17;
    pub const MAKER: u32 = 1 << 18;
    pub const EXECUTION: u32 = 1 << 19;
    pub const ALL_BIDS: u32 = 1 << 20;
    pub const ALL_ASKS: u32 = 1 << 21;
    /// `a` and `b` mean several things. Whatever they mean, they may come once.
    pub const LETTER_A: u32 = 1 << 22;
    pub const LETTER_B: u32 = 1 << 23;
}

pub(super) fn parse(decoder: &mut Decoder, unnamed: Option<usize>, text: &[u8], received_at: Timestamp) -> Option<Parsed> {
    let mut cursor = Cursor::new(text);
    let mut stream = StreamName::default();
    let combined = cursor.expect(b"{\"stream\":\"").is_some();
    let mut unnamed = unnamed;
    if combined {
        let name = cursor.string()?;
        stream = StreamName::of(name);
        cursor.expect(b",\"data\":")?;
        // Only spot's partial book has no symbol of its own: then the stream's name has it.
        unnamed = if cursor.starts_with(b"{\"lastUpdateId\"") { Some(from_stream(decoder, name)?) } else { None };
    }
    let mut fields = Fields { entry: unnamed.unwrap_or(0), ..Fields::default() };
    object(decoder, &mut cursor, &mut fields, unnamed)?;
    if combined {
        cursor.expect(b"}")?;
    }
    if !cursor.is_at_end() {
        return None;
    }
    let (shape, venue_time) = finish(decoder, &fields, stream, unnamed)?;
    Some(Parsed { entry: fields.entry, venue_time, received_at, shape })
}

fn from_stream(decoder: &mut Decoder, name: &[u8]) -> Option<usize> {
    let end = name.iter().position(|b| *b == b'@')?;
    decoder.find(&name[..end].to_ascii_uppercase())
}

fn object(decoder: &mut Decoder, cursor: &mut Cursor<'_>, fields: &mut Fields, unnamed: Option<usize>) -> Option<()> {
    cursor.expect(b"{")?;
    let mut grid = unnamed.map(|entry| decoder.entries[entry].grid);
    loop {
        cursor.expect(b"\"")?;
        let key = cursor.byte()?;
        let bit = match cursor.peek()? {
            b'"' => {
                cursor.expect(b"\":")?;
                short_key(decoder, cursor, fields, &mut grid, key)?
            }
            _ => long_key(decoder, cursor, fields, grid, key)?,
        };
        if fields.seen & bit != 0 {
            return None;
        }
        fields.seen |= bit;
        match cursor.byte()? {
            b',' => {}
            b'}' => return Some(()),
            _ => return None,
        }
    }
}

/// A field with a name of one letter; gives its bit.
#[inline]
fn short_key(decoder: &mut Decoder, cursor: &mut Cursor<'_>, fields: &mut Fields, grid: &mut Option<Grid>, key: u8) -> Option<u32> {
    match key {
        b'e' => {
            cursor.expect(b"\"")?;
            fields.kind = match cursor.string()? {
                b"depthUpdate" => Kind::Depth,
                b"bookTicker" => Kind::Ticker,
                b"trade" => Kind::Trade,
                b"aggTrade" => Kind::AggTrade,
                _ => return None,
            };
            Some(field::KIND)
        }
        b's' => {
            cursor.expect(b"\"")?;
            fields.entry = decoder.find(cursor.string()?)?;
            *grid = Some(decoder.entries[fields.entry].grid);
            // A price that was read on another symbol's grid would be wrong.
            (priced(fields.seen) == 0).then_some(field::SYMBOL)
        }
        b'E' => integer(cursor, &mut fields.event_time, field::EVENT_TIME),
        b'T' => integer(cursor, &mut 0, field::TIME),
        b'U' => integer(cursor, &mut fields.first_id, field::FIRST_ID),
        b'u' => integer(cursor, &mut fields.final_id, field::FINAL_ID),
        b't' => integer(cursor, &mut fields.trade_id, field::TRADE_ID),
        b'b' if cursor.peek()? == b'[' => levels(cursor, (*grid)?, &mut decoder.depth.bids).map(|()| field::BIDS | field::LETTER_B),
        b'a' if cursor.peek()? == b'[' => levels(cursor, (*grid)?, &mut decoder.depth.asks).map(|()| field::ASKS | field::LETTER_A),
        b'a' if cursor.peek()? != b'"' => integer(cursor, &mut fields.aggregate_id, field::AGGREGATE_ID | field::LETTER_A),
        b'b' => price(cursor, *grid, &mut fields.bid.price.0, field::BID_PRICE | field::LETTER_B),
        b'a' => price(cursor, *grid, &mut fields.ask.price.0, field::ASK_PRICE | field::LETTER_A),
        b'B' => quantity(cursor, *grid, &mut fields.bid.quantity.0, field::BID_QUANTITY),
        b'A' => quantity(cursor, *grid, &mut fields.ask.quantity.0, field::ASK_QUANTITY),
        b'p' => price(cursor, *grid, &mut fields.price, field::PRICE),
        b'q' => quantity(cursor, *grid, &mut fields.quantity, field::QUANTITY),
        b'm' => {
            fields.buyer_is_maker = cursor.boolean()?;
            Some(field::MAKER)
        }
        b'X' => cursor.expect(b"\"MARKET\"").map(|()| field::EXECUTION),
        // Unused, each of them plain: `M` (ignore), `f` and `l` (first and last trade id).
        b'M' => cursor.boolean().map(|_| 0),
        b'f' | b'l' => cursor.integer().map(|_| 0),
        _ => None,
    }
}

/// A field with a longer name, whose first letter has been read.
fn long_key(decoder: &mut Decoder, cursor: &mut Cursor<'_>, fields: &mut Fields, grid: Option<Grid>, first: u8) -> Option<u32> {
    match first {
        b'p' => match cursor.byte()? {
            b'u' => {
                cursor.expect(b"\":")?;
                integer(cursor, &mut fields.previous_id, field::PREVIOUS_ID)
            }
            _ => {
                cursor.expect(b"\":\"")?;
                cursor.string().map(|_| 0)
            }
        },
        b's' => {
            cursor.expect(b"t\":")?;
            cursor.integer().map(|_| 0)
        }
        b'n' => {
            cursor.expect(b"q\":\"")?;
            cursor.string().map(|_| 0)
        }
        b'l' => {
            cursor.expect(b"astUpdateId\":")?;
            integer(cursor, &mut fields.last_update_id, field::LAST_UPDATE_ID)
        }
        b'b' => {
            cursor.expect(b"ids\":")?;
            levels(cursor, grid?, &mut decoder.snapshot.bids).map(|()| field::ALL_BIDS)
        }
        b'a' => {
            cursor.expect(b"sks\":")?;
            levels(cursor, grid?, &mut decoder.snapshot.asks).map(|()| field::ALL_ASKS)
        }
        _ => None,
    }
}

/// Those of the seen fields whose value depends on the grid.
const fn priced(seen: u32) -> u32 {
    use field::*;
    seen & (BIDS | ASKS | BID_PRICE | BID_QUANTITY | ASK_PRICE | ASK_QUANTITY | PRICE | QUANTITY | ALL_BIDS | ALL_ASKS)
}

#[inline]
fn integer(cursor: &mut Cursor<'_>, into: &mut u64, bit: u32) -> Option<u32> {
    *into = cursor.integer()?;
    Some(bit)
}

#[inline]
fn price(cursor: &mut Cursor<'_>, grid: Option<Grid>, into: &mut i64, bit: u32) -> Option<u32> {
    cursor.expect(b"\"")?;
    *into = cursor.decimal(grid?.price)?;
    Some(bit)
}

#[inline]
fn quantity(cursor: &mut Cursor<'_>, grid: Option<Grid>, into: &mut i64, bit: u32) -> Option<u32> {
    cursor.expect(b"\"")?;
    *into = cursor.decimal(grid?.quantity)?;
    Some(bit)
}

/// `[["61800.20","2.909"],…]`
fn levels(cursor: &mut Cursor<'_>, grid: Grid, into: &mut Vec<Level>) -> Option<()> {
    into.clear();
    // A copy stays in registers over the loop; through the reference each step would wait for the store before it.
    let mut at = *cursor;
    at.expect(b"[")?;
    if at.peek()? == b']' {
        at.expect(b"]")?;
        *cursor = at;
        return Some(());
    }
    loop {
        at.expect(b"[\"")?;
        let price = at.decimal(grid.price)?;
        at.expect(b",\"")?;
        let quantity = at.decimal(grid.quantity)?;
        into.push(Level { price: Ticks(price), quantity: Lots(quantity) });
        at.expect(b"]")?;
        if at.byte()? != b',' {
            break;
        }
    }
    *cursor = at;
    // The byte that ended the loop.
    cursor.ends_with(b']').then_some(())
}

/// Checks that a kind has its fields, and puts them together.
fn finish(decoder: &mut Decoder, fields: &Fields, stream: StreamName, unnamed: Option<usize>) -> Option<(Shape, Option<Timestamp>)> {
    use field::*;
    let has = |bits: u32| fields.seen & bits == bits;
    let ticker = FINAL_ID | SYMBOL | BID_PRICE | BID_QUANTITY | ASK_PRICE | ASK_QUANTITY;
    let shape = match fields.kind {
        Kind::Depth if has(EVENT_TIME | SYMBOL | FIRST_ID | FINAL_ID | BIDS | ASKS) => {
            let depth = &mut decoder.depth;
            (depth.first_id, depth.final_id) = (fields.first_id, fields.final_id);
            depth.previous_id = has(PREVIOUS_ID).then_some(fields.previous_id);
            if stream.partial_depth {
                decoder.depth_into_snapshot();
                Shape::Snapshot
            } else {
                Shape::Depth
            }
        }
        Kind::Ticker | Kind::Unnamed if has(ticker) && !has(LAST_UPDATE_ID) => {
            Shape::Ticker(BookTicker { id: fields.final_id, bid: fields.bid, ask: fields.ask })
        }
        Kind::Trade if has(EVENT_TIME | SYMBOL | TRADE_ID | PRICE | QUANTITY | MAKER) => trade(fields, fields.trade_id),
        Kind::AggTrade if has(EVENT_TIME | SYMBOL | AGGREGATE_ID | PRICE | QUANTITY | MAKER) => trade(fields, fields.aggregate_id),
        Kind::Unnamed if has(LAST_UPDATE_ID | ALL_BIDS | ALL_ASKS) && (unnamed.is_some() && !has(SYMBOL)) => {
            decoder.snapshot.last_id = fields.last_update_id;
            Shape::Snapshot
        }
        _ => return None,
    };
    let venue_time = if has(EVENT_TIME) { Some(time_of(fields.event_time)?) } else { None };
    Some((shape, venue_time))
}

fn trade(fields: &Fields, id: u64) -> Shape {
    Shape::Trade(TradePrint { id, price: Ticks(fields.price), quantity: Lots(fields.quantity), buyer_is_maker: fields.buyer_is_maker })
}
