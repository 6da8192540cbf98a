//! What a reader of the page would notice.

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use charts::{drawdown, thin};
use page::grouped;

fn symbol(name: &str, fills: u64) -> SymbolReport {
    SymbolReport {
        symbol: Symbol::new(name).unwrap(),
        prices: vec![(Timestamp::from_millis(0), Price(Decimal::new(618_001, 1))), (Timestamp::from_millis(1_000), Price(Decimal::TEN))],
        orders: fills + 1,
        fills,
        volume: Quantity(Decimal::new(12_345, 3)),
        fees: Money(Decimal::new(1_234_567, 2)),
        realized_pnl: Money(Decimal::new(-98_765_432, 5)),
        max_position: Quantity(Decimal::new(5, 3)),
    }
}

fn report() -> ReportData {
    let fill = |side, millis| FillPoint {
        at: Timestamp::from_millis(millis),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        side,
        price: Price(Decimal::new(618_001, 1)),
        quantity: Quantity(Decimal::new(3, 3)),
    };
    ReportData {
        title: "Backtest of <ema & cross>".to_owned(),
        subtitle: "btcusdt.gz".to_owned(),
        summary: vec![("Final equity".to_owned(), "10,012.5".to_owned()), ("Realised".to_owned(), "-3".to_owned())],
        equity: [100, 120, 90, 130].into_iter().zip(0..).map(|(value, at)| (Timestamp::from_millis(at), Money(value.into()))).collect(),
        symbols: vec![symbol("BTCUSDT", 2), symbol("ETHUSDT", 0)],
        fills: vec![fill(Side::Buy, 100), fill(Side::Sell, 900)],
    }
}

/// The page without its library, which is not ours to test.
fn page(report: &ReportData) -> String {
    let html = html(report);
    let (head, rest) = html.split_once("<script").unwrap();
    format!("{head}{}", rest.split_once("</script>").unwrap().1)
}

#[test]
fn the_page_has_the_figures_the_charts_and_a_row_for_each_symbol() {
    let page = page(&report());
    for expected in [
        "<dt>Final equity</dt><dd>10,012.5</dd>",
        "<dd class=\"loss\">-3</dd>",
        "1970-01-01T00:00:00.000Z</time> to <time>1970-01-01T00:00:01.000Z",
        "<tr><th scope=\"row\">BTCUSDT</th><td>3</td><td>2</td><td>12.345</td><td>12,345.67</td><td class=\"loss\">-987.65432</td><td>0.005</td></tr>",
        "<tr><th scope=\"row\">Total</th><td>4</td><td>2</td><td></td><td>24,691.34</td><td class=\"loss\">-1,975.30864</td><td></td></tr>",
        "id=\"equity\"",
        "id=\"price-ETHUSDT\"",
        "Buy 0.003 at 61,800.1",
        "Sell 0.003 at 61,800.1",
    ] {
        assert!(page.contains(expected), "{expected} is missing in {page}");
    }
}

#[test]
fn the_page_needs_no_network_and_escapes_what_it_is_given() {
    let report = report();
    let page = page(&report);
    assert!(!page.contains("http:") && !page.contains("https:"), "nothing is loaded from elsewhere");
    assert!(page.contains("<h1>Backtest of &lt;ema &amp; cross&gt;</h1>") && !page.contains("<ema"));
    let whole = html(&report);
    assert!(whole.contains("Plotly.newPlot(\"equity\"") && whole.len() > 3_000_000, "the library is inside");
    assert!(!whole.contains("MathJax.loader"), "and MathJax is not");
    assert_eq!(whole, html(&report));
}

#[test]
fn a_report_of_nothing_is_still_a_page() {
    let page = page(&ReportData::default());
    assert!(page.contains("No equity was recorded.") && page.ends_with("</html>\n"));
}

#[test]
fn a_hundred_symbols_get_a_dozen_charts_and_a_hundred_rows() {
    let symbols = (0..100).map(|index| symbol(&format!("S{index:02}USDT"), index)).collect();
    let page = page(&ReportData { symbols, ..report() });
    assert_eq!(page.matches("id=\"price-").count(), CHARTS_MAX);
    assert!(page.contains("id=\"price-S99USDT\"") && !page.contains("id=\"price-S00USDT\""));
    assert_eq!(page.matches("<th scope=\"row\">S").count(), 100);
    assert!(page.contains("88 more symbols, with fewer fills, are in the table only."));
}

#[test]
fn a_drawdown_is_measured_from_the_highest_equity_so_far() {
    let falls: Vec<f64> = drawdown(&report().equity).into_iter().map(|(_, fall)| fall).collect();
    assert_eq!(falls, [0.0, 0.0, -25.0, 0.0]);
    let broke = [(Timestamp::ZERO, Money(Decimal::NEGATIVE_ONE)), (Timestamp::ZERO, Money(Decimal::NEGATIVE_ONE))];
    assert!(drawdown(&broke).into_iter().all(|(_, fall)| fall == 0.0));
}

#[test]
fn thousands_are_apart_and_no_digit_is_lost() {
    let shown = ["0", "-1", "999", "1000", "-123456.7890123", "1234567"].map(grouped);
    assert_eq!(shown, ["0", "-1", "999", "1,000", "-123,456.7890123", "1,234,567"]);
}

proptest! {
    /// However long the curve: bounded, in order, with its ends and its extremes.
    #[test]
    fn a_thinned_curve_keeps_its_ends_and_extremes(heights in proptest::collection::vec(-1e9_f64..1e9, 1..3_000), max in 4_usize..600) {
        let points: Vec<(i64, f64)> = (0..).zip(heights).collect();
        let kept = thin(&points, max);
        prop_assert!(kept.len() <= max);
        prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
        let extreme = |points: &[(i64, f64)], pick: fn(f64, f64) -> f64| points.iter().map(|point| point.1).reduce(pick);
        prop_assert_eq!(extreme(&kept, f64::max), extreme(&points, f64::max));
        prop_assert_eq!(extreme(&kept, f64::min), extreme(&points, f64::min));
    }
}
