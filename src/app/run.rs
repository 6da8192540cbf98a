//! `ringfence run`: opens the journal, the exchange and the interfaces, starts the two roots and the services, and waits for
//! what the outside says. What it cannot open it refuses in one line, before anything runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::mpsc;

use super::alerts::AlertSinks;
use super::alive::{self, Alive};
use super::control::DaemonControl;
use super::embedded::{self, Embedded};
use super::hub::Hub;
use super::listing;
use super::memory;
use super::places::Places;
use super::reload::{self, Reload};
use super::safety::{self, Exit, Safety};
use super::services;
use super::shutdown;
use super::sink::Sink;
use super::threads::Threads;
use super::tree::{Plan, PlanParts};
use crate::actors::Surroundings;
use crate::actors::journal::JournalPort;
use crate::actors::kill_switch::Notice;
use crate::api::{ApiConfig, ApiServer, EventKind};
use crate::cli::screen::{self, Screen};
use crate::cli::{Failure, RunOptions};
use crate::domain::ids::Epoch;
use crate::domain::mode::{Mode, Scope};
use crate::domain::record::Entry;
use crate::domain::recovery::DaemonState;
use crate::messages::{Board, Clock, KillInbox, KillWord, ModeBoard, Views, Wires, boards::Feeds, boards::Roster};
use crate::settings::{LogFormat, Settings};
use crate::store::{Journal, JournalOptions, Latch};
use crate::strategies::Registry;
use crate::supervision::signals::{self, Signal, Signals};
use crate::supervision::{Directory, Environment, MonotonicClock, Runtimes, ServiceManager, Supervisor, SupervisorHandle, Word};
use crate::telemetry::events::{DaemonReady, DaemonStopped, DaemonStopping};
use crate::telemetry::logs;
use crate::telemetry::{self, LogSink, OtlpConfig, TelemetryConfig, TelemetryGuard};
use crate::venues::port::Venue;

/// How long the runtimes get to end after everything on them has stopped.
const RUNTIME_END: Duration = Duration::from_secs(1);
/// How often what was measured is folded into the histograms: nobody may ever ask for the metrics, and until then every value
/// is kept.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How late the log may say that everything is ready.
const LOOK_FOR_READY: Duration = Duration::from_millis(10);

/// # Errors
/// When something cannot be opened (exit 2), or the daemon ended in a halt of its own (exit 1).
pub fn run(options: RunOptions, registry: &Registry) -> Result<(), Failure> {
    memory::prefer_small_pages();
    let data_dir = options.settings.daemon.data_dir.clone();
    std::fs::create_dir_all(&data_dir)
        .map_err(|error| Failure::usage(format!("data directory {}: expected to create or open it, found: {error}", data_dir.display())))?;
    let on_screen = !options.plain && screen::is_possible();
    let telemetry = start_telemetry(&options.settings, &data_dir, on_screen)?;
    let result = with_journal(options, registry, &data_dir, &telemetry, on_screen);
    telemetry.shutdown(telemetry::SHUTDOWN_TIMEOUT);
    result
}

fn start_telemetry(settings: &Settings, data_dir: &Path, on_screen: bool) -> Result<TelemetryGuard, Failure> {
    let wanted = &settings.telemetry;
    let otlp = wanted.otlp_endpoint.as_ref().map(|endpoint| OtlpConfig {
        endpoint: endpoint.clone(),
        sample_ratio: f64::try_from(wanted.sample_ratio.0).unwrap_or(1.0),
        service_name: wanted.service_name.clone(),
        instance: format!("{}", std::process::id()),
    });
    let config = TelemetryConfig {
        log_filter: settings.daemon.log.clone(),
        log_format: match wanted.log_format {
            LogFormat::Text => telemetry::LogFormat::Text,
            LogFormat::Json => telemetry::LogFormat::Json,
        },
        log_sink: if on_screen { LogSink::File(data_dir.join("ringfence.log")) } else { LogSink::Stderr },
        otlp,
    };
    telemetry::init(config).map_err(Failure::usage)
}

fn with_journal(
    mut options: RunOptions,
    registry: &Registry,
    data_dir: &Path,
    telemetry: &TelemetryGuard,
    on_screen: bool,
) -> Result<(), Failure> {
    let journal_options = JournalOptions {
        rows_per_segment: options.settings.journal.rows_per_file,
        ..JournalOptions::new(env!("CARGO_PKG_VERSION"), options.settings.config_hash())
    };
    // Whatever is wrong with it (in use, not writable, broken chain), nothing may trade: exit 2 with the way out.
    let (journal, recovery) = Journal::open(data_dir, &journal_options).map_err(Failure::usage)?;
    let epoch = recovery.epoch;
    let mut state = recovery.into_state().map_err(Failure::failed)?;
    Latch::new(data_dir).adopt_into(&mut state, crate::store::wall_clock());
    let clock = Clock::start();
    let exchange = Arc::new(embedded::start(&mut options.settings, data_dir, &clock)?);
    let runtimes = Runtimes::start().map_err(Failure::failed)?;
    let started = Started { options, data_dir, telemetry, on_screen, clock, journal: &journal, exchange: &exchange, runtimes: &runtimes };
    let ended = runtimes.block_on(started.daemon(registry.clone(), state, epoch));
    let clean = ended.as_ref().is_ok_and(|exit| *exit == Exit::Ordered);
    // With the runtimes goes whoever listened: from here on a signal ends the process at once, should a disk hang.
    signals::unhandle();
    let trading_ended = runtimes.shutdown(RUNTIME_END);
    if !clean || !trading_ended {
        // The rest may never end by itself: what is durable is durable, and the log must be out.
        logs::flush(RUNTIME_END);
        let why = match ended {
            Ok(exit) => exit.to_string(),
            Err(failure) => return Err(failure),
        };
        return Err(Failure::failed(why));
    }
    exchange.stop().map_err(Failure::failed)?;
    journal.close("stopped in order").map_err(Failure::failed)?;
    DaemonStopped.emit();
    Ok(())
}

struct Started<'a> {
    options: RunOptions,
    data_dir: &'a Path,
    telemetry: &'a TelemetryGuard,
    on_screen: bool,
    clock: Clock,
    journal: &'a Journal,
    exchange: &'a Arc<Embedded>,
    runtimes: &'a Runtimes,
}

/// Everything that runs, for as long as it runs.
struct Running {
    plan: Arc<Plan>,
    control: Arc<DaemonControl>,
    hub: Arc<Hub>,
    roots: Vec<SupervisorHandle>,
    exits: mpsc::UnboundedReceiver<Exit>,
    notices: mpsc::UnboundedReceiver<Notice>,
    safety: Arc<Safety>,
    places: Arc<Places>,
    url: String,
    service_manager: ServiceManager,
}

impl Started<'_> {
    #[allow(clippy::disallowed_methods, reason = "how long the start takes is wall time")]
    async fn daemon(self, registry: Registry, state: DaemonState, epoch: Epoch) -> Result<Exit, Failure> {
        let began = Instant::now();
        let signals = Signals::listen().map_err(Failure::failed)?;
        let mut running = self.start(registry, state, epoch).await?;
        let screen = self.screen(&running)?;
        let reload = Reload {
            source: self.options.source.clone(),
            plan: Arc::clone(&running.plan),
            hub: Arc::clone(&running.hub),
            log_filter: self.telemetry.log_filter(),
            places: Arc::clone(&running.places),
            exchange: Arc::clone(self.exchange),
        };
        let exit = running.until_asked(signals, &reload, began).await;
        DaemonStopping { cause: &exit.to_string() }.emit();
        running.tell(Word::Status(exit.to_string()));
        running.tell(Word::Stopping);
        let exit = running.stop(exit).await;
        drop(screen);
        Ok(exit)
    }

    /// What every child may know, and where it trades.
    async fn surroundings(
        &self,
        state: DaemonState,
        hub: &Arc<Hub>,
        sinks: &AlertSinks,
    ) -> Result<(Surroundings, Environment, Arc<Places>), Failure> {
        let (clock, inbox, observer) = (self.clock.clone(), KillInbox::default(), Arc::clone(hub));
        let (modes, epoch) = (state.modes.clone(), state.epoch);
        let ledgers = state.accounts.iter().filter_map(|(account, state)| Some((*account, state.positions.ledger_from()?))).collect();
        let alerts = sinks.desk(state.alerts.clone(), self.options.settings.alerts.escalate_after, &clock, hub);
        let desk = alerts.clone();
        let port = JournalPort::new(
            self.journal.handle(),
            self.journal.emergency(),
            state,
            self.options.settings.journal.checkpoint_every,
            clock.clone(),
            Arc::new(move |port: &JournalPort, entry: &Entry| {
                observer.entry(entry);
                desk.entry(port, entry);
            }),
        );
        let (directory, feeds) = (Directory::new(), Feeds::default());
        let environment = Environment {
            directory: directory.clone(),
            runtimes: self.runtimes.handles(),
            sink: Arc::new(Sink::new(port.clone(), inbox.clone(), &directory, feeds.clone())),
            clock: MonotonicClock::start(),
            jitter_seed: u64::from(epoch.0) ^ u64::from(std::process::id()),
        };
        let mode_board = ModeBoard::default();
        let places =
            Places::open(&self.options.settings, Arc::clone(self.exchange), &clock, inbox.gate(), mode_board.clone(), ledgers).await?;
        let history = services::WireHistory::new(&places);
        let around = Surroundings {
            directory,
            clock,
            board: Board::default(),
            modes: mode_board,
            views: Arc::new(Views::default()),
            wires: Arc::new(Wires::default()),
            roster: Roster::default(),
            feeds,
            gate: inbox.gate(),
            inbox,
            journal: port,
            alerts,
            history: Arc::new(history),
            services: self.runtimes.handles().services,
        };
        around.modes.set(Arc::new(modes.clone()));
        around.modes.report(modes.clone());
        around.gate.set(&modes);
        Ok((around, environment, places))
    }

    async fn start(&self, registry: Registry, state: DaemonState, epoch: Epoch) -> Result<Running, Failure> {
        let settings = &self.options.settings;
        let hub = Arc::new(Hub::default());
        let (modes, sinks) = (state.modes.clone(), AlertSinks::of(&settings.alerts));
        let (around, environment, places) = self.surroundings(state, &hub, &sinks).await?;
        let plan = Plan::new(PlanParts {
            settings: settings.clone(),
            registry,
            instruments: places.instruments(),
            venue: Arc::clone(&places.venue) as Arc<dyn Venue>,
            feeds: places.feeds(),
            epoch,
            around,
            environment: environment.clone(),
        });
        plan.around.roster.set(reload::roster(&plan, settings));
        for (symbol, cause) in places.take_held() {
            plan.around.kill_switch().tell(KillWord::Trip { scope: Scope::Symbol(symbol), mode: Mode::ReduceOnly, cause });
        }
        let threads = Threads::new(self.journal.emergency(), self.exchange);
        let control = DaemonControl::new(
            Arc::clone(&plan),
            Arc::clone(&hub),
            self.telemetry.metrics(),
            Arc::clone(self.exchange),
            Arc::clone(&places),
            Arc::clone(&threads),
        );
        let api = self.api_config();
        let server = ApiServer::bind(api.clone(), Arc::clone(&control) as Arc<dyn crate::api::Control>).await.map_err(Failure::usage)?;
        let url = server.url();
        let (exit_sender, exits) = mpsc::unbounded_channel();
        let (notice_sender, notices) = mpsc::unbounded_channel();
        let alive = Alive::default();
        let service_manager = alive.service_manager();
        let latch = Latch::new(self.data_dir);
        let safety = Safety::new(Arc::clone(&plan), modes, latch, threads, notice_sender, exit_sender, alive.clone());
        let root = |spec| Supervisor::start_root(environment.clone(), spec);
        let gone = |error: crate::supervision::SupervisorGone| Failure::failed(error);
        let safety_root = root(safety.root(self.runtimes.trading_heartbeat(), self.runtimes.services_heartbeat())).await.map_err(gone)?;
        let services_root = root(services::root(&control, server, api, self.exchange, {
            let (plan, places) = (Arc::clone(&plan), Arc::clone(&places));
            move || [listing::child(&plan, &places)].into_iter().chain(sinks.child(&plan.around.clock)).collect()
        }))
        .await
        .map_err(gone)?;
        let trading_root = root(plan.trading_root()).await.map_err(gone)?;
        for root in [&safety_root, &services_root, &trading_root] {
            safety::watch_root(&safety, root);
            alive.watch(root);
        }
        let roots = vec![trading_root, services_root, safety_root];
        Ok(Running { plan, control, hub, roots, exits, notices, safety, places, url, service_manager })
    }

    fn api_config(&self) -> ApiConfig {
        let daemon = &self.options.settings.daemon;
        ApiConfig {
            bind: daemon.http_bind,
            data_dir: self.data_dir.to_owned(),
            allowed_hosts: daemon.http_allowed_hosts.clone(),
            fault_injection: daemon.fault_injection,
        }
    }

    fn screen(&self, running: &Running) -> Result<Option<Screen>, Failure> {
        if !self.on_screen {
            return Ok(None);
        }
        let control = Arc::clone(&running.control);
        let status = move || crate::api::Control::status(control.as_ref());
        // The terminal no longer turns Ctrl-C into a signal; sending it keeps one way out for both.
        let quit = || drop(signals::interrupt_self());
        Screen::start(running.url.clone(), status, quit).map(Some).map_err(Failure::failed)
    }
}

impl Running {
    /// Waits for a signal or for a reason to end by itself, and says once that everything is ready: a stop is heard before
    /// that, too.
    #[allow(clippy::disallowed_methods, reason = "the second signal is awaited while the tree goes down")]
    async fn until_asked(&mut self, mut signals: Signals, reload: &Reload, began: Instant) -> Exit {
        let mut look = tokio::time::interval(LOOK_FOR_READY);
        let mut upkeep = tokio::time::interval(METRICS_UPKEEP);
        let (mut ready, mut told) = (false, String::new());
        // One reload at a time: what one takes out must be gone before the next one may bring it back.
        let (mut reloading, mut again): (Option<BoxFuture<'_, ()>>, bool) = (None, false);
        loop {
            tokio::select! {
                _ = upkeep.tick() => {
                    self.control.upkeep();
                    self.tell_standing(&mut told);
                }
                _ = look.tick(), if !ready => {
                    ready = crate::api::Control::ready(self.control.as_ref()).ready;
                    if ready {
                        DaemonReady { url: &self.url, took: began.elapsed() }.emit();
                        self.tell(Word::Ready);
                        self.tell_standing(&mut told);
                    }
                }
                signal = signals.next() => match signal {
                    Signal::Stop => {
                        tokio::spawn(second_signal(signals));
                        return Exit::Ordered;
                    }
                    Signal::StopNow => return Exit::Forced,
                    Signal::Reload if reloading.is_some() => again = true,
                    Signal::Reload => {
                        self.tell(Word::Reloading);
                        reloading = Some(reload.run().boxed());
                    }
                },
                () = OptionFuture::from(reloading.as_mut()).map(drop), if reloading.is_some() => {
                    reloading = std::mem::take(&mut again).then(|| reload.run().boxed());
                    // One that came before the first readiness ends with that.
                    if ready && reloading.is_none() {
                        self.tell(Word::Ready);
                    }
                }
                Some(exit) = self.exits.recv() => {
                    tokio::spawn(second_signal(signals));
                    return exit;
                }
                Some(notice) = self.notices.recv() => {
                    self.safety.noticed(&self.control, notice);
                    self.tell_standing(&mut told);
                }
            }
        }
    }

    fn tell(&self, word: Word) {
        self.service_manager.tell(word);
    }

    /// How it stands in one line, when that is another one than before.
    fn tell_standing(&self, told: &mut String) {
        let standing = alive::standing(&self.plan, self.control.as_ref());
        if *told != standing {
            told.clone_from(&standing);
            self.tell(Word::Status(standing));
        }
    }

    async fn stop(mut self, exit: Exit) -> Exit {
        match &exit {
            Exit::Ordered => {
                let complaints = shutdown::stop(&self.plan, &self.control, std::mem::take(&mut self.roots)).await;
                for complaint in &complaints {
                    tracing::error!(target: "ringfence::daemon", complaint, "not stopped in order");
                }
                if complaints.is_empty() { exit } else { Exit::Disorderly(complaints.join("; ")) }
            }
            Exit::Forced => exit,
            Exit::Halted(_) | Exit::Disorderly(_) => {
                self.control.stopping();
                let detail = exit.to_string();
                self.safety.until_confirmed(&mut self.notices, &self.control, &detail).await;
                self.safety.note_exit(detail);
                self.hub.tell(self.plan.around.clock.now(), EventKind::Daemon, exit.to_string());
                exit
            }
        }
    }
}

/// The second request to stop ends the process at once, wherever the first one is.
#[allow(clippy::disallowed_methods, reason = "ends with the process; it must not stand under what it cuts short")]
async fn second_signal(mut signals: Signals) {
    loop {
        if signals.next().await == Signal::StopNow {
            screen::restore();
            logs::flush(Duration::from_millis(200));
            std::process::exit(1);
        }
    }
}
