//! Async tasks as children.

use super::*;
use ringfence::domain::restart::Restart;
use ringfence::supervision::Inject;
use ringfence::supervision::shutdown::stop_roots;

/// A task that beats every second until it is asked to stop.
fn ticker(text: &str, crowd: &Arc<Crowd>) -> Child {
    let crowd = Arc::clone(crowd);
    Child::task(name(text), RuntimeKind::Services, move |context| {
        let crowd = Arc::clone(&crowd);
        async move {
            let _present = Present::enter(&crowd);
            context.reporter.ready();
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    () = context.stop.cancelled() => return Ok(()),
                    _ = tick.tick() => {}
                }
                context.reporter.heartbeat();
                context.reporter.obey_injection().await;
            }
        }
    })
    .ready_within(Duration::from_secs(5))
    .heartbeat(Duration::from_secs(3))
}

#[tokio::test(start_paused = true)]
async fn task_runs_with_a_heartbeat_and_ends_when_it_is_asked_to() {
    let bench = Bench::new();
    let crowd = Arc::<Crowd>::default();
    let root = bench.ready(vec![ticker("t", &crowd)]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.directory().child("t").unwrap().incarnation, Incarnation(1));
    assert!(stop_roots(bench.directory(), vec![root], PATIENCE).await[0].is_clean());
    assert_eq!(bench.recorder.wait("t", 1, EventKind::Exited).await.detail, "shutdown");
    assert_eq!(crowd.now.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn task_that_panics_or_wedges_is_restarted_and_never_runs_twice_at_once() {
    let bench = Bench::new();
    let crowd = Arc::<Crowd>::default();
    let _root = bench.ready(vec![ticker("t", &crowd)]).await;
    bench.directory().inject("t", Inject::Panic).unwrap();
    assert_eq!(bench.recorder.wait("t", 1, EventKind::Exited).await.detail, "panicked: injected panic");
    bench.recorder.wait("t", 2, EventKind::Ready).await;
    bench.directory().inject("t", Inject::Wedge).unwrap();
    bench.recorder.wait("t", 2, EventKind::Stalled).await;
    bench.recorder.wait("t", 3, EventKind::Ready).await;
    assert_eq!((crowd.now.load(Ordering::SeqCst), crowd.most.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn task_that_returns_an_error_fails_with_its_class() {
    let bench = Bench::new();
    let failing = Child::task(name("t"), RuntimeKind::Services, |_| async { Err(ChildFault::new(FaultClass::Transport, "hung up")) });
    let _root = bench.start(SupervisorPolicy::new(name("root")), vec![failing]).await;
    let exit = bench.recorder.wait("t", 1, EventKind::Exited).await;
    assert_eq!((exit.detail.as_str(), exit.class), ("failed (transport): hung up", Some(FaultClass::Transport)));
}

#[tokio::test(start_paused = true)]
async fn task_that_is_done_ends_normally() {
    let bench = Bench::new();
    let once = Child::task(name("t"), RuntimeKind::Services, |_| async { Ok(()) }).restart(Restart::Transient);
    let _root = bench.start(SupervisorPolicy::new(name("root")), vec![once]).await;
    assert_eq!(bench.recorder.wait("t", 1, EventKind::Exited).await.detail, "normal");
}
