//! SIGHUP: read everything again, refuse it whole when anything is wrong, else apply the difference. Whoever is not in the
//! difference keeps its incarnation and its state. What is decided stands in `difference`; here it is done, at once, except
//! for the end of what leaves: that is seen out by `leaving`.

mod difference;
mod leaving;

use std::sync::Arc;
use std::time::Instant;

use super::embedded::Embedded;
use super::hub::Hub;
use super::places::Places;
use super::tree::{self, Plan};
use crate::actors::names;
use crate::api::EventKind;
use crate::cli::Failure;
use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::record::Record;
use crate::domain::restart::ChildName;
use crate::messages::boards::RosterEntries;
use crate::messages::{KillMessage, MarketMessage, Post, RiskMessage};
use crate::settings::{AccountSpec, Problems, Settings, SettingsSource};
use crate::simulation::assemble;
use crate::supervision::Child;
use crate::telemetry::events::{ReloadApplied, ReloadRefused};
use crate::telemetry::logs::LogFilter;
use difference::Difference;
use leaving::Leaving;

/// What a reload needs to know.
pub struct Reload {
    pub source: SettingsSource,
    pub plan: Arc<Plan>,
    pub hub: Arc<Hub>,
    pub log_filter: LogFilter,
    pub places: Arc<Places>,
    pub exchange: Arc<Embedded>,
}

impl Reload {
    /// Applied before this first waits; what it waits for is the end of whoever has to go.
    #[allow(clippy::disallowed_methods, reason = "how long a reload takes is wall time")]
    pub async fn run(&self) {
        let began = Instant::now();
        match self.read() {
            Ok(settings) => {
                let difference = self.apply(settings);
                let [changes, needs_restart] = [&difference.changes, &difference.needs_restart].map(difference::texts);
                ReloadApplied { changes: &changes, needs_restart: &needs_restart, took: began.elapsed() }.emit();
                let text = format!("{} applied, {} need a restart: ", changes.len(), needs_restart.len());
                self.tell(text + &[changes, needs_restart].concat().join("; "));
                self.see_out(difference).await;
            }
            Err(errors) => {
                ReloadRefused { errors: &errors }.emit();
                self.tell(format!("refused whole, the old configuration runs on: {}", errors.join("; ")));
            }
        }
    }

    /// Everything that is wrong, or settings that can run.
    fn read(&self) -> Result<Settings, Vec<String>> {
        let lines = |problems: Problems| problems.0.iter().map(|problem| format!("{}: {problem}", problem.origin)).collect::<Vec<_>>();
        let validator = |kind: &str, settings: &serde_json::Value| self.plan.registry.validate(kind, settings);
        let mut settings = self.source.load(&validator).map_err(lines)?;
        settings.trade_where_listed(&self.plan.instruments.load());
        settings.can_run().map_err(lines)?;
        LogFilter::validate(&settings.daemon.log).map_err(|error| vec![error.to_string()])?;
        Ok(settings)
    }

    fn apply(&self, read: Settings) -> Difference {
        let (plan, around) = (&self.plan, &self.plan.around);
        let running = plan.settings.load_full();
        let difference = difference::between(&running, read, &plan.instruments.load(), &around.roster.get());
        let new = Arc::new(difference.settings.clone());
        plan.settings.store(Arc::clone(&new));
        if new.daemon.log != running.daemon.log && self.log_filter.apply(&new.daemon.log).is_err() {
            // It was validated before; a subscriber that is gone has nothing to filter.
            tracing::warn!(target: "ringfence::daemon", filter = new.daemon.log, "the log filter could not be applied");
        }
        // Accounts that leave are looked after until nothing of them is open.
        let mut roster = difference.roster.clone();
        roster.accounts.extend(&difference.accounts.gone);
        around.roster.set(roster);
        let mut on_kill = running.on_kill();
        on_kill.extend(new.on_kill());
        self.post(&names::kill_switch(), KillMessage::Accounts(on_kill));
        // Limits first, so that nothing new starts under old limits.
        if !difference.changes.is_empty() {
            self.post(&names::risk_manager(), RiskMessage::Limits(Box::new(assemble::risk_limits(&new, &plan.traded()))));
        }
        self.take_out(&difference);
        self.bring_in(&new, &difference);
        if !difference.is_empty() {
            let changes = difference::texts(difference.changes.iter().chain(&difference.needs_restart));
            around.journal.note(vec![Record::ConfigChanged { changes, config_hash: new.config_hash() }]);
        }
        difference
    }

    fn take_out(&self, difference: &Difference) {
        let around = &self.plan.around;
        for id in &difference.strategies.gone {
            tree::take_out(&around.directory, "strategies", &names::strategy(*id));
        }
        for symbol in &difference.symbols.gone {
            tree::take_out(&around.directory, "markets", &names::market(*symbol));
            around.board.forget(*symbol);
        }
    }

    /// A child of the same name that is still on its way out is waited for by its supervisor.
    fn bring_in(&self, new: &Settings, difference: &Difference) {
        for account in new.enabled_accounts().filter(|account| difference.accounts.new.contains(&account.id)) {
            if let Err(why) = self.open(new, account) {
                tracing::error!(target: "ringfence::daemon", account = %account.id, %why, "account not opened");
                self.tell(format!("account {} is not traded: {why}", account.id));
                continue;
            }
            self.add("execution", self.plan.executor(account.id));
        }
        for instrument in self.plan.instruments.load().iter().filter(|instrument| difference.symbols.new.contains(&instrument.symbol)) {
            self.add("markets", self.plan.market(instrument.clone()));
        }
        for spec in new.enabled_strategies().filter(|spec| difference.strategies.new.contains(&spec.id)) {
            for instrument in assemble::instruments_of(spec, &self.plan.traded()).unwrap_or_default() {
                self.post(&names::market(instrument.symbol), MarketMessage::WantBars(spec.interval));
            }
            self.add("strategies", self.plan.strategy(spec));
        }
    }

    fn open(&self, settings: &Settings, account: &AccountSpec) -> Result<(), Failure> {
        if let Some(kind) = Places::embedded_kind(settings, account) {
            self.exchange.open_account(account, kind)?;
        }
        self.places.add_account(account)
    }

    async fn see_out(&self, difference: Difference) {
        let gone = |ids: &[StrategyId]| ids.iter().copied().filter(|id| !difference.strategies.new.contains(id)).collect();
        let leaving = Leaving {
            strategies: gone(&difference.strategies.gone),
            accounts: difference.accounts.gone.clone(),
            symbols: difference.symbols.gone.clone(),
        };
        if difference.strategies.gone.is_empty() && leaving.is_empty() {
            return;
        }
        for text in leaving.see_out(&self.plan).await {
            self.tell(text);
        }
        self.post(&names::kill_switch(), KillMessage::Accounts(difference.settings.on_kill()));
    }

    fn add(&self, supervisor: &str, child: Child) {
        if let Some(supervisor) = self.plan.around.directory.supervisor(supervisor) {
            // A supervisor that stops meanwhile has no use for it.
            let _ = supervisor.add(child);
        }
    }

    fn post<M: std::fmt::Debug + Send + 'static>(&self, name: &ChildName, message: M) {
        Post::new(&self.plan.around.directory, name).tell(message);
    }

    fn tell(&self, text: String) {
        self.hub.tell(self.plan.around.clock.now(), EventKind::Reload, text);
    }
}

/// The roster that settings make.
#[must_use]
pub fn roster(plan: &Plan, settings: &Settings) -> RosterEntries {
    let traded = plan.traded();
    let strategies = assemble::roster(settings, &traded);
    for idle in settings.enabled_strategies().filter(|spec| !strategies.contains_key(&spec.id)) {
        tracing::warn!(target: "ringfence::daemon", strategy = %idle.id, "not started: no account or symbol of it is enabled");
    }
    let accounts: Vec<AccountId> = settings.enabled_accounts().map(|account| account.id).collect();
    let symbols: Vec<Symbol> = traded.iter().map(|instrument| instrument.symbol).collect();
    RosterEntries { accounts, symbols, strategies }
}
