//! The safety root: the kill switch, the journal's monitor, the watch over the trading thread, and their own beat. It stands
//! on the services side; nothing of it needs the trading thread to be alive.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};

use super::control::DaemonControl;
use super::tree::{self, Plan};
use crate::actors::kill_switch::{self, KillSwitchActor, Notice};
use crate::actors::{metronome, names};
use crate::domain::kill_switch::KillSwitch;
use crate::domain::ladder::{Ladder, ModeTable};
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::restart::{Intensity, Restart, RuntimeKind, SupervisorPolicy};
use crate::messages::{KillMessage, Post};
use crate::store::Latch;
use crate::supervision::{Child, ChildContext, ChildFault, StallFound, SupervisorHandle, SupervisorSpec, ThreadHeartbeat, watch_threads};
use crate::telemetry::events::{JournalFailed, MailboxAlarm, ThreadStalled};

/// The kill switch's own beat: its retries are a quarter of a second apart.
const BEAT: Duration = Duration::from_millis(50);
/// A commit that hangs longer than this is a sick disk: a healthy one takes a thousandth of it.
const DISK_STALL: Duration = Duration::from_secs(5);
/// How long a process that halted by itself waits for the venue to show no open order before it ends.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// Why the daemon ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to.
    Ordered,
    /// It was asked twice.
    Forced,
    /// It was asked to, and something did not end in order.
    Disorderly(String),
    /// It halted by itself; the halt is latched.
    Halted(String),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ordered => f.write_str("asked to stop"),
            Self::Forced => f.write_str("asked to stop at once"),
            Self::Disorderly(what) => write!(f, "stopped, but not in order: {what}"),
            Self::Halted(why) => write!(f, "halted and ended: {why}; the halt is latched, look into it, start again and `ringfence resume`"),
        }
    }
}

pub struct Safety {
    plan: Arc<Plan>,
    latched: ModeTable,
    latch: Arc<Latch>,
    notices: mpsc::UnboundedSender<Notice>,
    exits: mpsc::UnboundedSender<Exit>,
}

impl Safety {
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        latched: ModeTable,
        latch: Latch,
        notices: mpsc::UnboundedSender<Notice>,
        exits: mpsc::UnboundedSender<Exit>,
    ) -> Arc<Self> {
        Arc::new(Self { plan, latched, latch: Arc::new(latch), notices, exits })
    }

    #[must_use]
    pub fn root(self: &Arc<Self>, trading: ThreadHeartbeat) -> SupervisorSpec {
        let policy = SupervisorPolicy {
            intensity: Intensity { restarts: 3, period: Duration::from_secs(30) },
            ..SupervisorPolicy::new(names::plain("safety"))
        };
        let safety = Arc::clone(self);
        SupervisorSpec::new(policy, RuntimeKind::Services, move || {
            vec![safety.kill_switch(), safety.journal(), safety.watchdog(trading.clone()), safety.beat()]
        })
    }

    /// A restarted kill switch starts from what the modes are now, not from what they were at the daemon's start.
    fn kill_switch(self: &Arc<Self>) -> Child {
        let safety = Arc::clone(self);
        let child = Child::actor(names::kill_switch(), RuntimeKind::Services, move |context| {
            let settings = safety.plan.settings.load();
            let now = safety.plan.around.modes.get();
            let modes = if context.incarnation.0 > 1 { now.as_ref().clone() } else { safety.latched.clone() };
            let machine = KillSwitch::new(Ladder::new(settings.fault_budgets(), modes), settings.on_kill(), safety.plan.epoch);
            let arguments = kill_switch::Arguments {
                machine,
                venue: Arc::clone(&safety.plan.venue),
                latch: Arc::clone(&safety.latch),
                notices: safety.notices.clone(),
                around: safety.plan.around.clone(),
                reporter: context.reporter,
            };
            (KillSwitchActor, arguments)
        });
        child.ready_within(Duration::from_secs(5))
    }

    /// The journal is a thread that nobody restarts: when it fails, everything halts and the process ends. This child stands
    /// for it in the tree.
    fn journal(self: &Arc<Self>) -> Child {
        let safety = Arc::clone(self);
        let child = Child::task(names::plain("journal"), RuntimeKind::Services, move |context| watch_journal(context, Arc::clone(&safety)));
        child.restart(Restart::Temporary).class(FaultClass::Storage)
    }

    fn watchdog(self: &Arc<Self>, trading: ThreadHeartbeat) -> Child {
        let limit = self.plan.settings.load().supervision.thread_deadline;
        let safety = Arc::clone(self);
        watch_threads(names::plain("watchdog"), vec![trading], limit, move |stall: StallFound| {
            // On the watch's own thread: the gate first, everything else after it.
            safety.plan.around.gate.slam();
            ThreadStalled { thread: stall.thread, silent_for: stall.silent_for }.emit();
            let why = format!("the {} thread stood still for {:?}", stall.thread, stall.silent_for);
            safety.halt_and_exit(&why);
        })
    }

    /// Halts everything and has the process end once the venue has confirmed it, or a while later.
    pub fn halt_and_exit(&self, why: &str) {
        self.tell(KillMessage::Trip { scope: Scope::Global, mode: Mode::Halted, cause: why.to_owned() });
        // The application may be ending already.
        drop(self.exits.send(Exit::Halted(why.to_owned())));
    }

    fn tell(&self, message: KillMessage) {
        let around = &self.plan.around;
        Post::new(&around.directory, &names::kill_switch()).tell(message);
    }

    fn beat(self: &Arc<Self>) -> Child {
        let safety = Arc::clone(self);
        Child::task(names::plain("safety_beat"), RuntimeKind::Services, move |context| beat(context, Arc::clone(&safety)))
            .heartbeat(Duration::from_secs(2))
    }

    /// What the application does about what the kill switch tells.
    pub fn noticed(&self, control: &DaemonControl, notice: Notice) {
        match notice {
            Notice::Confirmed(account) => control.confirm(account),
            Notice::Unconfirmed(..) => {}
            Notice::Modes { raised } => {
                control.modes_changed();
                for scope in raised {
                    self.bring_back(scope);
                }
            }
        }
    }

    /// A scope that is Normal again gets the children back that gave up while it was not.
    fn bring_back(&self, scope: Scope) {
        let (plan, settings) = (&self.plan, self.plan.settings.load_full());
        let directory = &plan.around.directory;
        for account in settings.enabled_accounts().filter(|account| matches!(scope, Scope::Global) || scope == Scope::Account(account.id)) {
            tree::ensure(directory, "execution", plan.executor(account.id));
        }
        for instrument in plan.traded() {
            if matches!(scope, Scope::Global) || scope == Scope::Symbol(instrument.symbol) {
                tree::ensure(directory, "markets", plan.market(instrument));
            }
        }
        let running = plan.around.roster.get();
        for spec in settings.enabled_strategies().filter(|spec| running.strategies.contains_key(&spec.id)) {
            if matches!(scope, Scope::Global) || scope == Scope::Strategy(spec.id) {
                tree::ensure(directory, "strategies", plan.strategy(spec));
            }
        }
    }

    /// Until every account is confirmed or the time for it is over.
    pub async fn until_confirmed(&self, notices: &mut mpsc::UnboundedReceiver<Notice>, control: &DaemonControl) {
        let mut waiting = self.plan.around.roster.get().accounts.clone();
        let all = async {
            while !waiting.is_empty() {
                let Some(notice) = notices.recv().await else { return };
                if let Notice::Confirmed(account) = &notice {
                    waiting.retain(|other| other != account);
                }
                self.noticed(control, notice);
            }
        };
        if timeout(CONFIRM_WITHIN, all).await.is_err() {
            tracing::error!(target: "ringfence::controls", "ended without the venue's word that no order is open: look there by hand");
        }
    }
}

/// A trading root that gives up takes the process with it, after everything is halted.
pub fn watch_root(safety: &Arc<Safety>, root: &SupervisorHandle) {
    let (safety, mut root) = (Arc::clone(safety), root.clone());
    let services = safety.plan.around.services.clone();
    // Ends with the root, which outlives nothing but this.
    services.spawn(async move {
        if let crate::domain::restart::Finish::Escalated { class, why } = root.finished().await {
            safety.halt_and_exit(&format!("the trading root gave up after {class} faults: {why}"));
        }
    });
}

async fn watch_journal(context: ChildContext, safety: Arc<Safety>) -> Result<(), ChildFault> {
    let handle = safety.plan.around.journal.handle().clone();
    let mut failures = handle.failures();
    context.reporter.ready();
    let mut look = tokio::time::interval(Duration::from_millis(250));
    let why = loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            _ = look.tick() => {
                context.reporter.obey_injection().await;
                let stalled = handle.stalled_for(crate::store::wall_clock());
                if stalled > DISK_STALL {
                    break format!("a commit expected within {DISK_STALL:?}, found one running for {stalled:?}");
                }
            }
            failed = async { failures.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone()) } => match failed {
                Some(fault) => break fault.to_string(),
                None => return Ok(()),
            },
        }
    };
    JournalFailed { operation: "append", error: &why }.emit();
    safety.plan.around.gate.slam();
    safety.halt_and_exit(&why);
    Err(ChildFault::new(FaultClass::Storage, why))
}

async fn beat(context: ChildContext, safety: Arc<Safety>) -> Result<(), ChildFault> {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    context.reporter.ready();
    for count in 0u32.. {
        tokio::select! {
            _ = beats.tick() => {}
            () = context.stop.cancelled() => break,
        }
        context.reporter.obey_injection().await;
        context.reporter.heartbeat();
        safety.tell(KillMessage::Tick);
        // Once a second.
        if count.is_multiple_of(20) {
            metronome::watch_mailboxes(&safety.plan.around.directory, |child, depth, bound| {
                MailboxAlarm { child: child.as_str(), depth, bound }.emit();
            });
        }
    }
    Ok(())
}
