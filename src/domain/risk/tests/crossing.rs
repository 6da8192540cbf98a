//! Own accounts never meet: who counts, who is refused, who waits, and that nothing leaves before the venue's word. The last
//! property plays a venue without any self-trade prevention against the gate.

use super::*;

fn b() -> AccountId {
    AccountId::new("b").unwrap()
}

fn limits_of_two() -> RiskLimits {
    let mut limits = limits();
    let mut own = limits.accounts[&account()].clone();
    own.max_messages = Some(MessageRate { count: 1_000_000, period: Duration::from_secs(1) });
    for symbol in own.symbols.values_mut() {
        symbol.duplicate_window = Some(Duration::ZERO);
        symbol.price_collar = Some("0.5".parse().unwrap());
        symbol.max_position_value = Some("1000000000".parse().unwrap());
    }
    limits.max_messages = own.max_messages;
    limits.max_capital = Some("1000000000".parse().unwrap());
    let strategy = limits.strategies.get_mut(&strategy()).unwrap();
    (strategy.max_messages, strategy.max_executions, strategy.max_repeated_executions) =
        (own.max_messages, own.max_messages, Some(1 << 40));
    limits.accounts = BTreeMap::from([(account(), own.clone()), (b(), own)]);
    limits
}

fn of(account: AccountId, intent: OrderIntent) -> OrderIntent {
    OrderIntent { account, ..intent }
}

fn reducing(intent: OrderIntent) -> OrderIntent {
    OrderIntent { reduce_only: true, ..intent }
}

fn stop_market(number: u32, side: Side, trigger: &str) -> OrderIntent {
    OrderIntent { kind: OrderKind::StopMarket { trigger: trigger.parse().unwrap() }, ..intent(number, side, "1") }
}

fn holds(account: AccountId, position: &str) -> Input {
    let mut book = book(position, "0");
    book.view.account = account;
    Input::Book(book)
}

/// Both accounts known, each with that position.
fn two(a_holds: &str, b_holds: &str) -> RiskMachine {
    let mut machine = RiskMachine::new(Incarnation(1), limits_of_two(), ModeTable::default());
    let mut out = Outbox::new();
    machine.on(at(0), Input::Market(view("100")), &mut out);
    machine.on(at(0), holds(account(), a_holds), &mut out);
    machine.on(at(0), holds(b(), b_holds), &mut out);
    machine
}

fn steps(machine: &mut RiskMachine, millis: i64, input: Input) -> Vec<Effect> {
    let mut out = Outbox::new();
    machine.on(at(millis), input, &mut out);
    let mut effects = Vec::new();
    for step in out.drain() {
        match step {
            Step::Do(effect) => effects.push(effect),
            Step::Persist { then, .. } => effects.extend(then),
        }
    }
    effects
}

fn proposed(machine: &mut RiskMachine, millis: i64, intent: OrderIntent) -> Vec<Effect> {
    steps(machine, millis, Input::Propose(Arc::new(intent)))
}

fn submitted(effects: &[Effect]) -> Vec<u64> {
    effects.iter().filter_map(|effect| if let Effect::Submit(approved) = effect { Some(approved.get().id.0) } else { None }).collect()
}

fn refusals(effects: &[Effect]) -> Vec<(u64, &str)> {
    effects
        .iter()
        .filter_map(|effect| if let Effect::Refuse(refusal) = effect { Some((refusal.intent.0, refusal.control.as_str())) } else { None })
        .collect()
}

fn cancelled(effects: &[Effect]) -> Vec<AccountId> {
    effects.iter().filter_map(|effect| if let Effect::Cancel { account, .. } = effect { Some(*account) } else { None }).collect()
}

/// As the executor names it.
fn told(intent: &OrderIntent, status: OrderStatus) -> Input {
    let client_order_id = ClientOrderId::compose(intent.account, super::super::super::ids::Epoch(0), intent.id);
    Input::Report(Arc::new(OrderReport { client_order_id, ..report(intent, status, "0") }))
}

#[test]
fn an_opening_order_that_could_meet_one_of_another_account_is_refused_at_the_price_and_passes_one_tick_away() {
    for (side, at_price, away) in [(Side::Buy, "100", "100.1"), (Side::Sell, "100", "99.9")] {
        let mut machine = two("0", "0");
        assert_eq!(submitted(&proposed(&mut machine, 0, limit(1, side, "1", at_price))), [1]);
        let against = of(b(), limit(2, side.opposite(), "1", at_price));
        assert_eq!(refusals(&proposed(&mut machine, 1, against)), [(2, "own_cross")], "{side}");
        let beside = of(b(), limit(3, side.opposite(), "1", away));
        assert_eq!(submitted(&proposed(&mut machine, 2, beside)), [3], "{side}: one tick apart they cannot meet");
        let same_account = limit(4, side.opposite(), "1", at_price);
        assert_eq!(refusals(&proposed(&mut machine, 3, same_account)), [(4, "own_cross")], "its own order counts like any other's");
    }
}

#[test]
fn an_order_at_the_market_counts_as_any_price_against_what_rests_and_cannot_meet_another_at_the_market() {
    let mut machine = two("0", "0");
    proposed(&mut machine, 0, limit(1, Side::Buy, "1", "60"));
    assert_eq!(refusals(&proposed(&mut machine, 1, of(b(), intent(2, Side::Sell, "1")))), [(2, "own_cross")]);
    let mut machine = two("0", "0");
    assert_eq!(submitted(&proposed(&mut machine, 0, intent(1, Side::Buy, "1"))), [1]);
    assert_eq!(refusals(&proposed(&mut machine, 1, of(b(), limit(2, Side::Sell, "1", "140")))), [(2, "own_cross")], "it is in flight");
    assert_eq!(submitted(&proposed(&mut machine, 2, of(b(), intent(3, Side::Sell, "1")))), [3], "neither of them ever rests");
    let fleeting = OrderIntent { time_in_force: TimeInForce::ImmediateOrCancel, ..limit(4, Side::Sell, "1", "90") };
    assert_eq!(submitted(&proposed(&mut machine, 3, of(b(), fleeting))), [4], "nor does what is for the moment alone");
}

#[test]
fn a_stop_that_waits_for_its_trigger_counts_by_its_worst_price() {
    let mut machine = two("5", "0");
    assert_eq!(submitted(&proposed(&mut machine, 0, reducing(stop_market(1, Side::Sell, "90")))), [1]);
    let bid = of(b(), limit(2, Side::Buy, "1", "70"));
    assert_eq!(refusals(&proposed(&mut machine, 1, bid)), [(2, "own_cross")], "it sells at whatever is bid");
    let kind = OrderKind::StopLimit { trigger: "90".parse().unwrap(), price: "89".parse().unwrap() };
    let mut machine = two("5", "0");
    proposed(&mut machine, 0, reducing(OrderIntent { kind, ..intent(1, Side::Sell, "1") }));
    assert_eq!(submitted(&proposed(&mut machine, 1, of(b(), limit(2, Side::Buy, "1", "88.9")))), [2], "below its limit");
    assert_eq!(refusals(&proposed(&mut machine, 2, of(b(), limit(3, Side::Buy, "1", "89")))), [(3, "own_cross")]);
}

#[test]
fn hedge_legs_make_no_difference() {
    let mut machine = two("0", "0");
    proposed(&mut machine, 0, OrderIntent { position_side: PositionSide::Long, ..limit(1, Side::Buy, "1", "99") });
    let short = OrderIntent { position_side: PositionSide::Short, ..limit(2, Side::Sell, "1", "99") };
    assert_eq!(refusals(&proposed(&mut machine, 1, short)), [(2, "own_cross")]);
}

#[test]
fn accounts_of_different_owners_are_strangers() {
    let mut limits = limits_of_two();
    limits.accounts.get_mut(&b()).unwrap().owner = OwnerId::new("bob").unwrap();
    let mut machine = two("0", "0");
    proposed(&mut machine, 0, limit(1, Side::Buy, "1", "99"));
    machine.on(at(1), Input::Limits(Box::new(limits)), &mut Outbox::new());
    assert_eq!(submitted(&proposed(&mut machine, 2, of(b(), limit(2, Side::Sell, "1", "99")))), [2]);
    machine.on(at(3), Input::Limits(Box::new(limits_of_two())), &mut Outbox::new());
    let again = limit(3, Side::Buy, "1", "99");
    assert_eq!(refusals(&proposed(&mut machine, 4, again)), [(3, "own_cross")], "one owner again: its standing orders moved along");
}

#[test]
fn an_order_counts_in_flight_unknown_and_pending_cancel_until_its_end_is_told() {
    for status in [OrderStatus::Persisting, OrderStatus::Submitted, OrderStatus::Unknown, OrderStatus::Working, OrderStatus::PendingCancel]
    {
        let mut machine = two("0", "0");
        let first = limit(1, Side::Buy, "1", "99");
        proposed(&mut machine, 0, first.clone());
        steps(&mut machine, 1, told(&first, status));
        assert_eq!(refusals(&proposed(&mut machine, 2, of(b(), limit(2, Side::Sell, "1", "99")))), [(2, "own_cross")], "{status}");
        steps(&mut machine, 3, told(&first, OrderStatus::Canceled));
        assert_eq!(submitted(&proposed(&mut machine, 4, of(b(), limit(3, Side::Sell, "1", "99")))), [3], "after {status}");
    }
}

#[test]
fn a_close_waits_for_the_venues_word_on_the_cancel_and_nothing_less() {
    let mut machine = two("5", "0");
    let bid = of(b(), limit(1, Side::Buy, "1", "99"));
    proposed(&mut machine, 0, bid.clone());
    let close = reducing(intent(2, Side::Sell, "5"));
    let effects = proposed(&mut machine, 1, close);
    assert_eq!((submitted(&effects).len(), cancelled(&effects)), (0, vec![b()]), "its cancel is asked for, and it waits");
    let again = of(b(), limit(3, Side::Buy, "1", "98"));
    assert_eq!(refusals(&proposed(&mut machine, 2, again)), [(3, "own_cross")], "nobody steps in between");
    for status in [OrderStatus::Submitted, OrderStatus::Working, OrderStatus::PendingCancel, OrderStatus::Unknown] {
        assert_eq!(submitted(&steps(&mut machine, 3, told(&bid, status))), Vec::<u64>::new(), "{status} is no confirmation");
    }
    assert_eq!(cancelled(&steps(&mut machine, 500, Input::Tick)), vec![], "asked for lately");
    assert_eq!(cancelled(&steps(&mut machine, 1_100, Input::Tick)), vec![b()], "and again, should it be lost");
    assert_eq!(submitted(&steps(&mut machine, 1_200, told(&bid, OrderStatus::Canceled))), [2]);
}

#[test]
fn who_waits_too_long_is_refused_and_its_place_is_free() {
    let mut machine = two("5", "0");
    let bid = of(b(), limit(1, Side::Buy, "1", "99"));
    proposed(&mut machine, 0, bid.clone());
    proposed(&mut machine, 1, reducing(intent(2, Side::Sell, "5")));
    machine.on(at(7_999), Input::Market(MarketView { heard_at: at(7_999), ..view("100") }), &mut Outbox::new());
    assert_eq!(refusals(&steps(&mut machine, 8_000, Input::Tick)), vec![]);
    assert_eq!(refusals(&steps(&mut machine, 8_001, Input::Tick)), [(2, "own_cross")]);
    assert_eq!(submitted(&steps(&mut machine, 8_002, told(&bid, OrderStatus::Canceled))), Vec::<u64>::new(), "it does not leave later");
    assert_eq!(submitted(&proposed(&mut machine, 8_003, of(b(), limit(3, Side::Buy, "1", "99")))), [3]);
}

#[test]
fn what_waited_is_checked_again_when_it_leaves() {
    let mut machine = two("5", "0");
    let bid = of(b(), limit(1, Side::Buy, "1", "99"));
    proposed(&mut machine, 0, bid.clone());
    proposed(&mut machine, 1, reducing(intent(2, Side::Sell, "5")));
    steps(&mut machine, 2, holds(account(), "3"));
    let effects = steps(&mut machine, 3, told(&bid, OrderStatus::Canceled));
    assert_eq!((submitted(&effects).len(), refusals(&effects)), (0, vec![(2, "reduce_only")]), "there is less to reduce than it says");
}

#[test]
fn a_target_makes_way_for_a_close_and_displaces_only_what_opens() {
    let mut machine = two("5", "-5");
    let cover = of(b(), reducing(limit(1, Side::Buy, "5", "99")));
    assert_eq!(submitted(&proposed(&mut machine, 0, cover.clone())), [1]);
    let target = reducing(limit(2, Side::Sell, "5", "99"));
    assert_eq!(refusals(&proposed(&mut machine, 1, target)), [(2, "own_cross")], "one target does not displace another");
    let close = reducing(intent(3, Side::Sell, "5"));
    assert_eq!(cancelled(&proposed(&mut machine, 2, close)), vec![b()], "a close displaces it");
    let mut machine = two("5", "-5");
    let bid = of(b(), limit(1, Side::Buy, "1", "99"));
    proposed(&mut machine, 0, bid);
    assert_eq!(
        cancelled(&proposed(&mut machine, 1, reducing(limit(2, Side::Sell, "5", "99")))),
        vec![b()],
        "a target waits for what opens"
    );
    let stop = of(b(), reducing(OrderIntent { quantity: "5".parse().unwrap(), ..stop_market(3, Side::Buy, "110") }));
    let effects = proposed(&mut machine, 2, stop);
    assert_eq!((submitted(&effects), refusals(&effects)), (vec![3], vec![(2, "own_cross")]), "and makes way for a stop at once");
}

#[test]
fn the_room_has_an_end() {
    let mut machine = two("5", "0");
    proposed(&mut machine, 0, of(b(), limit(1, Side::Buy, "1", "99")));
    for number in 2..258 {
        assert_eq!(refusals(&proposed(&mut machine, 1, reducing(intent(number, Side::Sell, "1")))), vec![], "{number}");
    }
    assert_eq!(refusals(&proposed(&mut machine, 1, reducing(intent(258, Side::Sell, "1")))), [(258, "own_cross")]);
}

#[test]
fn after_a_restart_nothing_that_could_be_met_passes_until_every_account_of_the_owner_has_spoken() {
    let mut machine = RiskMachine::new(Incarnation(2), limits_of_two(), ModeTable::default());
    let mut out = Outbox::new();
    machine.on(at(0), Input::Market(view("100")), &mut out);
    let bid = of(b(), limit(1, Side::Buy, "1", "99"));
    let mut journalled = book("0", "0");
    journalled.view.account = b();
    journalled.open = vec![OrderReport { account: b(), ..report(&bid, OrderStatus::Unknown, "0") }];
    machine.on(at(0), Input::Journalled(journalled.clone()), &mut out);
    machine.on(at(0), holds(account(), "0"), &mut out);
    assert_eq!(refusals(&proposed(&mut machine, 1, limit(2, Side::Sell, "1", "99"))), [(2, "own_cross")], "the journal's order counts");
    let beside = limit(3, Side::Sell, "1", "120");
    assert_eq!(refusals(&proposed(&mut machine, 2, beside.clone())), [(3, "own_cross")], "b's executor may hold more than the journal");
    machine.on(at(3), Input::Recovering(journalled), &mut out);
    assert_eq!(submitted(&proposed(&mut machine, 4, OrderIntent { id: IntentId(4), ..beside })), [4], "it has said all that there is");
    let of_b = of(b(), intent(5, Side::Buy, "1"));
    assert_eq!(refusals(&proposed(&mut machine, 5, of_b)), [(5, "reconciliation")], "and is still being reconciled itself");
    assert_eq!(refusals(&proposed(&mut machine, 6, limit(6, Side::Sell, "1", "99"))), [(6, "own_cross")]);
}

#[test]
fn a_book_replaces_what_was_known_and_keeps_what_is_on_its_way() {
    let mut machine = two("0", "0");
    let (old, new) = (of(b(), limit(1, Side::Buy, "1", "99")), of(b(), limit(2, Side::Buy, "1", "98")));
    proposed(&mut machine, 0, old.clone());
    steps(&mut machine, 1, told(&old, OrderStatus::Working));
    proposed(&mut machine, 2, new);
    let mut empty = book("0", "0");
    empty.view.account = b();
    steps(&mut machine, 3, Input::Book(empty));
    assert_eq!(submitted(&proposed(&mut machine, 4, limit(3, Side::Sell, "1", "98.5"))), [3], "the old one is gone at the venue");
    assert_eq!(refusals(&proposed(&mut machine, 5, limit(4, Side::Sell, "1", "98"))), [(4, "own_cross")], "the new one is on its way");
}

#[test]
fn nothing_rests_against_a_close_of_the_kill_switch() {
    let mut machine = two("0", "0");
    let mut modes = ModeTable::default();
    modes.set_barred([(account(), symbol(), Side::Buy)].into());
    machine.on(at(0), Input::Modes(modes), &mut Outbox::new());
    assert_eq!(refusals(&proposed(&mut machine, 1, limit(1, Side::Buy, "1", "60"))), [(1, "own_cross")]);
    assert_eq!(submitted(&proposed(&mut machine, 2, of(b(), limit(2, Side::Sell, "1", "120")))), [2]);
    let fleeting = OrderIntent { time_in_force: TimeInForce::ImmediateOrCancel, ..limit(3, Side::Buy, "1", "100") };
    assert_eq!(submitted(&proposed(&mut machine, 3, fleeting)), [3], "what never rests is met by no close");
}

/// A venue that matches like any other and prevents nothing.
#[derive(Default)]
struct Naive {
    resting: Vec<(OrderIntent, Quantity)>,
    waiting: Vec<OrderIntent>,
    own_trades: usize,
}

impl Naive {
    fn take(&mut self, intent: &OrderIntent) {
        match intent.kind.trigger() {
            Some(_) => self.waiting.push(intent.clone()),
            None => self.trade(intent),
        }
    }

    fn fire(&mut self, at: usize) -> Option<OrderIntent> {
        if self.waiting.is_empty() {
            return None;
        }
        let intent = self.waiting.remove(at % self.waiting.len());
        self.trade(&intent);
        Some(intent)
    }

    fn trade(&mut self, intent: &OrderIntent) {
        let limit = intent.kind.limit_price();
        let meets = |(other, _): &(OrderIntent, Quantity)| {
            let theirs = other.kind.limit_price().expect("only what has a limit rests");
            other.side != intent.side && limit.is_none_or(|limit| if intent.side == Side::Buy { limit >= theirs } else { limit <= theirs })
        };
        self.own_trades += self.resting.iter().filter(|other| meets(other)).count();
        if intent.kind.may_rest(intent.time_in_force) {
            self.resting.push((intent.clone(), intent.quantity));
        }
    }

    fn end(&mut self, id: IntentId) {
        self.resting.retain(|(resting, _)| resting.id != id);
        self.waiting.retain(|waiting| waiting.id != id);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 256, ..Default::default() })]

    /// Whatever two accounts propose, however late orders arrive, triggers fire and cancels are confirmed: they never trade with
    /// each other, at a venue that prevents nothing.
    #[test]
    fn no_own_order_ever_trades_with_another(
        steps_drawn in proptest::collection::vec((0u8..8, proptest::bool::ANY, proptest::bool::ANY, 0usize..8, 0i64..10, proptest::bool::ANY), 1..120)
    ) {
        let mut machine = two("1000", "-1000");
        let (mut venue, mut flying, mut standing, mut doomed): (Naive, Vec<OrderIntent>, Vec<OrderIntent>, Vec<OrderIntent>) = Default::default();
        for (number, (what, of_b, buys, pick, tenths, reduces)) in steps_drawn.into_iter().enumerate() {
            let millis = number as i64 * 50;
            machine.on(at(millis), Input::Market(MarketView { heard_at: at(millis), ..view("100") }), &mut Outbox::new());
            let price: Price = format!("{}", 96 + tenths).parse().unwrap();
            let effects = match what {
                0..=3 => {
                    let kind = match (pick, tenths % 2) {
                        (0, _) => OrderKind::Market,
                        (1, _) => OrderKind::StopMarket { trigger: price },
                        (2, _) => OrderKind::StopLimit { trigger: price, price },
                        _ => OrderKind::Limit { price },
                    };
                    let account = if of_b { b() } else { account() };
                    let side = if reduces { if of_b { Side::Buy } else { Side::Sell } } else if buys { Side::Buy } else { Side::Sell };
                    let intent = OrderIntent { kind, account, reduce_only: reduces, ..intent(number as u32 + 1, side, "0.1") };
                    proposed(&mut machine, millis, intent)
                }
                // One arrives.
                4 if !flying.is_empty() => {
                    let intent = flying.remove(pick % flying.len());
                    venue.take(&intent);
                    standing.push(intent.clone());
                    steps(&mut machine, millis, told(&intent, OrderStatus::Working))
                }
                // A trigger fires.
                5 => {
                    venue.fire(pick);
                    vec![]
                }
                // One ends, asked for or not, and risk is told afterwards.
                6 | 7 if !standing.is_empty() || !doomed.is_empty() => {
                    let from = if doomed.is_empty() { &mut standing } else { &mut doomed };
                    let at_place = pick % from.len();
                    let intent = from.remove(at_place);
                    standing.retain(|known| known.id != intent.id);
                    flying.retain(|known| known.id != intent.id);
                    venue.end(intent.id);
                    steps(&mut machine, millis, told(&intent, OrderStatus::Canceled))
                }
                _ => steps(&mut machine, millis, Input::Tick),
            };
            for effect in effects {
                match effect {
                    Effect::Submit(approved) => flying.push(approved.get().as_ref().clone()),
                    Effect::Cancel { client_order_id, account, .. } => {
                        let id = client_order_id.intent(account).expect("one of ours");
                        let known = flying.iter().chain(&standing).find(|known| known.id == id && known.account == account).cloned();
                        doomed.extend(known.filter(|known| doomed.iter().all(|other| other.id != known.id)));
                    }
                    _ => {}
                }
            }
            proptest::prop_assert_eq!(venue.own_trades, 0);
        }
    }
}
