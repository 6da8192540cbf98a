use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn rule(json: &str) -> Rule {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn place(name: &str) -> (AccountId, Scope<'static>) {
    let account = account(name);
    let scope = Scope { account: Some(account), verb: "POST", path: "/fapi/v1/order", methods: &["order.place"], symbol: Some("BTCUSDT") };
    (account, scope)
}

#[test]
fn a_fault_hits_what_it_names_as_often_as_it_says() {
    let mut faults = Faults::new(false);
    let json = r#"{"fault":"timeout","account":"a","route":"/fapi/v1/order","verb":"POST","skip":1,"count":2}"#;
    faults.arm(NOW, rule(json));
    let (_, ours) = place("a");
    let (_, theirs) = place("b");
    let query = Scope { verb: "GET", ..ours };
    let status = |fate: RequestFate| match fate.after {
        Some(Spoilt::Problem(problem)) => problem.status,
        _ => 0,
    };
    let hits = [ours, theirs, query, ours, ours, ours].map(|scope| status(faults.request(NOW, &scope)));
    assert_eq!(hits, [0, 0, 0, 408, 408, 0]);
    assert!(faults.is_quiet());
}

#[test]
fn a_route_may_be_a_method_or_a_beginning() {
    for route in ["order.place", "order.*", "/fapi/*", "*"] {
        let mut faults = Faults::new(false);
        faults.arm(NOW, Rule { route: Some(route.to_owned()), ..Rule::new(Kind::Busy) });
        assert_eq!(faults.request(NOW, &place("a").1).before, Some(Spoilt::Problem(Problem::SERVER_BUSY)), "{route}");
    }
}

#[test]
fn a_duration_ends_a_fault_that_was_never_used_up() {
    let mut faults = Faults::new(true);
    faults.arm(NOW, rule(r#"{"fault":{"delay":{"before_ms":5}},"duration_ms":1000}"#));
    let (_, scope) = place("a");
    let delay = |faults: &mut Faults, millis| faults.request(NOW + Duration::from_millis(millis), &scope).delay_before.as_millis();
    assert_eq!([0, 500, 999, 1000].map(|millis| delay(&mut faults, millis)), [5, 5, 5, 0]);
    faults.tick(NOW + Duration::from_secs(1));
    assert!(faults.is_quiet());
}

#[test]
fn several_faults_add_up() {
    let mut faults = Faults::new(true);
    faults.arm(NOW, rule(r#"{"fault":{"delay":{"after_ms":7}}}"#));
    faults.arm(NOW, rule(r#"{"fault":{"gateway":{"status":502,"when":"after"}}}"#));
    let fate = faults.request(NOW, &place("a").1);
    assert_eq!((fate.delay_after.as_millis(), fate.after, fate.before), (7, Some(Spoilt::Page(502)), None));
}

#[test]
fn events_have_faults_of_their_own() {
    let mut faults = Faults::new(false);
    faults.arm(NOW, rule(r#"{"fault":"drop_event","account":"a"}"#));
    assert_eq!(faults.request(NOW, &place("a").1), RequestFate::default());
    assert_eq!(faults.event(NOW, account("b")), EventFate::Pass);
    assert_eq!(faults.event(NOW, account("a")), EventFate::Drop);
    assert_eq!(faults.event(NOW, account("a")), EventFate::Pass);
}

#[test]
fn states_hold_until_they_end_and_actions_are_handed_out() {
    let mut faults = Faults::new(false);
    faults.arm(NOW, rule(r#"{"fault":{"zombie":{"sockets":"user"}},"account":"a","duration_ms":1000}"#));
    faults.arm(NOW, rule(r#"{"fault":{"skew_clock":{"millis":-1500}},"duration_ms":1000}"#));
    let later = NOW + Duration::from_secs(1);
    let zombie = |at, sockets, name| faults.is_zombie(at, sockets, Some(account(name)));
    assert!(zombie(NOW, Sockets::User, "a"));
    assert!(!zombie(NOW, Sockets::Market, "a") && !zombie(NOW, Sockets::User, "b") && !zombie(later, Sockets::User, "a"));
    assert_eq!((faults.skew_ms(NOW), faults.skew_ms(later)), (-1500, 0));
    let Arming::Now(action) = faults.arm(NOW, rule(r#"{"fault":{"expire_listen_keys":{"told":false}},"account":"a"}"#)) else {
        panic!("it is done at once");
    };
    assert_eq!(action.kind, Kind::ExpireListenKeys { told: false });
    assert_eq!(action.account, Some(account("a")));
}

#[test]
fn maintenance_refuses_everything_as_long_as_it_lasts() {
    let mut faults = Faults::new(false);
    faults.arm(NOW, rule(r#"{"fault":{"maintenance":{"html":true}},"duration_ms":1000}"#));
    for _ in 0..3 {
        assert_eq!(faults.request(NOW, &place("a").1).before, Some(Spoilt::Page(503)));
    }
    assert!(faults.in_maintenance(NOW) && !faults.in_maintenance(NOW + Duration::from_secs(1)));
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let run = |seed| {
        let mut faults = Faults::new(false);
        let schedule: Schedule =
            serde_json::from_value(serde_json::json!({ "seed": seed, "every_ms": 100, "duration_ms": 10_000, "accounts": ["a"] })).unwrap();
        faults.follow(NOW, schedule);
        let mut seen = Vec::new();
        for step in 0..200 {
            let now = NOW + Duration::from_millis(50 * step);
            seen.extend(faults.tick(now).into_iter().map(|action| format!("{action:?}")));
            seen.push(format!("{:?} {:?}", faults.request(now, &place("a").1), faults.event(now, account("a"))));
        }
        assert!(faults.schedule().is_some());
        faults.tick(NOW + Duration::from_secs(10));
        assert!(faults.schedule().is_none());
        seen
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_schedule_tells_the_sockets_of_what_lasts_and_leaves_nothing_behind() {
    let mut faults = Faults::new(false);
    let json = r#"{"seed":1,"every_ms":100,"duration_ms":5000,"faults":[{"zombie":{"sockets":"market"}},{"maintenance":{}},"drop_event"]}"#;
    faults.follow(NOW, serde_json::from_str(json).unwrap());
    let words: Vec<Action> = (1..100).flat_map(|step| faults.tick(NOW + Duration::from_millis(50 * step))).collect();
    let silences: Vec<u64> =
        words.iter().filter(|word| matches!(word.kind, Kind::Zombie { .. })).filter_map(|word| word.duration_ms).collect();
    assert!(silences.len() > 5 && silences.iter().all(|millis| *millis <= 5_000), "{silences:?}");
    assert!(words.iter().any(|word| word.kind == Kind::Shutdown), "maintenance ends the sockets that there are");
    assert!(faults.armed().count() > 0);
    faults.tick(NOW + Duration::from_secs(5));
    assert!(faults.is_quiet(), "{:?}", faults.armed().collect::<Vec<_>>());
}

#[test]
fn a_schedule_does_to_its_symbols_what_is_done_to_one() {
    let mut faults = Faults::new(false);
    let json = r#"{"seed":3,"every_ms":10,"accounts":["a"],"symbols":["BTCUSDT","ETHUSDT"],"faults":[{"trade":{"side":"BUY","quantity":"1"}},{"cut":{}}]}"#;
    faults.follow(NOW, serde_json::from_str(json).unwrap());
    let mut seen = std::collections::BTreeSet::new();
    for step in 1..100 {
        for action in faults.tick(NOW + Duration::from_millis(10 * step)) {
            assert_eq!(action.symbol.is_some(), matches!(action.kind, Kind::Trade { .. }), "{action:?}");
            seen.extend(action.symbol);
        }
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_slip_of_the_pen_is_refused() {
    for json in [r#"{"fault":"timeot"}"#, r#"{"fault":"timeout","acount":"a"}"#, r#"{"fault":{"delay":{"ms":5}}}"#, "{}"] {
        assert!(serde_json::from_str::<Rule>(json).is_err(), "{json}");
    }
}

#[test]
fn a_rule_reads_as_it_is_written() {
    for json in [
        r#"{"fault":{"refuse":{"code":-2019,"msg":"Margin is insufficient.","status":null,"when":"before"}},"percent":50}"#,
        r#"{"fault":{"transfer":{"asset":"USDT","amount":"-100"}},"account":"a"}"#,
        r#"{"fault":"stale","duration_ms":5000}"#,
    ] {
        assert_eq!(serde_json::to_string(&rule(json)).unwrap(), json);
    }
}
