//! What the engine costs on a backtest's hot path: touches, trades and diffs without own orders and with a few, and an order's
//! whole way. Run with `cargo bench --bench exchange`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringfence::domain::ids::{AccountId, ClientOrderId, Symbol};
use ringfence::domain::instrument::InstrumentKind;
use ringfence::domain::market_data::{MarketEvent, MarketFrame};
use ringfence::domain::money::{Money, Price, Quantity};
use ringfence::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce, VenueCommand};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::sources::MarketSource;
use ringfence::exchange::sources::synthetic::{Synthetic, SyntheticConfig};
use ringfence::exchange::{AccountSetup, Exchange, ExchangeConfig, instruments};
use rust_decimal::Decimal;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").expect("a valid symbol")
}

/// A minute of one symbol.
fn minute() -> Vec<MarketFrame> {
    let mut source = Synthetic::new(&SyntheticConfig::standard(1), START, &Default::default());
    let mut frames = Vec::new();
    source.poll(START + Duration::from_secs(60), &mut frames);
    frames.retain(|frame| frame.symbol == btc());
    frames
}

fn order(n: u64, side: Side, kind: OrderKind) -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new(&format!("bench-{n}")).expect("a valid id"),
        symbol: btc(),
        side,
        position_side: PositionSide::Both,
        kind,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: Quantity(Decimal::new(10, 3)),
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    }
}

fn exchange(frames: &[MarketFrame], own: u64) -> (Exchange, AccountId) {
    let mut exchange = Exchange::new(ExchangeConfig::default());
    exchange.add_symbol(instruments::bundled(InstrumentKind::Perpetual, btc()).expect("bundled"));
    let account = AccountId::new("bench").expect("a valid account");
    exchange.open_account(account, AccountSetup { deposit: Money(Decimal::from(10_000_000)), owner: 0, hedge: false });
    let mut out = Vec::new();
    for frame in &frames[..2] {
        exchange.market(START, 0, frame.borrowed().event, &mut out);
    }
    for n in 0..own {
        // Deep enough never to fill.
        let kind = OrderKind::Limit { price: Price(Decimal::from(60_000 - n)) };
        exchange.command(START, account, &VenueCommand::Place(order(n, Side::Buy, kind)), &mut out);
    }
    (exchange, account)
}

/// Which frames a benchmark feeds.
type Wanted = fn(&MarketEvent) -> bool;

fn market(c: &mut Criterion) {
    let frames = minute();
    for own in [0, 20] {
        let mut group = c.benchmark_group(format!("market, {own} own orders"));
        let kinds: [(&str, Wanted); 4] = [
            ("touch", |event| matches!(event, MarketEvent::Ticker(_))),
            ("trade", |event| matches!(event, MarketEvent::Trade(_))),
            ("depth level", |event| matches!(event, MarketEvent::Depth(_))),
            ("frame of the whole stream", |_| true),
        ];
        for (name, wanted) in kinds {
            let chosen: Vec<_> = frames.iter().filter(|frame| wanted(&frame.event)).collect();
            let elements: usize = chosen.iter().map(|frame| levels(name, &frame.event)).sum();
            group.throughput(Throughput::Elements(elements as u64));
            group.bench_function(name, |b| {
                let (ready, _) = exchange(&frames, own);
                let mut out = Vec::new();
                b.iter_batched_ref(
                    || ready.clone(),
                    |exchange| {
                        for frame in &chosen {
                            exchange.market(frame.venue_time, 0, frame.borrowed().event, &mut out);
                        }
                        black_box(&out);
                    },
                    BatchSize::LargeInput,
                );
            });
        }
        group.finish();
    }
}

fn levels(name: &str, event: &MarketEvent) -> usize {
    match event {
        MarketEvent::Depth(update) if name == "depth level" => update.bids.len() + update.asks.len(),
        _ => 1,
    }
}

fn orders(c: &mut Criterion) {
    let frames = minute();
    let (mut exchange, account) = exchange(&frames, 20);
    let mut out = Vec::new();
    let mut n = 1_000;
    c.bench_function("place and cancel a limit order", |b| {
        b.iter(|| {
            n += 1;
            let request = order(n, Side::Buy, OrderKind::Limit { price: Price(Decimal::from(60_500)) });
            let client_order_id = request.client_order_id;
            exchange.command(START, account, &VenueCommand::Place(request), &mut out);
            exchange.command(START, account, &VenueCommand::Cancel { symbol: btc(), client_order_id }, &mut out);
            out.clear();
        });
    });
}

fn source(c: &mut Criterion) {
    let mut group = c.benchmark_group("synthetic market");
    group.throughput(Throughput::Elements(1));
    let mut market = Synthetic::new(&SyntheticConfig::standard(1), START, &Default::default());
    let (mut now, mut frames) = (START, Vec::new());
    group.bench_function("a second of three symbols", |b| {
        b.iter(|| {
            now = now + Duration::from_secs(1);
            frames.clear();
            market.poll(now, &mut frames);
            black_box(frames.len())
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    targets = market, orders, source
}
criterion_main!(benches);
