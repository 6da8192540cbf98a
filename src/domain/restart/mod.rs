//! What a supervisor decides, as a machine without I/O, clock or randomness. OTP's rules hold (strategies, restart types,
//! intensity and period, ordered start, reverse-order stop with deadlines, brutal kill), and beyond them: incarnations,
//! readiness, progress heartbeats, jittered backoff with a stable-period reset, coalesced group restarts, fault classes
//! with intensities of their own, and escalation that names its class. `supervision::Supervisor` performs the effects; it
//! decides nothing.
//!
//! Three deliberate differences from OTP, each because a trading daemon must come up in a world that is partly down:
//! - a start that fails is charged and retried with backoff like a crash; in OTP it fails the supervisor at once;
//! - under `one_for_one` a child that does not start holds back no sibling: each is a bulkhead;
//! - a restart waits for its backoff (OTP restarts at once), the first one for the base delay only.
//!
//! One at a time: a stop in reverse order waits for each child to be gone, and a start in order waits until the child
//! before it has passed the supervisor's [`StartGate`].

mod children;
mod event;
mod faults;
mod intensity;
mod machine;
mod spec;
mod stopping;

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;

pub use event::{ChildState, ChildView, EventKind, SupervisionEvent};
pub use machine::{Effect, Finish, Input, Machine};
pub use spec::{
    Backoff, ChildName, ChildNameError, ChildSpec, ExitHow, ExitKind, Intensity, Readiness, Restart, RuntimeKind, Shutdown, StartGate,
    Strategy, SupervisorPolicy,
};
