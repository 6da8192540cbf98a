//! The way up. A resume needs a named person with a reason, an account that shows no open order any more where those were being
//! cancelled, and a reconciliation that was completed after it was lowered; then its row is durable before the gate opens. (Down
//! is the other way round: a sick disk must not delay it.)

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::ids::AccountId;
use super::super::ladder::{Raise, RaiseError, Transition};
use super::super::mode::Scope;
use super::super::mutants::{self, Mutant};
use super::super::outbox::Outbox;
use super::super::record::Record;
use super::super::time::Timestamp;
use super::{Effect, KillSwitch, Order, Raising, command_row, mode_row};

/// How long a resume waits for a reconciliation that it asked for. A venue answers within a second; one that takes longer has the
/// person ask again, and what was completed meanwhile counts.
pub const RECONCILED_WITHIN: Duration = Duration::from_secs(4);

/// A resume that waits for a reconciliation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    id: u64,
    order: Order,
    since: Timestamp,
}

impl KillSwitch {
    pub(super) fn resume(&mut self, now: Timestamp, id: u64, order: &Order, out: &mut Outbox<Record, Effect>) -> Result<(), RaiseError> {
        self.ladder.may_raise(order.scope, &order.by, &order.reason)?;
        let covered = self.covered(order.scope);
        if !covered.is_empty() && covered.iter().all(|account| self.sweeps.contains_key(account)) {
            let what = format!("orders of {} still being cancelled", names(&covered));
            return Err(RaiseError::NotReconciled { scope: order.scope, what });
        }
        let unsettled = self.unsettled(order.scope);
        if unsettled.is_empty() {
            return self.raise(id, order, out);
        }
        for account in covered.iter().filter(|account| unsettled.contains(account)) {
            out.push(Effect::Reconcile { account: *account });
        }
        self.waiting.push(Waiting { id, order: order.clone(), since: now });
        Ok(())
    }

    /// Whom a scope's raise lets open something: a strategy's and a symbol's orders are on every account.
    fn concerned(&self, scope: Scope) -> Vec<AccountId> {
        match scope {
            Scope::Account(account) => vec![account],
            Scope::Global | Scope::Strategy(_) | Scope::Symbol(_) => self.accounts.keys().copied().collect(),
        }
    }

    /// Those of them that were not held against their venue since the scope was lowered, or are being emptied. A strategy and a symbol
    /// have no books of their own: there it is enough that an account's agree now.
    fn unsettled(&self, scope: Scope) -> BTreeSet<AccountId> {
        let whole = matches!(scope, Scope::Account(_) | Scope::Global);
        let lowered = self.modes().since(scope).filter(|_| whole).unwrap_or(Timestamp::ZERO);
        let settled = |account: &AccountId| {
            let emptying = whole && self.sweeps.contains_key(account);
            !emptying && self.reconciled.get(account).is_some_and(|at| *at >= lowered)
        };
        self.concerned(scope).into_iter().filter(|account| !settled(account)).collect()
    }

    pub(super) fn stands(&mut self, now: Timestamp, account: AccountId, at: Option<Timestamp>, out: &mut Outbox<Record, Effect>) {
        match at {
            Some(at) => drop(self.reconciled.insert(account, at)),
            None => drop(self.reconciled.remove(&account)),
        }
        self.look_at_waiting(now, out);
    }

    /// Resumes whose accounts are settled, and those that waited long enough.
    pub(super) fn look_at_waiting(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        for waiting in std::mem::take(&mut self.waiting) {
            let unsettled = self.unsettled(waiting.order.scope);
            if unsettled.is_empty() {
                self.answer_resume(waiting.id, &waiting.order, out, |switch, out| switch.raise(waiting.id, &waiting.order, out));
            } else if now.since(waiting.since) >= RECONCILED_WITHIN {
                self.answer_resume(waiting.id, &waiting.order, out, |switch, out| {
                    switch.raise_the_rest(now, waiting.id, &waiting.order, &unsettled, out)
                });
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    fn answer_resume(
        &mut self,
        id: u64,
        order: &Order,
        out: &mut Outbox<Record, Effect>,
        then: impl FnOnce(&mut Self, &mut Outbox<Record, Effect>) -> Result<(), RaiseError>,
    ) {
        if let Err(error) = then(self, out) {
            let text = error.to_string();
            out.persist(vec![command_row(order, &text)], vec![]);
            out.push(Effect::Answer { id, accepted: false, text });
        }
    }

    /// Each account is its own bulkhead: one whose venue does not answer stays as it is, by itself, and the others trade again.
    fn raise_the_rest(
        &mut self,
        now: Timestamp,
        id: u64,
        order: &Order,
        unsettled: &BTreeSet<AccountId>,
        out: &mut Outbox<Record, Effect>,
    ) -> Result<(), RaiseError> {
        let all: Vec<AccountId> = unsettled.iter().copied().collect();
        if self.concerned(order.scope).len() == unsettled.len() {
            let what = format!("{} not held against the venue since: look whether it answers", names(&all));
            return Err(RaiseError::NotReconciled { scope: order.scope, what });
        }
        if order.scope == Scope::Global {
            let mode = self.modes().of(Scope::Global);
            for account in all {
                let cause = format!("not reconciled when everything was resumed by {}", order.by);
                if let Some(transition) = self.ladder.lower(now, Scope::Account(account), mode, &cause) {
                    self.lowered(now, &transition, None, out);
                }
            }
        }
        self.raise(id, order, out)
    }

    fn raise(&mut self, id: u64, order: &Order, out: &mut Outbox<Record, Effect>) -> Result<(), RaiseError> {
        let raise = self.ladder.begin_raise(order.scope, &order.by, &order.reason)?;
        let rows = vec![mode_row(&raise.transition, Some(order)), command_row(order, &raised_text(&raise))];
        if mutants::on(Mutant::RaisedBeforeDurable) {
            out.push(Effect::Raise(Raising { raise, by: order.by.clone(), id }));
            out.persist(rows, vec![]);
            return Ok(());
        }
        out.persist(rows, vec![Effect::Raise(Raising { raise, by: order.by.clone(), id })]);
        Ok(())
    }

    pub(super) fn raised(&mut self, now: Timestamp, raising: &Raising, out: &mut Outbox<Record, Effect>) {
        let (id, scope) = (raising.id, raising.raise.transition.scope);
        if !self.ladder.finish_raise(now, &raising.raise) {
            let text = format!("{scope} was lowered while its resume was being written, and is {}", self.modes().of(scope));
            return out.push(Effect::Answer { id, accepted: false, text });
        }
        for account in self.covered(scope) {
            if self.modes().account(account) != super::Mode::Halted {
                self.confirmed.remove(&account);
            }
        }
        self.tell_modes(out);
        out.push(Effect::Reported(self.modes().clone()));
        let held: Vec<AccountId> = self.covered(scope).into_iter().filter(|account| self.is_held(*account)).collect();
        let but = if held.is_empty() { String::new() } else { format!("; {} held on their own", names(&held)) };
        out.push(Effect::Answer { id, accepted: true, text: format!("{}{but}", raised_text(&raising.raise)) });
    }

    fn is_held(&self, account: AccountId) -> bool {
        self.modes().account(account) != super::Mode::Normal
    }

    pub(super) fn not_raised(&mut self, raising: &Raising, why: &str, out: &mut Outbox<Record, Effect>) {
        let Transition { scope, from, to, .. } = raising.raise.transition;
        if self.ladder.drop_raise(&raising.raise) {
            // Whoever folds the row that was not taken folds this one behind it.
            let cause = format!("not raised: {why}");
            out.persist(vec![mode_row(&Transition { scope, from: to, to: from, cause }, None)], vec![]);
        }
        let text = format!("{scope} stays {}: the resume is not in the journal: {why}", self.modes().of(scope));
        out.push(Effect::Answer { id: raising.id, accepted: false, text });
    }
}

fn names(accounts: &[AccountId]) -> String {
    accounts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn raised_text(raise: &Raise) -> String {
    format!("{} is {}", raise.transition.scope, raise.transition.to)
}
