//! The safety root: the kill switch, the journal's monitor, the watch over the trading thread, and their own beat. It stands
//! on the services side; nothing of it needs the trading thread to be alive.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::alive::Alive;
use super::control::DaemonControl;
use super::shutdown;
use super::threads::Threads;
use super::tree::{self, Plan};
use super::{dead_man, last_resort};
use crate::actors::kill_switch::{self, KillSwitchActor, Notice};
use crate::actors::latch_writer::LatchWriter;
use crate::actors::{metronome, names};
use crate::domain::kill_switch::KillSwitch;
use crate::domain::ladder::{Ladder, ModeTable};
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::record::Record;
use crate::domain::restart::{ChildView, Intensity, Restart, RuntimeKind, SupervisorPolicy};
use crate::messages::{KillMessage, KillWord, Post};
use crate::store::{HaltedScope, Latch, LatchState};
use crate::supervision::{
    Child, ChildContext, ChildFault, StallFound, SupervisorHandle, SupervisorSpec, ThreadHeartbeat, ThreadWatch, Verdict, watch_threads,
};
use crate::telemetry::events::{JournalFailed, MailboxAlarm, ThreadStalled};

/// The kill switch's own beat: its retries are a quarter of a second apart.
const BEAT: Duration = Duration::from_millis(50);
/// A commit that hangs longer than this is a sick disk: a healthy one takes a thousandth of it.
const DISK_STALL: Duration = Duration::from_secs(5);
/// Nothing here waits for anything; what says nothing for so long is stuck. The kill switch must be back before a person
/// asks again.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How often it is looked at.
const DISK_LOOK: Duration = Duration::from_millis(250);
/// The services' threads take turns at everything, each of it short; long work is elsewhere. One that is held up is its
/// supervisor's matter, which gives a child up within `SILENCE_MAX` and its grace. When none has been free for so long, nobody is
/// left who could: no kill switch, no supervisor, no API. A machine that is only busy does not starve two threads for that long.
const SERVICES_STALL: Duration = Duration::from_secs(5);
/// How long a process that halted by itself waits for the venue to show no open order before it ends.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// How long an exit waits for its last words to be on the disk: a thousand times what a healthy one takes.
const NOTED_WITHIN: Duration = Duration::from_secs(1);

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
            Self::Halted(why) => {
                write!(f, "halted and ended: {why}; the halt is latched, look into it, start again and `ringfence resume`")
            }
        }
    }
}

pub struct Safety {
    plan: Arc<Plan>,
    latched: ModeTable,
    latch: LatchWriter,
    /// Scopes that are Normal again and whose children are not all back yet.
    returning: Mutex<BTreeSet<Scope>>,
    threads: Arc<Threads>,
    notices: mpsc::UnboundedSender<Notice>,
    exits: mpsc::UnboundedSender<Exit>,
    alive: Alive,
}

impl Safety {
    #[must_use]
    pub fn new(
        plan: Arc<Plan>,
        latched: ModeTable,
        latch: Latch,
        threads: Arc<Threads>,
        notices: mpsc::UnboundedSender<Notice>,
        exits: mpsc::UnboundedSender<Exit>,
        alive: Alive,
    ) -> Arc<Self> {
        let latch = LatchWriter::new(latch, plan.around.services.clone());
        Arc::new(Self { plan, latched, latch, returning: Mutex::default(), threads, notices, exits, alive })
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub fn root(self: &Arc<Self>, trading: ThreadHeartbeat, services: ThreadHeartbeat) -> SupervisorSpec {
        let policy = SupervisorPolicy {
            intensity: Intensity { restarts: 3, period: Duration::from_secs(30) },
            ..SupervisorPolicy::new(names::plain("safety"))
        };
        let safety = Arc::clone(self);
        SupervisorSpec::new(policy, RuntimeKind::Services, move || {
            let dead_man = dead_man::child(&safety, trading.clone());
            let teller = safety.alive.child(&safety, trading.clone(), services.clone());
            let watches = [safety.watchdog(trading.clone(), services.clone()), safety.beat(), dead_man];
            [safety.kill_switch(), safety.journal()].into_iter().chain(watches).chain(teller).collect()
        })
    }

    /// A restarted kill switch starts from what the modes are now, not from what they were at the daemon's start, and goes on
    /// with what its predecessor was emptying.
    fn kill_switch(self: &Arc<Self>) -> Child {
        let safety = Arc::clone(self);
        let child = Child::actor(names::kill_switch(), RuntimeKind::Services, move |context| {
            let settings = safety.plan.settings.load();
            let now = safety.plan.around.modes.get();
            let modes = if context.incarnation.0 > 1 { now.as_ref().clone() } else { safety.latched.clone() };
            let ladder = Ladder::new(settings.fault_budgets(), modes);
            let mut accounts = settings.on_kill();
            // One that a reload took out is still looked after for as long as it stands in the roster.
            for account in &safety.plan.around.roster.get().accounts {
                accounts.entry(*account).or_default();
            }
            let machine = KillSwitch::new(ladder, accounts, safety.plan.epoch, context.incarnation);
            let arguments = kill_switch::Arguments {
                machine: machine.taking_over(safety.plan.around.inbox.unfinished()),
                venue: Arc::clone(&safety.plan.venue),
                latch: safety.latch.clone(),
                notices: safety.notices.clone(),
                around: safety.plan.around.clone(),
                reporter: context.reporter,
            };
            (KillSwitchActor, arguments)
        });
        child.ready_within(Duration::from_secs(5)).heartbeat(SILENCE_MAX).mailbox_bound(tree::MAILBOX_BOUND)
    }

    /// The journal is a thread that nobody restarts: when it fails, everything halts and the process ends. This child stands
    /// for it in the tree, and when it ends by any fault of its own, the journal counts as failed: nobody would see it fail.
    /// Its faults are no storage faults to its supervisor, which would give up and stop the kill switch with the rest.
    fn journal(self: &Arc<Self>) -> Child {
        let safety = Arc::clone(self);
        let child = Child::task(names::plain("journal"), RuntimeKind::Services, move |context| watch_journal(context, Arc::clone(&safety)));
        child.restart(Restart::Temporary).heartbeat(SILENCE_MAX)
    }

    fn watchdog(self: &Arc<Self>, trading: ThreadHeartbeat, services: ThreadHeartbeat) -> Child {
        let limit = self.plan.settings.load().supervision.thread_deadline;
        let (safety, of_services) = (Arc::clone(self), services.name());
        let threads = vec![(trading, limit), (services, SERVICES_STALL)];
        watch_threads(names::plain("watchdog"), threads, move |stall: StallFound| {
            // On the watch's own thread: the gate first, everything else after it.
            safety.plan.around.gate.slam();
            ThreadStalled { thread: stall.thread, silent_for: stall.silent_for }.emit();
            let why = format!("the {} thread stood still for {:?}", stall.thread, stall.silent_for);
            safety.halt_and_exit(&why);
            if stall.thread == of_services {
                last_resort::end_from_outside(&safety, why);
            }
        })
    }

    /// Halts everything and has the process end once the venue has confirmed it, or a while later.
    pub fn halt_and_exit(&self, why: &str) {
        self.plan.around.gate.slam();
        self.plan.around.kill_switch().tell(KillWord::Trip { scope: Scope::Global, mode: Mode::Halted, cause: why.to_owned() });
        // The application may be ending already.
        drop(self.exits.send(Exit::Halted(why.to_owned())));
    }

    fn tick(&self) {
        let around = &self.plan.around;
        Post::new(&around.directory, &names::kill_switch()).tell(KillMessage::Tick);
    }

    fn beat(self: &Arc<Self>) -> Child {
        let safety = Arc::clone(self);
        Child::task(names::plain("safety_beat"), RuntimeKind::Services, move |context| beat(context, Arc::clone(&safety)))
            .heartbeat(SILENCE_MAX)
    }

    /// What the application does about what the kill switch tells.
    pub fn noticed(&self, control: &DaemonControl, notice: Notice) {
        match notice {
            Notice::Sweeping(account) => control.unconfirm(account),
            Notice::Confirmed(account) => control.confirm(account),
            Notice::Emptied(account) => control.emptied(account),
            Notice::Unconfirmed(account, why) => control.not_emptied(account, why),
            // It may have been let go when its guard gave up; what is back compares its books by itself.
            Notice::Wanted(account) => drop(tree::bring_back(&self.plan, Scope::Account(account))),
            Notice::Modes { raised } => {
                control.modes_changed();
                self.lock_returning().extend(raised);
                self.bring_back();
            }
        }
    }

    /// A scope that is Normal again gets the children back that gave up while it was not. Looked at with every beat until
    /// they are there: a guard that is still on its way out holds its name.
    fn bring_back(&self) {
        let mut returning = self.lock_returning();
        let modes = self.plan.around.modes.get();
        returning.retain(|scope| modes.of(*scope) != Mode::Halted && !tree::bring_back(&self.plan, *scope));
    }

    fn lock_returning(&self) -> std::sync::MutexGuard<'_, BTreeSet<Scope>> {
        self.returning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left when the kill switch is gone for good: the latch and the venue, straight from here.
    pub(super) async fn without_kill_switch(&self, why: &str) {
        let (scope, since) = (Scope::Global, self.plan.around.clock.now());
        self.latch.store(LatchState { halted: vec![HaltedScope { scope, mode: Mode::Halted, since, cause: why.to_owned(), by: None }] });
        let patience = shutdown::Patience::within(CONFIRM_WITHIN);
        // Side by side: an account whose venue does not answer must not take the others' time.
        let accounts = self.plan.around.roster.get().accounts.clone();
        futures_util::future::join_all(accounts.into_iter().map(async |account| {
            match shutdown::cancel_at_venue(self.plan.venue.as_ref(), account, patience, || true).await {
                Ok(()) => tracing::warn!(target: "ringfence::controls", %account, "the venue shows no open order"),
                Err(why) => tracing::error!(target: "ringfence::controls", %account, why, "not confirmed: look there by hand"),
            }
        }))
        .await;
    }

    /// Writes down that the process ends, and why, where a sick disk does not hold it up; waits a little for it to be there.
    pub(super) fn note_exit(&self, detail: String) {
        let journal = &self.plan.around.journal;
        journal.emergency(Record::KillSwitch { scope: Scope::Global, event: "exit".to_owned(), detail });
        let standing = journal.settle(NOTED_WITHIN);
        if standing.failed || standing.durable < standing.taken {
            let (taken, durable) = (standing.taken, standing.durable);
            tracing::error!(target: "ringfence::daemon", taken, durable, "emergency records not on the disk at the exit");
        }
    }

    /// Whether the latch is on the disk, after a while of waiting for it. Not from inside a task.
    pub(super) fn latch_is_written(&self) -> bool {
        self.latch.settle(NOTED_WITHIN)
    }

    /// Until everything is halted and every account confirmed, or the time for it is over.
    pub async fn until_confirmed(&self, notices: &mut mpsc::UnboundedReceiver<Notice>, control: &DaemonControl, why: &str) {
        if self.plan.around.directory.lookup(names::kill_switch().as_str()).is_none() {
            return self.without_kill_switch(why).await;
        }
        let around = &self.plan.around;
        let halted = || around.modes.get().of(Scope::Global) == Mode::Halted;
        let done = || halted() && around.roster.get().accounts.iter().all(|account| control.is_confirmed(*account));
        let all = async {
            while !done() {
                let Some(notice) = notices.recv().await else { return };
                self.noticed(control, notice);
            }
        };
        if timeout(CONFIRM_WITHIN, all).await.is_err() {
            tracing::error!(target: "ringfence::controls", "ended without the venue's word that no order is open: look there by hand");
        }
    }
}

/// A root that gives up takes the process with it, after everything is halted: nobody is left to restart it.
pub fn watch_root(safety: &Arc<Safety>, root: &SupervisorHandle) {
    let (safety, mut root) = (Arc::clone(safety), root.clone());
    let services = safety.plan.around.services.clone();
    // Ends with the root, which outlives nothing but this.
    services.spawn(async move {
        if let crate::domain::restart::Finish::Escalated { class, why } = root.finished().await {
            safety.halt_and_exit(&format!("the {} root gave up after {class} faults: {why}", root.name()));
        }
    });
}

async fn watch_journal(context: ChildContext, safety: Arc<Safety>) -> Result<(), ChildFault> {
    let handle = safety.plan.around.journal.handle().clone();
    let mut failures = handle.failures();
    let watching = Watching { safety: Arc::clone(&safety), stop: context.stop.clone() };
    context.reporter.ready();
    let mut look = tokio::time::interval(DISK_LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Not by the wall clock, which may be set, and not by a time in which this process did not run.
    let (began, mut disk) = (tokio::time::Instant::now(), ThreadWatch::new(DISK_STALL, DISK_LOOK));
    let why = loop {
        tokio::select! {
            () = context.stop.cancelled() => return Ok(()),
            _ = look.tick() => {
                context.reporter.obey_injection().await;
                context.reporter.heartbeat();
                let now = began.elapsed();
                let seen = match handle.running_commit() {
                    Some(commit) => disk.look(now, commit),
                    None => disk.idle(now),
                };
                if let Verdict::Stalled(time) = seen {
                    break format!("a commit expected within {DISK_STALL:?}, found one running for {time:?}");
                }
            }
            failed = async { failures.wait_for(Option::is_some).await.ok().and_then(|fault| fault.clone()) } => match failed {
                Some(fault) => break fault.to_string(),
                None => return Ok(()),
            },
        }
    };
    JournalFailed { operation: "append", error: &why }.emit();
    safety.halt_and_exit(&format!("{} fault: {why}", FaultClass::Storage));
    // The halt is said; an end from here on is no news.
    watching.done();
    Ok(())
}

/// Halts when the watch over the journal ends in any way but an ordered stop: by a panic, by a kill.
struct Watching {
    safety: Arc<Safety>,
    stop: CancellationToken,
}

impl Watching {
    fn done(self) {
        self.stop.cancel();
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            self.safety.halt_and_exit("the watch over the journal ended: a failing disk would not be seen");
        }
    }
}

/// In the words of supervision's other rows, so that it stands among them in the audit and in the event stream.
fn mailbox_row(child: &ChildView, depth: usize, bound: usize) -> Record {
    let detail = format!("{depth} messages waited, the bound is {bound}");
    Record::Supervision {
        child: child.name.to_string(),
        incarnation: child.incarnation,
        event: "mailbox_alarm".to_owned(),
        class: None,
        detail,
    }
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
        safety.tick();
        safety.plan.around.alerts.tick(&safety.plan.around.journal);
        safety.bring_back();
        // A few times a second: what it finds is to be told within one.
        if count.is_multiple_of(5)
            && let Some(why) = safety.threads.look(&safety.plan.around)
        {
            safety.halt_and_exit(&why);
        }
        // Once a second.
        if count.is_multiple_of(20) {
            metronome::watch_mailboxes(&safety.plan.around.directory, |child, depth, bound| {
                MailboxAlarm { child: child.name.as_str(), depth, bound }.emit();
                safety.plan.around.journal.note(vec![mailbox_row(child, depth, bound)]);
            });
        }
    }
    Ok(())
}
