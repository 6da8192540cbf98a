//! The venue's ledger: what moved the wallet besides trades, which tell their own profit and fee. Pure.

use std::time::Duration;

use super::account::INCOME_MAX;
use super::answers::IncomeAnswer;
use super::outcome::{Answer, Failure, read};
use super::product::Product;
use crate::domain::ids::Asset;
use crate::domain::money::Money;
use crate::domain::order::{FundsKind, FundsMoved};
use crate::domain::time::Timestamp;

/// One page of the ledger, oldest first.
#[derive(Debug, PartialEq)]
pub struct LedgerPage {
    /// The entries that are no trade's.
    pub moved: Vec<FundsMoved>,
    /// Where the next page begins: each entry of the last moment is listed again, and told apart by its id. `None` when this one
    /// was not full.
    pub next: Option<Timestamp>,
}

/// Reads the answer to [`Product::income`] from that moment on.
///
/// # Errors
/// When it is no such answer.
pub fn ledger(product: Product, settlement: Asset, from: Timestamp, answer: Answer<'_>) -> Result<LedgerPage, Failure> {
    let entries: Vec<IncomeAnswer<'_>> = read(product, answer)?;
    let newest = entries.iter().map(|entry| Timestamp::from_millis(entry.time)).max();
    // A moment with more entries than a page has would be asked for again and again.
    let behind = newest.map(|newest| newest.max(from + Duration::from_millis(1)));
    let next = behind.filter(|_| entries.len() >= usize::from(INCOME_MAX));
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
    Ok(LedgerPage { moved: moved.collect(), next })
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
        let page = ledger(Product::BinanceUsdm, Asset::new("USDT").unwrap(), Timestamp::ZERO, answer).unwrap();
        let found: Vec<_> = page.moved.iter().map(|entry| (entry.kind, entry.id)).collect();
        assert_eq!((&found[..], page.next), (&[(FundsKind::Funding, 9_689_322_392), (FundsKind::Transfer, 77)][..], None));
    }

    #[test]
    fn a_full_page_names_where_the_next_one_begins() {
        let read = |from: i64| {
            let row = |number: i64| {
                format!(
                    r#"{{"symbol":"","incomeType":"COMMISSION","income":"-1","asset":"USDT","time":{},"tranId":{number}}}"#,
                    1_000 + number / 10
                )
            };
            let rows: Vec<String> = (0..1_000).map(row).collect();
            let body = format!("[{}]", rows.join(","));
            let answer = Answer { status: 200, retry_after: None, body: body.as_bytes() };
            ledger(Product::BinanceUsdm, Asset::new("USDT").unwrap(), Timestamp::from_millis(from), answer).unwrap().next
        };
        assert_eq!(read(0), Some(Timestamp::from_millis(1_099)));
        assert_eq!(read(1_099), Some(Timestamp::from_millis(1_100)), "it goes on in any case");
    }
}
