//! What the checker is told: one observation for each thing that an invariant hangs on, at the step at which it happened. The
//! venue's facts come from its engine, before any fault on the way. What a machine of ours believes is told only where that word
//! is itself what is checked: its modes, its bookings, its reports, its books at the end. Plain data.

use std::sync::Arc;

use crate::domain::dead_man::Countdown;
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::{Money, Price};
use crate::domain::order::{Fill, NewOrder, OrderIntent, OrderReport, OrderStatus, Refusal, VenuePosition};
use crate::domain::record::Record;
use crate::domain::risk::limits::RiskLimits;

use super::super::Class;
use super::super::venue::{Truth, VenueFact};

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

/// One trading account of the simulated daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub account: AccountId,
    /// Accounts of one owner must never cross.
    pub owner: u32,
    /// What its wallet begins with.
    pub deposit: Money,
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
    /// The first word of a run. `canaries` are texts that stand for keys: none of them may come out anywhere.
    Began {
        limits: &'a RiskLimits,
        holders: &'a [Holder],
        canaries: &'a [String],
    },
    Phase(RunPhase),
    /// A fault begins to have an effect; `on` is the one account that it can touch, `None` where it may touch everybody.
    Fault {
        class: Class,
        on: Option<AccountId>,
    },
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
    /// It was ended because somebody asked for that, and is not to come back.
    ActorStopped {
        name: &'a str,
    },
    /// An audit row, an alert or an alarm about a child was written.
    Alert {
        about: &'a str,
    },
    /// Rows were handed to the journal; they may never become durable.
    Written {
        rows: &'a [Record],
    },
    /// The journal said that these are on the device for good. Each once, in the journal's order.
    Durable {
        rows: &'a [Record],
    },
    /// The journal said that these are not.
    NotDurable {
        rows: &'a [Record],
        why: &'a str,
    },
    /// What risk values a symbol at from here on.
    Reference {
        symbol: Symbol,
        price: Price,
    },
    /// Risk approved an intent.
    Approved {
        intent: &'a Arc<OrderIntent>,
        by: Incarnation,
    },
    /// Risk refused an intent.
    Refused(&'a Refusal),
    /// Nobody was there to take an approved intent: it surely was not sent.
    NotTaken {
        account: AccountId,
        intent: IntentId,
    },
    /// An executor has been told which risk manager runs.
    RiskMet {
        account: AccountId,
        risk: Incarnation,
    },
    /// An executor asks its venue (at its start, on a new connection), or has reconciled.
    Executor {
        account: AccountId,
        ready: bool,
    },
    /// An order was handed to the adapter, which may still hold it back.
    HandedOver {
        account: AccountId,
        by: Sender,
        order: &'a NewOrder,
    },
    /// An order's bytes left for the venue. Who keeps the venue tells it as a fact of the venue's, which does not know the sender;
    /// the checker makes this of the two.
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
    /// An executor's word on an order.
    Reported(&'a OrderReport),
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
    /// The latch file is on the device with these.
    Latched {
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
    /// Text that leaves the daemon: a log line, a row, a report, an answer. `place` says which.
    Text {
        place: &'a str,
        text: &'a str,
    },
    /// Two things that must be the same: the fold of the journal and the live state, two runs of one seed.
    Compared {
        what: &'a str,
        expected: &'a str,
        found: &'a str,
    },
    /// Both sides' books at one moment of the venue's.
    Truth(&'a Truth),
    /// The liveness phase is over: what both sides have.
    Settled {
        local: &'a [LocalAccount],
        truth: &'a Truth,
        traded_again: bool,
    },
}
