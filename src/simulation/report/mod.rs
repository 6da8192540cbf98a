//! The tear sheet of a backtest: one HTML file that opens offline. Pure: figures in, text out. Money, prices and
//! quantities are printed from their exact decimals; they become `f64` only as points of a drawing. What it draws is
//! bounded (`charts::POINTS_MAX`, `CHARTS_MAX`), so the file stays small however long the run was.

mod charts;
mod page;

#[cfg(test)]
mod tests;

use crate::domain::ids::Symbol;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::Side;
use crate::domain::time::Timestamp;

/// How many symbols get a chart, those with the most fills first: past a dozen a page is scrolled, not read. The table
/// has all of them.
pub const CHARTS_MAX: usize = 12;

/// All that the report shows. Series are in order of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReportData {
    pub title: String,
    /// Under the title: the recording, the strategy.
    pub subtitle: String,
    /// The figures at the top, in order: what it is called, and its text.
    pub summary: Vec<(String, String)>,
    /// Equity over all accounts.
    pub equity: Vec<(Timestamp, Money)>,
    pub symbols: Vec<SymbolReport>,
    pub fills: Vec<FillPoint>,
}

/// One symbol's row in the table and its price curve.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolReport {
    pub symbol: Symbol,
    pub prices: Vec<(Timestamp, Price)>,
    pub orders: u64,
    pub fills: u64,
    /// Base quantity traded.
    pub volume: Quantity,
    pub fees: Money,
    pub realized_pnl: Money,
    /// The largest position held, either way.
    pub max_position: Quantity,
}

/// One execution on a price chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FillPoint {
    pub at: Timestamp,
    pub symbol: Symbol,
    pub side: Side,
    pub price: Price,
    pub quantity: Quantity,
}

/// The whole page, scripts and styles inside. The same data gives the same text.
#[must_use]
pub fn html(report: &ReportData) -> String {
    page::render(report)
}
