//! The user events of all accounts on their way to the sockets: one subscription at the engine, told to whoever listens to an
//! account, with what the faults make of it. An ear that does not take an event is cut, and all are when the engine has cut us,
//! since a stream with a hole must end.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::domain::ids::AccountId;
use crate::exchange::core::report::{UserEvent, UserReport};
use crate::exchange::shell::ExchangeStopped;

use super::faults::{EventFate, Sockets};
use super::venue::Venue;

/// Events that a socket may be behind by: all orders of a busy account cancelled at once, several times over.
const BACKLOG_MAX: usize = 4_096;

/// An event that is to come after the next one of its account comes by itself after so long: where nothing follows, it is late and
/// not lost.
const SWAP_MAX: Duration = Duration::from_secs(2);

/// What a listener hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Report(Arc<UserReport>),
    /// A fault: bytes that are no event.
    Corrupt,
    /// A fault: an event of a kind that does not exist.
    Unknown,
}

/// Somebody who listens to an account.
pub trait Ear: Send + Sync {
    /// Takes an event at once, without waiting; `false` when it cannot, and then hears no more.
    fn hear(&self, heard: &Heard) -> bool;

    /// Events were lost before they came here: the stream must end.
    fn deafen(&self);
}

type Ears = HashMap<AccountId, Vec<(u64, Arc<dyn Ear>)>>;

/// Who listens to whom.
#[derive(Default)]
pub struct UserHub {
    ears: Arc<Mutex<Ears>>,
    next: AtomicU64,
}

/// A place among the listeners; dropping it leaves.
pub struct UserTicket {
    id: u64,
    account: AccountId,
    ears: Arc<Mutex<Ears>>,
}

/// Held for one event, never across an await; a panic while it was held leaves whole entries only.
fn lock(ears: &Mutex<Ears>) -> MutexGuard<'_, Ears> {
    ears.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UserHub {
    /// Listens from now on.
    #[must_use]
    pub fn join(&self, account: AccountId, ear: Arc<dyn Ear>) -> UserTicket {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.ears).entry(account).or_default().push((id, ear));
        UserTicket { id, account, ears: Arc::clone(&self.ears) }
    }

    fn tell(&self, account: AccountId, heard: &Heard) {
        if let Some(ears) = lock(&self.ears).get_mut(&account) {
            ears.retain(|(_, ear)| ear.hear(heard));
        }
    }

    fn cut_all(&self) {
        let all = std::mem::take(&mut *lock(&self.ears));
        all.into_values().flatten().for_each(|(_, ear)| ear.deafen());
    }

    /// Carries one event as it is, for whoever steps the exchange by hand.
    pub fn report(&self, report: &Arc<UserReport>) {
        self.tell(report.account, &Heard::Report(Arc::clone(report)));
    }

    /// Carries events until the engine is gone.
    pub(super) async fn run(venue: &Arc<Venue>) -> ExchangeStopped {
        let hub = venue.users();
        let mut held = Held::default();
        loop {
            let Ok(mut reports) = venue.exchange().subscribe_users(Vec::new()) else { return ExchangeStopped };
            loop {
                let due = held.next_due();
                tokio::select! {
                    report = reports.recv() => match report {
                        Some(report) => hub.carry(venue, &mut held, report),
                        None => break,
                    },
                    () = until(due) => held.take_due(|report| hub.tell(report.account, &Heard::Report(report))),
                }
            }
            tracing::warn!("user streams fell behind the exchange: all their sockets are cut");
            hub.cut_all();
        }
    }

    /// One event, with what the faults do to it.
    fn carry(&self, venue: &Venue, held: &mut Held, report: Arc<UserReport>) {
        let account = report.account;
        if venue.product().is_spot() && begins_to_fill(&report) {
            venue.limits().give_back(venue.true_now(), account, 1);
        }
        // USD-M's user streams share their sockets with the market's, which go on.
        if !venue.product().is_spot() && venue.faults().is_zombie(venue.true_now(), Sockets::User, Some(account)) {
            return;
        }
        let heard = Heard::Report(Arc::clone(&report));
        match venue.faults().event(venue.true_now(), account) {
            EventFate::Pass => self.tell(account, &heard),
            EventFate::Drop => {}
            EventFate::Duplicate => {
                self.tell(account, &heard);
                self.tell(account, &heard);
            }
            EventFate::Corrupt => self.tell(account, &Heard::Corrupt),
            EventFate::Unknown => {
                self.tell(account, &Heard::Unknown);
                self.tell(account, &heard);
            }
            EventFate::Delay(delay) => return held.push(report, Instant::now() + delay),
            EventFate::Swap => return held.swap(report, Instant::now() + SWAP_MAX),
        }
        // What was to come after this one comes now.
        for late in held.take_swapped(account) {
            self.tell(account, &Heard::Report(late));
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Spot counts orders that nobody has traded with yet.
fn begins_to_fill(report: &UserReport) -> bool {
    match &report.event {
        UserEvent::Order { order, trade: Some(trade), .. } => order.order.filled == trade.fill.quantity,
        _ => false,
    }
}

/// Events that faults hold back.
#[derive(Debug, Default)]
struct Held {
    /// The earliest first.
    delayed: VecDeque<(Instant, Arc<UserReport>)>,
    /// The earliest first.
    swapped: VecDeque<(Instant, Arc<UserReport>)>,
}

impl Held {
    fn push(&mut self, report: Arc<UserReport>, due: Instant) {
        let at = self.delayed.partition_point(|(other, _)| *other <= due);
        self.delayed.insert(at, (due, report));
    }

    /// All wait for the same time, so that they stand in order.
    fn swap(&mut self, report: Arc<UserReport>, due: Instant) {
        self.swapped.push_back((due, report));
    }

    fn take_swapped(&mut self, account: AccountId) -> Vec<Arc<UserReport>> {
        let all = std::mem::take(&mut self.swapped);
        let (now, later): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(|(_, report)| report.account == account);
        self.swapped = later;
        now.into_iter().map(|(_, report)| report).collect()
    }

    fn next_due(&self) -> Option<Instant> {
        [&self.delayed, &self.swapped].into_iter().filter_map(|held| held.front().map(|(due, _)| *due)).min()
    }

    fn take_due(&mut self, mut take: impl FnMut(Arc<UserReport>)) {
        let now = Instant::now();
        for held in [&mut self.delayed, &mut self.swapped] {
            while let Some((_, report)) = held.pop_front_if(|(due, _)| *due <= now) {
                take(report);
            }
        }
    }
}

impl UserTicket {
    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }
}

impl Drop for UserTicket {
    fn drop(&mut self) {
        if let Some(ears) = lock(&self.ears).get_mut(&self.account) {
            ears.retain(|(id, _)| *id != self.id);
        }
    }
}

/// A bounded queue for one socket that listens to any number of accounts.
pub struct UserQueue {
    sender: mpsc::Sender<(u32, Heard)>,
    receiver: mpsc::Receiver<(u32, Heard)>,
    cut: CancellationToken,
}

struct QueueEar {
    tag: u32,
    sender: mpsc::Sender<(u32, Heard)>,
    cut: CancellationToken,
}

impl Ear for QueueEar {
    fn hear(&self, heard: &Heard) -> bool {
        let taken = self.sender.try_send((self.tag, heard.clone())).is_ok();
        if !taken {
            self.cut.cancel();
        }
        taken
    }

    fn deafen(&self) {
        self.cut.cancel();
    }
}

impl Default for UserQueue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG_MAX);
        Self { sender, receiver, cut: CancellationToken::new() }
    }
}

impl UserQueue {
    /// Events of this account come with `tag` from now on.
    #[must_use]
    pub fn listen(&self, hub: &UserHub, account: AccountId, tag: u32) -> UserTicket {
        let ear = QueueEar { tag, sender: self.sender.clone(), cut: self.cut.clone() };
        hub.join(account, Arc::new(ear))
    }

    /// The next event; `None` when some were lost. Can be dropped and called again without losing any.
    pub async fn next(&mut self) -> Option<(u32, Heard)> {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => None,
            heard = self.receiver.recv() => heard,
        }
    }

    /// One that is there already.
    pub fn try_next(&mut self) -> Option<(u32, Heard)> {
        self.receiver.try_recv().ok()
    }
}
