//! The highest that the account's equity was, in the UTC day and ever: drawdowns are counted from it, so it outlives the daemon.
//! What is paid in or out moves it along; a person who raises the account after its drawdown begins it anew.

use std::time::Duration;

use rust_decimal::Decimal;

use super::super::ladder::ModeTable;
use super::super::mode::{Mode, Scope};
use super::super::money::{Money, Ratio};
use super::super::order::EquityPeaks;
use super::super::record::Record;
use super::super::risk::controls;
use super::super::time::Timestamp;
use super::{OrderManager, Out};

/// A rise by so much is written at once, a smaller one after a while: a kill loses less than this of a peak, and a market that
/// creeps upwards does not fill the journal with it.
const STEP: Ratio = Ratio(Decimal::from_parts(5, 0, 0, false, 4));
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// What was reached, and what of it is in the journal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peaks {
    pub(super) reached: Option<EquityPeaks>,
    written: Option<EquityPeaks>,
    written_at: Timestamp,
}

impl Peaks {
    pub(super) fn recalled(peaks: Option<EquityPeaks>) -> Self {
        Self { reached: peaks, written: peaks, written_at: Timestamp::ZERO }
    }

    /// Takes an equity in that is known whole; what is to be written, if it is time.
    fn follow(&mut self, now: Timestamp, equity: Money) -> Option<EquityPeaks> {
        let utc_day = now.utc_day();
        let reached = match self.reached {
            Some(EquityPeaks { utc_day: since, day, ever }) => {
                EquityPeaks { utc_day, day: if since < utc_day { equity } else { day.max(equity) }, ever: ever.max(equity) }
            }
            None => EquityPeaks { utc_day, day: equity, ever: equity },
        };
        self.reached = Some(reached);
        let due = self.written.is_none_or(|written| {
            let rose = |now: Money, then: Money| now - then >= then.abs() * STEP && now > then;
            let slowly = reached != written && now.since(self.written_at) >= WRITE_EVERY;
            written.utc_day < utc_day || rose(reached.day, written.day) || rose(reached.ever, written.ever) || slowly
        });
        due.then(|| self.write(now, reached))
    }

    fn write(&mut self, now: Timestamp, peaks: EquityPeaks) -> EquityPeaks {
        (self.reached, self.written, self.written_at) = (Some(peaks), Some(peaks), now);
        peaks
    }
}

impl OrderManager {
    /// With every look at the account whose positions all have a price.
    pub(super) fn follow_peaks(&mut self, now: Timestamp, equity: Money, out: &mut Out) {
        if let Some(peaks) = self.peaks.follow(now, equity) {
            out.persist(vec![Record::EquityPeaked { account: self.account, peaks, because: None }], vec![]);
        }
    }

    /// Money paid in is no profit and makes no peak; money taken out is no drawdown.
    pub(super) fn shift_peaks(&mut self, now: Timestamp, paid: Money) -> Option<Record> {
        let EquityPeaks { utc_day, day, ever } = self.peaks.reached?;
        let peaks = self.peaks.write(now, EquityPeaks { utc_day, day: day + paid, ever: ever + paid });
        Some(Record::EquityPeaked { account: self.account, peaks, because: Some(format!("{paid} was paid in or out")) })
    }

    /// A halt over a drawdown that a person has raised: they have seen how low it is, and it counts from there.
    pub(super) fn begin_peaks_anew(&mut self, now: Timestamp, before: &ModeTable, out: &mut Out) {
        let over = |entry: &&super::super::ladder::ScopeMode| {
            let covers = entry.scope == Scope::Global || entry.scope == Scope::Account(self.account);
            let drawdown = [controls::DRAWDOWN_DAY, controls::DRAWDOWN_PEAK].iter().any(|name| entry.cause.starts_with(name));
            covers && drawdown && entry.mode == Mode::Halted && self.modes.of(entry.scope) == Mode::Normal
        };
        let Some(raised) = before.iter().find(over).map(|entry| entry.cause.clone()) else { return };
        let (Some(_), Some(equity)) = (self.peaks.reached, self.known_equity()) else { return };
        let peaks = self.peaks.write(now, EquityPeaks { utc_day: now.utc_day(), day: equity, ever: equity });
        let because = Some(format!("a person raised the account after {raised}"));
        out.persist(vec![Record::EquityPeaked { account: self.account, peaks, because }], vec![]);
    }

    fn known_equity(&self) -> Option<Money> {
        let valuation = self.positions.unrealized(|symbol| self.marks.get(&symbol).copied());
        (valuation.unmarked == 0).then(|| self.positions.wallet() + valuation.unrealized)
    }
}
