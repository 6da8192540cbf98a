//! Trades and their aggregates: the newest, from an id on, or of a stretch of time; as far back as the tape reaches.

use std::fmt::Write as _;

use crate::exchange::stream::problem::Problem;
use crate::exchange::stream::tape::{Aggregate, HOUR_MS, Trade};
use crate::venues::binance::market::Encoder;

use super::{Desk, list};

const DEFAULT: usize = 500;
const MAX: usize = 1_000;

impl Desk {
    pub(super) fn trades(mut self, from_id: bool) -> Result<String, Problem> {
        let symbol = self.symbol()?;
        // USD-M's old trades come in smaller pages.
        let (default, max) = if from_id && !self.is_spot() { (100, 500) } else { (DEFAULT, MAX) };
        let limit = self.limit(default, max)?;
        let from = if from_id { self.parameters.number("fromId")? } else { None };
        self.parameters.finish()?;
        let (spot, plain) = (self.is_spot(), self.shared.plain);
        let state = self.shared.state();
        let encoder = state.tape.encoder(symbol).ok_or(Problem::INVALID_SYMBOL)?;
        Ok(list(state.tape.trades(symbol, from, limit), |trade, out| write_trade(encoder, &trade, spot, plain, out)))
    }

    /// There are no block trades here.
    pub(super) fn block_trades(mut self) -> Result<String, Problem> {
        self.symbol()?;
        self.parameters.number::<u64>("fromId")?.ok_or_else(|| Problem::missing("fromId"))?;
        self.limit(DEFAULT, MAX)?;
        self.finished(|_| "[]".to_owned())
    }

    pub(super) fn aggregates(mut self) -> Result<String, Problem> {
        let symbol = self.symbol()?;
        let limit = self.limit(DEFAULT, MAX)?;
        let from: Option<u64> = self.parameters.number("fromId")?;
        let start: Option<i64> = self.parameters.number("startTime")?;
        let end: Option<i64> = self.parameters.number("endTime")?;
        self.parameters.finish()?;
        if !self.is_spot() && start.zip(end).is_some_and(|(start, end)| end.saturating_sub(start) > HOUR_MS) {
            return Err(Problem::LONGER_THAN_AN_HOUR);
        }
        let passes = |aggregate: &Aggregate| {
            from.is_none_or(|from| aggregate.id >= from)
                && start.is_none_or(|start| aggregate.at >= start)
                && end.is_none_or(|end| aggregate.at <= end)
        };
        let (spot, plain) = (self.is_spot(), self.shared.plain);
        let state = self.shared.state();
        let encoder = state.tape.encoder(symbol).ok_or(Problem::INVALID_SYMBOL)?;
        let from_start = from.is_some() || start.is_some();
        let all = state.tape.aggregates(symbol, passes, from_start, limit);
        Ok(list(all, |aggregate, out| write_aggregate(encoder, &aggregate, spot, plain, out)))
    }
}

fn write_trade(encoder: &Encoder, trade: &Trade, spot: bool, plain: bool, out: &mut String) {
    let print = &trade.print;
    // Writing to a String cannot fail, here and below.
    let _ = write!(out, "{{\"id\":{},\"price\":", print.id);
    encoder.price(print.price.0, out);
    out.push_str(",\"qty\":");
    encoder.quantity(print.quantity.0, out);
    out.push_str(",\"quoteQty\":");
    encoder.money(i128::from(print.price.0) * i128::from(print.quantity.0), out);
    let _ = write!(out, ",\"time\":{},\"isBuyerMaker\":{}", trade.at, print.buyer_is_maker);
    out.push_str(match (spot, plain) {
        (true, _) => ",\"isBestMatch\":true}",
        (false, true) => "}",
        (false, false) => ",\"isRPITrade\":false}",
    });
}

fn write_aggregate(encoder: &Encoder, aggregate: &Aggregate, spot: bool, plain: bool, out: &mut String) {
    let print = &aggregate.print;
    let _ = write!(out, "{{\"a\":{},\"p\":", aggregate.id);
    encoder.price(print.price.0, out);
    out.push_str(",\"q\":");
    encoder.quantity(print.quantity.0, out);
    if !spot && !plain {
        out.push_str(",\"nq\":");
        encoder.quantity(print.quantity.0, out);
    }
    let _ = write!(out, ",\"f\":{},\"l\":{},\"T\":{},\"m\":{}", aggregate.first, aggregate.last, aggregate.at, print.buyer_is_maker);
    out.push_str(if spot { ",\"M\":true}" } else { "}" });
}
