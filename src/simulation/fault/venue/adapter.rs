//! The daemon's side of the way: the real adapter of its venues (accounts, links, callers and all that they decide), over the
//! simulated network. One for each life of the daemon's process. What it has to do it is asked in a fixed order, so that a seed
//! gives the same run.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};

use super::net::Net;
use super::slot::Mark;
use super::{Answer, Connection, Heard, Request, VenueWord};
use crate::domain::dead_man::Countdown;
use crate::domain::ids::AccountId;
use crate::domain::instrument::Instrument;
use crate::domain::mode::Mode;
use crate::domain::order::{NewOrder, VenueCommand};
use crate::domain::time::Timestamp;
use crate::venues::binance::codec::product::Product;
use crate::venues::binance::sign::Credentials;
use crate::venues::binance::trading::account::{Account, AccountParts};
use crate::venues::binance::trading::caller::{Host, Times};
use crate::venues::binance::trading::lane::{BadOrigin, Origin};
use crate::venues::binance::trading::setup::Wanted;
use crate::venues::binance::trading::socket::StreamBases;
use crate::venues::binance::trading::venue::BinanceVenue;
use crate::venues::port::{self, Gate, Venue as _};

/// The daemon's own settings as they are delivered: `orders_per_second`, `clock_offset_max`, and the share for orders.
const ORDERS_PER_SECOND: u32 = 10;
const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(1);
const RESERVED_PERMILLE: u32 = 250;

/// The world's time and the daemon's, which the adapter reads while it is polled.
#[derive(Debug, Clone)]
pub struct Clocks {
    world: Arc<AtomicI64>,
    offset: Arc<AtomicI64>,
    start: i64,
}

impl Clocks {
    pub fn new(start: Timestamp) -> Self {
        Self { world: Arc::new(AtomicI64::new(start.0)), offset: Arc::default(), start: start.0 }
    }

    pub fn set(&self, now: Timestamp) {
        self.world.store(now.0, Ordering::Relaxed);
    }

    pub fn set_offset(&self, offset: i64) {
        self.offset.store(offset, Ordering::Relaxed);
    }

    pub fn world(&self) -> Timestamp {
        Timestamp(self.world.load(Ordering::Relaxed))
    }

    /// What the daemon's clock says.
    pub fn daemon(&self) -> Timestamp {
        Timestamp(self.world().0.saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    fn steady(&self) -> Duration {
        Duration::from_nanos(self.world().0.saturating_sub(self.start).unsigned_abs())
    }

    fn times(&self) -> Times {
        let (ours, steady) = (self.clone(), self.clone());
        Times { now: Arc::new(move || ours.daemon()), steady: Arc::new(move || steady.steady()) }
    }
}

/// The halt gate as the adapter meets it: how strict it is now.
#[derive(Debug, Clone, Default)]
pub struct Doorkeeper(Arc<AtomicU8>);

impl Doorkeeper {
    pub fn set(&self, mode: Mode) {
        let level = match mode {
            Mode::Normal => 0,
            Mode::ReduceOnly => 1,
            Mode::CancelOnly | Mode::Halted => 2,
        };
        self.0.store(level, Ordering::Relaxed);
    }
}

impl Gate for Doorkeeper {
    fn enter(&self, order: &NewOrder) -> Option<Box<dyn Send>> {
        (self.0.load(Ordering::Relaxed) <= u8::from(order.reduce_only)).then(|| Box::new(()) as Box<dyn Send>)
    }
}

/// An account as the daemon's settings have it.
pub struct Member {
    pub id: AccountId,
    pub api_key: String,
    pub secret: String,
    pub hedge: bool,
    pub gate: Doorkeeper,
}

struct Task<T> {
    work: T,
    mark: Arc<Mark>,
    waker: Waker,
}

impl<T> Task<T> {
    fn new(work: T) -> Self {
        let mark = Mark::new();
        Self { work, waker: Waker::from(Arc::clone(&mark)), mark }
    }
}

type Link = (Connection, BoxStream<'static, port::Heard>);

pub struct Adapter {
    venue: BinanceVenue,
    links: BTreeMap<AccountId, Task<Link>>,
    asked: BTreeMap<Request, Task<BoxFuture<'static, Answer>>>,
}

impl Adapter {
    /// # Errors
    /// Never: the address is a constant.
    pub fn new(
        net: &Net,
        clocks: &Clocks,
        members: &[Member],
        instruments: &[Instrument],
        recv_window: Duration,
    ) -> Result<Self, BadOrigin> {
        let origin = Origin::parse("http://venue.invalid")?;
        let host = Host::over(Arc::new(net.clone()), origin, Product::BinanceUsdm, clocks.times(), RESERVED_PERMILLE);
        let venue = BinanceVenue::default();
        let instruments = Arc::new(ArcSwap::from_pointee(instruments.to_vec()));
        for member in members {
            venue.add(Account::new(AccountParts {
                id: member.id,
                host: Arc::clone(&host),
                streams: StreamBases { ws: "ws://venue.invalid".to_owned(), ws_api: String::new() },
                credentials: Credentials::hmac(member.api_key.clone(), member.secret.clone().into()),
                instruments: Arc::clone(&instruments),
                orders_per_second: ORDERS_PER_SECOND,
                recv_window,
                clock_offset_max: CLOCK_OFFSET_MAX,
                wanted: Wanted { hedge: member.hedge, ..Wanted::default() },
                key_host: None,
                gate: Arc::new(member.gate.clone()),
            }));
        }
        Ok(Self { venue, links: BTreeMap::new(), asked: BTreeMap::new() })
    }

    /// Listens to an account anew.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn connect(&mut self, account: AccountId, connection: Connection) -> Result<(), String> {
        // The one before ends first, as its task does.
        self.links.remove(&account);
        let stream = self.venue.listen(account).map_err(|error| error.to_string())?;
        self.links.insert(account, Task::new((connection, stream)));
        Ok(())
    }

    pub fn disconnect(&mut self, account: AccountId) {
        self.links.remove(&account);
    }

    pub fn is_connected(&self, account: AccountId, connection: Connection) -> bool {
        self.links.get(&account).is_some_and(|link| link.work.0 == connection)
    }

    /// # Errors
    /// When it surely did not leave.
    pub fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), String> {
        self.venue.send(account, command).map_err(|error| error.to_string())
    }

    pub fn ask(&mut self, request: Request, account: AccountId, command: VenueCommand) {
        let asked = self.venue.ask(account, command).map(|events| Answer::Events(events.map_err(|error| error.to_string())));
        self.asked.insert(request, Task::new(asked.boxed()));
    }

    pub fn count_down(&mut self, request: Request, word: Countdown) {
        let asked = self.venue.count_down(word).map(|done| Answer::CountedDown(done.map_err(|error| error.to_string())));
        self.asked.insert(request, Task::new(asked.boxed()));
    }

    /// Whoever asked waits no longer: the question ends where it is, with what it had taken of the budget.
    pub fn give_up(&mut self, request: Request) {
        self.asked.remove(&request);
    }

    /// Lets everybody go on who has something to do, until nobody has.
    pub fn run(&mut self, words: &mut Vec<VenueWord>) {
        while self.run_links(words) | self.run_asked(words) {}
    }

    fn run_links(&mut self, words: &mut Vec<VenueWord>) -> bool {
        let (mut busy, mut ended) = (false, Vec::new());
        for (account, link) in &mut self.links {
            if !link.mark.take() {
                continue;
            }
            busy = true;
            let (account, connection) = (*account, link.work.0);
            let mut context = Context::from_waker(&link.waker);
            while let Poll::Ready(heard) = link.work.1.poll_next_unpin(&mut context) {
                let heard = match heard {
                    Some(port::Heard::Opened) => Heard::Opened,
                    Some(port::Heard::Event(event)) => Heard::Event(event),
                    None => Heard::Lost("the stream ended".to_owned()),
                };
                let ends = matches!(heard, Heard::Lost(_));
                words.push(VenueWord::Account { account, connection, heard });
                if ends {
                    ended.push(account);
                    break;
                }
            }
        }
        for account in ended {
            self.links.remove(&account);
        }
        busy
    }

    fn run_asked(&mut self, words: &mut Vec<VenueWord>) -> bool {
        let (mut busy, mut done) = (false, Vec::new());
        for (request, task) in &mut self.asked {
            if !task.mark.take() {
                continue;
            }
            busy = true;
            if let Poll::Ready(answer) = Pin::new(&mut task.work).poll(&mut Context::from_waker(&task.waker)) {
                words.push(VenueWord::Answer { request: *request, answer });
                done.push(*request);
            }
        }
        for request in done {
            self.asked.remove(&request);
        }
        busy
    }
}
