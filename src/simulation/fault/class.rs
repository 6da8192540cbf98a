//! The kinds of fault that the simulation knows, by the names that its report uses. A part reports a class when a fault of it
//! really had an effect, never when it was only planned.

use strum::{EnumIter, IntoStaticStr};

/// Where a class happens, which is who has to make it happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Venue,
    Disk,
    Daemon,
    Clock,
    Operator,
    Strategy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, IntoStaticStr)]
pub enum Class {
    /// An order whose request has no definite answer: time-out, 5xx, -1006, -1007.
    #[strum(serialize = "F01_no_answer")]
    F01NoAnswer,
    /// "Order not found" soon after the order was made.
    #[strum(serialize = "F02_not_found")]
    F02NotFound,
    #[strum(serialize = "F03_fill_before_ack")]
    F03FillBeforeAck,
    #[strum(serialize = "F04_duplicate_or_reordered")]
    F04Duplicate,
    /// The user stream broke, and what it would have told is lost.
    #[strum(serialize = "F05_missed_events")]
    F05Missed,
    /// The listen key expired and the stream stays open, silent.
    #[strum(serialize = "F06_listen_key")]
    F06ListenKey,
    /// The venue closes connections: 24 hours are up, or it says that it shuts down.
    #[strum(serialize = "F07_venue_closes")]
    F07Closed,
    #[strum(serialize = "F08_fill_races_cancel")]
    F08FillRacesCancel,
    #[strum(serialize = "F09_skew")]
    F09Skew,
    #[strum(serialize = "F10_rate_limit")]
    F10RateLimit,
    #[strum(serialize = "F11_depth_gap")]
    F11DepthGap,
    #[strum(serialize = "F12_zombie_socket")]
    F12Zombie,
    #[strum(serialize = "F13_maintenance")]
    F13Maintenance,
    #[strum(serialize = "F14_filters_changed")]
    F14Filters,
    #[strum(serialize = "F15_liquidation")]
    F15Liquidation,
    #[strum(serialize = "F16_funding")]
    F16Funding,
    #[strum(serialize = "F17_by_hand")]
    F17ByHand,
    /// The venue's clock jumps.
    #[strum(serialize = "F18_venue_clock")]
    F18VenueClock,
    #[strum(serialize = "F19_disk_full")]
    F19DiskFull,
    #[strum(serialize = "F19_write_error")]
    F19WriteError,
    #[strum(serialize = "F19_sync_error")]
    F19SyncError,
    /// A commit that takes long, or for ever.
    #[strum(serialize = "F19_disk_stall")]
    F19Stall,
    /// At a power cut: half a block, a block that never came, blocks in another order.
    #[strum(serialize = "F19_torn_write")]
    F19Torn,
    #[strum(serialize = "F19_lost_write")]
    F19Lost,
    #[strum(serialize = "F19_reordered_write")]
    F19Reordered,
    /// A read that returns one wrong bit, once.
    #[strum(serialize = "F19_flipped_read")]
    F19FlippedRead,
    /// A bit on the medium that turned over for good: the journal is broken until a person repairs it.
    #[strum(serialize = "F19_bit_rot")]
    F19BitRot,
    /// kill -9 of the whole daemon.
    #[strum(serialize = "F20_kill_daemon")]
    F20Kill,
    /// kill -9 between the row of an intent and its send.
    #[strum(serialize = "F20_kill_before_send")]
    F20KillBeforeSend,
    /// A command that is delivered twice or late.
    #[strum(serialize = "F21_redelivered")]
    F21Redelivered,
    /// A second daemon on the same data directory.
    #[strum(serialize = "F22_second_daemon")]
    F22SecondDaemon,
    #[strum(serialize = "F23_corrupt_message")]
    F23Corrupt,
    #[strum(serialize = "F24_stale_answer")]
    F24Stale,
    #[strum(serialize = "F25_panic")]
    F25Panic,
    /// A kill by its supervisor, or by a person.
    #[strum(serialize = "F25_kill_actor")]
    F25Kill,
    /// Waits for ever: its heartbeat's deadline ends it.
    #[strum(serialize = "F25_wedge")]
    F25Wedge,
    /// Spins: nobody can end it, the watchdog ends the process.
    #[strum(serialize = "F25_spin")]
    F25Spin,
    #[strum(serialize = "clock_step")]
    ClockStep,
    #[strum(serialize = "clock_drift")]
    ClockDrift,
    #[strum(serialize = "operator_halt")]
    OperatorHalt,
    #[strum(serialize = "operator_flatten")]
    OperatorFlatten,
    #[strum(serialize = "operator_resume")]
    OperatorResume,
    #[strum(serialize = "operator_restart")]
    OperatorRestart,
    #[strum(serialize = "operator_settings")]
    OperatorSettings,
    #[strum(serialize = "strategy_nonsense")]
    StrategyNonsense,
    #[strum(serialize = "strategy_huge")]
    StrategyHuge,
    #[strum(serialize = "strategy_duplicate")]
    StrategyDuplicate,
    /// It proposes against a resting order of a neighbour of the same owner.
    #[strum(serialize = "strategy_crosses")]
    StrategyCrosses,
}

impl Class {
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    #[must_use]
    pub const fn place(self) -> Place {
        match self {
            Self::F19DiskFull
            | Self::F19WriteError
            | Self::F19SyncError
            | Self::F19Stall
            | Self::F19Torn
            | Self::F19Lost
            | Self::F19Reordered
            | Self::F19FlippedRead
            | Self::F19BitRot => Place::Disk,
            Self::F20Kill
            | Self::F20KillBeforeSend
            | Self::F21Redelivered
            | Self::F22SecondDaemon
            | Self::F25Panic
            | Self::F25Kill
            | Self::F25Wedge
            | Self::F25Spin => Place::Daemon,
            Self::ClockStep | Self::ClockDrift => Place::Clock,
            Self::OperatorHalt | Self::OperatorFlatten | Self::OperatorResume | Self::OperatorRestart | Self::OperatorSettings => {
                Place::Operator
            }
            Self::StrategyNonsense | Self::StrategyHuge | Self::StrategyDuplicate | Self::StrategyCrosses => Place::Strategy,
            _ => Place::Venue,
        }
    }
}
