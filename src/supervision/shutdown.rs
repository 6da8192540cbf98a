//! The ordered stop of whole trees. Inside a tree the supervisors stop their children in reverse start order, each with its
//! deadline; this is the order among the roots, and the end of patience.

use std::time::Duration;

use super::directory::Directory;
use super::supervisor::SupervisorHandle;
use crate::domain::restart::{ChildName, ChildState, Finish};

/// How long a killed root may take to be gone before it is left behind.
const KILL_GRACE: Duration = Duration::from_secs(1);

/// How the stop of one root went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopOutcome {
    InOrder,
    /// Its supervisor had given up, before or meanwhile.
    Escalated(String),
    /// It did not end in time and was killed; these children were still there when it was.
    Killed(Vec<ChildName>),
}

/// One root and how it stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReport {
    pub root: ChildName,
    pub outcome: StopOutcome,
}

impl StopReport {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.outcome == StopOutcome::InOrder
    }
}

/// Stops the roots one after another in the order given (trading first, the journal's root last), each within the
/// deadline, and says how it went. Never takes longer than the deadline and a grace for each.
pub async fn stop_roots(directory: &Directory, roots: Vec<SupervisorHandle>, deadline: Duration) -> Vec<StopReport> {
    let mut reports = Vec::with_capacity(roots.len());
    for root in roots {
        reports.push(stop_root(directory, root, deadline).await);
    }
    reports
}

async fn stop_root(directory: &Directory, mut root: SupervisorHandle, deadline: Duration) -> StopReport {
    // A root that is gone already has a finish to show.
    let _gone = root.actor().stop_all();
    let outcome = match tokio::time::timeout(deadline, root.finished()).await {
        Ok(Finish::Ordered) => StopOutcome::InOrder,
        Ok(Finish::Escalated { why, .. }) => StopOutcome::Escalated(why),
        Err(_late) => {
            let left = still_there(directory, root.name());
            root.kill();
            // Whether it dies of it or spins on: nothing more can be done from here.
            let _spins = tokio::time::timeout(KILL_GRACE, root.finished()).await;
            StopOutcome::Killed(left)
        }
    };
    StopReport { root: root.name().clone(), outcome }
}

/// The children below that supervisor, at any depth, that are not down.
fn still_there(directory: &Directory, root: &ChildName) -> Vec<ChildName> {
    let views = directory.children();
    let mut below = vec![root.clone()];
    let mut left = Vec::new();
    while let Some(supervisor) = below.pop() {
        for view in views.iter().filter(|view| view.supervisor == supervisor) {
            below.push(view.name.clone());
            if !matches!(view.state, ChildState::Down | ChildState::Waiting) {
                left.push(view.name.clone());
            }
        }
    }
    left
}
