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
use crate::domain::order::{Fill, Liquidation, PositionSide, VenueMargin, VenueOrder, VenuePosition};
use crate::domain::time::Timestamp;

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

/// What is held at one look.
#[derive(Debug, Clone)]
pub struct Held {
    pub wallet: Money,
    pub positions: Vec<VenuePosition>,
    /// `wallet` is cash beside what is held, as on spot.
    pub beside_holdings: bool,
    /// By the venue's clock, the newest change of any of it.
    pub as_of: Option<Timestamp>,
    /// It moves with every price, so that two looks never agree on it.
    pub margin: Option<VenueMargin>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        let told = |held: &Self| (held.wallet, held.beside_holdings, held.as_of);
        told(self) == told(other) && self.positions == other.positions
    }
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

/// What the venue says of the account's margin, out of its balances and its positions; `None` where it does not say what is
/// available.
fn margin(settlement: Asset, balances: &[BalanceAnswer<'_>], positions: &[PositionAnswer<'_>]) -> Result<Option<VenueMargin>, Failure> {
    let found = balances.iter().find(|balance| balance.asset.as_str() == settlement.as_str());
    let Some((wallet, available)) = found.and_then(|found| Some((found.balance.0, found.available_balance.0?))) else { return Ok(None) };
    let mut margin = VenueMargin { equity: Money(wallet), available: Money(available), ..VenueMargin::default() };
    for shown in positions {
        let Some(symbol) = shown.symbol.symbol() else { continue };
        margin.leverage.extend(shown.leverage.0.and_then(|leverage| u8::try_from(leverage).ok()).map(|leverage| (symbol, leverage)));
        let (quantity, price) = (Quantity(shown.position_amt.0), Price(shown.liquidation_price.or_zero()));
        margin.equity += Money(shown.unrealized.or_zero());
        margin.maintenance += Money(shown.maint_margin.or_zero());
        if !quantity.is_zero() && price.is_positive() {
            let position_side = position_side(shown.position_side.as_str()).map_err(not_understood)?;
            margin.liquidations.push(Liquidation { symbol, position_side, quantity, price });
        }
    }
    Ok(Some(margin))
}

/// A margin account's wallet, positions and margin, out of the answers to [`Product::balance`] and [`Product::positions`].
///
/// # Errors
/// When one of the answers is none.
pub fn held(product: Product, settlement: Asset, balances: Answer<'_>, shown: Answer<'_>) -> Result<Held, Failure> {
    let of_balances = read::<Vec<BalanceAnswer<'_>>>(product, balances)?;
    let of_wallet = of_balances.iter().filter(|balance| balance.asset.as_str() == settlement.as_str()).map(|balance| balance.update_time);
    let of_positions = read::<Vec<PositionAnswer<'_>>>(product, shown)?;
    let changes = of_wallet.chain(of_positions.iter().map(|position| position.update_time));
    let as_of = changes.flatten().max().map(Timestamp::from_millis);
    let margin = margin(settlement, &of_balances, &of_positions)?;
    let (wallet, positions) = (wallet(product, settlement, balances)?, positions(product, shown)?);
    Ok(Held { wallet, positions, beside_holdings: false, as_of, margin })
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
) -> Result<Held, Failure> {
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
    let (wallet, as_of) = (Money(held(settlement.as_str())), account.update_time.map(Timestamp::from_millis));
    let purse = account.balances.iter().find(|balance| balance.asset.as_str() == settlement.as_str());
    // What is held counts at what it cost, which the venue does not know: of the equity only the cash is told.
    let margin =
        purse.and_then(|purse| purse.free.0).map(|free| VenueMargin { equity: wallet, available: Money(free), ..VenueMargin::default() });
    Ok(Held { wallet, positions, beside_holdings: true, as_of, margin })
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
