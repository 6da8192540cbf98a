//! Bugs that others have had, put back one at a time, so that the fault simulation and its checker can be shown to see them: a
//! checker that never says anything proves nothing. A mutant is switched on in unit tests only, for one thread; in every other
//! build the question is a constant no, and the compiler takes it and the bug behind it out.

/// One bug. Where it would truly be, one line asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::EnumIter)]
pub enum Mutant {
    /// An order whose outcome is not known counts as failed (hummingbot#8457).
    UnknownIsFailed,
    /// An order whose outcome is not known is sent once more.
    BlindResend,
    /// One "not found" ends an order (hummingbot: three, one behind the other).
    NotFoundOnceEnds,
    /// A cancel that the venue refuses counts as done.
    RefusedCancelEnds,
    /// A status without the venue's word counts as its no.
    ServerErrorIsRefusal,
    /// A restart forgets what is open and leaves it at the venue (nautilus#5000).
    OpenOrdersDropped,
    /// A restart books the venue's trades anew (nautilus#3046).
    FillsDoubled,
    /// A restart takes an entry that is open for one that filled (freqtrade#10436).
    EntryTakenForPosition,
    /// A trade that is told twice is booked twice.
    RepeatBooked,
    /// Trades are told apart by their order: the second one of an order is lost.
    TradesToldApartByOrder,
    /// An acknowledgement behind the fill makes the order live again (barter#206).
    LateAckRegresses,
    /// What trades behind its cancel is not booked (F08).
    LateFillDropped,
    /// What trades before its acknowledgement is not booked (F03).
    EarlyFillDropped,
    /// What traded while nobody listened is not fetched (Lean IB#249).
    MissedFillsLost,
    /// The cursor of trades is the newest one, though one before it is missing.
    CursorJumps,
    /// More filled than was ordered, and nobody minds.
    OverfillUnseen,
    /// A person's trade is booked and nothing follows (F17).
    ForeignTradeIgnored,
    /// The venue's first word replaces the books (F24).
    StaleSnapshotBelieved,
    /// An executor is ready before its questions are answered.
    ReadyUnanswered,
    /// An order leaves while its account is being reconciled.
    SentUnreconciled,
    /// An order leaves before its row is durable.
    SentBeforeDurable,
    /// A commit that failed is told as done.
    FailedSyncAcknowledged,
    /// The epoch stays what it was.
    EpochNotRaised,
    /// What a dead risk manager approved is sent.
    OldApprovalTaken,
    /// The executor does not look at the mode again.
    LastHopSkipped,
    /// Nobody looks at the gate.
    GateUnread,
    /// What is not known at the venue does not count as exposure.
    UnknownReleased,
    /// What was approved and has not been reported does not count as exposure.
    InFlightUncounted,
    /// An account whose executor has not spoken counts as empty.
    SilentAccountUncounted,
    /// Own orders may meet: the venue's prevention is trusted.
    OwnCrossAllowed,
    /// An order whose cancel has no answer yet is in nobody's way.
    PendingCancelUncounted,
    /// Nobody trades while one account reconciles.
    SiblingsHeldUp,
    /// A ledger entry from before the wallet was taken over is counted again.
    WalletCountedTwice,
    /// A ledger entry that is told twice is booked twice (F16).
    FundingBookedTwice,
    /// The gate opens before the raise is durable.
    RaisedBeforeDurable,
    /// A mode is raised without a name.
    RaisedByNobody,
    /// A halt is gone behind a restart.
    LatchNotRestored,
    /// A halt is called done without asking the venue.
    ConfirmedUnasked,
    /// A halt is called done though the venue shows orders (hummingbot#2534).
    ConfirmedWhileOpen,
    /// A halt is called done while an order is on its way.
    ConfirmedWhileOnTheWay,
    /// A halt that is not done alarms nobody.
    SilentSweep,
    /// The budget of one account halts them all.
    OneFaultHaltsAll,
    /// A supervisor restarts without end.
    RestartsUncounted,
    /// A child that dies stays dead, and nobody is told.
    DiesInSilence,
    /// The dead-man's switch is fed for an account that is not well.
    FedWhileUnwell,
    /// The listen key is not kept alive (nautilus#3861).
    KeyNotRenewed,
    /// The word that the listen key is void is not heard (hummingbot#7590).
    ExpiredKeyIgnored,
    /// A socket that is open and silent is trusted (nautilus#4020).
    SilentSocketTrusted,
    /// A new socket goes on as if nothing had been missed.
    GapNotAskedFor,
    /// A diff that does not follow is applied (hftbacktest#300).
    DepthGapIgnored,
    /// Protection is as large as the first fill (nautilus#2623).
    ChildNotCumulative,
}

#[cfg(test)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether that bug is in.
#[cfg(test)]
#[must_use]
pub fn on(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether that bug is in: never.
#[cfg(not(test))]
#[must_use]
pub const fn on(_: Mutant) -> bool {
    false
}

/// Puts a bug in, on this thread, for as long as `work` takes.
#[cfg(test)]
pub(crate) fn with<T>(mutant: Mutant, work: impl FnOnce() -> T) -> T {
    struct Out;
    impl Drop for Out {
        fn drop(&mut self) {
            ACTIVE.set(None);
        }
    }
    let _out = Out;
    ACTIVE.set(Some(mutant));
    work()
}
