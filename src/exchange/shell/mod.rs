//! The exchange in the daemon: one thread that owns the engine, the market and the durable record. It reads the clock, moves
//! the market on in real time, answers commands, and tells an account nothing before it is on disk. It decides nothing itself.

mod guess;
mod handle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::instrument::{InstrumentKind, Ticks};
use crate::domain::market_data::{DepthSnapshot, MarketEvent, MarketFrame};
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::domain::time::Timestamp;

use super::core::margin::ForcedOrder;
use super::core::report::UserReport;
use super::core::{AccountSetup, Exchange, ExchangeConfig, ExchangeOutput};
use super::record::{ExchangeRecord, RecordError};
use super::sources::MarketSource;
use super::state::RestoreError;

use guess::Guesses;
use handle::{Answer, Listener, Request, Way};
pub use handle::{
    Desk, EventStream, ExchangeHandle, ExchangeStopped, Fault, MARKET_BACKLOG_MAX, MarketFrames, TradesAsked, USER_BACKLOG_MAX, UserReports,
};

/// How often the market moves on. A hundred wake-ups a second are a few thousandths of a core.
const TICK: Duration = Duration::from_millis(10);
/// Commands answered in one batch, with one commit: more would keep the market waiting.
const BATCH_MAX: usize = 512;
/// One poll of the source covers at most this much, so that a machine that slept catches up in pieces.
const POLL_MAX: Duration = Duration::from_secs(1);
/// How often last prices and queue places go to the record, and how often old rows leave it.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
const PRUNE_EVERY: Duration = Duration::from_secs(300);

/// Where the time comes from: the daemon's clock in the daemon, a test's hand in a test. It never goes back.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Makes the market: told when it opens and where each symbol stood before.
pub type OpenMarket = Box<dyn FnOnce(Timestamp, &BTreeMap<Symbol, Ticks>) -> Box<dyn MarketSource> + Send>;

pub struct ShellConfig {
    pub exchange: ExchangeConfig,
    /// Opened if the record does not have them.
    pub accounts: Vec<(AccountId, AccountSetup)>,
    /// `exchange.db` in the data directory; without it nothing is remembered.
    pub record: Option<PathBuf>,
    pub clock: Clock,
}

#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error("the exchange's thread cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("the exchange's thread panicked; its log has the place")]
    Panicked,
}

/// The running exchange. Dropping it lets the thread go on; `stop` ends it in order.
#[derive(Debug)]
pub struct RunningExchange {
    handle: ExchangeHandle,
    thread: JoinHandle<Result<(), ShellError>>,
}

impl RunningExchange {
    /// Opens the record, restores what it has, opens the market and starts the thread.
    ///
    /// # Errors
    /// When the record cannot be read or does not fit the market, or the thread cannot be started.
    pub fn start(config: ShellConfig, open_market: OpenMarket) -> Result<Self, ShellError> {
        let shell = Shell::open(config, open_market)?;
        let (requests, inbox) = mpsc::channel();
        // A thread of its own, so that the venue stays alive and honest while the trader's runtimes stall.
        let thread =
            std::thread::Builder::new().name("exchange".to_owned()).spawn(move || shell.run(&inbox)).map_err(ShellError::Thread)?;
        Ok(Self { handle: ExchangeHandle { way: Way::Thread(requests) }, thread })
    }

    #[must_use]
    pub fn handle(&self) -> ExchangeHandle {
        self.handle.clone()
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the thread after what was sent before, and says how it ended.
    ///
    /// # Errors
    /// What made the thread stop by itself, if anything did.
    pub fn stop(self) -> Result<(), ShellError> {
        // A thread that has ended already does not hear it; its result below says why.
        if let Way::Thread(requests) = &self.handle.way {
            let _ = requests.send(Request::Stop);
        }
        self.thread.join().unwrap_or(Err(ShellError::Panicked))
    }
}

/// The exchange without a thread of its own: each call of the handle moves the market on to what the clock says, does what it asks and
/// has the answer when it returns. For whoever steps it in virtual time.
///
/// # Errors
/// When the record cannot be read or does not fit the market.
pub fn inline(config: ShellConfig, open_market: OpenMarket) -> Result<ExchangeHandle, ShellError> {
    let shell = Shell::open(config, open_market)?;
    Ok(ExchangeHandle { way: Way::Inline(Arc::new(Mutex::new(shell))) })
}

/// What still goes wrong on purpose.
#[derive(Debug, Default)]
struct Faults {
    drop_events: u32,
    reject_next: Option<i32>,
    unknown_next: bool,
    refuse_cancels: bool,
    frozen_until: Option<Timestamp>,
}

struct Reader {
    symbols: Vec<Symbol>,
    sender: tokio::sync::mpsc::Sender<Arc<MarketFrame>>,
}

/// Somebody who listens to accounts' user events.
struct UserReader {
    /// Empty: all.
    accounts: Vec<AccountId>,
    sender: tokio::sync::mpsc::Sender<Arc<UserReport>>,
}

impl UserReader {
    fn hears(&self, account: AccountId) -> bool {
        self.accounts.is_empty() || self.accounts.contains(&account)
    }
}

/// A caller that waits for the answer to its own command: which outputs of the batch are its.
struct Waiter {
    reply: oneshot::Sender<Vec<VenueEvent>>,
    account: AccountId,
    outputs: std::ops::Range<usize>,
}

struct Shell {
    exchange: Exchange,
    source: Box<dyn MarketSource>,
    record: Option<ExchangeRecord>,
    accounts: Vec<AccountId>,
    clock: Clock,
    market_at: Timestamp,
    checkpoint_at: Timestamp,
    prune_at: Timestamp,
    listeners: BTreeMap<AccountId, Listener>,
    readers: Vec<Reader>,
    /// The quotes of symbols whose market shows none.
    guesses: Guesses,
    faults: Faults,
    /// Commands that came while frozen.
    held: VecDeque<Request>,
    frames: Vec<MarketFrame>,
    outputs: Vec<ExchangeOutput>,
    waiters: Vec<Waiter>,
    user_readers: Vec<UserReader>,
    /// Those who listen to liquidations.
    forced_readers: Vec<tokio::sync::mpsc::Sender<(Symbol, ForcedOrder)>>,
    /// Answers that wait for the batch to be durable.
    answers: Vec<Answer>,
}

impl Shell {
    fn open(config: ShellConfig, open_market: OpenMarket) -> Result<Self, ShellError> {
        let now = (config.clock)();
        let record = config.record.as_deref().map(ExchangeRecord::open).transpose()?;
        let log_changes = record.is_some();
        let settings = ExchangeConfig { log_changes, ..config.exchange };
        let saved = record.as_ref().map(|record| record.load(settings.trades_kept)).transpose()?.unwrap_or_default();
        let resume = saved.markets.iter().filter_map(|row| Some((row.symbol, row.last?))).collect();
        let source = open_market(now, &resume);
        let mut exchange = Exchange::new(settings);
        for instrument in source.instruments() {
            exchange.add_symbol(instrument);
        }
        let mut accounts: Vec<AccountId> = saved.accounts.iter().map(|row| row.account).collect();
        exchange.restore(saved)?;
        for (account, setup) in config.accounts {
            if exchange.open_account(account, setup) {
                accounts.push(account);
            }
        }
        let mut shell = Self {
            exchange,
            source,
            record,
            accounts,
            clock: config.clock,
            market_at: now,
            checkpoint_at: now + CHECKPOINT_EVERY,
            prune_at: now + PRUNE_EVERY,
            listeners: BTreeMap::new(),
            readers: Vec::new(),
            guesses: Guesses::default(),
            faults: Faults::default(),
            held: VecDeque::new(),
            frames: Vec::new(),
            outputs: Vec::new(),
            waiters: Vec::new(),
            user_readers: Vec::new(),
            forced_readers: Vec::new(),
            answers: Vec::new(),
        };
        shell.move_market(now);
        shell.settle(now)?;
        Ok(shell)
    }

    fn run(mut self, inbox: &Receiver<Request>) -> Result<(), ShellError> {
        let ended = self.serve(inbox);
        if let Err(error) = &ended {
            // Without its record the exchange would forget what it told: it must not go on.
            tracing::error!(%error, "embedded exchange stopped");
        }
        ended
    }

    fn serve(&mut self, inbox: &Receiver<Request>) -> Result<(), ShellError> {
        loop {
            let mut next = match inbox.recv_timeout(TICK) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            };
            let now = (self.clock)();
            self.thaw(now);
            self.move_market(now);
            for _ in 0..BATCH_MAX {
                match next {
                    Some(Request::Stop) => {
                        self.settle(now)?;
                        return self.close();
                    }
                    Some(request) => self.serve_one(now, request),
                    None => break,
                }
                next = inbox.try_recv().ok();
            }
            if let Some(request) = next {
                self.serve_one(now, request);
            }
            self.settle(now)?;
        }
    }

    /// One round without a thread.
    fn turn(&mut self, request: Option<Request>) -> Result<(), ShellError> {
        let now = (self.clock)();
        self.thaw(now);
        self.move_market(now);
        if let Some(request) = request {
            self.serve_one(now, request);
        }
        self.settle(now)
    }

    fn serve_one(&mut self, now: Timestamp, request: Request) {
        match request {
            Request::Command { .. } | Request::Call(_) if self.faults.frozen_until.is_some() => self.held.push_back(request),
            Request::Command { account, command, reply } => self.command(now, account, &command, reply),
            Request::Listen { account, listener } => {
                self.listeners.insert(account, listener);
            }
            Request::Market { symbols, sender } => self.readers.push(Reader { symbols, sender }),
            // An answer that nobody waits for any more is nobody's loss.
            Request::Depth { symbol, limit, reply } => drop(reply.send(self.depth(symbol, limit))),
            Request::Candles { symbol, interval, limit, reply } => drop(reply.send(self.source.candles(symbol, interval, limit))),
            Request::Open { account, setup } => {
                if self.exchange.open_account(account, setup) {
                    self.accounts.push(account);
                }
            }
            Request::Inject(fault) => self.inject(now, fault),
            Request::Call(call) => {
                let record = self.record.as_ref();
                let answer = call(&mut Desk { exchange: &mut self.exchange, now, outputs: &mut self.outputs, record });
                self.answers.push(answer);
            }
            Request::Forced { sender } => self.forced_readers.push(sender),
            Request::Users { accounts, sender } => self.user_readers.push(UserReader { accounts, sender }),
            Request::Stop => {}
        }
    }

    fn depth(&self, symbol: Symbol, limit: usize) -> Option<DepthSnapshot> {
        if let Some(book) = self.source.book(symbol, limit).or_else(|| self.guesses.book(symbol)) {
            return Some(book);
        }
        let (last_id, bids, asks) = self.exchange.book(self.exchange.symbol_index(symbol)?, limit)?;
        Some(DepthSnapshot { last_id, bids, asks })
    }

    fn inject(&mut self, now: Timestamp, fault: Fault) {
        match fault {
            Fault::DropEvents(count) => self.faults.drop_events = self.faults.drop_events.saturating_add(count),
            Fault::RejectNext(code) => self.faults.reject_next = Some(code),
            Fault::UnknownOutcomeNext => self.faults.unknown_next = true,
            Fault::Freeze(duration) => self.faults.frozen_until = Some(now + duration),
            Fault::RefuseCancels(on) => self.faults.refuse_cancels = on,
        }
    }

    /// Ends a freeze whose time is over, and answers what came meanwhile.
    fn thaw(&mut self, now: Timestamp) {
        if self.faults.frozen_until.is_some_and(|until| until <= now) {
            self.faults.frozen_until = None;
            for request in std::mem::take(&mut self.held) {
                self.serve_one(now, request);
            }
        }
    }

    fn command(&mut self, now: Timestamp, account: AccountId, command: &VenueCommand, reply: Option<oneshot::Sender<Vec<VenueEvent>>>) {
        let from = self.outputs.len();
        match self.faults.refusal(command, now) {
            Some(event) => self.outputs.push(ExchangeOutput { account, event }),
            None => {
                self.exchange.command(now, account, command, &mut self.outputs);
                self.faults.lose_answer(command, &mut self.outputs[from..]);
            }
        }
        self.add_old_trades(command, from);
        if let Some(reply) = reply {
            self.waiters.push(Waiter { reply, account, outputs: from..self.outputs.len() });
        }
    }

    /// A snapshot that asks for trades which the engine has let go gets them from the record.
    fn add_old_trades(&mut self, command: &VenueCommand, from: usize) {
        let (VenueCommand::Snapshot { trades }, Some(record)) = (command, &self.record) else { return };
        for output in &mut self.outputs[from..] {
            let VenueEvent::SnapshotIs(snapshot) = &mut output.event else { continue };
            let before = snapshot.trades.first().map_or(u64::MAX, |fill| fill.trade_id);
            match record.trades_before(output.account, before, trades) {
                Ok(older) => {
                    let mut fills: Vec<_> = older.into_iter().map(|trade| trade.fill).collect();
                    fills.append(&mut snapshot.trades);
                    snapshot.trades = fills;
                }
                Err(error) => {
                    output.event = VenueEvent::CommandFailed { command: "snapshot".to_owned(), why: error.to_string() };
                }
            }
        }
    }

    /// Brings the market up to `now`.
    fn move_market(&mut self, now: Timestamp) {
        if self.faults.frozen_until.is_some() {
            return;
        }
        let now = now.min(self.market_at + POLL_MAX);
        self.market_at = self.market_at.max(now);
        let mut frames = std::mem::take(&mut self.frames);
        self.source.poll(now, &mut frames);
        for frame in frames.drain(..) {
            if let Some(symbol) = self.exchange.symbol_index(frame.symbol) {
                self.exchange.market(frame.venue_time, symbol, frame.borrowed().event, &mut self.outputs);
                let guess = self.guess(symbol, &frame);
                self.publish(frame);
                guess.into_iter().flatten().for_each(|frame| self.publish(frame));
                continue;
            }
            self.publish(frame);
        }
        self.frames = frames;
        self.exchange.tick(now, &mut self.outputs);
    }

    /// What the engine goes by, where the market shows no quotes of its own.
    fn guess(&mut self, symbol: usize, frame: &MarketFrame) -> Option<[MarketFrame; 2]> {
        if !matches!(frame.event, MarketEvent::Trade(_) | MarketEvent::Candle(_)) {
            return None;
        }
        let touch = self.exchange.guessed_touch(symbol)?;
        let chained = self.exchange.instrument(symbol)?.kind == InstrumentKind::Perpetual;
        self.guesses.follow(frame.symbol, chained, frame.venue_time, touch)
    }

    fn publish(&mut self, frame: MarketFrame) {
        // A snapshot is fetched, never streamed.
        if matches!(frame.event, MarketEvent::Snapshot(_)) || !self.readers.iter().any(|reader| reader.symbols.contains(&frame.symbol)) {
            return;
        }
        let frame = Arc::new(frame);
        self.readers.retain(|reader| !reader.symbols.contains(&frame.symbol) || reader.sender.try_send(Arc::clone(&frame)).is_ok());
    }

    /// Makes the batch durable, then tells it.
    fn settle(&mut self, now: Timestamp) -> Result<(), ShellError> {
        if let Some(record) = &mut self.record {
            record.commit(&self.exchange.drain_changes())?;
            if now >= self.checkpoint_at {
                self.checkpoint_at = now + CHECKPOINT_EVERY;
                record.checkpoint(&self.exchange.market_rows(), &self.exchange.resting_rows())?;
            }
            if now >= self.prune_at {
                self.prune_at = now + PRUNE_EVERY;
                record.prune(&self.accounts)?;
            }
        }
        self.answer_waiters();
        // The answer to a request before what happened because of it, as far as one thread can say.
        self.answers.drain(..).for_each(|answer| answer());
        self.tell_users();
        self.tell_forced();
        for output in std::mem::take(&mut self.outputs) {
            self.tell(output);
        }
        Ok(())
    }

    /// Gives each waiting caller its own answer; questions are answered to nobody else.
    fn answer_waiters(&mut self) {
        let mut answered = Vec::new();
        for waiter in std::mem::take(&mut self.waiters) {
            let own = self.outputs[waiter.outputs.clone()].iter().filter(|output| output.account == waiter.account);
            let events = own.map(|output| output.event.clone()).collect();
            answered.extend(waiter.outputs.filter(|index| is_answer(&self.outputs[*index].event)));
            drop(waiter.reply.send(events));
        }
        for index in answered.into_iter().rev() {
            self.outputs.remove(index);
        }
    }

    fn tell_forced(&mut self) {
        for forced in self.exchange.drain_forced_orders() {
            self.forced_readers.retain(|reader| reader.try_send(forced).is_ok());
        }
    }

    fn tell_users(&mut self) {
        for report in self.exchange.drain_reports() {
            let report = Arc::new(report);
            // One that does not keep up is cut: what it missed it would not know of.
            self.user_readers.retain(|reader| {
                !reader.sender.is_closed() && (!reader.hears(report.account) || reader.sender.try_send(Arc::clone(&report)).is_ok())
            });
        }
    }

    fn tell(&mut self, output: ExchangeOutput) {
        if self.faults.drop_events > 0 {
            self.faults.drop_events -= 1;
            return;
        }
        if self.listeners.get(&output.account).is_some_and(|listener| !listener.tell(output.event)) {
            self.listeners.remove(&output.account);
        }
    }

    /// The last word on disk.
    fn close(&mut self) -> Result<(), ShellError> {
        if let Some(record) = &mut self.record {
            record.checkpoint(&self.exchange.market_rows(), &self.exchange.resting_rows())?;
        }
        Ok(())
    }
}

impl Faults {
    /// The answer of an exchange that refuses on purpose.
    fn refusal(&mut self, command: &VenueCommand, now: Timestamp) -> Option<VenueEvent> {
        const MESSAGE: &str = "Internal error; unable to process your request. Please try again.";
        match command {
            VenueCommand::Place(order) => {
                let (client_order_id, message) = (order.client_order_id, "refused by an injected fault".to_owned());
                self.reject_next.take().map(|code| VenueEvent::Rejected { client_order_id, code, message, at: now })
            }
            VenueCommand::Cancel { client_order_id, .. } if self.refuse_cancels => {
                let client_order_id = *client_order_id;
                Some(VenueEvent::CancelRefused { client_order_id, code: -1001, message: MESSAGE.to_owned() })
            }
            VenueCommand::CancelAll { .. } if self.refuse_cancels => {
                Some(VenueEvent::CommandFailed { command: "cancel all".to_owned(), why: format!("-1001 {MESSAGE}") })
            }
            _ => None,
        }
    }

    /// Turns the answer to a new order into silence, if that is injected. The order stands all the same.
    fn lose_answer(&mut self, command: &VenueCommand, outputs: &mut [ExchangeOutput]) {
        if let (VenueCommand::Place(order), true) = (command, self.unknown_next)
            && let Some(output) = outputs.first_mut()
        {
            self.unknown_next = false;
            output.event = VenueEvent::OutcomeUnknown {
                client_order_id: order.client_order_id,
                why: "-1007 Timeout waiting for response from backend server (an injected fault)".to_owned(),
            };
        }
    }
}

/// Whether an event only answers whoever asked, and says nothing about an order's life.
fn is_answer(event: &VenueEvent) -> bool {
    matches!(
        event,
        VenueEvent::OrderIs { .. } | VenueEvent::SnapshotIs(_) | VenueEvent::CommandFailed { .. } | VenueEvent::CancelRefused { .. }
    )
}
