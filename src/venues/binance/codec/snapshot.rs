//! What an account holds, out of the answers that say it: on futures the wallet and the positions, on spot cash and coins. And the
//! venue's ledger, without what trades tell themselves. Pure: bytes in, the daemon's words out.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::answers::{AnswerError, BalanceAnswer, IncomeAnswer, PositionAnswer, SpotAccountAnswer, position_side};
use super::outcome::{Answer, Failure, read};
use super::product::{Product, Unsupported};
use super::request::Request;
use crate::domain::ids::{Asset, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{FundsKind, FundsMoved, PositionSide, VenuePosition};
use crate::domain::time::Timestamp;

/// What is held at one look.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Held {
    pub wallet: Money,
    pub positions: Vec<VenuePosition>,
    /// `wallet` is cash beside what is held, as on spot.
    pub beside_holdings: bool,
}

/// What to ask, in the order in which [`held`] wants the answers.
///
/// # Errors
/// Never for the products that are known.
pub fn held_requests(product: Product) -> Result<Vec<Request>, Unsupported> {
    if product.capabilities().holdings { Ok(vec![product.account()?]) } else { Ok(vec![product.balance()?, product.positions(None)?]) }
}

/// Reads the answers. An account without a balance in the settlement currency has none of it.
///
/// # Errors
/// When one of them is no such answer, or a coin is two symbols' at once.
pub fn held(product: Product, instruments: &[Instrument], bodies: &[&[u8]]) -> Result<Held, Failure> {
    let wrong = |error: AnswerError| Failure::silence(error.to_string());
    match (product.capabilities().holdings, bodies) {
        (true, [account]) => spot(instruments, &body(product, account)?).map_err(wrong),
        (false, [balances, positions]) => {
            futures(instruments, &body::<Vec<_>>(product, balances)?, &body::<Vec<_>>(product, positions)?).map_err(wrong)
        }
        _ => Err(Failure::silence(format!("expected the answers of {product}, found {} of them", bodies.len()))),
    }
}

fn body<'a, T: serde::Deserialize<'a>>(product: Product, body: &'a [u8]) -> Result<T, Failure> {
    read(product, Answer { status: 200, retry_after: None, body })
}

/// The currency that an account is settled in: that of what it trades.
fn settlement(instruments: &[Instrument]) -> Asset {
    let quote = instruments.first().and_then(|instrument| Asset::new(&instrument.quote).ok());
    // Invariant: USDT is a name of an asset.
    quote.unwrap_or_else(|| Asset::new("USDT").expect("invariant: a valid name"))
}

fn futures(instruments: &[Instrument], balances: &[BalanceAnswer<'_>], positions: &[PositionAnswer<'_>]) -> Result<Held, AnswerError> {
    let settlement = settlement(instruments);
    let wallet = balances.iter().find(|balance| balance.asset.asset() == Some(settlement)).map(|balance| Money(balance.balance.0));
    let mut shown = Vec::new();
    for position in positions.iter().filter(|position| !position.position_amt.0.is_zero()) {
        let Some(symbol) = position.symbol.symbol() else { continue };
        shown.push(VenuePosition {
            symbol,
            position_side: position_side(position.position_side.as_str())?,
            quantity: Quantity(position.position_amt.0),
            entry_price: Price(position.entry_price.or_zero()),
            closable: None,
        });
    }
    shown.sort_by_key(|position| (position.symbol, position.position_side));
    Ok(Held { wallet: wallet.unwrap_or_default(), positions: shown, beside_holdings: false })
}

fn spot(instruments: &[Instrument], account: &SpotAccountAnswer<'_>) -> Result<Held, AnswerError> {
    let mut bases: BTreeMap<Asset, &Instrument> = BTreeMap::new();
    for instrument in instruments {
        let Ok(base) = Asset::new(&instrument.base) else { continue };
        if let Some(first) = bases.insert(base, instrument) {
            return Err(AnswerError::SharedBase { base, first: first.symbol, second: instrument.symbol });
        }
    }
    let settlement = settlement(instruments);
    let mut held = Held { beside_holdings: true, ..Held::default() };
    for balance in &account.balances {
        let (Some(asset), amount) = (balance.asset.asset(), balance.free.or_zero() + balance.locked.or_zero()) else { continue };
        if asset == settlement {
            held.wallet = Money(amount);
        } else if let Some(instrument) = bases.get(&asset).filter(|_| !amount.is_zero()) {
            held.positions.push(holding(instrument, amount));
        }
    }
    held.positions.sort_by_key(|position| position.symbol);
    Ok(held)
}

/// Fees are taken out of what was bought: a rest below the smallest order cannot be sold.
fn holding(instrument: &Instrument, amount: Decimal) -> VenuePosition {
    let quantity = Quantity(amount);
    let whole = instrument.quantity_down(quantity);
    let closable = if whole < instrument.min_quantity { Quantity::ZERO } else { whole };
    let symbol: Symbol = instrument.symbol;
    VenuePosition { symbol, position_side: PositionSide::Both, quantity, entry_price: Price(Decimal::ZERO), closable: Some(closable) }
}

/// The ledger's entries that are no trade's.
///
/// # Errors
/// When it is no such answer.
pub fn ledger(product: Product, settlement_of: &[Instrument], answer: &[u8]) -> Result<Vec<FundsMoved>, Failure> {
    let settlement = settlement(settlement_of);
    let entries: Vec<IncomeAnswer<'_>> = body(product, answer)?;
    let moved = entries.iter().filter_map(|entry| {
        let kind = match entry.income_type.as_str() {
            // Trades bring these with them.
            "REALIZED_PNL" | "COMMISSION" => return None,
            "FUNDING_FEE" => FundsKind::Funding,
            "INSURANCE_CLEAR" => FundsKind::Insurance,
            other if other.contains("TRANSFER") => FundsKind::Transfer,
            _ => FundsKind::Other,
        };
        let id = entry.tran_id.0.filter(|_| entry.asset.asset() == Some(settlement))?;
        let (amount, at) = (Money(entry.income.0), Timestamp::from_millis(entry.time));
        Some(FundsMoved { kind, id, amount, symbol: entry.symbol.symbol(), at })
    });
    Ok(moved.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(symbol: &str, base: &str, step: &str) -> Instrument {
        Instrument {
            symbol: Symbol::new(symbol).unwrap(),
            kind: crate::domain::instrument::InstrumentKind::Spot,
            base: base.to_owned(),
            quote: "USDT".to_owned(),
            price_step: "0.01".parse().unwrap(),
            quantity_step: step.parse().unwrap(),
            min_quantity: step.parse().unwrap(),
            max_quantity: "1000".parse().unwrap(),
            min_notional: "5".parse().unwrap(),
            price_band: "0.5".parse().unwrap(),
            maker_fee: "0".parse().unwrap(),
            taker_fee: "0".parse().unwrap(),
            max_leverage: 1,
        }
    }

    #[test]
    fn a_futures_account_is_its_wallet_and_its_positions() {
        let balances =
            br#"[{"accountAlias":"x","asset":"BNB","balance":"1"},{"asset":"USDT","balance":"122.60735137","crossWalletBalance":"1"}]"#;
        let positions = br#"[{"symbol":"BTCUSDT","positionSide":"SHORT","positionAmt":"-0.004","entryPrice":"61800.1"},{"symbol":"ETHUSDT","positionSide":"BOTH","positionAmt":"0.000","entryPrice":"0.0"}]"#;
        let held = held(Product::BinanceUsdm, &[], &[balances, positions]).unwrap();
        assert_eq!((held.wallet.to_string().as_str(), held.positions.len(), held.beside_holdings), ("122.60735137", 1, false));
        assert_eq!((held.positions[0].position_side, held.positions[0].quantity.to_string()), (PositionSide::Short, "-0.004".to_owned()));
    }

    #[test]
    fn a_spot_account_is_cash_and_coins_of_which_a_rest_cannot_be_sold() {
        let account = br#"{"canTrade":true,"balances":[{"asset":"BTC","free":"0.999001","locked":"0.5"},{"asset":"USDT","free":"10.5","locked":"2"},{"asset":"XYZ","free":"7","locked":"0"}]}"#;
        let (btc, eth) = (instrument("BTCUSDT", "BTC", "0.001"), instrument("ETHUSDT", "ETH", "0.01"));
        let shown = held(Product::BinanceSpot, &[btc.clone(), eth], &[account]).unwrap();
        assert_eq!((shown.wallet.to_string().as_str(), shown.beside_holdings, shown.positions.len()), ("12.5", true, 1));
        assert_eq!(
            (shown.positions[0].quantity.to_string(), shown.positions[0].to_close().to_string()),
            ("1.499001".to_owned(), "1.499".to_owned())
        );
        let twice = held(Product::BinanceSpot, &[btc, instrument("BTCFDUSD", "BTC", "0.001")], &[account]).unwrap_err();
        assert!(twice.to_string().contains("BTCFDUSD"), "{twice}");
    }

    #[test]
    fn the_ledger_is_what_no_trade_tells() {
        let income = br#"[{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.375","asset":"USDT","info":"x","time":1570608000000,"tranId":9689322392,"tradeId":""},
            {"symbol":"BTCUSDT","incomeType":"COMMISSION","income":"-0.01","asset":"USDT","info":"","time":1570608000000,"tranId":1,"tradeId":"2059192"},
            {"symbol":"","incomeType":"TRANSFER","income":"100","asset":"USDT","info":"TRANSFER","time":1570608000000,"tranId":"77","tradeId":""}]"#;
        let funds = ledger(Product::BinanceUsdm, &[], income).unwrap();
        assert_eq!(
            funds.iter().map(|entry| (entry.kind, entry.id)).collect::<Vec<_>>(),
            [(FundsKind::Funding, 9_689_322_392), (FundsKind::Transfer, 77)]
        );
    }
}
