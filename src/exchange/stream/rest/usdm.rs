//! What only USD-M is asked for: marks and funding, open interest, what an index is made of.

use std::fmt::Write as _;

use crate::domain::ids::Symbol;
use crate::domain::money::{Price, Ratio};
use crate::domain::time::Timestamp;
use crate::exchange::stream::problem::Problem;
use crate::exchange::stream::tape::{HOUR_MS, Interval};
use crate::venues::binance::market::Premium;

use super::{Desk, list};

const FUNDING_MS: i64 = 8 * HOUR_MS;
const FUNDINGS_DEFAULT: usize = 100;
const FUNDINGS_MAX: usize = 1_000;

impl Desk {
    /// One symbol, or all of them and a list.
    fn one_or_all(&mut self) -> Result<(Vec<Symbol>, bool), Problem> {
        match self.parameters.optional("symbol")?.map(str::to_owned) {
            Some(name) => Ok((vec![self.listed(&name)?], true)),
            None => Ok((self.symbols(), false)),
        }
    }

    pub(super) fn premium_index(mut self) -> Result<String, Problem> {
        let (symbols, one) = self.one_or_all()?;
        self.parameters.finish()?;
        let now = self.now();
        let state = self.shared.state();
        let text = list(symbols, |symbol, out| {
            let none = || {
                let mark = state.tape.last_price(symbol).unwrap_or(Price::ZERO);
                let next_funding = Timestamp::from_millis((now.div_euclid(FUNDING_MS) + 1) * FUNDING_MS);
                Premium { mark, index: mark, rate: Ratio::ZERO, next_funding }
            };
            let premium = state.tape.premium(symbol).unwrap_or_else(none);
            let (mark, index) = (premium.mark.0, premium.index.0);
            // Writing to a String cannot fail, here and below.
            let _ = write!(
                out,
                "{{\"symbol\":\"{symbol}\",\"markPrice\":\"{mark:.8}\",\"indexPrice\":\"{index:.8}\",\"estimatedSettlePrice\":\"{index:.8}\",\
                 \"lastFundingRate\":\"{:.8}\",\"interestRate\":\"0.00010000\",\"nextFundingTime\":{},\"time\":{now}}}",
                premium.rate.0,
                premium.next_funding.as_millis(),
            );
        });
        Ok(if one { text[1..text.len() - 1].to_owned() } else { text })
    }

    pub(super) async fn funding_rates(mut self) -> Result<String, Problem> {
        let symbol = match self.parameters.optional("symbol")?.map(str::to_owned) {
            Some(name) => Some(self.listed(&name)?),
            None => None,
        };
        let start: Option<i64> = self.parameters.number("startTime")?;
        let end: Option<i64> = self.parameters.number("endTime")?;
        let limit = self.limit(FUNDINGS_DEFAULT, FUNDINGS_MAX)?;
        self.parameters.finish()?;
        let mut paid = self.shared.floor.paid_fundings(symbol).await?;
        paid.retain(|paid| {
            let at = paid.at.as_millis();
            start.is_none_or(|start| at >= start) && end.is_none_or(|end| at <= end)
        });
        if start.is_some() {
            paid.truncate(limit);
        } else {
            paid.drain(..paid.len().saturating_sub(limit));
        }
        Ok(list(paid, |paid, out| {
            let _ = write!(
                out,
                "{{\"symbol\":\"{}\",\"fundingRate\":\"{:.8}\",\"fundingTime\":{},\"markPrice\":\"{:.8}\",\"rateType\":\"Regular\"}}",
                paid.symbol,
                paid.rate.0,
                paid.at.as_millis(),
                paid.mark.0,
            );
        }))
    }

    pub(super) async fn open_interest(mut self) -> Result<String, Problem> {
        let symbol = self.symbol()?;
        self.parameters.finish()?;
        let open = self.shared.floor.open_interest(symbol).await?;
        let digits = self.quantity_digits(symbol);
        Ok(format!("{{\"openInterest\":\"{:.digits$}\",\"symbol\":\"{symbol}\",\"time\":{}}}", open.0, self.now()))
    }

    fn quantity_digits(&self, symbol: Symbol) -> usize {
        let state = self.shared.state();
        state.tape.instrument(symbol).map_or(0, |instrument| instrument.quantity_step.0.scale() as usize)
    }

    /// As it is now, at the end of the last period: nobody has kept what it was before.
    pub(super) async fn open_interest_history(mut self) -> Result<String, Problem> {
        const PERIODS: [&str; 9] = ["5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"];
        let symbol = self.symbol()?;
        let name = self.parameters.text("period")?;
        let period = Some(&*name).filter(|name| PERIODS.contains(name)).and_then(|name| Interval::of(name, false, false));
        let period = period.ok_or_else(|| Problem::invalid("period"))?;
        let start: Option<i64> = self.parameters.number("startTime")?;
        let end: Option<i64> = self.parameters.number("endTime")?;
        self.limit(30, 500)?;
        let at = period.opens(self.now(), 0);
        if start.is_some_and(|start| at < start) || end.is_some_and(|end| at > end) {
            return Ok("[]".to_owned());
        }
        let open = self.shared.floor.open_interest(symbol).await?.0;
        let mark = self.shared.state().tape.last_price(symbol).unwrap_or(Price::ZERO).0;
        let value = open.checked_mul(mark).unwrap_or_default();
        Ok(format!(
            "[{{\"symbol\":\"{symbol}\",\"sumOpenInterest\":\"{open:.8}\",\"sumOpenInterestValue\":\"{value:.8}\",\"CMCCirculatingSupply\":\"0\",\
             \"timestamp\":{at}}}]"
        ))
    }

    /// The exchange's own market is all that its index is made of.
    pub(super) fn constituents(mut self) -> Result<String, Problem> {
        let symbol = self.symbol()?;
        self.parameters.finish()?;
        let price = self.shared.state().tape.last_price(symbol).unwrap_or(Price::ZERO).0;
        Ok(format!(
            "{{\"symbol\":\"{symbol}\",\"time\":{},\"constituents\":[{{\"exchange\":\"binance\",\"symbol\":\"{symbol}\",\"price\":\"{price:.8}\",\
             \"weight\":\"1.00000000\"}}]}}",
            self.now()
        ))
    }

    pub(super) fn adl_risk(mut self) -> Result<String, Problem> {
        let (symbols, one) = self.one_or_all()?;
        self.parameters.finish()?;
        let now = self.now();
        let text = list(symbols, |symbol, out| {
            let _ = write!(out, "{{\"symbol\":\"{symbol}\",\"adlRisk\":\"low\",\"updateTime\":{now}}}");
        });
        Ok(if one { text[1..text.len() - 1].to_owned() } else { text })
    }
}
