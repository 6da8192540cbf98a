//! Addresses follow restarts, types are checked, names are unique.

use super::*;
use ringfence::supervision::DirectoryError;

#[tokio::test(start_paused = true)]
async fn link_follows_its_name_through_a_restart_and_never_reaches_a_dead_incarnation() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w")]).await;
    let mut link = bench.link("w");
    let before = bench.directory().generation();
    assert_eq!(link.incarnation(), Some(Incarnation(1)));
    link.send(WorkerMessage::Panic).ok().unwrap();
    bench.recorder.wait("w", 1, EventKind::RestartScheduled).await;
    assert!(link.get().is_none() && link.send(WorkerMessage::Work).is_err(), "nobody is there: the message comes back");
    bench.recorder.wait("w", 2, EventKind::Started).await;
    assert_eq!(link.incarnation(), Some(Incarnation(2)));
    assert_eq!(tally(&mut link).await, 0);
    assert!(bench.directory().generation() > before);
}

#[tokio::test(start_paused = true)]
async fn lookup_with_the_wrong_message_type_finds_nobody() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w")]).await;
    assert!(bench.directory().actor::<WorkerMessage>("w").is_some());
    assert!(bench.directory().actor::<String>("w").is_none());
    assert!(bench.directory().actor::<WorkerMessage>("nobody").is_none());
}

#[tokio::test(start_paused = true)]
async fn name_that_another_supervisor_uses_is_refused_with_its_owner() {
    let bench = Bench::new();
    let _root = bench.ready(vec![worker("w")]).await;
    let _other = bench.start(SupervisorPolicy::new(name("other")), vec![worker("w")]).await;
    let refused = bench.recorder.wait("w", 0, EventKind::Refused).await;
    assert_eq!(refused.supervisor, name("other"));
    assert_eq!(refused.detail, "expected a free child name, found w in use by root: names are unique in the whole daemon");
}

#[tokio::test(start_paused = true)]
async fn restart_and_inject_of_an_unknown_name_say_so() {
    let bench = Bench::new();
    let expected = DirectoryError::NoSuchChild("nobody".to_owned());
    assert_eq!(bench.directory().restart("nobody"), Err(expected.clone()));
    assert_eq!(bench.directory().inject("nobody", ringfence::supervision::Inject::Panic), Err(expected));
}

#[tokio::test(start_paused = true)]
async fn children_of_every_level_are_listed_with_their_supervisor() {
    let bench = Bench::new();
    let below = SupervisorSpec::of(SupervisorPolicy::new(name("below")), RuntimeKind::Trading, vec![worker("below/w")]);
    let _root = bench.ready(vec![worker("a"), Child::supervisor(&bench.environment, below)]).await;
    let listed: Vec<_> =
        bench.directory().children().iter().map(|view| format!("{} < {} {}", view.name, view.supervisor, view.state)).collect();
    assert_eq!(listed, ["a < root ready", "below < root ready", "below/w < below ready"]);
}

#[tokio::test(start_paused = true)]
async fn gauge_of_a_link_counts_messages_until_they_are_handled_or_die_with_their_actor() {
    struct Counted {
        _token: ringfence::supervision::InMailbox,
    }
    struct Sloth;
    impl Actor for Sloth {
        type Msg = Counted;
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _myself: ActorRef<Counted>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }

        async fn handle(&self, _myself: ActorRef<Counted>, _message: Counted, (): &mut ()) -> Result<(), ActorProcessingErr> {
            std::future::pending().await
        }
    }
    let bench = Bench::new();
    let sloth = Child::actor(name("sloth"), RuntimeKind::Trading, |_| (Sloth, ())).mailbox_bound(3);
    let _root = bench.ready(vec![sloth]).await;
    let mut link: Link<Counted> = bench.directory().link(&name("sloth"));
    for _ in 0..5 {
        let token = link.gauge().unwrap().enter();
        link.send(Counted { _token: token }).ok().unwrap();
    }
    let gauge = bench.directory().gauge("sloth").unwrap();
    assert_eq!((gauge.depth(), gauge.take_alarm()), (5, true));
    bench.directory().lookup("sloth").unwrap().cell.kill();
    bench.recorder.wait("sloth", 2, EventKind::Started).await;
    assert_eq!((gauge.depth(), gauge.high_water()), (0, 5));
}
