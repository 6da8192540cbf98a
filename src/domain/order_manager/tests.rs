//! Orders through good and bad weather: persisted before sent, unknown until the venue's word, fills in any order and
//! twice, races with cancels, and recovery against what the venue shows. `Approved` comes from a real risk machine.

use super::super::ids::IntentId;
use super::super::market::MarketView;
use super::super::mode::Scope;
use super::super::money::{Money, Quantity};
use super::super::order::{
    EndReason, Fill, OrderKind, PositionSide, Side, TimeInForce, TradesFrom, TradesWanted, VenueOrder, VenuePosition, VenueSnapshot,
};
use super::super::outbox::Step;
use super::super::record::Entry;
use super::super::recovery::DaemonState;
use super::super::risk::{self, RiskMachine};
use super::*;

fn account() -> AccountId {
    AccountId::new("a").unwrap()
}

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn intent(number: u64, side: Side, quantity: &str, decided_at: Timestamp) -> OrderIntent {
    OrderIntent {
        id: IntentId(number),
        strategy: StrategyId::new("s").unwrap(),
        account: account(),
        symbol: symbol(),
        side,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: "100".parse().unwrap() },
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: quantity.parse().unwrap(),
        reduce_only: false,
        stop: None,
        decided_at,
        reason: "test".into(),
        trace: None,
    }
}

/// Has `intent` approved the only way there is.
fn approve(incarnation: u64, intent: OrderIntent) -> Approved<Arc<OrderIntent>> {
    let mut machine =
        RiskMachine::new(Incarnation(incarnation), risk::tests_support::wide_limits(account(), symbol()), ModeTable::default());
    let price = "100".parse().unwrap();
    let one = "1".parse().unwrap();
    let (bid, ask) = (Some((price, one)), Some((price, one)));
    let view = MarketView {
        symbol: symbol(),
        at: intent.decided_at,
        heard_at: intent.decided_at,
        bid,
        ask,
        last: Some(price),
        mark: Some(price),
        stale: false,
        sequence: 1,
    };
    let positions = vec![];
    let account_view = AccountView {
        account: account(),
        wallet: Money::ZERO,
        equity: "1000000".parse().unwrap(),
        day_pnl: Some(Money::ZERO),
        positions,
        peaks: Some(risk::tests_support::peaks()),
        margin: None,
        at: intent.decided_at,
    };
    let mut out = Outbox::new();
    machine.on(intent.decided_at, risk::Input::Market(view), &mut out);
    machine.on(
        intent.decided_at,
        risk::Input::Book(AccountBook { view: account_view, open: vec![], since: Timestamp::ZERO, build: BUILD }),
        &mut out,
    );
    machine.on(intent.decided_at, risk::Input::Propose(Arc::new(intent)), &mut out);
    let approved = out.drain().find_map(|step| match step {
        Step::Do(risk::Effect::Submit(approved)) => Some(approved),
        _ => None,
    });
    approved.expect("the test's limits are wide")
}

/// A manager with everything that it did so far.
struct Desk {
    manager: OrderManager,
    rows: Vec<Record>,
    sent: Vec<VenueCommand>,
    reports: Vec<OrderReport>,
    faults: Vec<FaultClass>,
    tripped: Vec<Mode>,
    reconciled: Vec<Reconciliation>,
    /// Effects that wait for their rows.
    held: Vec<Effect>,
    durable: bool,
}

impl Desk {
    fn recovered(state: AccountState, epoch: u32) -> Self {
        let manager = OrderManager::new(account(), Epoch(epoch), ModeTable::default(), state);
        let mut desk = Self {
            manager,
            rows: vec![],
            sent: vec![],
            reports: vec![],
            faults: vec![],
            tripped: vec![],
            reconciled: vec![],
            held: vec![],
            durable: true,
        };
        let mut out = Outbox::new();
        desk.manager.start(at(0), &mut out);
        desk.take(&mut out);
        desk
    }

    /// Reconciled with an empty venue, knows risk manager 1.
    fn ready() -> Self {
        let mut desk = Self::recovered(AccountState::new(account()), 1);
        desk.venue(0, VenueEvent::SnapshotIs(VenueSnapshot::default()));
        desk.on(0, Input::RiskManager(Incarnation(1)));
        assert!(desk.manager.is_ready());
        desk.sent.clear();
        desk
    }

    fn on(&mut self, millis: i64, input: Input) {
        let mut out = Outbox::new();
        self.manager.on(at(millis), input, &mut out);
        self.take(&mut out);
    }

    /// The venue dates what it shows, unless the test does.
    fn venue(&mut self, millis: i64, mut event: VenueEvent) {
        if let VenueEvent::SnapshotIs(snapshot) = &mut event {
            snapshot.as_of.get_or_insert(at(millis));
        }
        self.on(millis, Input::Venue(event));
    }

    fn take(&mut self, out: &mut Out) {
        for step in out.drain().collect::<Vec<_>>() {
            match step {
                Step::Do(effect) => self.effect(effect),
                Step::Persist { rows, then } => {
                    self.rows.extend(rows);
                    if self.durable {
                        then.into_iter().for_each(|effect| self.effect(effect));
                    } else {
                        self.held.extend(then);
                    }
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(command) => {
                self.sent.push(command.clone());
                if let VenueCommand::Place(order) = command {
                    self.on(0, Input::Sent { client_order_id: order.client_order_id });
                }
            }
            Effect::Report(report) => self.reports.push(Arc::unwrap_or_clone(report)),
            Effect::Fault { class, .. } => self.faults.push(class),
            Effect::Trip { mode, .. } => self.tripped.push(mode),
            Effect::Reconciled(reconciliation) => self.reconciled.push(*reconciliation),
            _ => {}
        }
    }

    fn submit(&mut self, number: u64, quantity: &str) -> ClientOrderId {
        let intent = intent(number, Side::Buy, quantity, at(0));
        self.on(0, Input::Submit(approve(1, intent)));
        ClientOrderId::compose(account(), Epoch(1), IntentId(number))
    }

    fn status(&self, id: ClientOrderId) -> OrderStatus {
        self.manager.orders.get(&id).map_or(OrderStatus::NotSent, |order| order.status)
    }

    fn position(&self) -> Quantity {
        self.manager.positions().net(symbol())
    }

    /// What the rows written so far add up to.
    fn replayed(&self) -> AccountState {
        let mut state = DaemonState::default();
        for record in &self.rows {
            state.apply(&Entry { at: at(0), record: record.clone() });
        }
        state.accounts.remove(&account()).unwrap_or_else(|| AccountState::new(account()))
    }
}

fn accepted(id: ClientOrderId) -> VenueEvent {
    VenueEvent::Accepted { client_order_id: id, venue_order_id: 7, at: at(0) }
}

fn fill(id: ClientOrderId, trade_id: u64, quantity: &str) -> VenueEvent {
    VenueEvent::Filled(trade(id, trade_id, quantity))
}

fn trade(id: ClientOrderId, trade_id: u64, quantity: &str) -> Fill {
    Fill {
        account: account(),
        symbol: symbol(),
        client_order_id: id,
        venue_order_id: 7,
        trade_id,
        side: Side::Buy,
        position_side: PositionSide::Both,
        price: "100".parse().unwrap(),
        quantity: quantity.parse().unwrap(),
        fee: Money::ZERO,
        fee_taken: None,
        maker: false,
        at: at(1),
    }
}

fn ended(id: ClientOrderId, filled: &str) -> VenueEvent {
    VenueEvent::Ended { client_order_id: id, reason: EndReason::Canceled, filled: filled.parse().unwrap(), at: at(0) }
}

fn listed(id: ClientOrderId, status: OrderStatus, filled: &str) -> VenueOrder {
    VenueOrder {
        client_order_id: id,
        venue_order_id: 7,
        symbol: symbol(),
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: "100".parse().unwrap() },
        status,
        quantity: "2".parse().unwrap(),
        filled: filled.parse().unwrap(),
        reduce_only: false,
        updated_at: at(0),
    }
}

fn cancel(id: ClientOrderId) -> Input {
    Input::Cancel { symbol: symbol(), client_order_id: id, reason: "test".into() }
}

#[test]
fn the_intent_is_durable_before_the_order_leaves() {
    let mut desk = Desk::ready();
    desk.durable = false;
    desk.submit(1, "1");
    assert!(desk.sent.is_empty());
    assert!(matches!(desk.rows.last(), Some(Record::OrderIntended { .. })));
    assert!(matches!(&desk.held[..], [Effect::Send(VenueCommand::Place(_))]));
}

#[test]
fn an_approved_order_that_nobody_stands_behind_any_more_leaves_nothing() {
    let mut desk = Desk::ready();
    let rows = desk.rows.len();
    let approved = approve(1, intent(1, Side::Buy, "1", at(0)));
    desk.on(0, Input::Withdrawn { approved, why: "stopped".into() });
    assert_eq!((desk.rows.len(), desk.sent.len(), desk.manager.open_orders().count()), (rows, 0, 0));
    let told = desk.reports.iter().map(|report| (report.status, report.detail.as_deref())).collect::<Vec<_>>();
    assert_eq!(told, [(OrderStatus::NotSent, Some("stopped"))], "so that its exposure is free again");
}

#[test]
pub(crate) fn an_approval_of_a_dead_risk_manager_is_void() {
    let mut desk = Desk::ready();
    desk.on(0, Input::RiskManager(Incarnation(2)));
    desk.submit(1, "1");
    assert!(desk.sent.is_empty());
    let report = desk.reports.last().unwrap();
    assert_eq!(report.status, OrderStatus::NotSent);
    assert!(report.detail.as_ref().unwrap().contains("approved by risk manager 1, expected 2"));
}

#[test]
fn one_intent_is_sent_once() {
    let mut desk = Desk::ready();
    desk.submit(1, "1");
    desk.submit(1, "1");
    assert_eq!(desk.sent.len(), 1);
}

#[test]
pub(crate) fn a_mode_that_came_after_the_approval_still_counts() {
    for (mode, passes) in [(Mode::Normal, true), (Mode::ReduceOnly, false), (Mode::CancelOnly, false), (Mode::Halted, false)] {
        let mut desk = Desk::ready();
        let mut modes = ModeTable::default();
        modes.set(Scope::Strategy(StrategyId::new("s").unwrap()), mode, "t", at(0));
        desk.on(0, Input::Modes(modes));
        desk.submit(1, "1");
        assert_eq!(desk.sent.len() == 1, passes, "{mode}");
    }
}

#[test]
pub(crate) fn a_fill_before_the_acknowledgement_counts_and_the_late_acknowledgement_changes_nothing() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, fill(id, 1, "2"));
    assert_eq!(desk.status(id), OrderStatus::Filled);
    desk.venue(2, accepted(id));
    assert_eq!(desk.status(id), OrderStatus::Filled);
    assert_eq!(desk.position(), "2".parse().unwrap());
}

#[test]
fn a_trade_told_twice_is_booked_once() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, fill(id, 1, "0.5"));
    desk.venue(2, fill(id, 1, "0.5"));
    assert_eq!(desk.position(), "0.5".parse().unwrap());
    assert_eq!(desk.reports.iter().filter(|report| report.fill.is_some()).count(), 1);
}

#[test]
pub(crate) fn a_late_fill_after_the_cancel_is_booked_and_the_order_stays_ended() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.on(2, cancel(id));
    assert_eq!(desk.status(id), OrderStatus::PendingCancel);
    desk.venue(3, ended(id, "0"));
    desk.venue(4, fill(id, 1, "0.5"));
    assert_eq!(desk.status(id), OrderStatus::Canceled);
    assert_eq!(desk.position(), "0.5".parse().unwrap());
}

#[test]
fn a_cancel_that_comes_before_the_acknowledgement_leaves_after_it() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.on(1, cancel(id));
    assert_eq!(desk.sent.len(), 1);
    desk.venue(2, accepted(id));
    assert!(matches!(desk.sent.last(), Some(VenueCommand::Cancel { .. })));
    assert_eq!(desk.status(id), OrderStatus::PendingCancel);
}

#[test]
pub(crate) fn unknown_is_not_failed_until_absent_twice_and_long_enough() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, VenueEvent::OutcomeUnknown { client_order_id: id, why: "time-out".into() });
    let absent = || VenueEvent::OrderIs { client_order_id: id, order: None };
    for second in 1..12 {
        desk.venue(second * 1000, absent());
        assert_eq!(desk.status(id), OrderStatus::Unknown, "after {second} s");
    }
    desk.venue(12_000, absent());
    assert_eq!(desk.status(id), OrderStatus::Unknown, "its trades are asked for first");
    assert!(matches!(desk.sent.last(), Some(VenueCommand::Snapshot { trades }) if trades.contains_key(&symbol())));
    desk.venue(13_000, absent());
    assert_eq!(desk.status(id), OrderStatus::Unknown, "they have not been listed yet");
    desk.venue(13_500, VenueEvent::SnapshotIs(VenueSnapshot::default()));
    desk.venue(14_000, absent());
    assert_eq!(desk.status(id), OrderStatus::Rejected);
}

#[test]
pub(crate) fn a_refused_cancel_asks_for_the_order() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.on(2, cancel(id));
    desk.venue(3, VenueEvent::CancelRefused { client_order_id: id, code: -2011, message: "Unknown order sent.".into() });
    assert!(matches!(desk.sent.last(), Some(VenueCommand::Query { .. })));
    desk.venue(4, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Filled, "2")) });
    assert!(matches!(desk.sent.last(), Some(VenueCommand::Query { .. })), "the trades are fetched before the order ends");
    desk.venue(5, fill(id, 1, "2"));
    assert_eq!(desk.status(id), OrderStatus::Filled);
}

#[test]
pub(crate) fn more_filled_than_ordered_is_an_invariant_fault() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, fill(id, 1, "2"));
    assert!(desk.faults.is_empty());
    desk.venue(2, fill(id, 2, "0.001"));
    assert_eq!(desk.faults, [FaultClass::Invariant]);
}

#[test]
pub(crate) fn a_fill_that_no_order_of_ours_explains_moves_the_position_and_is_told() {
    let mut desk = Desk::ready();
    desk.venue(1, fill(ClientOrderId::new("by-hand").unwrap(), 1, "0.5"));
    assert_eq!(desk.position(), "0.5".parse().unwrap());
    assert_eq!(desk.reports.last().unwrap().strategy, None);
    assert_eq!(desk.tripped, [Mode::ReduceOnly], "until a person has looked");
    // The kill switch's own orders are not in these books either.
    desk.venue(2, fill(ClientOrderId::compose(account(), Epoch(1), IntentId(99)), 2, "0.5"));
    assert_eq!(desk.tripped.len(), 1);
}

#[test]
pub(crate) fn recovery_holds_orders_back_asks_for_each_open_one_books_missed_trades_and_then_resumes() {
    let mut before = Desk::ready();
    let missed = before.submit(1, "2");
    before.venue(1, accepted(missed));
    before.venue(2, fill(missed, 1, "0.5"));
    let never_sent = before.submit(2, "1");
    let mut after = Desk::recovered(before.replayed(), 2);
    assert_eq!(after.manager.mode(), Mode::CancelOnly);
    let VenueCommand::Snapshot { trades } = &after.sent[0] else { panic!("{:?}", after.sent) };
    assert_eq!(*trades, TradesWanted::from([(symbol(), TradesFrom::Since(at(-1_000)))]), "from before the oldest open order");
    let snapshot = VenueSnapshot {
        trades: vec![trade(missed, 1, "0.5"), trade(missed, 2, "1.5")],
        positions: vec![VenuePosition {
            symbol: symbol(),
            position_side: PositionSide::Both,
            quantity: "2".parse().unwrap(),
            entry_price: "100".parse().unwrap(),
            closable: None,
        }],
        ..VenueSnapshot::default()
    };
    after.venue(60_000, VenueEvent::SnapshotIs(snapshot));
    assert_eq!(after.status(missed), OrderStatus::Filled);
    assert_eq!(after.position(), "2".parse().unwrap());
    assert!(!after.manager.is_ready(), "one order is still being asked for");
    after.venue(60_001, VenueEvent::OrderIs { client_order_id: never_sent, order: None });
    assert_eq!(after.status(never_sent), OrderStatus::Unknown, "one answer is no proof");
    assert!(after.manager.is_ready(), "the account need not wait for the second");
    after.venue(61_001, VenueEvent::OrderIs { client_order_id: never_sent, order: None });
    after.venue(61_002, VenueEvent::SnapshotIs(VenueSnapshot::default()));
    after.venue(62_001, VenueEvent::OrderIs { client_order_id: never_sent, order: None });
    assert_eq!(after.status(never_sent), OrderStatus::Rejected);
    assert_eq!(after.manager.mode(), Mode::Normal);
    assert!(after.faults.is_empty(), "{:?}", after.faults);
}

#[test]
fn an_order_under_our_name_that_no_journal_knows_is_cancelled_and_a_foreign_one_is_left() {
    let mut desk = Desk::recovered(AccountState::new(account()), 2);
    let ours = ClientOrderId::compose(account(), Epoch(1), IntentId(9));
    let foreign = ClientOrderId::new("web_1").unwrap();
    let open_orders = vec![listed(ours, OrderStatus::Working, "0"), listed(foreign, OrderStatus::Working, "0")];
    let shown = VenueEvent::SnapshotIs(VenueSnapshot { open_orders, ..VenueSnapshot::default() });
    let cancelled = |desk: &Desk| {
        let id =
            |command: &VenueCommand| if let VenueCommand::Cancel { client_order_id, .. } = command { Some(*client_order_id) } else { None };
        desk.sent.iter().filter_map(id).collect::<Vec<_>>()
    };
    desk.venue(0, shown.clone());
    assert_eq!((cancelled(&desk), desk.manager.is_ready()), (vec![], false), "one answer may be of before it ended");
    desk.venue(1_000, shown);
    assert_eq!(cancelled(&desk), [ours]);
    assert!(desk.manager.is_ready(), "it is being cancelled; nobody waits for that");
    let Some(Record::Reconciled { findings, .. }) = desk.rows.iter().find(|row| matches!(row, Record::Reconciled { .. })) else { panic!() };
    assert_eq!(findings.len(), 2);
}

#[test]
fn an_order_that_is_heard_of_and_not_known_is_looked_for_soon_and_however_many_come_no_sooner() {
    let mut desk = Desk::ready();
    let looks = |desk: &Desk| desk.sent.iter().filter(|command| matches!(command, VenueCommand::Snapshot { .. })).count();
    let before = looks(&desk);
    for number in 0..20 {
        let of_a_stranger = ClientOrderId::new(&format!("web_{number}")).unwrap();
        let client_order_id = if number % 2 == 0 { of_a_stranger } else { ClientOrderId::compose(account(), Epoch(9), IntentId(1)) };
        desk.venue(1_000 + number, VenueEvent::Accepted { client_order_id, venue_order_id: 900, at: at(0) });
    }
    desk.on(2_000, Input::Tick);
    assert_eq!(looks(&desk), before);
    desk.on(4_100, Input::Tick);
    assert_eq!(looks(&desk), before + 1);
    desk.on(4_200, Input::Tick);
    assert_eq!(looks(&desk), before + 1);
}

#[test]
fn an_ended_order_that_the_venue_lists_after_all_is_cancelled_and_not_forgotten_with_the_ended_ones() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, VenueEvent::Rejected { client_order_id: id, code: -1, message: "lost".into(), at: at(0) });
    desk.on(2, Input::Reconnected);
    for millis in [3, 1_003] {
        let open_orders = vec![listed(id, OrderStatus::Working, "0")];
        desk.venue(millis, VenueEvent::SnapshotIs(VenueSnapshot { open_orders, ..VenueSnapshot::default() }));
    }
    assert!(desk.sent.iter().any(|command| matches!(command, VenueCommand::Cancel { client_order_id, .. } if *client_order_id == id)));
    for number in 2..(TOMBSTONES as u64 + 10) {
        let other = desk.submit(number, "1");
        desk.venue(1_004, VenueEvent::Rejected { client_order_id: other, code: -5022, message: "t".into(), at: at(0) });
    }
    assert_eq!(desk.status(id), OrderStatus::PendingCancel, "still tracked until the venue says that it ended");
}

#[test]
fn the_venue_decides_a_position_that_trades_do_not_explain() {
    let mut desk = Desk::ready();
    desk.on(0, Input::Reconnected);
    let quantity: Quantity = "-3".parse().unwrap();
    let entry_price = "90".parse().unwrap();
    let position = VenuePosition { symbol: symbol(), position_side: PositionSide::Both, quantity, entry_price, closable: None };
    let shown = VenueEvent::SnapshotIs(VenueSnapshot { positions: vec![position], ..VenueSnapshot::default() });
    desk.venue(0, shown.clone());
    desk.venue(10, shown.clone());
    assert!(desk.position().is_zero() && !desk.manager.is_ready(), "answers of one moment are one");
    desk.sent.clear();
    desk.on(1_010, Input::Tick);
    assert!(matches!(desk.sent[..], [VenueCommand::Snapshot { .. }]), "asked again, a second later: {:?}", desk.sent);
    desk.venue(1_020, shown);
    assert_eq!(desk.position(), quantity);
    assert_eq!((&desk.faults[..], &desk.tripped[..]), (&[FaultClass::Data][..], &[Mode::ReduceOnly][..]), "until a person has looked");
    assert_eq!(desk.replayed().positions.net(symbol()), quantity, "the rows alone say so too");
}

#[path = "absent_tests.rs"]
mod absent_tests;
#[path = "funds_tests.rs"]
pub(crate) mod funds;
#[path = "hop_tests.rs"]
pub(crate) mod hop;
#[path = "loss_tests.rs"]
pub(crate) mod loss;
#[path = "reconcile_tests.rs"]
mod reconciled;
#[path = "spot_tests.rs"]
mod spot;

proptest::proptest! {
    /// Duplicates, reorderings and cancels at any point: the position is the sum of distinct trades, an order ends once,
    /// its cumulative quantity never falls, and the rows alone rebuild the same positions.
    #[test]
    fn whatever_the_order_of_words_the_books_are_right(words in proptest::collection::vec(0u8..9, 1..40)) {
        let mut desk = Desk::ready();
        let id = desk.submit(1, "4");
        let mut traded = std::collections::BTreeSet::new();
        for (step, word) in words.into_iter().enumerate() {
            let millis = step as i64;
            match word {
                0 => desk.venue(millis, accepted(id)),
                1..=4 => {
                    traded.insert(word);
                    desk.venue(millis, fill(id, u64::from(word), "1"));
                }
                5 => desk.on(millis, cancel(id)),
                6 => desk.venue(millis, VenueEvent::OutcomeUnknown { client_order_id: id, why: "t".into() }),
                7 => desk.venue(millis, VenueEvent::CancelRefused { client_order_id: id, code: -2011, message: "t".into() }),
                _ => desk.on(millis, Input::Reconnected),
            }
        }
        let expected = Quantity(rust_decimal::Decimal::from(traded.len()));
        // What was heard while the venue was being asked is booked with its answer.
        let entry_price = "100".parse().unwrap();
        let position = VenuePosition { symbol: symbol(), position_side: PositionSide::Both, quantity: expected, entry_price, closable: None };
        desk.venue(100, VenueEvent::SnapshotIs(VenueSnapshot { positions: vec![position], ..VenueSnapshot::default() }));
        proptest::prop_assert_eq!(desk.position(), expected);
        let mut filled = Quantity::ZERO;
        for report in desk.reports.iter().filter(|report| report.client_order_id == id) {
            proptest::prop_assert!(report.filled >= filled);
            filled = report.filled;
        }
        let ends = desk.rows.iter().filter(|row| matches!(row, Record::OrderChanged { status, .. } if status.is_terminal())).count();
        proptest::prop_assert!(ends <= 1);
        proptest::prop_assert_eq!(desk.status(id) == OrderStatus::Filled, traded.len() == 4);
        proptest::prop_assert_eq!(desk.replayed().positions.net(symbol()), expected);
        proptest::prop_assert!(desk.faults.iter().all(|class| *class != FaultClass::Invariant));
    }
}
