//! The venue's ledger: what moved the wallet besides trades, which tell their own profit and fee. Pure.

use super::answers::IncomeAnswer;
use super::outcome::{Answer, Failure, read};
use super::product::Product;
use crate::domain::ids::Asset;
use crate::domain::money::Money;
use crate::domain::order::{FundsKind, FundsMoved};
use crate::domain::time::Timestamp;

/// The ledger's entries that are no trade's.
///
/// # Errors
/// When it is no such answer.
pub fn ledger(product: Product, settlement: Asset, answer: Answer<'_>) -> Result<Vec<FundsMoved>, Failure> {
    let entries: Vec<IncomeAnswer<'_>> = read(product, answer)?;
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

    #[test]
    fn the_ledger_is_what_no_trade_tells() {
        let income = br#"[{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.375","asset":"USDT","info":"x","time":1570608000000,"tranId":9689322392,"tradeId":""},
            {"symbol":"BTCUSDT","incomeType":"COMMISSION","income":"-0.01","asset":"USDT","info":"","time":1570608000000,"tranId":1,"tradeId":"2059192"},
            {"symbol":"","incomeType":"TRANSFER","income":"3","asset":"BNB","info":"TRANSFER","time":1570608000000,"tranId":"78","tradeId":""},
            {"symbol":"","incomeType":"TRANSFER","income":"100","asset":"USDT","info":"TRANSFER","time":1570608000000,"tranId":"77","tradeId":""}]"#;
        let answer = Answer { status: 200, retry_after: None, body: income };
        let funds = ledger(Product::BinanceUsdm, Asset::new("USDT").unwrap(), answer).unwrap();
        let found: Vec<_> = funds.iter().map(|entry| (entry.kind, entry.id)).collect();
        assert_eq!(found, [(FundsKind::Funding, 9_689_322_392), (FundsKind::Transfer, 77)]);
    }
}
