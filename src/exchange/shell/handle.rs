//! What the rest of the daemon holds of the exchange: a handle to send commands with, streams to hear events and market frames
//! on. A stream that is replaced ends, as a venue's stream does when the same key connects again; what happened while nobody
//! listened is not told again.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::core::margin::ForcedOrder;
use super::super::core::report::{TradeView, UserReport};
use super::super::core::{Exchange, ExchangeOutput};
use super::super::record::{ExchangeRecord, RecordError, TradePage};
use super::{AccountSetup, Shell};
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::order::{TradesFrom, TradesWanted, VenueCommand, VenueEvent};
use crate::domain::time::Timestamp;

/// Frames that a market reader may lag behind: some twenty seconds of the default market. A reader that falls further is cut off
/// and must begin anew with a snapshot.
pub const MARKET_BACKLOG_MAX: usize = 8_192;

/// Liquidations that a listener may lag behind: more than all accounts have positions.
pub const FORCED_BACKLOG_MAX: usize = 1_024;

/// A fault to test with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next events, of any account, are lost on their way.
    DropEvents(u32),
    /// The next new order is refused with this code.
    RejectNext(i32),
    /// The next new order is taken, and its answer is lost: the sender hears that the outcome is unknown.
    UnknownOutcomeNext,
    /// Nothing moves for this long: no command is answered, the market stands still.
    Freeze(Duration),
    /// Cancels fail until it is switched off.
    RefuseCancels(bool),
}

pub(super) enum Request {
    Command { account: AccountId, command: VenueCommand, reply: Option<oneshot::Sender<Vec<VenueEvent>>> },
    Listen { account: AccountId, listener: Listener },
    Market { symbols: Vec<Symbol>, sender: mpsc::Sender<Arc<MarketFrame>> },
    Depth { symbol: Symbol, limit: usize, reply: oneshot::Sender<Option<DepthSnapshot>> },
    Candles { symbol: Symbol, interval: Duration, limit: usize, reply: oneshot::Sender<Vec<Candle>> },
    Open { account: AccountId, setup: AccountSetup },
    Inject(Fault),
    Call(Call),
    Forced { sender: mpsc::Sender<(Symbol, ForcedOrder)> },
    Users { accounts: Vec<AccountId>, sender: mpsc::Sender<Arc<UserReport>> },
    Stop,
}

/// Something to do at the engine, and what to do when it is durable: mostly, to answer.
pub(super) type Call = Box<dyn FnOnce(&mut Desk<'_>) -> Answer + Send>;
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// What a caller works on while it has the engine: nothing else happens meanwhile.
pub struct Desk<'a> {
    pub exchange: &'a mut Exchange,
    pub now: Timestamp,
    /// What accounts are told over the in-process streams; the engine's functions want it.
    pub outputs: &'a mut Vec<ExchangeOutput>,
    /// Trades that the engine has let go.
    pub record: Option<&'a ExchangeRecord>,
}

/// Which trades on a symbol are asked for.
#[derive(Debug, Clone, Copy)]
pub struct TradesAsked {
    pub symbol: Symbol,
    /// Without it the record is not asked.
    pub begins: Option<TradesFrom>,
    pub until: Timestamp,
    /// Of this order alone.
    pub order: Option<u64>,
    pub limit: usize,
    /// The last ones, where there are more than `limit`; else the first.
    pub newest: bool,
}

impl TradesAsked {
    fn meets(&self, trade: &TradeView) -> bool {
        let fill = &trade.fill;
        fill.at <= self.until
            && self.order.is_none_or(|order| fill.venue_order_id == order)
            && self.begins.is_none_or(|begins| begins.reaches(fill))
    }
}

impl Desk<'_> {
    /// An account's trades, oldest first: what the engine has, and before it what only the record has. No more of them is copied
    /// than the answer shows.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn trades(&self, account: AccountId, asked: TradesAsked) -> Result<Vec<TradeView>, RecordError> {
        let TradesAsked { symbol, begins, order, limit, newest, .. } = asked;
        let before = self.exchange.trades(account, symbol).next().map_or(u64::MAX, |trade| trade.fill.trade_id);
        let mut trades = match (self.record, begins) {
            (None, _) | (_, None) => Vec::new(),
            (Some(record), Some(TradesFrom::After(after))) => {
                record.trade_page(account, TradePage { symbol, after, before, order, limit })?
            }
            (Some(record), Some(since)) => record.trades_before(account, before, &TradesWanted::from([(symbol, since)]))?,
        };
        trades.retain(|trade| asked.meets(trade));
        let recent: Vec<&TradeView> = self.exchange.trades(account, symbol).filter(|trade| asked.meets(trade)).collect();
        let skipped = if newest { (trades.len() + recent.len()).saturating_sub(limit) } else { 0 };
        let skipped_recent = skipped.saturating_sub(trades.len());
        trades.drain(..skipped - skipped_recent);
        trades.extend(recent.into_iter().skip(skipped_recent).take(limit.saturating_sub(trades.len())).cloned());
        trades.truncate(limit);
        Ok(trades)
    }
}

/// User reports that a listener may lag behind. The wire's one listener hears all accounts, and a price that sets off an account's two
/// hundred conditional orders makes some sixteen hundred reports of about a kilobyte: this is twenty such accounts. A listener
/// that falls further is cut off, as the venue cuts a slow client.
pub const USER_BACKLOG_MAX: usize = 32_768;

/// The sending end of an account's events.
pub(super) struct Listener {
    sender: mpsc::UnboundedSender<VenueEvent>,
    waiting: Arc<AtomicUsize>,
}

impl Listener {
    /// Says whether anybody heard it.
    pub(super) fn tell(&self, event: VenueEvent) -> bool {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(event).is_ok()
    }
}

/// The events of one account, in order.
#[derive(Debug)]
pub struct EventStream {
    receiver: mpsc::UnboundedReceiver<VenueEvent>,
    waiting: Arc<AtomicUsize>,
}

impl EventStream {
    pub(super) fn pair() -> (Listener, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        (Listener { sender, waiting: Arc::clone(&waiting) }, Self { receiver, waiting })
    }

    /// The next event; `None` when the stream was replaced or the exchange stopped.
    pub async fn next(&mut self) -> Option<VenueEvent> {
        let event = self.receiver.recv().await;
        self.count(event)
    }

    /// `next` for a thread outside of any runtime.
    pub fn blocking_next(&mut self) -> Option<VenueEvent> {
        let event = self.receiver.blocking_recv();
        self.count(event)
    }

    /// How many events wait to be read: a gauge. The stream has no bound of its own, as a venue's has none; what fills it is
    /// bounded by the account's own orders.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The gauge alone, for whoever watches it from elsewhere.
    #[must_use]
    pub fn gauge(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.waiting)
    }

    fn count(&self, event: Option<VenueEvent>) -> Option<VenueEvent> {
        if event.is_some() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        event
    }
}

/// The exchange's thread is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the embedded exchange has stopped; restart the daemon, its log says why it stopped")]
pub struct ExchangeStopped;

/// Where a handle's requests go.
#[derive(Clone)]
pub(super) enum Way {
    /// To the exchange's thread.
    Thread(Sender<Request>),
    /// Nowhere: who asks carries it out, and has the answer when the call returns.
    Inline(Arc<Mutex<Shell>>),
}

/// Speaks to the exchange. Cloning it is cheap.
#[derive(Clone)]
pub struct ExchangeHandle {
    pub(super) way: Way,
}

impl fmt::Debug for ExchangeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inline = matches!(self.way, Way::Inline(_));
        f.debug_struct("ExchangeHandle").field("inline", &inline).finish_non_exhaustive()
    }
}

/// Users' events, for whoever listens beside the wire.
#[derive(Debug)]
pub struct UserReports(mpsc::Receiver<Arc<UserReport>>);

impl UserReports {
    /// The next one that is there already.
    pub fn take(&mut self) -> Option<Arc<UserReport>> {
        self.0.try_recv().ok()
    }
}

/// The market's frames, for whoever looks at them without waiting.
#[derive(Debug)]
pub struct MarketFrames(mpsc::Receiver<Arc<MarketFrame>>);

impl MarketFrames {
    /// The next one that is there already.
    pub fn take(&mut self) -> Option<Arc<MarketFrame>> {
        self.0.try_recv().ok()
    }
}

impl ExchangeHandle {
    /// Sends a command; its answer comes on the account's stream.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), ExchangeStopped> {
        self.post(Request::Command { account, command, reply: None })
    }

    /// Sends a command and waits for what the exchange says about it, whoever listens to the account's stream: orders that
    /// ended are told there too, answers to questions only here.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn request(
        &self,
        account: AccountId,
        command: VenueCommand,
    ) -> impl Future<Output = Result<Vec<VenueEvent>, ExchangeStopped>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        // Posted here and not when the answer is first waited for: of two requests the first one asked for is the first.
        let posted = self.post(Request::Command { account, command, reply: Some(reply) });
        async move {
            posted?;
            answer.await.map_err(|_| ExchangeStopped)
        }
    }

    /// Listens to an account; the stream before this one ends.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn subscribe(&self, account: AccountId) -> Result<EventStream, ExchangeStopped> {
        let (listener, stream) = EventStream::pair();
        self.post(Request::Listen { account, listener })?;
        Ok(stream)
    }

    /// Listens to the market of these symbols. A reader that lags more than `MARKET_BACKLOG_MAX` frames is cut off.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn subscribe_market(&self, symbols: &[Symbol]) -> Result<mpsc::Receiver<Arc<MarketFrame>>, ExchangeStopped> {
        let (sender, receiver) = mpsc::channel(MARKET_BACKLOG_MAX);
        self.post(Request::Market { symbols: symbols.to_vec(), sender })?;
        Ok(receiver)
    }

    /// The book of a symbol, `limit` levels a side; `None` for a symbol that is not listed.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub async fn depth_snapshot(&self, symbol: Symbol, limit: usize) -> Result<Option<DepthSnapshot>, ExchangeStopped> {
        let (reply, answer) = oneshot::channel();
        self.post(Request::Depth { symbol, limit, reply })?;
        answer.await.map_err(|_| ExchangeStopped)
    }

    /// The last closed bars, oldest first.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub async fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> Result<Vec<Candle>, ExchangeStopped> {
        let (reply, answer) = oneshot::channel();
        self.post(Request::Candles { symbol, interval, limit, reply })?;
        answer.await.map_err(|_| ExchangeStopped)
    }

    /// Does something at the engine, on its thread, and answers when what it changed is durable. What was asked for first is
    /// done first, whether or not its answer is waited for.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk<'_>) -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, ExchangeStopped>> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        let call: Call = Box::new(move |desk| {
            let done = work(desk);
            // An answer that nobody waits for any more is nobody's loss.
            Box::new(move || drop(reply.send(done)))
        });
        let posted = self.post(Request::Call(call));
        async move {
            posted?;
            answer.await.map_err(|_| ExchangeStopped)
        }
    }

    /// Listens to the user events of these accounts (of all, where none is named), beside whoever else does. A listener that lags more than
    /// `USER_BACKLOG_MAX` events is cut off.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn subscribe_users(&self, accounts: Vec<AccountId>) -> Result<mpsc::Receiver<Arc<UserReport>>, ExchangeStopped> {
        let (sender, receiver) = mpsc::channel(USER_BACKLOG_MAX);
        self.post(Request::Users { accounts, sender })?;
        Ok(receiver)
    }

    /// Listens to liquidations, of whomever. A listener that lags more than `FORCED_BACKLOG_MAX` of them is cut off.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn subscribe_forced_orders(&self) -> Result<mpsc::Receiver<(Symbol, ForcedOrder)>, ExchangeStopped> {
        let (sender, receiver) = mpsc::channel(FORCED_BACKLOG_MAX);
        self.post(Request::Forced { sender })?;
        Ok(receiver)
    }

    /// # Errors
    /// When the exchange has stopped.
    pub fn inject(&self, fault: Fault) -> Result<(), ExchangeStopped> {
        self.post(Request::Inject(fault))
    }

    /// Opens an account; one that is open already stays as it is.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn open_account(&self, account: AccountId, setup: AccountSetup) -> Result<(), ExchangeStopped> {
        self.post(Request::Open { account, setup })
    }

    /// Listens to all accounts' user events without waiting for them.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn user_reports(&self) -> Result<UserReports, ExchangeStopped> {
        self.subscribe_users(Vec::new()).map(UserReports)
    }

    /// Listens to the market of these symbols without waiting for it.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn market_frames(&self, symbols: &[Symbol]) -> Result<MarketFrames, ExchangeStopped> {
        self.subscribe_market(symbols).map(MarketFrames)
    }

    /// Moves an exchange without a thread on to what its clock says; one with a thread moves by itself.
    ///
    /// # Errors
    /// When the exchange has stopped.
    pub fn turn(&self) -> Result<(), ExchangeStopped> {
        match &self.way {
            Way::Thread(_) => Ok(()),
            Way::Inline(shell) => lock(shell).turn(None).map_err(|_| ExchangeStopped),
        }
    }

    fn post(&self, request: Request) -> Result<(), ExchangeStopped> {
        match &self.way {
            Way::Thread(requests) => requests.send(request).map_err(|_| ExchangeStopped),
            Way::Inline(shell) => lock(shell).turn(Some(request)).map_err(|_| ExchangeStopped),
        }
    }
}

/// Held for one request; a panic while it was held ends the program that steps it.
fn lock(shell: &Mutex<Shell>) -> MutexGuard<'_, Shell> {
    shell.lock().unwrap_or_else(PoisonError::into_inner)
}
