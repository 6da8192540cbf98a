//! The disk's faults by the names of the report: what a class asks of the device, and which classes its accidents were.

use std::time::Duration;

use super::device::{self, Accidents, Cut, Device};
use super::{Class, Random};

/// Later than a few operations from now, so that it meets a commit at any of its steps.
const OPERATIONS_MAX: u64 = 12;
/// Less than a segment needs, more than a row does.
const FREE_BYTES_MAX: u64 = 96 << 10;
/// From what nobody notices to what the watchdog must.
const STALL_MS: (u64, u64) = (1, 20_000);

/// A fault of the device, drawn by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFault {
    pub class: Class,
    pub(super) wanted: Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Device(device::DiskFault),
    /// `None`: for ever.
    Stall {
        for_ns: Option<Duration>,
    },
}

impl DiskFault {
    #[must_use]
    pub fn draw(class: Class, random: &mut Random) -> Self {
        let after = u32::try_from(random.below(OPERATIONS_MAX)).unwrap_or(0);
        let wanted = match class {
            Class::F19DiskFull => Wanted::Device(device::DiskFault::Full { free: random.below(FREE_BYTES_MAX) }),
            Class::F19WriteError => Wanted::Device(device::DiskFault::WriteFails { after }),
            Class::F19SyncError => Wanted::Device(device::DiskFault::SyncFails { after: after / 4, forget: random.below(2) == 0 }),
            Class::F19Torn => Wanted::Device(device::DiskFault::PowerCut(Cut::Tears)),
            Class::F19Lost => Wanted::Device(device::DiskFault::PowerCut(Cut::Loses)),
            Class::F19Reordered => Wanted::Device(device::DiskFault::PowerCut(Cut::Reorders)),
            Class::F19FlippedRead => Wanted::Device(device::DiskFault::ReadFlips { after }),
            Class::F19BitRot => Wanted::Device(device::DiskFault::Rots),
            _ => Wanted::Stall { for_ns: stall(random) },
        };
        Self { class, wanted }
    }
}

/// One in four never ends.
fn stall(random: &mut Random) -> Option<Duration> {
    let span = random.between(STALL_MS.0, STALL_MS.1);
    (random.below(4) > 0).then(|| Duration::from_millis(span))
}

/// How often something has happened.
type Count = fn(&Accidents) -> u64;

impl Device {
    /// Classes that had an effect since the last look.
    #[must_use]
    pub fn take_fired(&self) -> Vec<Class> {
        let (now, then) = self.swap_looked_at();
        let classes: [(Class, Count); 8] = [
            (Class::F19SyncError, |a| a.syncs_failed),
            (Class::F19WriteError, |a| a.writes_failed),
            (Class::F19DiskFull, |a| a.refused_full),
            (Class::F19Torn, |a| a.changes_torn),
            (Class::F19Lost, |a| a.changes_lost + a.names_lost),
            (Class::F19Reordered, |a| a.cuts_reordered),
            (Class::F19FlippedRead, |a| a.reads_flipped),
            (Class::F19BitRot, |a| a.bits_rotten),
        ];
        classes.into_iter().filter(|(_, count)| count(&now) > count(&then)).map(|(class, _)| class).collect()
    }
}
