//! What the last day was like, and other windows; the newest prices; the touch. Of one symbol, of some, or of all.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::domain::ids::Symbol;
use crate::domain::market_data::{BookTicker, Level};
use crate::exchange::stream::payload::{self, Detail};
use crate::exchange::stream::problem::Problem;
use crate::exchange::stream::tape::{DAY_MS, HOUR_MS, Interval, MINUTE_MS, Statistics};

use super::{Desk, list};

/// Of which symbols, and whether the answer is a list.
struct Chosen {
    symbols: Vec<Symbol>,
    one: bool,
}

impl Desk {
    /// `symbol`, `symbols=["A","B"]`, or all where the question allows it.
    fn chosen(&mut self, all_allowed: bool) -> Result<Chosen, Problem> {
        const LEGAL: &str = r#"^\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\]$"#;
        let one = self.parameters.optional("symbol")?.map(str::to_owned);
        let some = match self.is_spot() {
            true => self.parameters.optional("symbols")?.map(str::to_owned),
            false => None,
        };
        match (one, some) {
            (Some(_), Some(_)) => Err(Problem::BAD_COMBINATION),
            (Some(name), None) => Ok(Chosen { symbols: vec![self.listed(&name)?], one: true }),
            (None, Some(text)) => {
                let names: Vec<String> = serde_json::from_str(&text).map_err(|_| Problem::illegal("symbols", LEGAL))?;
                let symbols: Vec<Symbol> = names.iter().map(|name| self.listed(name)).collect::<Result<_, _>>()?;
                if symbols.iter().collect::<BTreeSet<_>>().len() < symbols.len() {
                    return Err(Problem::DUPLICATE_SYMBOLS);
                }
                Ok(Chosen { symbols, one: false })
            }
            (None, None) if all_allowed => Ok(Chosen { symbols: self.symbols(), one: false }),
            (None, None) => Err(Problem::SYMBOL_OR_SYMBOLS),
        }
    }

    /// Leaves out what has another status than is asked for; of one symbol that is an error.
    fn of_status(&mut self, chosen: &mut Chosen) -> Result<(), Problem> {
        if !self.status()? {
            if chosen.one {
                return Err(Problem::OTHER_STATUS);
            }
            chosen.symbols.clear();
        }
        Ok(())
    }

    fn is_mini(&mut self) -> Result<bool, Problem> {
        if !self.is_spot() {
            return Ok(false);
        }
        match self.parameters.optional("type")? {
            None | Some("FULL") => Ok(false),
            Some("MINI") => Ok(true),
            Some(_) => Err(Problem::INVALID_TICKER_TYPE),
        }
    }

    fn told(&self, chosen: &Chosen, write: impl FnMut(Symbol, &mut String)) -> String {
        let text = list(chosen.symbols.iter().copied(), write);
        // One symbol's answer is no list, and it is there: a symbol without a trade is told with zeros.
        if chosen.one { text[1..text.len() - 1].to_owned() } else { text }
    }

    fn statistics(mut self, over: Statistics, full: Detail, mut chosen: Chosen) -> Result<String, Problem> {
        self.of_status(&mut chosen)?;
        let detail = if self.is_mini()? { Detail::Mini } else { full };
        self.parameters.finish()?;
        let state = self.shared.state();
        Ok(self.told(&chosen, |symbol, out| {
            let Some(encoder) = state.tape.encoder(symbol) else { return };
            let ticker = state.tape.statistics(symbol, over).unwrap_or_else(|| payload::nothing(self.now()));
            payload::statistics(encoder, &ticker, detail, out);
        }))
    }

    pub(super) fn day(mut self) -> Result<String, Problem> {
        let chosen = self.chosen(true)?;
        let detail = if self.is_spot() { Detail::Day } else { Detail::UsdmDay };
        self.statistics(Statistics::Day, detail, chosen)
    }

    pub(super) fn rolling(mut self) -> Result<String, Problem> {
        let chosen = self.chosen(false)?;
        let length = match self.parameters.optional("windowSize")? {
            Some(text) => window_of(text).ok_or_else(|| Problem::invalid("windowSize"))?,
            None => DAY_MS,
        };
        self.statistics(Statistics::Window(length), Detail::Window, chosen)
    }

    pub(super) fn trading_day(mut self) -> Result<String, Problem> {
        let chosen = self.chosen(false)?;
        let offset = self.zone()?;
        let opens = Interval::Seconds(86_400).opens(self.now(), offset);
        self.statistics(Statistics::Since(opens, opens + DAY_MS), Detail::Window, chosen)
    }

    pub(super) fn average_price(mut self) -> Result<String, Problem> {
        let symbol = self.symbol()?;
        self.parameters.finish()?;
        let state = self.shared.state();
        let encoder = state.tape.encoder(symbol).ok_or(Problem::INVALID_SYMBOL)?;
        let bar = state.tape.average(symbol).unwrap_or_else(|| payload::nothing(0).window.bar);
        let closed = state.tape.traded_at(symbol).filter(|at| *at > 0).unwrap_or_else(|| self.now());
        let mut text = String::from("{\"mins\":5,\"price\":");
        payload::average(encoder, &bar, &mut text);
        // Writing to a String cannot fail.
        let _ = write!(text, ",\"closeTime\":{closed}}}");
        Ok(text)
    }

    pub(super) fn prices(mut self) -> Result<String, Problem> {
        let mut chosen = self.chosen(true)?;
        self.of_status(&mut chosen)?;
        self.parameters.finish()?;
        let (spot, now) = (self.is_spot(), self.now());
        let state = self.shared.state();
        Ok(self.told(&chosen, |symbol, out| {
            let (Some(encoder), Some(instrument)) = (state.tape.encoder(symbol), state.tape.instrument(symbol)) else { return };
            let ticks = state.tape.last_price(symbol).and_then(|price| instrument.ticks(price)).map_or(0, |ticks| ticks.0);
            let _ = write!(out, "{{\"symbol\":\"{symbol}\",\"price\":");
            encoder.price(ticks, out);
            let _ = if spot { write!(out, "}}") } else { write!(out, ",\"time\":{now}}}") };
        }))
    }

    pub(super) async fn touches(mut self) -> Result<String, Problem> {
        let mut chosen = self.chosen(true)?;
        self.of_status(&mut chosen)?;
        self.parameters.finish()?;
        let (spot, now) = (self.is_spot(), self.now());
        let mut touches = Vec::with_capacity(chosen.symbols.len());
        for symbol in &chosen.symbols {
            touches.push(self.touch(*symbol).await?);
        }
        let mut touches = touches.into_iter();
        let state = self.shared.state();
        Ok(self.told(&chosen, |symbol, out| {
            let (Some(encoder), Some(touch)) = (state.tape.encoder(symbol), touches.next()) else { return };
            let _ = write!(out, "{{\"symbol\":\"{symbol}\"");
            let sides = [(",\"bidPrice\":", ",\"bidQty\":", touch.bid), (",\"askPrice\":", ",\"askQty\":", touch.ask)];
            for (price, quantity, level) in sides {
                out.push_str(price);
                encoder.price(level.price.0, out);
                out.push_str(quantity);
                encoder.quantity(level.quantity.0, out);
            }
            let _ = if spot { write!(out, "}}") } else { write!(out, ",\"time\":{now}}}") };
        }))
    }

    /// The tape's, or the book's where the market shows no touches.
    async fn touch(&self, symbol: Symbol) -> Result<BookTicker, Problem> {
        let known = self.shared.state().tape.ticker(symbol);
        if let Some(ticker) = known {
            return Ok(ticker);
        }
        let book = self.shared.floor.depth_snapshot(symbol, 1).await?.unwrap_or_default();
        let best = |side: &[Level]| side.first().copied().unwrap_or_default();
        Ok(BookTicker { id: book.last_id, bid: best(&book.bids), ask: best(&book.asks) })
    }

    /// No symbol here has one.
    pub(super) fn reference_price(mut self) -> Result<String, Problem> {
        self.symbol()?;
        Err(Problem::NO_REFERENCE_PRICE)
    }
}

/// `1m` to `59m`, `1h` to `23h`, `1d` to `7d`.
fn window_of(text: &str) -> Option<i64> {
    let (unit, max) = match text.as_bytes().last()? {
        b'm' => (MINUTE_MS, 59),
        b'h' => (HOUR_MS, 23),
        b'd' => (DAY_MS, 7),
        _ => return None,
    };
    let digits = Some(&text[..text.len() - 1]).filter(|digits| digits.len() <= 2 && digits.bytes().all(|b| b.is_ascii_digit()));
    let count = digits?.parse::<i64>().ok().filter(|count| (1..=max).contains(count))?;
    Some(count * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_the_venues() {
        assert_eq!(window_of("1m"), Some(MINUTE_MS));
        assert_eq!(window_of("23h"), Some(23 * HOUR_MS));
        assert_eq!(window_of("7d"), Some(7 * DAY_MS));
        for bad in ["", "m", "60m", "24h", "8d", "0d", "1w", "-1h", "+1h", "100m"] {
            assert_eq!(window_of(bad), None, "{bad}");
        }
    }
}
