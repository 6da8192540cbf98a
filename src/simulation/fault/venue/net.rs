//! The way between the daemon's adapter and the venue, in virtual time: connections, sockets and timers as the adapter's `Network`
//! has them, and one queue of everything that is on its way, by due time. What a fault does to a request or a frame it asks
//! `faults`; it serves nothing and reads no answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::super::{Class, Random};
use super::door::{Head, RequestKind};
use super::faults::{Fate, Faults, FrameFate};
use super::slot::Slot;
use super::{VenueFact, VenueWord};
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::order::NewOrder;
use crate::domain::time::Timestamp;
use crate::exchange::stream;
use crate::venues::binance::trading::lane::{LaneError, Origin, Reply};
use crate::venues::binance::trading::network::{Frames, Line, Network, Text};

/// One way of a request, an answer or a frame, where nothing is wrong: the same city to the next continent.
const LATENCY_US: (u64, u64) = (300, 25_000);
/// A request without an answer is given up, as by the adapter's own lane.
const ANSWER_MAX: Duration = Duration::from_secs(12);

pub type LineAnswer = Result<Reply, LaneError>;

/// A request on its way.
pub struct Sent {
    pub account: Option<AccountId>,
    pub kind: RequestKind,
    pub id: Option<ClientOrderId>,
    pub bytes: Vec<u8>,
    pub fate: Fate,
    pub answer: Slot<LineAnswer>,
}

/// Something that happens at its time.
pub enum Due {
    Wake(Slot<()>),
    Arrive(Box<Sent>),
    Answer(Slot<LineAnswer>, LineAnswer),
    /// Somebody asks for a socket at this address.
    Knock(String, Slot<Result<Box<dyn Frames>, String>>),
    Socket(Slot<Result<Box<dyn Frames>, String>>, Result<Box<dyn Frames>, String>),
    Frame(u64, String),
    /// The venue closes a socket.
    Close(u64, String),
    Word(VenueWord),
    Market,
    /// The market's stream is there again.
    MarketBack,
    /// A symbol's rules are what they were.
    Relist(Symbol),
    /// A person takes an order back.
    HandCancels(AccountId, Symbol, ClientOrderId),
}

/// What both ends of a socket share.
#[derive(Default)]
struct Pipe {
    texts: VecDeque<Result<Text, String>>,
    ended: bool,
    /// The daemon's end is gone.
    dropped: bool,
    waker: Option<Waker>,
}

/// A socket as the venue has it.
pub struct SocketSide {
    pub account: Option<AccountId>,
    pipe: Arc<Mutex<Pipe>>,
    /// Connected and silent from here on.
    pub deaf: bool,
    /// When its newest frame arrives: frames keep their order.
    newest: Timestamp,
    /// The place among the listeners.
    pub place: Option<Box<dyn std::any::Any + Send>>,
}

pub struct State {
    pub now: Timestamp,
    serial: u64,
    due: BTreeMap<(Timestamp, u64), Due>,
    pub sockets: BTreeMap<u64, SocketSide>,
    pub faults: Faults,
    random: Random,
    /// Whose requests bear which key.
    pub keys: BTreeMap<String, AccountId>,
    /// Orders that were handed to the adapter, by name.
    pub orders: BTreeMap<ClientOrderId, NewOrder>,
    pub facts: Vec<VenueFact>,
    /// The daemon has been told until when nobody is listened to.
    pub told_to_wait: Option<Timestamp>,
    /// New sockets are refused until then.
    pub shut: BTreeMap<AccountId, Timestamp>,
}

#[derive(Clone)]
pub struct Net(Arc<Mutex<State>>);

impl Net {
    pub fn new(start: Timestamp, random: &Random) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: start,
            serial: 0,
            due: BTreeMap::new(),
            sockets: BTreeMap::new(),
            faults: Faults::new(random.split("faults")),
            random: random.split("latency"),
            keys: BTreeMap::new(),
            orders: BTreeMap::new(),
            facts: Vec::new(),
            told_to_wait: None,
            shut: BTreeMap::new(),
        })))
    }

    /// Held for one step, and never while a future of the adapter is polled.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A socket that the venue has taken, and the daemon's end of it.
    pub fn socket(&self, account: Option<AccountId>) -> (u64, Box<dyn Frames>) {
        let mut state = self.state();
        let pipe = Arc::new(Mutex::new(Pipe::default()));
        let id = state.number();
        let now = state.now;
        let side = SocketSide { account, pipe: Arc::clone(&pipe), deaf: false, newest: now, place: None };
        state.sockets.insert(id, side);
        (id, Box::new(SimSocket { pipe }))
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub fn put(&mut self, at: Timestamp, due: Due) {
        let number = self.number();
        self.due.insert((at, number), due);
    }

    pub fn after(&mut self, wait: Duration, due: Due) {
        self.put(self.now + wait, due);
    }

    pub fn latency(&mut self) -> Duration {
        Duration::from_micros(self.random.between(LATENCY_US.0, LATENCY_US.1))
    }

    /// When something happens next. Timers that nobody waits for are forgotten here.
    pub fn next_due(&mut self) -> Option<Timestamp> {
        while let Some(first) = self.due.first_entry() {
            if !matches!(first.get(), Due::Wake(slot) if slot.is_abandoned()) {
                return Some(first.key().0);
            }
            first.remove();
        }
        None
    }

    pub fn take_due(&mut self, now: Timestamp) -> Option<(Timestamp, Due)> {
        let due = self.next_due().filter(|due| *due <= now)?;
        self.due.pop_first().map(|(_, what)| (due, what))
    }

    /// What was on its way to a daemon that is gone: words, frames and answers. Requests that left still arrive.
    pub fn forget_daemon(&mut self) {
        let stays = |due: &Due| matches!(due, Due::Arrive(_) | Due::Market | Due::Relist(_) | Due::HandCancels(..));
        self.due.retain(|_, due| stays(due));
        self.sockets.clear();
        self.told_to_wait = None;
    }

    /// An answer reaches the daemon.
    pub fn answered(&mut self, slot: &Slot<LineAnswer>, answer: LineAnswer) {
        if slot.is_abandoned() {
            return;
        }
        if let Ok(reply) = &answer
            && matches!(reply.status, 418 | 429)
            && let Some(seconds) = reply.used.retry_after.filter(|_| !reply.body.windows(6).any(|word| word == b"-1015,"))
        {
            let until = self.now + Duration::from_secs(seconds);
            self.told_to_wait = self.told_to_wait.max(Some(until));
        }
        slot.put(answer);
    }

    /// A request's bytes leave the machine.
    fn leave(&mut self, bytes: &[u8], answer: Slot<LineAnswer>) {
        if let Some(until) = self.told_to_wait.filter(|until| self.now < *until) {
            self.facts.push(VenueFact::Pestered { until });
        }
        let head = Head::of(bytes);
        let account = head.key.and_then(|key| self.keys.get(key)).copied();
        let (kind, id) = (head.kind(), head.order_id());
        if let (RequestKind::Place, Some(account), Some(order)) = (kind, account, id.and_then(|id| self.orders.get(&id))) {
            self.facts.push(VenueFact::Left { account, order: order.clone() });
        }
        let fate = self.faults.of_request(self.now, account, kind);
        let give_up = fate.hang_up.unwrap_or(ANSWER_MAX);
        if !fate.is_answered() {
            let why =
                if fate.hang_up.is_some() { "the connection broke off".to_owned() } else { format!("no answer within {ANSWER_MAX:?}") };
            self.after(give_up, Due::Answer(answer.clone(), Err(LaneError::Lost(why))));
        }
        if let (RequestKind::Place, Some(account), Some(id), true) = (kind, account, id, fate.there.is_none() || fate.held_back) {
            self.facts.push(VenueFact::Lost { account, id });
        }
        if let Some(longer) = fate.there {
            let at = self.now + self.latency() + longer;
            self.put(at, Due::Arrive(Box::new(Sent { account, kind, id, bytes: bytes.to_vec(), fate, answer })));
        }
    }

    /// A text leaves the venue on a socket.
    pub fn tell(&mut self, socket: u64, text: &str) {
        let now = self.now;
        let latency = self.latency();
        let Some(side) = self.sockets.get_mut(&socket) else { return };
        if side.deaf {
            return self.faults.fire(Class::F12Zombie);
        }
        let fate = self.faults.of_frame(now, side.account);
        let in_order = (now + latency).max(side.newest);
        let (at, text) = match fate {
            FrameFate::Late(wait) => (now + latency + wait, text.to_owned()),
            FrameFate::Corrupt => (in_order, text.chars().take(text.len() / 2).collect()),
            FrameFate::Unknown | FrameFate::Twice | FrameFate::Pass => (in_order, text.to_owned()),
        };
        if !matches!(fate, FrameFate::Late(_)) {
            side.newest = at;
        }
        if fate == FrameFate::Unknown {
            let millis = now.as_millis();
            self.put(at, Due::Frame(socket, format!(r#"{{"e":"SOMETHING_NEW","E":{millis},"T":{millis},"x":{{}}}}"#)));
        }
        if fate == FrameFate::Twice {
            let again = at + Duration::from_millis(self.random.between(0, 800));
            self.put(again, Due::Frame(socket, text.clone()));
        }
        self.put(at, Due::Frame(socket, text));
    }

    /// A text or an end arrives at the daemon.
    pub fn deliver(&mut self, socket: u64, text: Result<String, String>) {
        let ends = text.is_err();
        let Some(side) = self.sockets.get(&socket) else { return };
        let mut pipe = lock(&side.pipe);
        if pipe.dropped {
            drop(pipe);
            self.sockets.remove(&socket);
            return;
        }
        pipe.texts.push_back(text.map(Text::from));
        pipe.ended |= ends;
        let waker = pipe.waker.take();
        drop(pipe);
        if ends {
            self.sockets.remove(&socket);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The venue ends these sockets; nothing more is told on them.
    pub fn cut(&mut self, account: Option<AccountId>, why: &str) -> bool {
        let cut: Vec<u64> = self.live(account).collect();
        for id in &cut {
            if let Some(side) = self.sockets.get_mut(id) {
                (side.place, side.account) = (None, None);
            }
            let latency = self.latency();
            self.after(latency, Due::Close(*id, why.to_owned()));
        }
        !cut.is_empty()
    }

    /// Sockets that the daemon listens on, of one account or of all.
    pub fn live(&self, account: Option<AccountId>) -> impl Iterator<Item = u64> {
        let of = move |side: &SocketSide| side.account.is_some() && (account.is_none() || side.account == account);
        self.sockets.iter().filter(move |(_, side)| of(side) && !lock(&side.pipe).dropped).map(|(id, _)| *id)
    }

    /// Whether what befalls the account now is told to anybody.
    pub fn is_heard(&self, account: AccountId) -> bool {
        self.live(Some(account)).next().is_some()
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The daemon's end of a socket.
struct SimSocket {
    pipe: Arc<Mutex<Pipe>>,
}

impl Frames for SimSocket {
    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Text, String>>> {
        let mut pipe = lock(&self.pipe);
        if let Some(text) = pipe.texts.pop_front() {
            return Poll::Ready(Some(text));
        }
        if pipe.ended {
            return Poll::Ready(None);
        }
        pipe.waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn send(&mut self, _: String) -> BoxFuture<'_, Result<(), String>> {
        // USD-M's sockets are only heard.
        ready(Err("nothing is asked on this socket".to_owned())).boxed()
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        lock(&self.pipe).dropped = true;
    }
}

/// One connection for requests.
struct SimLine {
    net: Net,
    answer: Option<Slot<LineAnswer>>,
    alive: bool,
}

impl Line for SimLine {
    fn is_usable(&mut self) -> bool {
        self.alive
    }

    fn is_alive(&self) -> bool {
        self.alive
    }

    fn send<'a>(&'a mut self, request: &'a [u8]) -> BoxFuture<'a, Result<(), LaneError>> {
        async move {
            self.alive = false;
            let slot = Slot::new();
            self.answer = Some(slot.clone());
            self.net.state().leave(request, slot);
            Ok(())
        }
        .boxed()
    }

    fn receive(&mut self) -> BoxFuture<'_, LineAnswer> {
        async move {
            let Some(answer) = self.answer.take() else { return Err(LaneError::NotSent("nothing was asked".to_owned())) };
            let answer = answer.await;
            self.alive = answer.is_ok();
            answer
        }
        .boxed()
    }
}

impl Network for Net {
    fn line(&self, _: &Origin) -> BoxFuture<'static, Result<Box<dyn Line>, LaneError>> {
        let net = self.clone();
        async move {
            let handshake = net.state().latency() * 2;
            net.sleep(handshake).await;
            Ok(Box::new(SimLine { net, answer: None, alive: true }) as Box<dyn Line>)
        }
        .boxed()
    }

    fn socket(&self, url: &str) -> BoxFuture<'static, Result<Box<dyn Frames>, String>> {
        let (slot, mut state) = (Slot::new(), self.state());
        let latency = state.latency();
        state.after(latency, Due::Knock(url.to_owned(), slot.clone()));
        slot.boxed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        if time.is_zero() {
            return ready(()).boxed();
        }
        let slot = Slot::new();
        self.state().after(time, Due::Wake(slot.clone()));
        slot.boxed()
    }
}

/// Takes what the venue tells on one socket.
#[derive(Clone)]
pub struct Ear {
    pub net: Net,
    pub socket: u64,
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ear").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl stream::Taker for Ear {
    fn take(&self, text: &stream::Text) -> bool {
        let mut state = self.net.state();
        state.tell(self.socket, text);
        state.sockets.contains_key(&self.socket)
    }

    fn wrapping(&self) -> stream::Wrapping {
        stream::Wrapping::Raw
    }

    fn cut(&self) {
        let mut state = self.net.state();
        let latency = state.latency();
        state.after(latency, Due::Close(self.socket, "the venue closed the user stream".to_owned()));
    }
}
