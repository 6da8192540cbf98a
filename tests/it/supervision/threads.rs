//! Threads as children, and the runtimes that children are spawned on. Real time: threads know no other.

use super::*;
use std::sync::atomic::AtomicBool;

use ringfence::domain::restart::Restart;
use ringfence::supervision::shutdown::stop_roots;
use ringfence::supervision::{Runtimes, SERVICES_WORKERS};

fn with_runtimes(test: impl AsyncFnOnce(&Bench)) {
    let runtimes = Runtimes::start().unwrap();
    let bench = Bench::on(runtimes.handles());
    runtimes.block_on(test(&bench));
    assert!(runtimes.shutdown(PATIENCE));
}

#[test]
fn children_live_on_the_runtime_that_their_spec_names() {
    with_runtimes(async |bench| {
        let (told, mut names) = tokio::sync::mpsc::unbounded_channel();
        let children = [(RuntimeKind::Trading, "t"), (RuntimeKind::Services, "s")].map(|(runtime, child)| {
            let told = told.clone();
            Child::task(name(child), runtime, move |context| {
                let told = told.clone();
                async move {
                    told.send((context.name.to_string(), std::thread::current().name().unwrap_or_default().to_owned())).unwrap();
                    context.stop.cancelled().await;
                    Ok(())
                }
            })
        });
        let root = bench.ready(children.to_vec()).await;
        let mut found = [within("a name", names.recv()).await.unwrap(), within("a name", names.recv()).await.unwrap()];
        found.sort();
        assert_eq!(found, [("s", "services"), ("t", "trading")].map(|(child, thread)| (child.to_owned(), thread.to_owned())));
        assert!(stop_roots(bench.directory(), vec![root], PATIENCE).await[0].is_clean());
    });
}

#[test]
fn the_services_beat_as_long_as_one_of_their_threads_is_free() {
    let runtimes = Runtimes::start().unwrap();
    let (heartbeat, done) = (runtimes.services_heartbeat(), Arc::new(AtomicBool::new(false)));
    let spin = || {
        let (done, (began, spins)) = (Arc::clone(&done), std::sync::mpsc::channel());
        runtimes.handles().services.spawn(async move {
            began.send(()).unwrap();
            while !done.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        });
        spins.recv_timeout(PATIENCE).unwrap();
    };
    let beats = || {
        let (before, began) = (heartbeat.beats(), std::time::Instant::now());
        while heartbeat.beats() == before {
            heartbeat.ask();
            assert!(began.elapsed() < PATIENCE, "expected a beat");
            std::thread::yield_now();
        }
    };
    beats();
    for _ in 1..SERVICES_WORKERS {
        spin();
        beats();
    }
    spin();
    // Nobody is left to run what is asked for from here on, nor what was asked for before.
    let silent = heartbeat.beats();
    heartbeat.ask();
    assert_eq!(heartbeat.beats(), silent);
    done.store(true, Ordering::SeqCst);
    beats();
    assert!(runtimes.shutdown(PATIENCE));
}

#[test]
fn thread_is_stopped_through_its_hook_and_ends_in_order() {
    with_runtimes(async |bench| {
        let (work, queue) = std::sync::mpsc::channel::<Option<u64>>();
        let (queue, hook) = (Arc::new(Mutex::new(queue)), work.clone());
        let sum = Arc::new(AtomicU64::new(0));
        let total = Arc::clone(&sum);
        let writer = Child::thread(name("writer"), move |context| {
            context.reporter.ready();
            let queue = queue.lock().unwrap();
            while let Ok(Some(n)) = queue.recv() {
                context.reporter.heartbeat();
                total.fetch_add(n, Ordering::SeqCst);
            }
            Ok(())
        });
        let writer = writer.ready_within(PATIENCE).on_stop(move || {
            // Nobody listens any more when the thread has ended.
            let _ended = hook.send(None);
        });
        let root = bench.ready(vec![writer]).await;
        (1..=10).for_each(|n| work.send(Some(n)).unwrap());
        assert!(stop_roots(bench.directory(), vec![root], PATIENCE).await[0].is_clean());
        assert_eq!(sum.load(Ordering::SeqCst), 55, "what was queued before the stop is written");
        assert_eq!(bench.recorder.wait("writer", 1, EventKind::Exited).await.detail, "shutdown");
    });
}

#[test]
fn thread_that_panics_or_fails_is_told_apart_and_restarted() {
    with_runtimes(async |bench| {
        let child = Child::thread(name("t"), |context| match context.incarnation.0 {
            1 => panic!("torn page"),
            2 => Err(ChildFault::new(FaultClass::Data, "half a row")),
            _ => Ok(()),
        });
        let _root = bench.start(SupervisorPolicy::new(name("root")), vec![child.restart(Restart::Transient)]).await;
        assert_eq!(bench.recorder.wait("t", 1, EventKind::Exited).await.detail, "panicked: torn page");
        assert_eq!(bench.recorder.wait("t", 2, EventKind::Exited).await.detail, "failed (data): half a row");
        assert_eq!(bench.recorder.wait("t", 3, EventKind::Exited).await.detail, "normal");
    });
}

#[test]
fn successor_of_a_thread_that_no_kill_ends_waits_until_it_is_gone() {
    with_runtimes(async |bench| {
        let crowd = Arc::<Crowd>::default();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let (gate, seen) = (Arc::new(Mutex::new(gate)), Arc::clone(&crowd));
        let child = Child::thread(name("t"), move |context| {
            let _present = Present::enter(&seen);
            context.reporter.ready();
            if context.incarnation == Incarnation(1) {
                // Deaf to its token, as a thread in a system call is.
                gate.lock().unwrap().recv().unwrap();
            }
            while !context.stop.is_cancelled() {
                context.reporter.heartbeat();
                std::thread::park_timeout(Duration::from_millis(5));
            }
            Ok(())
        });
        let root = bench.ready(vec![child.ready_within(PATIENCE).heartbeat(Duration::from_secs(1))]).await;
        bench.recorder.wait("t", 1, EventKind::Stalled).await;
        bench.recorder.wait("t", 2, EventKind::Started).await;
        assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
        release.send(()).unwrap();
        bench.recorder.wait("t", 2, EventKind::Ready).await;
        assert_eq!(crowd.most.load(Ordering::SeqCst), 1, "two threads never ran at once");
        assert!(stop_roots(bench.directory(), vec![root], PATIENCE).await[0].is_clean());
    });
}

#[test]
fn successor_of_a_thread_waits_also_when_the_supervisor_between_them_was_killed() {
    with_runtimes(async |bench| {
        let crowd = Arc::<Crowd>::default();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let seen = Arc::clone(&crowd);
        let children = move || {
            let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
            let child = Child::thread(name("below/t"), move |context| {
                let _present = Present::enter(&seen);
                context.reporter.ready();
                if context.incarnation == Incarnation(1) {
                    gate.lock().unwrap().recv().unwrap();
                }
                Ok(())
            });
            vec![child.reports_ready().restart(Restart::Transient)]
        };
        let below = SupervisorSpec::new(SupervisorPolicy::new(name("below")), RuntimeKind::Services, children);
        let _root = bench.ready(vec![Child::supervisor(&bench.environment, below)]).await;
        bench.directory().lookup("below").unwrap().cell.kill();
        bench.recorder.wait("below/t", 2, EventKind::Started).await;
        release.send(()).unwrap();
        bench.recorder.wait("below/t", 2, EventKind::Exited).await;
        assert_eq!(crowd.most.load(Ordering::SeqCst), 1);
    });
}
