//! One account at a venue, as its connections share it: who it is, what is asked for it and how often, what its orders are called
//! there. It holds no socket; whoever has one holds this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::caller::{Caller, Host};
use super::rate::OrderRate;
use super::setup::{Standing, Wanted};
use super::socket::StreamBases;
use crate::domain::ids::{AccountId, Asset, ClientOrderId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::order::NewOrder;
use crate::domain::time::Timestamp;
use crate::venues::binance::codec::outcome::Failure;
use crate::venues::binance::codec::translate::Translator;
use crate::venues::binance::sign::Credentials;
use crate::venues::port::Gate;

/// What an account is made of.
pub struct AccountParts {
    pub id: AccountId,
    pub host: Arc<Host>,
    pub streams: StreamBases,
    pub credentials: Credentials,
    pub instruments: Arc<ArcSwap<Vec<Instrument>>>,
    pub orders_per_second: u32,
    pub recv_window: Duration,
    pub clock_offset_max: Duration,
    pub wanted: Wanted,
    /// Where it is asked what a key may do; `None` for keys of our own making.
    pub key_host: Option<Arc<Host>>,
    pub gate: Arc<dyn Gate>,
}

pub struct Account {
    pub id: AccountId,
    pub streams: StreamBases,
    /// The trading side's connections.
    pub trading: Caller,
    /// The kill switch's own.
    pub safety: Caller,
    pub wanted: Wanted,
    /// Where it is asked what the key may do.
    pub key_host: Option<Caller>,
    standing: Mutex<Standing>,
    instruments: Arc<ArcSwap<Vec<Instrument>>>,
    translator: Mutex<Translator>,
    rate: Mutex<OrderRate>,
    clock_offset_max: Duration,
    gate: Arc<dyn Gate>,
    /// Symbols of others that something was open on at the last look.
    elsewhere: Mutex<BTreeSet<Symbol>>,
    ledger: Mutex<Ledger>,
    /// Orders whose bytes left and that have no definite answer, each with the moment from which on the venue would refuse it.
    flying: Mutex<BTreeMap<u64, Flight>>,
    flights: AtomicU64,
    recv_window: Duration,
}

/// An order that may still arrive.
#[derive(Debug, Clone, Copy)]
struct Flight {
    symbol: Symbol,
    client_order_id: ClientOrderId,
    until: Timestamp,
}

/// A venue's clock may be so much behind what a request says.
const VENUE_TOLERANCE: Duration = Duration::from_secs(1);

/// Refusals for a filter: they should not happen, because orders are made by the filters that are known.
const ABOUT_RULES: [i32; 10] = [-4140, -1013, -1111, -4004, -4005, -4013, -4014, -4023, -4164, -1121];

/// When the venue's ledger was read, and whether something moved since.
#[derive(Debug, Default)]
struct Ledger {
    /// What an earlier life booked of it ends there.
    from: Option<Timestamp>,
    read: Option<Timestamp>,
    /// How often money moved, and how often it had when the ledger was read last.
    moves: u64,
    read_at_move: u64,
}

/// A look at the ledger that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerLook {
    pub since: Timestamp,
    at_move: u64,
}

/// A list of the ledger is dear; without news it is read again after so long. Funding comes every hour at the most often.
const LEDGER_EVERY: Duration = Duration::from_secs(600);
/// What is listed again, in case that entries come late: they are told apart by their ids. Trades are entries too, so
/// that more costs more. Longer than between two looks: what one of them told may have been lost on its way.
const LEDGER_OVERLAP: Duration = Duration::from_secs(1_200);
/// How far back the first look goes at least.
const LEDGER_BEFORE: Duration = Duration::from_secs(3_600);
/// And at most: a venue keeps its ledger for three months.
const LEDGER_KEPT: Duration = Duration::from_secs(89 * 86_400);

impl Account {
    #[must_use]
    pub fn new(parts: AccountParts) -> Arc<Self> {
        let AccountParts {
            id,
            host,
            streams,
            credentials,
            instruments,
            orders_per_second,
            recv_window,
            clock_offset_max,
            wanted,
            key_host,
            gate,
        } = parts;
        let credentials = Arc::new(credentials);
        let key_host = key_host.map(|host| Caller::new(host, Arc::clone(&credentials), recv_window));
        let caller = || Caller::new(Arc::clone(&host), Arc::clone(&credentials), recv_window);
        let translator = Translator::new(host.product, id, instruments.load().iter());
        let rate = OrderRate::new(orders_per_second, &host.product.capabilities().order_limits);
        Arc::new(Self {
            id,
            streams,
            trading: caller(),
            safety: caller(),
            wanted,
            key_host,
            standing: Mutex::default(),
            instruments,
            translator: Mutex::new(translator),
            rate: Mutex::new(rate),
            clock_offset_max,
            gate,
            elsewhere: Mutex::default(),
            ledger: Mutex::default(),
            flying: Mutex::default(),
            flights: AtomicU64::new(0),
            recv_window,
        })
    }

    #[must_use]
    pub fn host(&self) -> &Host {
        &self.trading.host
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.host().times.now()
    }

    /// Held for one translation, never across an await; it leaves whole entries behind.
    pub fn translator(&self) -> MutexGuard<'_, Translator> {
        self.translator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries are kept of it, by table.
    #[must_use]
    pub fn tables(&self) -> [(&'static str, usize); 4] {
        let flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner).len();
        let [names, algos, held] = self.translator().tables();
        [names, algos, held, ("orders_flying", flying)]
    }

    /// What the account may trade, and what else it had an order on when its orders were last listed.
    #[must_use]
    pub fn symbols(&self) -> BTreeSet<Symbol> {
        let traded = self.instruments.load().iter().map(|instrument| instrument.symbol).collect::<BTreeSet<Symbol>>();
        &traded | &self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every symbol that an order is open on.
    pub fn open_on(&self, symbols: impl Iterator<Item = Symbol>) {
        *self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = symbols.collect();
    }

    /// A number for an order that is about to leave.
    #[must_use]
    pub fn flight(&self) -> u64 {
        self.flights.fetch_add(1, Ordering::Relaxed)
    }

    /// The last look before an order's bytes leave; from then on it may arrive.
    #[must_use]
    pub fn enter(&self, flight: u64, order: &NewOrder) -> Option<Box<dyn Send>> {
        let leaving = self.gate.enter(order)?;
        self.depart(flight, order);
        Some(leaving)
    }

    /// An order's bytes are about to leave: from here on it may arrive, until the venue has said what became of it or takes it no
    /// longer.
    pub fn depart(&self, flight: u64, order: &NewOrder) {
        let until = self.host().venue_time() + self.recv_window + VENUE_TOLERANCE;
        let NewOrder { symbol, client_order_id, .. } = *order;
        self.flying.lock().unwrap_or_else(PoisonError::into_inner).insert(flight, Flight { symbol, client_order_id, until });
    }

    /// The venue has said what became of it.
    pub fn landed(&self, flight: u64) {
        self.flying.lock().unwrap_or_else(PoisonError::into_inner).remove(&flight);
    }

    /// Orders that may still arrive, each with its flight.
    #[must_use]
    pub fn flying(&self) -> Vec<(u64, Symbol, ClientOrderId)> {
        let (now, mut flying) = (self.host().venue_time(), self.flying.lock().unwrap_or_else(PoisonError::into_inner));
        flying.retain(|_, flight| now < flight.until);
        flying.iter().map(|(number, flight)| (*number, flight.symbol, flight.client_order_id)).collect()
    }

    #[must_use]
    pub fn on_their_way(&self) -> usize {
        self.flying().len()
    }

    /// The currency that it is settled in: that of what it trades.
    #[must_use]
    pub fn settlement(&self) -> Asset {
        let instruments = self.instruments.load();
        let quote = instruments.first().and_then(|instrument| Asset::new(&instrument.quote).ok());
        // Invariant: USDT is a name of an asset.
        quote.unwrap_or_else(|| Asset::new("USDT").expect("invariant: a valid name"))
    }

    #[must_use]
    pub fn instruments(&self) -> Arc<Vec<Instrument>> {
        self.instruments.load_full()
    }

    /// What must be true for a new order to leave, beyond what risk knows: the venue listens, the clocks agree, there are not too
    /// many, and it stands on the grid that the venue has now.
    ///
    /// # Errors
    /// Why it must not.
    pub fn admit(&self, order: &NewOrder) -> Result<(), String> {
        if let Some(until) = self.host().shut() {
            return Err(format!("the venue listens to nobody here until {until}"));
        }
        if !order.reduce_only {
            if self.host().is_unlisted() {
                return Err("the account opens nothing before its venue has told what it lists".to_owned());
            }
            match self.standing() {
                Standing::Good => {}
                Standing::Unchecked => {
                    return Err("the account opens nothing before its key and its settings have been looked at".to_owned());
                }
                Standing::Barred(why) => return Err(format!("the account opens nothing: {why}")),
            }
            self.host().admit(self.clock_offset_max).map_err(|doubt| doubt.to_string())?;
        }
        let instruments = self.instruments.load();
        let instrument = instruments.iter().find(|instrument| instrument.symbol == order.symbol);
        let instrument =
            instrument.ok_or_else(|| format!("{} expected to be listed by the account's venue, found it is not", order.symbol))?;
        fits(instrument, order)?;
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.take(self.host().even_now(), !order.reduce_only).map_err(|many| many.to_string())
    }

    /// Whether it is as it must be.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_standing(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Money moved without a trade: the next snapshot lists why.
    pub fn money_moved(&self) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).moves += 1;
    }

    /// The books have the ledger up to then: the first look begins there, however long nobody looked.
    pub fn ledger_is_booked(&self, until: Timestamp) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).from = Some(until);
    }

    /// From when on the ledger is to be listed, if it is to be.
    #[must_use]
    pub fn ledger_due(&self) -> Option<LedgerLook> {
        let (now, ledger) = (self.host().venue_time(), self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
        let due = ledger.moves != ledger.read_at_move || ledger.read.is_none_or(|read| now.since(read) >= LEDGER_EVERY);
        let first = ledger.from.map_or(now, |from| from - LEDGER_OVERLAP).min(now - LEDGER_BEFORE).max(now - LEDGER_KEPT);
        let since = ledger.read.map_or(first, |read| read - LEDGER_OVERLAP);
        due.then_some(LedgerLook { since, at_move: ledger.moves })
    }

    /// It was read up to that moment.
    pub fn ledger_read(&self, look: LedgerLook, up_to: Timestamp) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // What moved since then may not be in the answer.
        (ledger.read, ledger.read_at_move) = (Some(up_to), look.at_move);
    }

    /// The venue's no to a new order may be about how many there were.
    pub fn refused(&self, failure: &Failure) {
        if let Failure::Refused { code, .. } = failure
            && ABOUT_RULES.contains(code)
        {
            self.host().doubt_rules();
        }
        if let Failure::RateLimited { code: -1015, retry_after, .. } = failure {
            self.rate.lock().unwrap_or_else(PoisonError::into_inner).refused(self.host().even_now(), *retry_after);
        }
    }
}

/// Filters change while an order is on its way from risk (F14): what is off the grid now is not sent.
fn fits(instrument: &Instrument, order: &NewOrder) -> Result<(), String> {
    instrument.check_quantity(order.quantity).map_err(|error| error.to_string())?;
    for price in [order.kind.limit_price(), order.kind.trigger()].into_iter().flatten() {
        instrument.check_price(price).map_err(|error| error.to_string())?;
    }
    Ok(())
}
