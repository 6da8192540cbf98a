//! An account's connection as one stream of words: it carries out the executor's commands over HTTP, hears the user stream, and puts
//! both into one order. It lives in the task that listens; dropped, everything of it ends. What it decides, machines beside it
//! decide; nothing here blocks or is spawned.
//!
//! A snapshot is an account's past by the time it arrives. What the stream tells while one is on its way is held back and told
//! behind it (F05): trades that are in both are told apart by their ids.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{AbortHandle, BoxFuture, abortable};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::account::Account;
use super::caller::CLOCK_EVERY;
use super::orders::{Done, perform};
use super::setup::{self, LOOK_AGAIN_UNASKED, LOOK_AGAIN_WRONG, NotReady, Standing};
use super::socket::{Kept, UserSocket, keep_listen_key};
use super::user_stream::{Effect, Input, Receipt, SocketId, UserStream};
use super::weight::Purpose;
use crate::domain::order::{TradesWanted, VenueCommand, VenueEvent};
use crate::domain::time::Timestamp;
use crate::venues::binance::codec::events::{Frame, UserEvent, read_frame};
use crate::venues::binance::codec::product;
use crate::venues::binance::codec::translate::Told;
use crate::venues::port::Heard;

/// Between two looks at what is due. No time that begins meanwhile is shorter, so that each is met when it is over; and a clock that
/// was set is noticed as soon.
const LOOK_MAX: Duration = Duration::from_millis(250);
const LOOK_MIN: Duration = Duration::from_millis(1);
/// Words about an order that nobody knows wait so long for the word that explains them.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(1);
/// What is held back behind a snapshot is not held for longer: the snapshot is void then. A snapshot is six questions one behind the
/// other as a rule, which at a venue on the other side of the earth take two seconds.
const HELD_MIN: Duration = Duration::from_secs(5);
/// At a venue that has become slow, twice as long as before, up to this: fills may not be kept back for longer.
const HELD_MAX: Duration = Duration::from_secs(20);
/// Trades this much older than the socket may have been told before it was there.
const SOCKET_MARGIN: Duration = Duration::from_secs(2);

/// Connections opened before they are needed: an entry and its stop and target leave together.
const LANES_WARM: usize = 3;

/// What was begun here and is done.
enum Finished {
    Command(Done),
    Snapshot(Done),
    Socket {
        id: SocketId,
        socket: Result<Box<UserSocket>, String>,
    },
    Kept(Kept),
    Prepared(Result<(), NotReady>),
    /// Nothing to tell.
    Quiet,
}

struct Socket {
    id: SocketId,
    socket: Box<UserSocket>,
}

/// The snapshot that is on its way, and what is held back behind it.
struct Holding {
    wanted: TradesWanted,
    began: Timestamp,
    until: Timestamp,
    events: VecDeque<VenueEvent>,
    /// Given up, it asks for nothing more: its weight is the next one's.
    asking: AbortHandle,
}

pub struct Link {
    account: Arc<Account>,
    commands: mpsc::UnboundedReceiver<VenueCommand>,
    machine: UserStream,
    sockets: Vec<Socket>,
    running: FuturesUnordered<BoxFuture<'static, Finished>>,
    out: VecDeque<Heard>,
    /// One at a time: a second one beside it would ask the same, and a venue that is slow would be asked ever more.
    holding: Option<Holding>,
    /// Asked for while one was on its way.
    next_snapshot: Option<TradesWanted>,
    /// How long a snapshot may take.
    patience: Duration,
    /// The executor has had no snapshot since the stream was opened: whichever comes is the one that it waits for.
    is_new: bool,
    /// When the current socket was there, by the venue's clock.
    heard_since: Timestamp,
    unexplained_since: Option<Timestamp>,
    clock_due: Timestamp,
    /// When the account is looked at again; `None` while it is, and once it is as it must be.
    prepare_due: Option<Timestamp>,
    /// The stream is open, and the account is still being looked at.
    opened: bool,
    beat: BoxFuture<'static, ()>,
    effects: Vec<Effect>,
}

impl Link {
    #[must_use]
    pub fn new(account: Arc<Account>, commands: mpsc::UnboundedReceiver<VenueCommand>) -> Self {
        let able = account.host().product.capabilities();
        let keeps_key = matches!(able.user_stream, product::UserStream::ListenKey { .. });
        let beat = account.host().network.sleep(Duration::ZERO);
        let mut link = Self {
            machine: UserStream::new(keeps_key),
            sockets: Vec::new(),
            running: FuturesUnordered::new(),
            out: VecDeque::new(),
            holding: None,
            next_snapshot: None,
            patience: HELD_MIN,
            is_new: true,
            heard_since: Timestamp::ZERO,
            unexplained_since: None,
            clock_due: Timestamp::ZERO,
            prepare_due: None,
            opened: false,
            beat,
            effects: Vec::new(),
            account,
            commands,
        };
        link.start();
        link
    }

    /// The clock is asked before anything is signed by it; the socket opens meanwhile with what our own says.
    fn start(&mut self) {
        self.measure_clock();
        if self.account.standing() != Standing::Good {
            self.prepare();
        }
        let now = self.account.now();
        self.machine.start(now, &mut self.effects);
        self.carry();
    }

    /// The next word. `None` when the account listens anew.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(heard) = self.out.pop_front() {
                return Some(heard);
            }
            let (sockets, running) = (&mut self.sockets, &mut self.running);
            tokio::select! {
                biased;
                command = self.commands.recv() => self.begin(command?),
                Some(finished) = running.next(), if !running.is_empty() => self.finished(finished),
                (id, text) = next_frame(sockets), if !sockets.is_empty() => self.frame(id, text),
                () = &mut self.beat => self.tick(),
            }
        }
    }

    fn begin(&mut self, command: VenueCommand) {
        let account = Arc::clone(&self.account);
        if let VenueCommand::Snapshot { trades } = command {
            return self.want_snapshot(trades);
        }
        self.running.push(Box::pin(async move { Finished::Command(perform(&account, &account.trading, Purpose::Order, command).await) }));
    }

    fn want_snapshot(&mut self, wanted: TradesWanted) {
        let Some(holding) = &self.holding else { return self.take_snapshot(wanted) };
        if self.is_new && holding.wanted == wanted {
            return;
        }
        let next = self.next_snapshot.get_or_insert_default();
        for (symbol, from) in wanted {
            let earliest = next.entry(symbol).or_insert(from);
            *earliest = from.min(*earliest);
        }
    }

    fn take_snapshot(&mut self, wanted: TradesWanted) {
        let (account, trades) = (Arc::clone(&self.account), wanted.clone());
        let command = VenueCommand::Snapshot { trades };
        let taking = async move { perform(&account, &account.trading, Purpose::Account, command).await };
        let (taking, asking) = abortable(taking);
        let began = self.account.now();
        self.holding = Some(Holding { wanted, began, until: began + self.patience, events: VecDeque::new(), asking });
        self.running.push(Box::pin(async move { taking.await.map_or(Finished::Quiet, Finished::Snapshot) }));
    }

    fn take_next_snapshot(&mut self) {
        if let Some(wanted) = self.next_snapshot.take() {
            self.take_snapshot(wanted);
        }
    }

    fn finished(&mut self, finished: Finished) {
        match finished {
            Finished::Command(done) => self.command_done(done),
            Finished::Snapshot(done) => self.snapshot_done(done),
            Finished::Socket { id, socket: Ok(socket) } => {
                self.sockets.push(Socket { id, socket });
                self.heard_since = self.account.host().venue_time();
                self.input(Input::Opened(id));
            }
            Finished::Socket { id, socket: Err(why) } => self.input(Input::Lost(id, why)),
            Finished::Kept(Kept::Yes) => self.input(Input::KeyKept),
            Finished::Kept(Kept::No) => self.input(Input::KeyNotKept),
            Finished::Kept(Kept::Gone) => self.input(Input::KeyExpired),
            Finished::Prepared(prepared) => self.prepared(prepared),
            Finished::Quiet => {}
        }
    }

    /// Looks whether the account is as it must be, and makes it so.
    fn prepare(&mut self) {
        self.prepare_due = None;
        let account = Arc::clone(&self.account);
        self.running.push(Box::pin(async move { Finished::Prepared(setup::prepare(&account).await) }));
    }

    /// The account hears that its stream is open when the first look is over, whatever it found: what is open already is looked
    /// after in any case.
    fn prepared(&mut self, prepared: Result<(), NotReady>) {
        let again = |after| Some(self.account.now() + after);
        let standing = match prepared {
            Ok(()) => Standing::Good,
            Err(NotReady::Wrong(why)) => {
                self.prepare_due = again(LOOK_AGAIN_WRONG);
                self.out.push_back(Heard::Event(VenueEvent::Barred { why: why.clone() }));
                Standing::Barred(why)
            }
            Err(NotReady::Unasked(why)) => {
                self.prepare_due = again(LOOK_AGAIN_UNASKED);
                Standing::Barred(format!("what it is allowed could not be asked: {why}"))
            }
        };
        self.account.set_standing(standing);
        if std::mem::take(&mut self.opened) {
            self.out.push_back(Heard::Opened);
        }
    }

    fn command_done(&mut self, done: Done) {
        for receipt in done.owed {
            self.input(Input::Owes(receipt));
        }
        self.out.extend(done.events.into_iter().map(Heard::Event));
    }

    fn snapshot_done(&mut self, done: Done) {
        let is_shown = done.events.iter().any(|event| matches!(event, VenueEvent::SnapshotIs(_)));
        if let Some(holding) = self.holding.as_ref().filter(|_| is_shown) {
            let took = self.account.now().since(holding.began);
            self.patience = (took * 2).clamp(HELD_MIN, HELD_MAX);
        }
        self.is_new &= !is_shown;
        self.owe_trades(&done.events);
        self.out.extend(done.events.into_iter().map(Heard::Event));
        self.let_go();
        self.take_next_snapshot();
    }

    /// The stream must have told what traded while it was there.
    fn owe_trades(&mut self, events: &[VenueEvent]) {
        let since = self.heard_since + SOCKET_MARGIN;
        let snapshots = events.iter().filter_map(|event| if let VenueEvent::SnapshotIs(snapshot) = event { Some(snapshot) } else { None });
        let trades: Vec<Receipt> = snapshots
            .flat_map(|shown| &shown.trades)
            .filter(|fill| fill.at > since)
            .map(|fill| Receipt::Trade(fill.symbol, fill.trade_id))
            .collect();
        for receipt in trades {
            self.input(Input::Owes(receipt));
        }
    }

    /// What was held back is told. A snapshot that is still on its way is void: events have passed it, and as a look at now it
    /// would be wrong.
    fn let_go(&mut self) {
        if let Some(holding) = self.holding.take() {
            holding.asking.abort();
            self.out.extend(holding.events.into_iter().map(Heard::Event));
        }
    }

    fn frame(&mut self, id: SocketId, text: Option<Result<Utf8Bytes, String>>) {
        let text = match text {
            Some(Ok(text)) => text,
            Some(Err(why)) => return self.lost(id, why),
            None => return self.lost(id, "the user stream ended".to_owned()),
        };
        match read_frame(&text) {
            Ok(Frame::Event { event: UserEvent::ServerShutdown, .. }) => self.input(Input::ShuttingDown(id)),
            Ok(Frame::Event { event, .. }) => self.heard(&event),
            Ok(Frame::Answer(_)) => {}
            // Whatever it was about, the books are to be held against the venue's (F23).
            Err(error) => self.tell(Told::Reconcile(error.to_string())),
        }
    }

    fn lost(&mut self, id: SocketId, why: String) {
        self.sockets.retain(|socket| socket.id != id);
        self.input(Input::Lost(id, why));
    }

    fn heard(&mut self, event: &UserEvent<'_>) {
        for receipt in receipts(event) {
            self.input(Input::Told(receipt));
        }
        let told = self.account.translator().user(event);
        for told in told {
            self.tell(told);
        }
    }

    fn tell(&mut self, told: Told) {
        let event = match told {
            Told::Event(event) => event,
            Told::Reconcile(why) => VenueEvent::LookAgain { why },
            Told::Moved { reason, asset, amount, .. } => {
                self.account.money_moved();
                VenueEvent::LookAgain { why: format!("{reason}: {amount} {asset}") }
            }
            Told::MarginCall(symbols) => {
                let symbols: Vec<String> = symbols.iter().map(ToString::to_string).collect();
                tracing::error!(target: "ringfence::venues", account = %self.account.id, symbols = symbols.join(", "), "margin call: positions are near liquidation");
                return;
            }
            Told::StreamOver(_) => return self.input(Input::KeyExpired),
        };
        match &mut self.holding {
            Some(holding) => holding.events.push_back(event),
            None => self.out.push_back(Heard::Event(event)),
        }
    }

    fn input(&mut self, input: Input) {
        self.machine.on(self.account.now(), input, &mut self.effects);
        self.carry();
    }

    fn carry(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Open(id) => {
                    let account = Arc::clone(&self.account);
                    self.running.push(Box::pin(async move {
                        let socket = UserSocket::open(&account.trading, &account.streams).await.map(Box::new);
                        Finished::Socket { id, socket }
                    }));
                }
                Effect::Close(id) => self.sockets.retain(|socket| socket.id != id),
                Effect::KeepKey => {
                    let account = Arc::clone(&self.account);
                    self.running.push(Box::pin(async move { Finished::Kept(keep_listen_key(&account.trading).await) }));
                }
                Effect::Resync(why) => {
                    tracing::info!(target: "ringfence::venues", account = %self.account.id, why, "user stream open");
                    // A snapshot from before says nothing about the gap.
                    self.let_go();
                    (self.next_snapshot, self.is_new) = (None, true);
                    if self.account.standing() == Standing::Unchecked {
                        self.opened = true;
                    } else {
                        self.out.push_back(Heard::Opened);
                    }
                }
                Effect::Fault(why) => {
                    let command = "user stream".to_owned();
                    self.out.push_back(Heard::Event(VenueEvent::CommandFailed { command, why }));
                }
            }
        }
    }

    fn tick(&mut self) {
        let now = self.account.now();
        self.input(Input::Tick);
        if self.holding.as_ref().is_some_and(|holding| now >= holding.until) {
            self.let_go();
            let why = format!("expected within {:?}, found it still on its way", self.patience);
            self.out.push_back(Heard::Event(VenueEvent::CommandFailed { command: "snapshot".to_owned(), why }));
            self.patience = (self.patience * 2).min(HELD_MAX);
            self.take_next_snapshot();
        }
        if now >= self.clock_due {
            self.measure_clock();
        }
        if self.prepare_due.is_some_and(|due| now >= due) {
            self.prepare();
        }
        self.explain(now);
        self.beat = self.account.host().network.sleep(self.rest(now));
    }

    /// Until something is due.
    fn rest(&self, now: Timestamp) -> Duration {
        let held = self.holding.as_ref().map(|holding| holding.until);
        let unexplained = self.unexplained_since.map(|since| since + EXPLAINED_WITHIN);
        let due = [self.machine.due(), held, unexplained, self.prepare_due].into_iter().flatten().fold(self.clock_due, Timestamp::min);
        due.since(now).clamp(LOOK_MIN, LOOK_MAX)
    }

    fn measure_clock(&mut self) {
        self.clock_due = self.account.now() + CLOCK_EVERY;
        let account = Arc::clone(&self.account);
        self.running.push(Box::pin(async move {
            if let Err(failure) = account.trading.measure_clock().await {
                tracing::warn!(target: "ringfence::venues", account = %account.id, %failure, "the venue's clock could not be read");
            }
            account.trading.keep_warm(LANES_WARM).await;
            Finished::Quiet
        }));
    }

    /// Words that nothing has explained are told as they stand.
    fn explain(&mut self, now: Timestamp) {
        if !self.account.translator().is_holding() {
            self.unexplained_since = None;
            return;
        }
        let since = *self.unexplained_since.get_or_insert(now);
        if now.since(since) >= EXPLAINED_WITHIN {
            self.unexplained_since = None;
            let told = self.account.translator().let_go();
            for told in told {
                self.tell(told);
            }
        }
    }
}

/// The next frame of whichever socket has one.
async fn next_frame(sockets: &mut [Socket]) -> (SocketId, Option<Result<Utf8Bytes, String>>) {
    std::future::poll_fn(|context| {
        for Socket { id, socket } in sockets.iter_mut() {
            if let Poll::Ready(text) = pin!(socket.next()).poll(context) {
                return Poll::Ready((*id, text));
            }
        }
        Poll::Pending
    })
    .await
}

/// What an event is the receipt of.
fn receipts(event: &UserEvent<'_>) -> Vec<Receipt> {
    match event {
        UserEvent::SpotOrder(order) => {
            let trade = order.trade_id.0.and_then(|trade| Some(Receipt::Trade(order.symbol.symbol()?, trade)));
            std::iter::once(Receipt::Order(order.order_id)).chain(trade).collect()
        }
        UserEvent::Order(event) => {
            let order = &event.order;
            let trade = order.trade_id.0.filter(|trade| *trade > 0).and_then(|trade| Some(Receipt::Trade(order.symbol.symbol()?, trade)));
            std::iter::once(Receipt::Order(order.order_id)).chain(trade).collect()
        }
        UserEvent::Algo(event) => vec![Receipt::Algo(event.order.algo_id)],
        _ => Vec::new(),
    }
}
