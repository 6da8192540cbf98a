//! The venue as the daemon sees it, in virtual time. The daemon's side is the real adapter (`venues::binance::trading`): its
//! links, callers, codec and signatures. The venue's side is the real exchange: its handlers, its engine, the texts of its user
//! stream. Between them lies a network that a seed makes slow, lossy and wrong, and beside it stands what is really true.
//! Every time here is the world's; the daemon's clock and the venue's may be off. It knows nothing of the daemon.
//!
//! - `words`: what it is asked, tells and shows.
//! - `adapter`: the daemon's side. `net`: the way between. `door`: the venue's side of a request.
//! - `market`: what everybody else does. `faults`: what goes wrong on the way; `deeds`: what is done at the venue.
//! - `facts`: what really happened.

mod adapter;
mod deeds;
mod door;
mod facts;
mod faults;
mod market;
mod net;
mod slot;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Class, Random};
use crate::domain::dead_man::Countdown;
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::market_data::{MarketEvent, MarketFrame};
use crate::domain::mode::Mode;
use crate::domain::order::{OrderStatus, TradesFrom, TradesWanted, VenueCommand, VenueEvent, VenueOrder, VenueSnapshot};
use crate::domain::time::Timestamp;
use crate::exchange::core::report::UserEvent;
use crate::exchange::shell::{self, Desk, ExchangeHandle, MarketFrames, ShellConfig, UserReports};
use crate::exchange::standalone::private_usdm;
use crate::exchange::stream::{Outlet, PrivateStreams as _};
use crate::exchange::wire::usdm::UserSockets;
use crate::exchange::wire::{Key, Keys, Venue};
use crate::exchange::{ExchangeConfig, ExchangeOutput};
use adapter::{Adapter, Clocks, Doorkeeper, Member};
use door::RequestKind;
use facts::Facts;
use faults::Spoil;
use market::SparseMarket;
use net::{Due, Ear, Net, Sent};
pub use words::{Answer, Connection, Heard, Request, Truth, VenueFact, VenueFault, VenueSetup, VenueWord};

/// Market data keeps its order: one way, always as long.
const MARKET_LATENCY: Duration = Duration::from_millis(8);
/// Depth pages as the daemon asks for them.
const DEPTH_LIMIT: usize = 20;
/// What keys, names and signatures are drawn from. They are nobody's secret: nothing leaves this process.
const NAMES: [u8; 32] = [7; 32];

pub struct SimVenue {
    setup: VenueSetup,
    random: Random,
    clocks: Clocks,
    net: Net,
    members: Vec<Member>,
    /// `None` while no process of the daemon lives.
    adapter: Option<Adapter>,
    exchange: ExchangeHandle,
    venue: Arc<Venue>,
    users: Arc<UserSockets>,
    reports: UserReports,
    frames: MarketFrames,
    market_due: Arc<AtomicI64>,
    facts: Facts,
    /// What the daemon is told at the next step.
    words: Vec<VenueWord>,
    serial: u64,
    market_shown: bool,
    /// The market's stream is down until then.
    market_down: Option<Timestamp>,
    /// It stands, and says nothing until then.
    market_silent: Timestamp,
}

impl SimVenue {
    /// # Panics
    /// When the setup is none: two accounts of one name, no instrument.
    #[must_use]
    pub fn new(setup: VenueSetup, random: Random) -> Self {
        let (clocks, net) = (Clocks::new(setup.start), Net::new(setup.start, &random));
        let market_due = Arc::new(AtomicI64::new(setup.start.0));
        let world = clocks.clone();
        let clock: shell::Clock = Arc::new(move || world.world());
        let market = SparseMarket::new(setup.start, &setup.instruments, &random.split("market"), Arc::clone(&market_due));
        let config = ShellConfig {
            exchange: ExchangeConfig { log_reports: true, ..ExchangeConfig::default() },
            accounts: setup.accounts.clone(),
            record: None,
            clock: Arc::clone(&clock),
        };
        let keys: Vec<Key> = setup.accounts.iter().filter_map(|(account, _)| Key::derived(&NAMES, account.as_str()).ok()).collect();
        let members = setup.accounts.iter().zip(&keys).map(|((account, setup), key)| Member {
            id: *account,
            api_key: key.api_key.clone(),
            secret: key.secret.clone(),
            hedge: setup.hedge,
            gate: Doorkeeper::default(),
        });
        let members: Vec<Member> = members.collect();
        net.state().keys = members.iter().map(|member| (member.api_key.clone(), member.id)).collect();
        let instruments: Vec<_> = setup.instruments.iter().map(|(instrument, _)| instrument.clone()).collect();
        let symbols: Vec<Symbol> = instruments.iter().map(|instrument| instrument.symbol).collect();
        // Invariant: without a record there is nothing to read, and each account has a key of its own.
        let exchange = shell::inline(config, Box::new(move |_, _| Box::new(market))).expect("invariant: no record to read");
        let keys = Keys::new(keys).expect("invariant: each account has a key of its own");
        let (venue, users) = private_usdm(exchange.clone(), &instruments, keys, clock, &NAMES);
        // Invariant: it runs where it is called.
        let reports = exchange.user_reports().expect("invariant: the exchange runs");
        let frames = exchange.market_frames(&symbols).expect("invariant: the exchange runs");
        net.state().put(setup.start, Due::Market);
        Self {
            random: random.split("deeds"),
            clocks,
            net,
            members,
            adapter: None,
            exchange,
            venue,
            users,
            reports,
            frames,
            market_due,
            facts: Facts::default(),
            words: Vec::new(),
            serial: 0,
            market_shown: false,
            market_down: None,
            market_silent: Timestamp::ZERO,
            setup,
        }
    }

    /// How far the daemon's clock is ahead of the world's, in nanoseconds.
    pub fn set_clock(&mut self, offset: i64) {
        self.clocks.set_offset(offset);
    }

    /// How strict the halt gate is for the account: the adapter looks right before an order's bytes leave.
    pub fn set_gate(&mut self, account: AccountId, mode: Mode) {
        if let Some(member) = self.members.iter().find(|member| member.id == account) {
            member.gate.set(mode);
        }
    }

    /// A connection for an account; `Opened` says on it that it stands.
    pub fn connect(&mut self, now: Timestamp, account: AccountId) -> Connection {
        self.clocks.set(now);
        self.net.state().now = now;
        let connection = Connection(self.number());
        let adapter = self.adapter();
        let connected = adapter.connect(account, connection);
        if let Err(why) = connected {
            self.words.push(VenueWord::Account { account, connection, heard: Heard::Lost(why) });
        }
        if !std::mem::replace(&mut self.market_shown, true) {
            self.net.state().after(MARKET_LATENCY, Due::MarketBack);
        }
        self.settle();
        connection
    }

    /// The daemon's side is gone: what is on its way to it is never heard, what it sent may still arrive.
    pub fn disconnect(&mut self, account: AccountId) {
        if let Some(adapter) = &mut self.adapter {
            adapter.disconnect(account);
        }
    }

    /// Every socket of the daemon is gone with its process, and what its adapter knew.
    pub fn disconnect_all(&mut self) {
        self.adapter = None;
        self.market_shown = false;
        self.words.clear();
        self.net.state().forget_daemon();
    }

    /// Hands a command over, as the executor does. Its answers come as words.
    ///
    /// # Errors
    /// When it surely did not leave.
    pub fn command(&mut self, now: Timestamp, account: AccountId, connection: Connection, command: VenueCommand) -> Result<(), String> {
        self.at(now);
        self.remember(&command);
        let Some(adapter) = self.adapter.as_ref().filter(|adapter| adapter.is_connected(account, connection)) else {
            return Err("its connection is being opened".to_owned());
        };
        let sent = adapter.send(account, command);
        self.settle();
        sent
    }

    /// The kill switch's way.
    pub fn ask(&mut self, now: Timestamp, account: AccountId, command: VenueCommand) -> Request {
        self.at(now);
        self.remember(&command);
        let request = self.request();
        self.adapter().ask(request, account, command);
        self.settle();
        request
    }

    pub fn count_down(&mut self, now: Timestamp, word: Countdown) -> Request {
        self.at(now);
        let request = self.request();
        self.adapter().count_down(request, word);
        self.settle();
        request
    }

    /// Whoever asked waits no longer, as behind a deadline of his own.
    pub fn give_up(&mut self, request: Request) {
        if let Some(adapter) = &mut self.adapter {
            adapter.give_up(request);
        }
    }

    pub fn depth(&mut self, now: Timestamp, symbol: Symbol) -> Request {
        self.at(now);
        let book = self.exchange.depth_snapshot(symbol, DEPTH_LIMIT).now_or_never().and_then(Result::ok).flatten();
        let book = book.filter(|_| self.market_down.is_none()).ok_or_else(|| "the venue cannot be reached".to_owned());
        self.answer(Answer::Depth(book))
    }

    pub fn candles(&mut self, now: Timestamp, symbol: Symbol, interval: Duration, limit: usize) -> Request {
        self.at(now);
        let bars = self.exchange.candles(symbol, interval, limit).now_or_never().and_then(Result::ok);
        self.answer(Answer::Candles(bars.ok_or_else(|| "the venue cannot be reached".to_owned())))
    }

    /// What of the accounts' keys must not come out anywhere.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.members.iter().map(|member| member.secret.clone()).collect()
    }

    /// When something happens next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        if !self.words.is_empty() {
            return Some(self.clocks.world());
        }
        self.net.state().next_due()
    }

    /// Lets everything happen that is due.
    pub fn step(&mut self, now: Timestamp, words: &mut Vec<VenueWord>) {
        loop {
            let next = self.net.state().take_due(now);
            let Some((at, due)) = next else { break };
            self.at(at);
            self.happen(due);
            self.settle();
        }
        self.at(now);
        words.append(&mut self.words);
    }

    /// Ends every fault that is running; nothing new fails by itself from here on.
    pub fn heal(&mut self, now: Timestamp) {
        self.at(now);
        self.mend();
        self.settle();
    }

    /// Classes that had an effect since the last look.
    pub fn take_fired(&mut self) -> Vec<Class> {
        self.net.state().faults.take_fired()
    }

    /// What happened since the last look.
    pub fn take_facts(&mut self) -> Vec<VenueFact> {
        std::mem::take(&mut self.net.state().facts)
    }

    pub fn truth(&mut self) -> Truth {
        let wanted: TradesWanted = self.setup.instruments.iter().map(|(instrument, _)| (instrument.symbol, TradesFrom::After(0))).collect();
        let accounts: Vec<AccountId> = self.setup.accounts.iter().map(|(account, _)| *account).collect();
        let shown =
            self.engine(move |desk| accounts.into_iter().filter_map(|account| Some((account, shown(desk, account, &wanted)?))).collect());
        Truth { accounts: shown }
    }

    fn at(&mut self, now: Timestamp) {
        self.clocks.set(now);
        self.net.state().now = now;
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn request(&mut self) -> Request {
        Request(self.number())
    }

    fn answer(&mut self, answer: Answer) -> Request {
        let request = self.request();
        let mut state = self.net.state();
        let trip = state.latency() + state.latency();
        state.after(trip, Due::Word(VenueWord::Answer { request, answer }));
        request
    }

    /// The adapter of the daemon's process; a new one where that has just begun.
    fn adapter(&mut self) -> &mut Adapter {
        let Self { adapter, net, clocks, members, setup, .. } = self;
        adapter.get_or_insert_with(|| {
            let instruments: Vec<_> = setup.instruments.iter().map(|(instrument, _)| instrument.clone()).collect();
            let made = Adapter::new(net, clocks, members, &instruments, setup.recv_window);
            // Invariant: its address is a constant that is one.
            made.expect("invariant: the venue's address is one")
        })
    }

    fn remember(&mut self, command: &VenueCommand) {
        if let VenueCommand::Place(order) = command {
            self.net.state().orders.insert(order.client_order_id, order.clone());
        }
    }

    fn engine<T: Send + 'static>(&self, work: impl FnOnce(&mut Desk<'_>) -> T + Send + 'static) -> T {
        // Invariant: an exchange without a thread answers in the call and never stops.
        let done = self.exchange.call(work).now_or_never().expect("invariant: an exchange without a thread answers at once");
        done.expect("invariant: an exchange without a thread does not stop")
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Wake(slot) => slot.put(()),
            Due::Arrive(sent) => self.arrive(*sent),
            Due::Answer(slot, answer) => self.net.state().answered(&slot, answer),
            Due::Knock(url, slot) => self.knock(&url, slot),
            Due::Socket(slot, socket) => slot.put(socket),
            Due::Frame(socket, text) => self.net.state().deliver(socket, Ok(text)),
            Due::Close(socket, why) => self.net.state().deliver(socket, Err(why)),
            Due::Word(VenueWord::Market(frame)) => self.show(frame),
            Due::Word(word) => self.words.push(word),
            Due::Market => self.move_market(),
            Due::MarketBack => self.open_market(),
            Due::Relist(symbol) => self.relist(symbol),
            Due::HandCancels(account, symbol, id) => self.hand_cancels(account, symbol, id),
        }
    }

    /// Tells what the venue has to tell, and lets the daemon's side go on.
    fn settle(&mut self) {
        self.pump();
        if let Some(adapter) = &mut self.adapter {
            adapter.run(&mut self.words);
        }
    }

    /// The exchange's reports become facts, and frames to whoever listens.
    fn pump(&mut self) {
        let mut moved = BTreeSet::new();
        while let Some(report) = self.reports.take() {
            if matches!(report.event, UserEvent::Margin { .. }) {
                moved.insert(report.account);
            }
            {
                let mut state = self.net.state();
                let state = &mut *state;
                self.facts.note(&report, &state.orders, &mut state.facts);
                if !state.is_heard(report.account) && state.shut.contains_key(&report.account) {
                    state.faults.fire(Class::F05Missed);
                }
            }
            self.venue.users().report(&report);
        }
        for account in moved {
            let mut facts = std::mem::take(&mut self.facts);
            let (facts, told) = self.engine(move |desk| {
                let told = facts.ledger(desk.exchange, account);
                (facts, told)
            });
            self.facts = facts;
            self.net.state().facts.extend(told);
        }
    }

    fn arrive(&mut self, sent: Sent) {
        let now = self.clocks.world();
        let Sent { account, kind, id, bytes, fate, answer } = sent;
        if fate.races
            && let Some(account) = account
        {
            self.race(account, id);
        }
        let served = (!fate.held_back).then(|| door::serve(&self.venue, &bytes));
        if let (Some(account), Some(served)) = (account, &served) {
            self.judge(account, kind, id, served);
        }
        self.pump();
        let skewed = self.venue.now() != now;
        let mut state = self.net.state();
        if skewed && (kind == RequestKind::Clock || served.as_ref().is_some_and(|served| served.code == Some(-1021))) {
            let jumped = state.faults.until(now, Class::F18VenueClock, None).is_some();
            state.faults.fire(if jumped { Class::F18VenueClock } else { Class::F09Skew });
        }
        let limited = state.faults.until(now, Class::F10RateLimit, None);
        let spoilt = fate.spoil.and_then(|spoil| spoil.words(now, limited));
        match fate.spoil {
            Some(Spoil::NotFound) if served.as_ref().is_some_and(|served| served.status == 200) => state.faults.fire(Class::F02NotFound),
            Some(Spoil::Limited) => state.faults.fire(Class::F10RateLimit),
            Some(Spoil::Maintenance) => state.faults.fire(Class::F13Maintenance),
            _ => {}
        }
        let Some(longer) = fate.back.filter(|_| fate.is_answered()) else { return };
        let Some(mut said) = spoilt.or(served) else { return };
        if fate.spoil == Some(Spoil::Half) {
            said.body.truncate(said.body.len() / 2);
        }
        if fate.behind && state.facts.iter().any(|fact| matches!(fact, VenueFact::Traded(fill) if Some(fill.client_order_id) == id)) {
            state.faults.fire(Class::F03FillBeforeAck);
        }
        let at = now + state.latency() + longer;
        state.put(at, Due::Answer(answer, Ok(said.into_reply())));
    }

    /// What the venue's own answer says of faults and of orders.
    fn judge(&mut self, account: AccountId, kind: RequestKind, id: Option<crate::domain::ids::ClientOrderId>, served: &door::Served) {
        let mut state = self.net.state();
        let now = state.now;
        match served.code {
            _ if served.status == 418 => state.faults.fire(Class::F10RateLimit),
            Some(-4014 | -4023 | -4003 | -4140 | -4164 | -1111) if state.faults.until(now, Class::F14Filters, None).is_some() => {
                state.faults.fire(Class::F14Filters)
            }
            _ => {}
        }
        if let (RequestKind::Place, Some(id), Some(code)) = (kind, id, served.code) {
            state.facts.push(VenueFact::Refused { account, id, code });
        }
        if matches!(kind, RequestKind::Read | RequestKind::Query) && state.faults.until(now, Class::F24Stale, Some(account)).is_some() {
            state.faults.fire(Class::F24Stale);
        }
    }

    /// Somebody wants to listen.
    fn knock(&mut self, url: &str, slot: slot::Slot<Result<Box<dyn crate::venues::binance::trading::network::Frames>, String>>) {
        let now = self.clocks.world();
        let key = url.rsplit('/').next().unwrap_or_default().to_owned();
        let account = self.users.owner(&key);
        let shut = {
            let state = self.net.state();
            let shut = account.and_then(|account| state.shut.get(&account)).is_some_and(|until| now < *until);
            shut || state.faults.until(now, Class::F13Maintenance, None).is_some()
        };
        let latency = self.net.state().latency();
        if shut {
            let refused = Err("the user stream cannot be opened: 503".to_owned());
            return self.net.state().after(latency, Due::Socket(slot, refused));
        }
        let (socket, frames) = self.net.socket(account);
        let outlet = Outlet::to(Arc::new(Ear { net: self.net.clone(), socket }), key.clone());
        // A key that is nobody's is heard in vain.
        let place = self.users.join(&key, &[], outlet);
        let mut state = self.net.state();
        if let Some(side) = state.sockets.get_mut(&socket) {
            side.place = place;
        }
        if let Some(account) = account {
            state.shut.remove(&account);
        }
        state.after(latency, Due::Socket(slot, Ok(frames)));
    }

    fn move_market(&mut self) {
        // Invariant: it never stops.
        self.exchange.turn().expect("invariant: an exchange without a thread does not stop");
        self.users.expire(self.clocks.world());
        let next = Timestamp(self.market_due.load(Ordering::Relaxed));
        let mut state = self.net.state();
        while let Some(frame) = self.frames.take() {
            if self.market_shown {
                state.after(MARKET_LATENCY, Due::Word(VenueWord::Market(MarketFrame::clone(&frame))));
            }
        }
        let next = next.max(state.now + Duration::from_millis(1));
        state.put(next, Due::Market);
    }

    /// A frame of the market arrives at the daemon, if the stream stands.
    fn show(&mut self, mut frame: MarketFrame) {
        if self.market_down.is_some() {
            return;
        }
        let mut state = self.net.state();
        let now = state.now;
        if now < self.market_silent {
            return state.faults.fire(Class::F12Zombie);
        }
        if matches!(frame.event, MarketEvent::Depth(_)) && state.faults.loses_diff(now) {
            return state.faults.fire(Class::F11DepthGap);
        }
        drop(state);
        frame.received_at = self.clocks.daemon();
        self.words.push(VenueWord::Market(frame));
    }

    fn open_market(&mut self) {
        self.market_down = None;
        let symbols = self.setup.instruments.iter().map(|(instrument, _)| VenueWord::MarketOpened { symbol: instrument.symbol });
        self.words.extend(symbols);
    }
}

/// An account as it is.
fn shown(desk: &mut Desk<'_>, account: AccountId, wanted: &TradesWanted) -> Option<VenueSnapshot> {
    let mut told: Vec<ExchangeOutput> = Vec::new();
    desk.exchange.command(desk.now, account, &VenueCommand::Snapshot { trades: wanted.clone() }, &mut told);
    let VenueEvent::SnapshotIs(mut snapshot) = told.pop()?.event else { return None };
    let algos = desk.exchange.open_algos(account, None).into_iter().map(|view| view.order.order);
    snapshot.open_orders.extend(algos.map(|order| VenueOrder { status: OrderStatus::Working, ..order }));
    snapshot.positions.retain(|position| !position.quantity.is_zero());
    Some(snapshot)
}
