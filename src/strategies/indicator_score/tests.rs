use std::time::Duration;

use rust_decimal::Decimal;

use super::super::testing::*;
use super::super::{HostInput, StrategyEffect};
use super::*;
use crate::domain::money::Ratio;
use crate::domain::order::{OrderKind, OrderStatus};

/// Short windows, so that a series of a few bars warms them up; the rules and the numbers for orders are the defaults.
fn settings() -> Settings {
    Settings {
        history_bars: 10,
        rsi_length: 3,
        macd_fast: 2,
        macd_slow: 3,
        macd_signal: 2,
        bollinger_length: 3,
        sma_fast: 2,
        sma_slow: 3,
        ema_fast: 2,
        ema_slow: 3,
        ..Settings::default()
    }
}

fn strategy(settings: &Settings) -> Box<dyn Strategy> {
    Box::new(IndicatorScore::new(settings.clone()))
}

/// A bench with the indicators warmed on a market that goes nowhere.
fn bench(settings: &Settings) -> Bench {
    let mut bench = Bench::new(config(InstrumentKind::Perpetual), strategy(settings));
    let closes = ["100", "101", "100", "101", "100", "101", "100", "101", "100", "101"].map(price);
    let history: Vec<_> = closes.into_iter().enumerate().map(|(index, close)| candle(index as i64, close)).collect();
    bench.feed(HostInput::WarmUp { symbol: btc(), candles: &history });
    bench.skip_bars(10);
    bench.account_view();
    bench
}

/// A settings table in which the averages alone count, so that a rise buys and a fall sells.
fn trend() -> Settings {
    let points = Points { rsi_extreme: 0, rsi: 0, band: 0, ..Points::default() };
    Settings { points, ..settings() }
}

fn kinds(bench: &Bench) -> Vec<String> {
    bench.open.iter().map(|order| format!("{:?} {}", order.kind, order.quantity)).collect()
}

#[test]
fn a_signal_enters_by_risk_and_puts_a_stop_and_a_target_around_the_fill() {
    let mut bench = bench(&trend());
    bench.bar("110");
    let fresh = bench.effects.clone();
    assert!(matches!(fresh[0], StrategyEffect::SetLeverage { leverage: 3, .. }));
    let done = bench.settle();
    // 2 % of 10,000 is 200; at a stop of 3 % that is a position of 6,666, capped at 1,000; at 110 that is 9.09.
    assert_eq!(moves(&done), ["+9.09", "-9.09", "-9.09"]);
    assert_eq!(done[0].reason, "buy 3:0");
    assert_eq!(kinds(&bench), ["StopMarket { trigger: 106.7 } 9.09", "TakeProfitMarket { trigger: 116.6 } 9.09"]);
    assert!(bench.open.iter().all(|order| order.reduce_only));
}

#[test]
fn a_position_is_not_added_to() {
    let mut bench = bench(&trend());
    bench.bar("110");
    bench.settle();
    bench.bar("112");
    bench.bar("114");
    assert_eq!(bench.settle(), []);
}

#[test]
fn an_opposite_signal_holds_closes_or_reverses_as_the_settings_say() {
    let run = |on_opposite| {
        let mut bench = bench(&Settings { on_opposite, ..trend() });
        bench.bar("110");
        bench.settle();
        bench.bar("107");
        bench.bar("105");
        let done = moves(&bench.settle());
        (done, bench.position, bench.open.len())
    };
    assert_eq!(run(OnOpposite::Hold), (vec![], quantity("9.09"), 2));
    assert_eq!(run(OnOpposite::Close), (vec!["-9.09".to_owned()], Quantity::ZERO, 0));
    let (done, position, open) = run(OnOpposite::Reverse);
    assert_eq!(done, ["-9.09", "-9.523", "+9.523", "+9.523"]);
    assert_eq!((position, open), (quantity("-9.523"), 2));
}

#[test]
fn when_the_stop_fills_the_target_goes_and_the_next_signal_enters_again() {
    let mut bench = bench(&trend());
    bench.bar("110");
    bench.settle();
    let stop = bench.open[0].clone();
    bench.fill_whole(&stop);
    bench.settle();
    assert_eq!((bench.position, bench.open.len()), (Quantity::ZERO, 0));
    bench.bar("120");
    assert_eq!(moves(&bench.settle())[0], "+8.333");
}

#[test]
fn a_refused_stop_closes_the_position() {
    let mut bench = bench(&trend());
    bench.bar("110");
    let entry = bench.proposals().remove(0);
    bench.fill_whole(&entry);
    let stop = bench.proposals().remove(0);
    assert!(matches!(stop.kind, OrderKind::StopMarket { .. }));
    bench.refuse(&stop, "message_rate");
    let close = bench.proposals().remove(0);
    assert_eq!((close.kind, close.reduce_only, close.reason.as_str()), (OrderKind::Market, true, "stop_lost"));
}

#[test]
fn a_stop_that_nobody_answers_closes_the_position_although_nothing_else_happens() {
    let mut bench = bench(&trend());
    bench.bar("110");
    let entry = bench.proposals().remove(0);
    bench.fill_whole(&entry);
    bench.fresh();
    bench.wait(Duration::from_secs(5));
    assert_eq!(bench.proposals()[0].reason, "stop_unconfirmed");
}

#[test]
fn a_restart_takes_the_position_and_its_orders_over() {
    let mut bench = bench(&trend());
    bench.bar("110");
    bench.settle();
    bench.restart(config(InstrumentKind::Perpetual), strategy(&trend()), &[]);
    assert_eq!(bench.settle(), []);
    let target = bench.open[1].clone();
    bench.fill_whole(&target);
    bench.settle();
    assert_eq!((bench.position, bench.open.len()), (Quantity::ZERO, 0));
}

#[test]
fn a_restart_between_the_fill_and_the_stop_protects_the_position() {
    let mut bench = bench(&trend());
    bench.bar("110");
    let entry = bench.proposals().remove(0);
    bench.fill_whole(&entry);
    bench.fresh();
    bench.restart(config(InstrumentKind::Perpetual), strategy(&trend()), &[]);
    bench.settle();
    assert_eq!(kinds(&bench), ["StopMarket { trigger: 106.7 } 9.09", "TakeProfitMarket { trigger: 116.6 } 9.09"]);
}

#[test]
fn a_position_that_somebody_else_closed_leaves_no_orders() {
    let mut bench = bench(&trend());
    bench.bar("110");
    bench.settle();
    bench.set_position(Quantity::ZERO, Price::ZERO);
    bench.settle();
    assert_eq!(bench.open.len(), 0);
}

#[test]
fn a_refused_entry_may_be_tried_with_the_next_signal() {
    let mut bench = bench(&trend());
    bench.bar("110");
    let entry = bench.proposals().remove(0);
    bench.refuse(&entry, "order_value");
    bench.bar("112");
    assert_eq!(moves(&bench.settle())[0], "+8.928");
}

#[test]
fn an_entry_that_is_cancelled_after_a_part_is_protected_for_that_part() {
    let mut bench = bench(&trend());
    bench.bar("110");
    let entry = bench.proposals().remove(0);
    bench.report(&entry, OrderStatus::Working, Some(quantity("2")));
    assert_eq!(bench.proposals(), [], "the rest may come in at once");
    bench.report(&entry, OrderStatus::Expired, None);
    bench.settle();
    assert_eq!(kinds(&bench), ["StopMarket { trigger: 106.7 } 2", "TakeProfitMarket { trigger: 116.6 } 2"]);
}

#[test]
fn it_does_not_trade_on_spot_or_on_a_weak_signal() {
    let mut spot = Bench::new(config(InstrumentKind::Spot), strategy(&trend()));
    spot.account_view();
    let mut weak = bench(&Settings { min_signal_strength: Ratio(Decimal::ONE), ..settings() });
    for close in ["100", "101", "100", "101", "110", "120", "104", "108"] {
        spot.bar(close);
        assert_eq!(spot.settle(), []);
    }
    // The rise counts for buying on the averages and for selling on RSI and the band.
    weak.bar("110");
    assert_eq!(weak.settle(), []);
}

#[test]
fn size_is_by_risk_then_capped_by_value_then_by_leverage_and_never_rounded_up() {
    let instrument = instrument(InstrumentKind::Perpetual);
    let size = |equity: &str, settings: &Settings| super::size(money(equity), price("100"), &instrument, settings);
    let wide = Settings { max_position: money("1000000"), ..Settings::default() };
    // 2 % of 1,000 is 20, which a fall of 3 % takes from 666.66.
    assert_eq!(size("1000", &wide), quantity("6.666"));
    assert_eq!(size("1000", &Settings { max_position: money("500"), ..wide.clone() }), quantity("5"));
    let tight = Settings { stop_loss: Ratio(Decimal::new(1, 3)), leverage: 3, ..wide.clone() };
    assert_eq!(size("1000", &tight), quantity("30"));
    assert_eq!(size("-5", &wide), Quantity::ZERO);
}

#[test]
fn the_defaults_are_those_of_the_specification() {
    let text = serde_json::to_string(&Settings::default()).unwrap();
    let expected = concat!(
        r#"{"history_bars":200,"rsi_length":14,"rsi_oversold":30.0,"rsi_low":40.0,"rsi_high":60.0,"rsi_overbought":70.0,"#,
        r#""macd_fast":12,"macd_slow":26,"macd_signal":9,"bollinger_length":20,"bollinger_deviations":2.0,"near_band":0.1,"#,
        r#""sma_fast":20,"sma_slow":50,"ema_fast":12,"ema_slow":26,"#,
        r#""points":{"rsi_extreme":2,"rsi":1,"macd":1,"band":1,"sma":1,"ema":1},"#,
        r#""publish_above":"0.6","side_from":"0.65","strong_points":4,"min_signal_strength":"0.65","#,
        r#""stop_loss":"0.03","take_profit":"0.06","leverage":3,"risk_per_trade":"0.02","max_position":"1000","on_opposite":"close"}"#
    );
    assert_eq!(text, expected);
    assert_eq!(Settings::default().validate(), []);
}
