//! Faults at random, one after another, the same for the same seed: when the next is due and which it is. It arms nothing.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::domain::time::Timestamp;

use super::rule::{Kind, Rule, Schedule, Sockets, When};

/// A fault of a schedule that lasts, lasts at most this long: most things recover and are hit again.
const LASTS_MS: std::ops::Range<u64> = 200..5_000;
/// After a pause (a machine that slept) the schedule goes on from now, and does not catch up.
const BEHIND_MAX: Duration = Duration::from_secs(10);

/// A schedule under way.
#[derive(Debug)]
pub(super) struct Running {
    schedule: Schedule,
    chance: ChaCha8Rng,
    next_at: Timestamp,
    ends_at: Option<Timestamp>,
}

impl Running {
    pub(super) fn new(now: Timestamp, schedule: Schedule) -> Self {
        let mut running = Self {
            chance: ChaCha8Rng::seed_from_u64(schedule.seed),
            next_at: now,
            ends_at: schedule.duration_ms.map(|millis| now + Duration::from_millis(millis)),
            schedule,
        };
        running.next_at = now + running.pause();
        running
    }

    pub(super) const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|end| now >= end)
    }

    /// What is due by now.
    pub(super) fn take_due(&mut self, now: Timestamp, due: &mut Vec<Rule>) {
        if now.since(self.next_at) > BEHIND_MAX {
            self.next_at = now;
        }
        while self.next_at <= now && !self.is_over(now) {
            let mut rule = self.draw();
            // What nothing has met by then must not meet what comes after the schedule.
            if let Some(end) = self.ends_at {
                let left = u64::try_from(end.since(now).as_millis()).unwrap_or(u64::MAX);
                rule.duration_ms = Some(rule.duration_ms.map_or(left, |lasts| lasts.min(left)));
            }
            due.push(rule);
            self.next_at = self.next_at + self.pause();
        }
    }

    /// Between nothing and twice the average.
    fn pause(&mut self) -> Duration {
        let every = self.schedule.every_ms.max(1);
        Duration::from_millis(self.chance.random_range(1..=every.saturating_mul(2)))
    }

    fn draw(&mut self) -> Rule {
        let kind = if self.schedule.faults.is_empty() {
            self.any()
        } else {
            self.schedule.faults[self.chance.random_range(0..self.schedule.faults.len())].clone()
        };
        let accounts = &self.schedule.accounts;
        let account = (!accounts.is_empty()).then(|| accounts[self.chance.random_range(0..accounts.len())]);
        let symbols = if kind.wants_symbol() { &self.schedule.symbols[..] } else { &[] };
        let symbol = (!symbols.is_empty()).then(|| symbols[self.chance.random_range(0..symbols.len())]);
        let mut rule = Rule { account, symbol, ..Rule::new(kind) };
        if matches!(rule.fault, Kind::Zombie { .. } | Kind::SkewClock { .. } | Kind::Maintenance { .. } | Kind::Stale) {
            rule.duration_ms = Some(self.chance.random_range(LASTS_MS));
        } else {
            rule.count = Some(self.chance.random_range(1..=3));
        }
        rule
    }

    /// What passes by itself and needs no name of a symbol.
    fn any(&mut self) -> Kind {
        let when = if self.chance.random() { When::After } else { When::Before };
        let sockets = [Sockets::All, Sockets::Market, Sockets::User, Sockets::WsApi][self.chance.random_range(0..4)];
        let millis = self.chance.random_range(10..2_000);
        match self.chance.random_range(0..20) {
            0 => Kind::Delay { before_ms: millis, after_ms: 0 },
            1 => Kind::Delay { before_ms: 0, after_ms: millis },
            2 => Kind::Timeout,
            3 => Kind::Silence,
            4 => Kind::HangUp,
            5 => Kind::Unknown503 { when },
            6 => Kind::Unavailable503,
            7 => Kind::Busy,
            8 => Kind::Gateway { status: 502, when },
            9 => Kind::Garbage,
            10 => Kind::Stale,
            11 => Kind::DropEvent,
            12 => Kind::DuplicateEvent,
            13 => Kind::SwapEvent,
            14 => Kind::DelayEvent { millis },
            15 => Kind::DropDiffs { diffs: 1 },
            16 => Kind::Zombie { sockets },
            17 => Kind::Cut { sockets },
            18 => Kind::ExpireListenKeys { told: when == When::Before },
            _ => Kind::TooMany429 { retry_after_s: 1 },
        }
    }
}
