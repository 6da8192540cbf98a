//! I4 (nothing that may open leaves outside of Normal) and I11 (a halt that is called done is done, is loud when it is not, outlives
//! the daemon, and ends by a named person alone). Tightening holds from the gate's word on; loosening must be on the disk first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::ids::AccountId;
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::order::{Fill, NewOrder};
use crate::domain::record::Record;
use crate::domain::time::Timestamp;

use super::super::venue::VenueFact;
use super::look::{Invariant, Look};
use super::observation::{Observation, Sender};
use super::orders::{Known, Orders};

/// From a mode of a strategy or a symbol to the executors, which alone know whose order is whose: their tick makes good what a
/// message lost, and that is a second.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// From an operator's halt to the gate. The kill switch acts at once; a dead one is back within its longest backoff.
const HALTED_WITHIN: Duration = Duration::from_secs(10);
/// From a halt to its confirmation or its alarm: eight tries, each twice as late as the one before up to 4 s, are 20 s, and a
/// daemon's clock that a fault slows down makes them longer.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(40);
/// An order that a stranger placed so lately may have come behind the venue's last answer.
const STRANGERS_WITHIN: Duration = Duration::from_secs(5);

/// A scope's mode as the disk has it.
#[derive(Debug, Clone, Copy)]
struct OnDisk {
    mode: Mode,
    at: Timestamp,
    /// The last raise had a name and a reason.
    named: bool,
}

#[derive(Debug, Default)]
pub(super) struct Modes {
    applied: ModeTable,
    /// Since when a scope is as strict as it is at least.
    lowered: BTreeMap<Scope, Timestamp>,
    disk: BTreeMap<Scope, OnDisk>,
    /// Rows of modes that have no answer yet: a restart may find them or not.
    written: Vec<(Scope, Mode)>,
    /// Scopes that the latch file has as halted, and since when.
    latched: BTreeMap<Scope, Timestamp>,
    ready: BTreeSet<AccountId>,
    accounts: Vec<AccountId>,
    /// Halted accounts of which the kill switch owes a word, since when.
    owed: BTreeMap<AccountId, Timestamp>,
    confirmed: BTreeSet<AccountId>,
    /// Halts that were asked for and are not in force yet.
    asked: BTreeMap<Scope, Timestamp>,
    /// Accounts on which a stranger's trade was booked, and when.
    traded: BTreeMap<AccountId, Timestamp>,
    /// Open orders of strangers, and since when.
    strangers: BTreeMap<(AccountId, crate::domain::ids::ClientOrderId), Timestamp>,
}

impl Modes {
    pub(super) fn mode(&self, scope: Scope) -> Mode {
        self.applied.of(scope)
    }

    /// `orders` as they are behind this observation.
    pub(super) fn observe(&mut self, look: &mut Look, orders: &Orders, seen: &Observation<'_>) {
        match seen {
            Observation::Began { holders, .. } => self.accounts = holders.iter().map(|holder| holder.account).collect(),
            Observation::DaemonUp { modes, .. } => self.daemon_up(look, modes),
            Observation::DaemonDied { .. } => {
                self.ready.clear();
                self.owed.clear();
                self.confirmed.clear();
                self.asked.clear();
                self.traded.clear();
            }
            Observation::Booked { fill } if self.holds_back(fill) => {
                self.traded.entry(fill.account).or_insert(look.now);
            }
            Observation::ActorDied { name, .. } => {
                if let Some(account) = name.strip_prefix("executor/").and_then(|name| name.parse().ok()) {
                    self.ready.remove(&account);
                }
            }
            // A new kill switch goes on with what the one before it was at, from the beginning.
            Observation::ActorUp { name: "kill_switch", .. } => self.owed.values_mut().for_each(|since| *since = look.now),
            Observation::Executor { account, ready: true } => drop(self.ready.insert(*account)),
            Observation::Executor { account, ready: false } => drop(self.ready.remove(account)),
            Observation::Written { rows } => self.written.extend(rows.iter().filter_map(mode_of)),
            Observation::Durable { rows } => rows.iter().for_each(|row| self.durable(look, row)),
            Observation::Latched { modes } => self.latched(look.now, modes),
            Observation::Gate { modes } => self.gate(look, modes),
            Observation::HaltAsked { scope, .. } if self.applied.of(*scope) != Mode::Halted => {
                self.asked.entry(*scope).or_insert(look.now);
            }
            Observation::Left { account, by: Sender::Executor, order } => self.left(look, orders, *account, order),
            Observation::Confirmed { account } => self.confirm(look, orders, *account),
            Observation::Unconfirmed { account } => drop(self.owed.remove(account)),
            Observation::Venue(fact) => self.venue(look, orders, fact),
            _ => {}
        }
        self.overdue(look);
    }

    /// A stranger's trade on an account that may still open.
    fn holds_back(&self, fill: &Fill) -> bool {
        !fill.client_order_id.is_ours(fill.account) && self.applied.account(fill.account) < Mode::ReduceOnly
    }

    /// What the disk has of a halt holds from the first moment on.
    fn daemon_up(&mut self, look: &mut Look, modes: &ModeTable) {
        look.at(Invariant::I11);
        let written = std::mem::take(&mut self.written);
        for (scope, on_disk) in &mut self.disk {
            let found = modes.of(*scope);
            if written.iter().any(|(of, mode)| of == scope && *mode <= found) {
                // The row of a raise came to the disk, and its answer to nobody.
                (on_disk.mode, on_disk.at) = (on_disk.mode.min(found), look.now);
            }
            if found < on_disk.mode {
                look.broke(Invariant::I11, format!("{scope} {} behind a restart, as the journal has it", on_disk.mode), found.to_string());
            }
        }
        for (scope, since) in &self.latched {
            let raised = self.disk.get(scope).is_some_and(|on_disk| on_disk.mode < Mode::Halted && on_disk.at >= *since);
            if !raised && modes.of(*scope) != Mode::Halted {
                look.broke(Invariant::I11, format!("{scope} halted behind a restart, as the latch has it"), modes.of(*scope).to_string());
            }
        }
        self.applied = (*modes).clone();
        self.lowered.clear();
        self.owe(look.now);
    }

    /// Every halted account is owed a word, from now on.
    fn owe(&mut self, now: Timestamp) {
        for account in &self.accounts {
            if self.applied.account(*account) != Mode::Halted {
                self.owed.remove(account);
                self.confirmed.remove(account);
            } else if !self.confirmed.contains(account) {
                self.owed.entry(*account).or_insert(now);
            }
        }
    }

    fn durable(&mut self, look: &mut Look, row: &Record) {
        if let Some(at) = mode_of(row).and_then(|mode| self.written.iter().position(|written| *written == mode)) {
            self.written.remove(at);
        }
        let Record::ModeChanged { scope, to, by, reason, .. } = row else { return };
        let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        let before = self.disk.get(scope).map_or(Mode::Normal, |on_disk| on_disk.mode);
        let named = is_given(by) && is_given(reason);
        look.at(Invariant::I11);
        if *to < before && !named {
            let found = format!("{scope} {before} → {to} by {by:?} for {reason:?}");
            look.broke(Invariant::I11, "a named person and a reason behind every raise", found);
        }
        self.disk.insert(*scope, OnDisk { mode: *to, at: look.now, named });
    }

    fn latched(&mut self, now: Timestamp, modes: &ModeTable) {
        let halted: Vec<Scope> = modes.iter().filter(|entry| entry.mode == Mode::Halted).map(|entry| entry.scope).collect();
        self.latched.retain(|scope, _| halted.contains(scope));
        for scope in halted {
            self.latched.entry(scope).or_insert(now);
        }
    }

    fn gate(&mut self, look: &mut Look, modes: &ModeTable) {
        let before = std::mem::replace(&mut self.applied, (*modes).clone());
        for entry in modes.iter().filter(|entry| entry.mode > before.of(entry.scope)) {
            self.lowered.insert(entry.scope, look.now);
        }
        for entry in before.iter().filter(|entry| modes.of(entry.scope) < entry.mode) {
            self.lowered.remove(&entry.scope);
            self.loosened(look, entry.scope, modes.of(entry.scope));
        }
        self.asked.retain(|scope, _| modes.of(*scope) != Mode::Halted);
        self.traded.retain(|account, _| modes.account(*account) < Mode::ReduceOnly);
        self.owe(look.now);
    }

    fn loosened(&self, look: &mut Look, scope: Scope, to: Mode) {
        look.at(Invariant::I4);
        let on_disk = self.disk.get(&scope);
        if on_disk.is_none_or(|on_disk| on_disk.mode > to) {
            let found = on_disk.map_or_else(|| "no row".to_owned(), |on_disk| format!("{} there", on_disk.mode));
            look.broke(Invariant::I4, format!("{scope} {to} on the disk before the gate opens"), found);
        }
        if on_disk.is_some_and(|on_disk| !on_disk.named) {
            look.broke(Invariant::I11, format!("a named person behind {scope} becoming {to}"), "nobody");
        }
    }

    /// The strictest mode that covers the order and that its sender must know of.
    fn strictest(&self, now: Timestamp, account: AccountId, known: Option<&Known>, order: &NewOrder) -> (Mode, Scope) {
        let strategy = known.and_then(|known| known.strategy).map(Scope::Strategy);
        let scopes = [Some(Scope::Global), Some(Scope::Account(account)), strategy, Some(Scope::Symbol(order.symbol))];
        let must_know = |scope: &Scope| match scope {
            Scope::Global | Scope::Account(_) => true,
            Scope::Strategy(_) | Scope::Symbol(_) => self.lowered.get(scope).is_none_or(|since| now.since(*since) >= TOLD_WITHIN),
        };
        let modes = scopes.into_iter().flatten().filter(must_know).map(|scope| (self.applied.of(scope), scope));
        modes.fold((Mode::Normal, Scope::Global), |strictest, next| if next.0 > strictest.0 { next } else { strictest })
    }

    fn left(&self, look: &mut Look, orders: &Orders, account: AccountId, order: &NewOrder) {
        look.at(Invariant::I4);
        let id = order.client_order_id;
        if !self.ready.contains(&account) {
            look.broke(Invariant::I4, format!("{account} CancelOnly until it is reconciled"), format!("{id} left"));
        }
        let (mode, scope) = self.strictest(look.now, account, orders.get(id), order);
        let allowed = if order.reduce_only { Mode::ReduceOnly } else { Mode::Normal };
        if mode > allowed {
            let what = if order.reduce_only { "which reduces" } else { "which may open" };
            look.broke(Invariant::I4, format!("nothing that {scope} being {mode} forbids"), format!("{id} left, {what}"));
        }
    }

    fn confirm(&mut self, look: &mut Look, orders: &Orders, account: AccountId) {
        look.at(Invariant::I11);
        self.owed.remove(&account);
        self.confirmed.insert(account);
        if let Some(known) = orders.live().find(|known| known.account == account && (known.stands() || known.is_in_flight())) {
            let where_it_is = if known.stands() { "stands at the venue" } else { "is on its way" };
            let found = format!("{} {where_it_is}", known.order.client_order_id);
            look.broke(Invariant::I11, format!("no open order of {account}, which is called halted"), found);
        }
        let stranger = self.strangers.iter().find(|((of, _), since)| *of == account && look.now.since(**since) >= STRANGERS_WITHIN);
        if let Some(((_, id), since)) = stranger {
            let found = format!("{id}, which stands since {since}");
            look.broke(Invariant::I11, format!("no open order of {account}, which is called halted"), found);
        }
    }

    fn venue(&mut self, look: &mut Look, orders: &Orders, fact: &VenueFact) {
        match fact {
            VenueFact::Taken { account, order } if !order.client_order_id.is_ours(*account) => {
                self.strangers.insert((*account, order.client_order_id), look.now);
            }
            VenueFact::Taken { account, order } if self.confirmed.contains(account) => {
                let id = order.client_order_id;
                let closes = orders.get(id).is_some_and(|known| known.by == Sender::KillSwitch);
                look.at(Invariant::I11);
                if !closes {
                    let found = format!("{id} came to stand there");
                    look.broke(Invariant::I11, format!("no order of {account} behind its confirmed halt"), found);
                }
            }
            VenueFact::Ended { account, id, .. } => drop(self.strangers.remove(&(*account, *id))),
            VenueFact::Traded(fill) => drop(self.strangers.remove(&(fill.account, fill.client_order_id))),
            _ => {}
        }
    }

    fn overdue(&mut self, look: &mut Look) {
        let now = look.now;
        if let Some((account, since)) = self.owed.iter().find(|(_, since)| now.since(**since) > CONFIRMED_WITHIN) {
            let (account, since) = (*account, *since);
            look.at(Invariant::I11);
            look.broke(Invariant::I11, format!("{account}, halted since {since}, confirmed or an alarm"), "neither".to_owned());
            self.owed.remove(&account);
        }
        if let Some((account, since)) = self.traded.iter().find(|(_, since)| now.since(**since) > HALTED_WITHIN) {
            let (account, since) = (*account, *since);
            look.at(Invariant::I4);
            if self.applied.account(account) < Mode::ReduceOnly {
                let expected = format!("{account} ReduceOnly at least: a stranger's trade was booked at {since}");
                look.broke(Invariant::I4, expected, self.applied.account(account).to_string());
            }
            self.traded.remove(&account);
        }
        if let Some((scope, since)) = self.asked.iter().find(|(_, since)| now.since(**since) > HALTED_WITHIN) {
            let (scope, since) = (*scope, *since);
            look.at(Invariant::I11);
            look.broke(Invariant::I11, format!("{scope} halted, as was asked at {since}"), self.applied.of(scope).to_string());
            self.asked.remove(&scope);
        }
    }
}

fn mode_of(row: &Record) -> Option<(Scope, Mode)> {
    match row {
        Record::ModeChanged { scope, to, .. } => Some((*scope, *to)),
        _ => None,
    }
}
