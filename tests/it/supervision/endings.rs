//! Every way in which an actor can end reaches the event stream as what it was.

use super::*;
use ringfence::domain::restart::{ChildState, Restart};

async fn ending(message: WorkerMessage) -> (String, Option<FaultClass>) {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w")]).await;
    bench.link("w").send(message).ok().unwrap();
    let exit = bench.recorder.wait("w", 1, EventKind::Exited).await;
    bench.recorder.wait("w", 2, EventKind::Started).await;
    (exit.detail, exit.class)
}

#[tokio::test(start_paused = true)]
async fn panic_in_a_handler_is_a_panic_with_its_text() {
    assert_eq!(ending(WorkerMessage::Panic).await, ("panicked: boom".to_owned(), Some(FaultClass::Panic)));
}

#[tokio::test(start_paused = true)]
async fn error_from_a_handler_is_a_failure_with_its_text() {
    assert_eq!(ending(WorkerMessage::Fail).await, ("failed: out of ink".to_owned(), Some(FaultClass::Panic)));
}

#[tokio::test(start_paused = true)]
async fn error_that_names_its_class_is_a_fault_of_that_class() {
    let expected = ("failed (transport): does not add up".to_owned(), Some(FaultClass::Transport));
    assert_eq!(ending(WorkerMessage::FailWith(FaultClass::Transport)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn kill_from_outside_is_a_kill_and_no_normal_exit() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w").restart(Restart::Transient)]).await;
    bench.directory().lookup("w").unwrap().cell.kill();
    assert_eq!(bench.recorder.wait("w", 1, EventKind::Exited).await.detail, "killed");
    bench.recorder.wait("w", 2, EventKind::Started).await;
}

#[tokio::test(start_paused = true)]
async fn normal_stop_ends_a_transient_child_for_good() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w").restart(Restart::Transient), worker("v")]).await;
    bench.link("w").send(WorkerMessage::Finish).ok().unwrap();
    assert_eq!(bench.recorder.wait("w", 1, EventKind::Exited).await.detail, "normal");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let view = bench.directory().child("w").unwrap();
    assert_eq!((view.state, view.incarnation, view.last_exit.as_deref()), (ChildState::Down, Incarnation(1), Some("normal")));
    assert!(bench.directory().lookup("w").is_none());
}

async fn failing_start(habits: Habits) -> Vec<String> {
    let bench = Bench::new();
    let mut root = bench.start(SupervisorPolicy::new(name("root")), vec![worker_with("w", habits), worker("v")]).await;
    bench.recorder.wait("v", 1, EventKind::Started).await;
    within("the end", root.finished()).await;
    bench.recorder.all().iter().filter(|e| e.child.as_str() == "w" && e.what == EventKind::Exited).map(|e| e.detail.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn error_in_pre_start_is_retried_within_the_intensity_while_siblings_run() {
    let exits = failing_start(Habits { fails_at_start: true, ..Habits::default() }).await;
    assert_eq!(exits, ["failed: no such file"; 4]);
}

#[tokio::test(start_paused = true)]
async fn panic_in_pre_start_is_a_panic() {
    let exits = failing_start(Habits { panics_at_start: true, ..Habits::default() }).await;
    assert_eq!(exits, ["panicked: cannot begin"; 4]);
}

#[tokio::test(start_paused = true)]
async fn hang_in_pre_start_blocks_no_sibling_and_is_a_stall() {
    let bench = Bench::new();
    let hangs = worker_with("w", Habits { hangs_at_start: true, ..Habits::default() }).start_within(Duration::from_secs(3));
    let _root = bench.start(SupervisorPolicy::new(name("root")), vec![worker("v"), hangs]).await;
    bench.recorder.wait("w", 1, EventKind::Starting).await;
    let mut sibling = bench.link("v");
    sibling.send(WorkerMessage::Work).ok().unwrap();
    assert_eq!(tally(&mut sibling).await, 1, "the supervisor's children work on");
    let stalled = bench.recorder.wait("w", 1, EventKind::Stalled).await;
    assert_eq!((stalled.class, stalled.detail.as_str()), (Some(FaultClass::Stall), "not started within 3s"));
    bench.recorder.wait("w", 2, EventKind::Starting).await;
}

#[tokio::test(start_paused = true)]
async fn panic_in_a_factory_is_a_panic() {
    let bench = Bench::new();
    let child = Child::actor::<Worker, _>(name("w"), RuntimeKind::Trading, |_| panic!("no blueprint"));
    let _root = bench.start(SupervisorPolicy::new(name("root")), vec![child]).await;
    assert_eq!(bench.recorder.wait("w", 1, EventKind::Exited).await.detail, "panicked: no blueprint");
}

#[tokio::test(start_paused = true)]
async fn child_that_reports_readiness_is_started_first_and_ready_when_it_says_so() {
    let bench = Bench::new();
    let ready = worker_with("w", Habits { reports_ready: true, ..Habits::default() }).ready_within(Duration::from_secs(5));
    let mute = worker("v").ready_within(Duration::from_secs(5));
    let _root = bench.start(SupervisorPolicy::new(name("root")), vec![ready, mute]).await;
    bench.recorder.wait("w", 1, EventKind::Ready).await;
    let stalled = bench.recorder.wait("v", 1, EventKind::Stalled).await;
    assert_eq!(stalled.detail, "not ready within 5s of its start");
}
