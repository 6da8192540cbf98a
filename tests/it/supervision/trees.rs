//! Levels of supervisors, strategies with real actors, and stopping in order.

use super::*;
use ringfence::domain::restart::{Finish, Intensity, Restart, Shutdown, Strategy};
use ringfence::supervision::shutdown::{StopOutcome, stop_roots};

#[tokio::test(start_paused = true)]
async fn one_for_all_restarts_real_siblings_in_order() {
    let bench = Bench::new();
    let policy = SupervisorPolicy { strategy: Strategy::OneForAll, ..SupervisorPolicy::new(name("root")) };
    let mut root = bench.start(policy, ["a", "b", "c"].map(worker).to_vec()).await;
    within("readiness", root.wait_ready()).await;
    bench.link("b").send(WorkerMessage::Panic).ok().unwrap();
    bench.recorder.wait("c", 2, EventKind::Started).await;
    let order: Vec<_> = bench
        .recorder
        .all()
        .into_iter()
        .filter(|e| matches!(e.what, EventKind::Exited | EventKind::Started))
        .skip(3)
        .map(|e| format!("{} {}#{}", e.what, e.child, e.incarnation))
        .collect();
    assert_eq!(order, ["exited b#1", "exited c#1", "exited a#1", "started a#2", "started b#2", "started c#2"]);
}

#[tokio::test(start_paused = true)]
async fn ordered_stop_runs_every_post_stop_in_reverse_start_order() {
    let bench = Bench::new();
    let stopped = Arc::new(Mutex::new(Vec::new()));
    let habits = Habits { stopped: Some(Arc::clone(&stopped)), ..Habits::default() };
    let below = SupervisorSpec::of(
        SupervisorPolicy::new(name("below")),
        RuntimeKind::Trading,
        vec![worker_with("below/1", habits.clone()), worker_with("below/2", habits.clone())],
    );
    let children = vec![worker_with("a", habits.clone()), Child::supervisor(&bench.environment, below), worker_with("z", habits)];
    let root = bench.ready(children).await;
    bench.recorder.wait("below/2", 1, EventKind::Started).await;
    let reports = stop_roots(bench.directory(), vec![root], PATIENCE).await;
    assert!(reports[0].is_clean(), "{reports:?}");
    assert_eq!(*stopped.lock().unwrap(), ["z", "below/2", "below/1", "a"]);
}

#[tokio::test(start_paused = true)]
async fn child_that_does_not_stop_in_time_is_killed_and_the_rest_stops_in_order() {
    let bench = Bench::new();
    let stopped = Arc::new(Mutex::new(Vec::new()));
    let orderly = worker_with("a", Habits { stopped: Some(Arc::clone(&stopped)), ..Habits::default() });
    let hangs = worker_with("b", Habits { hangs_at_stop: true, ..Habits::default() }).shutdown(Shutdown::Stop(Duration::from_secs(3)));
    let root = bench.ready(vec![orderly, hangs]).await;
    let began = tokio::time::Instant::now();
    let reports = stop_roots(bench.directory(), vec![root], PATIENCE).await;
    assert!(reports[0].is_clean());
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert_eq!(bench.recorder.wait("b", 1, EventKind::Killed).await.detail, "did not stop in time");
    assert_eq!(*stopped.lock().unwrap(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn root_that_does_not_stop_in_time_is_killed_and_the_report_names_who_was_left() {
    let bench = Bench::new();
    let hangs = worker_with("b", Habits { hangs_at_stop: true, ..Habits::default() }).shutdown(Shutdown::Stop(Duration::from_secs(600)));
    let root = bench.ready(vec![worker("a"), hangs]).await;
    let reports = stop_roots(bench.directory(), vec![root], Duration::from_secs(10)).await;
    assert_eq!(reports[0].outcome, StopOutcome::Killed(vec![name("a"), name("b")]));
}

#[tokio::test(start_paused = true)]
async fn child_that_drains_handles_what_is_queued_before_it_stops() {
    let bench = Bench::new();
    let (done, mut finished) = tokio::sync::mpsc::unbounded_channel();
    let child = Child::actor(name("d"), RuntimeKind::Trading, move |_| (Echo(done.clone()), ())).shutdown(Shutdown::Drain(PATIENCE));
    let root = bench.ready(vec![child]).await;
    let mut link: Link<u64> = bench.directory().link(&name("d"));
    (0..100).for_each(|n| link.send(n).unwrap());
    assert!(stop_roots(bench.directory(), vec![root], PATIENCE).await[0].is_clean());
    assert_eq!(std::iter::from_fn(|| finished.try_recv().ok()).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!(bench.recorder.wait("d", 1, EventKind::Exited).await.detail, "shutdown");
}

struct Echo(tokio::sync::mpsc::UnboundedSender<u64>);

impl Actor for Echo {
    type Msg = u64;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<u64>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _myself: ActorRef<u64>, message: u64, (): &mut ()) -> Result<(), ActorProcessingErr> {
        Ok(self.0.send(message)?)
    }
}

fn fragile(bench: &Bench, crowd: &Arc<Crowd>) -> Child {
    let policy =
        SupervisorPolicy { intensity: Intensity { restarts: 1, period: Duration::from_secs(60) }, ..SupervisorPolicy::new(name("below")) };
    let habits = Habits { crowd: Arc::clone(crowd), ..Habits::default() };
    Child::supervisor(&bench.environment, SupervisorSpec::of(policy, RuntimeKind::Trading, vec![worker_with("below/w", habits)]))
}

#[tokio::test(start_paused = true)]
async fn supervisor_that_gives_up_is_restarted_by_its_own_and_incarnations_go_on() {
    let bench = Bench::new();
    let crowd = Arc::default();
    let _root = bench.ready(vec![fragile(&bench, &crowd), worker("sibling")]).await;
    for incarnation in [1, 2] {
        bench.recorder.wait("below/w", incarnation, EventKind::Started).await;
        bench.link("below/w").send(WorkerMessage::FailWith(FaultClass::Data)).ok().unwrap();
    }
    let exit = bench.recorder.wait("below", 1, EventKind::Exited).await;
    assert_eq!(exit.class, Some(FaultClass::Data), "the class comes up with it: {}", exit.detail);
    bench.recorder.wait("below/w", 3, EventKind::Started).await;
    assert_eq!(*bench.recorder.escalations.lock().unwrap(), [("below".to_owned(), FaultClass::Data)]);
    assert_eq!(bench.directory().child("below").unwrap().incarnation, Incarnation(2));
    assert_eq!(bench.directory().child("sibling").unwrap().incarnation, Incarnation(1));
}

#[tokio::test(start_paused = true)]
async fn killed_supervisor_leaves_no_second_incarnation_of_its_children() {
    let bench = Bench::new();
    let crowd = Arc::<Crowd>::default();
    let _root = bench.ready(vec![fragile(&bench, &crowd)]).await;
    bench.recorder.wait("below/w", 1, EventKind::Started).await;
    bench.directory().lookup("below").unwrap().cell.kill();
    bench.recorder.wait("below/w", 2, EventKind::Started).await;
    assert_eq!((crowd.now.load(Ordering::SeqCst), crowd.most.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn fault_without_a_budget_goes_up_through_every_level_to_the_root() {
    let bench = Bench::new();
    let crowd = Arc::<Crowd>::default();
    let mut root = bench.ready(vec![worker("sibling"), fragile(&bench, &crowd)]).await;
    bench.recorder.wait("below/w", 1, EventKind::Started).await;
    bench.link("below/w").send(WorkerMessage::FailWith(FaultClass::Invariant)).ok().unwrap();
    let Finish::Escalated { class, why } = within("the end", root.finished()).await else { panic!("not escalated") };
    assert_eq!(class, FaultClass::Invariant);
    assert!(why.contains("below/w") && why.contains("does not add up"), "the reason names the child and its words: {why}");
    let escalations = bench.recorder.escalations.lock().unwrap();
    assert_eq!(*escalations, [("below".to_owned(), FaultClass::Invariant), ("root".to_owned(), FaultClass::Invariant)]);
    assert!(bench.directory().lookup("sibling").is_none(), "nobody is left");
}

#[tokio::test(start_paused = true)]
async fn children_are_added_removed_and_restarted_while_the_others_work() {
    let bench = Bench::new();
    let root = bench.ready(vec![worker("a")]).await;
    let mut a = bench.link("a");
    a.send(WorkerMessage::Work).ok().unwrap();
    root.actor().add(worker("b")).unwrap();
    bench.recorder.wait("b", 1, EventKind::Started).await;
    bench.directory().restart("b").unwrap();
    bench.recorder.wait("b", 2, EventKind::Started).await;
    root.actor().remove(&name("b")).unwrap();
    bench.recorder.wait("b", 2, EventKind::Removed).await;
    assert!(bench.directory().child("b").is_none());
    assert_eq!((tally(&mut a).await, a.incarnation()), (1, Some(Incarnation(1))));
    root.actor().add(worker("b")).unwrap();
    bench.recorder.wait("b", 3, EventKind::Started).await;
    let charged = bench.recorder.all().iter().filter(|e| e.what == EventKind::RestartScheduled).count();
    assert_eq!(charged, 0);
}

#[tokio::test(start_paused = true)]
async fn closure_brings_children_that_were_added_back_with_their_supervisor() {
    let bench = Bench::new();
    let wanted = Arc::new(Mutex::new(vec!["m/1"]));
    let list = Arc::clone(&wanted);
    let spec = SupervisorSpec::new(SupervisorPolicy::new(name("m")), RuntimeKind::Trading, move || {
        list.lock().unwrap().iter().map(|child| worker(child)).collect()
    });
    let _root = bench.ready(vec![Child::supervisor(&bench.environment, spec)]).await;
    bench.recorder.wait("m/1", 1, EventKind::Started).await;
    wanted.lock().unwrap().push("m/2");
    bench.directory().restart("m").unwrap();
    bench.recorder.wait("m/2", 1, EventKind::Started).await;
    bench.recorder.wait("m/1", 2, EventKind::Started).await;
    wanted.lock().unwrap().remove(0);
    bench.directory().restart("m").unwrap();
    bench.recorder.wait("m/2", 2, EventKind::Started).await;
    assert!(bench.directory().child("m/1").is_none(), "and lets go of those that it no longer knows");
}

#[tokio::test(start_paused = true)]
async fn temporary_child_is_forgotten_with_its_end() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("t").restart(Restart::Temporary)]).await;
    bench.link("t").send(WorkerMessage::Panic).ok().unwrap();
    bench.recorder.wait("t", 1, EventKind::Removed).await;
    assert!(bench.directory().child("t").is_none());
}
