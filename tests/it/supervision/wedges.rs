//! An actor that does not go on without having died: at an await it is killed and restarted while its siblings notice
//! nothing; spinning it cannot be killed, and the thread watch finds it from outside.

use super::*;
use ringfence::domain::restart::Intensity;
use ringfence::supervision::{Inject, Runtimes, STALL_LIMIT_DEFAULT, watch_threads};

const SILENCE: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn child_wedged_at_an_await_is_restarted_and_its_siblings_lose_nothing() {
    let bench = Bench::new();
    let children = ["a", "w", "b"].map(|child| worker(child).heartbeat(SILENCE)).to_vec();
    let _root = bench.ready(children).await;
    let (mut a, mut w, mut b) = (bench.link("a"), bench.link("w"), bench.link("b"));
    bench.directory().inject("w", Inject::Wedge).unwrap();
    w.send(WorkerMessage::Work).ok().unwrap();
    let mut sent = 0;
    while bench.directory().child("w").unwrap().incarnation < Incarnation(2) {
        for sibling in [&mut a, &mut b] {
            sibling.send(WorkerMessage::Work).ok().expect("a sibling takes every message");
        }
        sent += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stalled = bench.recorder.wait("w", 1, EventKind::Stalled).await;
    assert_eq!((stalled.class, stalled.detail.as_str()), (Some(FaultClass::Stall), "no progress within 2s"));
    assert_eq!(bench.recorder.wait("w", 1, EventKind::Exited).await.detail, "killed");
    bench.recorder.wait("w", 2, EventKind::Started).await;
    assert_eq!((tally(&mut a).await, tally(&mut b).await), (sent, sent));
    assert_eq!((a.incarnation(), b.incarnation()), (Some(Incarnation(1)), Some(Incarnation(1))));
    w.send(WorkerMessage::Work).ok().unwrap();
    assert_eq!((tally(&mut w).await, w.incarnation()), (1, Some(Incarnation(2))), "the new one works, from a clean state");
}

#[tokio::test(start_paused = true)]
async fn wedge_and_panic_reach_a_child_that_has_nothing_to_do() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w").heartbeat(SILENCE)]).await;
    bench.directory().inject("w", Inject::Wedge).unwrap();
    bench.recorder.wait("w", 1, EventKind::Stalled).await;
    bench.recorder.wait("w", 2, EventKind::Started).await;
    bench.directory().inject("w", Inject::Panic).unwrap();
    assert_eq!(bench.recorder.wait("w", 2, EventKind::Exited).await.detail, "panicked: injected panic");
    bench.recorder.wait("w", 3, EventKind::Started).await;
}

#[tokio::test(start_paused = true)]
async fn idle_child_is_not_stalled_and_neither_is_one_that_says_that_it_goes_on() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("idle").heartbeat(SILENCE), worker("long").heartbeat(SILENCE)]).await;
    let mut long = bench.link("long");
    long.send(WorkerMessage::WorkLong(Duration::from_secs(30))).ok().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((tally(&mut long).await, long.incarnation()), (1, Some(Incarnation(1))));
    assert_eq!(bench.directory().child("idle").unwrap().incarnation, Incarnation(1));
}

#[tokio::test(start_paused = true)]
async fn wedges_beyond_the_intensity_escalate_as_a_stall() {
    let bench = Bench::new();
    let intensity = Intensity { restarts: 1, period: Duration::from_secs(600) };
    let policy = SupervisorPolicy { intensity, ..SupervisorPolicy::new(name("root")) };
    let mut root = bench.start(policy, vec![worker("w").heartbeat(SILENCE)]).await;
    for incarnation in [1, 2] {
        bench.recorder.wait("w", incarnation, EventKind::Started).await;
        bench.directory().inject("w", Inject::Wedge).unwrap();
        bench.recorder.wait("w", incarnation, EventKind::Stalled).await;
    }
    within("the end", root.finished()).await;
    assert_eq!(*bench.recorder.escalations.lock().unwrap(), [("root".to_owned(), FaultClass::Stall)]);
}

/// Real time: a spinning thread knows no other.
#[test]
fn child_that_spins_on_the_trading_thread_is_found_from_outside_within_a_second() {
    let runtimes = Runtimes::start().unwrap();
    let bench = Bench::on(runtimes.handles());
    let (found, stalls) = std::sync::mpsc::channel();
    let watch = watch_threads(name("thread_watch"), vec![(runtimes.trading_heartbeat(), STALL_LIMIT_DEFAULT)], move |stall| {
        found.send(stall).unwrap();
    });
    let (mut safety, mut trading) = runtimes.block_on(async {
        let safety = bench.ready(vec![watch]).await;
        let spec = SupervisorSpec::of(SupervisorPolicy::new(name("trading")), RuntimeKind::Trading, vec![worker("w")]);
        let mut trading = Supervisor::start_root(bench.environment.clone(), spec).await.unwrap();
        assert!(within("readiness", trading.wait_ready()).await);
        (safety, trading)
    });
    bench.directory().inject("w", Inject::Spin).unwrap();
    let stall = stalls.recv_timeout(PATIENCE).unwrap();
    assert_eq!(stall.thread, "trading");
    // The limit is half a second; the rest is for a machine that is busy with other tests.
    assert!(stall.silent_for <= Duration::from_secs(3), "{:?}", stall.silent_for);
    // The services side still answers while the trading thread burns.
    assert_eq!(bench.directory().child("thread_watch").unwrap().incarnation, Incarnation(1));
    bench.directory().end_injection("w");
    runtimes.block_on(async {
        bench.recorder.wait("w", 2, EventKind::Started).await;
        for root in [&mut trading, &mut safety] {
            root.actor().stop_all().unwrap();
            within("the stop", root.finished()).await;
        }
    });
    assert!(runtimes.shutdown(PATIENCE));
}

/// Real time again. What no kill ends makes its supervisor give up instead of waiting for ever.
#[test]
fn child_that_spins_on_the_services_is_given_up_and_escalates() {
    let runtimes = Runtimes::start().unwrap();
    let bench = Bench::on(runtimes.handles());
    let spins = Child::actor(name("w"), RuntimeKind::Services, |context: ChildContext| {
        (Worker { habits: Habits::default(), reporter: context.reporter }, ())
    });
    runtimes.block_on(async {
        let policy = SupervisorPolicy { kill_grace: Duration::from_millis(300), ..SupervisorPolicy::new(name("root")) };
        let spec = SupervisorSpec::of(policy, RuntimeKind::Trading, vec![spins.heartbeat(Duration::from_secs(1))]);
        let mut root = Supervisor::start_root(bench.environment.clone(), spec).await.unwrap();
        assert!(within("readiness", root.wait_ready()).await);
        bench.directory().inject("w", Inject::Spin).unwrap();
        bench.recorder.wait("w", 1, EventKind::Unkillable).await;
        within("the end", root.finished()).await;
    });
    assert_eq!(*bench.recorder.escalations.lock().unwrap(), [("root".to_owned(), FaultClass::Stall)]);
    bench.directory().end_injection("w");
    assert!(runtimes.shutdown(PATIENCE));
}

#[tokio::test(start_paused = true)]
async fn supervisor_that_wedges_is_restarted_by_its_own_with_its_children() {
    let bench = Bench::new();
    let crowd = Arc::<Crowd>::default();
    let habits = Habits { crowd: Arc::clone(&crowd), ..Habits::default() };
    let below = SupervisorSpec::of(SupervisorPolicy::new(name("below")), RuntimeKind::Trading, vec![worker_with("below/w", habits)]);
    let _root = bench.ready(vec![worker("sibling"), Child::supervisor(&bench.environment, below)]).await;
    bench.directory().inject("below", Inject::Wedge).unwrap();
    bench.recorder.wait("below", 1, EventKind::Stalled).await;
    bench.recorder.wait("below/w", 2, EventKind::Started).await;
    assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
    assert_eq!(bench.directory().child("sibling").unwrap().incarnation, Incarnation(1));
}

#[tokio::test(start_paused = true)]
async fn wedge_outside_a_message_is_seen_too() {
    let bench = Bench::new();
    let stuck = worker_with("w", Habits { hangs_after_start: true, ..Habits::default() }).heartbeat(SILENCE);
    let _root = bench.start(SupervisorPolicy::new(name("root")), vec![stuck]).await;
    assert_eq!(bench.recorder.wait("w", 1, EventKind::Stalled).await.detail, "no progress within 2s");
}
