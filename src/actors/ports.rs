//! What the rules reach in the daemon: the boards as they are, the journal's thread, and mailboxes by name, which follow their
//! actors through restarts. It decides nothing.

use ractor::ActorRef;
use rustc_hash::FxHashMap as HashMap;

use super::rules::{Around, Journalling};
use super::{Surroundings, names};
use crate::domain::alerts;
use crate::domain::ids::{AccountId, Incarnation, StrategyId};
use crate::domain::order::TraceContext;
use crate::domain::record::Record;
use crate::domain::recovery::AccountState;
use crate::domain::risk::Memory;
use crate::domain::time::Timestamp;
use crate::messages::boards::Roster;
use crate::messages::{
    Board, Envelope, ExecutorMessage, HaltGate, Journalled, KillInbox, KillPost, KillWord, ModeBoard, Post, RiskMessage, StrategyMessage,
    Views,
};
use crate::supervision::Reporter;

pub(super) struct Ports<M> {
    pub(super) around: Surroundings,
    reporter: Reporter,
    risk: Post<RiskMessage>,
    executors: HashMap<AccountId, Post<ExecutorMessage>>,
    strategies: HashMap<StrategyId, Post<StrategyMessage>>,
    kill_switch: KillPost,
    myself: ActorRef<Envelope<M>>,
}

impl<M> Ports<M> {
    pub(super) fn new(around: Surroundings, reporter: Reporter, myself: ActorRef<Envelope<M>>) -> Self {
        let risk = Post::new(&around.directory, &names::risk_manager());
        let kill_switch = around.kill_switch();
        Self { around, reporter, risk, executors: HashMap::default(), strategies: HashMap::default(), kill_switch, myself }
    }

    fn post_of(&mut self, id: StrategyId) -> &mut Post<StrategyMessage> {
        let around = &self.around;
        self.strategies.entry(id).or_insert_with(|| Post::new(&around.directory, &names::strategy(id)))
    }
}

impl<M> Ports<M> {
    fn post_to(&mut self, account: AccountId) -> &mut Post<ExecutorMessage> {
        let around = &self.around;
        self.executors.entry(account).or_insert_with(|| Post::new(&around.directory, &names::executor(account)))
    }
}

impl<M> Around for Ports<M> {
    fn now(&self) -> Timestamp {
        self.around.clock.now()
    }

    fn board(&self) -> &Board {
        &self.around.board
    }

    fn modes(&self) -> &ModeBoard {
        &self.around.modes
    }

    fn views(&self) -> &Views {
        &self.around.views
    }

    fn roster(&self) -> &Roster {
        &self.around.roster
    }

    fn gate(&self) -> &HaltGate {
        &self.around.gate
    }

    fn inbox(&self) -> &KillInbox {
        &self.around.inbox
    }

    fn journalled(&self, account: AccountId) -> AccountState {
        self.around.journal.account(account)
    }

    fn risk_memory(&self) -> Memory {
        self.around.journal.risk_memory()
    }

    fn note(&mut self, rows: Vec<Record>) {
        self.around.journal.note(rows);
    }

    fn risk(&mut self, message: RiskMessage, trace: Option<TraceContext>) -> Result<(), RiskMessage> {
        self.risk.send_traced(message, trace)
    }

    fn executor(&mut self, account: AccountId, message: ExecutorMessage, trace: Option<TraceContext>) -> Result<(), ExecutorMessage> {
        self.post_to(account).send_traced(message, trace)
    }

    fn strategy(&mut self, id: StrategyId, message: StrategyMessage, trace: Option<TraceContext>) -> Result<(), StrategyMessage> {
        self.post_of(id).send_traced(message, trace)
    }

    /// A fault that is counted is a fault that a person hears of, whoever saw it.
    fn kill_switch(&mut self, word: KillWord) {
        if let KillWord::Fault { scope, class, detail } = &word {
            self.around.alarm(alerts::of_fault(*scope, *class, detail));
        }
        self.kill_switch.tell(word);
    }

    fn risk_incarnation(&mut self) -> Option<Incarnation> {
        self.risk.incarnation()
    }

    fn strategy_incarnation(&mut self, id: StrategyId) -> Option<Incarnation> {
        self.post_of(id).incarnation()
    }

    fn is_executor_up(&mut self, account: AccountId) -> bool {
        self.post_to(account).incarnation().is_some()
    }

    fn ready(&mut self) {
        self.reporter.ready();
    }
}

impl<M: From<Journalled> + Send + 'static> Journalling for Ports<M> {
    fn append(&mut self, rows: Vec<Record>, ticket: u64) {
        let post = self.myself.clone();
        self.around.journal.append(rows, move |result| {
            let message = M::from(Journalled { ticket, failure: result.err() });
            // An incarnation that is gone has no use for its answer: its orders were never sent.
            drop(post.send_message(Envelope::unmetered(message)));
        });
    }
}
