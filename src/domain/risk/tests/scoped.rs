//! Limits of a strategy and of the whole firm, what is counted and never refused, what a person must raise, and what one may
//! override.

use super::*;

fn strategy_of(limits: &mut RiskLimits) -> &mut StrategyLimits {
    limits.strategies.get_mut(&strategy()).unwrap()
}

fn changed(change: impl Fn(&mut StrategyLimits)) -> RiskLimits {
    let mut limits = limits();
    limits.accounts.get_mut(&account()).unwrap().max_messages = Some(MessageRate { count: 1_000, period: Duration::from_secs(10) });
    change(strategy_of(&mut limits));
    limits
}

fn executed(machine: &mut RiskMachine, number: u32) -> Vec<(Scope, Mode)> {
    let order = intent(number, Side::Buy, "0.1");
    let mut told = report(&order, OrderStatus::Filled, "0.1");
    told.fill = Some(crate::domain::order::Fill {
        account: account(),
        symbol: symbol(),
        client_order_id: told.client_order_id,
        venue_order_id: 1,
        trade_id: u64::from(number),
        side: Side::Buy,
        position_side: PositionSide::Both,
        price: "100".parse().unwrap(),
        quantity: "0.1".parse().unwrap(),
        fee: Money::ZERO,
        fee_taken: None,
        maker: false,
        at: at(0),
    });
    let mut out = Outbox::new();
    machine.on(at(0), Input::Report(Arc::new(told)), &mut out);
    let trip = |step| if let Step::Do(Effect::Trip { scope, mode, .. }) = step { Some((scope, mode)) } else { None };
    out.drain().filter_map(trip).collect()
}

fn cancel(machine: &mut RiskMachine, of: u32) {
    let client_order_id = ClientOrderId::compose(account(), super::super::super::ids::Epoch(0), IntentId(u64::from(of)));
    let mut out = Outbox::new();
    machine.on(at(0), Input::Cancel { account: account(), symbol: symbol(), client_order_id, reason: "t".into() }, &mut out);
    assert!(matches!(out.steps()[0], Step::Do(Effect::Cancel { .. })), "a cancel is never refused");
}

#[test]
fn a_strategy_trades_what_it_is_configured_for_and_nothing_else() {
    let elsewhere = Symbol::new("ETHUSDT").unwrap();
    let cases = [
        changed(|limits| {
            limits.accounts.remove(&account());
        }),
        changed(|limits| limits.symbols = BTreeSet::from([elsewhere])),
        RiskLimits { strategies: BTreeMap::new(), ..limits() },
    ];
    for limits in cases {
        refused(&mut machine_with(limits), intent(1, Side::Buy, "1"), "strategy_permission");
    }
}

#[test]
fn a_strategys_own_order_value_is_stricter_and_never_wider() {
    let own = |value: &str| changed(|limits| limits.max_order_value = Some(value.parse().unwrap()));
    assert_eq!(propose(&mut machine_with(own("500")), 0, intent(1, Side::Sell, "5")), None);
    refused(&mut machine_with(own("500")), intent(1, Side::Sell, "5.001"), "order_value");
    let mut wide = own("5000");
    wide.accounts.get_mut(&account()).unwrap().symbols.get_mut(&symbol()).unwrap().max_order_quantity = Some("100".parse().unwrap());
    refused(&mut machine_with(wide), intent(1, Side::Sell, "10.001"), "order_value");
}

#[test]
fn messages_of_a_strategy_and_of_the_firm_count_orders_and_cancels() {
    let rate = Some(MessageRate { count: 3, period: Duration::from_secs(10) });
    for control in ["strategy_message_rate", "firm_message_rate"] {
        let mut limits = changed(|_| {});
        match control {
            "firm_message_rate" => limits.max_messages = rate,
            _ => strategy_of(&mut limits).max_messages = rate,
        }
        let mut machine = machine_with(limits.clone());
        assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "0.1")), None);
        cancel(&mut machine, 1);
        assert_eq!(propose(&mut machine, 1, intent(2, Side::Buy, "0.2")), None, "the third");
        assert_eq!(propose(&mut machine, 2, intent(3, Side::Buy, "0.3")).as_deref(), Some(control));
        cancel(&mut machine, 2);
        match control {
            "firm_message_rate" => limits.max_messages = None,
            _ => strategy_of(&mut limits).max_messages = None,
        }
        refused(&mut machine_with(limits), intent(1, Side::Buy, "1"), control);
    }
}

#[test]
fn executions_of_a_strategy_are_throttled_for_what_opens() {
    let limits = changed(|limits| limits.max_executions = Some(MessageRate { count: 2, period: Duration::from_secs(10) }));
    let mut machine = machine_with(limits);
    executed(&mut machine, 1);
    assert_eq!(propose(&mut machine, 0, intent(2, Side::Buy, "0.2")), None);
    executed(&mut machine, 2);
    assert_eq!(propose(&mut machine, 1, intent(3, Side::Buy, "0.3")).as_deref(), Some("execution_rate"));
    assert_eq!(propose(&mut machine, 2, OrderIntent { reduce_only: true, ..intent(4, Side::Sell, "0.1") }), None);
    machine.on(at(10_000), Input::Market(MarketView { heard_at: at(10_000), ..view("100") }), &mut Outbox::new());
    assert_eq!(propose(&mut machine, 10_000, intent(5, Side::Buy, "0.5")), None);
    refused(&mut machine_with(changed(|limits| limits.max_executions = None)), intent(1, Side::Buy, "1"), "execution_rate");
}

#[test]
fn a_strategy_that_executed_too_often_stays_disabled_until_a_person_resumes_it_and_no_time_helps() {
    let limits = || changed(|limits| limits.max_repeated_executions = Some(3));
    let mut machine = machine_with(limits());
    assert_eq!([executed(&mut machine, 1), executed(&mut machine, 2)], [vec![], vec![]]);
    assert_eq!(propose(&mut machine, 0, intent(10, Side::Buy, "0.1")), None);
    let disabled = (Scope::Strategy(strategy()), Mode::ReduceOnly);
    assert_eq!(executed(&mut machine, 3), [disabled]);
    assert_eq!(executed(&mut machine, 4), [disabled], "told until it is in force");
    let years = 1_000_000_000_000;
    machine.on(at(years), Input::Market(MarketView { heard_at: at(years), ..view("100") }), &mut Outbox::new());
    assert_eq!(propose(&mut machine, years, intent(11, Side::Buy, "0.1")).as_deref(), Some("repeated_executions"));
    assert_eq!(
        propose(&mut machine, years, OrderIntent { reduce_only: true, ..intent(12, Side::Sell, "0.1") }),
        None,
        "it may still get out"
    );
    // A restarted risk manager is told what the journal has.
    let mut after = machine_with(limits());
    let memory = Memory { executed: BTreeMap::from([(strategy(), 3)]), ..Memory::default() };
    after.on(at(0), Input::Memory(memory), &mut Outbox::new());
    refused(&mut after, intent(1, Side::Buy, "1"), "repeated_executions");
    let mut modes = ModeTable::default();
    modes.set(Scope::Strategy(strategy()), Mode::ReduceOnly, "repeated_executions", at(0));
    [modes, ModeTable::default()].into_iter().for_each(|modes| after.on(at(0), Input::Modes(modes), &mut Outbox::new()));
    assert_eq!(propose(&mut after, 0, intent(2, Side::Buy, "1")), None, "resumed by a person");
    refused(&mut machine_with(changed(|limits| limits.max_repeated_executions = None)), intent(1, Side::Buy, "1"), "repeated_executions");
}

#[test]
fn messages_for_each_trade_are_throttled_from_a_number_on_and_cancels_and_reductions_pass() {
    let mut limits = changed(|_| {});
    limits.accounts.get_mut(&account()).unwrap().order_to_trade = Some(OrderToTrade { max_ratio: 2, free_messages: 3 });
    let mut machine = machine_with(limits.clone());
    for number in 1..=3 {
        assert_eq!(propose(&mut machine, 0, intent(number, Side::Buy, &format!("0.{number}"))), None);
    }
    assert_eq!(propose(&mut machine, 0, intent(4, Side::Buy, "0.4")).as_deref(), Some("order_to_trade"), "the fourth, without a trade");
    cancel(&mut machine, 1);
    executed(&mut machine, 2);
    executed(&mut machine, 3);
    assert_eq!(propose(&mut machine, 0, intent(5, Side::Buy, "0.5")).as_deref(), Some("order_to_trade"), "4 and one more for two trades");
    assert_eq!(propose(&mut machine, 0, OrderIntent { reduce_only: true, ..intent(6, Side::Sell, "0.1") }), None);
    executed(&mut machine, 7);
    assert_eq!(propose(&mut machine, 0, intent(8, Side::Buy, "0.6")), None, "6 messages for 3 trades");
    let counted: Vec<_> = machine.order_to_trade().map(|(_, _, day)| (day.messages, day.trades)).collect();
    assert_eq!(counted, [(6, 3)], "the cancel and the reduction are counted");
    let day = 86_400_000;
    machine.on(at(day), Input::Market(MarketView { heard_at: at(day), ..view("100") }), &mut Outbox::new());
    assert_eq!(propose(&mut machine, day, intent(9, Side::Buy, "0.7")), None, "another day");
    limits.accounts.get_mut(&account()).unwrap().order_to_trade = None;
    refused(&mut machine_with(limits), intent(1, Side::Buy, "1"), "order_to_trade");
}

mod overriding {
    use super::*;

    fn granted(id: u64, controls: &[&str], seconds: i64) -> Override {
        Override {
            id,
            account: account(),
            symbol: symbol(),
            controls: controls.iter().map(|control| (*control).to_owned()).collect(),
            expires: at(seconds * 1_000),
            by: "ann".into(),
            reason: "auction".into(),
        }
    }

    fn with(override_: Override) -> RiskMachine {
        let mut machine = machine();
        machine.on(at(0), Input::Override(override_), &mut Outbox::new());
        machine
    }

    #[test]
    fn one_order_passes_the_named_limit_once_and_the_row_is_before_it() {
        let mut machine = with(granted(7, &["price_collar"], 60));
        let beyond = |number| limit(number, Side::Buy, "1", "106");
        let mut out = Outbox::new();
        machine.on(at(0), Input::Propose(Arc::new(beyond(1))), &mut out);
        let steps: Vec<_> = out.drain().collect();
        let [Step::Persist { rows, then }] = &steps[..] else { panic!("{steps:?}") };
        assert!(matches!(&rows[0], Record::OverrideUsed { id: 7, controls, .. } if controls == &["price_collar"]), "{rows:?}");
        assert!(matches!(&then[..], [Effect::Submit(_)]));
        assert_eq!(propose(&mut machine, 200, beyond(2)).as_deref(), Some("price_collar"), "it was for one order");
    }

    #[test]
    fn an_order_that_needs_no_override_leaves_it_for_the_one_that_does() {
        let mut machine = with(granted(7, &["price_collar"], 60));
        assert_eq!(propose(&mut machine, 0, limit(1, Side::Buy, "1", "99")), None);
        let mut out = Outbox::new();
        machine.on(at(200), Input::Propose(Arc::new(limit(2, Side::Buy, "1", "106"))), &mut out);
        assert!(matches!(&out.steps()[0], Step::Persist { .. }));
    }

    #[test]
    fn it_ends_at_its_time_and_is_for_its_account_symbol_and_controls_alone() {
        let beyond = || limit(1, Side::Buy, "1", "106");
        let in_time = |machine: &mut RiskMachine, millis| {
            machine.on(at(millis), Input::Market(MarketView { heard_at: at(millis), ..view("100") }), &mut Outbox::new());
            let mut out = Outbox::new();
            machine.on(at(millis), Input::Propose(Arc::new(beyond())), &mut out);
            matches!(&out.steps()[0], Step::Persist { then, .. } if !then.is_empty())
        };
        assert!(in_time(&mut with(granted(7, &["price_collar"], 60)), 59_999));
        assert!(!in_time(&mut with(granted(7, &["price_collar"], 60)), 60_000));
        assert!(!in_time(&mut with(granted(7, &["order_value"], 60)), 0));
        assert!(!in_time(&mut with(Override { account: AccountId::new("b").unwrap(), ..granted(7, &["price_collar"], 60) }), 0));
        assert!(!in_time(&mut with(Override { symbol: Symbol::new("ETHUSDT").unwrap(), ..granted(7, &["price_collar"], 60) }), 0));
    }

    #[test]
    fn nothing_goes_past_the_kill_switch_or_what_keeps_the_books_true() {
        for control in [
            "ladder_mode",
            "reconciliation",
            "duplicate_intent",
            "own_cross",
            "reduce_only",
            "stale_market",
            "strategy_permission",
            "nonsense",
        ] {
            let asked = granted(7, &["price_collar", control], 60);
            assert!(asked.check(at(0)).unwrap_err().to_string().contains(control));
            refused(&mut with(asked), limit(1, Side::Buy, "1", "106"), "price_collar");
        }
        let mut machine = with(granted(7, overrides::OVERRIDABLE, 60));
        let mut modes = ModeTable::default();
        modes.set(Scope::Global, Mode::Halted, "t", at(0));
        machine.on(at(0), Input::Modes(modes), &mut Outbox::new());
        refused(&mut machine, intent(1, Side::Buy, "1"), "ladder_mode");
    }

    #[test]
    fn it_needs_a_name_a_reason_a_control_and_an_end_that_is_near() {
        let good = granted(7, &["price_collar"], 60);
        assert_eq!(good.check(at(0)), Ok(()));
        let cases = [
            (Override { by: " ".into(), ..good.clone() }, "name"),
            (Override { reason: String::new(), ..good.clone() }, "reason"),
            (Override { controls: vec![], ..good.clone() }, "found none"),
            (Override { expires: at(0), ..good.clone() }, "end"),
            (Override { expires: at(3_600_001), ..good.clone() }, "end"),
        ];
        for (asked, why) in cases {
            assert!(asked.check(at(0)).unwrap_err().to_string().contains(why), "{asked:?}");
        }
        assert_eq!(Override { expires: at(3_600_000), ..good }.check(at(0)), Ok(()));
    }

    #[test]
    fn a_restarted_risk_manager_knows_what_was_granted_and_not_used() {
        let mut machine = machine();
        machine.on(
            at(0),
            Input::Memory(Memory { overrides: vec![granted(7, &["price_collar"], 60)], ..Memory::default() }),
            &mut Outbox::new(),
        );
        let mut out = Outbox::new();
        machine.on(at(0), Input::Propose(Arc::new(limit(1, Side::Buy, "1", "106"))), &mut out);
        assert!(matches!(&out.steps()[0], Step::Persist { then, .. } if !then.is_empty()));
    }
}
