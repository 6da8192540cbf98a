//! The algo service: orders that wait beside the book.

use super::*;
use crate::exchange::core::margin::{ALGOS_MAX, AlgoId, AlgoView, FIRST_ALGO_ID};

impl Desk {
    fn algo(&mut self, request: &OrderRequest) -> Result<AlgoView, Reject> {
        self.exchange.place_algo(self.now, account("a"), request)
    }

    fn stop(&mut self, side: Side, trigger: i64, lots: i64) -> OrderRequest {
        self.order(side, OrderKind::StopMarket { trigger: price(trigger) }, lots).into()
    }

    fn trail(&mut self, side: Side, activation: Option<i64>, callback: &str, lots: i64) -> OrderRequest {
        let trailing = Some(Trailing { activation: activation.map(price), callback: crate::domain::money::Ratio(decimal(callback)) });
        let order = self.order(side, OrderKind::StopMarket { trigger: activation.map(price).unwrap_or_default() }, lots);
        OrderRequest { order, extras: Extras { trailing, ..Extras::default() } }
    }

    /// The standings that the user stream told, in order.
    fn standings(&mut self) -> Vec<AlgoStatus> {
        self.reports().iter().filter_map(|event| if let UserEvent::Algo(view) = event { Some(view.status) } else { None }).collect()
    }
}

#[test]
fn an_algo_order_is_no_order_until_it_goes_off() {
    let mut desk = desk();
    let stop = desk.stop(Side::Buy, MID + 50, 10);
    let view = desk.algo(&stop).unwrap();
    assert_eq!((view.status, view.client_algo_id()), (AlgoStatus::New, stop.order.client_order_id));
    assert!(desk.exchange.open_orders(account("a"), None).is_empty());
    assert_eq!(desk.exchange.open_algos(account("a"), Some(btc())), std::slice::from_ref(&view));
    assert_eq!(desk.exchange.account_margin(account("a")).unwrap().assets[0].open_order_initial, Money::ZERO);
    assert_eq!(trades(&desk.print(MID + 50, 1, false)), [(MID + 10, 10)]);
    use AlgoStatus::{Finished, New, Triggered, Triggering};
    assert_eq!(desk.standings(), [New, Triggering, Triggered, Finished]);
    let view = desk.exchange.algo_order(account("a"), AlgoId::Id(view.algo_id())).unwrap();
    let actual = view.actual.unwrap();
    let order = desk.exchange.order(account("a"), btc(), OrderName::Id(actual.id)).unwrap();
    assert_eq!((order.status(), order.extras.algo.unwrap().algo_id), ("FILLED", view.algo_id()));
    assert_eq!((actual.filled, actual.average_price), (quantity(10), price(MID + 10)));
    assert!(desk.exchange.open_algos(account("a"), None).is_empty());
}

#[test]
fn an_algo_order_that_cannot_be_taken_says_why() {
    let mut desk = desk();
    let stop = desk.stop(Side::Buy, MID - 1, 10);
    assert_eq!(desk.algo(&stop), Err(Reject::WouldTrigger));
    let stop = desk.stop(Side::Buy, MID + 50, 10);
    desk.algo(&stop).unwrap();
    assert_eq!(desk.algo(&stop), Err(Reject::DuplicateClientOrderId));
    for _ in 1..ALGOS_MAX {
        let stop = desk.stop(Side::Buy, MID + 50, 10);
        desk.algo(&stop).unwrap();
    }
    let stop = desk.stop(Side::Buy, MID + 50, 10);
    assert_eq!(desk.algo(&stop), Err(Reject::TooManyStops));
    assert_eq!(desk.exchange.cancel_all_algos(desk.now, account("a"), Some(btc())), Ok(ALGOS_MAX));
    assert_eq!(desk.exchange.cancel_algo(desk.now, account("a"), AlgoId::Id(FIRST_ALGO_ID)), Err(Reject::UnknownOrder));
    assert_eq!(desk.exchange.algo_order(account("a"), AlgoId::Id(FIRST_ALGO_ID)).unwrap().status, AlgoStatus::Canceled);
}

#[test]
fn margin_and_position_are_asked_for_when_it_goes_off() {
    let mut desk = desk();
    // 100 BTC at 1 times: six million.
    desk.exchange.change_leverage(desk.now, account("a"), btc(), 1).unwrap();
    let stop = desk.stop(Side::Buy, MID + 50, 100_000);
    let id = AlgoId::Id(desk.algo(&stop).unwrap().algo_id());
    desk.print(MID + 50, 1, false);
    let view = desk.exchange.algo_order(account("a"), id).unwrap();
    assert_eq!((view.status, view.reason.as_deref()), (AlgoStatus::Rejected, Some("Margin is insufficient.")));
    let mut stop = desk.stop(Side::Buy, MID + 80, 10);
    stop.order.reduce_only = true;
    let id = AlgoId::Client(desk.algo(&stop).unwrap().client_algo_id());
    desk.print(MID + 80, 1, false);
    assert_eq!(desk.exchange.algo_order(account("a"), id).unwrap().reason.as_deref(), Some("ReduceOnly Order is rejected."));
}

#[test]
fn closing_a_position_takes_all_of_it_and_needs_no_quantity() {
    let mut desk = desk();
    desk.buys("a", 37);
    let mut stop = desk.stop(Side::Sell, MID - 50, 0);
    stop.extras.close_position = true;
    let id = AlgoId::Id(desk.algo(&stop).unwrap().algo_id());
    desk.buys("a", 5);
    assert_eq!(trades(&desk.print(MID - 50, 1, true)), [(MID - 10, 42)]);
    let view = desk.exchange.algo_order(account("a"), id).unwrap();
    assert_eq!((view.status, view.order.order.quantity), (AlgoStatus::Finished, Quantity::ZERO));
    stop.order.quantity = quantity(1);
    assert_eq!(desk.algo(&stop), refused(UsdmReject::QuantityWithClosePosition));
}

#[test]
fn a_trailing_stop_follows_the_price_and_goes_off_behind_it() {
    let mut desk = desk();
    desk.buys("a", 10);
    // From 60,100 on, one percent behind.
    let trail = desk.trail(Side::Sell, Some(MID + 1_000), "0.01", 10);
    let id = AlgoId::Id(desk.algo(&trail).unwrap().algo_id());
    assert!(fills(&desk.print(MID - 20_000, 1, true)).is_empty(), "not activated yet");
    desk.print(MID + 1_000, 1, false);
    desk.print(MID + 10_000, 1, false);
    desk.print(MID + 4_000, 1, true);
    assert_eq!(desk.exchange.algo_order(account("a"), id).unwrap().status, AlgoStatus::New);
    // 61,000 less one percent: 60,390.
    assert!(fills(&desk.print(MID + 3_901, 1, true)).is_empty());
    assert_eq!(trades(&desk.print(MID + 3_900, 1, true)), [(MID - 10, 10)]);
    assert_eq!(desk.exchange.algo_order(account("a"), id).unwrap().status, AlgoStatus::Finished);
}

#[test]
fn a_trailing_stop_without_activation_follows_at_once_and_a_reached_one_is_refused() {
    let mut desk = desk();
    desk.sells("a", 10);
    let trail = desk.trail(Side::Buy, None, "0.001", 10);
    desk.algo(&trail).unwrap();
    desk.print(MID - 1_000, 1, true);
    // 59,900 and a thousandth: 59,959.9.
    assert!(fills(&desk.print(MID - 402, 1, false)).is_empty());
    assert_eq!(trades(&desk.print(MID - 401, 1, false)), [(MID + 10, 10)]);
    // A purchase is activated below the price of this moment.
    let trail = desk.trail(Side::Buy, Some(MID + 100), "0.001", 10);
    assert_eq!(desk.algo(&trail), Err(Reject::WouldTrigger));
}

#[test]
fn an_algo_order_with_a_date_expires_on_it() {
    let mut desk = desk();
    let mut stop = desk.stop(Side::Buy, MID + 50, 10);
    stop.extras.good_till = Some(desk.now + Duration::from_secs(700));
    desk.algo(&stop).unwrap();
    desk.pass(Duration::from_secs(701));
    assert_eq!(desk.standings(), [AlgoStatus::New, AlgoStatus::Expired]);
}

#[test]
fn any_number_of_algo_orders_goes_off_at_one_price() {
    let mut desk = desk();
    let names: Vec<String> = (0..10).map(|n| format!("crowd-{n}")).collect();
    for name in &names {
        let setup = AccountSetup { deposit: Money(Decimal::from(1_000_000)), owner: 9, hedge: false };
        assert!(desk.exchange.open_account(account(name), setup));
        for _ in 0..ALGOS_MAX {
            let stop = desk.stop(Side::Buy, MID + 50, 2);
            desk.exchange.place_algo(desk.now, account(name), &stop).unwrap();
        }
    }
    assert_eq!(trades(&desk.print(MID + 50, 1, false)).len(), names.len() * ALGOS_MAX);
    for name in &names {
        assert!(desk.exchange.open_algos(account(name), None).is_empty());
        assert_eq!(desk.position(name), quantity(2 * ALGOS_MAX as i64));
    }
}

#[test]
fn closing_a_position_that_is_gone_is_refused_as_reducing_nothing() {
    let mut desk = desk();
    desk.buys("a", 10);
    let mut stop = desk.stop(Side::Sell, MID - 50, 0);
    stop.extras.close_position = true;
    let id = AlgoId::Id(desk.algo(&stop).unwrap().algo_id());
    desk.sells("a", 10);
    assert!(fills(&desk.print(MID - 50, 1, true)).is_empty());
    let view = desk.exchange.algo_order(account("a"), id).unwrap();
    assert_eq!((view.status, view.reason.as_deref()), (AlgoStatus::Rejected, Some("ReduceOnly Order is rejected.")));
}

#[test]
fn an_algo_order_that_lasts_as_long_as_its_position_ends_with_it() {
    let mut desk = desk();
    let lasting = |mut order: OrderRequest| {
        order.extras.with_position = true;
        order
    };
    let stop = desk.stop(Side::Sell, MID - 50, 10);
    assert_eq!(desk.algo(&lasting(stop)), refused(UsdmReject::WithoutPosition));
    desk.buys("a", 10);
    let buying = desk.stop(Side::Buy, MID + 50, 10);
    assert_eq!(desk.algo(&lasting(buying)), refused(UsdmReject::WithoutPosition), "it would reduce nothing");
    let stop = desk.stop(Side::Sell, MID - 50, 10);
    desk.algo(&lasting(stop)).unwrap();
    let plain = desk.stop(Side::Sell, MID - 60, 10);
    let plain = desk.algo(&plain).unwrap();
    desk.sells("a", 4);
    assert_eq!(desk.exchange.open_algos(account("a"), None).len(), 2);
    desk.reports();
    desk.sells("a", 6);
    assert_eq!(desk.standings(), [AlgoStatus::Expired]);
    assert_eq!(desk.exchange.open_algos(account("a"), None), [plain]);
}
