//! The kill switch at its edges: what leaves first, when an account counts as halted, who may resume.

use super::super::money::Quantity;
use super::super::order::{OrderStatus, PositionSide, VenueOrder, VenuePosition};
use super::super::outbox::Step;
use super::*;

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn switch(on_kill: OnKill) -> KillSwitch {
    let [a, b] = ["ann", "bob"].map(|owner| OwnerId::new(owner).unwrap());
    let plan = |on_kill, owner| KillPlan { on_kill, owner };
    let accounts = BTreeMap::from([(account("a"), plan(on_kill, a)), (account("b"), plan(OnKill::Cancel, b))]);
    KillSwitch::new(Ladder::new(BTreeMap::new(), ModeTable::default()), accounts, Epoch(3), Incarnation(1))
}

/// What the venue shows answers the sweep that runs, unless it says which round asked; rows are durable at once; and whoever is
/// resumed was found to agree with its venue.
fn step(switch: &mut KillSwitch, at: i64, input: Input) -> Vec<Step<Record, Effect>> {
    if let Input::Operator { order: Order { verb: Verb::Resume, .. }, .. } = &input {
        for name in ["a", "b"] {
            stands(switch, at, name, Some(at));
        }
    }
    let steps = alone(switch, at, input);
    for step in &steps {
        if let Step::Persist { then, .. } = step
            && let [Effect::Noted { number }] = &then[..]
        {
            alone(switch, at, Input::Noted(*number));
        }
    }
    steps
}

fn stands(switch: &mut KillSwitch, at: i64, name: &str, reconciled: Option<i64>) -> Vec<Step<Record, Effect>> {
    alone(switch, at, Input::Standing { account: account(name), reconciled: reconciled.map(Timestamp::from_millis) })
}

/// The input and nothing besides.
fn alone(switch: &mut KillSwitch, at: i64, mut input: Input) -> Vec<Step<Record, Effect>> {
    let mut out = Outbox::new();
    if let Input::Shows { account, round, .. } = &mut input
        && *round == 0
    {
        *round = switch.sweeps.get(account).map_or(0, |sweep| sweep.round);
    }
    switch.on(Timestamp::from_millis(at), input, &mut out);
    out.drain().collect()
}

fn order(verb: Verb, scope: Scope) -> Input {
    Input::Operator { id: 7, order: Order { verb, scope, by: "ada".into(), reason: "test".into() } }
}

fn trip(scope: Scope) -> Input {
    Input::Trip { scope, mode: Mode::Halted, cause: "again".into() }
}

/// The raise that waits for its row.
fn raising(steps: &[Step<Record, Effect>]) -> Raising {
    let [Step::Persist { rows, then }] = steps else { panic!("expected nothing but rows and what waits for them, found {steps:?}") };
    assert!(rows.iter().any(|row| matches!(row, Record::ModeChanged { to: Mode::Normal, .. })), "{rows:?}");
    let [Effect::Raise(raising)] = &then[..] else { panic!("{then:?}") };
    raising.clone()
}

fn answered(steps: &[Step<Record, Effect>], expected: bool) -> bool {
    steps.iter().any(|step| matches!(step, Step::Do(Effect::Answer { id: 7, accepted, .. }) if *accepted == expected))
}

fn says(steps: &[Step<Record, Effect>], effect: &Effect) -> bool {
    steps.iter().any(|step| matches!(step, Step::Do(found) if found == effect))
}

fn closes_positions(steps: &[Step<Record, Effect>]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Do(Effect::Send { command: VenueCommand::Place(_), .. })))
}

fn open_order() -> VenueOrder {
    VenueOrder {
        client_order_id: ClientOrderId::new("x-1").unwrap(),
        venue_order_id: 1,
        symbol: crate::domain::ids::Symbol::new("BTCUSDT").unwrap(),
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: "1".parse().unwrap() },
        status: OrderStatus::Working,
        quantity: "1".parse().unwrap(),
        filled: Quantity::ZERO,
        reduce_only: false,
        updated_at: Timestamp::ZERO,
    }
}

fn shows(name: &str, open: usize, position: &str) -> Input {
    let position = VenuePosition {
        symbol: crate::domain::ids::Symbol::new("BTCUSDT").unwrap(),
        position_side: PositionSide::Both,
        quantity: position.parse().unwrap(),
        entry_price: "10".parse().unwrap(),
        closable: None,
    };
    let snapshot = VenueSnapshot { open_orders: vec![open_order(); open], positions: vec![position], ..VenueSnapshot::default() };
    Input::Shows { account: account(name), round: 0, snapshot }
}

#[test]
fn the_gate_closes_before_anything_else_and_waits_for_no_disk() {
    let steps = step(&mut switch(OnKill::Cancel), 0, order(Verb::Halt, Scope::Global));
    let Step::Do(Effect::SetGate(modes)) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(modes.account(account("a")), Mode::Halted);
    for step in &steps {
        if let Step::Persist { then, .. } = step {
            let waits = then.iter().filter(|effect| !matches!(effect, Effect::Noted { .. })).count();
            assert_eq!(waits, 0, "a halt must not wait for the journal");
        }
    }
    let cancels = steps.iter().filter(|step| matches!(step, Step::Do(Effect::Send { command: VenueCommand::CancelAll { .. }, .. })));
    assert_eq!(cancels.count(), 2);
}

#[test]
pub(crate) fn an_order_that_left_before_the_halt_and_may_still_arrive_is_waited_for() {
    let mut switch = switch(OnKill::Cancel);
    step(&mut switch, 0, order(Verb::Halt, Scope::Account(account("a"))));
    let showing = |on_their_way| {
        let Input::Shows { account, round, snapshot } = shows("a", 0, "0") else { unreachable!() };
        Input::Shows { account, round, snapshot: VenueSnapshot { on_their_way, ..snapshot } }
    };
    step(&mut switch, 10, showing(1));
    assert!(!switch.is_confirmed(account("a")), "the venue shows none, and one may stand any moment");
    let again = step(&mut switch, 300, Input::Tick);
    assert!(matches!(&again[0], Step::Do(Effect::Send { command: VenueCommand::CancelAll { .. }, .. })), "which is cancelled when it does");
    step(&mut switch, 310, showing(0));
    assert!(switch.is_confirmed(account("a")));
}

#[test]
pub(crate) fn an_account_is_confirmed_only_by_a_venue_that_shows_no_open_order() {
    let mut switch = switch(OnKill::Cancel);
    step(&mut switch, 0, order(Verb::Halt, Scope::Account(account("a"))));
    step(&mut switch, 10, shows("a", 1, "0"));
    assert!(!switch.is_confirmed(account("a")));
    let again = step(&mut switch, 300, Input::Tick);
    assert!(matches!(&again[0], Step::Do(Effect::Send { command: VenueCommand::CancelAll { .. }, .. })));
    let steps = step(&mut switch, 310, shows("a", 0, "0"));
    assert!(matches!(steps[0], Step::Do(Effect::Confirmed { tries: 2, .. })));
    assert!(switch.is_confirmed(account("a")));
}

#[test]
pub(crate) fn a_venue_that_never_answers_is_reported_and_tried_on() {
    let mut switch = switch(OnKill::Cancel);
    step(&mut switch, 0, order(Verb::Halt, Scope::Account(account("a"))));
    let mut alarms = 0;
    for second in 1..60 {
        let steps = step(&mut switch, second * 10_000, Input::Tick);
        alarms += steps.iter().filter(|step| matches!(step, Step::Do(Effect::Unconfirmed { .. }))).count();
    }
    assert_eq!(alarms, 60 / ALARM_AFTER_TRIES as usize);
    assert!(!switch.is_confirmed(account("a")));
}

#[test]
fn flattening_sends_reduce_only_market_orders_after_the_cancels_are_confirmed() {
    let mut switch = switch(OnKill::Flatten);
    step(&mut switch, 0, order(Verb::Halt, Scope::Global));
    let steps = step(&mut switch, 10, shows("a", 0, "-0.5"));
    let Step::Do(Effect::Send { command: VenueCommand::Place(order), .. }) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!((order.side, order.quantity, order.reduce_only), (Side::Buy, "0.5".parse().unwrap(), true));
    let steps = step(&mut switch, 20, shows("a", 0, "0"));
    assert!(matches!(steps[0], Step::Do(Effect::Confirmed { .. })));
}

/// On spot fees are taken out of what was bought, and what is left can be too little for any order.
#[test]
fn what_no_order_can_close_keeps_nobody_waiting() {
    let mut switch = switch(OnKill::Flatten);
    step(&mut switch, 0, order(Verb::Halt, Scope::Global));
    let shown = |quantity: &str, closable: &str| {
        let mut input = shows("a", 0, quantity);
        if let Input::Shows { snapshot, .. } = &mut input {
            snapshot.positions[0].closable = Some(closable.parse().unwrap());
        }
        input
    };
    let steps = step(&mut switch, 10, shown("0.99925", "0.999"));
    let Step::Do(Effect::Send { command: VenueCommand::Place(order), .. }) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(order.quantity, "0.999".parse().unwrap());
    step(&mut switch, 20, shown("0.00025", "0"));
    assert!(switch.is_confirmed(account("a")));
}

#[test]
fn a_position_that_was_not_closed_is_closed_again_and_not_called_done() {
    let mut switch = switch(OnKill::Flatten);
    step(&mut switch, 0, order(Verb::Halt, Scope::Global));
    step(&mut switch, 10, shows("a", 0, "0.5"));
    // The order was refused, or is still on its way.
    step(&mut switch, 20, shows("a", 0, "0.5"));
    assert!(!switch.is_confirmed(account("a")));
    step(&mut switch, 300, Input::Tick);
    let steps = step(&mut switch, 310, shows("a", 0, "0.2"));
    let Step::Do(Effect::Send { command: VenueCommand::Place(order), .. }) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!((order.side, order.quantity), (Side::Sell, "0.2".parse().unwrap()));
    step(&mut switch, 320, shows("a", 0, "0"));
    assert!(switch.is_confirmed(account("a")));
}

#[test]
fn what_cannot_be_flattened_is_refused_and_not_called_done() {
    let mut switch = switch(OnKill::Cancel);
    let scope = Scope::Strategy(crate::domain::ids::StrategyId::new("s").unwrap());
    let steps = step(&mut switch, 0, order(Verb::Flatten, scope));
    assert!(steps.iter().any(|step| matches!(step, Step::Do(Effect::Answer { accepted: false, .. }))), "{steps:?}");
    assert_eq!(switch.modes().of(scope), Mode::Normal);
}

#[test]
fn a_restart_goes_on_flattening() {
    let mut before = switch(OnKill::Flatten);
    step(&mut before, 0, order(Verb::Halt, Scope::Global));
    let ladder = Ladder::new(BTreeMap::new(), before.modes().clone());
    let mut after = KillSwitch::new(
        ladder,
        BTreeMap::from([(account("a"), KillPlan { on_kill: OnKill::Flatten, ..KillPlan::default() })]),
        Epoch(4),
        Incarnation(1),
    );
    after.start(Timestamp::ZERO, &mut Outbox::new());
    let steps = step(&mut after, 10, shows("a", 0, "0.5"));
    assert!(matches!(&steps[0], Step::Do(Effect::Send { command: VenueCommand::Place(_), .. })), "{steps:?}");
}

#[test]
fn resume_needs_a_person_and_finished_cancels_and_is_durable_before_the_gate_opens() {
    let mut switch = switch(OnKill::Cancel);
    let scope = Scope::Account(account("a"));
    step(&mut switch, 0, order(Verb::Halt, scope));
    let refused = step(&mut switch, 5, order(Verb::Resume, scope));
    assert!(refused.iter().any(|step| matches!(step, Step::Do(Effect::Answer { accepted: false, .. }))));
    step(&mut switch, 10, shows("a", 0, "0"));
    let nameless = Order { verb: Verb::Resume, scope, by: String::new(), reason: "x".into() };
    step(&mut switch, 20, Input::Operator { id: 7, order: nameless });
    let raising = raising(&step(&mut switch, 30, order(Verb::Resume, scope)));
    assert_eq!(switch.modes().account(account("a")), Mode::Halted, "its row is not durable yet");
    assert!(switch.is_confirmed(account("a")));
    let steps = step(&mut switch, 40, Input::Raised(raising));
    assert!(matches!(&steps[0], Step::Do(Effect::SetGate(modes)) if modes.account(account("a")) == Mode::Normal), "{steps:?}");
    assert!(answered(&steps, true) && !switch.is_confirmed(account("a")));
}

#[test]
fn a_halt_that_comes_while_a_resume_is_being_written_stands() {
    let mut switch = switch(OnKill::Cancel);
    let scope = Scope::Account(account("a"));
    step(&mut switch, 0, order(Verb::Halt, scope));
    step(&mut switch, 10, shows("a", 0, "0"));
    let raising = raising(&step(&mut switch, 20, order(Verb::Resume, scope)));
    let steps = step(&mut switch, 21, trip(scope));
    let back = |row: &Record| matches!(row, Record::ModeChanged { from: Mode::Normal, to: Mode::Halted, .. });
    let written = steps.iter().any(|step| matches!(step, Step::Persist { rows, .. } if rows.iter().any(back)));
    assert!(written, "the row of the resume is answered by one behind it: {steps:?}");
    let steps = step(&mut switch, 22, Input::Raised(raising));
    assert!(answered(&steps, false) && !steps.iter().any(|step| matches!(step, Step::Do(Effect::SetGate(_)))), "{steps:?}");
    assert_eq!(switch.modes().account(account("a")), Mode::Halted);
}

#[test]
fn what_another_scope_does_while_a_resume_is_being_written_opens_nothing() {
    let mut switch = switch(OnKill::Cancel);
    let scope = Scope::Account(account("a"));
    step(&mut switch, 0, order(Verb::Halt, scope));
    step(&mut switch, 10, shows("a", 0, "0"));
    let raising = raising(&step(&mut switch, 20, order(Verb::Resume, scope)));
    let steps = step(&mut switch, 21, trip(Scope::Account(account("b"))));
    assert!(matches!(&steps[0], Step::Do(Effect::SetGate(modes)) if modes.account(account("a")) == Mode::Halted), "{steps:?}");
    let steps = step(&mut switch, 22, Input::NotRaised { raising: raising.clone(), why: "the disk is full".into() });
    assert!(answered(&steps, false), "{steps:?}");
    assert_eq!(switch.modes().account(account("a")), Mode::Halted, "a row that was refused raises nothing");
    assert!(switch.is_confirmed(account("a")), "it is halted as before");
    step(&mut switch, 23, Input::Raised(raising));
    assert_eq!(switch.modes().account(account("a")), Mode::Halted);
}

#[test]
fn an_account_that_is_not_halted_is_emptied_and_never_confirmed() {
    let mut switch = switch(OnKill::Cancel);
    let a = account("a");
    step(&mut switch, 0, order(Verb::Cancel, Scope::Account(a)));
    let steps = step(&mut switch, 10, shows("a", 0, "0"));
    assert!(says(&steps, &Effect::Emptied { account: a }) && !switch.is_confirmed(a), "{steps:?}");
    assert!(!steps.iter().any(|step| matches!(step, Step::Do(Effect::Confirmed { .. }))), "{steps:?}");
    let steps = step(&mut switch, 20, order(Verb::Halt, Scope::Account(a)));
    assert!(says(&steps, &Effect::Sweeping { account: a }) && !switch.is_confirmed(a), "{steps:?}");
}

#[test]
fn what_the_venue_showed_before_a_halt_confirms_nothing() {
    let mut switch = switch(OnKill::Cancel);
    let a = account("a");
    step(&mut switch, 0, order(Verb::Cancel, Scope::Account(a)));
    let before = switch.sweeps[&a].round;
    step(&mut switch, 5, order(Verb::Halt, Scope::Account(a)));
    let Input::Shows { account, snapshot, .. } = shows("a", 0, "0") else { panic!() };
    let steps = step(&mut switch, 10, Input::Shows { account, round: before, snapshot });
    assert!(steps.is_empty() && !switch.is_confirmed(a), "an order may have left between that answer and the halt: {steps:?}");
    step(&mut switch, 11, shows("a", 0, "0"));
    assert!(switch.is_confirmed(a));
    let steps = step(&mut switch, 20, order(Verb::Halt, Scope::Account(a)));
    assert!(says(&steps, &Effect::Sweeping { account: a }) && !switch.is_confirmed(a), "asked again, it is looked at again: {steps:?}");
}

#[test]
fn whatever_comes_while_positions_are_being_closed_they_are_closed() {
    let scope = Scope::Account(account("a"));
    for next in [order(Verb::Halt, scope), order(Verb::Cancel, scope), order(Verb::Cancel, Scope::Global), trip(scope), trip(Scope::Global)]
    {
        let mut switch = switch(OnKill::Cancel);
        step(&mut switch, 0, order(Verb::Flatten, scope));
        step(&mut switch, 10, next.clone());
        let steps = step(&mut switch, 20, shows("a", 0, "0.5"));
        assert!(closes_positions(&steps), "{next:?}: {steps:?}");
        step(&mut switch, 30, shows("a", 0, "0.5"));
        assert!(switch.sweeps.contains_key(&account("a")), "{next:?}: a position is still open");
    }
}

#[test]
fn a_repeated_halt_closes_positions_where_a_halt_does() {
    for (on_kill, closes) in [(OnKill::Flatten, true), (OnKill::Cancel, false)] {
        let mut switch = switch(on_kill);
        step(&mut switch, 0, order(Verb::Halt, Scope::Global));
        step(&mut switch, 10, shows("a", 0, "0"));
        step(&mut switch, 20, order(Verb::Halt, Scope::Global));
        assert_eq!(closes_positions(&step(&mut switch, 30, shows("a", 0, "0.5"))), closes, "{on_kill:?}");
    }
}

#[test]
fn a_successor_goes_on_with_what_was_being_emptied() {
    let mut before = switch(OnKill::Cancel);
    step(&mut before, 0, order(Verb::Flatten, Scope::Account(account("a"))));
    step(&mut before, 0, order(Verb::Cancel, Scope::Account(account("b"))));
    let mut after = switch(OnKill::Cancel).taking_over(before.unfinished());
    after.start(Timestamp::ZERO, &mut Outbox::new());
    assert!(closes_positions(&step(&mut after, 10, shows("a", 0, "0.5"))));
    let steps = step(&mut after, 10, shows("b", 0, "0.5"));
    assert!(says(&steps, &Effect::Emptied { account: account("b") }), "{steps:?}");
}

#[test]
pub(crate) fn a_latch_from_an_earlier_life_closes_the_gate_and_sweeps_again() {
    let mut before = switch(OnKill::Cancel);
    step(&mut before, 0, order(Verb::Halt, Scope::Global));
    let ladder = Ladder::new(BTreeMap::new(), before.modes().clone());
    let mut after = KillSwitch::new(ladder, BTreeMap::from([(account("a"), KillPlan::default())]), Epoch(4), Incarnation(1));
    let mut out = Outbox::new();
    after.start(Timestamp::ZERO, &mut out);
    let steps: Vec<_> = out.drain().collect();
    assert!(matches!(&steps[0], Step::Do(Effect::SetGate(modes)) if modes.account(account("a")) == Mode::Halted));
    assert!(steps.iter().any(|step| matches!(step, Step::Do(Effect::Send { command: VenueCommand::CancelAll { .. }, .. }))));
}

#[test]
fn what_cannot_be_taken_back_waits_for_the_row_of_its_mode_and_for_no_sick_disk() {
    for noted in [true, false] {
        let mut switch = switch(OnKill::Flatten);
        let a = account("a");
        let steps = alone(&mut switch, 0, order(Verb::Halt, Scope::Account(a)));
        assert!(matches!(&steps[0], Step::Do(Effect::SetGate(_))), "the gate waits for nothing");
        let shown = |steps: &[Step<Record, Effect>]| steps.iter().any(|step| matches!(step, Step::Do(Effect::Reported(_))));
        assert!(!shown(&steps), "a crash would forget it");
        assert!(!closes_positions(&alone(&mut switch, 5, shows("a", 0, "0.5"))));
        let limit = i64::try_from(NOTED_WITHIN.as_millis()).unwrap();
        let before = alone(&mut switch, limit - 1, Input::Tick);
        assert!(!closes_positions(&before) && !shown(&before));
        // The sweep has begun again meanwhile.
        alone(&mut switch, limit - 1, shows("a", 0, "0.5"));
        let steps = if noted { alone(&mut switch, limit - 1, Input::Noted(1)) } else { alone(&mut switch, limit, Input::Tick) };
        assert!(closes_positions(&steps) && shown(&steps), "{steps:?}");
    }
}

#[test]
fn a_resume_waits_for_a_reconciliation_of_after_the_halt_and_not_for_ever() {
    for comes in [true, false] {
        let mut switch = switch(OnKill::Cancel);
        let (a, scope) = (account("a"), Scope::Account(account("a")));
        stands(&mut switch, 0, "a", Some(0));
        for at in [100, 110] {
            let input = if at == 100 { order(Verb::Halt, scope) } else { shows("a", 0, "0") };
            step(&mut switch, at, input);
        }
        let steps = alone(&mut switch, 200, order(Verb::Resume, scope));
        assert!(says(&steps, &Effect::Reconcile { account: a }) && steps.len() == 1, "asked for, and nothing else: {steps:?}");
        assert!(stands(&mut switch, 210, "a", None).is_empty() && stands(&mut switch, 220, "a", Some(99)).is_empty());
        let limit = 200 + i64::try_from(raise::RECONCILED_WITHIN.as_millis()).unwrap();
        assert!(alone(&mut switch, limit - 1, Input::Tick).is_empty());
        if comes {
            let raising = raising(&stands(&mut switch, limit - 1, "a", Some(300)));
            assert!(answered(&step(&mut switch, limit, Input::Raised(raising)), true));
            assert_eq!(switch.modes().account(a), Mode::Normal);
        } else {
            assert!(answered(&alone(&mut switch, limit, Input::Tick), false));
            assert_eq!(switch.modes().account(a), Mode::Halted);
            stands(&mut switch, limit + 1, "a", Some(limit));
            raising(&alone(&mut switch, limit + 2, order(Verb::Resume, scope)));
        }
    }
}

#[test]
fn resuming_everything_leaves_an_account_that_cannot_be_reconciled_where_it_is() {
    let mut switch = switch(OnKill::Cancel);
    let (a, b) = (account("a"), account("b"));
    step(&mut switch, 0, order(Verb::Halt, Scope::Global));
    step(&mut switch, 10, shows("b", 0, "0"));
    alone(&mut switch, 20, order(Verb::Resume, Scope::Global));
    stands(&mut switch, 30, "b", Some(30));
    let limit = 20 + i64::try_from(raise::RECONCILED_WITHIN.as_millis()).unwrap();
    let steps = step(&mut switch, limit, Input::Tick);
    let then = steps.iter().find_map(|step| {
        if let Step::Persist { then, .. } = step { then.first() } else { None }.filter(|then| matches!(then, Effect::Raise(_)))
    });
    let Some(Effect::Raise(raising)) = then else { panic!("{steps:?}") };
    let steps = step(&mut switch, limit + 1, Input::Raised(raising.clone()));
    assert_eq!([switch.modes().account(a), switch.modes().account(b)], [Mode::Halted, Mode::Normal]);
    let told =
        |step: &Step<Record, Effect>| matches!(step, Step::Do(Effect::Answer { accepted: true, text, .. }) if text.contains("a held"));
    assert!(steps.iter().any(told), "{steps:?}");
}
mod closing {
    use super::*;

    fn one_owner() -> KillSwitch {
        let plan = |on_kill| KillPlan { on_kill, ..KillPlan::default() };
        let accounts = BTreeMap::from([(account("a"), plan(OnKill::Flatten)), (account("b"), plan(OnKill::Cancel))]);
        KillSwitch::new(Ladder::new(BTreeMap::new(), ModeTable::default()), accounts, Epoch(3), Incarnation(1))
    }

    fn symbol() -> Symbol {
        Symbol::new("BTCUSDT").unwrap()
    }

    /// What `b` shows to the sweep of `a`.
    fn sibling_shows(switch: &mut KillSwitch, at: i64, open_orders: Vec<VenueOrder>, on_their_way: usize) -> Vec<Step<Record, Effect>> {
        let round = switch.sweeps[&account("a")].round;
        let snapshot = VenueSnapshot { open_orders, on_their_way, ..VenueSnapshot::default() };
        step(switch, at, Input::Shows { account: account("b"), round, snapshot })
    }

    fn cancels_of_b(steps: &[Step<Record, Effect>]) -> usize {
        let is_cancel = |step: &&Step<Record, Effect>| matches!(step, Step::Do(Effect::Send { account: of, command: VenueCommand::Cancel { .. }, .. }) if *of == account("b"));
        steps.iter().filter(is_cancel).count()
    }

    #[test]
    fn a_close_waits_until_the_venue_shows_that_no_own_order_stands_against_it() {
        let mut switch = one_owner();
        step(&mut switch, 0, order(Verb::Halt, Scope::Account(account("a"))));
        let steps = step(&mut switch, 10, shows("a", 0, "2"));
        assert!(!closes_positions(&steps), "b may have a bid that the close would meet");
        let Step::Do(Effect::SetGate(modes)) = &steps[0] else { panic!("{steps:?}") };
        assert!(modes.is_barred(account("b"), symbol(), Side::Buy), "barred before anybody is asked");
        assert!(!modes.is_barred(account("b"), symbol(), Side::Sell), "what cannot meet it goes on");
        assert!(!closes_positions(&sibling_shows(&mut switch, 20, vec![], 1)), "one left before the bar and may still arrive");
        let steps = sibling_shows(&mut switch, 30, vec![open_order()], 0);
        assert_eq!(cancels_of_b(&steps), 1);
        assert!(!closes_positions(&step(&mut switch, 40, shows("a", 0, "2"))), "asked to be cancelled is not cancelled");
        assert!(!closes_positions(&sibling_shows(&mut switch, 300, vec![], 0)), "a's positions may have changed meanwhile");
        let steps = step(&mut switch, 310, shows("a", 0, "2"));
        assert!(closes_positions(&steps), "{steps:?}");
        let steps = step(&mut switch, 320, shows("a", 0, "0"));
        let Some(Step::Do(Effect::SetGate(modes))) = steps.iter().find(|step| matches!(step, Step::Do(Effect::SetGate(_)))) else {
            panic!("{steps:?}")
        };
        assert!(modes.barred().is_empty(), "and then everything may rest again");
        assert_eq!(modes.account(account("a")), Mode::Halted);
    }

    #[test]
    fn orders_that_cannot_meet_the_close_are_left_alone() {
        let mut switch = one_owner();
        step(&mut switch, 0, order(Verb::Halt, Scope::Account(account("a"))));
        step(&mut switch, 10, shows("a", 0, "-2"));
        let stop = VenueOrder { kind: OrderKind::StopMarket { trigger: "9".parse().unwrap() }, side: Side::Sell, ..open_order() };
        let steps = sibling_shows(&mut switch, 20, vec![open_order(), stop], 0);
        assert_eq!(cancels_of_b(&steps), 0, "a bid and a stop do not meet a buy at the market");
        assert!(closes_positions(&step(&mut switch, 30, shows("a", 0, "-2"))));
    }

    #[test]
    fn a_sibling_that_is_silent_is_asked_again_and_the_close_waits_loudly() {
        let mut switch = one_owner();
        step(&mut switch, 0, order(Verb::Halt, Scope::Account(account("a"))));
        step(&mut switch, 10, shows("a", 0, "2"));
        let mut alarms = Vec::new();
        for second in 1..20 {
            let steps = step(&mut switch, second * 10_000, Input::Tick);
            let asked = |step: &&Step<Record, Effect>| matches!(step, Step::Do(Effect::Send { account: of, command: VenueCommand::Snapshot { .. }, .. }) if *of == account("b"));
            assert_eq!(steps.iter().filter(asked).count(), 1);
            step(&mut switch, second * 10_000 + 1, shows("a", 0, "2"));
            alarms.extend(
                steps.into_iter().filter_map(|step| if let Step::Do(Effect::Unconfirmed { why, .. }) = step { Some(why) } else { None }),
            );
        }
        assert!(!alarms.is_empty() && alarms.iter().all(|why| why.contains("orders of b")), "{alarms:?}");
    }
}
