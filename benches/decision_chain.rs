//! A tick becomes an order: the real market, strategy, risk and executor actors on one trading thread, from the decoded frame
//! to the row in the executor's outbox (the journal's wake-up comes after it), at 10,000 frames/s of which every tenth becomes
//! a fully checked order, on three accounts with 20 working orders each. Beside it, in the same run and at the same pace, four
//! empty ractor actors that pass a message of the same size on. Budget: p50 ≤ 2 µs, p99 ≤ 5 µs, and ≤ 1.5 × the empty chain.
//! `cargo bench --bench decision_chain [-- ROUNDS]`

#[path = "support/chain_limits.rs"]
mod chain_limits;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use hdrhistogram::Histogram;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::{mpsc, oneshot};

use ringfence::actors::executor::{self, Executor};
use ringfence::actors::journal::JournalPort;
use ringfence::actors::market::{self, Market};
use ringfence::actors::risk_manager::{self, RiskManager};
use ringfence::actors::strategy::{self, StrategyActor};
use ringfence::actors::{History, Surroundings, alerts::AlertDesk, metronome, names};
use ringfence::domain::ids::{AccountId, Epoch, StrategyId, Symbol};
use ringfence::domain::instrument::Instrument;
use ringfence::domain::market::MarketView;
use ringfence::domain::market_data::{Candle, DepthSnapshot, MarketEvent, MarketFrame};
use ringfence::domain::money::Money;
use ringfence::domain::order::{Fill, NewOrder, OrderKind, Side, VenueCommand, VenueEvent, VenueSnapshot};
use ringfence::domain::record::{Entry, Record};
use ringfence::domain::recovery::DaemonState;
use ringfence::domain::restart::{ChildName, RuntimeKind, SupervisionEvent, SupervisorPolicy};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::sources::{MarketSource, synthetic::Synthetic, synthetic::SyntheticConfig};
use ringfence::messages::boards::RosterEntries;
use ringfence::messages::{
    Board, Clock, Envelope, FrameSlot, HaltGate, KillInbox, MarketMessage, ModeBoard, Post, RiskMessage, Views, Wires, boards::Roster,
};
use ringfence::store::{Journal, JournalOptions};
use ringfence::strategies::{Desk, Draft, Holdings, HostConfig, Interest, Strategy, StrategyHost, StrategyInput};
use ringfence::supervision::{Child, Directory, Environment, MonotonicClock, Runtimes, SupervisionSink, Supervisor, SupervisorSpec};
use ringfence::venues::port::{NotTaken, Venue};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 10,000 frames a second.
const FRAME_EVERY: Duration = Duration::from_micros(100);
const FRAMES_A_ROUND: usize = 20_000;
const RECV_WINDOW: Duration = Duration::from_secs(5);
const ORDER_EVERY: u32 = 10;
const WORKING: usize = 20;
const ACCOUNTS: [&str; 3] = ["alpha", "beta", "gamma"];
const BOUND: usize = 10_000;
const INTENTS_MAX: usize = 1 << 20;

fn main() {
    // As the daemon has it.
    ringfence::app::memory::prefer_small_pages();
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let data = tempfile::tempdir().expect("a directory for the journal");
    let (journal, _) = Journal::open(data.path(), &JournalOptions::new("bench", "none")).expect("a journal");
    let runtimes = Runtimes::start().expect("two runtimes");
    let bench = Bench::new(&journal, &runtimes, (rounds + 1) * FRAMES_A_ROUND);
    runtimes.block_on(bench.run(&runtimes, rounds));
    runtimes.shutdown(Duration::from_secs(1));
}

// ---- what is measured -----------------------------------------------------------------------------------------------------

/// When the frame behind each intent was decoded, by the intent's number.
struct Stamps(Vec<AtomicI64>);

impl Stamps {
    fn new() -> Arc<Self> {
        Arc::new(Self((0..INTENTS_MAX).map(|_| AtomicI64::new(0)).collect()))
    }

    fn at(&self, intent: u64) -> &AtomicI64 {
        &self.0[(intent as u32 as usize) % INTENTS_MAX]
    }
}

type Times = Arc<Mutex<Histogram<u64>>>;

fn times() -> Times {
    Arc::new(Mutex::new(Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("bounds that fit")))
}

fn record(times: &Times, from: Timestamp, to: Timestamp) {
    let nanos = u64::try_from(to.since(from).as_nanos()).unwrap_or(u64::MAX);
    times.lock().expect("no panic under it").saturating_record(nanos.max(1));
}

fn print(name: &str, times: &Times) -> (f64, f64) {
    let times = times.lock().expect("no panic under it");
    let micros = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
    let (p50, p99) = (micros(0.5), micros(0.99));
    println!("{name:<34} {:>8} {p50:>9.2} {p99:>9.2} {:>9.2} {:>9.1}", times.len(), micros(0.999), times.max() as f64 / 1e3);
    (p50, p99)
}

// ---- the strategy, the venue and the history ------------------------------------------------------------------------------

/// Proposes a limit order with every tenth update, for one account after the other, on alternating sides.
struct Proposer {
    updates: u32,
    orders: u32,
    newest: Timestamp,
    stamps: Arc<Stamps>,
}

impl Strategy for Proposer {
    fn interest(&self) -> Interest {
        Interest { market_updates: true, warm_up_bars: 0 }
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        let StrategyInput::Market(view) = input else { return };
        if view.at <= self.newest {
            // A look at the clock, no frame.
            return;
        }
        self.newest = view.at;
        self.updates += 1;
        if self.updates.is_multiple_of(ORDER_EVERY) {
            self.propose(view, desk);
        }
    }
}

impl Proposer {
    fn propose(&mut self, view: &MarketView, desk: &mut Desk<'_>) {
        let accounts = desk.accounts();
        let (Some((bid, _)), Some((ask, _)), false) = (view.bid, view.ask, accounts.is_empty()) else { return };
        let account = accounts[self.orders as usize % accounts.len()];
        let side = if (self.orders as usize / accounts.len()).is_multiple_of(2) { Side::Buy } else { Side::Sell };
        let price = if side == Side::Buy { bid } else { ask };
        let Some(instrument) = desk.instrument(view.symbol) else { return };
        let quantity = instrument.quantity_worth(Money(400.into()), price);
        self.orders += 1;
        let draft = Draft::market(account, view.symbol, side, quantity, "bench").of_kind(OrderKind::Limit { price });
        let intent = desk.propose(draft);
        // The feeder stamps its frames with the moment at which they were decoded, as the venue's time.
        self.stamps.at(intent.0).store(view.at.0, Relaxed);
    }
}

#[derive(Default)]
struct Desks {
    events: Option<mpsc::UnboundedSender<VenueEvent>>,
    open: VecDeque<NewOrder>,
    orders: u64,
}

impl Desks {
    fn tell(&self, event: VenueEvent) {
        if let Some(events) = &self.events {
            // Nobody listens any more at the end of the bench.
            drop(events.send(event));
        }
    }
}

/// Takes every order at once and fills the oldest when an account has more than twenty.
struct FakeVenue {
    accounts: Mutex<BTreeMap<AccountId, Desks>>,
    clock: Clock,
}

impl FakeVenue {
    fn place(&self, account: AccountId, desk: &mut Desks, order: NewOrder) {
        let at = self.clock.now();
        desk.orders += 1;
        let venue_order_id = desk.orders;
        let accepted = VenueEvent::Accepted { client_order_id: order.client_order_id, venue_order_id, at };
        desk.open.push_back(order);
        let filled = (desk.open.len() > WORKING).then(|| desk.open.pop_front()).flatten();
        let filled = filled.map(|order| VenueEvent::Filled(fill(account, &order, desk.orders, at)));
        for event in [Some(accepted), filled].into_iter().flatten() {
            desk.tell(event);
        }
    }
}

fn fill(account: AccountId, order: &NewOrder, trade_id: u64, at: Timestamp) -> Fill {
    Fill {
        account,
        symbol: order.symbol,
        client_order_id: order.client_order_id,
        venue_order_id: trade_id.saturating_sub(WORKING as u64),
        trade_id,
        side: order.side,
        position_side: order.position_side,
        price: order.kind.limit_price().unwrap_or_default(),
        quantity: order.quantity,
        fee: Money::ZERO,
        fee_taken: None,
        maker: true,
        at,
    }
}

impl Venue for FakeVenue {
    fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), NotTaken> {
        let mut accounts = self.accounts.lock().expect("no panic under it");
        let desk = accounts.entry(account).or_default();
        match command {
            VenueCommand::Place(order) => self.place(account, desk, order),
            VenueCommand::Snapshot { .. } => {
                let snapshot = VenueSnapshot { wallet: Money(1_000_000.into()), ..VenueSnapshot::default() };
                desk.tell(VenueEvent::SnapshotIs(snapshot));
            }
            _ => {}
        }
        Ok(())
    }

    fn listen(&self, account: AccountId) -> Result<BoxStream<'static, ringfence::venues::port::Heard>, NotTaken> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.accounts.lock().expect("no panic under it").entry(account).or_default().events = Some(sender);
        Ok(stream::unfold(receiver, |mut events| async move {
            events.recv().await.map(|event| (ringfence::venues::port::Heard::Event(event), events))
        })
        .boxed())
    }

    fn ask(&self, _: AccountId, _: VenueCommand) -> BoxFuture<'static, Result<Vec<VenueEvent>, NotTaken>> {
        async { Ok(vec![]) }.boxed()
    }
}

struct FirstBooks(HashMap<Symbol, DepthSnapshot>);

impl History for FirstBooks {
    fn depth(&self, symbol: Symbol) -> BoxFuture<'static, Result<DepthSnapshot, String>> {
        let book = self.0.get(&symbol).cloned().ok_or_else(|| "no such book".to_owned());
        async { book }.boxed()
    }

    fn candles(&self, _: Symbol, _: Duration, _: usize) -> BoxFuture<'static, Result<Vec<Candle>, String>> {
        async { Ok(vec![]) }.boxed()
    }
}

struct Quiet;

impl SupervisionSink for Quiet {
    fn event(&self, event: &SupervisionEvent) {
        if event.class.is_some() {
            eprintln!("{} {}: {}", event.child, event.what, event.detail);
        }
    }

    fn escalated(&self, supervisor: &ChildName, _: ringfence::domain::mode::FaultClass, why: &str) {
        eprintln!("{supervisor} gave up: {why}");
    }
}

// ---- the chain ------------------------------------------------------------------------------------------------------------

struct Bench {
    around: Surroundings,
    instruments: Vec<Instrument>,
    /// Snapshots taken out; the rest in the order of the market.
    frames: Vec<MarketFrame>,
    stamps: Arc<Stamps>,
    chain: Times,
    /// Of that, from the frame to the strategy.
    decision: Times,
}

fn accounts() -> Vec<AccountId> {
    ACCOUNTS.iter().map(|name| AccountId::new(name).expect("a name")).collect()
}

fn strategy_id() -> StrategyId {
    StrategyId::new("proposer").expect("a name")
}

/// The market as the daemon's default makes it, run ahead of time until there are enough frames to go round.
fn frames(count: usize) -> (Vec<Instrument>, HashMap<Symbol, DepthSnapshot>, Vec<MarketFrame>) {
    let (mut source, mut all) = (Synthetic::new(&SyntheticConfig::standard(42), Timestamp::ZERO, &BTreeMap::new()), Vec::new());
    let mut now = Timestamp::ZERO;
    while all.len() < count {
        now = now + Duration::from_secs(1);
        source.poll(now, &mut all);
    }
    let mut books = HashMap::new();
    all.retain_mut(|frame| match &frame.event {
        MarketEvent::Snapshot(book) => books.insert(frame.symbol, book.clone()).is_some(),
        _ => true,
    });
    (source.instruments(), books, all)
}

impl Bench {
    fn new(journal: &Journal, runtimes: &Runtimes, count: usize) -> Self {
        let (instruments, books, frames) = frames(count + ACCOUNTS.len());
        let (clock, stamps, chain) = (Clock::start(), Stamps::new(), times());
        let decision = times();
        let (seen, into, into_decision) = (Arc::clone(&stamps), Arc::clone(&chain), Arc::clone(&decision));
        // An entry's time is taken as the executor hands its row over, before the queue and the writer's wake-up.
        let observer = move |_: &JournalPort, entry: &Entry| {
            if let Record::OrderIntended { intent, .. } = &entry.record {
                let decoded = Timestamp(seen.at(intent.id.0).load(Relaxed));
                record(&into, decoded, entry.at);
                record(&into_decision, decoded, intent.decided_at);
            }
        };
        let port =
            JournalPort::new(journal.handle(), journal.emergency(), DaemonState::default(), 20_000, clock.clone(), Arc::new(observer));
        let around = Surroundings {
            directory: Directory::new(),
            alerts: AlertDesk::new(Default::default(), Duration::from_secs(300), clock.clone(), Arc::new(|_: &_| {})),
            clock,
            board: Board::default(),
            modes: ModeBoard::default(),
            views: Arc::new(Views::default()),
            wires: Arc::new(Wires::default()),
            roster: Roster::default(),
            feeds: Default::default(),
            gate: HaltGate::default(),
            inbox: KillInbox::default(),
            journal: port,
            history: Arc::new(FirstBooks(books)),
            services: runtimes.handles().services,
        };
        let symbols = instruments.iter().map(|instrument| instrument.symbol).collect();
        around.roster.set(RosterEntries { accounts: accounts(), symbols, strategies: BTreeMap::from([(strategy_id(), accounts())]) });
        Self { around, instruments, frames, stamps, chain, decision }
    }

    async fn run(&self, runtimes: &Runtimes, rounds: usize) {
        let environment = Environment {
            directory: self.around.directory.clone(),
            runtimes: runtimes.handles(),
            sink: Arc::new(Quiet),
            clock: MonotonicClock::start(),
            jitter_seed: 1,
        };
        let policy = SupervisorPolicy::new(names::plain("trading"));
        let root = SupervisorSpec::of(policy, RuntimeKind::Trading, self.children());
        let mut root = Supervisor::start_root(environment, root).await.expect("a running root");
        let trading = runtimes.handles().trading;
        let empty = trading.spawn(EmptyChain::start(self.around.clock.clone())).await.expect("an empty chain");
        let mut feeder = Feeder::new(self);
        feeder = trading.spawn(feeder.feed(FRAMES_A_ROUND)).await.expect("a feeder that ends");
        assert!(root.wait_ready().await, "the chain is ready");
        for times in [&self.chain, &self.decision, &empty.times] {
            times.lock().expect("no panic under it").reset();
        }
        println!("{rounds} rounds of {FRAMES_A_ROUND} frames, 10,000 a second, an order with every tenth (µs)");
        println!("{:<34} {:>8} {:>9} {:>9} {:>9} {:>9}", "", "orders", "p50", "p99", "p99.9", "max");
        for _ in 0..rounds {
            empty.clone().run(&trading).await;
            feeder = trading.spawn(feeder.feed(FRAMES_A_ROUND)).await.expect("a feeder that ends");
        }
        let (empty_p50, empty_p99) = print("four empty ractor actors", &empty.times);
        let (chain_p50, chain_p99) = print("market, strategy, risk, executor", &self.chain);
        print("  of that, frame to strategy", &self.decision);
        println!("ratio: p50 {:.2}, p99 {:.2}", chain_p50 / empty_p50, chain_p99 / empty_p99);
        let working = self.around.views.accounts().values().map(|standing| standing.open.len().to_string()).collect::<Vec<_>>().join(", ");
        println!("working orders by account: {working}; refused: {}", self.refused());
        println!(
            "budget: p50 ≤ 2.00 {}, p99 ≤ 5.00 {}, ≤ 1.5 × empty {}",
            met(chain_p50 <= 2.0),
            met(chain_p99 <= 5.0),
            met(chain_p50 <= 1.5 * empty_p50)
        );
    }

    fn refused(&self) -> u64 {
        self.around.views.strategies().values().map(|standing| standing.refused).sum()
    }

    fn children(&self) -> Vec<Child> {
        let venue = Arc::new(FakeVenue { accounts: Mutex::default(), clock: self.around.clock.clone() });
        let mut children = vec![self.risk_manager()];
        children.extend(accounts().into_iter().flat_map(|account| self.executor(account, &venue)));
        children.extend(self.instruments.iter().map(|instrument| self.market(instrument)));
        children.push(self.strategy());
        let around = self.around.clone();
        children
            .push(Child::task(names::plain("metronome"), RuntimeKind::Trading, move |context| metronome::beat(context, around.clone())));
        children
    }

    fn risk_manager(&self) -> Child {
        let (around, limits) = (self.around.clone(), chain_limits::limits(&self.instruments, &accounts(), strategy_id()));
        Child::actor(names::risk_manager(), RuntimeKind::Trading, move |context| {
            (RiskManager, risk_manager::Arguments { limits: limits.clone(), around: around.clone(), reporter: context.reporter })
        })
        .mailbox_bound(BOUND)
    }

    fn executor(&self, account: AccountId, venue: &Arc<FakeVenue>) -> [Child; 2] {
        let (around, venue) = (self.around.clone(), Arc::clone(venue) as Arc<dyn Venue>);
        let (heard, stream) = (around.clone(), Arc::clone(&venue));
        let actor = Child::actor(names::executor(account), RuntimeKind::Trading, move |context| {
            let (venue, around, epoch, recv_window) = (Arc::clone(&venue), around.clone(), Epoch(1), RECV_WINDOW);
            (Executor, executor::Arguments { account, epoch, recv_window, venue, around, reporter: context.reporter })
        });
        let stream = Child::task(names::stream(account), RuntimeKind::Trading, move |context| {
            executor::listen(context, account, Arc::clone(&stream), heard.clone())
        });
        [actor.reports_ready().mailbox_bound(BOUND), stream]
    }

    fn market(&self, instrument: &Instrument) -> Child {
        let (around, instrument) = (self.around.clone(), instrument.clone());
        let actor = Child::actor(names::market(instrument.symbol), RuntimeKind::Trading, move |context| {
            let arguments = market::Arguments {
                instrument: instrument.clone(),
                intervals: vec![Duration::from_secs(1)],
                stale_after: Duration::from_secs(5),
                around: around.clone(),
                reporter: context.reporter,
            };
            (Market, arguments)
        });
        actor.reports_ready().mailbox_bound(BOUND)
    }

    fn strategy(&self) -> Child {
        let (around, instruments, stamps) = (self.around.clone(), self.instruments.clone(), Arc::clone(&self.stamps));
        let actor = Child::actor(names::strategy(strategy_id()), RuntimeKind::Trading, move |context| {
            let (inner, stamps) = (instruments.clone(), Arc::clone(&stamps));
            let make_host = move |first_intent| {
                let config = HostConfig {
                    id: strategy_id(),
                    slot: 1,
                    epoch: Epoch(1),
                    first_intent,
                    accounts: accounts(),
                    instruments: inner.clone(),
                    bar_interval: Duration::from_secs(1),
                    holdings: Holdings::Whole,
                };
                Ok(StrategyHost::new(
                    config,
                    Box::new(Proposer { updates: 0, orders: 0, newest: Timestamp::ZERO, stamps: Arc::clone(&stamps) }),
                ))
            };
            let arguments = strategy::Arguments {
                id: strategy_id(),
                interval: Duration::from_secs(1),
                accounts: accounts(),
                symbols: instruments.iter().map(|instrument| instrument.symbol).collect(),
                make_host: Arc::new(make_host),
                next_intent: Arc::new(AtomicU32::new(0)),
                around: around.clone(),
                reporter: context.reporter,
            };
            (StrategyActor, arguments)
        });
        actor.reports_ready().mailbox_bound(BOUND)
    }
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

/// Stands for the feed's task: hands decoded frames over at an even pace, on the trading thread.
struct Feeder {
    frames: std::vec::IntoIter<MarketFrame>,
    readers: HashMap<Symbol, (Arc<FrameSlot>, Post<MarketMessage>)>,
    clock: Clock,
}

impl Feeder {
    fn new(bench: &Bench) -> Self {
        let around = &bench.around;
        let reader = |instrument: &Instrument| {
            let symbol = instrument.symbol;
            (symbol, (around.wires.frames(symbol), Post::new(&around.directory, &names::market(symbol))))
        };
        let readers = bench.instruments.iter().map(reader).collect();
        Self { frames: bench.frames.clone().into_iter(), readers, clock: around.clock.clone() }
    }

    async fn feed(mut self, frames: usize) -> Self {
        let mut due = self.clock.now();
        for mut frame in self.frames.by_ref().take(frames) {
            while self.clock.now() < due {
                tokio::task::yield_now().await;
            }
            due = due + FRAME_EVERY;
            let Some((slot, market)) = self.readers.get_mut(&frame.symbol) else { continue };
            let now = self.clock.now();
            (frame.received_at, frame.venue_time) = (now, now);
            if slot.push(frame) {
                market.tell(MarketMessage::Wake);
            }
            // A feeder that is late does not hand two over at once.
            tokio::task::yield_now().await;
        }
        self
    }
}

// ---- the empty chain ------------------------------------------------------------------------------------------------------

const PAYLOAD: usize = size_of::<Envelope<RiskMessage>>();

struct Ball {
    from: Timestamp,
    /// Whether it goes all the way, as an order does, or ends with the second actor, as a tick does.
    whole: bool,
    _payload: [u8; PAYLOAD],
}

struct Player;

struct Hand {
    place: usize,
    next: Option<ActorRef<Ball>>,
    clock: Clock,
    times: Times,
}

impl Actor for Player {
    type Msg = Ball;
    type State = Hand;
    type Arguments = Hand;

    async fn pre_start(&self, _: ActorRef<Ball>, hand: Hand) -> Result<Hand, ActorProcessingErr> {
        Ok(hand)
    }

    async fn handle(&self, _: ActorRef<Ball>, ball: Ball, hand: &mut Hand) -> Result<(), ActorProcessingErr> {
        match &hand.next {
            Some(next) if ball.whole || hand.place == 0 => next.cast(ball)?,
            Some(_) => {}
            None => record(&hand.times, ball.from, hand.clock.now()),
        }
        Ok(())
    }
}

#[derive(Clone)]
struct EmptyChain {
    first: ActorRef<Ball>,
    clock: Clock,
    times: Times,
}

impl EmptyChain {
    async fn start(clock: Clock) -> Self {
        let times = times();
        let mut next = None;
        for place in (0..4).rev() {
            let hand = Hand { place, next: next.take(), clock: clock.clone(), times: Arc::clone(&times) };
            next = Some(Actor::spawn(None, Player, hand).await.expect("an actor").0);
        }
        Self { first: next.expect("four actors"), clock, times }
    }

    async fn run(self, trading: &tokio::runtime::Handle) {
        let (done, ended) = oneshot::channel();
        trading.spawn(async move {
            let mut due = self.clock.now();
            for count in 0..FRAMES_A_ROUND as u32 {
                while self.clock.now() < due {
                    tokio::task::yield_now().await;
                }
                due = due + FRAME_EVERY;
                let ball = Ball { from: self.clock.now(), whole: count.is_multiple_of(ORDER_EVERY), _payload: [0; PAYLOAD] };
                self.first.cast(ball).expect("an actor that plays");
                tokio::task::yield_now().await;
            }
            let _ = done.send(());
        });
        ended.await.expect("a chain that ends");
    }
}
