//! The venue as the daemon sees it, in virtual time: commands leave on an account's connection, words come back on it later or
//! never, and beside them stands what is really true. Every time here is the world's; the venue's own clock may be off.
//! It knows nothing of the daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::dead_man::Countdown;
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, Level, MarketEvent, MarketFrame, TradePrint};
use crate::domain::order::{EndReason, Fill, FundsMoved, NewOrder, TradesFrom, TradesWanted, VenueCommand, VenueEvent, VenueSnapshot};
use crate::domain::time::Timestamp;
use crate::exchange::{AccountSetup, Exchange, ExchangeConfig, ExchangeOutput};

use super::{Class, Random};

/// One way between the daemon and the market moves by so much at most; its own small part of a second.
const LATENCY_MAX: Duration = Duration::from_millis(40);
/// The market's step.
const MARKET_EVERY: Duration = Duration::from_millis(100);

/// What a venue is made of.
#[derive(Debug, Clone)]
pub struct VenueSetup {
    pub start: Timestamp,
    /// With the price that each opens at, in ticks.
    pub instruments: Vec<(Instrument, Ticks)>,
    pub accounts: Vec<(AccountId, AccountSetup)>,
    /// How late the venue may take an order.
    pub recv_window: Duration,
}

/// One life of an account's way to the venue (its requests and its user stream). A new one replaces the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection(pub u64);

/// A question on a connection of its own (the kill switch's, the dead-man's switch's, history), answered once or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request(pub u64);

/// What an account's connection says.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// From here on everything is heard.
    Opened,
    Event(VenueEvent),
    /// It ended; whoever listens connects again.
    Lost(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What `ask` brings, as `Venue::ask` would.
    Events(Result<Vec<VenueEvent>, String>),
    CountedDown(Result<(), String>),
    Depth(Result<DepthSnapshot, String>),
    Candles(Result<Vec<Candle>, String>),
}

/// Something that reaches the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum VenueWord {
    Account {
        account: AccountId,
        connection: Connection,
        heard: Heard,
    },
    Answer {
        request: Request,
        answer: Answer,
    },
    /// The market stream is new: what was told before it may lack something.
    MarketOpened {
        symbol: Symbol,
    },
    Market(MarketFrame),
}

/// Something that happened at the venue, whoever is told of it.
#[derive(Debug, Clone, PartialEq)]
pub enum VenueFact {
    Taken {
        account: AccountId,
        order: NewOrder,
    },
    Refused {
        account: AccountId,
        id: ClientOrderId,
        code: i32,
    },
    Traded(Fill),
    Ended {
        account: AccountId,
        id: ClientOrderId,
        reason: EndReason,
    },
    /// The bytes of an order are lost for good: it will never have an effect.
    Lost {
        account: AccountId,
        id: ClientOrderId,
    },
    /// An account's ledger moved without a trade: funding, a transfer, an insurance clearance.
    Funds {
        account: AccountId,
        moved: FundsMoved,
    },
    /// Not by us: a person's order or transfer, a liquidation, funding. Its trades and entries are told as such besides.
    FromOutside {
        account: AccountId,
        what: String,
    },
}

/// Both sides' books, from the venue's engine.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Open orders, positions, wallet and all trades of each account.
    pub accounts: BTreeMap<AccountId, VenueSnapshot>,
}

/// A fault of the venue or of the way to it, drawn by its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueFault {
    pub class: Class,
    pub account: Option<AccountId>,
    pub lasts: Duration,
}

impl VenueFault {
    #[must_use]
    pub fn draw(class: Class, accounts: &[AccountId], random: &mut Random) -> Self {
        let account = random.pick(accounts).copied();
        Self { class, account, lasts: Duration::from_millis(random.between(50, 5_000)) }
    }
}

enum Travelling {
    Command { account: AccountId, command: VenueCommand },
    Asked { account: AccountId, request: Request, command: VenueCommand },
    Word(VenueWord),
    Market,
}

pub struct SimVenue {
    setup: VenueSetup,
    random: Random,
    exchange: Exchange,
    prices: Vec<Ticks>,
    connections: BTreeMap<AccountId, Connection>,
    /// By due time; the number keeps the order of those that are due together.
    travelling: BTreeMap<(Timestamp, u64), Travelling>,
    /// When the newest word to an account arrives: its stream keeps its order.
    newest_word: BTreeMap<AccountId, Timestamp>,
    serial: u64,
    update_id: u64,
    facts: Vec<VenueFact>,
    fired: Vec<Class>,
}

impl SimVenue {
    #[must_use]
    pub fn new(setup: VenueSetup, random: Random) -> Self {
        let mut exchange = Exchange::new(ExchangeConfig::default());
        for (instrument, _) in &setup.instruments {
            exchange.add_symbol(instrument.clone());
        }
        for (id, account) in &setup.accounts {
            exchange.open_account(*id, account.clone());
        }
        let prices = setup.instruments.iter().map(|(_, price)| *price).collect();
        let (start, connections, newest_word) = (setup.start, BTreeMap::new(), BTreeMap::new());
        let mut venue = Self {
            setup,
            random,
            exchange,
            prices,
            connections,
            travelling: BTreeMap::new(),
            newest_word,
            serial: 0,
            update_id: 0,
            facts: Vec::new(),
            fired: Vec::new(),
        };
        venue.put(start, Travelling::Market);
        venue
    }

    /// A connection for an account; `Opened` says on it that it stands.
    pub fn connect(&mut self, now: Timestamp, account: AccountId) -> Connection {
        self.serial += 1;
        let connection = Connection(self.serial);
        self.connections.insert(account, connection);
        self.tell(now, account, Heard::Opened);
        connection
    }

    /// The daemon's side is gone: what is on its way to it is never heard, what it sent may still arrive.
    pub fn disconnect(&mut self, account: AccountId) {
        self.connections.remove(&account);
    }

    /// Every socket of the daemon is gone with its process.
    pub fn disconnect_all(&mut self) {
        self.connections.clear();
        self.travelling.retain(|_, travelling| !matches!(travelling, Travelling::Word(VenueWord::Answer { .. })));
    }

    /// Hands a command over, as the executor does. Its answers come as words.
    ///
    /// # Errors
    /// When it surely did not leave.
    pub fn command(&mut self, now: Timestamp, account: AccountId, connection: Connection, command: VenueCommand) -> Result<(), String> {
        if self.connections.get(&account) != Some(&connection) {
            return Err("the connection is not open".to_owned());
        }
        let due = now + self.latency();
        self.put(due, Travelling::Command { account, command });
        Ok(())
    }

    /// The kill switch's way.
    pub fn ask(&mut self, now: Timestamp, account: AccountId, command: VenueCommand) -> Request {
        let (request, due) = (self.request(), now + self.latency());
        self.put(due, Travelling::Asked { account, request, command });
        request
    }

    pub fn count_down(&mut self, now: Timestamp, _word: Countdown) -> Request {
        let request = self.request();
        self.answer(now, request, Answer::CountedDown(Ok(())));
        request
    }

    pub fn depth(&mut self, now: Timestamp, symbol: Symbol) -> Request {
        let request = self.request();
        let book = self.exchange.symbol_index(symbol).and_then(|index| self.exchange.book(index, 20));
        let book = book.map(|(last_id, bids, asks)| DepthSnapshot { last_id, bids, asks });
        self.answer(now, request, Answer::Depth(book.ok_or_else(|| "no book yet".to_owned())));
        request
    }

    pub fn candles(&mut self, now: Timestamp, _symbol: Symbol, _interval: Duration, _limit: usize) -> Request {
        let request = self.request();
        self.answer(now, request, Answer::Candles(Ok(Vec::new())));
        request
    }

    /// When something happens next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.travelling.first_key_value().map(|((due, _), _)| *due)
    }

    /// Lets everything happen that is due.
    pub fn step(&mut self, now: Timestamp, words: &mut Vec<VenueWord>) {
        while let Some(next) = self.travelling.first_entry()
            && next.key().0 <= now
        {
            let ((at, _), travelling) = next.remove_entry();
            match travelling {
                Travelling::Market => self.market(at),
                Travelling::Command { account, command } => self.arrive(at, account, &command),
                Travelling::Asked { account, request, command } => {
                    let events = self.engine(at, account, &command);
                    let events = events.into_iter().filter_map(|told| (told.account == account).then_some(told.event)).collect();
                    self.answer(at, request, Answer::Events(Ok(events)));
                }
                Travelling::Word(VenueWord::Account { account, connection, heard }) => {
                    if self.connections.get(&account) == Some(&connection) {
                        words.push(VenueWord::Account { account, connection, heard });
                    }
                }
                Travelling::Word(word) => words.push(word),
            }
        }
    }

    /// Lets a fault begin.
    pub fn fault(&mut self, _now: Timestamp, _fault: &VenueFault) {}

    /// Ends every fault that is running; nothing new fails by itself from here on.
    pub fn heal(&mut self, _now: Timestamp) {}

    /// Classes that had an effect since the last look.
    pub fn take_fired(&mut self) -> Vec<Class> {
        std::mem::take(&mut self.fired)
    }

    /// What happened since the last look.
    pub fn take_facts(&mut self) -> Vec<VenueFact> {
        std::mem::take(&mut self.facts)
    }

    pub fn truth(&mut self) -> Truth {
        let trades: TradesWanted = self.setup.instruments.iter().map(|(instrument, _)| (instrument.symbol, TradesFrom::After(0))).collect();
        let mut truth = Truth::default();
        for (account, _) in &self.setup.accounts {
            let mut told = Vec::new();
            self.exchange.command(Timestamp::ZERO, *account, &VenueCommand::Snapshot { trades: trades.clone() }, &mut told);
            if let Some(VenueEvent::SnapshotIs(snapshot)) = told.pop().map(|told| told.event) {
                truth.accounts.insert(*account, snapshot);
            }
        }
        truth
    }

    fn arrive(&mut self, now: Timestamp, account: AccountId, command: &VenueCommand) {
        for told in self.engine(now, account, command) {
            self.tell(now, told.account, Heard::Event(told.event));
        }
    }

    fn engine(&mut self, now: Timestamp, account: AccountId, command: &VenueCommand) -> Vec<ExchangeOutput> {
        let mut told = Vec::new();
        self.exchange.command(now, account, command, &mut told);
        if let VenueCommand::Place(order) = command {
            let refused = told.iter().any(|told| matches!(told.event, VenueEvent::Rejected { .. }));
            if !refused {
                self.facts.push(VenueFact::Taken { account, order: order.clone() });
            }
        }
        self.note(&told);
        told
    }

    fn note(&mut self, told: &[ExchangeOutput]) {
        for ExchangeOutput { account, event } in told {
            match event {
                VenueEvent::Filled(fill) => self.facts.push(VenueFact::Traded(fill.clone())),
                VenueEvent::Rejected { client_order_id, code, .. } => {
                    self.facts.push(VenueFact::Refused { account: *account, id: *client_order_id, code: *code });
                }
                VenueEvent::Ended { client_order_id, reason, .. } => {
                    self.facts.push(VenueFact::Ended { account: *account, id: *client_order_id, reason: *reason });
                }
                _ => {}
            }
        }
    }

    /// The price walks; the touch follows it, and a print goes through it now and then so that resting orders fill.
    fn market(&mut self, now: Timestamp) {
        self.put(now + MARKET_EVERY, Travelling::Market);
        for index in 0..self.prices.len() {
            let step = i64::try_from(self.random.between(0, 4)).unwrap_or(2) - 2;
            self.prices[index].0 += step;
            let price = self.prices[index].0;
            self.update_id += 1;
            let level = |ticks, lots| Level { price: Ticks(ticks), quantity: Lots(lots) };
            let ticker = BookTicker { id: self.update_id, bid: level(price - 1, 50_000), ask: level(price + 1, 50_000) };
            let buyer_is_maker = self.random.below(2) == 0;
            let print = if buyer_is_maker { price - 2 } else { price + 2 };
            let lots = i64::try_from(self.random.between(1, 2_000)).unwrap_or(1);
            let print = TradePrint { id: self.update_id, price: Ticks(print), quantity: Lots(lots), buyer_is_maker };
            for event in [MarketEvent::Ticker(ticker), MarketEvent::Trade(print)] {
                self.show(now, index, event);
            }
        }
    }

    fn show(&mut self, now: Timestamp, index: usize, event: MarketEvent) {
        let symbol = self.setup.instruments[index].0.symbol;
        let frame = MarketFrame { symbol, venue_time: now, received_at: now, event };
        let mut told = Vec::new();
        self.exchange.market(now, index, frame.borrowed().event, &mut told);
        self.note(&told);
        for told in told {
            self.tell(now, told.account, Heard::Event(told.event));
        }
        // Market data keeps its order: one way, always as long.
        self.put(now + LATENCY_MAX / 2, Travelling::Word(VenueWord::Market(frame)));
    }

    fn tell(&mut self, now: Timestamp, account: AccountId, heard: Heard) {
        let Some(connection) = self.connections.get(&account).copied() else { return };
        let newest = self.newest_word.get(&account).copied().unwrap_or_default();
        let due = (now + self.latency()).max(newest);
        self.newest_word.insert(account, due);
        self.put(due, Travelling::Word(VenueWord::Account { account, connection, heard }));
    }

    fn answer(&mut self, now: Timestamp, request: Request, answer: Answer) {
        let due = now + self.latency();
        self.put(due, Travelling::Word(VenueWord::Answer { request, answer }));
    }

    fn request(&mut self) -> Request {
        self.serial += 1;
        Request(self.serial)
    }

    fn latency(&mut self) -> Duration {
        Duration::from_nanos(self.random.between(200_000, LATENCY_MAX.as_nanos() as u64))
    }

    fn put(&mut self, due: Timestamp, travelling: Travelling) {
        self.serial += 1;
        self.travelling.insert((due, self.serial), travelling);
    }
}
