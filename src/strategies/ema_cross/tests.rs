use serde_json::json;

use super::super::HostInput;
use super::super::testing::*;
use super::*;
use crate::domain::order::OrderStatus;

fn settings() -> Settings {
    Settings { fast: 2, slow: 3, order_value: money("100"), open_at_start: false }
}

fn strategy(settings: &Settings) -> Box<dyn Strategy> {
    Box::new(EmaCross::new(settings.clone()))
}

fn bench(kind: InstrumentKind, settings: &Settings) -> Bench {
    let mut bench = Bench::new(config(kind), strategy(settings));
    bench.account_view();
    bench
}

/// Feeds the bars; gives after which one what was ordered. The venue fills at once.
fn trade(bench: &mut Bench, closes: &[&str]) -> Vec<String> {
    let mut done = Vec::new();
    for close in closes {
        bench.bar(close);
        done.extend(moves(&bench.settle()).into_iter().map(|order| format!("{close}: {order}")));
    }
    done
}

#[test]
fn the_first_cross_opens_and_each_later_one_flips_with_one_order_of_the_position_plus_the_target() {
    let mut bench = bench(InstrumentKind::Perpetual, &settings());
    let done = trade(&mut bench, &["100", "99", "98", "97", "125", "130", "80", "50", "100", "200"]);
    assert_eq!(done, ["125: +0.8", "80: -2.05", "100: +2.25"]);
    assert_eq!(bench.position, quantity("1"));
}

#[test]
fn on_spot_it_goes_flat_instead_of_short() {
    let mut bench = bench(InstrumentKind::Spot, &settings());
    let done = trade(&mut bench, &["100", "99", "98", "125", "130", "80", "50", "100"]);
    assert_eq!(done, ["125: +0.8", "80: -0.8", "100: +1"]);
}

#[test]
fn it_takes_the_side_at_once_when_told_to_open_at_start() {
    let mut bench = bench(InstrumentKind::Perpetual, &Settings { open_at_start: true, ..settings() });
    let history = [candle(0, price("100")), candle(1, price("110")), candle(2, price("120"))];
    bench.feed(HostInput::WarmUp { symbol: btc(), candles: &history });
    bench.skip_bars(3);
    assert_eq!(trade(&mut bench, &["125", "126"]), ["125: +0.8"]);
}

#[test]
fn a_cross_in_the_history_opens_nothing() {
    let mut bench = bench(InstrumentKind::Perpetual, &settings());
    let history = ["100", "99", "98", "125"].map(price);
    let history: Vec<_> = history.into_iter().enumerate().map(|(index, close)| candle(index as i64, close)).collect();
    bench.feed(HostInput::WarmUp { symbol: btc(), candles: &history });
    bench.skip_bars(4);
    assert_eq!(trade(&mut bench, &["126", "127"]), [""; 0]);
}

#[test]
fn a_restart_neither_doubles_a_position_nor_misses_the_cross_that_happened_meanwhile() {
    let mut bench = bench(InstrumentKind::Perpetual, &settings());
    trade(&mut bench, &["100", "99", "98", "97", "125"]);
    let series = ["100", "99", "98", "97", "125", "126", "60"].map(price);
    let history: Vec<_> = series.into_iter().enumerate().map(|(index, close)| candle(index as i64, close)).collect();
    bench.restart(config(InstrumentKind::Perpetual), strategy(&settings()), &history[..5]);
    assert_eq!(trade(&mut bench, &["126"]), [""; 0]);
    bench.restart(config(InstrumentKind::Perpetual), strategy(&settings()), &history);
    bench.skip_bars(1);
    assert_eq!(trade(&mut bench, &["50"]), ["50: -2.8"]);
}

#[test]
fn while_an_order_is_on_its_way_no_other_is_proposed() {
    let mut bench = bench(InstrumentKind::Perpetual, &settings());
    for close in ["100", "99", "98", "97", "125"] {
        bench.bar(close);
    }
    let order = bench.proposals().remove(0);
    bench.accept(&order);
    bench.restart(config(InstrumentKind::Perpetual), strategy(&Settings { open_at_start: true, ..settings() }), &[]);
    for close in ["10", "20", "30", "40", "50"] {
        bench.bar(close);
    }
    assert_eq!(bench.proposals(), []);
    bench.end(order.id, OrderStatus::Expired);
    bench.bar("51");
    assert_eq!(moves(&bench.proposals()), ["+1.96"]);
}

#[test]
fn a_refused_flip_is_followed_by_a_close_alone() {
    let mut bench = bench(InstrumentKind::Perpetual, &settings());
    trade(&mut bench, &["100", "99", "98", "97", "125"]);
    bench.bar("60");
    let flip = bench.proposals().remove(0);
    assert!(!flip.reduce_only);
    bench.refuse(&flip, "mode");
    bench.bar("59");
    let close = bench.proposals().remove(0);
    assert_eq!((close.quantity, close.reduce_only, close.reason.as_str()), (quantity("0.8"), true, "cross_down"));
    bench.fill_whole(&close);
    assert_eq!(trade(&mut bench, &["50"]), ["50: -2"]);
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let kind = super::super::Kind::of::<EmaCross>();
    assert_eq!(kind.validate(&json!({"fast": 5, "slow": 20, "order_value": "50", "open_at_start": true})), Ok(()));
    let problems = kind.validate(&json!({"fast": 20, "slow": 20, "order_value": "0"})).unwrap_err();
    let expected =
        [("slow", "expected a span longer than fast (20), found 20"), ("order_value", "expected an amount above \"0\", found 0")];
    assert_eq!(problems, expected.map(|(path, message)| (path.to_owned(), message.to_owned())));
}

#[test]
fn refusals_in_a_row_are_met_with_patience() {
    let second = std::time::Duration::from_secs(1);
    let mut bench = bench(InstrumentKind::Perpetual, &Settings { open_at_start: true, ..settings() });
    let mut tries = Vec::new();
    for index in 0..70 {
        let at = seconds(index);
        let candle =
            crate::domain::market_data::Candle { open_time: at, close_time: at + second, ..candle(0, price(&(100 + index).to_string())) };
        bench.now = at + second;
        let closed = vec![crate::domain::market::ClosedBar { interval: MINUTE, candle }];
        bench.feed(HostInput::Market(&crate::domain::market::MarketUpdate { view: view(candle.close, bench.now), closed }));
        for order in bench.proposals() {
            tries.push(index);
            bench.refuse(&order, "mode");
        }
    }
    assert_eq!(tries, [2, 3, 5, 9, 17, 33, 65]);
}
