//! Faults on demand: what is armed, and what it does to the next request, user event or frame. A pure machine: it is given the
//! time, and chance comes from a seed; it delays, refuses and drops nothing itself, but says what is to be done. Faults that are
//! done once at the engine or to the sockets come out as actions.
//!
//! With nothing armed, [`FaultDesk`] costs a request one atomic read.

mod actions;
mod checks;
mod desk;
mod listing;
mod rule;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::time::Timestamp;

use super::problem::Problem;

pub use desk::{FaultDesk, FaultError, Listed, is_own};
pub use listing::Listing;
pub use rule::{Kind, Rule, Schedule, Sockets, When};
use schedule::Running;

/// Faults armed at once. A person arms a few, a schedule one at a time.
pub const ARMED_MAX: usize = 1_000;

/// A request as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    pub account: Option<AccountId>,
    pub verb: &'a str,
    pub path: &'a str,
    pub methods: &'a [&'a str],
    pub symbol: Option<&'a str>,
}

/// How an answer is spoilt.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoilt {
    Problem(Problem),
    /// A gateway's page of this status.
    Page(u16),
    Silence,
    HangUp,
    Garbage,
}

/// What is done to a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestFate {
    pub delay_before: Duration,
    /// The engine never sees it.
    pub before: Option<Spoilt>,
    pub delay_after: Duration,
    /// The engine has done it.
    pub after: Option<Spoilt>,
    pub stale: bool,
}

/// What is done to a user event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventFate {
    #[default]
    Pass,
    Drop,
    Duplicate,
    /// After the next event.
    Swap,
    Delay(Duration),
    Corrupt,
    Unknown,
}

/// What a part of the exchange is to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub kind: Kind,
    pub account: Option<AccountId>,
    pub symbol: Option<Symbol>,
    pub duration_ms: Option<u64>,
}

/// What the sockets hear from the faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Do(Action),
    /// Nothing goes wrong any more.
    Mend,
}

/// What came of arming a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arming {
    /// It waits under this number.
    Waits(u64),
    /// Nothing to wait for.
    Now(Action),
}

#[derive(Debug, Clone)]
struct Armed {
    rule: Rule,
    skip: u32,
    left: u32,
    until: Option<Timestamp>,
}

/// What is armed.
#[derive(Debug)]
pub struct Faults {
    spot: bool,
    armed: BTreeMap<u64, Armed>,
    next: u64,
    chance: ChaCha8Rng,
    schedule: Option<Running>,
}

impl Faults {
    #[must_use]
    pub fn new(spot: bool) -> Self {
        Self { spot, armed: BTreeMap::new(), next: 1, chance: ChaCha8Rng::seed_from_u64(0), schedule: None }
    }

    pub fn arm(&mut self, now: Timestamp, rule: Rule) -> Arming {
        if rule.fault.is_action() {
            return Arming::Now(Action { kind: rule.fault, account: rule.account, symbol: rule.symbol, duration_ms: rule.duration_ms });
        }
        let number = self.next;
        self.next += 1;
        let until = rule.duration_ms.map(|millis| now + Duration::from_millis(millis));
        self.armed.insert(number, Armed { skip: rule.skip, left: rule.hits(), until, rule });
        while self.armed.len() > ARMED_MAX {
            self.armed.pop_first();
        }
        Arming::Waits(number)
    }

    /// Faults at random from now on; the seed decides over them and over `percent`.
    pub fn follow(&mut self, now: Timestamp, schedule: Schedule) {
        self.chance = ChaCha8Rng::seed_from_u64(schedule.seed);
        self.schedule = Some(Running::new(now, schedule));
    }

    /// Nothing goes wrong any more.
    pub fn disarm(&mut self) {
        self.armed.clear();
        self.schedule = None;
    }

    /// Whether anything is armed or will be.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.armed.is_empty() && self.schedule.is_none()
    }

    pub fn armed(&self) -> impl Iterator<Item = (u64, &Rule, u32)> {
        self.armed.iter().map(|(number, armed)| (*number, &armed.rule, armed.left))
    }

    #[must_use]
    pub fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref().map(Running::schedule)
    }

    /// Lets go what is over, arms what a schedule has due, and says what is to be done now.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Action> {
        self.armed.retain(|_, armed| armed.until.is_none_or(|until| now < until));
        let mut due = Vec::new();
        if let Some(running) = &mut self.schedule {
            running.take_due(now, &mut due);
            if running.is_over(now) {
                self.schedule = None;
            }
        }
        let arm = |rule: Rule| {
            let word = rule.word_to_sockets();
            match self.arm(now, rule) {
                Arming::Now(action) => Some(action),
                Arming::Waits(_) => word,
            }
        };
        due.into_iter().filter_map(arm).collect()
    }

    /// What is done to this request.
    pub fn request(&mut self, now: Timestamp, scope: &Scope<'_>) -> RequestFate {
        let spot = self.spot;
        let mut fate = RequestFate::default();
        self.each(now, |rule| is_of_request(&rule.fault) && concerns(rule, scope), |rule| apply(&mut fate, &rule.fault, now, spot));
        fate
    }

    /// What is done to an event of this account's stream.
    pub fn event(&mut self, now: Timestamp, account: AccountId) -> EventFate {
        let mut fate = EventFate::Pass;
        let matches = |rule: &Rule| event_fate(&rule.fault).is_some() && rule.account.is_none_or(|of| of == account);
        self.each(now, matches, |rule| fate = event_fate(&rule.fault).unwrap_or_default());
        fate
    }

    /// Whether sockets of this kind are dead while connected.
    #[must_use]
    pub fn is_zombie(&self, now: Timestamp, sockets: Sockets, account: Option<AccountId>) -> bool {
        self.lasting(now).any(|rule| {
            let meant = matches!(rule.fault, Kind::Zombie { sockets: meant } if meant == Sockets::All || meant == sockets);
            meant && rule.account.is_none_or(|of| Some(of) == account)
        })
    }

    /// How far the wire's clock is ahead, in milliseconds.
    #[must_use]
    pub fn skew_ms(&self, now: Timestamp) -> i64 {
        let skews = self.lasting(now).map(|rule| if let Kind::SkewClock { millis } = rule.fault { millis } else { 0 });
        skews.fold(0, i64::saturating_add)
    }

    /// Whether new sockets are refused.
    #[must_use]
    pub fn in_maintenance(&self, now: Timestamp) -> bool {
        self.lasting(now).any(|rule| matches!(rule.fault, Kind::Maintenance { .. }))
    }

    /// What holds as long as it is armed.
    fn lasting(&self, now: Timestamp) -> impl Iterator<Item = &Rule> {
        self.armed.values().filter(move |armed| armed.until.is_none_or(|until| now < until)).map(|armed| &armed.rule)
    }

    /// Uses up every armed rule that matches and whose turn it is.
    fn each(&mut self, now: Timestamp, matches: impl Fn(&Rule) -> bool, mut hit: impl FnMut(&Rule)) {
        let chance = &mut self.chance;
        self.armed.retain(|_, armed| {
            if armed.until.is_some_and(|until| now >= until) {
                return false;
            }
            if !matches(&armed.rule) {
                return true;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
                return true;
            }
            if armed.rule.percent.is_some_and(|percent| chance.random_range(0..100) >= percent) {
                return true;
            }
            hit(&armed.rule);
            armed.left = armed.left.saturating_sub(1);
            // What lasts is not used up by being looked at.
            armed.left > 0 || matches!(armed.rule.fault, Kind::Maintenance { .. })
        });
    }
}

const fn is_of_request(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Delay { .. }
            | Kind::Timeout
            | Kind::Silence
            | Kind::HangUp
            | Kind::Unknown503 { .. }
            | Kind::Unavailable503
            | Kind::Busy
            | Kind::Gateway { .. }
            | Kind::Refuse { .. }
            | Kind::Garbage
            | Kind::Stale
            | Kind::Maintenance { .. }
            | Kind::TooMany429 { .. }
    )
}

fn concerns(rule: &Rule, scope: &Scope<'_>) -> bool {
    let route = |wanted: &String| {
        let is = |name: &str| match wanted.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == wanted,
        };
        is(scope.path) || scope.methods.iter().any(|method| is(method))
    };
    rule.account.is_none_or(|account| Some(account) == scope.account)
        && rule.route.as_ref().is_none_or(route)
        && rule.verb.as_ref().is_none_or(|verb| verb.eq_ignore_ascii_case(scope.verb))
        && rule.symbol.is_none_or(|symbol| Some(symbol.as_str()) == scope.symbol)
}

fn apply(fate: &mut RequestFate, kind: &Kind, now: Timestamp, spot: bool) {
    let spoil = |fate: &mut RequestFate, when: When, spoilt| match when {
        When::Before => fate.before = Some(spoilt),
        When::After => fate.after = Some(spoilt),
    };
    match kind {
        Kind::Delay { before_ms, after_ms } => {
            fate.delay_before += Duration::from_millis(*before_ms);
            fate.delay_after += Duration::from_millis(*after_ms);
        }
        Kind::Timeout => fate.after = Some(Spoilt::Problem(Problem::TIMEOUT.with_status(if spot { 504 } else { 408 }))),
        Kind::Silence => fate.after = Some(Spoilt::Silence),
        Kind::HangUp => fate.after = Some(Spoilt::HangUp),
        Kind::Garbage => fate.after = Some(Spoilt::Garbage),
        Kind::Unknown503 { when } => {
            let problem = Problem::of(-1000, "Unknown error, please check your request or try again later.").with_status(503);
            spoil(fate, *when, Spoilt::Problem(problem));
        }
        Kind::Unavailable503 => fate.before = Some(Spoilt::Problem(Problem::of(-1016, "Service Unavailable.").with_status(503))),
        Kind::Busy => fate.before = Some(Spoilt::Problem(Problem::SERVER_BUSY)),
        Kind::Gateway { status, when } => spoil(fate, *when, Spoilt::Page(*status)),
        Kind::Refuse { code, msg, status, when } => {
            let problem = Problem::said(*code, msg.clone());
            let status = status.unwrap_or(problem.status);
            spoil(fate, *when, Spoilt::Problem(problem.with_status(status)));
        }
        Kind::Stale => fate.stale = true,
        Kind::Maintenance { html: true } => fate.before = Some(Spoilt::Page(503)),
        Kind::Maintenance { html: false } => {
            fate.before = Some(Spoilt::Problem(Problem::of(-1016, "This service is no longer available.")))
        }
        Kind::TooMany429 { retry_after_s } => {
            let problem = Problem::of(-1003, "Too many requests queued.");
            let retry_at = Some(now + Duration::from_secs(u64::from(*retry_after_s)));
            fate.before = Some(Spoilt::Problem(Problem { retry_at, ..problem }));
        }
        _ => {}
    }
}

const fn event_fate(kind: &Kind) -> Option<EventFate> {
    Some(match kind {
        Kind::DropEvent => EventFate::Drop,
        Kind::DuplicateEvent => EventFate::Duplicate,
        Kind::SwapEvent => EventFate::Swap,
        Kind::DelayEvent { millis } => EventFate::Delay(Duration::from_millis(*millis)),
        Kind::CorruptEvent => EventFate::Corrupt,
        Kind::UnknownEvent => EventFate::Unknown,
        _ => return None,
    })
}
