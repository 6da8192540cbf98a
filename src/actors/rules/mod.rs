//! What the shells decide, without an actor system: which message becomes which input, what is held back until its row is
//! durable, who is told what, and when the halt gate is read. The daemon's actors drive these rules with mailboxes, and the fault
//! simulation drives the very same ones in virtual time. Nothing here waits, spawns or reads a clock.

pub mod executor;
pub mod kill_switch;
pub mod market;
pub mod risk_manager;
pub mod strategy;
pub mod tickets;

use crate::domain::ids::{AccountId, Incarnation, StrategyId};
use crate::domain::order::TraceContext;
use crate::domain::record::Record;
use crate::domain::recovery::AccountState;
use crate::domain::risk::Memory;
use crate::domain::time::Timestamp;
use crate::messages::boards::Roster;
use crate::messages::{Board, ExecutorMessage, HaltGate, KillInbox, KillWord, ModeBoard, RiskMessage, StrategyMessage, Views};

/// What the rules of every actor reach around them: the boards, the journal, and each other's mailboxes by name. A message that
/// nobody is there to take comes back.
pub trait Around {
    fn now(&self) -> Timestamp;
    fn board(&self) -> &Board;
    fn modes(&self) -> &ModeBoard;
    fn views(&self) -> &Views;
    fn roster(&self) -> &Roster;
    fn gate(&self) -> &HaltGate;
    fn inbox(&self) -> &KillInbox;

    /// What the journal's rows say of an account.
    fn journalled(&self, account: AccountId) -> AccountState;
    /// What risk remembers over its restarts, as the journal's rows say it.
    fn risk_memory(&self) -> Memory;
    /// Queues rows that nothing waits for.
    fn note(&mut self, rows: Vec<Record>);

    /// # Errors
    /// The message, when no risk manager is there.
    fn risk(&mut self, message: RiskMessage, trace: Option<TraceContext>) -> Result<(), RiskMessage>;
    /// # Errors
    /// The message, when no executor is there.
    fn executor(&mut self, account: AccountId, message: ExecutorMessage, trace: Option<TraceContext>) -> Result<(), ExecutorMessage>;
    /// # Errors
    /// The message, when no such strategy is there.
    fn strategy(&mut self, id: StrategyId, message: StrategyMessage, trace: Option<TraceContext>) -> Result<(), StrategyMessage>;
    /// Into the kill switch's inbox, which outlives its incarnations.
    fn kill_switch(&mut self, word: KillWord);

    fn risk_incarnation(&mut self) -> Option<Incarnation>;
    fn strategy_incarnation(&mut self, id: StrategyId) -> Option<Incarnation>;
    fn is_executor_up(&mut self, account: AccountId) -> bool;

    /// This incarnation is ready.
    fn ready(&mut self);
}

/// The same for an actor whose orders wait for their rows.
pub trait Journalling: Around {
    /// Queues rows; `Journalled` comes back to the asking incarnation with the ticket.
    fn append(&mut self, rows: Vec<Record>, ticket: u64);
}
