//! What every adapter must do, whatever it speaks: one suite against Binance's spot and USD-M and against Aster, each on the wire
//! as the exchange serves it. What an executor or the kill switch would notice is what counts.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use ringfence::domain::dead_man::Countdown;
use ringfence::domain::ids::{AccountId, ClientOrderId, Symbol};
use ringfence::domain::instrument::Instrument;
use ringfence::domain::money::{Price, Quantity, Ratio};
use ringfence::domain::order::{
    EndReason, FeeTaken, Fill, NewOrder, OrderKind, OrderStatus, PositionSide, SelfTradePrevention, Side, TimeInForce, TradesFrom,
    TradesWanted, VenueCommand, VenueEvent, VenueSnapshot,
};
use ringfence::exchange::wire::{Dialect, Product as Served};
use ringfence::messages::Clock;
use ringfence::venues::binance::codec::answers::{Commission, PriceAnswer};
use ringfence::venues::binance::codec::exchange_info::exchange_info;
use ringfence::venues::binance::codec::outcome::Answer;
use ringfence::venues::binance::codec::product::Product;
use ringfence::venues::binance::sign::Credentials;
use ringfence::venues::binance::trading::account::{Account, AccountParts};
use ringfence::venues::binance::trading::caller::{Caller, Host, Times, read};
use ringfence::venues::binance::trading::lane::Origin;
use ringfence::venues::binance::trading::setup::Wanted;
use ringfence::venues::binance::trading::socket::StreamBases;
use ringfence::venues::binance::trading::venue::BinanceVenue;
use ringfence::venues::binance::trading::weight::Purpose;
use ringfence::venues::port::{Gate, Heard, Venue as _};
use rust_decimal::Decimal;

use crate::support::exchange::{Wired, key};

/// Generous: every wait is for an event.
const PATIENCE: Duration = Duration::from_secs(30);
const LOT: &str = "0.01";

/// The adapters, each with what it is served by.
const ADAPTERS: [(Product, Served); 3] = [
    (Product::BinanceSpot, Served::SPOT),
    (Product::BinanceUsdm, Served::USDM),
    (Product::AsterV1, Served { dialect: Dialect::Aster, ..Served::USDM }),
];

struct Open;

impl Gate for Open {
    fn enter(&self, _: &NewOrder) -> Option<Box<dyn Send>> {
        Some(Box::new(()))
    }
}

/// One adapter with an account on the wire.
struct Desk {
    product: Product,
    wired: Wired,
    host: Arc<Host>,
    instrument: Instrument,
    venue: BinanceVenue,
    heard: BoxStream<'static, Heard>,
    orders: u32,
}

fn account() -> AccountId {
    AccountId::new("a").unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn lot() -> Quantity {
    LOT.parse().unwrap()
}

impl Desk {
    async fn open(product: Product, served: Served, secret: Option<&str>) -> Self {
        let wired = Wired::start(served).await;
        let (clock, began) = (Clock::start(), std::time::Instant::now());
        let times = Times { now: Arc::new(move || clock.now()), steady: Arc::new(move || began.elapsed()) };
        let host = Host::new(Origin::parse(&wired.rest).unwrap(), product, times, 250);
        let instrument = listed(&host).await;
        let key = key("a");
        let account = Account::new(AccountParts {
            id: account(),
            host: Arc::clone(&host),
            streams: StreamBases { ws: wired.ws.clone(), ws_api: wired.ws_api.clone() },
            credentials: Credentials::hmac(key.api_key.clone(), secret.unwrap_or(&key.secret).to_owned().into()),
            instruments: Arc::new(ArcSwap::from_pointee(vec![instrument.clone()])),
            orders_per_second: 100,
            recv_window: Duration::from_secs(5),
            clock_offset_max: Duration::from_secs(1),
            wanted: Wanted::default(),
            key_host: None,
            gate: Arc::new(Open),
        });
        let venue = BinanceVenue::default();
        venue.add(account);
        let heard = venue.listen(self::account()).unwrap();
        Self { product, wired, host, instrument, venue, heard, orders: 0 }
    }

    /// With its stream open and the venue's clock known, at a market that has traded.
    async fn ready(product: Product, served: Served) -> Self {
        let mut desk = Self::open(product, served, None).await;
        while desk.next().await != Heard::Opened {}
        while desk.host.offset_millis().is_none() {
            // The clock is asked beside it.
            let _ = tokio::time::timeout(Duration::from_millis(5), desk.heard.next()).await;
        }
        let traded = async { while desk.price().await.is_zero() {} };
        tokio::time::timeout(PATIENCE, traded).await.expect("a market that trades");
        desk
    }

    async fn next(&mut self) -> Heard {
        let heard = tokio::time::timeout(PATIENCE, self.heard.next()).await;
        heard.unwrap_or_else(|_| panic!("{}: expected a word within {PATIENCE:?}", self.product)).expect("a stream that goes on")
    }

    /// The first event that is so.
    async fn until<T>(&mut self, what: &str, wanted: impl Fn(&VenueEvent) -> Option<T>) -> T {
        let mut others = Vec::new();
        let product = self.product;
        let wait = async {
            loop {
                match self.heard.next().await.expect("a stream that goes on") {
                    Heard::Event(event) => match wanted(&event) {
                        Some(found) => return found,
                        None => others.push(event),
                    },
                    Heard::Opened => panic!("{product}: the stream opened anew"),
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("{product}: expected {what}, found {others:#?}"))
    }

    fn send(&self, command: VenueCommand) {
        self.venue.send(account(), command).unwrap();
    }

    async fn price(&self) -> Decimal {
        let request = self.product.price(btc()).unwrap();
        let body = Caller::public(Arc::clone(&self.host)).body(Purpose::Market, &request).await.unwrap();
        read::<PriceAnswer<'_>>(self.product, &body).unwrap().price.0
    }

    /// The market's price times so many thousandths, on the grid.
    async fn priced(&self, permille: i64) -> Price {
        self.instrument.price_down(Price(self.price().await * Decimal::new(permille, 3)))
    }

    fn order(&mut self, side: Side, kind: OrderKind) -> NewOrder {
        self.orders += 1;
        NewOrder {
            client_order_id: ClientOrderId::new(&format!("rf-a-1-{}", self.orders)).unwrap(),
            symbol: btc(),
            side,
            position_side: PositionSide::Both,
            kind,
            time_in_force: TimeInForce::GoodTilCanceled,
            quantity: lot(),
            reduce_only: false,
            self_trade_prevention: SelfTradePrevention::ExpireMaker,
        }
    }

    async fn place(&mut self, order: &NewOrder) {
        self.send(VenueCommand::Place(order.clone()));
        let id = order.client_order_id;
        self.until("an order that is taken", |event| match event {
            VenueEvent::Accepted { client_order_id, .. } if *client_order_id == id => Some(()),
            VenueEvent::Rejected { message, .. } => panic!("{message}"),
            _ => None,
        })
        .await;
    }

    async fn snapshot(&mut self, trades: TradesWanted) -> VenueSnapshot {
        self.send(VenueCommand::Snapshot { trades });
        self.until("a snapshot", |event| match event {
            VenueEvent::SnapshotIs(snapshot) => Some(snapshot.clone()),
            VenueEvent::CommandFailed { command, why } => panic!("{command}: {why}"),
            _ => None,
        })
        .await
    }

    async fn ended(&mut self, id: ClientOrderId) -> (EndReason, Quantity) {
        self.until("an order's end", |event| match event {
            VenueEvent::Ended { client_order_id, reason, filled, .. } if *client_order_id == id => Some((*reason, *filled)),
            _ => None,
        })
        .await
    }

    async fn status(&mut self, id: ClientOrderId) -> Option<OrderStatus> {
        self.send(VenueCommand::Query { symbol: btc(), client_order_id: id });
        self.until("what an order is", |event| match event {
            VenueEvent::OrderIs { client_order_id, order } if *client_order_id == id => Some(order.as_ref().map(|order| order.status)),
            _ => None,
        })
        .await
    }

    fn held(&self, snapshot: &VenueSnapshot) -> Decimal {
        snapshot.positions.iter().filter(|position| position.symbol == btc()).map(|position| position.quantity.0).sum()
    }
}

/// The symbol by the venue's own rules.
async fn listed(host: &Arc<Host>) -> Instrument {
    let caller = Caller::public(Arc::clone(host));
    let body = caller.body(Purpose::Market, &host.product.exchange_info().unwrap()).await.unwrap();
    let info = exchange_info(host.product, Answer { status: 200, retry_after: None, body: &body }).unwrap();
    let rules = info.symbols.iter().find(|rules| rules.symbol() == btc()).expect("a listed symbol");
    assert!(rules.trading, "{}", rules.status);
    rules.instrument(Commission { maker: Ratio::ZERO, taker: Ratio::ZERO }, Some(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_rests_is_found_listed_and_cancelled_once() {
    for (product, served) in ADAPTERS {
        let mut desk = Desk::ready(product, served).await;
        let kind = OrderKind::Limit { price: desk.priced(970).await };
        let order = desk.order(Side::Buy, kind);
        let id = order.client_order_id;
        desk.place(&order).await;
        assert_eq!(desk.status(id).await, Some(OrderStatus::Working), "{product}");
        let open = desk.snapshot(TradesWanted::new()).await.open_orders;
        assert_eq!(open.len(), 1, "{product}: {open:?}");
        let shown = (open[0].client_order_id, open[0].kind, open[0].quantity, open[0].filled, open[0].side);
        assert_eq!(shown, (id, kind, lot(), Quantity::ZERO, Side::Buy), "{product}");
        desk.send(VenueCommand::Cancel { symbol: btc(), client_order_id: id });
        assert_eq!(desk.ended(id).await, (EndReason::Canceled, Quantity::ZERO), "{product}");
        desk.send(VenueCommand::Cancel { symbol: btc(), client_order_id: id });
        let code = desk.until("a cancel that is refused", |event| match event {
            VenueEvent::CancelRefused { code, .. } => Some(*code),
            _ => None,
        });
        assert_eq!(code.await, -2011, "{product}");
        assert_eq!(desk.status(id).await, Some(OrderStatus::Canceled), "{product}");
        assert_eq!(desk.status(ClientOrderId::new("rf-a-1-never").unwrap()).await, None, "{product}");
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trade_is_told_and_listed_alike_and_moves_what_is_held() {
    for (product, served) in ADAPTERS {
        let mut desk = Desk::ready(product, served).await;
        let before = desk.snapshot(TradesWanted::new()).await;
        let order = desk.order(Side::Buy, OrderKind::Market);
        desk.place(&order).await;
        let mut fills: Vec<Fill> = Vec::new();
        while fills.iter().map(|fill| fill.quantity.0).sum::<Decimal>() < lot().0 {
            let fill = desk.until("a fill", |event| if let VenueEvent::Filled(fill) = event { Some(fill.clone()) } else { None }).await;
            // Spot tells it with its answer as well.
            if fills.iter().all(|known| known.trade_id != fill.trade_id) {
                fills.push(fill);
            }
        }
        let first = fills.iter().map(|fill| fill.trade_id).min().unwrap();
        let after = desk.snapshot(TradesWanted::from([(btc(), TradesFrom::After(first - 1))])).await;
        let brief = |fill: &Fill| (fill.trade_id, fill.client_order_id, fill.side, fill.price, fill.quantity, fill.fee, fill.fee_taken);
        fills.sort_by_key(|fill| fill.trade_id);
        assert_eq!(after.trades.iter().map(brief).collect::<Vec<_>>(), fills.iter().map(brief).collect::<Vec<_>>(), "{product}");
        let fees: Decimal = fills.iter().map(|fill| fill.fee.0).sum();
        assert!(fees > Decimal::ZERO, "{product}");
        let (bought, kept): (Decimal, Decimal) = if product.capabilities().holdings {
            let taken = |fill: &Fill| match fill.fee_taken {
                Some(FeeTaken::FromPosition { quantity }) => quantity.0,
                other => panic!("expected a fee out of what was bought, found {other:?}"),
            };
            (lot().0 - fills.iter().map(taken).sum::<Decimal>(), fills.iter().map(|fill| fill.price.0 * fill.quantity.0).sum())
        } else {
            (lot().0, fees)
        };
        assert_eq!(desk.held(&after) - desk.held(&before), bought, "{product}");
        assert_eq!(before.wallet.0 - after.wallet.0, kept, "{product}");
        assert_eq!(desk.status(order.client_order_id).await, Some(OrderStatus::Filled), "{product}");
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conditional_order_waits_under_its_own_name_wherever_the_venue_keeps_it() {
    for (product, served) in ADAPTERS {
        let mut desk = Desk::ready(product, served).await;
        let kind = OrderKind::StopMarket { trigger: desk.priced(900).await };
        let order = desk.order(Side::Sell, kind);
        let id = order.client_order_id;
        desk.place(&order).await;
        assert_eq!(desk.status(id).await, Some(OrderStatus::Working), "{product}");
        let open = desk.snapshot(TradesWanted::new()).await.open_orders;
        assert_eq!(open.iter().map(|order| (order.client_order_id, order.kind)).collect::<Vec<_>>(), [(id, kind)], "{product}");
        desk.send(VenueCommand::Cancel { symbol: btc(), client_order_id: id });
        assert_eq!(desk.ended(id).await, (EndReason::Canceled, Quantity::ZERO), "{product}");
        assert_eq!(desk.snapshot(TradesWanted::new()).await.open_orders, [], "{product}");
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_venue_refuses_is_refused_by_its_own_code() {
    for (product, served) in ADAPTERS {
        let mut desk = Desk::ready(product, served).await;
        let kind = OrderKind::Limit { price: desk.priced(970).await };
        let beyond = NewOrder { quantity: "80".parse().unwrap(), ..desk.order(Side::Buy, kind) };
        desk.send(VenueCommand::Place(beyond));
        let refused = |event: &VenueEvent| if let VenueEvent::Rejected { code, .. } = event { Some(*code) } else { None };
        let expected = if product == Product::BinanceSpot { -2010 } else { -2019 };
        assert_eq!(desk.until("a refusal for want of money", refused).await, expected, "{product}");
        let kind = OrderKind::Limit { price: desk.priced(1_010).await };
        let takes = NewOrder { time_in_force: TimeInForce::PostOnly, ..desk.order(Side::Buy, kind) };
        desk.send(VenueCommand::Place(takes));
        desk.until("a maker that does not take", |event| match event {
            VenueEvent::Rejected { code: -5022, .. } | VenueEvent::Ended { reason: EndReason::Expired, .. } => Some(()),
            VenueEvent::Filled(fill) => panic!("{fill:?}"),
            _ => None,
        })
        .await;
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_empties_the_account_over_its_own_connection() {
    for (product, served) in ADAPTERS {
        let mut desk = Desk::ready(product, served).await;
        for permille in [960, 970] {
            let kind = OrderKind::Limit { price: desk.priced(permille).await };
            let order = desk.order(Side::Buy, kind);
            desk.place(&order).await;
        }
        let kind = OrderKind::StopMarket { trigger: desk.priced(900).await };
        let stop = desk.order(Side::Sell, kind);
        desk.place(&stop).await;
        let cancel = desk.venue.ask(account(), VenueCommand::CancelAll { symbol: None });
        let look = desk.venue.ask(account(), VenueCommand::Snapshot { trades: TradesWanted::new() });
        // Both at once: the look is behind the cancel.
        let (cancelled, shown) = tokio::join!(cancel, look);
        assert_eq!(cancelled.unwrap(), [], "{product}");
        let [VenueEvent::SnapshotIs(shown)] = &shown.unwrap()[..] else { panic!("{product}: expected a snapshot") };
        assert_eq!((&shown.open_orders[..], shown.on_their_way), (&[][..], 0), "{product}");
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leverage_and_the_dead_mans_switch_are_there_where_the_venue_has_them() {
    for (product, served) in ADAPTERS {
        let mut desk = Desk::ready(product, served).await;
        desk.send(VenueCommand::SetLeverage { symbol: btc(), leverage: 7 });
        let told = desk.until("a word on leverage", |event| match event {
            VenueEvent::LeverageIs { leverage, .. } => Some(Some(*leverage)),
            VenueEvent::CommandFailed { .. } => Some(None),
            _ => None,
        });
        assert_eq!(told.await, product.capabilities().leverage.then_some(7), "{product}");
        for after in [Duration::from_secs(60), Duration::ZERO] {
            desk.venue.count_down(Countdown { account: account(), symbol: btc(), after }).await.unwrap();
        }
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_several_margin_assets_opens_nothing_and_is_told_why() {
    for (product, served) in ADAPTERS.into_iter().filter(|(product, _)| product.capabilities().leverage) {
        let mut desk = Desk::open(product, served, None).await;
        let client = desk.wired.client("a");
        let told = client.signed("POST", "/fapi/v1/multiAssetsMargin", "multiAssetsMargin=true", desk.wired.now()).await;
        assert_eq!(told.status, 200, "{product}: {}", told.body);
        let why = loop {
            if let Heard::Event(VenueEvent::Barred { why }) = desk.next().await {
                break why;
            }
        };
        assert!(why.contains("one margin asset") && why.contains("switch it off"), "{product}: {why}");
        desk.wired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_the_venues_word_and_nothing_else() {
    for (product, served) in ADAPTERS {
        let desk = Desk::open(product, served, Some("another")).await;
        let asked = desk.venue.ask(account(), VenueCommand::Snapshot { trades: TradesWanted::new() }).await.unwrap();
        assert!(matches!(&asked[..], [VenueEvent::CommandFailed { why, .. }] if why.contains("-1022")), "{product}: {asked:?}");
        desk.wired.stop().await;
    }
}
