//! What a bar and a trade cost: the whole feature row of a bar, and a trade that goes into a time bar.
//! `cargo bench --bench indicators`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringfence::domain::bars::{GridBar, TimeBars};
use ringfence::domain::indicators::{Bar, Features};
use ringfence::domain::instrument::{Lots, Ticks};
use ringfence::domain::time::Timestamp;

/// A day of minutes.
const BARS: u64 = 1_440;
const TRADES: i64 = 100_000;

fn bar(index: u64) -> Bar {
    let close = 60_000.0 + ((index * 7_919) % 1_009) as f64 / 10.0;
    Bar { open: close - 1.0, high: close + 5.0, low: close - 6.0, close, volume: 1.0 + (index % 13) as f64 }
}

fn features(criterion: &mut Criterion) {
    let bars: Vec<Bar> = (0..BARS).map(bar).collect();
    let mut group = criterion.benchmark_group("indicators");
    group.throughput(Throughput::Elements(BARS));
    group.bench_function("feature_row", |bencher| {
        let mut features = Features::default();
        bencher.iter(|| bars.iter().for_each(|bar| _ = black_box(features.push(*bar))));
    });
    group.finish();
}

fn trades(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bars");
    group.throughput(Throughput::Elements(TRADES as u64));
    group.bench_function("trade_into_1s_bar", |bencher| {
        let mut closed: Vec<GridBar> = Vec::new();
        bencher.iter(|| {
            // Invariant: a second is a valid interval.
            let mut bars = TimeBars::new(Duration::from_secs(1)).expect("a second is within the bounds");
            for index in 0..TRADES {
                bars.on_trade(Timestamp::from_millis(index * 3), Ticks(600_000 + index % 97), Lots(1 + index % 5), &mut closed);
            }
            closed.clear();
            black_box(&mut bars);
        });
    });
    group.finish();
}

criterion_group!(benches, features, trades);
criterion_main!(benches);
