//! Fifty bugs that others have had, put back one at a time, and each is seen: by the checker over the seeds of a profile, or,
//! where seeds do not come to it, by the test that was written against it. Without the bug the same seed is clean, and the test passes.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Arc;

use strum::IntoEnumIterator as _;

use super::plan::Profile;
use super::scene::Scene;
use super::world;
use crate::domain::mutants::{self, Mutant};
use crate::domain::{book, dead_man, kill_switch, ladder, order_manager, restart, risk};
use crate::messages::gate;
use crate::strategies::bracket;
use crate::venues::binance::codec::outcome;
use crate::venues::binance::trading::user_stream;

/// Seeds that a bug has to show itself in, before its test is asked.
const SEEDS: u64 = 8;
/// Parts of the table, each a test of its own, so that they run side by side.
const PARTS: usize = 4;

/// Whether the limits of the scene are wide, or so tight that orders run into them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limits {
    Wide,
    Tight,
}

/// A test that fails with a bug, by its name.
type Named = (&'static str, fn());

macro_rules! test {
    ($($path:ident)::+) => {
        Some((stringify!($($path)::+), $($path)::+ as fn()))
    };
}

/// Who sees a bug: the checker over the seeds of a profile, and where those may not come to it, the test that was written
/// against it.
fn by(mutant: Mutant) -> (Option<(Profile, Limits)>, Option<Named>) {
    use Limits::Wide;
    use Profile::{Network, Storage};
    let seeds = |profile, limits| Some((profile, limits));
    match mutant {
        Mutant::UnknownIsFailed | Mutant::BlindResend | Mutant::RepeatBooked | Mutant::MissedFillsLost | Mutant::ForeignTradeIgnored => {
            (seeds(Network, Wide), None)
        }
        Mutant::ServerErrorIsRefusal => {
            (seeds(Network, Wide), test!(outcome::tests::each_documented_answer_says_what_became_of_the_request))
        }
        Mutant::NotFoundOnceEnds => (None, test!(order_manager::tests::unknown_is_not_failed_until_absent_twice_and_long_enough)),
        Mutant::RefusedCancelEnds => (seeds(Network, Wide), test!(order_manager::tests::a_refused_cancel_asks_for_the_order)),
        Mutant::LateAckRegresses | Mutant::EarlyFillDropped => (
            seeds(Network, Wide),
            test!(order_manager::tests::a_fill_before_the_acknowledgement_counts_and_the_late_acknowledgement_changes_nothing),
        ),
        Mutant::LateFillDropped => (None, test!(order_manager::tests::a_late_fill_after_the_cancel_is_booked_and_the_order_stays_ended)),
        Mutant::FundingBookedTwice => (None, test!(order_manager::tests::funds::a_ledger_entry_is_booked_once_however_often_it_is_listed)),
        Mutant::WalletCountedTwice => {
            (None, test!(order_manager::tests::funds::what_the_ledger_tells_later_than_the_wallet_is_not_counted_twice))
        }
        Mutant::OpenOrdersDropped
        | Mutant::FillsDoubled
        | Mutant::EntryTakenForPosition
        | Mutant::FailedSyncAcknowledged
        | Mutant::EpochNotRaised => (seeds(Storage, Wide), None),
        Mutant::SentUnreconciled => {
            (None, test!(order_manager::tests::hop::nothing_is_taken_and_nothing_leaves_while_the_account_is_reconciled))
        }
        Mutant::ReadyUnanswered => {
            (None, test!(order_manager::tests::recovery_holds_orders_back_asks_for_each_open_one_books_missed_trades_and_then_resumes))
        }
        other => by_of_control(other),
    }
}

/// The same for what gates, limits, supervises and hears. A bug that nobody is named for survives, which fails.
fn by_of_control(mutant: Mutant) -> (Option<(Profile, Limits)>, Option<Named>) {
    use Limits::{Tight, Wide};
    use Profile::{Actors, Calm, Operator};
    let seeds = |profile, limits| Some((profile, limits));
    match mutant {
        Mutant::GateUnread => (None, test!(gate::tests::a_slammed_gate_lets_nothing_pass_until_everything_is_halted_and_raised_again)),
        Mutant::SentBeforeDurable | Mutant::TradesToldApartByOrder | Mutant::OwnCrossAllowed | Mutant::PendingCancelUncounted => {
            (seeds(Calm, Wide), None)
        }
        Mutant::InFlightUncounted => (
            seeds(Calm, Tight),
            test!(risk::tests::in_flight_orders_count_towards_the_position_at_once_and_unknown_ones_for_as_long_as_it_takes),
        ),
        Mutant::UnknownReleased => {
            (None, test!(risk::tests::in_flight_orders_count_towards_the_position_at_once_and_unknown_ones_for_as_long_as_it_takes))
        }
        Mutant::SilentAccountUncounted | Mutant::SiblingsHeldUp => {
            (None, test!(risk::tests::unknown::an_account_that_has_not_been_heard_of_counts_with_what_the_journal_says_and_holds_nobody_up))
        }
        Mutant::DiesInSilence => (seeds(Actors, Wide), test!(restart::tests::otp::permanent_child_is_restarted_after_a_fault)),
        Mutant::OneFaultHaltsAll => (None, test!(ladder::tests::a_budget_halts_its_scope_one_past_the_limit_and_no_other)),
        Mutant::FedWhileUnwell => {
            (None, test!(dead_man::tests::whoever_is_not_well_is_left_to_the_venues_clock_and_told_of_at_once_when_it_is))
        }
        Mutant::RaisedBeforeDurable | Mutant::ConfirmedUnasked => (seeds(Operator, Wide), None),
        Mutant::ConfirmedWhileOpen => (None, test!(kill_switch::tests::an_account_is_confirmed_only_by_a_venue_that_shows_no_open_order)),
        Mutant::ConfirmedWhileOnTheWay => {
            (None, test!(kill_switch::tests::an_order_that_left_before_the_halt_and_may_still_arrive_is_waited_for))
        }
        Mutant::LatchNotRestored => (None, test!(kill_switch::tests::a_latch_from_an_earlier_life_closes_the_gate_and_sweeps_again)),
        Mutant::SilentSweep => (None, test!(kill_switch::tests::a_venue_that_never_answers_is_reported_and_tried_on)),
        Mutant::CursorJumps => {
            (None, test!(order_manager::tests::loss::a_fill_heard_before_the_snapshot_does_not_hide_the_ones_before_it_from_the_next_life))
        }
        Mutant::OverfillUnseen => (None, test!(order_manager::tests::more_filled_than_ordered_is_an_invariant_fault)),
        Mutant::StaleSnapshotBelieved => {
            (None, test!(order_manager::tests::funds::a_snapshot_that_lags_behind_a_fill_does_not_cost_the_books_anything))
        }
        Mutant::OldApprovalTaken => (None, test!(order_manager::tests::an_approval_of_a_dead_risk_manager_is_void)),
        Mutant::LastHopSkipped => (None, test!(order_manager::tests::a_mode_that_came_after_the_approval_still_counts)),
        Mutant::RaisedByNobody => (None, test!(ladder::tests::down_is_automatic_and_up_needs_a_name_and_a_reason)),
        Mutant::RestartsUncounted => (None, test!(restart::tests::otp::intensity_exceeded_terminates_all_children_and_then_the_supervisor)),
        Mutant::KeyNotRenewed => (None, test!(user_stream::tests::a_key_is_kept_every_half_hour_and_tried_again_after_a_minute)),
        Mutant::ExpiredKeyIgnored => (None, test!(user_stream::tests::an_expired_key_is_one_step_new_key_new_socket_everything_asked)),
        Mutant::SilentSocketTrusted => (None, test!(user_stream::tests::a_stream_that_is_silent_about_what_was_answered_is_dead)),
        Mutant::GapNotAskedFor => {
            (None, test!(user_stream::tests::a_lost_socket_is_replaced_at_once_then_slower_and_everything_is_asked_anew))
        }
        Mutant::DepthGapIgnored => (None, test!(book::tests::a_spot_gap_makes_the_book_unusable_until_a_snapshot_joins)),
        Mutant::ChildNotCumulative => (None, test!(bracket::tests::an_entry_that_does_not_end_is_protected_as_it_grows)),
        _ => (None, None),
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

/// What saw the bug: the first violation of a seed that is clean without it, or the name of a test that passes without it.
fn seen(mutant: Mutant, scenes: &BTreeMap<Limits, Arc<Scene>>) -> Option<String> {
    let (seeds, test) = by(mutant);
    let in_seeds = seeds.and_then(|(profile, limits)| {
        let run = |seed| world::run(&scenes[&limits], profile, seed, false).violations;
        (0..SEEDS).find_map(|seed| {
            let violation = mutants::with(mutant, || run(seed)).into_iter().next()?;
            run(seed).is_empty().then(|| format!("seed {seed} of {profile}: {violation}"))
        })
    });
    in_seeds.or_else(|| {
        let (name, test) = test?;
        test();
        mutants::with(mutant, || catch_unwind(test)).is_err().then(|| name.split_whitespace().collect())
    })
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
fn there_are_at_least_forty_bugs() {
    assert!(Mutant::iter().count() >= 40, "{}", Mutant::iter().count());
}
