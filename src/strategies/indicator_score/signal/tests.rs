use super::*;
use crate::strategies::testing::btc;

/// Inputs on which no rule counts.
fn neutral() -> Inputs {
    Inputs {
        symbol: btc(),
        close: 100.0,
        rsi: 50.0,
        macd: MacdValue { macd: 0.0, signal: 0.0, histogram: 0.0 },
        bands: Bands { upper: 110.0, middle: 100.0, lower: 90.0 },
        sma: (100.0, 100.0),
        ema: (100.0, 100.0),
    }
}

/// Publishes everything, so that each rule can be seen alone.
fn open() -> Settings {
    Settings { publish_above: Ratio::ZERO, ..Settings::default() }
}

fn points(inputs: Inputs) -> (u32, u32) {
    score(&inputs, &open()).map_or((0, 0), |signal| (signal.buy, signal.sell))
}

fn rsi(rsi: f64) -> Inputs {
    Inputs { rsi, ..neutral() }
}

fn close(close: f64) -> Inputs {
    Inputs { close, ..neutral() }
}

#[test]
fn rsi_tiers_exclude_each_other_and_their_limits_are_outside() {
    assert_eq!(points(rsi(29.99)), (2, 0));
    assert_eq!(points(rsi(30.0)), (1, 0));
    assert_eq!(points(rsi(39.99)), (1, 0));
    assert_eq!(points(rsi(40.0)), (0, 0));
    assert_eq!(points(rsi(60.0)), (0, 0));
    assert_eq!(points(rsi(60.01)), (0, 1));
    assert_eq!(points(rsi(70.0)), (0, 1));
    assert_eq!(points(rsi(70.01)), (0, 2));
}

#[test]
fn a_close_within_a_tenth_of_the_bands_width_of_a_band_is_near_it() {
    assert_eq!(points(close(92.0)), (1, 0));
    assert_eq!(points(close(92.001)), (0, 0));
    assert_eq!(points(close(88.0)), (1, 0), "on the other side of the band as well");
    assert_eq!(points(close(87.999)), (0, 0));
    assert_eq!(points(close(108.0)), (0, 1));
    assert_eq!(points(close(107.999)), (0, 0));
}

#[test]
fn averages_and_macd_count_for_the_side_they_are_on_and_for_nobody_when_equal() {
    let macd = |macd, signal| Inputs { macd: MacdValue { macd, signal, histogram: macd - signal }, ..neutral() };
    assert_eq!([points(macd(1.0, 0.9)), points(macd(1.0, 1.0)), points(macd(-1.0, 0.0))], [(1, 0), (0, 0), (0, 1)]);
    let sma = |fast, slow| Inputs { sma: (fast, slow), ..neutral() };
    assert_eq!([points(sma(2.0, 1.0)), points(sma(1.0, 1.0)), points(sma(1.0, 2.0))], [(1, 0), (0, 0), (0, 1)]);
    let ema = |fast, slow| Inputs { ema: (fast, slow), ..neutral() };
    assert_eq!([points(ema(2.0, 1.0)), points(ema(1.0, 1.0)), points(ema(1.0, 2.0))], [(1, 0), (0, 0), (0, 1)]);
}

#[test]
fn no_points_are_no_signal_and_neither_is_a_market_that_never_moved() {
    assert_eq!(score(&neutral(), &open()), None);
    let dead = Inputs { rsi: 0.0, bands: Bands { upper: 100.0, middle: 100.0, lower: 100.0 }, ..neutral() };
    assert_eq!(score(&dead, &open()), None);
}

/// A signal of exactly so many points: RSI gives two for buying, each average and the MACD one for either side.
fn of(buy: u32, sell: u32) -> Option<Signal> {
    Tally { buy, sell, reasons: Vec::new() }.signal(btc(), &Settings::default())
}

#[test]
fn a_signal_is_published_only_above_the_limit_exactly() {
    assert_eq!(of(3, 2), None, "0.6 is not above 0.6");
    assert_eq!(of(2, 3), None);
    assert!(of(61, 39).is_some());
    assert_eq!(of(1, 1), None);
    assert_eq!(of(0, 0), None);
}

#[test]
fn kinds_follow_strength_and_points() {
    let kind = |buy, sell| of(buy, sell).unwrap().kind;
    assert_eq!(kind(4, 0), SignalKind::StrongBuy);
    assert_eq!(kind(4, 2), SignalKind::StrongBuy);
    assert_eq!(kind(3, 0), SignalKind::Buy);
    assert_eq!(kind(2, 1), SignalKind::Buy);
    assert_eq!(kind(13, 7), SignalKind::StrongBuy, "0.65 is enough");
    assert_eq!(kind(64, 36), SignalKind::Hold, "0.64 is not");
    assert_eq!(kind(1, 2), SignalKind::Sell);
    assert_eq!(kind(2, 4), SignalKind::StrongSell);
    assert_eq!((SignalKind::Hold.side(), SignalKind::Sell.side()), (None, Some(Side::Sell)));
}

#[test]
fn a_trade_needs_the_minimum_strength_exactly() {
    let minimum = Settings::default().min_signal_strength;
    assert!(of(13, 7).unwrap().reaches(minimum));
    assert!(!of(64, 36).unwrap().reaches(minimum));
    assert!(of(2, 1).unwrap().reaches(minimum));
}

#[test]
fn a_signal_tells_its_strength_its_points_and_its_reasons() {
    let inputs = Inputs { rsi: 25.0, close: 91.0, sma: (2.0, 1.0), ema: (1.0, 2.0), ..neutral() };
    let signal = score(&inputs, &Settings::default()).unwrap();
    assert_eq!(signal.reasons, ["rsi_oversold", "near_lower_band", "sma_fast_above_slow", "ema_fast_below_slow"]);
    assert_eq!((signal.buy, signal.sell, signal.strength), (4, 1, Ratio(Decimal::new(8, 1))));
    assert_eq!(signal.summary(), "strong_buy 4:1");
    assert_eq!(serde_json::to_value(&signal).unwrap()["strength"], "0.8");
}

#[test]
fn a_rule_of_no_points_is_no_reason() {
    let settings = Settings { points: crate::strategies::indicator_score::Points { rsi: 0, ..Default::default() }, ..open() };
    assert_eq!(score(&rsi(35.0), &settings), None);
}

#[test]
fn nothing_is_scored_before_every_indicator_is_warm() {
    let settings = Settings::default();
    let mut study = Study::new(&settings);
    let first = (1..=200).find(|bar| study.push(btc(), 100.0 + f64::from(*bar % 7)).is_some());
    assert_eq!(first, Some(50), "the slow simple average is the last to be warm");
}
