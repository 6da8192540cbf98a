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
    bench.recorder.wait("below/w", 1, EventKind::Started).await;
    let listed: Vec<_> =
        bench.directory().children().iter().map(|view| format!("{} < {} {}", view.name, view.supervisor, view.state)).collect();
    assert_eq!(listed, ["a < root ready", "below < root ready", "below/w < below ready"]);
}
