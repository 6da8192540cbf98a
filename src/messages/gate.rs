//! The halt gate: one atomic word per account and one for everything, read at the last instruction before an order's bytes
//! leave. Closing it needs no mailbox, no lock and no disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use arc_swap::ArcSwap;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::mutants::{self, Mutant};
use crate::domain::order::Side;

#[derive(Debug, Default)]
struct Inner {
    /// Closed for everything, from the first word of a halt until the kill switch has halted everything.
    slammed: AtomicBool,
    global: AtomicU8,
    accounts: ArcSwap<HashMap<AccountId, Arc<Word>>>,
}

/// One account's own part of the gate.
#[derive(Debug)]
struct Word {
    mode: AtomicU8,
    /// Orders between their look at the gate and the venue's hands.
    leaving: AtomicU32,
    /// What must not rest while a position of the same owner is being closed against it.
    barred: ArcSwap<Vec<(Symbol, Side)>>,
}

impl Word {
    fn new(account: AccountId, modes: &ModeTable) -> Arc<Self> {
        let (mode, barred) = (AtomicU8::new(level(modes.account(account))), ArcSwap::from_pointee(barred(account, modes)));
        Arc::new(Self { mode, leaving: AtomicU32::new(0), barred })
    }
}

/// Cheap to clone; all clones are one gate.
#[derive(Debug, Clone, Default)]
pub struct HaltGate(Arc<Inner>);

/// One account's way through the gate: two atomic reads.
#[derive(Debug, Clone)]
pub struct Passage {
    gate: HaltGate,
    account: Arc<Word>,
}

/// An order on its way through the gate; keep it until the order's bytes were handed over.
#[derive(Debug)]
pub struct Leaving(Arc<Word>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leaving.fetch_sub(1, Ordering::SeqCst);
    }
}

impl HaltGate {
    /// Closes for everything at once; whoever calls it tells the kill switch next, to halt everything. Should that word be
    /// lost with a kill switch that dies, the gate still is: its successor finds it slammed and takes it for the halt that
    /// it is.
    pub fn slam(&self) {
        self.0.slammed.store(true, Ordering::SeqCst);
    }

    #[must_use]
    pub fn is_slammed(&self) -> bool {
        self.0.slammed.load(Ordering::SeqCst)
    }

    /// Sets what the kill switch decided. A slam is over only with the halt of everything that it announced: a decision
    /// about something else, made meanwhile, must not open the gate again.
    pub fn set(&self, modes: &ModeTable) {
        let global = modes.of(Scope::Global);
        self.0.global.store(level(global), Ordering::SeqCst);
        for (account, word) in self.0.accounts.load().iter() {
            word.mode.store(level(modes.account(*account)), Ordering::SeqCst);
            word.barred.store(Arc::new(barred(*account, modes)));
        }
        if global == Mode::Halted {
            self.0.slammed.store(false, Ordering::SeqCst);
        }
    }

    /// The passage of an account; one that is new starts as strict as everything is.
    #[must_use]
    pub fn passage(&self, account: AccountId, modes: &ModeTable) -> Passage {
        self.0.accounts.rcu(|accounts| {
            let mut accounts = HashMap::clone(accounts);
            accounts.entry(account).or_insert_with(|| Word::new(account, modes));
            accounts
        });
        // Invariant: it was put in right here.
        let word = self.0.accounts.load().get(&account).map_or_else(|| Word::new(account, modes), Arc::clone);
        Passage { gate: self.clone(), account: word }
    }

    /// Whether an order of the account is just leaving. Asked after the gate was closed: once it says no, whatever the venue
    /// shows from then on has every order that will ever have left.
    #[must_use]
    pub fn is_leaving(&self, account: AccountId) -> bool {
        self.0.accounts.load().get(&account).is_some_and(|word| word.leaving.load(Ordering::SeqCst) > 0)
    }
}

impl Passage {
    /// Lets an order through, or not. Counted before the look and until the hand-over is done, so that a halt can tell an
    /// order that is held back from one that slipped through in the same instant.
    /// `rests` is where others could trade with it.
    #[must_use]
    pub fn enter(&self, reduce_only: bool, rests: Option<(Symbol, Side)>) -> Option<Leaving> {
        self.account.leaving.fetch_add(1, Ordering::SeqCst);
        let leaving = Leaving(Arc::clone(&self.account));
        let is_barred = rests.is_some_and(|place| self.account.barred.load().contains(&place));
        (self.is_open(reduce_only) && !is_barred).then_some(leaving)
    }

    /// Whether an order may leave right now; one that only reduces may leave in ReduceOnly too.
    #[must_use]
    pub fn is_open(&self, reduce_only: bool) -> bool {
        let strictest = self.account.mode.load(Ordering::SeqCst).max(self.gate.0.global.load(Ordering::SeqCst));
        let allowed = if reduce_only { level(Mode::ReduceOnly) } else { level(Mode::Normal) };
        let is_open = strictest <= allowed && !self.gate.0.slammed.load(Ordering::SeqCst);
        is_open || mutants::on(Mutant::GateUnread)
    }
}

fn barred(account: AccountId, modes: &ModeTable) -> Vec<(Symbol, Side)> {
    modes.barred().iter().filter(|(held, ..)| *held == account).map(|(_, symbol, side)| (*symbol, *side)).collect()
}

const fn level(mode: Mode) -> u8 {
    mode as u8
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    pub(crate) fn a_slammed_gate_lets_nothing_pass_until_everything_is_halted_and_raised_again() {
        let gate = HaltGate::default();
        let [a, b] = ["a", "b"].map(|name| AccountId::new(name).unwrap());
        let passages = [a, b].map(|account| gate.passage(account, &ModeTable::default()));
        assert!(passages.iter().all(|passage| passage.is_open(false)));
        gate.slam();
        assert!(passages.iter().all(|passage| !passage.is_open(true)));
        let mut modes = ModeTable::default();
        modes.set(Scope::Account(a), Mode::ReduceOnly, "t", Timestamp::ZERO);
        gate.set(&modes);
        assert!(passages.iter().all(|passage| !passage.is_open(true)), "a decision about one account does not answer the slam");
        modes.set(Scope::Global, Mode::Halted, "t", Timestamp::ZERO);
        gate.set(&modes);
        assert!(!gate.is_slammed() && passages.iter().all(|passage| !passage.is_open(true)));
        modes.set(Scope::Global, Mode::Normal, "t", Timestamp::ZERO);
        gate.set(&modes);
        assert_eq!([passages[0].is_open(false), passages[0].is_open(true), passages[1].is_open(false)], [false, true, true]);
    }

    #[test]
    fn what_is_barred_does_not_leave_to_rest_and_everything_else_does() {
        let gate = HaltGate::default();
        let (account, symbol) = (AccountId::new("a").unwrap(), Symbol::new("BTCUSDT").unwrap());
        let passage = gate.passage(account, &ModeTable::default());
        let mut modes = ModeTable::default();
        modes.set_barred([(account, symbol, Side::Buy)].into());
        gate.set(&modes);
        assert!(passage.enter(false, Some((symbol, Side::Buy))).is_none());
        assert!(passage.enter(false, Some((symbol, Side::Sell))).is_some(), "the other side");
        assert!(passage.enter(false, None).is_some(), "it rests nowhere");
        gate.set(&ModeTable::default());
        assert!(passage.enter(false, Some((symbol, Side::Buy))).is_some());
    }

    #[test]
    fn an_order_counts_as_leaving_from_its_look_at_the_gate_until_it_was_handed_over() {
        let gate = HaltGate::default();
        let account = AccountId::new("a").unwrap();
        let passage = gate.passage(account, &ModeTable::default());
        let leaving = passage.enter(false, None).unwrap();
        gate.slam();
        assert!(gate.is_leaving(account), "it slipped through before the slam");
        assert!(passage.enter(true, None).is_none());
        drop(leaving);
        assert!(!gate.is_leaving(account));
    }

    /// Three threads that send without a pause see a slam at once: the budget is 10 ms, the truth is a cache line.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "how soon is wall time")]
    fn a_slam_blocks_new_sends_within_ten_milliseconds() {
        use std::time::{Duration, Instant};
        let gate = HaltGate::default();
        let ready = std::sync::Barrier::new(4);
        let (slammed, last) = std::thread::scope(|scope| {
            let senders = ["a", "b", "c"].map(|name| {
                let passage = gate.passage(AccountId::new(name).unwrap(), &ModeTable::default());
                let ready = &ready;
                scope.spawn(move || {
                    ready.wait();
                    let mut last = Instant::now();
                    loop {
                        // Taken before the look: being preempted behind it is not the gate's delay.
                        let now = Instant::now();
                        if passage.enter(false, None).is_none() {
                            return last;
                        }
                        last = now;
                    }
                })
            });
            ready.wait();
            std::thread::yield_now();
            gate.slam();
            let slammed = Instant::now();
            // A sender that panicked fails the test by itself.
            (slammed, senders.map(|sender| sender.join().unwrap()).into_iter().max().unwrap())
        });
        assert!(last <= slammed + Duration::from_millis(10), "the last send was {:?} after the slam", last - slammed);
    }
}
