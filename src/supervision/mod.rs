//! Who watches: supervisors and the trees they form, the directory of addresses, the runtimes and their heartbeats,
//! signals and the ordered stop. What a supervisor decides is pure and lives in `domain::restart`; here it is performed.
//! Nothing in here knows what trading is.
//!
//! What ractor would do and must not: its default handler stops the parent at any child's end (ours never does); a kill
//! arrives as a normal termination (told apart by its reason); a parent's death kills its descendants unordered (stops go
//! through [`shutdown`]); names are global (none is used, see [`Directory`]); `pre_start` runs on the spawner's task
//! (starts are tasks of their own, on the child's runtime).

#![allow(clippy::disallowed_methods, reason = "this is the layer that spawns and that watches the machine's time")]

mod child;
mod clock;
mod directory;
mod driver;
mod inject;
mod mailbox;
mod pulse;
mod reporter;
mod runtimes;
mod service_manager;
pub mod shutdown;
pub mod signals;
mod supervised;
mod supervisor;
pub mod tasks;
mod thread_watch;

pub use child::{Child, ChildContext, StartFuture, Started, Starter};
pub use clock::MonotonicClock;
pub use directory::{Address, Directory, DirectoryError, Link};
pub use driver::StartOutcome;
pub use inject::Inject;
pub use mailbox::{InMailbox, MailboxGauge};
pub use pulse::{Pulse, Sign};
pub use reporter::Reporter;
pub use runtimes::{Runtimes, SERVICES_WORKERS, ThreadHeartbeat};
pub use service_manager::{ServiceManager, Word};
pub use supervised::ChildFault;
pub use supervisor::{
    Environment, RuntimeHandles, SupervisionSink, Supervisor, SupervisorGone, SupervisorHandle, SupervisorMessage, SupervisorRef,
    SupervisorSpec,
};
pub use thread_watch::{STALL_LIMIT_DEFAULT, StallFound, ThreadWatch, Verdict, watch_threads};
