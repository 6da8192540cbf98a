//! A user stream's ways to break, each with the one way back.

use super::*;

struct Desk {
    machine: UserStream,
    effects: Vec<Effect>,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self { machine: UserStream::new(true), effects: Vec::new() };
        desk.machine.start(at(0), &mut desk.effects);
        assert_eq!(desk.take(), [Effect::Open(1)]);
        desk
    }

    fn open() -> Self {
        let mut desk = Self::new();
        assert_eq!(desk.on(10, Input::Opened(1)), [Effect::Resync("opened")]);
        desk
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn on(&mut self, millis: i64, input: Input) -> Vec<Effect> {
        self.machine.on(at(millis), input, &mut self.effects);
        self.take()
    }

    /// Without faults, whose words are for people.
    fn moves(&mut self, millis: i64, input: Input) -> Vec<Effect> {
        let mut effects = self.on(millis, input);
        effects.retain(|effect| !matches!(effect, Effect::Fault(_)));
        effects
    }
}

#[test]
pub(crate) fn a_lost_socket_is_replaced_at_once_then_slower_and_everything_is_asked_anew() {
    let mut desk = Desk::open();
    assert_eq!(desk.moves(100, Input::Lost(1, "cut".into())), [Effect::Open(2)]);
    assert_eq!(desk.moves(200, Input::Lost(2, "refused".into())), []);
    assert_eq!(desk.moves(300, Input::Tick), []);
    assert_eq!(desk.moves(450, Input::Tick), [Effect::Open(3)]);
    assert_eq!(desk.moves(500, Input::Opened(3)), [Effect::Resync("reconnected")]);
    assert_eq!(desk.moves(600, Input::Lost(3, "cut".into())), [Effect::Open(4)], "quick again");
}

#[test]
fn the_next_socket_is_open_before_the_24_hours_are_over_and_nothing_is_missed() {
    let mut desk = Desk::open();
    let due = 10 + i64::try_from(RENEW_AFTER.as_millis()).unwrap();
    // The key was kept meanwhile.
    desk.on(due - 1, Input::KeyKept);
    assert_eq!(desk.moves(due - 1, Input::Tick), []);
    assert_eq!(desk.moves(due, Input::Tick), [Effect::Open(2)]);
    assert_eq!(desk.moves(due + 500, Input::Tick), [], "one is enough");
    assert_eq!(desk.moves(due + 900, Input::Opened(2)), [], "no resync: both were heard");
    assert_eq!(desk.moves(due + 5_899, Input::Tick), []);
    assert_eq!(desk.moves(due + 5_900, Input::Tick), [Effect::Close(1)]);
    assert_eq!(desk.moves(due + 6_000, Input::Lost(1, "closed".into())), []);
}

#[test]
fn a_shutdown_notice_brings_the_next_socket_and_a_cut_during_the_overlap_loses_nothing() {
    let mut desk = Desk::open();
    assert_eq!(desk.moves(100, Input::ShuttingDown(1)), [Effect::Open(2)]);
    assert_eq!(desk.moves(110, Input::ShuttingDown(1)), []);
    assert_eq!(desk.moves(200, Input::Opened(2)), []);
    assert_eq!(desk.moves(300, Input::Lost(1, "gone".into())), []);
    // The other way round: the old one goes before the new one is there.
    assert_eq!(desk.moves(400, Input::ShuttingDown(2)), [Effect::Open(3)]);
    assert_eq!(desk.moves(500, Input::Lost(2, "gone".into())), []);
    assert_eq!(desk.moves(600, Input::Opened(3)), [Effect::Resync("reconnected")]);
}

#[test]
fn an_old_socket_that_ends_before_the_next_one_is_there_hides_no_gap() {
    let mut desk = Desk::open();
    assert_eq!(desk.moves(100, Input::ShuttingDown(1)), [Effect::Open(2)]);
    assert_eq!(desk.moves(200, Input::Opened(2)), []);
    assert_eq!(desk.moves(300, Input::Lost(2, "gone".into())), [Effect::Open(3)], "the old one is still heard");
    assert_eq!(desk.moves(5_200, Input::Tick), [Effect::Close(1)], "and now nobody is");
    assert_eq!(desk.moves(6_000, Input::Opened(3)), [Effect::Resync("reconnected")]);
}

#[test]
pub(crate) fn an_expired_key_is_one_step_new_key_new_socket_everything_asked() {
    let mut desk = Desk::open();
    assert_eq!(desk.moves(100, Input::KeyExpired), [Effect::Close(1), Effect::Open(2)]);
    assert_eq!(desk.moves(120, Input::Opened(2)), [Effect::Resync("the listen key expired")]);
}

#[test]
pub(crate) fn a_key_is_kept_every_half_hour_and_tried_again_after_a_minute() {
    let mut desk = Desk::open();
    let half = 1_800_000;
    assert_eq!(desk.moves(half, Input::Tick), []);
    assert_eq!(desk.moves(half + 10, Input::Tick), [Effect::KeepKey]);
    assert_eq!(desk.on(half + 20, Input::KeyNotKept), []);
    assert_eq!(desk.moves(half + 59_000, Input::Tick), []);
    assert_eq!(desk.moves(half + 60_020, Input::Tick), [Effect::KeepKey]);
    desk.on(half + 60_030, Input::KeyKept);
    assert_eq!(desk.moves(half + 120_000, Input::Tick), []);
}

#[test]
pub(crate) fn a_stream_that_is_silent_about_what_was_answered_is_dead() {
    let mut desk = Desk::open();
    let btc = Symbol::new("BTCUSDT").unwrap();
    // Told before and after the answer: both are well.
    desk.on(100, Input::Told(Receipt::Order(1)));
    desk.on(110, Input::Owes(Receipt::Order(1)));
    desk.on(120, Input::Owes(Receipt::Order(2)));
    desk.on(130, Input::Told(Receipt::Order(2)));
    assert_eq!(desk.moves(60_000, Input::Tick), []);
    desk.on(60_000, Input::Owes(Receipt::Trade(btc, 7)));
    assert_eq!(desk.moves(64_999, Input::Tick), []);
    assert_eq!(desk.moves(65_000, Input::Tick), [Effect::Close(1), Effect::Open(2)]);
    assert!(matches!(desk.moves(65_100, Input::Opened(2))[..], [Effect::Resync(_)]));
    assert_eq!(desk.moves(99_000, Input::Tick), [], "the resync has asked for what was owed");
}

#[test]
fn a_socket_that_never_opens_is_given_up() {
    let mut desk = Desk::new();
    assert_eq!(desk.moves(14_999, Input::Tick), []);
    assert_eq!(desk.moves(15_000, Input::Tick), [Effect::Close(1), Effect::Open(2)]);
    assert_eq!(desk.moves(15_100, Input::Opened(1)), [Effect::Close(1)], "too late");
    assert_eq!(desk.moves(15_200, Input::Opened(2)), [Effect::Resync("opened")]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn input() -> impl Strategy<Value = Input> {
        let socket = 1u32..12;
        prop_oneof![
            socket.clone().prop_map(Input::Opened),
            socket.clone().prop_map(|id| Input::Lost(id, "cut".into())),
            socket.prop_map(Input::ShuttingDown),
            (1u64..5).prop_map(|id| Input::Told(Receipt::Order(id))),
            (1u64..5).prop_map(|id| Input::Owes(Receipt::Order(id))),
            Just(Input::KeyExpired),
            Just(Input::KeyNotKept),
            Just(Input::Tick),
        ]
    }

    proptest! {
        /// Whatever happens, once sockets open again the stream is heard, and a time without one is followed by a resync.
        #[test]
        fn it_always_comes_back_and_never_hides_a_gap(inputs in proptest::collection::vec((0i64..5_000, input()), 0..120)) {
            let (mut machine, mut out, mut time) = (UserStream::new(true), Vec::new(), 0);
            let (mut open, mut gap) = (BTreeSet::new(), true);
            machine.start(at(0), &mut out);
            let calm = (0..40).map(|_| (1_000, Input::Tick));
            let mut waiting: Vec<SocketId> = Vec::new();
            for (step, input) in inputs.into_iter().chain(calm) {
                time += step;
                let input = match input {
                    // Only a socket that was asked for can open, only one that is there can be lost.
                    Input::Opened(_) | Input::Tick if !waiting.is_empty() => Input::Opened(waiting.remove(0)),
                    Input::Opened(_) => Input::Tick,
                    Input::Lost(id, _) if !open.contains(&id) => Input::Tick,
                    other => other,
                };
                if let Input::Opened(id) = input { open.insert(id); }
                if let Input::Lost(id, _) = &input { open.remove(id); }
                let opening = matches!(input, Input::Opened(_));
                machine.on(at(time), input, &mut out);
                let resync = out.iter().any(|effect| matches!(effect, Effect::Resync(_)));
                for effect in out.drain(..) {
                    match effect {
                        Effect::Open(id) => waiting.push(id),
                        Effect::Close(id) => { open.remove(&id); waiting.retain(|other| *other != id); }
                        _ => {}
                    }
                }
                if opening && gap && machine.is_open() {
                    prop_assert!(resync, "heard again without a look at everything");
                    gap = false;
                }
                if open.is_empty() { gap = true; }
                prop_assert!(waiting.len() + open.len() <= 4);
            }
            prop_assert!(machine.is_open());
        }
    }
}

#[test]
fn nothing_happens_before_it_is_due_and_everything_when_it_is() {
    let mut desk = Desk::open();
    // Each is begun, and a tick right before it is due does nothing.
    let steps: [(Option<Input>, Vec<Effect>); 5] = [
        (None, vec![Effect::KeepKey]),
        (Some(Input::Owes(Receipt::Order(7))), vec![Effect::Close(1), Effect::Open(2)]),
        (None, vec![Effect::Close(2), Effect::Open(3)]),
        (Some(Input::Lost(3, "refused".into())), vec![Effect::Open(4)]),
        (Some(Input::Opened(4)), vec![Effect::KeepKey]),
    ];
    let mut now = 100;
    for (begins, happens) in steps {
        begins.into_iter().for_each(|input| drop(desk.on(now, input)));
        let due = desk.machine.due().unwrap().as_millis();
        assert!(due > now, "{due} is past at {now}: whoever waits for it would not wait");
        assert_eq!(desk.on(due - 1, Input::Tick), [], "{happens:?} is too early");
        assert_eq!(desk.moves(due, Input::Tick), happens);
        now = due + 1;
    }
    let renewal = Desk::open().machine.clone();
    assert!(renewal.due() <= Some(at(10) + RENEW_AFTER));
    let mut late = Desk::open();
    let over = 10 + i64::try_from(RENEW_AFTER.as_millis()).unwrap();
    late.on(over, Input::Tick);
    late.on(over, Input::KeyKept);
    assert!(late.machine.due() > Some(at(over)), "a socket that is being renewed is not due at every moment");
}
