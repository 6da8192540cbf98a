//! What the API shows and does. Everything shown comes from published views; every command goes to the actor that owns the
//! matter. A halt closes the gate before it asks anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, watch};

use super::alerts;
use super::embedded::Embedded;
use super::gauges;
use super::hub::{Hub, RESTART_SHOWS};
use super::places::Places;
use super::threads::Threads;
use super::tree::{self, Plan};
use crate::actors::{flood, names};
use crate::api::view::{
    AccountStatus, AdminStatusView, BuildView, ChildStatus, KillSwitchView, LimitUse, PublicEvent, Readiness, RecentOrder, Restriction,
    StatusView, StrategyStatus, SymbolStatus,
};
use crate::api::{AlertsView, ApiProblem, CommandOutcome, Control, Health, InjectedFault, OperatorCommand, Verb};
use crate::domain::alerts::Severity;
use crate::domain::ids::{AccountId, StrategyId, VenueId};
use crate::domain::kill_switch;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::Money;
use crate::domain::order::OrderReport;
use crate::domain::record::Record;
use crate::domain::restart::ChildState;
use crate::domain::time::Timestamp;
use crate::messages::inbox::{Progress, Reply};
use crate::messages::{CommandAnswer, KillWord, Post};
use crate::supervision::Inject;
use crate::telemetry::logs;
use crate::telemetry::metrics::{self, MetricsHandle};

/// How long an operator's answer waits for the journal: a healthy disk takes a few thousandths of it.
const DURABLE_WITHIN: Duration = Duration::from_secs(1);
/// How long it waits for the kill switch: one that is stuck is found after two seconds and has a successor within the next.
const ACTED_WITHIN: Duration = Duration::from_secs(5);

/// What the daemon tells of itself.
pub struct DaemonControl {
    plan: Arc<Plan>,
    hub: Arc<Hub>,
    metrics: MetricsHandle,
    /// For drills.
    exchange: Arc<Embedded>,
    places: Arc<Places>,
    threads: Arc<Threads>,
    started: Timestamp,
    stopping: AtomicBool,
    emptying: Mutex<Emptying>,
}

/// What the kill switch last said of the accounts that it empties.
#[derive(Debug, Default)]
struct Emptying {
    /// Halted, and without an open order at the venue since.
    confirmed: BTreeSet<AccountId>,
    /// Tried often and not emptied yet, and why.
    failing: BTreeMap<AccountId, String>,
}

impl DaemonControl {
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        hub: Arc<Hub>,
        metrics: MetricsHandle,
        exchange: Arc<Embedded>,
        places: Arc<Places>,
        threads: Arc<Threads>,
    ) -> Arc<Self> {
        let (started, stopping, emptying) = (plan.around.clock.now(), AtomicBool::new(false), Mutex::default());
        Arc::new(Self { plan, hub, metrics, exchange, places, threads, started, stopping, emptying })
    }

    /// Not ready from here on.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub fn upkeep(&self) {
        self.measure();
        self.metrics.upkeep();
    }

    fn measure(&self) {
        gauges::measure(&self.plan, &self.places, &self.hub);
        let (open, _) = self.plan.around.alerts.book();
        let critical = open.iter().filter(|alert| alert.severity == Severity::Critical).count();
        metrics::alerts_open(open.len() - critical, critical);
    }

    pub fn confirm(&self, account: AccountId) {
        let mut emptying = self.emptying();
        emptying.failing.remove(&account);
        emptying.confirmed.insert(account);
    }

    pub fn unconfirm(&self, account: AccountId) {
        self.emptying().confirmed.remove(&account);
    }

    pub fn emptied(&self, account: AccountId) {
        self.emptying().failing.remove(&account);
    }

    pub fn not_emptied(&self, account: AccountId, why: String) {
        self.emptying().failing.insert(account, why);
    }

    /// Whether the account is halted and the venue showed no open order of it since.
    #[must_use]
    pub fn is_confirmed(&self, account: AccountId) -> bool {
        self.emptying().confirmed.contains(&account)
    }

    /// Forgets who is confirmed, where that no longer holds.
    pub fn modes_changed(&self) {
        let modes = self.plan.around.modes.get();
        self.emptying().confirmed.retain(|account| modes.account(*account) == Mode::Halted);
    }

    fn emptying(&self) -> MutexGuard<'_, Emptying> {
        self.emptying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting_for(&self) -> Vec<String> {
        let children = self.plan.around.directory.children();
        let modes = self.plan.around.modes.get();
        let mut waiting: Vec<String> = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            waiting.push("stopping".to_owned());
        }
        let roster = self.plan.around.roster.get();
        let wanted = roster.accounts.iter().map(|account| names::executor(*account));
        let wanted = wanted.chain(roster.symbols.iter().map(|symbol| names::market(*symbol)));
        let wanted = wanted.chain(roster.strategies.keys().map(|strategy| names::strategy(*strategy)));
        let wanted = wanted.chain([names::risk_manager(), names::kill_switch(), names::plain("journal"), names::plain("watchdog")]);
        for name in wanted {
            let ready = children.iter().any(|child| child.name == name && child.state == ChildState::Ready);
            // What a halt has taken down is not waited for: it is down on purpose.
            let halted = modes.of(names::scope_of(name.as_str())) == Mode::Halted;
            if !ready && !halted {
                waiting.push(name.to_string());
            }
        }
        waiting
    }

    /// An account is shown as halted only once the venue itself shows no open order of it; until then it is what it is, an
    /// account whose orders are being cancelled.
    fn shown_mode(&self, account: AccountId) -> Mode {
        let mode = self.plan.around.modes.reported().account(account);
        if mode == Mode::Halted && !self.is_confirmed(account) { Mode::CancelOnly } else { mode }
    }

    fn account(&self, account: AccountId) -> AccountStatus {
        let standings = self.plan.around.views.accounts();
        let mode = self.shown_mode(account);
        match standings.get(&account) {
            Some(standing) => AccountStatus {
                name: account,
                mode: if mode == Mode::CancelOnly { mode } else { mode.max(standing.mode) },
                orders: standing.orders,
                fills: standing.fills,
                open_orders: standing.open.len() as u64,
                wallet: standing.view.wallet,
                equity: standing.view.equity,
                day_pnl: standing.view.day_pnl,
                positions: standing.view.positions.clone(),
            },
            None => AccountStatus {
                name: account,
                mode: mode.max(Mode::CancelOnly),
                orders: 0,
                fills: 0,
                open_orders: 0,
                wallet: Money::ZERO,
                equity: Money::ZERO,
                day_pnl: None,
                positions: vec![],
            },
        }
    }

    fn strategies(&self) -> Vec<StrategyStatus> {
        let settings = self.plan.settings.load();
        let (roster, modes) = (self.plan.around.roster.get(), self.plan.around.modes.reported());
        let standings = self.plan.around.views.strategies();
        let available = self.plan.traded();
        let status = |spec: &crate::settings::StrategySpec| {
            let standing = standings.get(&spec.id).cloned().unwrap_or_default();
            let symbols = crate::simulation::assemble::instruments_of(spec, &available).unwrap_or_default();
            StrategyStatus {
                id: spec.id,
                kind: spec.kind.clone(),
                running: roster.strategies.contains_key(&spec.id) && standing.warm,
                mode: modes.of(Scope::Strategy(spec.id)),
                accounts: spec.accounts.clone(),
                symbols: symbols.iter().map(|instrument| instrument.symbol).collect(),
                signals: standing.proposed,
                refused: standing.refused,
            }
        };
        settings.strategies.iter().map(status).collect()
    }

    fn symbols(&self) -> Vec<SymbolStatus> {
        let (board, modes, now) = (self.plan.around.board.all(), self.plan.around.modes.reported(), self.plan.around.clock.now());
        let status = |symbol: &crate::domain::ids::Symbol| {
            let view = board.get(symbol);
            SymbolStatus {
                name: *symbol,
                mode: modes.of(Scope::Symbol(*symbol)),
                bid: view.and_then(|view| view.bid).map(|(price, _)| price),
                ask: view.and_then(|view| view.ask).map(|(price, _)| price),
                last: view.and_then(|view| view.last),
                age_ms: view.map(|view| u64::try_from(now.since(view.heard_at).as_millis()).unwrap_or(u64::MAX)),
                stale: view.is_none_or(|view| view.stale),
                frames: view.map_or(0, |view| view.sequence),
            }
        };
        self.plan.around.roster.get().symbols.iter().map(status).collect()
    }

    fn children(&self) -> Vec<ChildStatus> {
        let directory = &self.plan.around.directory;
        let status = |child: crate::domain::restart::ChildView| ChildStatus {
            mailbox: directory.gauge(child.name.as_str()).map_or(0, |gauge| gauge.depth() as u64),
            name: child.name.to_string(),
            incarnation: child.incarnation,
            restarts: child.restarts,
            state: child.state.to_string(),
        };
        let mut children: Vec<ChildStatus> = directory.children().into_iter().map(status).collect();
        // Guards last: a person looks for what they stand around.
        children.sort_by_key(|child| child.name.starts_with("guard/"));
        children
    }

    fn kill_switch(&self) -> KillSwitchView {
        let modes = self.plan.around.modes.reported();
        let first = modes.iter().filter(|entry| entry.mode == Mode::Halted).min_by_key(|entry| entry.since);
        KillSwitchView {
            tripped: first.is_some(),
            cause: first.map(|entry| entry.cause.clone()),
            since: first.map(|entry| entry.since),
            verified: self.emptying().confirmed.iter().copied().filter(|account| modes.account(*account) == Mode::Halted).collect(),
        }
    }

    /// The kill switch's verbs. A halt of everything slams the gate first, so that it holds whatever the mailboxes look like.
    /// What makes things stricter is kept until it is carried out, by this kill switch or its successor; a resume that nobody
    /// took in time is taken back, because nobody expects it later.
    async fn to_kill_switch(&self, verb: kill_switch::Verb, command: &OperatorCommand) -> Result<String, ApiProblem> {
        if verb == kill_switch::Verb::Halt && command.scope == Scope::Global {
            self.plan.around.gate.slam();
        }
        let order = kill_switch::Order { verb, scope: command.scope, by: command.by.clone(), reason: command.reason.clone() };
        let (reply, mut progress) = Reply::new();
        let Some(id) = self.plan.around.kill_switch().send(KillWord::Operator { order, reply }) else {
            return Err(ApiProblem::unavailable(
                "expected room in the kill switch's inbox, found it full: everything is being halted; try again",
            ));
        };
        if !reaches(&mut progress, ACTED_WITHIN, |progress| *progress != Progress::Waiting).await {
            return Err(self.not_acted(verb, command.scope, id));
        }
        let durable = reaches(&mut progress, DURABLE_WITHIN, |progress| matches!(progress, Progress::Settled(_))).await;
        let (Progress::Acted(answer) | Progress::Settled(answer)) = progress.borrow().clone() else {
            return Err(self.not_acted(verb, command.scope, id));
        };
        match answer {
            CommandAnswer { accepted: false, text } => Err(ApiProblem::conflict(text)),
            CommandAnswer { text, .. } if durable => Ok(text),
            CommandAnswer { text, .. } => Ok(format!("{text}; the journal has not taken it yet: look at the disk")),
        }
    }

    fn not_acted(&self, verb: kill_switch::Verb, scope: Scope, id: u64) -> ApiProblem {
        let found = format!("{verb} of {scope} expected the kill switch to act within {ACTED_WITHIN:?}, found it busy or restarting");
        let then = match verb {
            kill_switch::Verb::Resume if self.plan.around.inbox.withdraw(id) => "nothing was resumed; try again",
            kill_switch::Verb::Resume => "it waits for the journal and nothing is resumed before; look at the disk and at the status",
            _ => "it is kept and the first thing that is carried out; look at the status",
        };
        ApiProblem::unavailable(format!("{found}; {then}"))
    }

    fn check_scope(&self, scope: Scope) -> Result<(), ApiProblem> {
        let roster = self.plan.around.roster.get();
        let settings = self.plan.settings.load();
        let known = match scope {
            Scope::Global => true,
            Scope::Account(account) => roster.accounts.contains(&account),
            Scope::Symbol(symbol) => roster.symbols.contains(&symbol),
            Scope::Strategy(id) => settings.strategies.iter().any(|spec| spec.id == id),
        };
        if known {
            return Ok(());
        }
        Err(ApiProblem::not_found(format!("expected a configured account, symbol or strategy, found {scope}")))
    }

    /// Cancels within a strategy or a symbol go through the executors, which know whose order is whose.
    fn cancel_within(&self, scope: Scope, reason: &str) {
        let (symbol, strategy) = match scope {
            Scope::Symbol(symbol) => (Some(symbol), None),
            Scope::Strategy(strategy) => (None, Some(strategy)),
            Scope::Global | Scope::Account(_) => return,
        };
        let around = &self.plan.around;
        for account in &around.roster.get().accounts {
            let message = crate::messages::ExecutorMessage::CancelWhere { symbol, strategy, reason: reason.to_owned() };
            Post::new(&around.directory, &names::executor(*account)).tell(message);
        }
    }

    /// Every account that trades there, side by side: each is a command of its own in the journal. One that is refused keeps no
    /// other from being carried out, and the answer says which.
    async fn on_venue(&self, venue: VenueId, command: &OperatorCommand) -> Result<CommandOutcome, ApiProblem> {
        let settings = self.plan.settings.load_full();
        let accounts: Vec<AccountId> =
            settings.enabled_accounts().filter(|account| account.venue == venue).map(|account| account.id).collect();
        if accounts.is_empty() {
            return Err(ApiProblem::not_found(format!("expected a venue that accounts trade at, found {venue}")));
        }
        let each = accounts.into_iter().map(|account| {
            let one = OperatorCommand { scope: Scope::Account(account), venue: None, ..command.clone() };
            self.carry_out_one(one)
        });
        let answers = futures_util::future::join_all(each).await;
        let (mut told, mut refused) = (Vec::new(), None);
        for answer in answers {
            match answer {
                Ok(outcome) => told.push(outcome.outcome),
                Err(problem) => {
                    told.push(problem.detail.clone());
                    refused = Some(problem);
                }
            }
        }
        let outcome = told.join("; ");
        match refused {
            Some(problem) => Err(ApiProblem { detail: outcome, ..problem }),
            None => Ok(CommandOutcome { verb: command.verb.name().to_owned(), scope: Scope::Global, outcome, complete: false }),
        }
    }

    async fn carry_out(&self, command: OperatorCommand) -> Result<CommandOutcome, ApiProblem> {
        match command.venue {
            Some(venue) => self.on_venue(venue, &command).await,
            None => self.carry_out_one(command).await,
        }
    }

    async fn carry_out_one(&self, command: OperatorCommand) -> Result<CommandOutcome, ApiProblem> {
        self.check_scope(command.scope)?;
        let by_kill_switch = match &command.verb {
            Verb::EmergencyStop | Verb::Halt => Some(kill_switch::Verb::Halt),
            Verb::Resume => Some(kill_switch::Verb::Resume),
            Verb::Cancel => Some(kill_switch::Verb::Cancel),
            Verb::Flatten => Some(kill_switch::Verb::Flatten),
            _ => None,
        };
        let outcome = match (by_kill_switch, &command.verb) {
            (Some(verb), _) => {
                let asked = self.to_kill_switch(verb, &command).await;
                // A command that is late is kept; its cancels within a strategy or a symbol need not wait for it.
                let refused = asked.as_ref().is_err_and(ApiProblem::is_conflict);
                if !refused && verb != kill_switch::Verb::Resume {
                    self.cancel_within(command.scope, &command.reason);
                }
                asked?
            }
            (None, Verb::Restart { child }) => {
                self.plan.around.directory.restart(child).map_err(|error| ApiProblem::not_found(error.to_string()))?;
                self.journal(&command, child)
            }
            (None, Verb::Inject { child, fault }) => self.inject(child, *fault, &command)?,
            (None, Verb::Override { .. }) => super::overriding::grant(&self.plan, &command).await?,
            (None, Verb::AcknowledgeAlert(id)) => {
                let outcome = alerts::acknowledge(&self.plan, *id, &command.by, &command.reason)?;
                self.journal(&command, &outcome)
            }
            (None, Verb::StartStrategy(id)) => self.start_strategy(*id, &command)?,
            (None, Verb::StopStrategy(id)) => self.stop_strategy(*id, &command)?,
            (None, _) => return Err(ApiProblem::unprocessable("expected a verb of this daemon")),
        };
        let complete = !matches!(command.verb, Verb::EmergencyStop | Verb::Halt | Verb::Cancel | Verb::Flatten);
        Ok(CommandOutcome { verb: command.verb.name().to_owned(), scope: command.scope, outcome, complete })
    }

    fn inject(&self, child: &str, fault: InjectedFault, command: &OperatorCommand) -> Result<String, ApiProblem> {
        let around = &self.plan.around;
        // The row first: what the fault does to the daemon must not keep the journal from knowing of it.
        let text = self.journal(command, &format!("{fault} into {child}"));
        let kind = match fault {
            InjectedFault::Panic if child == "log_writer" => {
                logs::inject_panic();
                return Ok(text);
            }
            InjectedFault::Panic if child == "exchange" => {
                self.exchange.kill(&around.services);
                return Ok(text);
            }
            InjectedFault::Panic => Inject::Panic,
            InjectedFault::Wedge => Inject::Wedge,
            InjectedFault::Spin => Inject::Spin,
            InjectedFault::Flood => {
                let (around, child) = (around.clone(), child.to_owned());
                // A second's work that ends by itself, off the threads that answer.
                self.plan.around.services.spawn_blocking(move || flood::flood(&around, &child));
                return Ok(text);
            }
            InjectedFault::Fail if child == "journal" => {
                around.journal.handle().inject_failure();
                return Ok(text);
            }
            InjectedFault::Fail if child == "emergency_writer" => {
                around.journal.fail_emergency();
                return Ok(text);
            }
            InjectedFault::RefuseCancels | InjectedFault::TakeCancels if child == "exchange" => {
                let (exchange, refuse) = (Arc::clone(&self.exchange), fault == InjectedFault::RefuseCancels);
                // Done at once, off the thread that answers.
                self.plan.around.services.spawn(async move { exchange.refuse_cancels(refuse).await });
                return Ok(text);
            }
            InjectedFault::Fail => {
                return Err(ApiProblem::unprocessable(format!("fail expected the journal or the emergency_writer, found {child}")));
            }
            InjectedFault::RefuseCancels | InjectedFault::TakeCancels => {
                return Err(ApiProblem::unprocessable(format!("{fault} expected the exchange, found {child}")));
            }
        };
        around.directory.inject(child, kind).map_err(|error| ApiProblem::not_found(error.to_string()))?;
        Ok(text)
    }

    fn start_strategy(&self, id: StrategyId, command: &OperatorCommand) -> Result<String, ApiProblem> {
        let settings = self.plan.settings.load();
        let spec = settings.strategies.iter().find(|spec| spec.id == id);
        let spec = spec.ok_or_else(|| ApiProblem::not_found(format!("expected a configured strategy, found {id}")))?;
        crate::simulation::assemble::instruments_of(spec, &self.plan.traded())
            .map_err(|error| ApiProblem::unprocessable(error.to_string()))?;
        self.plan.around.roster.update(|roster| drop(roster.strategies.insert(id, spec.accounts.clone())));
        tree::ensure(&self.plan.around.directory, "strategies", self.plan.strategy(spec));
        Ok(self.journal(command, &format!("{id} started")))
    }

    /// Its open orders are cancelled; its positions stay, with nobody to look after them, and the answer says so. Out of the
    /// roster first: from then on no executor sends what is still on its way, and what was sent before is cancelled.
    fn stop_strategy(&self, id: StrategyId, command: &OperatorCommand) -> Result<String, ApiProblem> {
        if !self.plan.around.roster.get().strategies.contains_key(&id) {
            return Err(ApiProblem::not_found(format!("expected a running strategy, found {id}")));
        }
        self.plan.around.roster.update(|roster| drop(roster.strategies.remove(&id)));
        tree::take_out(&self.plan.around.directory, "strategies", &names::strategy(id));
        self.cancel_within(Scope::Strategy(id), &command.reason);
        Ok(self.journal(command, &format!("{id} stopped, its open orders are being cancelled, its positions stay")))
    }

    fn journal(&self, command: &OperatorCommand, outcome: &str) -> String {
        let row = Record::OperatorCommand {
            verb: command.verb.name().to_owned(),
            scope: command.scope,
            by: command.by.clone(),
            reason: command.reason.clone(),
            outcome: outcome.to_owned(),
        };
        self.plan.around.journal.note(vec![row]);
        outcome.to_owned()
    }
}

impl Control for DaemonControl {
    fn status(&self) -> StatusView {
        let around = &self.plan.around;
        let (now, modes, roster) = (around.clock.now(), around.modes.reported(), around.roster.get());
        let restriction =
            |entry: &crate::domain::ladder::ScopeMode| Restriction { scope: entry.scope, mode: entry.mode, cause: entry.cause.clone() };
        StatusView {
            mode: modes.of(Scope::Global),
            ready: self.waiting_for().is_empty(),
            at: now,
            uptime_seconds: now.since(self.started).as_secs(),
            epoch: self.plan.epoch,
            build: BuildView::current(self.plan.settings.load().config_hash()),
            kill_switch: self.kill_switch(),
            accounts: roster.accounts.iter().map(|account| self.account(*account)).collect(),
            strategies: self.strategies(),
            symbols: self.symbols(),
            children: self.children(),
            restrictions: modes.iter().map(restriction).collect(),
            events: self.hub.recent(),
            alerts: self.alerts().open,
        }
    }

    fn admin_status(&self) -> AdminStatusView {
        let standings = self.plan.around.views.accounts();
        let reports = standings.values().flat_map(|standing| standing.ended.iter().map(AsRef::as_ref).chain(&standing.open));
        let mut recent_orders: Vec<RecentOrder> = reports.map(recent).collect();
        recent_orders.sort_by_key(|order| order.at);
        let settings = self.plan.settings.load();
        let mut risk = Vec::new();
        for (account, standing) in standings.iter() {
            let own = settings.risk.accounts.get(account).copied().unwrap_or_default();
            let limit = own.max_daily_loss.or(settings.risk.defaults.max_daily_loss);
            risk.push(LimitUse {
                control: "daily_loss".to_owned(),
                scope: Scope::Account(*account),
                limit: limit.map_or_else(|| "not configured".to_owned(), |limit| limit.to_string()),
                value: standing.view.day_pnl.map_or_else(|| "not known".to_owned(), |day_pnl| (-day_pnl).to_string()),
            });
        }
        AdminStatusView { status: self.status(), recent_orders, risk }
    }

    fn alerts(&self) -> AlertsView {
        alerts::view(&self.plan)
    }

    fn ready(&self) -> Readiness {
        let waiting_for = self.waiting_for();
        Readiness { ready: waiting_for.is_empty(), waiting_for }
    }

    /// Degraded is: what is not ready, what was restarted just now, what is not in Normal mode, and what the kill switch cannot
    /// empty.
    fn health(&self) -> Health {
        let (around, now) = (&self.plan.around, self.plan.around.clock.now());
        let mut degraded: Vec<String> = self.waiting_for().into_iter().map(|name| format!("{name} is not ready")).collect();
        for child in around.directory.children() {
            let age = now.since(child.since);
            if child.restarts > 0 && age < RESTART_SHOWS {
                degraded.push(format!("{} was restarted {} s ago: {}", child.name, age.as_secs(), child.last_exit.unwrap_or_default()));
            }
        }
        degraded.extend(around.modes.reported().iter().map(|entry| format!("{} is {}: {}", entry.scope, entry.mode, entry.cause)));
        degraded.extend(self.threads.troubles(now));
        let failing = |(account, why): (&AccountId, &String)| {
            format!("{} is not emptied yet, {why}: it is tried on; look at the venue", Scope::Account(*account))
        };
        degraded.extend(self.emptying().failing.iter().map(failing));
        degraded.into()
    }

    fn command(&self, command: OperatorCommand) -> BoxFuture<'_, Result<CommandOutcome, ApiProblem>> {
        self.carry_out(command).boxed()
    }

    fn metrics(&self) -> String {
        self.measure();
        self.metrics.render()
    }

    fn events(&self) -> broadcast::Receiver<Arc<PublicEvent>> {
        self.hub.subscribe()
    }
}

fn recent(report: &OrderReport) -> RecentOrder {
    RecentOrder {
        account: report.account,
        strategy: report.strategy,
        symbol: report.symbol,
        client_order_id: report.client_order_id,
        side: report.side,
        quantity: report.quantity,
        filled: report.filled,
        status: report.status,
        detail: report.detail.clone(),
        at: report.at,
    }
}

/// Waits until a command has come so far, or says that it has not in that time.
async fn reaches(progress: &mut watch::Receiver<Progress>, within: Duration, so_far: impl FnMut(&Progress) -> bool) -> bool {
    tokio::time::timeout(within, progress.wait_for(so_far)).await.is_ok_and(|reached| reached.is_ok())
}
