use std::sync::Mutex;

use rust_decimal::Decimal;

use super::*;
use crate::domain::book::{BookSync, SequenceRule, SyncOutcome};
use crate::domain::ids::ClientOrderId;
use crate::domain::market_data::DepthUpdate;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{
    EndReason, NewOrder, OrderKind, OrderStatus, PositionSide, SelfTradePrevention, Side, TimeInForce, TradesFrom, TradesWanted,
    VenueSnapshot,
};
use crate::exchange::sources::replay::ReplayMarket;
use crate::exchange::sources::synthetic::{Synthetic, SyntheticConfig};

/// A clock that a test moves.
#[derive(Clone)]
struct Hand(Arc<Mutex<Timestamp>>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::from_millis(1_700_000_000_000))))
    }

    fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = *now + by;
    }

    fn clock(&self) -> Clock {
        let hand = self.clone();
        Arc::new(move || *hand.0.lock().unwrap())
    }
}

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn start(hand: &Hand, record: Option<PathBuf>) -> RunningExchange {
    start_with(hand, record, ExchangeConfig::default())
}

fn start_with(hand: &Hand, record: Option<PathBuf>, exchange: ExchangeConfig) -> RunningExchange {
    let setup = AccountSetup { deposit: Money(Decimal::from(100_000)), owner: 0, hedge: false };
    let config = ShellConfig { exchange, accounts: vec![(account("a"), setup), (account("b"), setup)], record, clock: hand.clock() };
    let open: OpenMarket = Box::new(|now, resume| Box::new(Synthetic::new(&SyntheticConfig::standard(1), now, resume)));
    RunningExchange::start(config, open).unwrap()
}

fn order(id: &str, side: Side, kind: OrderKind) -> VenueCommand {
    VenueCommand::Place(NewOrder {
        client_order_id: ClientOrderId::new(id).unwrap(),
        symbol: btc(),
        side,
        position_side: PositionSide::Both,
        kind,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: Quantity(Decimal::new(10, 3)),
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    })
}

fn low(id: &str) -> VenueCommand {
    order(id, Side::Buy, OrderKind::Limit { price: Price(Decimal::from(60_000)) })
}

fn ask<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn snapshot(handle: &ExchangeHandle, name: &str) -> VenueSnapshot {
    let trades = TradesWanted::from([(btc(), TradesFrom::After(0))]);
    let mut events = ask(handle.request(account(name), VenueCommand::Snapshot { trades })).unwrap();
    match events.pop() {
        Some(VenueEvent::SnapshotIs(snapshot)) => snapshot,
        other => panic!("expected a snapshot, found {other:?}"),
    }
}

#[test]
fn a_command_is_answered_on_the_accounts_stream_and_on_no_other() {
    let running = start(&Hand::new(), None);
    let handle = running.handle();
    let (mut a, b) = (handle.subscribe(account("a")).unwrap(), handle.subscribe(account("b")).unwrap());
    handle.send(account("a"), order("x", Side::Buy, OrderKind::Market)).unwrap();
    assert!(matches!(a.blocking_next(), Some(VenueEvent::Accepted { .. })));
    assert!(matches!(a.blocking_next(), Some(VenueEvent::Filled(fill)) if !fill.maker));
    running.stop().unwrap();
    assert_eq!(b.waiting(), 0);
}

#[test]
fn a_replaced_stream_ends_and_its_events_are_not_told_again() {
    let running = start(&Hand::new(), None);
    let handle = running.handle();
    let mut first = handle.subscribe(account("a")).unwrap();
    handle.send(account("a"), low("x")).unwrap();
    assert!(first.blocking_next().is_some());
    let mut second = handle.subscribe(account("a")).unwrap();
    handle.send(account("a"), low("y")).unwrap();
    assert!(first.blocking_next().is_none());
    let y = ClientOrderId::new("y").unwrap();
    assert!(matches!(second.blocking_next(), Some(VenueEvent::Accepted { client_order_id, .. }) if client_order_id == y));
    running.stop().unwrap();
}

#[test]
fn a_cancel_of_everything_on_an_own_handle_is_answered_there_and_told_on_the_stream() {
    let running = start(&Hand::new(), None);
    let (handle, kill) = (running.handle(), running.handle());
    let mut stream = handle.subscribe(account("a")).unwrap();
    handle.send(account("a"), low("x")).unwrap();
    let ended = ask(kill.request(account("a"), VenueCommand::CancelAll { symbol: None })).unwrap();
    assert!(matches!(ended[..], [VenueEvent::Ended { reason: EndReason::Canceled, .. }]));
    assert!(snapshot(&kill, "a").open_orders.is_empty());
    assert!(matches!(stream.blocking_next(), Some(VenueEvent::Accepted { .. })));
    assert!(matches!(stream.blocking_next(), Some(VenueEvent::Ended { .. })));
    running.stop().unwrap();
    // The snapshot was the other handle's.
    assert!(stream.blocking_next().is_none());
}

#[test]
fn a_restarted_exchange_remembers_accounts_orders_and_trades() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange.db");
    let hand = Hand::new();
    let running = start(&hand, Some(path.clone()));
    let handle = running.handle();
    handle.send(account("a"), order("taken", Side::Buy, OrderKind::Market)).unwrap();
    handle.send(account("a"), low("resting")).unwrap();
    handle.send(account("a"), order("stop", Side::Sell, OrderKind::StopMarket { trigger: Price(Decimal::from(59_000)) })).unwrap();
    handle.send(account("b"), low("gone")).unwrap();
    handle.send(account("b"), VenueCommand::CancelAll { symbol: None }).unwrap();
    handle.send(account("b"), VenueCommand::SetLeverage { symbol: btc(), leverage: 3 }).unwrap();
    let before = (snapshot(&handle, "a"), snapshot(&handle, "b"));
    // What was told is on disk: a copy of the files is what a kill would leave.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    running.stop().unwrap();

    let running = start(&hand, Some(copy.path().join("exchange.db")));
    let handle = running.handle();
    assert_eq!((snapshot(&handle, "a"), snapshot(&handle, "b")), before);
    assert_eq!(before.0.open_orders.len(), 2);
    let gone = VenueCommand::Query { symbol: btc(), client_order_id: ClientOrderId::new("gone").unwrap() };
    let answer = ask(handle.request(account("b"), gone)).unwrap();
    assert!(matches!(&answer[..], [VenueEvent::OrderIs { order: Some(order), .. }] if order.status == OrderStatus::Canceled));
    let next = ask(handle.request(account("a"), low("next"))).unwrap();
    assert!(matches!(next[0], VenueEvent::Accepted { venue_order_id: 5, .. }), "{next:?}");
    running.stop().unwrap();
}

#[test]
fn a_restarted_market_goes_on_near_its_last_price() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange.db");
    let hand = Hand::new();
    let running = start(&hand, Some(path.clone()));
    let mut market = running.handle().subscribe_market(&[btc()]).unwrap();
    // An answer means that the subscription before it stands.
    ask(running.handle().depth_snapshot(btc(), 1)).unwrap();
    hand.advance(Duration::from_secs(1));
    while !matches!(market.blocking_recv().unwrap().event, MarketEvent::Trade(_)) {}
    let mid = |handle: &ExchangeHandle| ask(handle.depth_snapshot(btc(), 1)).unwrap().unwrap().bids[0].price.0;
    let before = mid(&running.handle());
    running.stop().unwrap();
    hand.advance(Duration::from_secs(3_600));
    let running = start(&hand, Some(path));
    let after = mid(&running.handle());
    assert!((after - before).abs() < before / 200, "{before} before, {after} after");
    running.stop().unwrap();
}

#[test]
fn market_readers_get_frames_that_join_the_snapshot() {
    let hand = Hand::new();
    let running = start(&hand, None);
    let handle = running.handle();
    let mut market = handle.subscribe_market(&[btc()]).unwrap();
    let snapshot = ask(handle.depth_snapshot(btc(), 1_000)).unwrap().unwrap();
    assert!(snapshot.bids.len() >= 20 && snapshot.asks.len() >= 20);
    hand.advance(Duration::from_millis(900));
    let diff: DepthUpdate = loop {
        let frame = market.blocking_recv().unwrap();
        assert_eq!(frame.symbol, btc());
        if let MarketEvent::Depth(diff) = &frame.event {
            break diff.clone();
        }
    };
    assert!(diff.previous_id.unwrap() <= snapshot.last_id && snapshot.last_id <= diff.final_id, "{} {diff:?}", snapshot.last_id);
    assert!(ask(handle.candles(btc(), Duration::from_secs(60), 300)).unwrap().len() >= 299);
    assert_eq!(ask(handle.depth_snapshot(Symbol::new("NOPE").unwrap(), 5)).unwrap(), None);
    running.stop().unwrap();
}

#[test]
fn a_market_reader_that_lags_too_far_is_cut_off() {
    let hand = Hand::new();
    let running = start(&hand, None);
    let handle = running.handle();
    let mut market = handle.subscribe_market(&[btc()]).unwrap();
    for _ in 0..200 {
        hand.advance(Duration::from_secs(1));
        // A command is answered at the end of its batch, so the next one finds the clock read anew.
        snapshot(&handle, "a");
    }
    let mut frames = 0;
    while market.blocking_recv().is_some() {
        frames += 1;
    }
    assert_eq!(frames, MARKET_BACKLOG_MAX);
    running.stop().unwrap();
}

#[test]
fn injected_faults_hit_once_and_the_venue_stays_honest() {
    let hand = Hand::new();
    let running = start(&hand, None);
    let handle = running.handle();
    let request = |command| ask(handle.request(account("a"), command)).unwrap();

    handle.inject(Fault::RejectNext(-1008)).unwrap();
    assert!(matches!(request(low("r"))[..], [VenueEvent::Rejected { code: -1008, .. }]));

    handle.inject(Fault::UnknownOutcomeNext).unwrap();
    assert!(matches!(request(low("u"))[..], [VenueEvent::OutcomeUnknown { .. }]));
    assert_eq!(snapshot(&handle, "a").open_orders.len(), 1);

    handle.inject(Fault::RefuseCancels(true)).unwrap();
    assert!(matches!(request(VenueCommand::CancelAll { symbol: None })[..], [VenueEvent::CommandFailed { .. }]));
    handle.inject(Fault::RefuseCancels(false)).unwrap();
    assert!(matches!(request(VenueCommand::CancelAll { symbol: None })[..], [VenueEvent::Ended { .. }]));

    let mut stream = handle.subscribe(account("a")).unwrap();
    handle.inject(Fault::DropEvents(1)).unwrap();
    handle.send(account("a"), low("d")).unwrap();
    handle.send(account("a"), low("e")).unwrap();
    let e = ClientOrderId::new("e").unwrap();
    assert!(matches!(stream.blocking_next(), Some(VenueEvent::Accepted { client_order_id, .. }) if client_order_id == e));
    running.stop().unwrap();
}

#[test]
fn a_frozen_exchange_answers_after_the_thaw() {
    let hand = Hand::new();
    let running = start(&hand, None);
    let handle = running.handle();
    let mut stream = handle.subscribe(account("a")).unwrap();
    handle.inject(Fault::Freeze(Duration::from_secs(5))).unwrap();
    handle.send(account("a"), low("x")).unwrap();
    // This answer comes from behind the command, which is held.
    ask(handle.depth_snapshot(btc(), 1)).unwrap();
    assert_eq!(stream.waiting(), 0);
    hand.advance(Duration::from_secs(6));
    assert!(matches!(stream.blocking_next(), Some(VenueEvent::Accepted { .. })));
    running.stop().unwrap();
}

/// Between two diffs too, and while touches run ahead of them.
#[test]
fn every_book_that_is_fetched_leads_with_the_stream_to_the_same_one() {
    let hand = Hand::new();
    let running = start(&hand, None);
    let handle = running.handle();
    let mut frames = handle.subscribe_market(&[btc()]).unwrap();
    let mut readers: Vec<BookSync> = Vec::new();
    for n in 0..400 {
        hand.advance(Duration::from_millis(10 + n % 7));
        let book = ask(handle.depth_snapshot(btc(), 5_000)).unwrap().unwrap();
        while let Ok(frame) = frames.try_recv() {
            let MarketEvent::Depth(update) = &frame.event else { continue };
            readers.iter_mut().for_each(|reader| assert!(!matches!(reader.on_diff(update), SyncOutcome::Gap { .. }), "{update:?}"));
        }
        let mut reader = BookSync::new(SequenceRule::UsdM);
        reader.on_snapshot(&book);
        readers.push(reader);
        let levels =
            |reader: &BookSync| reader.book().unwrap().levels(Side::Buy).chain(reader.book().unwrap().levels(Side::Sell)).collect();
        for reader in &readers {
            if reader.last_id() == book.last_id {
                let (found, expected): (Vec<_>, Vec<_>) = (levels(reader), book.bids.iter().chain(&book.asks).copied().collect());
                assert_eq!(found, expected, "at {}", book.last_id);
            }
        }
    }
    running.stop().unwrap();
}

#[test]
fn a_market_of_trades_alone_shows_the_touch_that_its_orders_meet() {
    let (hand, folder) = (Hand::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("BTCUSDT-aggTrades-2024-08-08.csv");
    let row = |n: u64| format!("{n},{}.0,0.500,{n},{n},{},{}\n", 60_000 + n % 5, 1_723_161_255_000 + n * 100, n.is_multiple_of(2));
    std::fs::write(&file, (1..100).map(row).collect::<String>()).unwrap();
    let config = ShellConfig {
        exchange: ExchangeConfig::default(),
        accounts: vec![(account("a"), AccountSetup { deposit: Money(Decimal::from(100_000)), owner: 0, hedge: false })],
        record: None,
        clock: hand.clock(),
    };
    let open: OpenMarket = Box::new(move |now, _| Box::new(ReplayMarket::open(&[file], now).unwrap()));
    let running = RunningExchange::start(config, open).unwrap();
    let handle = running.handle();
    let mut frames = handle.subscribe_market(&[btc()]).unwrap();
    let mut reader: Option<BookSync> = None;
    let mut touches = 0;
    for _ in 0..100 {
        hand.advance(Duration::from_millis(90));
        let book = ask(handle.depth_snapshot(btc(), 5)).unwrap();
        while let Ok(frame) = frames.try_recv() {
            match (&frame.event, &mut reader) {
                (MarketEvent::Depth(update), Some(reader)) => assert_eq!(reader.on_diff(update), SyncOutcome::Applied),
                (MarketEvent::Ticker(touch), Some(reader)) => {
                    touches += 1;
                    let book = reader.book().unwrap();
                    assert_eq!((book.best_bid(), book.best_ask()), (Some(touch.bid), Some(touch.ask)));
                }
                _ => {}
            }
        }
        if let (None, Some(book)) = (&reader, book.filter(|book| book.last_id > 0)) {
            let mut begun = BookSync::new(SequenceRule::UsdM);
            begun.on_snapshot(&book);
            reader = Some(begun);
        }
    }
    assert!(touches > 20, "{touches}");
    let bid = reader.and_then(|reader| reader.book()?.best_bid()).unwrap();
    let sold = ask(handle.request(account("a"), order("s", Side::Sell, OrderKind::Market))).unwrap();
    let at = sold.iter().find_map(|event| if let VenueEvent::Filled(fill) = event { Some(fill.price) } else { None });
    assert_eq!(at, Some(Price(Decimal::new(bid.price.0, 1))), "{sold:?}");
    running.stop().unwrap();
}

#[test]
fn a_record_of_another_version_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchange.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let error = ExchangeRecord::open(&path).unwrap_err().to_string();
    assert!(error.contains("expected schema version 1, found 9"), "{error}");
}

#[test]
fn a_page_of_trades_is_the_same_whoever_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    for (record, trades_kept) in [(None, 100), (Some(folder.path().join("exchange.db")), 3)] {
        let running = start_with(&Hand::new(), record, ExchangeConfig { trades_kept, ..ExchangeConfig::default() });
        let handle = running.handle();
        for nth in 0..8 {
            ask(handle.request(account("a"), order(&format!("m{nth}"), Side::Buy, OrderKind::Market))).unwrap();
        }
        let page = |asked: TradesAsked| {
            let ids = move |desk: &mut Desk<'_>| {
                desk.trades(account("a"), asked).unwrap().iter().map(|trade| trade.fill.trade_id).collect::<Vec<_>>()
            };
            ask(handle.call(ids)).unwrap()
        };
        let (symbol, until) = (btc(), Timestamp(i64::MAX));
        let first = TradesAsked { symbol, begins: Some(TradesFrom::After(0)), until, order: None, limit: 100, newest: false };
        let all = page(first);
        assert!(all.len() >= 8, "{all:?}");
        assert_eq!(page(TradesAsked { limit: 5, ..first }), all[..5]);
        assert_eq!(page(TradesAsked { begins: Some(TradesFrom::After(all[1])), limit: 5, ..first }), all[2..7]);
        let since = TradesAsked { begins: Some(TradesFrom::Since(Timestamp::ZERO)), newest: true, ..first };
        assert_eq!(page(since), all);
        assert_eq!(page(TradesAsked { limit: 6, ..since }), all[all.len() - 6..]);
        assert_eq!(page(TradesAsked { limit: 2, ..since }), all[all.len() - 2..]);
        assert_eq!(page(TradesAsked { begins: None, limit: 2, ..since }), all[all.len() - 2..]);
        assert!(page(TradesAsked { until: Timestamp::ZERO, ..since }).is_empty());
        running.stop().unwrap();
    }
}
