//! The kill switch's decisions: when to stop, whom, what to send, and when an account may be called halted. It holds the
//! ladder. It never waits: closing the gate comes first in its outbox, rows and files after it. An account is confirmed
//! halted only when the venue itself shows no open order.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId};
use super::ladder::{Ladder, ModeTable, RaiseError, Transition};
use super::mode::{FaultClass, Mode, Scope};
use super::order::{NewOrder, OrderKind, SelfTradePrevention, Side, TimeInForce, VenueCommand, VenueSnapshot};
use super::outbox::Outbox;
use super::record::Record;
use super::time::Timestamp;

/// Between two tries to cancel what the venue still shows: long enough for a cancel to land, short enough to be felt.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);
/// After so many tries without a clean answer the account is reported as not confirmed, loudly; tries go on.
pub const ALARM_AFTER_TRIES: u32 = 8;
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
    Operator(Order),
    /// The venue's answer on the kill switch's own connection.
    Shows {
        account: AccountId,
        snapshot: VenueSnapshot,
    },
    /// The venue could not be asked.
    Silent {
        account: AccountId,
        why: String,
    },
    /// The row of a raise is durable.
    Raised,
    Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Block or free sends at the last instruction before they leave. Comes before everything else.
    SetGate(ModeTable),
    /// Tell risk and executors, and store the latch file.
    Publish(ModeTable),
    /// Behind the row of a raise: `Raised` comes back to the machine. The modes are not in here, because what was lowered
    /// while the row was on its way must stay so.
    Raise,
    /// Straight to the venue, on the kill switch's own connection.
    Send { account: AccountId, command: VenueCommand },
    /// `account` has no open order at the venue, by the venue's own word, and no position where those were to be closed.
    Confirmed { account: AccountId, tries: u32, took: Duration },
    /// Tries are failing; a person must look.
    Unconfirmed { account: AccountId, tries: u32, open_orders: Option<usize>, why: String },
    /// What became of an operator's command.
    Answer { accepted: bool, text: String },
}

/// One account being emptied of orders.
#[derive(Debug, Clone, PartialEq)]
struct Sweep {
    began: Timestamp,
    flatten: bool,
    tries: u32,
    next_try: Timestamp,
    last_why: String,
    open_orders: Option<usize>,
    /// Ends with the sweep; a halted account stays in `confirmed`.
    flattened: bool,
}

/// The machine.
#[derive(Debug, Clone)]
pub struct KillSwitch {
    ladder: Ladder,
    accounts: BTreeMap<AccountId, OnKill>,
    sweeps: BTreeMap<AccountId, Sweep>,
    confirmed: BTreeMap<AccountId, Timestamp>,
    epoch: Epoch,
    counter: u32,
}

impl KillSwitch {
    #[must_use]
    pub fn new(ladder: Ladder, accounts: BTreeMap<AccountId, OnKill>, epoch: Epoch, incarnation: Incarnation) -> Self {
        Self { ladder, accounts, sweeps: BTreeMap::new(), confirmed: BTreeMap::new(), epoch, counter: first_order(incarnation) }
    }

    #[must_use]
    pub fn modes(&self) -> &ModeTable {
        self.ladder.modes()
    }

    /// Whether the venue itself showed no open order since the account was halted.
    #[must_use]
    pub fn is_confirmed(&self, account: AccountId) -> bool {
        self.confirmed.contains_key(&account)
    }

    pub fn set_accounts(&mut self, accounts: BTreeMap<AccountId, OnKill>) {
        self.accounts = accounts;
    }

    pub fn ladder_mut(&mut self) -> &mut Ladder {
        &mut self.ladder
    }

    /// What a restarted daemon does with the latch it found: the gate is closed again and the halted accounts are swept
    /// anew, because the life before may have died half way.
    pub fn start(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        self.tell_modes(out);
        let halted: Vec<AccountId> =
            self.accounts.keys().copied().filter(|account| self.modes().account(*account) == Mode::Halted).collect();
        for account in halted {
            let flatten = self.accounts.get(&account) == Some(&OnKill::Flatten);
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
            Input::Operator(order) => self.operator(now, &order, out),
            Input::Shows { account, snapshot } => self.shows(now, account, &snapshot, out),
            Input::Silent { account, why } => {
                if let Some(sweep) = self.sweeps.get_mut(&account) {
                    sweep.last_why = why;
                }
            }
            Input::Raised => self.tell_modes(out),
            Input::Tick => self.retry(now, out),
        }
    }

    /// The gate before everybody else.
    fn tell_modes(&self, out: &mut Outbox<Record, Effect>) {
        out.push(Effect::SetGate(self.modes().clone()));
        out.push(Effect::Publish(self.modes().clone()));
    }

    fn operator(&mut self, now: Timestamp, order: &Order, out: &mut Outbox<Record, Effect>) {
        let outcome = match order.verb {
            Verb::Halt => self.operator_lower(now, order, Mode::Halted, out),
            // A position is an account's; whose part of it a strategy's is, the venue does not know.
            Verb::Flatten if matches!(order.scope, Scope::Strategy(_) | Scope::Symbol(_)) => {
                Err(RaiseError::NotOfAccount { scope: order.scope })
            }
            Verb::Flatten => self.operator_lower(now, order, Mode::ReduceOnly, out),
            Verb::Resume => self.resume(now, order, out),
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
        let row = Record::OperatorCommand {
            verb: order.verb.to_string(),
            scope: order.scope,
            by: order.by.clone(),
            reason: order.reason.clone(),
            outcome: text.clone(),
        };
        out.persist(vec![row], vec![]);
        out.push(Effect::Answer { accepted, text });
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
                Ok(format!("{} is {mode}", order.scope))
            }
            None => {
                // Asked again while already stopped: sweep again, a person who repeats a halt wants to be sure.
                if mode == Mode::Halted {
                    for account in self.covered(order.scope) {
                        self.sweep(now, account, false, out);
                    }
                }
                Ok(format!("{} already was {}", order.scope, self.ladder.modes().of(order.scope)))
            }
        }
    }

    /// Up: durable first, then acted on. (Down is the other way round: a sick disk must not delay it.)
    fn resume(&mut self, now: Timestamp, order: &Order, out: &mut Outbox<Record, Effect>) -> Result<String, RaiseError> {
        if let Some(account) = self.covered(order.scope).into_iter().find(|account| self.sweeps.contains_key(account)) {
            let what = format!("orders of {account} still being cancelled");
            return Err(RaiseError::NotReconciled { scope: order.scope, what });
        }
        let transition = self.ladder.raise(now, order.scope, Mode::Normal, &order.by, &order.reason)?;
        for account in self.covered(order.scope) {
            self.confirmed.remove(&account);
        }
        out.persist(vec![mode_row(&transition, Some(order))], vec![Effect::Raise]);
        Ok(format!("{} is Normal", order.scope))
    }

    fn lowered(&mut self, now: Timestamp, transition: &Transition, order: Option<&Order>, out: &mut Outbox<Record, Effect>) {
        self.tell_modes(out);
        if transition.to == Mode::Halted {
            for account in self.covered(transition.scope) {
                let flatten = self.accounts.get(&account) == Some(&OnKill::Flatten);
                self.sweep(now, account, flatten, out);
            }
        }
        let event = format!("{} → {}", transition.from, transition.to);
        let tripped = Record::KillSwitch { scope: transition.scope, event, detail: transition.cause.clone() };
        out.persist(vec![mode_row(transition, order), tripped], vec![]);
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

    fn sweep(&mut self, now: Timestamp, account: AccountId, flatten: bool, out: &mut Outbox<Record, Effect>) {
        self.confirmed.remove(&account);
        let last_why = "no answer yet".to_owned();
        let next_try = now + RETRY_AFTER;
        self.sweeps.insert(account, Sweep { began: now, flatten, tries: 1, next_try, last_why, open_orders: None, flattened: false });
        ask(account, out);
    }

    fn shows(&mut self, now: Timestamp, account: AccountId, snapshot: &VenueSnapshot, out: &mut Outbox<Record, Effect>) {
        let Some(sweep) = self.sweeps.get_mut(&account) else { return };
        sweep.open_orders = Some(snapshot.open_orders.len());
        if !snapshot.open_orders.is_empty() {
            sweep.last_why = format!("the venue still shows {} open orders", snapshot.open_orders.len());
            return;
        }
        let held: Vec<_> = snapshot.positions.iter().filter(|position| !position.quantity.is_zero()).collect();
        if sweep.flatten && sweep.flattened && !held.is_empty() {
            // Asked to be closed and not closed: the next try asks again. A kill whose orders failed is not done.
            sweep.last_why = format!("the venue still shows {} positions to close", held.len());
            return;
        }
        if sweep.flatten && !held.is_empty() {
            sweep.flattened = true;
            sweep.next_try = now + RETRY_AFTER;
            let (epoch, mut counter) = (self.epoch, self.counter);
            for position in held {
                counter += 1;
                let client_order_id = ClientOrderId::compose(account, epoch, IntentId::compose(epoch, SLOT, counter));
                let order = NewOrder {
                    client_order_id,
                    symbol: position.symbol,
                    side: if position.quantity.is_positive() { Side::Sell } else { Side::Buy },
                    position_side: position.position_side,
                    kind: OrderKind::Market,
                    time_in_force: TimeInForce::GoodTilCanceled,
                    quantity: position.quantity.abs(),
                    reduce_only: true,
                    self_trade_prevention: SelfTradePrevention::ExpireMaker,
                };
                out.push(Effect::Send { account, command: VenueCommand::Place(order) });
            }
            self.counter = counter;
            out.push(Effect::Send { account, command: VenueCommand::Snapshot { trades_after: u64::MAX } });
            return;
        }
        let (tries, began) = (sweep.tries, sweep.began);
        self.sweeps.remove(&account);
        self.confirmed.insert(account, now);
        let detail = format!("the venue shows no open order after {tries} tries");
        let row = Record::KillSwitch { scope: Scope::Account(account), event: "confirmed".to_owned(), detail };
        out.push(Effect::Confirmed { account, tries, took: now.since(began) });
        out.persist(vec![row], vec![]);
    }

    fn retry(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        for (account, sweep) in &mut self.sweeps {
            if now < sweep.next_try {
                continue;
            }
            sweep.tries += 1;
            sweep.flattened = false;
            // Slower with each try, to 16 × at most: a venue that is down must not be flooded by its clients' stops.
            sweep.next_try = now + RETRY_AFTER * 2u32.pow(sweep.tries.min(5) - 1);
            ask(*account, out);
            if sweep.tries % ALARM_AFTER_TRIES == 0 {
                let why = sweep.last_why.clone();
                out.push(Effect::Unconfirmed { account: *account, tries: sweep.tries, open_orders: sweep.open_orders, why });
            }
        }
    }
}

fn ask(account: AccountId, out: &mut Outbox<Record, Effect>) {
    out.push(Effect::Send { account, command: VenueCommand::CancelAll { symbol: None } });
    out.push(Effect::Send { account, command: VenueCommand::Snapshot { trades_after: u64::MAX } });
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
#[path = "kill_switch_tests.rs"]
mod tests;
