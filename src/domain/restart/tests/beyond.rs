//! What goes beyond OTP: readiness, heartbeats, backoff, coalescing, fault classes, incarnations, children that no kill ends.

use super::*;

const MS: Duration = Duration::from_millis(1);

fn beating(text: &str) -> ChildSpec {
    ChildSpec { heartbeat: Some(2 * SECOND), ..spec(text) }
}

#[test]
fn with_a_ready_gate_the_next_child_waits_until_the_one_before_is_ready() {
    let policy = SupervisorPolicy { start_gate: StartGate::Ready, ..SupervisorPolicy::new(name("top")) };
    let slow = ChildSpec { readiness: Readiness::Reported { within: Some(10 * SECOND) }, ..spec("a") };
    let mut world = World::with(policy, [slow, spec("b")]);
    world.give(Input::StartAll);
    assert_eq!(world.take_orders(), ["start a#1"]);
    world.ready("a");
    assert_eq!(world.take_orders(), ["start b#1"]);
}

#[test]
fn readiness_that_is_reported_before_the_start_is_known_counts() {
    let mut world = World::new(Strategy::OneForOne, [ChildSpec { readiness: Readiness::Reported { within: Some(SECOND) }, ..spec("a") }]);
    world.starts_slowly.insert("a");
    world.give(Input::StartAll);
    world.ready("a");
    world.give(Input::ChildStarted { name: name("a"), incarnation: Incarnation(1) });
    assert_eq!(world.state("a"), ChildState::Ready);
}

#[test]
fn child_that_is_not_ready_in_time_is_killed_and_restarted_as_a_stall() {
    let mut world =
        World::started(Strategy::OneForOne, [ChildSpec { readiness: Readiness::Reported { within: Some(3 * SECOND) }, ..spec("a") }]);
    world.pass(4 * SECOND);
    assert_eq!(world.take_orders(), ["kill a#1", "start a#2"]);
    let stalled = world.events.iter().find(|event| event.what == EventKind::Stalled).unwrap();
    assert_eq!((stalled.class, stalled.detail.as_str()), (Some(FaultClass::Stall), "not ready within 3s of its start"));
}

#[test]
fn child_that_does_not_start_in_time_is_killed_and_restarted_as_a_stall() {
    let mut world = World::new(Strategy::OneForOne, [spec("a")]);
    world.starts_slowly.insert("a");
    world.give(Input::StartAll);
    world.pass(5 * SECOND + 200 * MS);
    assert_eq!(world.take_orders(), ["start a#1", "kill a#1", "start a#2"]);
}

#[test]
fn start_failure_is_charged_and_retried_with_backoff_and_holds_back_no_sibling() {
    let mut world = World::new(Strategy::OneForOne, ["a", "b"].map(spec));
    world.cannot_start.insert("a");
    world.give(Input::StartAll);
    assert_eq!(world.take_orders(), ["start a#1", "start b#1"]);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start a#2", "start a#3", "start a#4", "escalate panic", "stop b#1", "fail panic"]);
}

#[test]
fn start_failure_in_a_group_starts_nobody_behind_it() {
    let mut world = World::new(Strategy::RestForOne, ["a", "b", "c"].map(spec));
    world.cannot_start.insert("b");
    world.give(Input::StartAll);
    assert_eq!(world.take_orders(), ["start a#1", "start b#1"]);
    world.cannot_start.clear();
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start b#2", "start c#1"]);
}

#[test]
fn missed_heartbeat_kills_and_restarts_the_child_and_touches_no_sibling() {
    let mut world = World::started(Strategy::OneForOne, [beating("a"), beating("b")]);
    world.beating.insert("b");
    world.pass(3 * SECOND);
    assert_eq!(world.take_orders(), ["kill a#1", "start a#2"]);
    assert_eq!(world.incarnation("b"), Incarnation(1));
    assert_eq!(world.view("a").last_exit.as_deref(), Some("killed"));
}

#[test]
fn progress_keeps_a_child_alive() {
    let mut world = World::started(Strategy::OneForOne, [beating("a")]);
    world.beating.insert("a");
    world.pass(600 * SECOND);
    assert_eq!(world.take_orders(), [""; 0]);
}

#[test]
fn time_in_which_the_supervisor_itself_did_not_run_counts_against_no_child() {
    let mut world = World::started(Strategy::OneForOne, [beating("a")]);
    world.now = world.now + Duration::from_secs(3_600);
    world.give(Input::Tick);
    assert_eq!(world.take_orders(), [""; 0], "the process was suspended, not the child");
    world.pass(3 * SECOND);
    assert_eq!(world.take_orders(), ["kill a#1", "start a#2"], "afterwards its silence counts again");
}

#[test]
fn backoff_doubles_up_to_its_maximum_and_the_jitter_takes_at_most_half() {
    let backoff = Backoff { base: 100 * MS, max: SECOND, stable: 30 * SECOND };
    for (consecutive, full) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (50, 1_000)] {
        assert_eq!(backoff.delay(consecutive, 0), full * MS);
        for jitter in [1, 77_777_777, u64::MAX] {
            let delay = backoff.delay(consecutive, jitter);
            assert!(delay > full * MS / 2 && delay <= full * MS, "{delay:?} of {full} ms");
        }
    }
}

#[test]
fn backoff_without_a_base_restarts_at_once() {
    assert_eq!(Backoff { base: Duration::ZERO, max: SECOND, stable: SECOND }.delay(9, 12345), Duration::ZERO);
}

#[test]
fn child_that_ran_for_the_stable_period_starts_its_backoff_over() {
    let policy = SupervisorPolicy { intensity: Intensity { restarts: 100, period: SECOND }, ..SupervisorPolicy::new(name("top")) };
    let mut world = World::with(policy, [spec("a")]);
    world.give(Input::StartAll);
    for _ in 0..6 {
        world.exit("a", panicked());
        world.pass(2 * SECOND);
    }
    world.exit("a", panicked());
    world.pass(SECOND);
    assert_eq!(world.state("a"), ChildState::Waiting, "the seventh failure in a row waits for more than a second");
    world.pass(40 * SECOND);
    world.exit("a", panicked());
    world.pass(50 * MS);
    assert_eq!(world.state("a"), ChildState::Ready, "after a stable run the first delay is the base again");
}

#[test]
fn simultaneous_failures_in_one_for_all_are_charged_once() {
    let mut world = World::started(Strategy::OneForAll, ["a", "b", "c"].map(spec));
    world.ignores_stop.extend(["a", "c"]);
    world.exit("b", panicked());
    world.exit("a", panicked());
    world.exit("c", panicked());
    world.pass(SECOND);
    assert_eq!((world.count(EventKind::RestartScheduled), world.count(EventKind::Coalesced)), (1, 1), "c was being stopped already");
    assert_eq!(["a", "b", "c"].map(|child| world.incarnation(child)), [Incarnation(2); 3]);
}

#[test]
fn earlier_child_that_fails_during_a_rest_for_one_restart_widens_it_uncharged() {
    let mut world = World::started(Strategy::RestForOne, ["a", "b", "c"].map(spec));
    world.exit("c", panicked());
    world.exit("a", panicked());
    assert_eq!(world.take_orders(), ["stop b#1"]);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start a#2", "start b#2", "start c#2"]);
    assert_eq!(world.count(EventKind::RestartScheduled), 1);
}

#[test]
fn failure_after_the_group_has_begun_to_start_again_is_charged_again() {
    let mut world = World::started(Strategy::OneForAll, ["a", "b"].map(spec));
    world.starts_slowly.insert("b");
    world.exit("a", panicked());
    world.pass(SECOND);
    world.exit("a", panicked());
    assert_eq!(world.count(EventKind::RestartScheduled), 2);
}

#[test]
fn fault_class_with_an_intensity_of_its_own_escalates_by_it() {
    let policy = SupervisorPolicy {
        intensity: Intensity { restarts: 10, period: 60 * SECOND },
        class_intensity: vec![(FaultClass::Stall, Intensity { restarts: 1, period: 60 * SECOND })],
        ..SupervisorPolicy::new(name("top"))
    };
    let mut world = World::with(policy, [spec("a")]);
    world.give(Input::StartAll);
    world.exit("a", failed(FaultClass::Stall));
    world.pass(SECOND);
    for _ in 0..3 {
        world.exit("a", failed(FaultClass::Transport));
        world.pass(SECOND);
    }
    assert_eq!(world.count(EventKind::Escalated), 0);
    world.exit("a", failed(FaultClass::Stall));
    assert_eq!(world.orders.last().map(String::as_str), Some("fail stall"));
}

#[test]
fn class_without_a_budget_escalates_at_the_first_fault() {
    for class in [FaultClass::Invariant, FaultClass::Storage] {
        for child in [spec("a"), transient("a"), temporary("a")] {
            let mut world = World::started(Strategy::OneForOne, [child]);
            world.exit("a", failed(class));
            assert_eq!(world.take_orders(), [format!("escalate {class}"), format!("fail {class}")]);
        }
    }
}

#[test]
fn class_without_a_budget_cannot_be_talked_down_by_the_fault() {
    for how in [ExitHow::Normal, panicked(), ExitHow::Killed, failed(FaultClass::Data)] {
        let journal = ChildSpec { class: Some(FaultClass::Storage), ..spec("journal") };
        let mut world = World::started(Strategy::OneForOne, [journal]);
        world.exit("journal", how);
        assert_eq!(world.take_orders(), ["escalate storage", "fail storage"]);
    }
}

#[test]
fn class_without_a_budget_escalates_even_during_a_group_restart() {
    let mut world = World::started(Strategy::RestForOne, ["a", "b"].map(spec));
    world.exit("b", panicked());
    world.exit("a", failed(FaultClass::Invariant));
    assert_eq!(world.take_orders(), ["escalate invariant", "fail invariant"]);
}

#[test]
fn journal_that_is_stopped_in_order_is_no_storage_fault() {
    let journal = ChildSpec { class: Some(FaultClass::Storage), ..spec("journal") };
    let mut world = World::started(Strategy::OneForOne, [journal]);
    world.give(Input::StopAll);
    assert_eq!(world.take_orders(), ["stop journal#1", "finish"]);
}

#[test]
fn spec_class_names_the_faults_that_name_none() {
    let feed = ChildSpec { class: Some(FaultClass::Transport), ..spec("feed") };
    let mut world = World::started(Strategy::OneForOne, [feed]);
    world.exit("feed", panicked());
    assert_eq!(world.events.iter().find(|e| e.what == EventKind::Exited).unwrap().class, Some(FaultClass::Transport));
}

#[test]
fn child_that_survives_its_kill_is_given_up_and_escalates_as_a_stall() {
    let mut world = World::started(Strategy::OneForOne, [spec("a"), beating("b")]);
    world.ignores_kill.insert("b");
    world.pass(2 * SECOND + 500 * MS);
    assert_eq!(world.take_orders(), ["kill b#1"]);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["escalate stall", "stop a#1", "fail stall"]);
}

#[test]
fn child_that_survives_its_kill_cannot_hold_up_an_ordered_stop() {
    let mut world = World::started(Strategy::OneForOne, ["a", "b"].map(spec));
    world.ignores_stop.insert("b");
    world.ignores_kill.insert("b");
    world.give(Input::StopAll);
    world.pass(10 * SECOND);
    assert_eq!(world.take_orders(), ["stop b#1", "kill b#1", "escalate stall", "stop a#1", "fail stall"]);
}

#[test]
fn exit_of_an_older_incarnation_is_ignored() {
    let mut world = World::started(Strategy::OneForOne, [spec("a")]);
    world.exit("a", panicked());
    world.pass(SECOND);
    world.take_orders();
    world.give(Input::ChildExited { name: name("a"), incarnation: Incarnation(1), how: panicked() });
    world.give(Input::ChildReady { name: name("a"), incarnation: Incarnation(1) });
    assert_eq!((world.take_orders().len(), world.state("a"), world.incarnation("a")), (0, ChildState::Ready, Incarnation(2)));
}

#[test]
fn start_that_is_known_only_after_the_exit_is_ignored() {
    let mut world = World::new(Strategy::OneForOne, [spec("a")]);
    world.starts_slowly.insert("a");
    world.give(Input::StartAll);
    world.exit("a", panicked());
    world.give(Input::ChildStarted { name: name("a"), incarnation: Incarnation(1) });
    assert_eq!(world.state("a"), ChildState::Waiting);
}

#[test]
fn child_that_was_told_to_stop_before_it_had_started_is_told_again() {
    let mut world = World::new(Strategy::OneForOne, [spec("a")]);
    world.starts_slowly.insert("a");
    world.ignores_stop.insert("a");
    world.give(Input::StartAll);
    world.give(Input::StopAll);
    world.give(Input::ChildStarted { name: name("a"), incarnation: Incarnation(1) });
    assert_eq!(world.take_orders(), ["start a#1", "stop a#1", "stop a#1"]);
}

#[test]
fn operator_restart_is_not_charged() {
    let mut world = World::started(Strategy::OneForOne, [spec("a")]);
    for _ in 0..50 {
        world.give(Input::Restart { name: name("a") });
    }
    assert_eq!((world.incarnation("a"), world.count(EventKind::RestartScheduled)), (Incarnation(51), 0));
    assert_eq!(world.state("a"), ChildState::Ready);
}

#[test]
fn operator_restart_ends_a_backoff_and_revives_a_child_that_is_done() {
    let mut world = World::started(Strategy::OneForOne, [spec("a"), transient("b")]);
    world.exit("a", panicked());
    world.exit("b", ExitHow::Normal);
    world.give(Input::Restart { name: name("a") });
    world.give(Input::Restart { name: name("b") });
    assert_eq!(world.take_orders(), ["start a#2", "start b#2"]);
}

#[test]
fn requests_that_make_no_sense_are_refused_with_a_reason() {
    let mut world = World::started(Strategy::OneForOne, [spec("a")]);
    world.give(Input::Restart { name: name("nobody") });
    world.give(Input::Remove { name: name("nobody") });
    world.give(Input::StopAll);
    world.give(Input::Add { spec: spec("late"), last: Incarnation(0) });
    let refusals: Vec<_> = world.events.iter().filter(|e| e.what == EventKind::Refused).map(|e| e.detail.as_str()).collect();
    assert_eq!(
        refusals,
        ["cannot restart: no such child", "cannot remove: no such child", "cannot add a child: the supervisor is stopping"]
    );
}

#[test]
fn child_removed_while_it_waits_for_its_backoff_is_forgotten_at_once() {
    let mut world = World::started(Strategy::OneForOne, [spec("a")]);
    world.exit("a", panicked());
    world.give(Input::Remove { name: name("a") });
    world.pass(60 * SECOND);
    assert_eq!(world.take_orders(), ["forget a"]);
}

#[test]
fn incarnations_go_on_from_the_last_one_under_that_name() {
    let mut world = World::started(Strategy::OneForOne, []);
    world.give(Input::Add { spec: spec("a"), last: Incarnation(7) });
    assert_eq!(world.take_orders(), ["start a#8"]);
    assert_eq!(world.view("a").restarts, 7);
}

#[test]
fn escalation_is_said_before_the_first_child_is_stopped() {
    let mut world = World::started(Strategy::OneForOne, ["a", "b"].map(spec));
    world.exit("b", failed(FaultClass::Invariant));
    assert_eq!(world.take_orders(), ["escalate invariant", "stop a#1", "fail invariant"]);
}

#[test]
fn child_added_while_its_name_is_being_removed_starts_when_the_old_one_is_gone() {
    let mut world = World::started(Strategy::OneForOne, ["a", "b"].map(spec));
    world.ignores_stop.insert("a");
    world.give(Input::Remove { name: name("a") });
    world.give(Input::Add { spec: temporary("a"), last: Incarnation(1) });
    assert_eq!(world.take_orders(), ["stop a#1"], "two incarnations of one name never run side by side");
    world.exit("a", ExitHow::Shutdown);
    assert_eq!(world.take_orders(), ["forget a", "start a#2"]);
    assert_eq!(world.view("b").incarnation, Incarnation(1), "nobody else noticed");
    world.exit("a", panicked());
    assert_eq!(world.take_orders(), ["forget a"], "it is the new spec that runs");
}

#[test]
fn child_that_is_removed_again_is_not_replaced() {
    let mut world = World::started(Strategy::OneForOne, [spec("a")]);
    world.ignores_stop.insert("a");
    world.give(Input::Remove { name: name("a") });
    world.give(Input::Add { spec: spec("a"), last: Incarnation(1) });
    world.give(Input::Restart { name: name("a") });
    world.give(Input::Remove { name: name("a") });
    world.exit("a", ExitHow::Shutdown);
    world.pass(60 * SECOND);
    assert_eq!(world.take_orders(), ["stop a#1", "forget a"]);
}
