//! What the venue has said once and is not believed yet. A destructive repair needs two answers that agree, apart in time, and
//! the second one must not be older than what we know (F24): a read side that lags shows an account as it was, and what it
//! lacks would come again. It remembers and compares; it asks nobody.

use std::time::Duration;

use super::super::time::Timestamp;
use super::finding::Finding;

/// Two answers to questions of one moment are one: a read side lags its engine by up to a second under load.
pub const APART: Duration = Duration::from_secs(1);
/// How long a difference must stand where the venue does not date what it shows: read replicas have been seen some seconds
/// behind.
pub const UNDATED_FOR: Duration = Duration::from_secs(10);
/// And where it does, and shows an older state than we know, for whatever reason: a clock of its own that was set back, a
/// replica that stands still. Then what it goes on saying is all there is to go by.
pub const STALE_FOR: Duration = Duration::from_secs(60);

/// How an answer's age compares with what we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It has everything that we know of.
    Proven,
    /// The venue does not say.
    Undated,
    /// It lacks something that happened.
    Stale,
}

impl Freshness {
    /// How long a difference must have stood for this answer to be the one that confirms it.
    #[must_use]
    pub const fn confirms_after(self) -> Duration {
        match self {
            Self::Proven => APART,
            Self::Undated => UNDATED_FOR,
            Self::Stale => STALE_FOR,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Doubt {
    finding: Finding,
    since: Timestamp,
}

/// Differences that were seen, since when.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Doubts(Vec<Doubt>);

/// What an answer comes to, of what takes something away.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Agreed {
    /// Said before, long enough ago.
    pub confirmed: Vec<Finding>,
    /// To be said again.
    pub waiting: Vec<Finding>,
}

impl Doubts {
    /// Takes an answer's findings. What was doubted and is not found again is forgotten.
    pub fn observe(&mut self, now: Timestamp, findings: &[Finding], freshness: Freshness) -> Agreed {
        let known = std::mem::take(&mut self.0);
        let mut agreed = Agreed::default();
        for finding in findings.iter().filter(|finding| finding.repair().is_destructive()) {
            let since = known.iter().find(|doubt| doubt.finding.agrees(finding)).map_or(now, |doubt| doubt.since);
            let stands = now.since(since) >= freshness.confirms_after();
            if stands { &mut agreed.confirmed } else { &mut agreed.waiting }.push(finding.clone());
            self.0.push(Doubt { finding: finding.clone(), since });
        }
        agreed
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
