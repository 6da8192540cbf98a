//! The halt gate: one atomic word per account and one for everything, read at the last instruction before an order's bytes
//! leave. Closing it needs no mailbox, no lock and no disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use arc_swap::ArcSwap;

use crate::domain::ids::AccountId;
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};

#[derive(Debug, Default)]
struct Inner {
    /// Closed for everything, from the first word of a halt until the kill switch has decided.
    slammed: AtomicBool,
    global: AtomicU8,
    accounts: ArcSwap<HashMap<AccountId, Arc<AtomicU8>>>,
}

/// Cheap to clone; all clones are one gate.
#[derive(Debug, Clone, Default)]
pub struct HaltGate(Arc<Inner>);

/// One account's way through the gate: two atomic reads.
#[derive(Debug, Clone)]
pub struct Passage {
    gate: HaltGate,
    account: Arc<AtomicU8>,
}

impl HaltGate {
    /// Closes for everything at once; whoever calls it tells the kill switch next, which decides what stays closed.
    pub fn slam(&self) {
        self.0.slammed.store(true, Ordering::SeqCst);
    }

    /// Sets what the kill switch decided.
    pub fn set(&self, modes: &ModeTable) {
        self.0.global.store(level(modes.of(Scope::Global)), Ordering::SeqCst);
        for (account, word) in self.0.accounts.load().iter() {
            word.store(level(modes.account(*account)), Ordering::SeqCst);
        }
        self.0.slammed.store(false, Ordering::SeqCst);
    }

    /// The passage of an account; one that is new starts as strict as everything is.
    #[must_use]
    pub fn passage(&self, account: AccountId, modes: &ModeTable) -> Passage {
        self.0.accounts.rcu(|accounts| {
            let mut accounts = HashMap::clone(accounts);
            accounts.entry(account).or_insert_with(|| Arc::new(AtomicU8::new(level(modes.account(account)))));
            accounts
        });
        let word = self.0.accounts.load().get(&account).map_or_else(|| Arc::new(AtomicU8::new(level(Mode::Halted))), Arc::clone);
        Passage { gate: self.clone(), account: word }
    }
}

impl Passage {
    /// Whether an order may leave right now; one that only reduces may leave in ReduceOnly too.
    #[must_use]
    pub fn is_open(&self, reduce_only: bool) -> bool {
        let strictest = self.account.load(Ordering::SeqCst).max(self.gate.0.global.load(Ordering::SeqCst));
        let allowed = if reduce_only { level(Mode::ReduceOnly) } else { level(Mode::Normal) };
        strictest <= allowed && !self.gate.0.slammed.load(Ordering::SeqCst)
    }
}

const fn level(mode: Mode) -> u8 {
    mode as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_slammed_gate_lets_nothing_pass_until_the_kill_switch_has_decided() {
        let gate = HaltGate::default();
        let [a, b] = ["a", "b"].map(|name| AccountId::new(name).unwrap());
        let passages = [a, b].map(|account| gate.passage(account, &ModeTable::default()));
        assert!(passages.iter().all(|passage| passage.is_open(false)));
        gate.slam();
        assert!(passages.iter().all(|passage| !passage.is_open(true)));
        let mut modes = ModeTable::default();
        modes.set(Scope::Account(a), Mode::ReduceOnly, "t", Timestamp::ZERO);
        gate.set(&modes);
        assert_eq!([passages[0].is_open(false), passages[0].is_open(true), passages[1].is_open(false)], [false, true, true]);
    }
}
