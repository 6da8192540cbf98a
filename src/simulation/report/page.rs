//! The page around the drawings: the figures at the top, the table of symbols, the styles. Every text that came from
//! outside is escaped.

use std::fmt::Write as _;
use std::iter;

use plotly::Plot;

use super::{CHARTS_MAX, FillPoint, ReportData, SymbolReport, charts};
use crate::domain::money::{Money, Quantity};

const STYLE: &str = include_str!("report.css");

pub(super) fn render(report: &ReportData) -> String {
    let mut page = String::new();
    let title = escaped(&report.title);
    // Invariant, here and below: writing to a String cannot fail.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n{}\n</head>\n<body>\n<main>\n",
        plotly_script()
    );
    let span = span(report);
    header(&mut page, report, span);
    section(&mut page, "Equity and drawdown", "tall", |page| match span {
        Some(span) if !report.equity.is_empty() => {
            page.push_str(&charts::equity(&report.equity, span).to_inline_html(Some("equity")));
        }
        _ => page.push_str("<p class=\"empty\">No equity was recorded.</p>\n"),
    });
    table(&mut page, &report.symbols);
    price_charts(&mut page, report, span);
    let _ = write!(page, "<footer>Ringfence {} · all times UTC</footer>\n</main>\n</body>\n</html>\n", env!("CARGO_PKG_VERSION"));
    page
}

/// plotly.js as one script element. The crate sends MathJax after it, two megabytes that typeset formulas; there are none.
fn plotly_script() -> String {
    const END: &str = "</script>";
    let mut scripts = Plot::offline_js_sources();
    if let Some(end) = scripts.find(END) {
        scripts.truncate(end + END.len());
    }
    scripts
}

fn header(page: &mut String, report: &ReportData, span: Option<charts::Span>) {
    let _ = write!(page, "<header>\n<h1>{}</h1>\n<p>{}", escaped(&report.title), escaped(&report.subtitle));
    if let Some((from, to)) = span {
        let separator = if report.subtitle.is_empty() { "" } else { " · " };
        let _ = write!(page, "{separator}<time>{from}</time> to <time>{to}</time>");
    }
    page.push_str("</p>\n</header>\n<dl class=\"figures\">\n");
    for (name, value) in &report.summary {
        let sign = if value.starts_with('-') { " class=\"loss\"" } else { "" };
        let _ = writeln!(page, "<div><dt>{}</dt><dd{sign}>{}</dd></div>", escaped(name), escaped(value));
    }
    page.push_str("</dl>\n");
}

/// From the first to the last moment that any series shows.
fn span(report: &ReportData) -> Option<charts::Span> {
    let fills = report.fills.iter().map(|fill| fill.at);
    let equity = report.equity.iter().map(|(at, _)| *at);
    let prices = report.symbols.iter().flat_map(|symbol| symbol.prices.iter().map(|(at, _)| *at));
    let mut times = equity.chain(prices).chain(fills);
    let first = times.next()?;
    Some(times.fold((first, first), |(from, to), at| (from.min(at), to.max(at))))
}

fn section(page: &mut String, title: &str, class: &str, body: impl FnOnce(&mut String)) {
    let _ = write!(page, "<section>\n<h2>{}</h2>\n<div class=\"chart {class}\">\n", escaped(title));
    body(page);
    page.push_str("</div>\n</section>\n");
}

fn price_charts(page: &mut String, report: &ReportData, span: Option<charts::Span>) {
    let mut drawn: Vec<&SymbolReport> = report.symbols.iter().collect();
    // Stable: equally busy symbols stay in the caller's order.
    drawn.sort_by_key(|symbol| std::cmp::Reverse(symbol.fills));
    let left_out = drawn.len().saturating_sub(CHARTS_MAX);
    drawn.truncate(CHARTS_MAX);
    for symbol in drawn {
        let fills: Vec<&FillPoint> = report.fills.iter().filter(|fill| fill.symbol == symbol.symbol).collect();
        section(page, &format!("{} price and fills", symbol.symbol), "", |page| match span {
            Some(span) if !(symbol.prices.is_empty() && fills.is_empty()) => {
                let id = format!("price-{}", symbol.symbol);
                page.push_str(&charts::price(symbol, &fills, span).to_inline_html(Some(&id)));
            }
            _ => page.push_str("<p class=\"empty\">No price was recorded.</p>\n"),
        });
    }
    if left_out > 0 {
        let _ = writeln!(page, "<p class=\"note\">{left_out} more symbols, with fewer fills, are in the table only.</p>");
    }
}

fn table(page: &mut String, symbols: &[SymbolReport]) {
    page.push_str(
        "<section>\n<h2>Symbols</h2>\n<div class=\"scroll\">\n<table>\n<thead><tr><th>Symbol</th><th>Orders</th><th>Fills</th>\
         <th>Volume</th><th>Fees</th><th>Realised P&amp;L</th><th>Max position</th></tr></thead>\n<tbody>\n",
    );
    for symbol in symbols {
        let name = symbol.symbol.to_string();
        row(page, &name, symbol, Some((symbol.volume, symbol.max_position)));
    }
    page.push_str("</tbody>\n");
    if symbols.len() > 1 {
        page.push_str("<tfoot>\n");
        // Quantities of different coins have no sum.
        row(page, "Total", total(symbols), None);
        page.push_str("</tfoot>\n");
    }
    page.push_str("</table>\n</div>\n</section>\n");
}

/// The counts and the money of all symbols together.
fn total(symbols: &[SymbolReport]) -> Totals {
    symbols.iter().map(Totals::from).fold(Totals::default(), |sum, next| Totals {
        orders: sum.orders.saturating_add(next.orders),
        fills: sum.fills.saturating_add(next.fills),
        fees: sum.fees + next.fees,
        realized_pnl: sum.realized_pnl + next.realized_pnl,
    })
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    orders: u64,
    fills: u64,
    fees: Money,
    realized_pnl: Money,
}

impl From<&SymbolReport> for Totals {
    fn from(symbol: &SymbolReport) -> Self {
        Self { orders: symbol.orders, fills: symbol.fills, fees: symbol.fees, realized_pnl: symbol.realized_pnl }
    }
}

fn row(page: &mut String, name: &str, totals: impl Into<Totals>, quantities: Option<(Quantity, Quantity)>) {
    let totals = totals.into();
    let sign = match totals.realized_pnl {
        pnl if pnl.is_negative() => " class=\"loss\"",
        pnl if pnl.is_positive() => " class=\"gain\"",
        _ => "",
    };
    let (volume, position) = quantities.map(|(volume, position)| (number(volume), number(position))).unwrap_or_default();
    let _ = writeln!(
        page,
        "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td>{volume}</td><td>{}</td><td{sign}>{}</td><td>{position}</td></tr>",
        number(totals.orders),
        number(totals.fills),
        number(totals.fees),
        number(totals.realized_pnl),
    );
}

fn number(value: impl ToString) -> String {
    grouped(&value.to_string())
}

/// A decimal number's text with its thousands apart: `-1234567.0125` as `-1,234,567.0125`. No digit is lost.
pub(super) fn grouped(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let separated = whole.char_indices().flat_map(|(index, digit)| {
        let comma = (index > 0 && (whole.len() - index).is_multiple_of(3)).then_some(',');
        comma.into_iter().chain(iter::once(digit))
    });
    let mut out: String = sign.chars().chain(separated).collect();
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
