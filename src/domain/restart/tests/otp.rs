//! OTP's rules, each test named after its rule.

use super::*;

fn abc() -> [ChildSpec; 3] {
    ["a", "b", "c"].map(spec)
}

#[test]
fn children_are_started_in_order_each_after_the_one_before_has_started() {
    let mut world = World::new(Strategy::OneForOne, abc());
    world.starts_slowly.insert("b");
    world.give(Input::StartAll);
    assert_eq!(world.take_orders(), ["start a#1", "start b#1"]);
    world.give(Input::ChildStarted { name: name("b"), incarnation: Incarnation(1) });
    assert_eq!(world.take_orders(), ["start c#1"]);
    assert!(world.machine.is_ready());
}

#[test]
fn permanent_child_is_restarted_after_a_normal_exit() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.exit("b", ExitHow::Normal);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start b#2"]);
}

#[test]
pub(crate) fn permanent_child_is_restarted_after_a_fault() {
    for how in [panicked(), ExitHow::Killed, failed(FaultClass::Data)] {
        let mut world = World::started(Strategy::OneForOne, abc());
        world.exit("b", how);
        world.pass(SECOND);
        assert_eq!(world.take_orders(), ["start b#2"]);
    }
}

#[test]
fn transient_child_is_not_restarted_after_a_normal_exit() {
    let mut world = World::started(Strategy::OneForOne, [spec("a"), transient("b")]);
    world.exit("b", ExitHow::Normal);
    world.pass(60 * SECOND);
    assert_eq!(world.take_orders(), [""; 0]);
    assert_eq!(world.state("b"), ChildState::Down);
    assert!(world.machine.is_ready(), "a child that is done holds nobody back");
}

#[test]
fn transient_child_is_not_restarted_after_a_shutdown() {
    let mut world = World::started(Strategy::OneForOne, [spec("a"), transient("b")]);
    world.exit("b", ExitHow::Shutdown);
    world.pass(60 * SECOND);
    assert_eq!(world.take_orders(), [""; 0]);
}

#[test]
fn transient_child_is_restarted_after_a_fault() {
    for how in [panicked(), ExitHow::Killed, failed(FaultClass::Data)] {
        let mut world = World::started(Strategy::OneForOne, [spec("a"), transient("b")]);
        world.exit("b", how);
        world.pass(SECOND);
        assert_eq!(world.take_orders(), ["start b#2"]);
    }
}

#[test]
fn temporary_child_is_never_restarted() {
    for how in [ExitHow::Normal, ExitHow::Shutdown, panicked(), ExitHow::Killed, failed(FaultClass::Data)] {
        let mut world = World::started(Strategy::OneForOne, [spec("a"), temporary("b")]);
        world.exit("b", how);
        world.pass(60 * SECOND);
        assert_eq!(world.take_orders(), ["forget b"], "its spec is deleted with it");
        assert_eq!(world.machine.view(&name("b")), None);
    }
}

#[test]
fn temporary_childs_fault_restarts_no_sibling() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = World::started(strategy, [temporary("a"), spec("b")]);
        world.exit("a", panicked());
        world.pass(60 * SECOND);
        assert_eq!(world.take_orders(), ["forget a"]);
    }
}

#[test]
fn one_for_one_restarts_only_the_failed_child() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.exit("b", panicked());
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start b#2"]);
    assert_eq!((world.incarnation("a"), world.incarnation("c")), (Incarnation(1), Incarnation(1)));
}

#[test]
fn one_for_all_restarts_every_sibling_in_start_order() {
    let mut world = World::started(Strategy::OneForAll, abc());
    world.exit("b", panicked());
    assert_eq!(world.take_orders(), ["stop c#1", "stop a#1"], "siblings are terminated in reverse order, before the backoff");
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start a#2", "start b#2", "start c#2"]);
}

#[test]
fn one_for_all_starts_no_sibling_before_the_last_one_is_gone() {
    let mut world = World::started(Strategy::OneForAll, abc());
    world.ignores_stop.insert("a");
    world.exit("b", panicked());
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["stop c#1", "stop a#1"]);
    world.pass(5 * SECOND);
    assert_eq!(world.take_orders(), ["kill a#1", "start a#2", "start b#2", "start c#2"]);
}

#[test]
fn rest_for_one_restarts_the_failed_child_and_those_started_after_it() {
    let mut world = World::started(Strategy::RestForOne, ["a", "b", "c", "d"].map(spec));
    world.exit("b", panicked());
    assert_eq!(world.take_orders(), ["stop d#1", "stop c#1"]);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start b#2", "start c#2", "start d#2"]);
    assert_eq!(world.incarnation("a"), Incarnation(1));
}

#[test]
fn rest_for_one_restarts_the_last_child_alone() {
    let mut world = World::started(Strategy::RestForOne, abc());
    world.exit("c", panicked());
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start c#2"]);
}

#[test]
fn group_restart_terminates_temporary_siblings_and_does_not_restart_them() {
    let mut world = World::started(Strategy::OneForAll, [spec("a"), temporary("b"), spec("c")]);
    world.exit("a", panicked());
    assert_eq!(world.take_orders(), ["stop c#1", "stop b#1", "forget b"]);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start a#2", "start c#2"]);
}

#[test]
fn group_restart_starts_a_transient_sibling_that_was_done_again() {
    let mut world = World::started(Strategy::OneForAll, [spec("a"), transient("b")]);
    world.exit("b", ExitHow::Normal);
    world.exit("a", panicked());
    world.pass(SECOND);
    assert_eq!(world.take_orders(), ["start a#2", "start b#2"]);
}

#[test]
fn transient_childs_normal_exit_restarts_no_sibling() {
    let mut world = World::started(Strategy::OneForAll, [spec("a"), transient("b")]);
    world.exit("b", ExitHow::Normal);
    world.pass(SECOND);
    assert_eq!(world.take_orders(), [""; 0]);
}

#[test]
pub(crate) fn intensity_exceeded_terminates_all_children_and_then_the_supervisor() {
    let mut world = World::started(Strategy::OneForOne, abc());
    for _ in 0..3 {
        world.exit("b", panicked());
        world.pass(SECOND);
    }
    world.take_orders();
    world.exit("b", panicked());
    assert_eq!(world.take_orders(), ["escalate panic", "stop c#1", "stop a#1", "fail panic"]);
    assert!(world.machine.is_finished());
}

#[test]
fn intensity_counts_the_restarts_of_all_children_together() {
    let mut world = World::started(Strategy::OneForOne, abc());
    for child in ["a", "b", "c"] {
        world.exit(child, panicked());
        world.pass(SECOND);
    }
    world.take_orders();
    world.exit("a", panicked());
    assert_eq!(world.take_orders()[0], "escalate panic");
}

#[test]
fn intensity_of_zero_allows_no_restart() {
    let policy = SupervisorPolicy { intensity: Intensity { restarts: 0, period: SECOND }, ..SupervisorPolicy::new(name("top")) };
    let mut world = World::with(policy, abc());
    world.give(Input::StartAll);
    world.take_orders();
    world.exit("b", panicked());
    assert_eq!(world.take_orders(), ["escalate panic", "stop c#1", "stop a#1", "fail panic"]);
}

#[test]
fn restarts_older_than_the_period_do_not_count() {
    let mut world = World::started(Strategy::OneForOne, abc());
    for _ in 0..20 {
        world.exit("b", panicked());
        world.pass(11 * SECOND);
    }
    assert_eq!(world.incarnation("b"), Incarnation(21));
    assert_eq!(world.count(EventKind::Escalated), 0);
}

#[test]
fn group_restart_is_charged_once() {
    let mut world = World::started(Strategy::OneForAll, abc());
    for _ in 0..3 {
        world.exit("b", panicked());
        world.pass(SECOND);
    }
    assert_eq!(world.incarnation("a"), Incarnation(4), "three restarts of three children are within an intensity of three");
    assert_eq!(world.count(EventKind::RestartScheduled), 3);
}

#[test]
fn children_are_stopped_in_reverse_start_order_each_before_the_next() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.ignores_stop.insert("b");
    world.give(Input::StopAll);
    assert_eq!(world.take_orders(), ["stop c#1", "stop b#1"]);
    world.exit("b", ExitHow::Shutdown);
    assert_eq!(world.take_orders(), ["stop a#1", "finish"]);
}

#[test]
fn child_that_ignores_its_shutdown_deadline_is_killed() {
    let stubborn = ChildSpec { shutdown: Shutdown::Stop(2 * SECOND), ..spec("a") };
    let mut world = World::started(Strategy::OneForOne, [stubborn]);
    world.ignores_stop.insert("a");
    world.give(Input::StopAll);
    world.pass(2 * SECOND - Duration::from_millis(1));
    assert_eq!(world.take_orders(), ["stop a#1"]);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.take_orders(), ["kill a#1", "finish"]);
}

#[test]
fn brutal_kill_kills_without_asking() {
    let brutal = ChildSpec { shutdown: Shutdown::BrutalKill, ..spec("a") };
    let mut world = World::started(Strategy::OneForOne, [brutal]);
    world.give(Input::StopAll);
    assert_eq!(world.take_orders(), ["kill a#1", "finish"]);
}

#[test]
fn child_that_fails_while_it_is_stopped_is_not_restarted() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.ignores_stop.insert("c");
    world.give(Input::StopAll);
    world.exit("c", panicked());
    assert_eq!(world.take_orders(), ["stop c#1", "stop b#1", "stop a#1", "finish"]);
}

#[test]
fn sibling_that_fails_while_all_are_stopped_is_not_restarted() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.ignores_stop.insert("c");
    world.give(Input::StopAll);
    world.exit("a", panicked());
    world.exit("c", ExitHow::Shutdown);
    assert_eq!(world.take_orders(), ["stop c#1", "stop b#1", "finish"]);
}

#[test]
fn stop_before_every_child_was_started_stops_those_that_were() {
    let mut world = World::new(Strategy::OneForOne, abc());
    world.starts_slowly.insert("b");
    world.give(Input::StartAll);
    world.give(Input::StopAll);
    assert_eq!(world.take_orders(), ["start a#1", "start b#1", "stop b#1", "stop a#1", "finish"]);
}

#[test]
fn restart_child_restarts_that_child_alone_whatever_the_strategy() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = World::started(strategy, abc());
        world.give(Input::Restart { name: name("a") });
        assert_eq!(world.take_orders(), ["stop a#1", "start a#2"]);
    }
}

#[test]
fn start_child_adds_at_the_end_and_delete_child_forgets() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.give(Input::Add { spec: spec("d"), last: Incarnation(0) });
    assert_eq!(world.take_orders(), ["start d#1"]);
    world.give(Input::Remove { name: name("a") });
    assert_eq!(world.take_orders(), ["stop a#1", "forget a"]);
    world.give(Input::StopAll);
    assert_eq!(world.take_orders(), ["stop d#1", "stop c#1", "stop b#1", "finish"]);
}

#[test]
fn start_child_refuses_a_name_that_is_taken() {
    let mut world = World::started(Strategy::OneForOne, abc());
    world.give(Input::Add { spec: spec("b"), last: Incarnation(0) });
    assert_eq!(world.take_orders(), [""; 0]);
    assert_eq!(world.count(EventKind::Refused), 1);
}
