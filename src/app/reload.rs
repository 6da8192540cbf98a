//! SIGHUP: read everything again, refuse it whole when anything is wrong, else apply the difference. Whoever is not named in
//! the difference keeps its incarnation and its state.

use std::sync::Arc;
use std::time::Instant;

use super::embedded;
use super::hub::Hub;
use super::tree::{self, Plan};
use crate::actors::names;
use crate::api::EventKind;
use crate::domain::record::Record;
use crate::exchange::ExchangeHandle;
use crate::messages::boards::RosterEntries;
use crate::messages::{KillMessage, MarketMessage, Post, RiskMessage};
use crate::settings::{Change, Problems, Settings, SettingsSource};
use crate::simulation::assemble;
use crate::telemetry::events::{ReloadApplied, ReloadRefused};
use crate::telemetry::logs::LogFilter;

/// What a reload needs to know.
pub struct Reload {
    pub source: SettingsSource,
    pub plan: Arc<Plan>,
    pub hub: Arc<Hub>,
    pub log_filter: LogFilter,
    pub exchange: ExchangeHandle,
}

impl Reload {
    #[allow(clippy::disallowed_methods, reason = "how long a reload takes is wall time")]
    pub fn run(&self) {
        let began = Instant::now();
        match self.read() {
            Ok(settings) => {
                let (changes, needs_restart) = self.apply(settings);
                ReloadApplied { changes: &changes, needs_restart: &needs_restart, took: began.elapsed() }.emit();
                let text = format!("{} applied, {} need a restart: {}", changes.len(), needs_restart.len(), needs_restart.join("; "));
                self.hub.tell(self.plan.around.clock.now(), EventKind::Reload, text);
            }
            Err(errors) => {
                ReloadRefused { errors: &errors }.emit();
                let text = format!("refused whole, the old configuration runs on: {}", errors.join("; "));
                self.hub.tell(self.plan.around.clock.now(), EventKind::Reload, text);
            }
        }
    }

    /// Everything that is wrong, or settings that can run.
    fn read(&self) -> Result<Settings, Vec<String>> {
        let lines = |problems: Problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        let validator = |kind: &str, settings: &serde_json::Value| self.plan.registry.validate(kind, settings);
        let settings = self.source.load(&validator).map_err(lines)?;
        settings.can_run().map_err(lines)?;
        LogFilter::validate(&settings.daemon.log).map_err(|error| vec![error.to_string()])?;
        Ok(settings)
    }

    fn apply(&self, new: Settings) -> (Vec<String>, Vec<String>) {
        let old = self.plan.settings.load_full();
        let changes = Settings::diff(&old, &new);
        let hash = new.config_hash();
        let new = Arc::new(new);
        self.plan.settings.store(Arc::clone(&new));
        self.publish(&new);
        let (mut applied, mut needs_restart) = (Vec::new(), Vec::new());
        let mut limits = false;
        for change in &changes {
            if self.one(&new, change, &mut limits) { &mut applied } else { &mut needs_restart }.push(change.to_string());
        }
        if limits {
            let message = RiskMessage::Limits(Box::new(new.risk_limits(&self.plan.traded())));
            self.post(&names::risk_manager(), message);
        }
        if !changes.is_empty() {
            let changes = changes.iter().map(ToString::to_string).collect();
            self.plan.around.journal.note(vec![Record::ConfigChanged { changes, config_hash: hash }]);
        }
        (applied, needs_restart)
    }

    /// Applies one change; says whether that was possible while running.
    fn one(&self, new: &Arc<Settings>, change: &Change, limits: &mut bool) -> bool {
        let directory = &self.plan.around.directory;
        match change {
            Change::LogFilterChanged { to, .. } => return self.log_filter.apply(to).is_ok(),
            Change::LimitChanged { .. } => *limits = true,
            Change::StrategyRemoved(id) => tree::take_out(directory, "strategies", &names::strategy(*id)),
            Change::StrategyChanged { id, .. } => {
                tree::take_out(directory, "strategies", &names::strategy(*id));
                self.add_strategy(new, *id);
            }
            Change::StrategyAdded(id) => self.add_strategy(new, *id),
            Change::AccountRemoved(id) => {
                *limits = true;
                tree::take_out(directory, "execution", &names::executor(*id));
                self.plan.around.views.forget_account(*id);
            }
            Change::AccountAdded(id) => {
                *limits = true;
                if let Some(account) = new.enabled_accounts().find(|account| account.id == *id) {
                    let (id, setup) = embedded::setup(account);
                    // An exchange that stopped has the daemon halted already.
                    let _ = self.exchange.open_account(id, setup);
                    self.add("execution", self.plan.executor(id));
                }
            }
            Change::AccountChanged { .. } => {}
            Change::SymbolRemoved(symbol) => {
                *limits = true;
                tree::take_out(directory, "markets", &names::market(*symbol));
                self.plan.around.board.forget(*symbol);
            }
            Change::SymbolAdded(symbol) => {
                *limits = true;
                // The embedded exchange lists its symbols once; a new one needs a new exchange.
                let Some(instrument) = self.plan.instruments.iter().find(|instrument| instrument.symbol == *symbol) else { return false };
                self.add("markets", self.plan.market(instrument.clone()));
            }
            Change::NeedsRestart { .. } => return false,
        }
        true
    }

    fn add_strategy(&self, new: &Settings, id: crate::domain::ids::StrategyId) {
        let Some(spec) = new.enabled_strategies().find(|spec| spec.id == id) else { return };
        for instrument in assemble::instruments_of(spec, &self.plan.traded()).unwrap_or_default() {
            self.post(&names::market(instrument.symbol), MarketMessage::WantBars(spec.interval));
        }
        self.add("strategies", self.plan.strategy(spec));
    }

    fn add(&self, supervisor: &str, child: crate::supervision::Child) {
        if let Some(supervisor) = self.plan.around.directory.supervisor(supervisor) {
            // A supervisor that stops meanwhile has no use for it.
            let _ = supervisor.add(child);
        }
    }

    fn post<M: std::fmt::Debug + Send + 'static>(&self, name: &crate::domain::restart::ChildName, message: M) {
        Post::new(&self.plan.around.directory, name).tell(message);
    }

    /// Who trades what from now on, and what the kill switch does with whom.
    fn publish(&self, new: &Settings) {
        self.plan.around.roster.set(roster(&self.plan, new));
        self.post(&names::kill_switch(), KillMessage::Accounts(new.on_kill()));
    }
}

/// The roster that settings make.
#[must_use]
pub fn roster(plan: &Plan, settings: &Settings) -> RosterEntries {
    RosterEntries {
        accounts: settings.enabled_accounts().map(|account| account.id).collect(),
        symbols: plan.traded().iter().map(|instrument| instrument.symbol).collect(),
        strategies: assemble::roster(settings),
    }
}
