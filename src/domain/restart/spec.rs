//! The vocabulary of supervision: what a child is, how it may end, and what its supervisor promises. Values only; the
//! decisions are in `machine`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

use crate::domain::mode::FaultClass;

/// The longest child name: `feed/<venue>/<symbol>/<n>` with room to spare, short enough for a status column.
const NAME_LENGTH_MAX: usize = 64;

/// A child's name, unique in the whole daemon: `risk_manager`, `executor/main`, `market/binance/BTCUSDT`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildName(Arc<str>);

/// Why a text is not a child's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("child name expected 1 to {NAME_LENGTH_MAX} characters of A-Z a-z 0-9 _ - . and '/', found {0:?}: choose another name")]
pub struct ChildNameError(String);

impl ChildName {
    /// # Errors
    /// When the text is empty, too long, or has a character that would not survive a log line or a URL path.
    pub fn new(text: &str) -> Result<Self, ChildNameError> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        if text.is_empty() || text.len() > NAME_LENGTH_MAX || !text.chars().all(valid) {
            return Err(ChildNameError(text.to_owned()));
        }
        Ok(Self(Arc::from(text)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ChildName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl std::borrow::Borrow<str> for ChildName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ChildName {
    type Err = ChildNameError;
    fn from_str(text: &str) -> Result<Self, ChildNameError> {
        Self::new(text)
    }
}

impl Serialize for ChildName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// When a child that ended is started again (OTP's restart types).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Restart {
    /// Always: it has no business ending.
    Permanent,
    /// After a fault; a normal exit or a shutdown means that it is done.
    Transient,
    /// Never; its spec is forgotten with it.
    Temporary,
}

/// How a child is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Asked to stop (what is queued for it is dropped), killed after the deadline.
    Stop(Duration),
    /// Asked to stop after what is queued for it, killed after the deadline.
    Drain(Duration),
    /// Killed at once: it has nothing to put in order.
    BrutalKill,
}

impl Shutdown {
    /// How long the child has before it is killed.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            Self::Stop(deadline) | Self::Drain(deadline) => deadline,
            Self::BrutalKill => Duration::ZERO,
        }
    }
}

/// Which runtime a child lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RuntimeKind {
    /// One thread, for the hot actors.
    Trading,
    /// Several threads, for everything that may take its time.
    Services,
}

/// What makes a child ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It is ready when it has started (OTP: when `init` returned).
    Started,
    /// It says so itself. With a deadline (from its start), silence is a stall; without one it may take its time, as an
    /// executor does while its venue is down.
    Reported { within: Option<Duration> },
}

/// One child, as its supervisor's decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    pub name: ChildName,
    pub restart: Restart,
    pub shutdown: Shutdown,
    pub runtime: RuntimeKind,
    /// From the order to start until it has started.
    pub start_deadline: Duration,
    pub readiness: Readiness,
    /// The longest silence between two signs of progress while it runs; `None` for a child that has no pulse.
    pub heartbeat: Option<Duration>,
    /// The class that its faults count as when they do not name one: a journal's panic is a storage fault. A class
    /// without a budget wins even over the class that a fault names.
    pub class: Option<FaultClass>,
}

impl ChildSpec {
    /// A permanent child with the usual deadlines.
    #[must_use]
    pub fn new(name: ChildName, runtime: RuntimeKind) -> Self {
        Self {
            name,
            restart: Restart::Permanent,
            // OTP's default for workers.
            shutdown: Shutdown::Stop(Duration::from_secs(5)),
            runtime,
            // A start does no I/O, so that this is generous by three orders of magnitude.
            start_deadline: Duration::from_secs(5),
            readiness: Readiness::Started,
            heartbeat: None,
            class: None,
        }
    }
}

/// OTP's restart strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Strategy {
    /// The failed child alone.
    OneForOne,
    /// All children, when one fails.
    OneForAll,
    /// The failed child and those that were started after it.
    RestForOne,
}

/// What a child must have reached before the next in order is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartGate {
    /// It runs (OTP).
    #[default]
    Started,
    /// It is ready.
    Ready,
}

/// At most `restarts` in any `period`; one more escalates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    pub restarts: u32,
    pub period: Duration,
}

/// How long a restart waits: `base` doubled with each consecutive failure up to `max`, of which the jitter takes up to
/// half, so that children that failed together do not come back together. A child that ran for `stable` starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub max: Duration,
    pub stable: Duration,
}

impl Backoff {
    /// The wait before restart number `consecutive` (from 1), with a number that the driver drew.
    #[must_use]
    pub fn delay(self, consecutive: u32, jitter: u64) -> Duration {
        // 2^20 times any base is beyond every sensible maximum; the cap keeps the shift defined.
        let doublings = consecutive.saturating_sub(1).min(20);
        let full = self.base.saturating_mul(1 << doublings).min(self.max);
        let half = full / 2;
        let spread = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        full.saturating_sub(Duration::from_nanos(if spread == 0 { 0 } else { jitter % spread }))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        // 50 ms: a panic costs an actor less than a book resnapshot. 10 s: the longest anybody waits for a sick venue's
        // adapter. 30 s: longer than the longest backoff, so that a crash loop never counts as stable.
        Self { base: Duration::from_millis(50), max: Duration::from_secs(10), stable: Duration::from_secs(30) }
    }
}

/// What a supervisor promises for all its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SupervisorPolicy {
    pub name: ChildName,
    pub strategy: Strategy,
    pub intensity: Intensity,
    /// Narrower budgets for single classes; a class that is not here has the overall intensity alone.
    pub class_intensity: Vec<(FaultClass, Intensity)>,
    pub backoff: Backoff,
    pub start_gate: StartGate,
    /// How long a killed child may take to be gone. A kill lands at the next await, so that a child which is still there
    /// after this spins in a handler: it cannot be killed and its supervisor escalates.
    pub kill_grace: Duration,
}

impl SupervisorPolicy {
    /// `one_for_one` with OTP-like figures: restarts multiply across levels, so keep the upper levels at 3 or below.
    #[must_use]
    pub fn new(name: ChildName) -> Self {
        Self {
            name,
            strategy: Strategy::OneForOne,
            intensity: Intensity { restarts: 3, period: Duration::from_secs(30) },
            class_intensity: Vec::new(),
            backoff: Backoff::default(),
            start_gate: StartGate::Started,
            kill_grace: Duration::from_secs(1),
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitHow {
    /// It was done.
    Normal,
    /// It was asked to stop.
    Shutdown,
    Killed,
    Panicked(String),
    /// It returned an error, which may name its class.
    Failed {
        class: Option<FaultClass>,
        detail: String,
    },
}

impl ExitHow {
    /// Whether OTP calls this exit abnormal.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        !matches!(self, Self::Normal | Self::Shutdown)
    }

    #[must_use]
    pub const fn kind(&self) -> ExitKind {
        match self {
            Self::Normal => ExitKind::Normal,
            Self::Shutdown => ExitKind::Shutdown,
            Self::Killed => ExitKind::Killed,
            Self::Panicked(_) => ExitKind::Panicked,
            Self::Failed { .. } => ExitKind::Failed,
        }
    }
}

impl fmt::Display for ExitHow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::Killed => f.write_str("killed"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Failed { class: Some(class), detail } => write!(f, "failed ({class}): {detail}"),
            Self::Failed { class: None, detail } => write!(f, "failed: {detail}"),
        }
    }
}

/// The kind of an exit without its text, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ExitKind {
    Normal,
    Shutdown,
    Killed,
    Panicked,
    Failed,
}
