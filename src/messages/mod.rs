//! What actors say to each other: one enum per actor, each in an envelope with its trace. Market data
//! does not travel in mailboxes: it waits, conflated, in slots, and a mailbox only gets a wake-up. Here are also the
//! boards that are read without asking anybody. No logic: machines decide, actors act.

pub mod boards;
pub mod clock;
pub mod envelope;
pub mod gate;
pub mod inbox;
pub mod slots;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, ClientOrderId, Incarnation, StrategyId, Symbol};
use crate::domain::kill_switch;
use crate::domain::ladder::ModeTable;
use crate::domain::market_data::{Candle, DepthSnapshot};
use crate::domain::order::{AccountView, OrderIntent, OrderReport, Refusal, VenueEvent, VenueSnapshot};
use crate::domain::reconcile::Reconciliation;
use crate::domain::risk::limits::RiskLimits;
use crate::domain::risk::overrides::Override;
use crate::domain::risk::{AccountBook, Approved};

pub use boards::{Board, ModeBoard, Views};
pub use clock::Clock;
pub use envelope::{Envelope, Post};
pub use gate::HaltGate;
pub use inbox::{CommandAnswer, KillInbox, KillPost, KillWord};
pub use slots::{FrameSlot, UpdateSlot, Wires};

/// To a market actor.
#[derive(Debug)]
pub enum MarketMessage {
    /// Frames wait in the slot.
    Wake,
    Tick,
    /// The feed's connection is new: the book is void.
    Reconnected,
    SnapshotFetched(DepthSnapshot),
    SnapshotFailed(String),
    /// Bars of this length are wanted from now on.
    WantBars(Duration),
}

/// To a strategy actor.
#[derive(Debug)]
pub enum StrategyMessage {
    /// Updates wait in the slots.
    Wake,
    Tick,
    WarmUp {
        symbol: Symbol,
        candles: Vec<Candle>,
    },
    WarmUpFailed {
        symbol: Symbol,
        why: String,
    },
    /// A market began anew in the middle of a bar: its history is wanted again to close the hole.
    Hole {
        symbol: Symbol,
    },
    Report(Arc<OrderReport>),
    Refused(Box<Refusal>),
    Account(Arc<AccountView>),
    /// The account is told anew: [`crate::strategies::HostInput::Anew`].
    Anew(AccountId),
    /// The account was held against its venue: [`crate::strategies::HostInput::Reconciled`].
    Reconciled(Arc<Reconciliation>),
}

/// To the risk manager.
#[derive(Debug)]
pub enum RiskMessage {
    Propose(Arc<OrderIntent>),
    Cancel {
        account: AccountId,
        symbol: Symbol,
        client_order_id: ClientOrderId,
        reason: String,
    },
    SetLeverage {
        account: AccountId,
        symbol: Symbol,
        leverage: u8,
    },
    Report(Arc<OrderReport>),
    Book(Box<AccountBook>),
    /// The same while its executor reconciles.
    Recovering(Box<AccountBook>),
    Override(Box<Override>),
    Account(Arc<AccountView>),
    Modes(Arc<ModeTable>),
    Limits(Box<RiskLimits>),
    Tick,
}

/// To an executor.
#[derive(Debug)]
pub enum ExecutorMessage {
    Submit(Approved<Arc<OrderIntent>>),
    Cancel {
        symbol: Symbol,
        client_order_id: ClientOrderId,
        reason: String,
    },
    CancelWhere {
        symbol: Option<Symbol>,
        strategy: Option<StrategyId>,
        reason: String,
    },
    SetLeverage {
        symbol: Symbol,
        leverage: u8,
    },
    Venue(Box<VenueEvent>),
    /// The rows of that ticket are durable, or never will be.
    Journalled {
        ticket: u64,
        failure: Option<String>,
    },
    Modes(Arc<ModeTable>),
    RiskManager(Incarnation),
    Republish,
    Reconnected,
    Tick,
}

/// To the kill switch. What must not be lost with an incarnation is not in here: it waits in the `KillInbox`.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a look at the venue is rare, and a message is moved a few times")]
pub enum KillMessage {
    /// Words wait in the inbox.
    Wake,
    Shows {
        account: AccountId,
        round: u64,
        snapshot: VenueSnapshot,
    },
    Silent {
        account: AccountId,
        why: String,
    },
    /// Rows that had to wait are durable.
    Journalled {
        ticket: u64,
        failure: Option<String>,
    },
    Accounts(std::collections::BTreeMap<AccountId, kill_switch::KillPlan>),
    Tick,
}

/// What an incarnation that appended rows hears of them.
#[derive(Debug)]
pub struct Journalled {
    pub ticket: u64,
    pub failure: Option<String>,
}

impl From<Journalled> for ExecutorMessage {
    fn from(Journalled { ticket, failure }: Journalled) -> Self {
        Self::Journalled { ticket, failure }
    }
}

impl From<Journalled> for KillMessage {
    fn from(Journalled { ticket, failure }: Journalled) -> Self {
        Self::Journalled { ticket, failure }
    }
}
