//! I12: whoever dies is noticed at once and comes back, or what it served is halted. And the bulkhead: a fault that touches one
//! account alone holds up no other, neither its reconciliation gate nor its orders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::ids::{AccountId, ClientOrderId};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::time::Timestamp;

use super::look::{Invariant, Look};
use super::modes::Modes;
use super::observation::{Observation, Sender};
use super::orders::Orders;

/// From a death to its row or alert.
const ALERTED_WITHIN: Duration = Duration::from_secs(1);
/// From a death to the next start or the halt: a supervisor's longest backoff is 30 s.
const BACK_WITHIN: Duration = Duration::from_secs(40);
/// From an approval to its bytes where nothing is wrong: one commit and the ways between, far below this.
const UNDISTURBED_WITHIN: Duration = Duration::from_millis(500);

/// From an executor's death to the last word that holds the venue's dead-man's switch back: the accounts are looked at each second.
const FED_WITHIN: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
struct Dead {
    since: Timestamp,
    alerted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Children {
    dead: BTreeMap<String, Dead>,
    /// Something that may touch everybody went wrong, or was asked for: nobody is undisturbed any more.
    shared: bool,
    touched: BTreeSet<AccountId>,
    /// Accounts that have been ready once, in this life of the daemon.
    settled_in: BTreeSet<AccountId>,
    approved: BTreeMap<ClientOrderId, (AccountId, Timestamp)>,
}

impl Children {
    /// `orders` and `modes` as they are behind this observation.
    pub(super) fn observe(&mut self, look: &mut Look, orders: &Orders, modes: &Modes, seen: &Observation<'_>) {
        match seen {
            Observation::Fault { on: Some(account), .. } => drop(self.touched.insert(*account)),
            Observation::Fault { on: None, .. } | Observation::HaltAsked { .. } | Observation::ResumeAsked { .. } => self.shared = true,
            Observation::DaemonDied { .. } => {
                // Nobody is left to alert or to restart: the next daemon is who answers.
                self.shared = true;
                self.dead.clear();
                self.approved.clear();
                self.settled_in.clear();
            }
            Observation::ActorDied { name, .. } => {
                look.at(Invariant::I12);
                self.dead.insert((*name).to_owned(), Dead { since: look.now, alerted: false });
            }
            Observation::ActorUp { name, .. } => self.up(look, name),
            Observation::ActorStopped { name } => drop(self.dead.remove(*name)),
            Observation::Alert { about } => {
                if let Some(dead) = self.dead.get_mut(*about) {
                    dead.alerted = true;
                }
            }
            Observation::CountdownLeft(word) if !word.after.is_zero() => self.fed(look, word.account),
            Observation::Executor { account, ready } => self.executor(look, *account, *ready),
            Observation::Refused(refusal) if refusal.control == "reconciliation" && self.is_undisturbed(refusal.account) => {
                let (account, touched) = (refusal.account, &self.touched);
                look.at(Invariant::I12);
                look.broke(Invariant::I12, format!("{account} open, as faults touched {touched:?} alone"), refusal.to_string());
            }
            Observation::Gate { modes } => self.gate(look, modes),
            Observation::Approved { intent, .. } if self.is_undisturbed(intent.account) => {
                self.approved.insert(orders.name(intent), (intent.account, look.now));
            }
            Observation::Left { by: Sender::Executor, order, .. } => drop(self.approved.remove(&order.client_order_id)),
            _ => {}
        }
        self.overdue(look, orders, modes);
    }

    fn is_undisturbed(&self, account: AccountId) -> bool {
        self.is_confined() && !self.touched.contains(&account) && self.settled_in.contains(&account)
    }

    /// Something went wrong, and it can touch these accounts alone.
    fn is_confined(&self) -> bool {
        !self.shared && !self.touched.is_empty()
    }

    fn up(&mut self, look: &mut Look, name: &str) {
        if let Some(dead) = self.dead.remove(name).filter(|dead| !dead.alerted) {
            unheard(look, name, dead);
        }
    }

    fn executor(&mut self, look: &mut Look, account: AccountId, ready: bool) {
        look.at(Invariant::I12);
        if ready {
            self.settled_in.insert(account);
        } else if self.is_undisturbed(account) {
            let touched = &self.touched;
            look.broke(Invariant::I12, format!("{account} open, as faults touched {touched:?} alone"), "it reconciles again");
        }
    }

    /// The venue's dead-man's switch is held back for those alone who look after their orders.
    fn fed(&self, look: &mut Look, account: AccountId) {
        look.at(Invariant::I12);
        let dead = self.dead.get(&format!("executor/{account}"));
        if let Some(dead) = dead.filter(|dead| look.now.since(dead.since) > FED_WITHIN) {
            let found = format!("its countdown is begun anew; its executor is dead since {}", dead.since);
            look.broke(Invariant::I12, format!("{account} left to the venue's own clock"), found);
        }
    }

    fn gate(&self, look: &mut Look, modes: &ModeTable) {
        if self.is_confined() && modes.of(Scope::Global) != Mode::Normal {
            let touched = &self.touched;
            let expected = format!("everything but {touched:?} to go on");
            look.broke(Invariant::I12, expected, format!("global {}", modes.of(Scope::Global)));
        }
    }

    fn overdue(&mut self, look: &mut Look, orders: &Orders, modes: &Modes) {
        let now = look.now;
        for (name, dead) in &mut self.dead {
            if !dead.alerted && now.since(dead.since) > ALERTED_WITHIN {
                unheard(look, name, *dead);
                dead.alerted = true;
            }
        }
        self.dead.retain(|name, dead| {
            if now.since(dead.since) <= BACK_WITHIN {
                return true;
            }
            let scope = served_by(name);
            look.at(Invariant::I12);
            if modes.mode(scope).max(modes.mode(Scope::Global)) != Mode::Halted {
                let found = format!("neither since {}", dead.since);
                look.broke(Invariant::I12, format!("{name} up again or {scope} halted"), found);
            }
            false
        });
        if self.shared {
            self.approved.clear();
        }
        let touched = &self.touched;
        self.approved.retain(|id, (account, since)| {
            let waits = orders.get(*id).is_some_and(|known| known.waits_to_leave());
            let late = waits && !touched.contains(account) && now.since(*since) > UNDISTURBED_WITHIN;
            if late {
                let found = format!("{id} waits since {since}");
                look.broke(Invariant::I12, format!("orders of {account} undelayed, as faults touched {touched:?} alone"), found);
            }
            waits && !late && !touched.contains(account)
        });
    }
}

fn unheard(look: &mut Look, name: &str, dead: Dead) {
    look.at(Invariant::I12);
    look.broke(Invariant::I12, format!("a row or an alert about {name}, which died at {}", dead.since), "none");
}

/// What stands still without that child.
fn served_by(child: &str) -> Scope {
    let child = child.strip_prefix("guard/").unwrap_or(child);
    let scope = match child.split_once('/') {
        Some(("executor" | "stream", account)) => account.parse().ok().map(Scope::Account),
        Some(("strategy", strategy)) => strategy.parse().ok().map(Scope::Strategy),
        Some(("market", symbol)) => symbol.parse().ok().map(Scope::Symbol),
        _ => None,
    };
    scope.unwrap_or(Scope::Global)
}
