//! The liveness phase: faults stop, the operator resumes what is halted, and within a stated time both sides must be the same
//! again: orders, positions and balances, executors ready, nothing unknown, and every account trading.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::mode::Mode;
use crate::domain::money::{Money, Quantity};
use crate::domain::order::{OrderStatus, PositionSide, VenuePosition};
use crate::domain::order_manager::OrderManager;
use crate::domain::position::Positions;
use crate::domain::time::Timestamp;

use super::checker::{LocalAccount, Observation, RunPhase};
use super::daemon::{Actor, Event, Role};
use super::venue::Truth;
use super::world::World;

/// Longer than the longest waits one behind the other: what is left of a venue's ban (two minutes), the rest of a minute whose
/// weight is used up, a restart's backoff (5 s), an order that is asked for until it is absent (12 s), and two comparisons of the
/// books (30 s each).
pub const CONVERGES_WITHIN: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);

#[derive(Debug, Default)]
pub struct Settling {
    since: Option<Timestamp>,
}

impl World {
    /// Nothing new fails from here on.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        self.doomed.clear();
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        hub.venue.heal(now);
        hub.ambush = None;
        hub.redeliver = false;
        // Somebody sets the machine's clock: a daemon whose clock is off opens nothing.
        hub.clock.set_rate(now, 0);
        hub.clock.set_right();
        self.device.heal();
        if let Some(journal) = &mut hub.journal {
            journal.heal();
        }
        hub.observe(&Observation::Phase(RunPhase::Liveness));
        hub.left_since_calm.clear();
        hub.world(now + Duration::from_secs(2), Event::Compare);
        drop(hub);
        self.settling.since = Some(now);
    }

    pub(super) fn compare(&mut self) {
        let now = self.hub.borrow().now;
        let since = self.settling.since.unwrap_or(now);
        let local = self.local();
        let truth = self.hub.borrow_mut().venue.truth();
        let traded_again = self.trades_again();
        let is_up = self.hub.borrow().up;
        let agreed = is_up && traded_again && self.boards.modes.get().iter().next().is_none() && agrees(&local, &truth);
        let late = now.since(since) >= CONVERGES_WITHIN;
        let folds = if agreed || late { self.folds() } else { Vec::new() };
        let mut hub = self.hub.borrow_mut();
        if agreed || late {
            self.done = true;
            for (what, live, fold) in &folds {
                hub.observe(&Observation::Compared { what, expected: live, found: fold });
            }
            hub.observe(&Observation::Truth(&truth));
            hub.observe(&Observation::Settled { local: &local, truth: &truth, traded_again });
            if late && !agreed {
                let modes: Vec<String> =
                    self.boards.modes.get().iter().map(|one| format!("{} {} ({})", one.scope, one.mode, one.cause)).collect();
                let differs = differences(&local, &truth);
                let text = format!(
                    "I5 not settled within {CONVERGES_WITHIN:?}: up {is_up}, traded again {traded_again}, modes {modes:?}, {differs}"
                );
                hub.violations.push(text);
            }
        } else {
            hub.world(now + LOOK_EVERY, Event::Compare);
        }
    }

    /// Every account has sent an order since the faults stopped.
    fn trades_again(&self) -> bool {
        let hub = self.hub.borrow();
        hub.scene.accounts.iter().all(|account| hub.left_since_calm.get(account).is_some_and(|orders| *orders > 0))
    }

    fn executors(&self) -> impl Iterator<Item = &OrderManager> {
        let accounts = self.hub.borrow().scene.accounts.len();
        (0..accounts).filter_map(|at| match self.actors.get(&Role::Executor(at)) {
            Some((_, Actor::Executor(rules))) => Some(rules.machine()),
            _ => None,
        })
    }

    /// What each executor has, and what the journal's rows say that it has: name, live, folded.
    fn folds(&self) -> Vec<(String, String, String)> {
        let hub = self.hub.borrow();
        let of = |machine: &OrderManager| {
            let account = machine.account();
            let open: BTreeMap<_, _> = machine
                .open_orders()
                .filter(|order| order.intent.is_some())
                .map(|order| (order.order.client_order_id, order.filled))
                .collect();
            let live = format!("{open:?} {}", books(machine.positions()));
            let state = hub.journal.as_ref().map(|journal| journal.account(account));
            let folded = state.map(|state| {
                let open: BTreeMap<_, _> = state.open.iter().map(|(id, open)| (*id, open.filled)).collect();
                format!("{open:?} {}", books(&state.positions))
            });
            (format!("the fold of {account}'s rows"), live, folded.unwrap_or_default())
        };
        self.executors().map(of).collect()
    }

    pub(super) fn local(&self) -> Vec<LocalAccount> {
        let local = self.executors().map(|machine| LocalAccount {
            account: machine.account(),
            ready: machine.is_ready(),
            mode: machine.mode(),
            open: machine.open_orders().map(|order| (order.order.client_order_id, order.status)).collect(),
            positions: machine
                .positions()
                .open()
                .map(|(symbol, position_side, position)| VenuePosition {
                    symbol,
                    position_side,
                    quantity: position.quantity(),
                    entry_price: position.entry_price().unwrap_or_default(),
                    closable: None,
                })
                .collect(),
            wallet: machine.positions().wallet(),
        });
        local.collect()
    }
}

/// Wallet and positions, as a text that is the same where they are.
fn books(positions: &Positions) -> String {
    let held: BTreeMap<_, _> = positions.open().map(|(symbol, side, position)| ((symbol, side), position.quantity())).collect();
    format!("{} {held:?}", positions.wallet())
}

/// Both sides, brought to what can be compared.
fn agrees(local: &[LocalAccount], truth: &Truth) -> bool {
    local.len() == truth.accounts.len() && differences(local, truth).is_empty()
}

fn differences(local: &[LocalAccount], truth: &Truth) -> String {
    let mut found = Vec::new();
    for ours in local {
        let Some(theirs) = truth.accounts.get(&ours.account) else { continue };
        let open: BTreeSet<_> = ours.open.iter().map(|(id, _)| *id).collect();
        let listed: BTreeSet<_> = theirs.open_orders.iter().map(|order| order.client_order_id).collect();
        let account = ours.account;
        if !ours.ready || ours.mode != Mode::Normal {
            found.push(format!("{account} ready {} in {}", ours.ready, ours.mode));
        }
        if let Some((id, status)) = ours.open.iter().find(|(_, status)| *status != OrderStatus::Working) {
            found.push(format!("{account} {id} is {status}"));
        }
        if open != listed {
            let (here, there): (Vec<_>, Vec<_>) = (open.difference(&listed).collect(), listed.difference(&open).collect());
            found.push(format!("{account} orders only here {here:?}, only there {there:?}"));
        }
        let (here, there) = (held(&ours.positions), held(&theirs.positions));
        if here != there {
            found.push(format!("{account} holds {here:?}, at the venue {there:?}"));
        }
        if (ours.wallet - theirs.wallet).abs() > Money::ZERO {
            found.push(format!("{account} wallet {}, at the venue {}", ours.wallet, theirs.wallet));
        }
    }
    found.join("; ")
}

fn held(positions: &[VenuePosition]) -> BTreeMap<(String, PositionSide), Quantity> {
    let open = positions.iter().filter(|position| !position.quantity.is_zero());
    open.map(|position| ((position.symbol.to_string(), position.position_side), position.quantity)).collect()
}
