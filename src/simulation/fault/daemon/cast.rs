//! The actors: rules with a name, and what each is told. One message at a time, from its front to its end or to its death.

use crate::actors::rules::executor::Executor;
use crate::actors::rules::kill_switch::KillSwitchRules;
use crate::actors::rules::market::MarketRules;
use crate::actors::rules::risk_manager::RiskManager;
use crate::actors::rules::strategy::{Parts, StrategyRules};
use crate::domain::ids::Incarnation;
use crate::domain::kill_switch::KillSwitch;
use crate::domain::ladder::{Ladder, ModeTable};
use crate::simulation::assemble::{self, Proposer};

use super::{Mail, Ports, Role};

/// One life of one actor. Tasks have no rules of their own: what they do with a beat or a word is the application's.
pub enum Actor {
    Kill(Box<KillSwitchRules>),
    Risk(Box<RiskManager>),
    Executor(Box<Executor>),
    Market(Box<MarketRules>),
    Strategy(Box<StrategyRules>),
    Task,
}

/// Whether a message found the actor that it was for.
pub type Handled = bool;

/// What outlives incarnations and goes with the process.
#[derive(Debug, Default)]
pub struct Lasting {
    /// The modes that the daemon started with.
    pub latched: ModeTable,
    /// Of each strategy, the number of its next intent.
    pub next_intents: Vec<std::sync::Arc<std::sync::atomic::AtomicU32>>,
    /// What misbehaving strategies proposed so far.
    pub rogue: u32,
}

impl Lasting {
    #[must_use]
    pub fn new(latched: ModeTable, strategies: usize) -> Self {
        Self { latched, next_intents: (0..strategies).map(|_| std::sync::Arc::default()).collect(), rogue: 0 }
    }
}

impl Actor {
    /// `pre_start`.
    ///
    /// # Errors
    /// Why it cannot be built.
    pub fn begin(role: Role, incarnation: Incarnation, lasting: &Lasting, ports: Ports<'_>) -> Result<Self, String> {
        let (mut around, mut outside) = (ports, ports);
        let (scene, epoch) = {
            let hub = ports.hub.borrow();
            (std::sync::Arc::clone(&hub.scene), hub.epoch)
        };
        Ok(match role {
            Role::KillSwitch => {
                // A restarted one starts from what the modes are now, not from what they were at the daemon's start.
                let now = ports.boards.modes.get();
                let modes = if incarnation.0 > 1 { now.as_ref().clone() } else { lasting.latched.clone() };
                let ladder = Ladder::new(scene.settings.fault_budgets(), modes);
                let machine = KillSwitch::new(ladder, scene.settings.on_kill(), epoch, incarnation);
                let mut rules = KillSwitchRules::new(machine.taking_over(ports.boards.inbox.unfinished()));
                rules.start(&mut around, &mut outside);
                Self::Kill(Box::new(rules))
            }
            Role::Risk => {
                let limits = ports.hub.borrow().limits.clone();
                let mut rules = RiskManager::new(&around, limits, incarnation);
                rules.start(&mut around, &mut outside);
                Self::Risk(Box::new(rules))
            }
            Role::Executor(at) => {
                let account = scene.accounts[at];
                let mut rules = Executor::new(&around, account, epoch, scene.settings.recv_window(account));
                rules.start(&mut around, &mut outside);
                Self::Executor(Box::new(rules))
            }
            Role::Market(at) => {
                let instrument = scene.instruments[at].clone();
                let intervals = assemble::intervals(&scene.settings, &scene.instruments);
                let intervals = intervals.get(&instrument.symbol).cloned().unwrap_or_default();
                let stale_after = scene.settings.risk.stale_after;
                let rules = MarketRules::new(instrument, &intervals, stale_after, &ports.boards.wires);
                let mut rules = rules.map_err(|error| error.to_string())?;
                rules.start(&mut around, &mut outside);
                Self::Market(Box::new(rules))
            }
            Role::Strategy(at) => Self::Strategy(Box::new(strategy(at, lasting, ports)?)),
            Role::JournalWatch | Role::SafetyBeat | Role::DeadMan | Role::Stream(_) | Role::Feed | Role::Metronome => Self::Task,
        })
    }

    /// Handles one message.
    pub fn handle(&mut self, mail: Mail, ports: Ports<'_>) -> Handled {
        let (mut around, mut outside) = (ports, ports);
        match (self, mail) {
            (Self::Kill(rules), Mail::Kill(message)) => rules.message(message, &mut around, &mut outside),
            (Self::Risk(rules), Mail::Risk(message)) => rules.message(message, None, &mut around, &mut outside),
            (Self::Executor(rules), Mail::Executor(message)) => rules.message(message, None, &mut around, &mut outside),
            (Self::Market(rules), Mail::Market(message)) => rules.message(message, &mut around, &mut outside),
            (Self::Strategy(rules), Mail::Strategy(message)) => rules.message(message, &mut around, &mut outside),
            _ => return false,
        }
        true
    }
}

fn strategy(at: usize, lasting: &Lasting, ports: Ports<'_>) -> Result<StrategyRules, String> {
    let hub = ports.hub.borrow();
    let scene = std::sync::Arc::clone(&hub.scene);
    let id = scene.strategies[at];
    let spec = scene.settings.enabled_strategies().find(|spec| spec.id == id);
    let spec = spec.ok_or_else(|| format!("strategy {id} expected in the settings, found none"))?;
    let next_intent = std::sync::Arc::clone(&lasting.next_intents[at]);
    let first_intent = next_intent.load(std::sync::atomic::Ordering::Relaxed);
    let proposer = Proposer { first_intent, ..Proposer::first(hub.epoch, at) };
    let host = assemble::host(&scene.settings, spec, &scene.registry, &scene.instruments, &hub.state(), proposer);
    drop(hub);
    let host = host.map_err(|error| error.to_string())?;
    let symbols = assemble::instruments_of(spec, &scene.instruments).map_err(|error| error.to_string())?;
    let parts = Parts {
        id,
        interval: spec.interval,
        accounts: spec.accounts.clone(),
        symbols: symbols.iter().map(|instrument| instrument.symbol).collect(),
        host,
        next_intent,
    };
    let rules = StrategyRules::new(parts, &ports.boards.wires);
    let mut outside = ports;
    rules.start(&mut outside);
    Ok(rules)
}
