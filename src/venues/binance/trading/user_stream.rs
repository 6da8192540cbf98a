//! The life of an account's user stream. A pure machine: it is told what sockets do and what is heard, and says which socket to
//! open or close, when a key must be kept alive, and when the account has to be held against the venue again (`Resync`). Whatever
//! breaks, the way back is one: a new socket, then everything asked anew. It opens nothing itself.

use crate::domain::mutants::{self, Mutant};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::ids::Symbol;
use crate::domain::time::Timestamp;

/// Venues cut a connection after 24 hours: the next one is open before.
const RENEW_AFTER: Duration = Duration::from_secs(23 * 3_600 + 1_800);
/// For how long two sockets are heard side by side: what was told to the old one has arrived by then.
const OVERLAP: Duration = Duration::from_secs(5);
/// A listen key lives for 60 minutes.
const KEEP_EVERY: Duration = Duration::from_secs(30 * 60);
/// After a try that failed.
const KEEP_AGAIN: Duration = Duration::from_secs(60);
/// What the venue has answered by request it tells by stream within milliseconds; a stream that has not after so long is dead,
/// whatever its pings say (F12).
const OWED_MAX: Duration = Duration::from_secs(5);
/// Between two tries to open a socket; the first one is at once.
const AGAIN: [Duration; 4] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];
/// A socket that is not open by then is given up.
const OPEN_WITHIN: Duration = Duration::from_secs(15);
/// Receipts remembered: at the venues' limit of 30 orders a second, half a minute of them.
const RECEIPTS: usize = 1_024;

/// One of our sockets.
pub type SocketId = u32;

/// Something that the stream must tell: named alike by whoever asked and by the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receipt {
    /// An order by its id at the venue.
    Order(u64),
    /// A conditional order by its id at the venue.
    Algo(u64),
    Trade(Symbol, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Opened(SocketId),
    /// It ended, or could not be opened.
    Lost(SocketId, String),
    Told(Receipt),
    /// A request's answer has something that the stream must tell, too.
    Owes(Receipt),
    /// The key is void while the socket stays open and silent (F06).
    KeyExpired,
    /// The venue goes away soon (F07).
    ShuttingDown(SocketId),
    KeyKept,
    KeyNotKept,
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Open(SocketId),
    Close(SocketId),
    KeepKey,
    /// Something may have been missed.
    Resync(&'static str),
    Fault(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// Another one has taken over.
    Retiring(Timestamp),
}

#[derive(Debug, Clone)]
struct Socket {
    id: SocketId,
    since: Timestamp,
    phase: Phase,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct UserStream {
    sockets: Vec<Socket>,
    next: SocketId,
    /// Tries since something was open, and when the next one is due.
    tries: usize,
    retry_at: Option<Timestamp>,
    /// What is heard next must be preceded by a look at everything.
    missed: Option<&'static str>,
    keeps_key: bool,
    keep_at: Timestamp,
    owed: VecDeque<(Receipt, Timestamp)>,
    told: VecDeque<Receipt>,
    told_set: BTreeSet<Receipt>,
}

impl UserStream {
    /// `keeps_key` where the stream hangs on a listen key.
    #[must_use]
    pub fn new(keeps_key: bool) -> Self {
        Self {
            sockets: Vec::new(),
            next: 1,
            tries: 0,
            retry_at: None,
            missed: Some("opened"),
            keeps_key,
            keep_at: Timestamp::ZERO,
            owed: VecDeque::new(),
            told: VecDeque::new(),
            told_set: BTreeSet::new(),
        }
    }

    pub fn start(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.open(now, out);
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sockets.iter().any(|socket| socket.phase != Phase::Opening)
    }

    /// When `Tick` has something to do at the earliest, as things are now.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        let is = |phase: &Phase| self.sockets.iter().any(|socket| socket.phase == *phase);
        // One is renewed once.
        let renewed = is(&Phase::Opening);
        let of = |socket: &Socket| match socket.phase {
            Phase::Retiring(until) => Some(until),
            Phase::Opening => Some(socket.since + OPEN_WITHIN),
            Phase::Open => (!renewed).then_some(socket.since + RENEW_AFTER),
        };
        let keep = (self.keeps_key && is(&Phase::Open)).then_some(self.keep_at);
        let owed = self.owed.front().map(|(_, until)| *until);
        self.sockets.iter().filter_map(of).chain(self.retry_at).chain(keep).chain(owed).min()
    }

    pub fn on(&mut self, now: Timestamp, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Opened(id) => self.opened(now, id, out),
            Input::Lost(id, why) => self.lost(now, id, why, out),
            Input::Told(receipt) => self.tell(receipt),
            Input::Owes(receipt) => self.owe(now, receipt),
            Input::KeyExpired if mutants::on(Mutant::ExpiredKeyIgnored) => {}
            Input::KeyExpired => self.start_over(now, "the listen key expired", out),
            Input::ShuttingDown(id) if self.is_current(id) => self.renew(now, out),
            Input::ShuttingDown(_) => {}
            Input::KeyKept => self.keep_at = now + KEEP_EVERY,
            Input::KeyNotKept => self.keep_at = now + KEEP_AGAIN,
            Input::Tick => self.tick(now, out),
        }
    }

    fn open(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let id = self.next;
        self.next += 1;
        self.retry_at = None;
        self.sockets.push(Socket { id, since: now, phase: Phase::Opening });
        out.push(Effect::Open(id));
    }

    fn opened(&mut self, now: Timestamp, id: SocketId, out: &mut Vec<Effect>) {
        let Some(place) = self.sockets.iter().position(|socket| socket.id == id) else {
            // It was given up meanwhile.
            return out.push(Effect::Close(id));
        };
        for older in self.sockets.iter_mut().filter(|socket| socket.phase == Phase::Open) {
            older.phase = Phase::Retiring(now + OVERLAP);
        }
        self.sockets[place].phase = Phase::Open;
        self.sockets[place].since = now;
        self.tries = 0;
        self.keep_at = now + KEEP_EVERY;
        if let Some(why) = self.missed.take() {
            self.owed.clear();
            out.push(Effect::Resync(why));
        }
    }

    fn lost(&mut self, now: Timestamp, id: SocketId, why: String, out: &mut Vec<Effect>) {
        let Some(place) = self.sockets.iter().position(|socket| socket.id == id) else { return };
        let gone = self.sockets.remove(place);
        // A socket on its way is heard instead; if none was open meanwhile, something may have been missed. The one that retires may
        // have been the last that was heard: its successor can be lost before it.
        if !self.is_open() && !mutants::on(Mutant::GapNotAskedFor) {
            self.missed.get_or_insert("reconnected");
        }
        if matches!(gone.phase, Phase::Retiring(_)) {
            return;
        }
        out.push(Effect::Fault(why));
        if !self.sockets.iter().any(|socket| matches!(socket.phase, Phase::Opening | Phase::Open)) {
            let wait = AGAIN[self.tries.min(AGAIN.len() - 1)];
            self.tries += 1;
            self.retry_at = Some(now + wait);
            self.retry(now, out);
        }
    }

    fn retry(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.open(now, out);
        }
    }

    fn is_current(&self, id: SocketId) -> bool {
        self.sockets.iter().any(|socket| socket.id == id && socket.phase == Phase::Open)
    }

    /// A second connection before the first is gone.
    fn renew(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if !self.sockets.iter().any(|socket| socket.phase == Phase::Opening) {
            self.open(now, out);
        }
    }

    fn start_over(&mut self, now: Timestamp, why: &'static str, out: &mut Vec<Effect>) {
        for socket in self.sockets.drain(..) {
            out.push(Effect::Close(socket.id));
        }
        self.owed.clear();
        self.missed = Some(why);
        out.push(Effect::Fault(format!("the user stream is opened anew: {why}")));
        self.open(now, out);
    }

    fn tell(&mut self, receipt: Receipt) {
        self.owed.retain(|(owed, _)| *owed != receipt);
        if self.told_set.insert(receipt) {
            self.told.push_back(receipt);
            if self.told.len() > RECEIPTS
                && let Some(oldest) = self.told.pop_front()
            {
                self.told_set.remove(&oldest);
            }
        }
    }

    /// Only what an open stream should have told is owed.
    fn owe(&mut self, now: Timestamp, receipt: Receipt) {
        let known = self.told_set.contains(&receipt) || self.owed.iter().any(|(owed, _)| *owed == receipt);
        if known || !self.is_open() || self.missed.is_some() || self.owed.len() >= RECEIPTS {
            return;
        }
        self.owed.push_back((receipt, now + OWED_MAX));
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        self.retry(now, out);
        let over = |socket: &Socket| match socket.phase {
            Phase::Retiring(until) => now >= until,
            Phase::Opening => now.since(socket.since) >= OPEN_WITHIN,
            Phase::Open => false,
        };
        for id in self.sockets.iter().filter(|socket| over(socket)).map(|socket| socket.id).collect::<Vec<_>>() {
            out.push(Effect::Close(id));
            self.lost(now, id, format!("expected an open socket within {OPEN_WITHIN:?}, found none"), out);
        }
        if self.owed.front().is_some_and(|(_, until)| now >= *until && !mutants::on(Mutant::SilentSocketTrusted)) {
            return self.start_over(now, "it is silent about what the venue has answered", out);
        }
        let open = self.sockets.iter().find(|socket| socket.phase == Phase::Open).map(|socket| socket.since);
        if open.is_some_and(|since| now.since(since) >= RENEW_AFTER) {
            self.renew(now, out);
        }
        if self.keeps_key && !mutants::on(Mutant::KeyNotRenewed) && open.is_some() && now >= self.keep_at {
            self.keep_at = now + KEEP_AGAIN;
            out.push(Effect::KeepKey);
        }
    }
}

#[cfg(test)]
#[path = "user_stream_tests.rs"]
pub(crate) mod tests;
