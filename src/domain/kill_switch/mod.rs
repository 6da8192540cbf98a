//! The kill switch's decisions: when to stop, whom, what to send, and when an account may be called halted. It holds the
//! ladder. It never waits: closing the gate comes first in its outbox, rows and files after it. An account is confirmed
//! halted only when the venue itself shows no open order.

mod clearing;
mod raise;

use super::mutants::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, OwnerId, Symbol};
use super::ladder::{Ladder, ModeTable, Raise, RaiseError, Transition};
use super::mode::{FaultClass, Mode, Scope};
use super::order::{NewOrder, OrderKind, SelfTradePrevention, Side, TimeInForce, TradesWanted, VenueCommand, VenuePosition, VenueSnapshot};
use super::outbox::Outbox;
use super::record::Record;
use super::time::Timestamp;

/// Between two tries to cancel what the venue still shows: long enough for a cancel to land, short enough to be felt.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);
/// After so many tries without a clean answer the account is reported as not confirmed, loudly; tries go on.
pub const ALARM_AFTER_TRIES: u32 = 8;
/// What cannot be taken back (a closing order, the word that an account is halted) waits so long for the row of its mode to be
/// durable: a healthy disk takes a thousandth of it, and a sick one must not keep positions open.
pub const NOTED_WITHIN: Duration = Duration::from_secs(1);
/// The proposer slot of the kill switch's own orders; strategies get slots below it.
pub const SLOT: u16 = 0xFFF;

/// What to do with an account's positions when it is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnKill {
    /// Cancel open orders, keep positions.
    #[default]
    Cancel,
    /// Cancel open orders, then close positions at the market, reduce-only.
    Flatten,
}

/// One account as the kill switch has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KillPlan {
    pub on_kill: OnKill,
    /// Orders of accounts with one owner never meet, those that close a position included.
    pub owner: OwnerId,
}

/// An operator's word. Every one names its person and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub verb: Verb,
    pub scope: Scope,
    pub by: String,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    /// No new orders, every open order cancelled, positions as configured; latched.
    Halt,
    /// Back to normal.
    Resume,
    /// Cancel open orders now; the mode stays.
    Cancel,
    /// No opening, cancel, and close positions at the market.
    Flatten,
}

/// A raise on its way to the disk, and the command that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raising {
    pub raise: Raise,
    pub by: String,
    pub id: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Fault {
        scope: Scope,
        class: FaultClass,
        detail: String,
    },
    /// A limit that stops by itself: daily loss, restart intensity, stalled trading thread.
    Trip {
        scope: Scope,
        mode: Mode,
        cause: String,
    },
    /// `id` comes back with the answer.
    Operator {
        id: u64,
        order: Order,
    },
    /// The venue's answer on the kill switch's own connection, with the round that asked.
    Shows {
        account: AccountId,
        round: u64,
        snapshot: VenueSnapshot,
    },
    /// The venue could not be asked.
    Silent {
        account: AccountId,
        why: String,
    },
    /// The rows of a lowering with that number, and of all before it, are durable, or are in the emergency file because the journal
    /// does not take them.
    Noted(u64),
    /// When the account was last found to agree with its venue; `None` while its executor is down or has not compared yet.
    Standing {
        account: AccountId,
        reconciled: Option<Timestamp>,
    },
    /// The row of a raise is durable.
    Raised(Raising),
    /// The row of a raise was not taken.
    NotRaised {
        raising: Raising,
        why: String,
    },
    Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Block or free sends at the last instruction before they leave. Comes before everything else.
    SetGate(ModeTable),
    /// Tell risk and executors, and store the latch file.
    Publish(ModeTable),
    /// Behind the rows of a lowering: `Noted` comes back to the machine, also when the journal does not take them.
    Noted { number: u64 },
    /// `modes` may be shown as what is in force.
    Reported(ModeTable),
    /// Somebody wants the account raised: its executor is to be up and to be held against the venue. `Standing` says when it was.
    Reconcile { account: AccountId },
    /// Behind the row of a raise: `Raised` comes back to the machine, or `NotRaised`. Until then nothing is raised.
    Raise(Raising),
    /// Straight to the venue, on the kill switch's own connection. What is shown comes back with the round.
    Send { account: AccountId, round: u64, command: VenueCommand },
    /// `account` is being emptied from here on: what the venue showed of it before does not count any more.
    Sweeping { account: AccountId },
    /// `account` is halted and has had no open order since, by the venue's own word, and no position where those were to be
    /// closed.
    Confirmed { account: AccountId, tries: u32, took: Duration },
    /// The same of an account that is not halted: what was asked for is done, and new orders may follow.
    Emptied { account: AccountId },
    /// Tries are failing; a person must look.
    Unconfirmed { account: AccountId, tries: u32, open_orders: Option<usize>, why: String },
    /// What became of an operator's command.
    Answer { id: u64, accepted: bool, text: String },
}

/// One account being emptied of orders.
#[derive(Debug, Clone, PartialEq)]
struct Sweep {
    /// What was asked before this sweep began says nothing about it.
    round: u64,
    began: Timestamp,
    /// Stays for as long as the sweep runs, whoever asks for what meanwhile: positions that were to be closed are closed.
    flatten: bool,
    tries: u32,
    next_try: Timestamp,
    last_why: String,
    open_orders: Option<usize>,
    /// Ends with the sweep; a halted account stays in `confirmed`.
    flattened: bool,
    way: Option<clearing::Way>,
    /// The rows that must be durable before what cannot be taken back, and the answer that waits for them.
    note: u64,
    held: Option<VenueSnapshot>,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct KillSwitch {
    ladder: Ladder,
    accounts: BTreeMap<AccountId, KillPlan>,
    sweeps: BTreeMap<AccountId, Sweep>,
    confirmed: BTreeMap<AccountId, Timestamp>,
    /// What an earlier incarnation was emptying when it died, and whether it was closing positions.
    unfinished: BTreeMap<AccountId, bool>,
    rounds: u64,
    /// Lowerings so far, how many of them are durable, and since when the rest is on its way.
    notes: u64,
    noted: u64,
    noting_since: Option<Timestamp>,
    /// When each account was last found to agree with its venue.
    reconciled: BTreeMap<AccountId, Timestamp>,
    /// Resumes that wait for that.
    waiting: Vec<raise::Waiting>,
    epoch: Epoch,
    counter: u32,
}

impl KillSwitch {
    #[must_use]
    pub fn new(ladder: Ladder, accounts: BTreeMap<AccountId, KillPlan>, epoch: Epoch, incarnation: Incarnation) -> Self {
        let (sweeps, confirmed, unfinished) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            ladder,
            accounts,
            sweeps,
            confirmed,
            unfinished,
            rounds: 0,
            notes: 0,
            noted: 0,
            noting_since: None,
            reconciled: BTreeMap::new(),
            waiting: Vec::new(),
            epoch,
            counter: first_order(incarnation),
        }
    }

    /// What an earlier incarnation was at is gone on with at the start.
    #[must_use]
    pub fn taking_over(mut self, unfinished: BTreeMap<AccountId, bool>) -> Self {
        self.unfinished = unfinished;
        self
    }

    /// What is being emptied right now, and whether positions are being closed.
    #[must_use]
    pub fn unfinished(&self) -> BTreeMap<AccountId, bool> {
        self.sweeps.iter().map(|(account, sweep)| (*account, sweep.flatten)).collect()
    }

    #[must_use]
    pub fn modes(&self) -> &ModeTable {
        self.ladder.modes()
    }

    /// Whether a lowering is on its way to the journal.
    #[must_use]
    pub const fn is_noting(&self) -> bool {
        self.noting_since.is_some()
    }

    /// Whether the account is halted and the venue itself showed no open order since.
    #[must_use]
    pub fn is_confirmed(&self, account: AccountId) -> bool {
        self.confirmed.contains_key(&account)
    }

    pub fn set_accounts(&mut self, accounts: BTreeMap<AccountId, KillPlan>) {
        self.accounts = accounts;
    }

    /// What a restarted daemon does with the latch it found: the gate is closed again and the halted accounts are swept
    /// anew, because the life before may have died half way. So is what an earlier incarnation had not finished.
    pub fn start(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        self.tell_modes(out);
        // What an earlier life or incarnation left is in the journal or in the latch.
        out.push(Effect::Reported(self.modes().clone()));
        let mut sweeps = std::mem::take(&mut self.unfinished);
        for account in self.accounts.keys().filter(|account| self.modes().account(**account) == Mode::Halted) {
            *sweeps.entry(*account).or_default() |= self.flattens(*account);
        }
        for (account, flatten) in sweeps {
            self.sweep(now, account, flatten, out);
        }
    }

    pub fn on(&mut self, now: Timestamp, input: Input, out: &mut Outbox<Record, Effect>) {
        match input {
            Input::Fault { scope, class, detail } => {
                if let Some(transition) = self.ladder.fault(now, scope, class, &detail) {
                    self.lowered(now, &transition, None, out);
                }
            }
            Input::Trip { scope, mode, cause } => {
                if let Some(transition) = self.ladder.lower(now, scope, mode, &cause) {
                    self.lowered(now, &transition, None, out);
                }
            }
            Input::Operator { id, order } => self.operator(now, id, &order, out),
            Input::Shows { account, round, snapshot } => self.shows(now, account, round, &snapshot, out),
            Input::Silent { account, why } => {
                if let Some(sweep) = self.sweeps.get_mut(&account) {
                    sweep.last_why = why;
                }
            }
            Input::Noted(number) => self.note(now, number, out),
            Input::Standing { account, reconciled } => self.stands(now, account, reconciled, out),
            Input::Raised(raising) => self.raised(now, &raising, out),
            Input::NotRaised { raising, why } => self.not_raised(&raising, &why, out),
            Input::Tick => {
                self.look_at_notes(now, out);
                self.look_at_waiting(now, out);
                self.retry(now, out);
            }
        }
    }

    /// The gate before everybody else.
    fn tell_modes(&self, out: &mut Outbox<Record, Effect>) {
        let mut modes = self.modes().clone();
        modes.set_barred(self.bars());
        out.push(Effect::SetGate(modes.clone()));
        out.push(Effect::Publish(modes));
    }

    fn operator(&mut self, now: Timestamp, id: u64, order: &Order, out: &mut Outbox<Record, Effect>) {
        let outcome = match order.verb {
            Verb::Halt => self.operator_lower(now, order, Mode::Halted, out),
            // A position is an account's; whose part of it a strategy's is, the venue does not know.
            Verb::Flatten if matches!(order.scope, Scope::Strategy(_) | Scope::Symbol(_)) => {
                Err(RaiseError::NotOfAccount { scope: order.scope })
            }
            Verb::Flatten => self.operator_lower(now, order, Mode::ReduceOnly, out),
            // Answered when it is durable, and not before.
            Verb::Resume => match self.resume(now, id, order, out) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Verb::Cancel => Ok(format!("cancelling every open order of {}", order.scope)),
        };
        if outcome.is_ok() && matches!(order.verb, Verb::Cancel | Verb::Flatten) {
            for account in self.covered(order.scope) {
                self.sweep(now, account, order.verb == Verb::Flatten, out);
            }
        }
        let (accepted, text) = match outcome {
            Ok(text) => (true, text),
            Err(error) => (false, error.to_string()),
        };
        out.persist(vec![command_row(order, &text)], vec![]);
        out.push(Effect::Answer { id, accepted, text });
    }

    fn operator_lower(
        &mut self,
        now: Timestamp,
        order: &Order,
        mode: Mode,
        out: &mut Outbox<Record, Effect>,
    ) -> Result<String, RaiseError> {
        if order.by.trim().is_empty() {
            return Err(RaiseError::Unnamed { scope: order.scope, found: "no name" });
        }
        let cause = format!("{} by {}: {}", order.verb, order.by, order.reason);
        match self.ladder.lower(now, order.scope, mode, &cause) {
            Some(transition) => {
                self.lowered(now, &transition, Some(order), out);
                Ok(format!("{} is {}", order.scope, transition.to))
            }
            None => {
                // Asked again while already stopped: sweep again, a person who repeats a halt wants to be sure.
                if mode == Mode::Halted {
                    for account in self.covered(order.scope) {
                        self.sweep(now, account, self.flattens(account), out);
                    }
                }
                Ok(format!("{} already was {}", order.scope, self.ladder.modes().of(order.scope)))
            }
        }
    }

    fn lowered(&mut self, now: Timestamp, transition: &Transition, order: Option<&Order>, out: &mut Outbox<Record, Effect>) {
        self.tell_modes(out);
        self.notes += 1;
        if transition.to == Mode::Halted {
            for account in self.covered(transition.scope) {
                self.sweep(now, account, self.flattens(account), out);
            }
        }
        let event = format!("{} → {}", transition.from, transition.to);
        let tripped = Record::KillSwitch { scope: transition.scope, event, detail: transition.cause.clone() };
        self.noting_since.get_or_insert(now);
        out.persist(vec![mode_row(transition, order), tripped], vec![Effect::Noted { number: self.notes }]);
    }

    /// A crash from here on does not forget the lowering: what is in force may be shown, and what waited for it goes on.
    fn note(&mut self, now: Timestamp, number: u64, out: &mut Outbox<Record, Effect>) {
        self.noted = self.noted.max(number);
        if self.noted == self.notes {
            self.noting_since = None;
            out.push(Effect::Reported(self.modes().clone()));
        }
        let ready = self.sweeps.iter_mut().filter(|(_, sweep)| sweep.note <= number);
        let ready: Vec<_> = ready.filter_map(|(account, sweep)| Some((*account, sweep.round, sweep.held.take()?))).collect();
        for (account, round, snapshot) in ready {
            self.shows(now, account, round, &snapshot, out);
        }
    }

    /// A journal that says neither yes nor no holds nothing up for ever: the emergency file has the rows of what leaves from here on.
    fn look_at_notes(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        if self.noting_since.is_some_and(|since| now.since(since) >= NOTED_WITHIN) {
            self.note(now, self.notes, out);
        }
    }

    /// The accounts that a scope touches. A strategy or a symbol is stopped at risk and at the executors, which know
    /// whose order is whose; the venue knows accounts only.
    fn covered(&self, scope: Scope) -> Vec<AccountId> {
        match scope {
            Scope::Account(account) => vec![account],
            Scope::Global => self.accounts.keys().copied().collect(),
            Scope::Strategy(_) | Scope::Symbol(_) => vec![],
        }
    }

    /// What a halt does with the account's positions, as configured.
    fn flattens(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|plan| plan.on_kill == OnKill::Flatten)
    }

    /// Empties an account, from the beginning: what the venue showed before does not count. Positions that a sweep before
    /// this one was to close are closed by this one.
    fn sweep(&mut self, now: Timestamp, account: AccountId, flatten: bool, out: &mut Outbox<Record, Effect>) {
        if mutants::on(Mutant::ConfirmedUnasked) {
            return out.push(Effect::Confirmed { account, tries: 0, took: Duration::ZERO });
        }
        self.confirmed.remove(&account);
        self.rounds += 1;
        let flatten = flatten || self.sweeps.get(&account).is_some_and(|running| running.flatten);
        let sweep = Sweep {
            round: self.rounds,
            began: now,
            flatten,
            tries: 1,
            next_try: now + RETRY_AFTER,
            last_why: "no answer yet".to_owned(),
            open_orders: None,
            flattened: false,
            way: None,
            note: self.notes,
            held: None,
        };
        self.sweeps.insert(account, sweep);
        out.push(Effect::Sweeping { account });
        ask(account, self.rounds, out);
    }

    fn shows(&mut self, now: Timestamp, account: AccountId, round: u64, snapshot: &VenueSnapshot, out: &mut Outbox<Record, Effect>) {
        if self.sweeps.get(&account).is_none_or(|sweep| sweep.round != round) {
            return self.shows_the_way(now, (account, round), snapshot, out);
        }
        let may_close = self.may_close(account, snapshot);
        let Some(sweep) = self.sweeps.get_mut(&account) else { return };
        sweep.open_orders = Some(snapshot.open_orders.len());
        if !snapshot.open_orders.is_empty() && !mutants::on(Mutant::ConfirmedWhileOpen) {
            sweep.last_why = format!("the venue still shows {} open orders", snapshot.open_orders.len());
            return;
        }
        if snapshot.on_their_way > 0 && !mutants::on(Mutant::ConfirmedWhileOnTheWay) {
            // They left before the gate closed. Until the venue's word or the end of their time, they may stand any moment.
            sweep.last_why = format!("{} orders that left before have no answer yet and may still arrive", snapshot.on_their_way);
            return;
        }
        if sweep.note > self.noted {
            sweep.last_why = "the halt is not in the journal yet".to_owned();
            sweep.held = Some(snapshot.clone());
            return;
        }
        let held: Vec<_> = snapshot.positions.iter().filter(|position| !position.to_close().is_zero()).collect();
        if sweep.flatten && sweep.flattened && !held.is_empty() {
            // Asked to be closed and not closed: the next try asks again. A kill whose orders failed is not done.
            sweep.last_why = format!("the venue still shows {} positions to close", held.len());
            return;
        }
        if sweep.flatten && !held.is_empty() && !may_close {
            // Nothing of the owner's may stand in the way of what closes them; the next try asks again.
            return self.clear_the_way(account, snapshot, out);
        }
        if sweep.flatten && !held.is_empty() {
            (sweep.flattened, sweep.next_try) = (true, now + RETRY_AFTER);
            self.close(account, round, &held, out);
            return;
        }
        let (tries, began) = (sweep.tries, sweep.began);
        // What was barred for its closing orders may rest again.
        if self.sweeps.remove(&account).is_some_and(|sweep| sweep.way.is_some()) {
            self.tell_modes(out);
        }
        let event = if self.modes().account(account) == Mode::Halted {
            self.confirmed.insert(account, now);
            out.push(Effect::Confirmed { account, tries, took: now.since(began) });
            "confirmed"
        } else {
            out.push(Effect::Emptied { account });
            "emptied"
        };
        let detail = format!("the venue shows no open order after {tries} tries");
        let row = Record::KillSwitch { scope: Scope::Account(account), event: event.to_owned(), detail };
        out.persist(vec![row], vec![]);
    }

    /// Closes each position at the market, and looks again.
    fn close(&mut self, account: AccountId, round: u64, held: &[&VenuePosition], out: &mut Outbox<Record, Effect>) {
        for position in held {
            self.counter += 1;
            let intent = IntentId::compose(self.epoch, SLOT, self.counter);
            let order = NewOrder {
                client_order_id: ClientOrderId::compose(account, self.epoch, intent),
                symbol: position.symbol,
                side: if position.quantity.is_positive() { Side::Sell } else { Side::Buy },
                position_side: position.position_side,
                kind: OrderKind::Market,
                time_in_force: TimeInForce::GoodTilCanceled,
                quantity: position.to_close(),
                reduce_only: true,
                self_trade_prevention: SelfTradePrevention::ExpireMaker,
            };
            out.push(Effect::Send { account, round, command: VenueCommand::Place(order) });
        }
        out.push(Effect::Send { account, round, command: VenueCommand::Snapshot { trades: TradesWanted::new() } });
    }

    fn retry(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        for (account, sweep) in &mut self.sweeps {
            if now < sweep.next_try {
                continue;
            }
            sweep.tries += 1;
            (sweep.flattened, sweep.held) = (false, None);
            if let Some(way) = &sweep.way {
                way.ask(sweep.round, out);
            }
            // Slower with each try, to 16 × at most: a venue that is down must not be flooded by its clients' stops.
            sweep.next_try = now + RETRY_AFTER * 2u32.pow(sweep.tries.min(5) - 1);
            ask(*account, sweep.round, out);
            if sweep.tries % ALARM_AFTER_TRIES == 0 && !mutants::on(Mutant::SilentSweep) {
                let why = sweep.last_why.clone();
                let detail = format!("still not emptied after {} tries: {why}", sweep.tries);
                let row = Record::KillSwitch { scope: Scope::Account(*account), event: "unconfirmed".to_owned(), detail };
                out.persist(vec![row], vec![]);
                out.push(Effect::Unconfirmed { account: *account, tries: sweep.tries, open_orders: sweep.open_orders, why });
            }
        }
    }
}

fn ask(account: AccountId, round: u64, out: &mut Outbox<Record, Effect>) {
    out.push(Effect::Send { account, round, command: VenueCommand::CancelAll { symbol: None } });
    out.push(Effect::Send { account, round, command: VenueCommand::Snapshot { trades: TradesWanted::new() } });
}

fn command_row(order: &Order, outcome: &str) -> Record {
    Record::OperatorCommand {
        verb: order.verb.to_string(),
        scope: order.scope,
        by: order.by.clone(),
        reason: order.reason.clone(),
        outcome: outcome.to_owned(),
    }
}

fn mode_row(transition: &Transition, order: Option<&Order>) -> Record {
    Record::ModeChanged {
        scope: transition.scope,
        from: transition.from,
        to: transition.to,
        cause: transition.cause.clone(),
        by: order.map(|order| order.by.clone()),
        reason: order.map(|order| order.reason.clone()),
    }
}

/// Where an incarnation's own orders begin to count: 65,536 of them are more than any flattening takes, so that no two
/// incarnations of an epoch share a client order id.
fn first_order(incarnation: Incarnation) -> u32 {
    u32::try_from(incarnation.0 & 0xFFFF).unwrap_or_default() << 16
}

#[cfg(test)]
pub(crate) mod tests;
