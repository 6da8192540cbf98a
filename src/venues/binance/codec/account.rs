//! Questions about an account and its settings, and the public ones that trading needs: what is held, what was traded, what applies.

use super::product::{Product, Route, Unsupported};
use super::request::{Parameters, Request};
use crate::domain::ids::Symbol;
use crate::domain::order::TradesFrom;
use crate::domain::time::Timestamp;

/// Entries of the ledger in one answer.
pub const INCOME_MAX: u16 = 1_000;

/// One page of an account's trades on a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradesPage {
    /// This trade id and behind it.
    From(u64),
    /// Between two moments of the venue's clock.
    Between(Timestamp, Timestamp),
}

impl Product {
    /// The first page to ask for. `now` and moments are by the venue's clock.
    #[must_use]
    pub fn first_page(self, from: TradesFrom, now: Timestamp) -> TradesPage {
        match from {
            TradesFrom::After(trade) => TradesPage::From(trade.saturating_add(1)),
            TradesFrom::Since(at) => TradesPage::Between(at, now.min(at + self.capabilities().trades_window)),
        }
    }

    /// The page behind one that listed `found` trades up to `newest`, if there may be more.
    #[must_use]
    pub fn next_page(self, page: TradesPage, found: usize, newest: Option<u64>, now: Timestamp) -> Option<TradesPage> {
        match (page, newest) {
            // Ids go on where times stop.
            (TradesPage::Between(..), Some(newest)) => Some(TradesPage::From(newest.saturating_add(1))),
            (TradesPage::Between(_, to), None) => (to < now).then(|| self.first_page(TradesFrom::Since(to), now)),
            (TradesPage::From(_), Some(newest)) if found >= usize::from(self.capabilities().trades_max) => {
                Some(TradesPage::From(newest.saturating_add(1)))
            }
            (TradesPage::From(_), _) => None,
        }
    }

    /// # Errors
    /// Never for the products that are known.
    pub fn user_trades(self, symbol: Symbol, page: TradesPage) -> Result<Request, Unsupported> {
        let mut parameters = Parameters::default().with("symbol", symbol);
        match page {
            TradesPage::From(id) => parameters.push("fromId", id),
            TradesPage::Between(from, to) => {
                parameters.push("startTime", from.as_millis());
                parameters.push("endTime", to.as_millis());
            }
        }
        parameters.push("limit", self.capabilities().trades_max);
        Ok(Request::to(self.endpoint(Route::UserTrades)?, parameters))
    }

    /// What is there: on spot every balance, on futures margin, balances and positions together.
    ///
    /// # Errors
    /// Never for the products that are known.
    pub fn account(self) -> Result<Request, Unsupported> {
        let nothing_held = self.capabilities().holdings.then_some("true");
        Ok(Request::to(self.endpoint(Route::Account)?, Parameters::default().with_some("omitZeroBalances", nothing_held)))
    }

    /// # Errors
    /// On spot, which shows them with the account.
    pub fn balance(self) -> Result<Request, Unsupported> {
        self.bare(Route::Balance)
    }

    /// Every position, or those of a symbol.
    ///
    /// # Errors
    /// On spot, which has none.
    pub fn positions(self, symbol: Option<Symbol>) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::Positions)?, Parameters::default().with_some("symbol", symbol)))
    }

    /// What moved the wallet, trades too, from a moment on and oldest first: [`INCOME_MAX`] entries at most.
    ///
    /// # Errors
    /// On spot.
    pub fn income(self, since: Timestamp) -> Result<Request, Unsupported> {
        let parameters = Parameters::default().with("startTime", since.as_millis()).with("limit", INCOME_MAX);
        Ok(Request::to(self.endpoint(Route::Income)?, parameters))
    }

    /// What a symbol was traded at last.
    ///
    /// # Errors
    /// Never for the products that are known.
    pub fn price(self, symbol: Symbol) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::Price)?, Parameters::default().with("symbol", symbol)))
    }

    /// # Errors
    /// On spot.
    pub fn set_leverage(self, symbol: Symbol, leverage: u8) -> Result<Request, Unsupported> {
        let parameters = Parameters::default().with("symbol", symbol).with("leverage", leverage);
        Ok(Request::to(self.endpoint(Route::SetLeverage)?, parameters))
    }

    /// Margin of a symbol by itself, or shared. -4046 says that it is so already.
    ///
    /// # Errors
    /// On spot.
    pub fn set_margin_type(self, symbol: Symbol, isolated: bool) -> Result<Request, Unsupported> {
        let margin_type = if isolated { "ISOLATED" } else { "CROSSED" };
        let parameters = Parameters::default().with("symbol", symbol).with("marginType", margin_type);
        Ok(Request::to(self.endpoint(Route::SetMarginType)?, parameters))
    }

    /// The position mode and the multi-assets mode in one answer, for a twelfth of the weight of the two questions.
    ///
    /// # Errors
    /// Where the two are asked one by one: on Aster. And on spot.
    pub fn account_config(self) -> Result<Request, Unsupported> {
        self.bare(Route::AccountConfig)
    }

    /// # Errors
    /// On spot.
    pub fn position_mode(self) -> Result<Request, Unsupported> {
        self.bare(Route::PositionMode)
    }

    /// Whether several assets are margin together; wallets are then not one currency's.
    ///
    /// # Errors
    /// On spot.
    pub fn multi_assets_mode(self) -> Result<Request, Unsupported> {
        self.bare(Route::MultiAssetsMode)
    }

    /// -4059 says that it is so already.
    ///
    /// # Errors
    /// On spot.
    pub fn set_position_mode(self, hedge: bool) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::SetPositionMode)?, Parameters::default().with("dualSidePosition", hedge)))
    }

    /// Leverage and margin type of a symbol.
    ///
    /// # Errors
    /// On spot, and on Aster, whose positions say it.
    pub fn symbol_config(self, symbol: Symbol) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::SymbolConfig)?, Parameters::default().with("symbol", symbol)))
    }

    /// The account's own fees on a symbol.
    ///
    /// # Errors
    /// Never for the products that are known.
    pub fn commission(self, symbol: Symbol) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::Commission)?, Parameters::default().with("symbol", symbol)))
    }

    /// What the key may do, asked of the spot host.
    ///
    /// # Errors
    /// On Aster, which has no such question.
    pub fn key_permissions(self) -> Result<Request, Unsupported> {
        self.bare(Route::KeyPermissions)
    }

    /// # Errors
    /// Where user events are no matter of listen keys.
    pub fn create_listen_key(self) -> Result<Request, Unsupported> {
        self.bare(Route::CreateListenKey)
    }

    /// # Errors
    /// Where user events are no matter of listen keys.
    pub fn keep_listen_key(self) -> Result<Request, Unsupported> {
        self.bare(Route::KeepListenKey)
    }

    /// # Errors
    /// Never for the products that are known.
    pub fn time(self) -> Result<Request, Unsupported> {
        self.bare(Route::Time)
    }

    /// # Errors
    /// Never for the products that are known.
    pub fn exchange_info(self) -> Result<Request, Unsupported> {
        self.bare(Route::ExchangeInfo)
    }

    /// # Errors
    /// Never for the products that are known.
    pub fn depth(self, symbol: Symbol, limit: u16) -> Result<Request, Unsupported> {
        let weight = match (self.capabilities().holdings, limit) {
            (true, ..=100) => 5,
            (true, ..=500) => 25,
            (true, ..=1_000) => 50,
            (true, _) => 250,
            (false, ..=50) => 2,
            (false, ..=100) => 5,
            (false, ..=500) => 10,
            (false, _) => 20,
        };
        let parameters = Parameters::default().with("symbol", symbol).with("limit", limit);
        Ok(Request::to(self.endpoint(Route::Depth)?, parameters).weighing(weight))
    }

    /// `interval` in the venue's words, `1m`.
    ///
    /// # Errors
    /// Never for the products that are known.
    pub fn klines(self, symbol: Symbol, interval: &str, since: Option<Timestamp>, limit: u16) -> Result<Request, Unsupported> {
        let weight = match (self.capabilities().holdings, limit) {
            (true, _) => 2,
            (false, ..100) => 1,
            (false, ..500) => 2,
            (false, ..=1_000) => 5,
            (false, _) => 10,
        };
        let parameters = Parameters::default().with("symbol", symbol).with("interval", interval);
        let parameters = parameters.with_some("startTime", since.map(Timestamp::as_millis)).with("limit", limit);
        Ok(Request::to(self.endpoint(Route::Klines)?, parameters).weighing(weight))
    }

    fn bare(self, route: Route) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(route)?, Parameters::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(days: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(days * 86_400)
    }

    #[test]
    fn trades_are_paged_by_id_and_before_the_first_by_windows_of_time() {
        let product = Product::BinanceUsdm;
        assert_eq!(product.first_page(TradesFrom::After(9), at(0)), TradesPage::From(10));
        let first = product.first_page(TradesFrom::Since(at(0)), at(10));
        assert_eq!(first, TradesPage::Between(at(0), at(7)));
        let second = product.next_page(first, 0, None, at(10)).unwrap();
        assert_eq!(second, TradesPage::Between(at(7), at(10)), "an order may wait for longer than one window");
        assert_eq!(product.next_page(second, 0, None, at(10)), None);
        let third = product.next_page(second, 3, Some(77), at(10)).unwrap();
        assert_eq!(third, TradesPage::From(78));
        assert_eq!(product.next_page(third, 1_000, Some(1_077), at(10)), Some(TradesPage::From(1_078)));
        assert_eq!(product.next_page(third, 999, Some(1_076), at(10)), None);
        let request = product.user_trades(Symbol::new("BTCUSDT").unwrap(), TradesPage::From(78)).unwrap();
        assert_eq!((request.unsigned_target().as_str(), request.weight), ("/fapi/v1/userTrades?symbol=BTCUSDT&fromId=78&limit=1000", 5));
    }

    #[test]
    fn what_a_question_costs_grows_with_what_it_asks() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        assert_eq!(Product::BinanceSpot.depth(symbol, 5_000).unwrap().weight, 250);
        assert_eq!(Product::BinanceUsdm.depth(symbol, 1_000).unwrap().weight, 20);
        assert_eq!(Product::BinanceUsdm.klines(symbol, "1m", None, 1_500).unwrap().weight, 10);
        assert_eq!(Product::BinanceSpot.open_orders(None).unwrap().weight, 80);
        assert_eq!(Product::BinanceUsdm.open_orders(Some(symbol)).unwrap().weight, 1);
    }
}
