//! One file's bytes, three times: what the processes see, what is on the medium, and what lies between the two because no
//! sync has asked for it yet. It says what a power cut or a failed sync makes of that, sector by sector. It knows no names.

use crate::simulation::fault::Random;

/// What a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;
/// Heads or tails, in millionths.
const HALF: u32 = 500_000;

/// What becomes of everything that was not synced when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The cache was written out in the last moment.
    Kept,
    Lost,
    /// Everything up to a moment, in order; what was being written then is torn.
    Prefix(u64),
    /// Sectors came to the medium in any order: each of them is there or is not.
    Shuffled,
}

/// Something that was done to the file and not synced.
#[derive(Debug)]
struct Change {
    /// Counted over the whole device.
    order: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// How much of what was pending came to the medium.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub kept: u64,
    pub lost: u64,
    /// Changes of which a part is there.
    pub torn: u64,
}

#[derive(Debug, Default)]
pub(super) struct Inode {
    view: Vec<u8>,
    medium: Vec<u8>,
    pending: Vec<Change>,
}

impl Inode {
    pub(super) fn length(&self) -> usize {
        self.view.len()
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The first change that no sync has covered.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.pending.first().map(|change| change.order)
    }

    /// How many bytes there were to read.
    pub(super) fn read(&self, at: usize, into: &mut [u8]) -> usize {
        let found = self.view.get(at..).unwrap_or_default();
        let length = found.len().min(into.len());
        into[..length].copy_from_slice(&found[..length]);
        length
    }

    pub(super) fn write(&mut self, order: u64, at: usize, bytes: &[u8]) {
        put(&mut self.view, at, bytes);
        self.pending.push(Change { order, what: What::Write { at, bytes: bytes.to_vec() } });
    }

    pub(super) fn set_length(&mut self, order: u64, length: usize) {
        self.view.resize(length, 0);
        self.pending.push(Change { order, what: What::Length(length) });
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change.what {
                What::Write { at, bytes } => put(&mut self.medium, at, &bytes),
                What::Length(length) => self.medium.resize(length, 0),
            }
        }
    }

    /// A sync that failed: some of it may be on the medium. With `forget`, what is not there is clean all the same and is
    /// never tried again, as Linux has it; the view still shows it.
    pub(super) fn fail_sync(&mut self, forget: bool, random: &mut Random) {
        for change in &self.pending {
            apply(&mut self.medium, &change.what, |_| random.chance(HALF));
        }
        if forget {
            self.pending.clear();
        }
    }

    /// The memory is needed for something else: what is clean is read from the medium the next time.
    pub(super) fn evict(&mut self) {
        self.view.clone_from(&self.medium);
        for change in &self.pending {
            apply(&mut self.view, &change.what, |_| true);
        }
    }

    pub(super) fn power_loss(&mut self, fate: Fate, random: &mut Random) -> Reached {
        let mut reached = Reached::default();
        for change in self.pending.drain(..) {
            let sectors = change.what.sectors();
            let torn_at = random.below(sectors + 1);
            let kept = apply(&mut self.medium, &change.what, |sector| match fate {
                Fate::Kept => true,
                Fate::Lost => false,
                Fate::Prefix(until) => change.order < until || (change.order == until && sector < torn_at),
                Fate::Shuffled => random.chance(HALF),
            });
            match kept {
                0 => reached.lost += 1,
                _ if kept == sectors => reached.kept += 1,
                _ => reached.torn += 1,
            }
        }
        self.view.clone_from(&self.medium);
        reached
    }

    /// One bit of the medium turns over, and the view of it; `None` for an empty file.
    pub(super) fn rot(&mut self, random: &mut Random) -> Option<usize> {
        let at = usize::try_from(random.below(self.medium.len() as u64)).ok()?;
        let bit = 1u8 << random.below(8);
        *self.medium.get_mut(at)? ^= bit;
        self.evict();
        Some(at)
    }
}

impl What {
    fn sectors(&self) -> u64 {
        match self {
            Self::Write { at, bytes } => ((at + bytes.len()).div_ceil(SECTOR) - at / SECTOR) as u64,
            Self::Length(_) => 1,
        }
    }
}

/// Applies those sectors of a change that `keeps` wants; how many they were.
fn apply(to: &mut Vec<u8>, what: &What, mut keeps: impl FnMut(u64) -> bool) -> u64 {
    let (at, bytes) = match what {
        What::Write { at, bytes } => (*at, bytes.as_slice()),
        What::Length(length) => {
            let kept = keeps(0);
            if kept {
                to.resize(*length, 0);
            }
            return u64::from(kept);
        }
    };
    let (mut from, mut kept) = (0, 0);
    for sector in 0..what.sectors() {
        let until = bytes.len().min(((at + from) / SECTOR + 1) * SECTOR - at);
        if keeps(sector) {
            put(to, at + from, &bytes[from..until]);
            kept += 1;
        }
        from = until;
    }
    kept
}

fn put(to: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[at..end].copy_from_slice(bytes);
}
