//! Who listens to what, and the way of a text to all of them: written once for each stream, shared by everybody who asked for it.
//! It never waits for a client: one whose queue is full is cut.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::names::Topic;
use super::tape::Sink;
use crate::domain::ids::Symbol;

/// Texts that a client may be behind by: some ten seconds of the default market. Who is further behind trades on the past.
const BACKLOG_MAX: usize = 4_096;
/// The same in bytes: diffs of a whole book are large. Texts are shared, so this is the most that one client alone can hold.
const BACKLOG_BYTES_MAX: usize = 4 << 20;
/// Most frames are smaller, so that the text grows once at most.
const USUAL_BYTES: usize = 256;

/// How a client wants its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// `{"stream":…,"data":…}`
    Combined,
    /// The data alone.
    Raw,
}

/// Why a client was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutReason {
    /// It did not take its frames.
    TooSlow,
    /// We lost frames ourselves; nobody's stream is whole.
    MarketLost,
    /// Somebody asked for it.
    OnPurpose,
}

/// The sending end of a client.
#[derive(Debug, Clone)]
struct Client {
    id: u64,
    texts: mpsc::Sender<Utf8Bytes>,
    link: Arc<Link>,
}

/// What both ends of a client share.
#[derive(Debug)]
struct Link {
    cut: CancellationToken,
    reason: OnceLock<CutReason>,
    backlog_bytes: AtomicUsize,
    combined: AtomicBool,
    /// It listens to an account, or has.
    private: AtomicBool,
}

/// What is still to go wrong on purpose, so and so often: with one symbol, or with whichever comes first.
#[derive(Debug, Default)]
pub(super) struct Owed(BTreeMap<Option<Symbol>, u32>);

/// One name of a stream that somebody listens to.
struct Channel {
    name: String,
    raw: Vec<Client>,
    combined: Vec<Client>,
}

/// All channels of one product.
#[derive(Default)]
pub(super) struct Hub {
    channels: HashMap<Topic, Vec<Channel>>,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    /// Nothing is sent: sockets stay open and dead.
    pub(super) silent: bool,
    /// Texts that still come by half.
    pub(super) corrupt: Owed,
}

/// A way to send one client frames of a stream that is nobody else's, such as an account's events.
#[derive(Debug, Clone)]
pub struct Outlet {
    client: Arc<dyn Taker>,
    name: String,
}

/// Whoever takes the frames of an outlet: a client of the hub's, or of whoever carries frames himself.
pub trait Taker: std::fmt::Debug + Send + Sync {
    /// Takes a text without waiting. Says whether it is still there.
    fn take(&self, text: &Utf8Bytes) -> bool;

    fn wrapping(&self) -> Wrapping;

    /// Ends the connection.
    fn cut(&self);
}

/// The account that a stream's name stands for, where it stands for one: what serves listen keys on a market's socket.
pub trait PrivateStreams: Send + Sync + 'static {
    /// Joins the client to the private stream of that name, until what is given back is dropped (UNSUBSCRIBE, the socket's end).
    /// `events` are the types of event that it wants; none named are all. `None` where there is no such stream: then nothing
    /// ever comes on it.
    fn join(&self, name: &str, events: &[String], outlet: Outlet) -> Option<Box<dyn Any + Send>>;
}

/// The receiving end of a client: its frames, and the word that it was cut. Dropping it leaves the hub.
pub(super) struct Subscription {
    shared: Arc<Shared>,
    client: Client,
    texts: mpsc::Receiver<Utf8Bytes>,
    names: BTreeMap<String, Heard>,
}

/// What a name of a client's brings it.
enum Heard {
    Stream(Topic),
    Private { _joined: Box<dyn Any + Send> },
    Nothing,
}

impl Sink for Hub {
    fn send(&mut self, topic: Topic, write: impl FnOnce(&mut String)) {
        if self.silent {
            return;
        }
        let Some(named) = self.channels.get_mut(&topic) else { return };
        let mut text = String::with_capacity(USUAL_BYTES);
        write(&mut text);
        if text.is_empty() {
            return;
        }
        if self.corrupt.take(topic.symbol) {
            // Half of it: a text of ASCII may be cut anywhere.
            text.truncate(text.floor_char_boundary(text.len() / 2));
        }
        let raw = Utf8Bytes::from(text);
        for channel in named {
            channel.raw.retain(|client| client.offer(&raw));
            if !channel.combined.is_empty() {
                let text = wrapped(&channel.name, &raw);
                channel.combined.retain(|client| client.offer(&text));
            }
        }
    }
}

fn wrapped(name: &str, data: &str) -> Utf8Bytes {
    const AROUND: usize = r#"{"stream":"","data":}"#.len();
    let mut text = String::with_capacity(AROUND + name.len() + data.len());
    for part in ["{\"stream\":\"", name, "\",\"data\":", data, "}"] {
        text.push_str(part);
    }
    text.into()
}

impl Owed {
    pub(super) fn add(&mut self, symbol: Option<Symbol>, count: u32) {
        if count > 0 {
            let owed = self.0.entry(symbol).or_default();
            *owed = owed.saturating_add(count);
        }
    }

    /// Uses one up, if the symbol is owed one. Invariant: who is in the map is owed one at least.
    pub(super) fn take(&mut self, symbol: Option<Symbol>) -> bool {
        let key = if self.0.contains_key(&symbol) { symbol } else { None };
        let Some(owed) = self.0.get_mut(&key) else { return false };
        *owed -= 1;
        if *owed == 0 {
            self.0.remove(&key);
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Hub {
    pub(super) fn cut_all(&mut self, reason: CutReason) {
        self.clients.values().for_each(|client| client.link.cut(reason));
    }

    /// Cuts who listens to the market, and who to nothing; not who hears an account and nothing else.
    pub(super) fn cut_public(&mut self) {
        let of = |channel: &Channel| channel.raw.iter().chain(&channel.combined).map(|client| client.id).collect::<Vec<_>>();
        let heard: BTreeSet<u64> = self.channels.values().flatten().flat_map(of).collect();
        let meant = |client: &&Client| !client.is_private() || heard.contains(&client.id);
        self.clients.values().filter(meant).for_each(|client| client.link.cut(CutReason::OnPurpose));
    }

    /// Cuts who listens to an account.
    pub(super) fn cut_private(&mut self) {
        self.clients.values().filter(|client| client.is_private()).for_each(|client| client.link.cut(CutReason::OnPurpose));
    }

    /// Tells every client something that is on no stream of its choice.
    pub(super) fn tell_all(&self, name: &str, data: &str) {
        let (raw, combined) = (Utf8Bytes::from(data), wrapped(name, data));
        for client in self.clients.values() {
            client.offer(if client.link.combined.load(Ordering::Relaxed) { &combined } else { &raw });
        }
    }

    fn join(&mut self, ending: &CancellationToken, wrapping: Wrapping) -> (Client, mpsc::Receiver<Utf8Bytes>) {
        let (texts, receiver) = mpsc::channel(BACKLOG_MAX);
        let link = Link {
            cut: ending.child_token(),
            reason: OnceLock::new(),
            backlog_bytes: AtomicUsize::new(0),
            combined: AtomicBool::new(wrapping == Wrapping::Combined),
            private: AtomicBool::new(false),
        };
        let client = Client { id: self.next_client, texts, link: Arc::new(link) };
        self.next_client += 1;
        self.clients.insert(client.id, client.clone());
        (client, receiver)
    }

    /// Says whether nobody listened to the topic before.
    fn add(&mut self, topic: Topic, name: &str, client: &Client) -> bool {
        let channels = self.channels.entry(topic).or_default();
        let new = channels.is_empty();
        let at = channels.iter().position(|channel| channel.name == name).unwrap_or_else(|| {
            channels.push(Channel { name: name.to_owned(), raw: Vec::new(), combined: Vec::new() });
            channels.len() - 1
        });
        let combined = client.link.combined.load(Ordering::Relaxed);
        if combined { &mut channels[at].combined } else { &mut channels[at].raw }.push(client.clone());
        new
    }

    /// Says whether nobody listens to the topic any more.
    fn remove(&mut self, topic: Topic, name: &str, client: u64) -> bool {
        let Some(channels) = self.channels.get_mut(&topic) else { return false };
        for channel in channels.iter_mut().filter(|channel| channel.name == name) {
            channel.raw.retain(|other| other.id != client);
            channel.combined.retain(|other| other.id != client);
        }
        channels.retain(|channel| !channel.raw.is_empty() || !channel.combined.is_empty());
        let empty = channels.is_empty();
        if empty {
            self.channels.remove(&topic);
        }
        empty
    }
}

impl Client {
    fn is_private(&self) -> bool {
        self.link.private.load(Ordering::Relaxed)
    }

    /// Says whether the client is still one.
    fn offer(&self, text: &Utf8Bytes) -> bool {
        if self.link.cut.is_cancelled() {
            return false;
        }
        let bytes = self.link.backlog_bytes.fetch_add(text.len(), Ordering::Relaxed) + text.len();
        // A text that finds an empty queue always passes, however large.
        if bytes > BACKLOG_BYTES_MAX.max(text.len()) || self.texts.try_send(text.clone()).is_err() {
            self.link.cut(CutReason::TooSlow);
            return false;
        }
        true
    }
}

impl Link {
    fn cut(&self, reason: CutReason) {
        // The first reason is the true one.
        let _ = self.reason.set(reason);
        self.cut.cancel();
    }
}

impl Taker for Client {
    fn take(&self, text: &Utf8Bytes) -> bool {
        self.offer(text)
    }

    fn wrapping(&self) -> Wrapping {
        if self.link.combined.load(Ordering::Relaxed) { Wrapping::Combined } else { Wrapping::Raw }
    }

    fn cut(&self) {
        self.link.cut(CutReason::OnPurpose);
    }
}

impl Outlet {
    /// The way to a client under the stream's name.
    #[must_use]
    pub fn to(client: Arc<dyn Taker>, name: String) -> Self {
        Self { client, name }
    }

    /// Sends the data of one event, in the client's own wrapping. Says whether the client is still one; its queue has the bound
    /// that all have.
    #[must_use]
    pub fn send(&self, data: &str) -> bool {
        self.client.take(&match self.wrapping() {
            Wrapping::Combined => wrapped(&self.name, data),
            Wrapping::Raw => Utf8Bytes::from(data),
        })
    }

    /// How the client wants its frames now.
    #[must_use]
    pub fn wrapping(&self) -> Wrapping {
        self.client.wrapping()
    }

    /// Ends the client's connection.
    pub fn cut(&self) {
        self.client.cut();
    }
}

impl Subscription {
    pub(super) fn new(shared: &Arc<Shared>, wrapping: Wrapping) -> Self {
        let (client, texts) = shared.state().hub.join(&shared.ending, wrapping);
        Self { shared: Arc::clone(shared), client, texts, names: BTreeMap::new() }
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &String> {
        self.names.keys()
    }

    /// How many there would be with these.
    pub(super) fn count_with(&self, names: &[String]) -> usize {
        let new: BTreeSet<&String> = names.iter().filter(|name| !self.names.contains_key(*name)).collect();
        self.names.len() + new.len()
    }

    /// Listens to a stream from now on; to one that it has, no second time.
    pub(super) fn add(&mut self, name: &str, topic: Option<Topic>, events: &[String]) {
        if self.names.contains_key(name) {
            return;
        }
        let heard = match topic {
            Some(topic) => {
                let mut state = self.shared.state();
                if state.hub.add(topic, name, &self.client) {
                    state.tape.want(topic);
                }
                Heard::Stream(topic)
            }
            None => {
                let outlet = Outlet { client: Arc::new(self.client.clone()), name: name.to_owned() };
                match self.shared.private.as_ref().and_then(|private| private.join(name, events, outlet)) {
                    Some(joined) => {
                        self.client.link.private.store(true, Ordering::Relaxed);
                        Heard::Private { _joined: joined }
                    }
                    None => Heard::Nothing,
                }
            }
        };
        self.names.insert(name.to_owned(), heard);
    }

    /// Lists a name that nothing comes on.
    pub(super) fn add_silent(&mut self, name: &str) {
        self.names.entry(name.to_owned()).or_insert(Heard::Nothing);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(Heard::Stream(topic)) = self.names.remove(name) {
            self.shared.state().leave(topic, name, self.client.id);
        }
    }

    pub(super) fn wrapping(&self) -> Wrapping {
        if self.client.link.combined.load(Ordering::Relaxed) { Wrapping::Combined } else { Wrapping::Raw }
    }

    pub(super) fn wrap(&mut self, wrapping: Wrapping) {
        self.client.link.combined.store(wrapping == Wrapping::Combined, Ordering::Relaxed);
        let mut state = self.shared.state();
        for (name, heard) in &self.names {
            if let Heard::Stream(topic) = heard {
                state.hub.remove(*topic, name, self.client.id);
                state.hub.add(*topic, name, &self.client);
            }
        }
    }

    /// Moves what waits into `batch`, at most `max` texts, waiting for the first.
    pub(super) async fn take(&mut self, batch: &mut Vec<Utf8Bytes>, max: usize) {
        if self.texts.recv_many(batch, max).await == 0 {
            // Nobody sends any more, which only happens to who was cut: that word is on its way.
            self.client.link.cut.cancelled().await;
        }
        let bytes = batch.iter().map(|text| text.len()).sum();
        self.client.link.backlog_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What waits now.
    pub(super) fn take_waiting(&mut self, batch: &mut Vec<Utf8Bytes>) {
        while let Ok(text) = self.texts.try_recv() {
            batch.push(text);
        }
    }

    pub(super) fn cut(&self) -> CancellationToken {
        self.client.link.cut.clone()
    }

    /// Why it was cut; `None` when the server ends.
    pub(super) fn cut_reason(&self) -> Option<CutReason> {
        self.client.link.reason.get().copied()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.hub.clients.remove(&self.client.id);
        for (name, heard) in &self.names {
            if let Heard::Stream(topic) = heard {
                state.leave(*topic, name, self.client.id);
            }
        }
    }
}

impl super::State {
    fn leave(&mut self, topic: Topic, name: &str, client: u64) {
        if self.hub.remove(topic, name, client) {
            self.tape.unwant(topic);
        }
    }
}
