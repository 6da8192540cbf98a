//! Fifty bugs that others have had, put back one at a time, and each is seen: by the checker over the seeds of a profile, or,
//! where a seed cannot show it, by the test that was written against it. Without a bug the same seeds are clean.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Arc;

use strum::IntoEnumIterator as _;

use super::plan::Profile;
use super::scene::Scene;
use super::world;
use crate::domain::mutants::{self, Mutant};
use crate::domain::{book, ladder, order_manager, restart};
use crate::strategies::bracket;
use crate::venues::binance::trading::user_stream;

/// Seeds that a bug has to show itself in.
const SEEDS: u64 = 16;
/// Parts of the table, each a test of its own, so that they run side by side.
const PARTS: usize = 4;

/// Who sees a bug.
enum By {
    /// The checker, over the seeds of that profile.
    Seeds(Profile, Limits),
    /// A test that fails with it, and its name.
    Test(&'static str, fn()),
}

/// Whether the limits of the scene are wide, or so tight that orders run into them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limits {
    Wide,
    Tight,
}

fn by(mutant: Mutant) -> By {
    use Limits::{Tight, Wide};
    use Profile::{Actors, Calm, Default, Network, Operator, Storage};
    macro_rules! test {
        ($($path:ident)::+) => {
            By::Test(stringify!($($path)::+), $($path)::+)
        };
    }
    match mutant {
        Mutant::UnknownIsFailed
        | Mutant::BlindResend
        | Mutant::NotFoundOnceEnds
        | Mutant::RefusedCancelEnds
        | Mutant::ServerErrorIsRefusal
        | Mutant::RepeatBooked
        | Mutant::LateAckRegresses
        | Mutant::LateFillDropped
        | Mutant::EarlyFillDropped
        | Mutant::MissedFillsLost
        | Mutant::ForeignTradeIgnored
        | Mutant::WalletCountedTwice
        | Mutant::FundingBookedTwice => By::Seeds(Network, Wide),
        Mutant::OpenOrdersDropped
        | Mutant::FillsDoubled
        | Mutant::EntryTakenForPosition
        | Mutant::SentUnreconciled
        | Mutant::FailedSyncAcknowledged
        | Mutant::EpochNotRaised => By::Seeds(Storage, Wide),
        Mutant::SentBeforeDurable | Mutant::TradesToldApartByOrder | Mutant::OwnCrossAllowed | Mutant::PendingCancelUncounted => {
            By::Seeds(Calm, Wide)
        }
        Mutant::InFlightUncounted => By::Seeds(Calm, Tight),
        Mutant::UnknownReleased => By::Seeds(Network, Tight),
        Mutant::SilentAccountUncounted => By::Seeds(Actors, Tight),
        Mutant::SiblingsHeldUp | Mutant::OneFaultHaltsAll | Mutant::DiesInSilence | Mutant::FedWhileUnwell => By::Seeds(Actors, Wide),
        Mutant::RaisedBeforeDurable | Mutant::ConfirmedUnasked | Mutant::ConfirmedWhileOpen | Mutant::GateUnread => {
            By::Seeds(Operator, Wide)
        }
        Mutant::ConfirmedWhileOnTheWay | Mutant::LatchNotRestored | Mutant::SilentSweep => By::Seeds(Default, Wide),
        Mutant::CursorJumps => test!(order_manager::tests::loss::a_lost_trade_is_asked_for_though_newer_ones_have_come),
        Mutant::OverfillUnseen => test!(order_manager::tests::more_filled_than_ordered_is_an_invariant_fault),
        Mutant::StaleSnapshotBelieved => {
            test!(order_manager::tests::funds::a_snapshot_that_lags_behind_a_fill_does_not_cost_the_books_anything)
        }
        Mutant::ReadyUnanswered => {
            test!(order_manager::tests::recovery_holds_orders_back_asks_for_each_open_one_books_missed_trades_and_then_resumes)
        }
        Mutant::OldApprovalTaken => test!(order_manager::tests::an_approval_of_a_dead_risk_manager_is_void),
        Mutant::LastHopSkipped => test!(order_manager::tests::a_mode_that_came_after_the_approval_still_counts),
        Mutant::RaisedByNobody => test!(ladder::tests::down_is_automatic_and_up_needs_a_name_and_a_reason),
        Mutant::RestartsUncounted => {
            test!(restart::tests::otp::intensity_exceeded_terminates_all_children_and_then_the_supervisor)
        }
        Mutant::KeyNotRenewed => test!(user_stream::tests::a_key_is_kept_every_half_hour_and_tried_again_after_a_minute),
        Mutant::ExpiredKeyIgnored => test!(user_stream::tests::an_expired_key_is_one_step_new_key_new_socket_everything_asked),
        Mutant::SilentSocketTrusted => test!(user_stream::tests::a_stream_that_is_silent_about_what_was_answered_is_dead),
        Mutant::GapNotAskedFor => {
            test!(user_stream::tests::a_lost_socket_is_replaced_at_once_then_slower_and_everything_is_asked_anew)
        }
        Mutant::DepthGapIgnored => test!(book::tests::a_spot_gap_makes_the_book_unusable_until_a_snapshot_joins),
        Mutant::ChildNotCumulative => test!(bracket::tests::an_entry_that_does_not_end_is_protected_as_it_grows),
    }
}

fn scene(limits: Limits) -> Arc<Scene> {
    let mut scene = Scene::new().unwrap();
    if limits == Limits::Tight {
        // Two orders fill it, the third is one too many.
        scene.limits.max_capital = Some("5000".parse().unwrap());
        for symbol in scene.limits.accounts.values_mut().flat_map(|account| account.symbols.values_mut()) {
            symbol.max_position_value = Some("1500".parse().unwrap());
        }
    }
    Arc::new(scene)
}

/// What saw the bug: the first violation of a seed, or the name of a test.
fn seen(mutant: Mutant, scenes: &BTreeMap<Limits, Arc<Scene>>) -> Option<String> {
    match by(mutant) {
        By::Test(name, test) => mutants::with(mutant, || catch_unwind(test)).is_err().then(|| name.to_owned()),
        By::Seeds(profile, limits) => (0..SEEDS).find_map(|seed| {
            let outcome = mutants::with(mutant, || world::run(&scenes[&limits], profile, seed, false));
            outcome.violations.first().map(|violation| format!("seed {seed} of {profile}: {violation}"))
        }),
    }
}

/// Every fourth bug of the list.
fn all_are_seen(part: usize) {
    let scenes = BTreeMap::from([Limits::Wide, Limits::Tight].map(|limits| (limits, scene(limits))));
    let mut survivors = Vec::new();
    for mutant in Mutant::iter().skip(part).step_by(PARTS) {
        match seen(mutant, &scenes) {
            Some(by) => println!("{mutant:?}: {by}"),
            None => survivors.push(mutant),
        }
    }
    assert!(survivors.is_empty(), "nobody saw {survivors:?} in {SEEDS} seeds");
}

#[test]
fn every_bug_is_seen_1() {
    all_are_seen(0);
}

#[test]
fn every_bug_is_seen_2() {
    all_are_seen(1);
}

#[test]
fn every_bug_is_seen_3() {
    all_are_seen(2);
}

#[test]
fn every_bug_is_seen_4() {
    all_are_seen(3);
}

#[test]
fn there_are_at_least_forty_bugs_and_most_are_seen_in_seeds() {
    let in_seeds = Mutant::iter().filter(|mutant| matches!(by(*mutant), By::Seeds(..))).count();
    assert!(Mutant::iter().count() >= 40 && in_seeds >= 30, "{in_seeds} of {}", Mutant::iter().count());
}

/// Whoever sees a bug where there is none sees nothing.
#[test]
fn without_a_bug_the_seeds_and_the_tests_are_clean() {
    let mut used = BTreeMap::new();
    for mutant in Mutant::iter() {
        match by(mutant) {
            By::Seeds(profile, limits) => {
                used.insert((profile.to_string(), limits), profile);
            }
            By::Test(_, test) => test(),
        }
    }
    for ((name, limits), profile) in used {
        let scene = scene(limits);
        for seed in 0..SEEDS {
            let outcome = world::run(&scene, profile, seed, false);
            assert_eq!(outcome.violations, Vec::<String>::new(), "seed {seed} of {name}");
        }
    }
}
