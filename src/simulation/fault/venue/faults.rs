//! Which faults of the way run now, and what they do to a request or a frame. A pure machine: the time is given, chance comes from
//! the seed. What is done at the engine or to sockets is `events`' business; a fault counts here when it hit something.

use std::time::Duration;

use super::super::{Class, Random};
use super::VenueFault;
use super::door::{RequestKind, Served};
use crate::domain::ids::AccountId;
use crate::domain::time::Timestamp;
use crate::exchange::wire::Problem;

/// What a running fault does to one of those that it may hit, in millionths: it is never all of them, so that what comes behind a
/// fault is seen as well.
const HITS: u32 = 600_000;
/// A late answer or request is late by so much; the venue takes an order for five seconds.
const LATE_MS: (u64, u64) = (20, 7_000);
const FRAME_LATE_MS: (u64, u64) = (5, 900);

struct Running {
    class: Class,
    account: Option<AccountId>,
    until: Timestamp,
}

/// How an answer is not what the venue said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// -1007, -1006, 503 or a gateway's page.
    Words(Unsaid),
    Half,
    /// -2013, whatever is true.
    NotFound,
    Limited,
    Maintenance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsaid {
    Timeout,
    Unexpected,
    Unknown503,
    Gateway,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// How much longer it takes to the venue; `None`: it never comes there.
    pub there: Option<Duration>,
    /// How much longer the answer takes; `None`: there is none.
    pub back: Option<Duration>,
    /// The daemon's end breaks after so long.
    pub hang_up: Option<Duration>,
    pub spoil: Option<Spoil>,
    /// What is spoilt was not carried out.
    pub held_back: bool,
    /// A fill comes between.
    pub races: bool,
    /// The answer comes behind the events.
    pub behind: bool,
}

impl Fate {
    const PLAIN: Self = Self {
        there: Some(Duration::ZERO),
        back: Some(Duration::ZERO),
        hang_up: None,
        spoil: None,
        held_back: false,
        races: false,
        behind: false,
    };

    pub fn is_answered(&self) -> bool {
        self.there.is_some() && self.back.is_some() && self.hang_up.is_none()
    }
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameFate {
    Pass,
    Late(Duration),
    Twice,
    Corrupt,
    Unknown,
}

pub struct Faults {
    running: Vec<Running>,
    random: Random,
    fired: Vec<Class>,
}

impl Faults {
    pub fn new(random: Random) -> Self {
        Self { running: Vec::new(), random, fired: Vec::new() }
    }

    pub fn begin(&mut self, now: Timestamp, fault: &VenueFault) {
        self.running.retain(|running| now < running.until);
        self.running.push(Running { class: fault.class, account: fault.account, until: now + fault.lasts });
    }

    pub fn end_all(&mut self) {
        self.running.clear();
    }

    pub fn fire(&mut self, class: Class) {
        self.fired.push(class);
    }

    pub fn take_fired(&mut self) -> Vec<Class> {
        std::mem::take(&mut self.fired)
    }

    /// Until when a fault of the class runs for the account.
    pub fn until(&self, now: Timestamp, class: Class, account: Option<AccountId>) -> Option<Timestamp> {
        let meant =
            |running: &&Running| running.class == class && (running.account.is_none() || account.is_none() || running.account == account);
        self.running.iter().filter(meant).map(|running| running.until).max().filter(|until| now < *until)
    }

    fn hits(&mut self, now: Timestamp, class: Class, account: Option<AccountId>) -> bool {
        self.until(now, class, account).is_some() && self.random.chance(HITS)
    }

    /// Of a request that leaves now.
    pub fn of_request(&mut self, now: Timestamp, account: Option<AccountId>, kind: RequestKind) -> Fate {
        let mut fate = Fate::PLAIN;
        if self.running.is_empty() {
            return fate;
        }
        // A ban and maintenance are everybody's.
        if self.until(now, Class::F13Maintenance, None).is_some() {
            (fate.spoil, fate.held_back) = (Some(Spoil::Maintenance), true);
            return fate;
        }
        if self.until(now, Class::F10RateLimit, None).is_some() {
            (fate.spoil, fate.held_back) = (Some(Spoil::Limited), true);
            return fate;
        }
        match kind {
            RequestKind::Place | RequestKind::Cancel if self.hits(now, Class::F01NoAnswer, account) => {
                self.fire(Class::F01NoAnswer);
                self.leave_open(&mut fate);
            }
            RequestKind::Place if self.hits(now, Class::F03FillBeforeAck, account) => {
                fate.back = Some(self.late());
                fate.behind = true;
            }
            // Whose order is taken and whose answer is not heard asks for it, and is told that it is not there.
            RequestKind::Place if self.hits(now, Class::F02NotFound, account) => {
                self.fire(Class::F01NoAnswer);
                fate.spoil = Some(Spoil::Words(Unsaid::Timeout));
            }
            RequestKind::Cancel => fate.races = self.hits(now, Class::F08FillRacesCancel, account),
            RequestKind::Query if self.hits(now, Class::F02NotFound, account) => fate.spoil = Some(Spoil::NotFound),
            _ => {}
        }
        if fate == Fate::PLAIN && self.hits(now, Class::F23Corrupt, account) {
            self.fire(Class::F23Corrupt);
            fate.spoil = Some(Spoil::Half);
        }
        fate
    }

    fn late(&mut self) -> Duration {
        Duration::from_millis(self.random.between(LATE_MS.0, LATE_MS.1))
    }

    /// One of the ways in which nobody knows what became of a request.
    fn leave_open(&mut self, fate: &mut Fate) {
        match self.random.below(10) {
            // It never came there, and is given up after a while or at once.
            0 => fate.there = None,
            1 => (fate.there, fate.hang_up) = (None, Some(Duration::from_millis(3))),
            // It did, and nobody says so.
            2 => fate.back = None,
            3 => fate.hang_up = Some(Duration::from_millis(60)),
            // The connection broke, and the order arrives long after.
            4 => (fate.there, fate.hang_up) = (Some(self.late()), Some(Duration::from_millis(5))),
            5 => fate.spoil = Some(Spoil::Words(Unsaid::Timeout)),
            6 => fate.spoil = Some(Spoil::Words(Unsaid::Unexpected)),
            7 => (fate.spoil, fate.held_back) = (Some(Spoil::Words(Unsaid::Unknown503)), self.random.below(2) == 0),
            8 => (fate.spoil, fate.held_back) = (Some(Spoil::Words(Unsaid::Gateway)), self.random.below(2) == 0),
            // Late both ways, and answered in the end.
            _ => (fate.there, fate.back) = (Some(self.late() / 2), Some(self.late() / 2)),
        }
    }

    /// Of a frame that leaves the venue now.
    pub fn of_frame(&mut self, now: Timestamp, account: Option<AccountId>) -> FrameFate {
        if self.running.is_empty() {
            return FrameFate::Pass;
        }
        if self.hits(now, Class::F04Duplicate, account) {
            self.fire(Class::F04Duplicate);
            if self.random.below(2) == 0 {
                return FrameFate::Twice;
            }
            return FrameFate::Late(Duration::from_millis(self.random.between(FRAME_LATE_MS.0, FRAME_LATE_MS.1)));
        }
        if self.hits(now, Class::F23Corrupt, account) {
            self.fire(Class::F23Corrupt);
            return if self.random.below(2) == 0 { FrameFate::Corrupt } else { FrameFate::Unknown };
        }
        FrameFate::Pass
    }

    /// Whether a diff of the market is lost on its way.
    pub fn loses_diff(&mut self, now: Timestamp) -> bool {
        self.hits(now, Class::F11DepthGap, None)
    }
}

impl Spoil {
    /// What the daemon reads instead of what the venue said. `None`: that, or half of it.
    pub fn words(self, now: Timestamp, limited_until: Option<Timestamp>) -> Option<Served> {
        let seconds = limited_until.map(|until| until.since(now).as_secs() + 1);
        Some(match self {
            Self::Half => return None,
            Self::NotFound => Served::refused(&Problem::of(-2013, "Order does not exist."), None),
            Self::Limited => Served::refused(&Problem::of(-1003, "Too many requests queued.").with_status(429), seconds),
            Self::Maintenance => Served::refused(&Problem::of(-1016, "This service is no longer available.").with_status(503), None),
            Self::Words(Unsaid::Timeout) => Served::refused(&Problem::TIMEOUT.with_status(408), None),
            Self::Words(Unsaid::Unexpected) => {
                let text = "An unexpected response was received from the message bus. Execution status unknown.";
                Served::refused(&Problem::of(-1006, text).with_status(500), None)
            }
            Self::Words(Unsaid::Unknown503) => {
                let text = "Unknown error, please check your request or try again later.";
                Served::refused(&Problem::of(-1000, text).with_status(503), None)
            }
            Self::Words(Unsaid::Gateway) => Served::page(502),
        })
    }
}
