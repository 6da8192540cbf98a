use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::domain::mode::{Mode, Scope};
use crate::domain::record::Record;
use crate::store::{Audit, AuditFilter};

/// Each of them a few lives of a journal; a person who changed the journal tries more.
const SEEDS: u64 = 150;

/// What was handed to the journal, and what it said; outlives every crash.
struct Scene {
    random: Random,
    device: Device,
    now: Timestamp,
    journal: Option<SimJournal>,
    next: u64,
    /// Batches by their first number: how many rows, and whether they were promised.
    batches: BTreeMap<u64, Batch>,
    waiting: BTreeMap<Ticket, u64>,
    latched: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    rows: u64,
    promised: bool,
    /// Not taken by the journal, so it went row by row to the emergency log.
    refused: bool,
}

/// A row with a number in it, of a length that crosses sectors and pages now and then.
fn row(number: u64, now: Timestamp) -> Entry {
    let length = usize::try_from(number * 37 % 1_900).unwrap();
    let detail = format!("{number} {}", "x".repeat(if number.is_multiple_of(7) { length } else { length / 8 }));
    Entry { at: now, record: Record::KillSwitch { scope: Scope::Global, event: "numbered".into(), detail } }
}

fn number(record: &Record) -> Option<u64> {
    let Record::KillSwitch { detail, .. } = record else { return None };
    detail.split(' ').next()?.parse().ok()
}

fn stored(device: &Device) -> Vec<Entry> {
    let rows = Audit::open(data(device)).unwrap().rows(&[], &AuditFilter::default()).unwrap();
    rows.into_iter().map(|row| Entry { at: row.at, record: row.record.unwrap() }).collect()
}

impl Scene {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let device = Device::new(random.split("device"));
        let now = Timestamp::from_millis(1_700_000_000_000);
        let mut scene =
            Self { random, device, now, journal: None, next: 1, batches: BTreeMap::new(), waiting: BTreeMap::new(), latched: Some(false) };
        scene.open();
        scene
    }

    fn journal(&mut self) -> &mut SimJournal {
        self.journal.as_mut().unwrap()
    }

    fn append(&mut self) {
        let rows = 1 + self.random.below(5);
        let (first, now) = (self.next, self.now);
        self.next += rows;
        let was_failed = self.journal().journal.handle().failure().is_some();
        let ticket = self.journal().append((first..first + rows).map(|number| row(number, now)).collect());
        self.batches.insert(first, Batch { rows, promised: false, refused: was_failed });
        self.waiting.insert(ticket, first);
    }

    fn commit(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        let now = self.now;
        let was_failed = self.journal().failed().is_some();
        let errors = |device: &Device| device.accidents().syncs_failed + device.accidents().writes_failed;
        let before = errors(&self.device);
        let committed = self.journal().commit(now);
        let failed = self.journal().failed().is_some();
        assert!(failed || errors(&self.device) == before, "an error of the device that nobody minded");
        for (ticket, result) in committed {
            let first = self.waiting.remove(&ticket).expect("one answer to each");
            let promised = result.is_ok();
            assert!(!(promised && was_failed), "nothing is promised after a failure");
            self.batches.get_mut(&first).unwrap().promised = promised;
        }
    }

    fn latch(&mut self) {
        let halted = self.random.below(2) == 1;
        let mut modes = ModeTable::default();
        if halted {
            modes.latch(Scope::Global, "tried", Timestamp(1));
        }
        // A store that failed may have reached the disk or not.
        self.latched = self.journal().store_latch(&modes).is_ok().then_some(halted);
    }

    fn fault(&mut self) {
        let classes = [Class::F19DiskFull, Class::F19WriteError, Class::F19SyncError, Class::F19Torn, Class::F19Lost, Class::F19Reordered];
        let class = *self.random.pick(&classes).unwrap();
        let fault = DiskFault::draw(class, &mut self.random);
        let now = self.now;
        self.journal().fail(now, &fault);
    }

    fn crash(&mut self) {
        let power = self.random.below(2) == 0;
        let journal = self.journal.take().unwrap();
        drop(journal.crash(power, &mut self.random));
        self.waiting.clear();
        if self.random.below(3) == 0 {
            self.device.fault(device::DiskFault::Evicts);
        }
        if self.random.below(2) == 0 {
            self.device.heal();
        }
        self.open();
    }

    /// A start may fail as often as faults are left; the power may go between two tries.
    fn open(&mut self) {
        for _ in 0..8 {
            if let Ok((journal, state)) = SimJournal::open(&self.device, self.now) {
                self.journal = Some(journal);
                return self.check(&state);
            }
            match self.random.below(3) {
                0 => self.device.heal(),
                1 => self.device.cut_power(self.random.split("again")),
                _ => {}
            }
        }
        self.device.heal();
        let (journal, state) = SimJournal::open(&self.device, self.now).expect("a device that is well");
        self.journal = Some(journal);
        self.check(&state);
    }

    /// Everything promised is there, in order, whole; nothing is there that nobody wrote; the state is what the rows say.
    fn check(&mut self, state: &DaemonState) {
        let verified = verify(data(&self.device), |_| {}).unwrap();
        assert_eq!(verified.outcome, VerifyOutcome::Intact);
        let stored = stored(&self.device);
        let mut folded = DaemonState::default();
        stored.iter().for_each(|entry| folded.apply(entry));
        // The rows here change no mode; what was halted is the latch's word, looked at below.
        folded.modes = state.modes.clone();
        assert_eq!(*state, folded, "checkpoint and tail are the whole history");
        let found: Vec<u64> = stored.iter().filter_map(|entry| number(&entry.record)).collect();
        for (first, batch) in &mut self.batches {
            let rows = *first..*first + batch.rows;
            let there = found.iter().filter(|number| rows.contains(number)).count() as u64;
            if batch.refused {
                continue;
            }
            assert!(there == batch.rows || (there == 0 && !batch.promised), "batch {first} {batch:?}: {there} rows in {found:?}");
            // The daemon acts on what it found: it may not vanish any more.
            batch.promised = there > 0;
        }
        let refused = |number: &u64| self.batches.range(..=number).next_back().is_some_and(|(_, batch)| batch.refused);
        let through_journal: Vec<u64> = found.iter().copied().filter(|number| !refused(number)).collect();
        assert!(through_journal.is_sorted_by(|a, b| a < b), "in order and once each: {through_journal:?}");
        assert!(found.iter().all(|number| *number < self.next));
        let once: BTreeSet<&u64> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "what came through the emergency log came once: {found:?}");
        if let Some(latched) = self.latched {
            let found = Latch::new(data(&self.device)).load(self.now);
            assert_eq!(!found.halted.is_empty(), latched, "the latch is as it was stored: {found:?}");
            assert!(!latched || state.modes.of(Scope::Global) == Mode::Halted);
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..40 => self.append(),
            40..85 => self.commit(),
            85..90 => self.latch(),
            90..94 => self.fault(),
            94..96 => self.device.heal(),
            _ => self.crash(),
        }
    }
}

#[test]
fn whatever_the_disk_does_what_was_promised_is_there_and_the_rest_is_whole_or_not_at_all() {
    let mut accidents = BTreeMap::<Class, u32>::new();
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed);
        for _ in 0..200 {
            scene.step();
        }
        scene.device.take_fired().into_iter().for_each(|class| *accidents.entry(class).or_default() += 1);
    }
    let expected = [Class::F19DiskFull, Class::F19WriteError, Class::F19SyncError, Class::F19Torn, Class::F19Lost, Class::F19Reordered];
    assert!(expected.iter().all(|class| accidents.get(class).is_some_and(|seeds| *seeds > 10)), "{accidents:?}");
}

/// A hundred rows and more, in two files, with checkpoints; then the process dies.
fn written(seed: u64) -> (Device, Random) {
    let mut scene = Scene::new(seed);
    for _ in 0..60 {
        scene.append();
        scene.commit();
    }
    let journal = scene.journal.take().unwrap();
    let device = journal.crash(false, &mut scene.random);
    (device, scene.random)
}

#[test]
fn a_bit_that_turned_over_is_found_or_changes_nothing_and_a_person_gets_out_of_it() {
    let (mut found, mut left, mut harmless) = (0, 0, 0);
    for seed in 0..120 {
        let (device, mut random) = written(seed);
        let before = stored(&device);
        let persists = seed % 2 == 0;
        let class = if persists { Class::F19BitRot } else { Class::F19FlippedRead };
        let Wanted::Device(fault) = DiskFault::draw(class, &mut random).wanted else { unreachable!() };
        device.fault(fault);
        let opened = SimJournal::open(&device, Timestamp(1)).map(|(journal, _)| drop(journal.crash(false, &mut random)));
        device.heal();
        let is_broken = |device: &Device| verify(data(device), |_| {}).unwrap().outcome != VerifyOutcome::Intact;
        // A start proves the rows since the last checkpoint; those before it are the audit's.
        let broken_before_the_checkpoint = opened.is_ok() && is_broken(&device);
        if opened.is_err() && persists || broken_before_the_checkpoint {
            let repaired = SimJournal::repair(&device, Timestamp(2), "ann", "a bad sector");
            repaired.unwrap_or_else(|error| panic!("seed {seed}: {opened:?}: {error}"));
        }
        let again = SimJournal::open(&device, Timestamp(3)).unwrap_or_else(|error| panic!("seed {seed}: {opened:?}: {error}"));
        drop(again.0.crash(false, &mut random));
        assert!(!is_broken(&device), "seed {seed}");
        let after = stored(&device);
        let kept = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
        assert!(kept == before.len() || persists, "seed {seed}: {kept} of {}", before.len());
        let own = |entry: &Entry| matches!(entry.record, Record::DaemonStarted { .. } | Record::OperatorCommand { .. });
        assert!(after[kept..].iter().all(own), "seed {seed}: rows that nobody wrote behind row {kept}");
        match opened {
            Err(_) => found += 1,
            Ok(()) if broken_before_the_checkpoint => left += 1,
            Ok(()) => harmless += 1,
        }
    }
    assert!(found > 20 && left > 0 && harmless > 10, "{found} found, {left} left to the audit, {harmless} harmless");
}

#[test]
fn a_device_that_hangs_answers_nothing_and_goes_on_where_it_was() {
    let mut scene = Scene::new(1);
    let stall = DiskFault { class: Class::F19Stall, wanted: Wanted::Stall { for_ns: Some(Duration::from_secs(3)) } };
    let now = scene.now;
    scene.journal().fail(now, &stall);
    scene.append();
    assert!(scene.journal().commit(now).is_empty());
    assert_eq!(scene.journal().running_since(), Some(now));
    assert_eq!(scene.journal().take_fired(), [Class::F19Stall]);
    let later = now + Duration::from_secs(3);
    assert_eq!(scene.journal().commit(later).len(), 1);
    assert_eq!((scene.journal().running_since(), scene.journal().is_waiting()), (None, false));
}

/// A commit that ends a file and begins the next one has a dozen syncs, and each of them counts.
#[test]
fn each_sync_of_a_rotation_that_fails_ends_the_journal() {
    let mut met = 0;
    for after in 0..40 {
        let mut scene = Scene::new(u64::from(after));
        while scene.next < ROWS_PER_SEGMENT {
            scene.append();
            scene.commit();
        }
        let before = scene.device.accidents().syncs_failed;
        scene.device.fault(device::DiskFault::SyncFails { after, forget: true });
        // Far enough for the checkpoint that opens the next file.
        for _ in 0..CHECKPOINT_EVERY {
            scene.append();
        }
        scene.commit();
        met += scene.device.accidents().syncs_failed - before;
    }
    assert!(met > 8, "{met} syncs failed in a rotation");
}
