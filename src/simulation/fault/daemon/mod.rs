//! The simulated daemon: who is in it, what they are sent, and what they share. An actor is the daemon's own rules
//! (`actors::rules`) with a mailbox that has an owner; what is sent to a name that nobody has is lost, as in the daemon.

pub mod app;
mod cast;
mod hub;
mod plan;
mod ports;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::actors::names;
use crate::domain::ids::{AccountId, Incarnation};
use crate::domain::restart::ChildName;
use crate::messages::boards::Roster;
use crate::messages::{
    Board, ExecutorMessage, HaltGate, KillInbox, KillMessage, MarketMessage, ModeBoard, RiskMessage, StrategyMessage, Views, Wires,
};

use super::scene::Scene;

pub use cast::{Actor, Handled, Lasting};
pub use hub::{Ambush, Asked, Blow, Event, Fuse, Hub};
pub use plan::{safety_root, trading_root};
pub use ports::Ports;

/// Everybody who can be started, be sent something, and die. The number is the place in the scene's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    KillSwitch,
    JournalWatch,
    SafetyBeat,
    DeadMan,
    Risk,
    Executor(usize),
    Stream(usize),
    Market(usize),
    Feed,
    Strategy(usize),
    Metronome,
}

impl Role {
    #[must_use]
    pub fn name(self, scene: &Scene) -> ChildName {
        match self {
            Self::KillSwitch => names::kill_switch(),
            Self::JournalWatch => names::plain("journal"),
            Self::SafetyBeat => names::plain("safety_beat"),
            Self::DeadMan => names::plain("dead_man"),
            Self::Risk => names::risk_manager(),
            Self::Executor(at) => names::executor(scene.accounts[at]),
            Self::Stream(at) => names::stream(scene.accounts[at]),
            Self::Market(at) => names::market(scene.symbols[at]),
            Self::Feed => names::feed(0),
            Self::Strategy(at) => names::strategy(scene.strategies[at]),
            Self::Metronome => names::plain("metronome"),
        }
    }

    /// Whether it runs on the trading thread, which stands still as a whole when one of them spins.
    #[must_use]
    pub const fn is_trading(self) -> bool {
        !matches!(self, Self::KillSwitch | Self::JournalWatch | Self::SafetyBeat | Self::DeadMan)
    }

    /// Everybody in a scene.
    #[must_use]
    pub fn all(scene: &Scene) -> Vec<Self> {
        let mut all = vec![Self::KillSwitch, Self::JournalWatch, Self::SafetyBeat, Self::DeadMan, Self::Risk, Self::Feed, Self::Metronome];
        all.extend((0..scene.accounts.len()).flat_map(|at| [Self::Executor(at), Self::Stream(at)]));
        all.extend((0..scene.symbols.len()).map(Self::Market));
        all.extend((0..scene.strategies.len()).map(Self::Strategy));
        all
    }

    #[must_use]
    pub fn executor_of(account: AccountId, scene: &Scene) -> Option<Self> {
        scene.accounts.iter().position(|known| *known == account).map(Self::Executor)
    }
}

/// A message to an actor.
#[derive(Debug)]
pub enum Mail {
    Kill(KillMessage),
    Risk(RiskMessage),
    Executor(ExecutorMessage),
    Market(MarketMessage),
    Strategy(StrategyMessage),
}

/// Messages that may wait for one actor. As in the daemon, whose bound only raises an alarm and holds back ticks.
pub const MAILBOX_BOUND: usize = 10_000;

/// An actor's place: who has it, whether others find it, and what waits.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// The incarnation that is there, found by its name or not yet.
    pub owner: Option<Incarnation>,
    /// Whether the directory has its address.
    pub published: bool,
    pub waiting: VecDeque<Mail>,
    /// Waits for ever: it handles nothing, and shows no progress.
    pub wedged: bool,
    /// Spins: the same, and no kill lands.
    pub spinning: bool,
    pub told_ready: bool,
}

/// What everybody may read without asking: the daemon's own boards. A daemon that dies takes them along.
#[derive(Debug, Clone, Default)]
pub struct Boards {
    pub board: Board,
    pub modes: ModeBoard,
    pub views: Arc<Views>,
    pub wires: Arc<Wires>,
    pub roster: Roster,
    pub gate: HaltGate,
    pub inbox: KillInbox,
}

impl Boards {
    #[must_use]
    pub fn new() -> Self {
        let inbox = KillInbox::default();
        Self { gate: inbox.gate(), inbox, ..Self::default() }
    }
}
