//! What the simulation holds against the invariants: observations of what left, what the venue did and what was durable go in,
//! violations come out. It keeps a model of its own and never asks a machine what it believes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::dead_man::Countdown;
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::Money;
use crate::domain::order::{Fill, NewOrder, OrderIntent, OrderStatus, VenuePosition};
use crate::domain::record::Record;
use crate::domain::risk::limits::RiskLimits;
use crate::domain::time::Timestamp;

use super::venue::{Truth, VenueFact};

/// Who hands bytes to the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    Executor,
    KillSwitch,
    DeadMan,
}

/// The two phases of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPhase {
    /// Faults without bound.
    Safety,
    /// No new faults: everything must come right within a stated time.
    Liveness,
}

/// One account as the daemon has it when the liveness phase is over.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalAccount {
    pub account: AccountId,
    pub ready: bool,
    pub mode: Mode,
    /// Every order that may be open, with its standing.
    pub open: Vec<(ClientOrderId, OrderStatus)>,
    pub positions: Vec<VenuePosition>,
    pub wallet: Money,
}

/// Something that happened. `now` beside it is the world's time, which no clock of the daemon's or the venue's moves.
#[derive(Debug, Clone)]
pub enum Observation<'a> {
    /// The first word of a run.
    Began {
        limits: &'a RiskLimits,
        accounts: &'a [AccountId],
    },
    Phase(RunPhase),
    /// A daemon is up, with the epoch that it took and the modes that it found.
    DaemonUp {
        epoch: Epoch,
        modes: &'a ModeTable,
    },
    /// All of it is gone at once, with whatever it knew and had not made durable.
    DaemonDied {
        why: &'a str,
    },
    ActorDied {
        name: &'a str,
        incarnation: Incarnation,
        why: &'a str,
    },
    ActorUp {
        name: &'a str,
        incarnation: Incarnation,
    },
    /// Rows were handed to the journal; they may never become durable.
    Written {
        rows: &'a [Record],
    },
    /// The journal said that these are on the device for good.
    Durable {
        rows: &'a [Record],
    },
    /// The journal said that these are not.
    NotDurable {
        rows: &'a [Record],
        why: &'a str,
    },
    /// Risk approved an intent.
    Approved {
        intent: &'a Arc<OrderIntent>,
        by: Incarnation,
    },
    /// An order's bytes left for the venue.
    Left {
        account: AccountId,
        by: Sender,
        order: &'a NewOrder,
    },
    CancelLeft {
        account: AccountId,
        by: Sender,
        id: Option<ClientOrderId>,
    },
    CountdownLeft(Countdown),
    /// What happened at the venue, whoever was told of it.
    Venue(&'a VenueFact),
    /// An executor booked a fill.
    Booked {
        fill: &'a Fill,
    },
    HaltAsked {
        scope: Scope,
        by: &'a str,
    },
    ResumeAsked {
        scope: Scope,
        by: &'a str,
        reason: &'a str,
    },
    /// The kill switch closed or opened the gate so.
    Gate {
        modes: &'a ModeTable,
    },
    /// Everybody is told these modes from here on.
    Modes {
        modes: &'a ModeTable,
    },
    /// The daemon says that the venue shows no open order of a halted account.
    Confirmed {
        account: AccountId,
    },
    /// It says loudly that it cannot say so.
    Unconfirmed {
        account: AccountId,
    },
    LimitsChanged {
        limits: &'a RiskLimits,
    },
    /// The liveness phase is over: what both sides have.
    Settled {
        local: &'a [LocalAccount],
        truth: &'a Truth,
        traded_again: bool,
    },
}

/// An invariant that does not hold, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I12`.
    pub invariant: &'static str,
    pub detail: String,
}

#[derive(Debug, Default)]
pub struct Checker {
    intended: BTreeMap<ClientOrderId, NewOrder>,
    durable: BTreeSet<ClientOrderId>,
    left: BTreeSet<ClientOrderId>,
    filled: BTreeMap<ClientOrderId, crate::domain::money::Quantity>,
}

impl Checker {
    pub fn observe(&mut self, _now: Timestamp, seen: &Observation<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        match seen {
            Observation::Written { rows } => {
                for row in *rows {
                    if let Record::OrderIntended { order, .. } = row {
                        self.intended.insert(order.client_order_id, order.clone());
                    }
                }
            }
            Observation::Durable { rows } => {
                for row in *rows {
                    if let Record::OrderIntended { order, .. } = row {
                        self.durable.insert(order.client_order_id);
                    }
                }
            }
            Observation::Left { by: Sender::Executor, order, .. } => {
                let id = order.client_order_id;
                if !self.durable.contains(&id) {
                    found.push(Violation { invariant: "I2", detail: format!("{id} left before its intent was durable") });
                }
                if !self.left.insert(id) {
                    found.push(Violation { invariant: "I1", detail: format!("{id} left twice") });
                }
            }
            Observation::Venue(VenueFact::Traded(fill)) => {
                let filled = self.filled.entry(fill.client_order_id).or_default();
                *filled += fill.quantity;
                if let Some(order) = self.intended.get(&fill.client_order_id)
                    && *filled > order.quantity
                {
                    found.push(Violation {
                        invariant: "I1",
                        detail: format!("{} filled {filled} of {}", fill.client_order_id, order.quantity),
                    });
                }
            }
            Observation::Settled { local, truth, .. } => settled(local, truth, &mut found),
            _ => {}
        }
        found
    }
}

fn settled(local: &[LocalAccount], truth: &Truth, found: &mut Vec<Violation>) {
    for ours in local {
        let Some(theirs) = truth.accounts.get(&ours.account) else { continue };
        let open: BTreeSet<_> = ours.open.iter().map(|(id, _)| *id).collect();
        let listed: BTreeSet<_> = theirs.open_orders.iter().map(|order| order.client_order_id).collect();
        let account = ours.account;
        let mut differs = |what: &str, ours: String, theirs: String| {
            let detail = format!("{account}: {what} here {ours}, at the venue {theirs}");
            found.push(Violation { invariant: "I5", detail });
        };
        if open != listed {
            differs("open orders", format!("{open:?}"), format!("{listed:?}"));
        }
        if ours.wallet != theirs.wallet {
            differs("wallet", ours.wallet.to_string(), theirs.wallet.to_string());
        }
    }
}
