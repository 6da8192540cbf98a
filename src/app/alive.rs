//! What the service manager's watchdog is fed by: the trading thread runs tasks, the services do, each of the three roots answers, the
//! journal's writer gets on, and the safety root's own children stand. When one of these does not show in time, the feed stops, and
//! what is left of the process is the service manager's to end: it needs nothing of ours for that.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::safety::Safety;
use super::tree::Plan;
use crate::actors::names;
use crate::api::Control;
use crate::domain::mode::{Mode, Scope};
use crate::domain::restart::ChildState;
use crate::supervision::{Child, ServiceManager, Sign, SupervisorHandle, SupervisorRef, ThreadHeartbeat};

/// A root, and what it has answered.
struct Root {
    actor: SupervisorRef,
    asked: AtomicU64,
    answered: Arc<AtomicU64>,
}

/// Who must be alive, and who is told. Cheap to clone.
#[derive(Clone)]
pub struct Alive {
    service_manager: ServiceManager,
    roots: Arc<Mutex<Vec<Root>>>,
}

impl Default for Alive {
    fn default() -> Self {
        Self { service_manager: ServiceManager::of_environment(), roots: Arc::default() }
    }
}

impl Alive {
    #[must_use]
    pub fn service_manager(&self) -> ServiceManager {
        self.service_manager.clone()
    }

    /// This root must answer from now on.
    pub fn watch(&self, root: &SupervisorHandle) {
        let root = Root { actor: root.actor().clone(), asked: AtomicU64::new(0), answered: Arc::default() };
        self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(root);
    }

    /// Who tells it; `None` where nobody listens.
    pub(super) fn child(&self, safety: &Arc<Safety>, trading: ThreadHeartbeat, services: ThreadHeartbeat) -> Option<Child> {
        let (alive, safety) = (self.clone(), Arc::clone(safety));
        self.service_manager.child(names::plain("service_manager"), move || {
            services.ask();
            let threads = [&trading, &services].map(|thread| Sign::Beats(thread.beats()));
            let journal = safety.plan().around.journal.handle();
            let disk = [Sign::Work(journal.running_commit()), Sign::Stands(journal.failure().is_none())];
            threads.into_iter().chain(disk).chain([Sign::Stands(is_safe(&safety))]).chain(alive.answers()).collect()
        })
    }

    /// Asks each root that has answered the question before: one that hangs is not asked ever more.
    fn answers(&self) -> Vec<Sign> {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = |root: &Root| {
            let answered = root.answered.load(Relaxed);
            if root.asked.load(Relaxed) == answered {
                root.asked.fetch_add(1, Relaxed);
                root.actor.ask_answer(&root.answered);
            }
            Sign::Beats(answered)
        };
        roots.iter().map(answer).collect()
    }
}

/// How the daemon stands, for a service manager's status line.
pub fn standing(plan: &Plan, control: &dyn Control) -> String {
    let (mode, waiting) = (plan.around.modes.get().of(Scope::Global), control.ready().waiting_for);
    if !waiting.is_empty() {
        return format!("{mode}; waiting for {}", waiting.join(", "));
    }
    match control.health().degraded.as_slice() {
        [] if mode != Mode::Normal => mode.to_string(),
        [] => format!("{mode}; {} accounts, all is well", plan.around.roster.get().accounts.len()),
        [one] => format!("{mode}; {one}"),
        [first, rest @ ..] => format!("{mode}; {first}, and {} more", rest.len()),
    }
}

/// Whether those stand that would halt, cancel and see a stall.
fn is_safe(safety: &Safety) -> bool {
    let needed = [names::kill_switch(), names::plain("journal"), names::plain("watchdog"), names::plain("safety_beat")];
    let children = safety.plan().around.directory.children();
    needed.iter().all(|name| children.iter().any(|child| child.name == *name && child.state == ChildState::Ready))
}
