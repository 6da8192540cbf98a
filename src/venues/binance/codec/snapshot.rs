//! The pieces of one account at one moment, as separate answers show them: open orders, positions, money, trades. What a snapshot
//! needs of each, in the daemon's words. Pure; the transport asks for the pieces, and asks again when what they show moved between.

use std::collections::BTreeSet;

use super::answers::{
    AlgoAnswer, AlgoStanding, AnswerError, BalanceAnswer, OrderAnswer, PositionAnswer, SpotAccountAnswer, SymbolConfigAnswer,
    SymbolSettings, TradeAnswer, position_side,
};
use super::outcome::{Answer, Failure, read};
use super::product::Product;
use super::translate::Translator;
use crate::domain::ids::{Asset, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{Fill, PositionSide, VenueOrder, VenuePosition};

/// One page of an account's trades.
#[derive(Debug, Default, PartialEq)]
pub struct Listed {
    /// Those of orders whose names are known.
    pub fills: Vec<Fill>,
    /// Orders that must be asked for by the venue's id, and told to [`Translator::named`], before the page is read again.
    pub unnamed: BTreeSet<(Symbol, u64)>,
    /// How many trades the page has, and the newest: what the next page begins behind.
    pub found: usize,
    pub newest: Option<u64>,
}

impl Translator {
    /// How many entries it keeps, by table.
    #[must_use]
    pub fn tables(&self) -> [(&'static str, usize); 3] {
        let (names, algos, held) = self.kept();
        [("venue_order_names", names), ("venue_algos", algos), ("venue_words_held", held)]
    }

    /// Ordinary orders that are open, under the names that they have here.
    ///
    /// # Errors
    /// When the answer is none, or has an order that cannot be understood: one that is left out would count as gone.
    pub fn open_orders(&mut self, answer: Answer<'_>) -> Result<Vec<VenueOrder>, Failure> {
        let product = self.product();
        let mut orders = Vec::new();
        for shown in read::<Vec<OrderAnswer<'_>>>(product, answer)? {
            let order = shown.order(product).map_err(not_understood)?;
            orders.extend(order.map(|order| self.open_order(order)));
        }
        Ok(orders)
    }

    /// Conditional orders of the algo service that wait for their triggers. Of those in the answer that have triggered, the names of
    /// the orders that they became are learnt: an answer to [`Product::all_algos`] tells whose an order without a name of ours is.
    ///
    /// # Errors
    /// As [`Self::open_orders`].
    pub fn open_algos(&mut self, answer: Answer<'_>) -> Result<Vec<VenueOrder>, Failure> {
        let mut orders = Vec::new();
        for shown in read::<Vec<AlgoAnswer<'_>>>(self.product(), answer)? {
            match shown.standing().map_err(not_understood)? {
                Some(AlgoStanding::Itself(order)) if !order.status.is_terminal() => {
                    self.open_algo(&order);
                    orders.push(order);
                }
                Some(AlgoStanding::Became { client_order_id, symbol, venue_order_id }) => {
                    self.became(client_order_id, symbol, venue_order_id);
                }
                Some(AlgoStanding::Itself(_)) | None => {}
            }
        }
        Ok(orders)
    }

    /// One page of trades as fills, or the orders that have to be named first.
    ///
    /// # Errors
    /// When the answer is none.
    pub fn listed(&self, answer: Answer<'_>) -> Result<Listed, Failure> {
        let trades = read::<Vec<TradeAnswer<'_>>>(self.product(), answer)?;
        let mut listed = Listed { found: trades.len(), newest: trades.iter().map(|trade| trade.id).max(), ..Listed::default() };
        for trade in &trades {
            let Some(symbol) = trade.symbol.symbol() else { continue };
            match self.traded(trade).map_err(not_understood)? {
                Some(fill) => listed.fills.push(fill),
                None => {
                    listed.unnamed.insert((symbol, trade.order_id));
                }
            }
        }
        listed.fills.sort_by_key(|fill| fill.trade_id);
        Ok(listed)
    }
}

/// Positions that are not flat.
///
/// # Errors
/// When the answer is none.
pub fn positions(product: Product, answer: Answer<'_>) -> Result<Vec<VenuePosition>, Failure> {
    let mut positions = Vec::new();
    for shown in read::<Vec<PositionAnswer<'_>>>(product, answer)? {
        let (Some(symbol), false) = (shown.symbol.symbol(), shown.position_amt.0.is_zero()) else { continue };
        positions.push(VenuePosition {
            symbol,
            position_side: position_side(shown.position_side.as_str()).map_err(not_understood)?,
            quantity: Quantity(shown.position_amt.0),
            entry_price: Price(shown.entry_price.or_zero()),
            closable: None,
        });
    }
    Ok(positions)
}

/// The wallet's balance in the settlement currency: zero when the venue does not list it, as it leaves empty ones out.
///
/// # Errors
/// When the answer is none.
pub fn wallet(product: Product, settlement: Asset, answer: Answer<'_>) -> Result<Money, Failure> {
    let balances = read::<Vec<BalanceAnswer<'_>>>(product, answer)?;
    let found = balances.iter().find(|balance| balance.asset.as_str() == settlement.as_str());
    Ok(found.map_or(Money::ZERO, |balance| Money(balance.balance.0)))
}

/// What a spot account has beside its holdings, and its holdings as positions of the instruments that are configured. Coins that
/// none of them is in are nobody's business here.
///
/// # Errors
/// When the answer is none.
pub fn holdings<'i>(
    settlement: Asset,
    instruments: impl IntoIterator<Item = &'i Instrument>,
    price: impl Fn(Symbol) -> Option<Price>,
    answer: Answer<'_>,
) -> Result<(Money, Vec<VenuePosition>), Failure> {
    let account = read::<SpotAccountAnswer<'_>>(Product::BinanceSpot, answer)?;
    let held = |asset: &str| {
        let found = account.balances.iter().find(|balance| balance.asset.as_str() == asset);
        found.map_or_else(Default::default, |balance| balance.free.or_zero() + balance.locked.or_zero())
    };
    let position = |instrument: &Instrument| {
        let quantity = Quantity(held(&instrument.base));
        let closable = Some(closable(instrument, quantity, price(instrument.symbol)));
        (!quantity.is_zero()).then_some(VenuePosition {
            symbol: instrument.symbol,
            position_side: PositionSide::Both,
            quantity,
            entry_price: Price::ZERO,
            closable,
        })
    };
    let positions = instruments.into_iter().filter_map(position).collect();
    Ok((Money(held(settlement.as_str())), positions))
}

/// What of a holding an order can sell: whole steps, and nothing when they are less than the venue takes.
fn closable(instrument: &Instrument, quantity: Quantity, price: Option<Price>) -> Quantity {
    let steps = instrument.quantity_down(quantity).min(instrument.max_quantity);
    let too_little = price.is_some_and(|price| price * steps < instrument.min_notional);
    if steps < instrument.min_quantity || too_little { Quantity::ZERO } else { steps }
}

/// Whether everything is paid for with one purse: an account's wallet and results are in one currency.
///
/// # Errors
/// When two are settled in different ones.
pub fn check_purse(instruments: &[Instrument]) -> Result<(), AnswerError> {
    let [first, rest @ ..] = instruments else { return Ok(()) };
    let other = rest.iter().find(|other| other.quote != first.quote);
    other.map_or(Ok(()), |second| {
        let [quote, another] = [first, second].map(|instrument| instrument.quote.clone());
        Err(AnswerError::TwoPurses { first: first.symbol, quote, second: second.symbol, another })
    })
}

/// Whether every instrument's holding can be told apart.
///
/// # Errors
/// When two are in the same coin.
pub fn check_holdings<'i>(instruments: impl IntoIterator<Item = &'i Instrument>) -> Result<(), AnswerError> {
    let mut seen: Vec<&Instrument> = Vec::new();
    for instrument in instruments {
        if let Some(first) = seen.iter().find(|other| other.base == instrument.base) {
            let base = Asset::new(&instrument.base).map_err(|_| AnswerError::Asset { found: instrument.base.clone() })?;
            return Err(AnswerError::SharedBase { base, first: first.symbol, second: instrument.symbol });
        }
        seen.push(instrument);
    }
    Ok(())
}

/// Leverage and margin type of each symbol: of `symbolConfig`, and of the positions where those say it.
///
/// # Errors
/// When the answer is none.
pub fn symbol_settings(product: Product, answer: Answer<'_>) -> Result<Vec<SymbolSettings>, Failure> {
    if product == Product::BinanceUsdm {
        let shown = read::<Vec<SymbolConfigAnswer<'_>>>(product, answer)?;
        return Ok(shown.iter().filter_map(SymbolConfigAnswer::settings).collect());
    }
    let shown = read::<Vec<PositionAnswer<'_>>>(product, answer)?;
    Ok(shown.iter().filter_map(PositionAnswer::settings).collect())
}

fn not_understood(error: impl std::fmt::Display) -> Failure {
    Failure::silence(error.to_string())
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
