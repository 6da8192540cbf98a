//! Rows as a busy account writes them, for benches of what stores and replays them.

use std::sync::{Arc, mpsc};

use ringfence::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use ringfence::domain::order::{Fill, NewOrder, OrderIntent, OrderKind, OrderStatus, PositionSide, SelfTradePrevention, Side, TimeInForce};
use ringfence::domain::record::{Entry, Record};
use ringfence::domain::time::Timestamp;
use ringfence::store::{Ack, AckResult, JournalHandle};

/// The life of an order: intended, working, filled, and the account's view of it.
pub fn entry(number: u64) -> Entry {
    let account = AccountId::new("alpha").expect("a name");
    let symbol = Symbol::new("BTCUSDT").expect("a name");
    let id = IntentId::compose(Epoch(1), 3, (number / 4) as u32);
    let client_order_id = ClientOrderId::compose(account, Epoch(1), id);
    let quantity = "0.015".parse().expect("a quantity");
    let price = "61234.5".parse().expect("a price");
    let at = Timestamp(1_700_000_000_000_000_000 + number as i64 * 1_000);
    let changed = |status, detail| Record::OrderChanged {
        cancel_wanted: false,
        assumed: Default::default(),
        account,
        client_order_id,
        intent: id,
        status,
        filled: quantity,
        venue_order_id: Some(8_000_000_000 + number),
        detail,
    };
    let record = match number % 4 {
        0 => intended(id, account, client_order_id),
        1 => changed(OrderStatus::Working, None),
        2 => Record::Filled {
            fill: Fill {
                account,
                symbol,
                client_order_id,
                venue_order_id: 8_000_000_000 + number,
                trade_id: number,
                side: Side::Buy,
                position_side: PositionSide::Both,
                price,
                quantity,
                fee: "0.3674".parse().expect("a fee"),
                fee_taken: None,
                maker: false,
                at,
            },
            intent: Some(id),
            strategy: StrategyId::new("ema_cross-1").ok(),
        },
        _ => changed(OrderStatus::Filled, None),
    };
    Entry { at, record }
}

fn intended(id: IntentId, account: AccountId, client_order_id: ClientOrderId) -> Record {
    let symbol = Symbol::new("BTCUSDT").expect("a name");
    let quantity = "0.015".parse().expect("a quantity");
    let kind = OrderKind::Limit { price: "61234.5".parse().expect("a price") };
    let (side, position_side, time_in_force) = (Side::Buy, PositionSide::Both, TimeInForce::GoodTilCanceled);
    let intent = OrderIntent {
        id,
        strategy: StrategyId::new("ema_cross-1").expect("a name"),
        account,
        symbol,
        side,
        position_side,
        kind,
        time_in_force,
        quantity,
        reduce_only: false,
        stop: None,
        decided_at: Timestamp(1_700_000_000_000_000_000),
        reason: "cross_up".to_owned(),
        trace: None,
    };
    let self_trade_prevention = SelfTradePrevention::ExpireMaker;
    let order =
        NewOrder { client_order_id, symbol, side, position_side, kind, time_in_force, quantity, reduce_only: false, self_trade_prevention };
    Record::OrderIntended { intent: intent.into(), order, risk_incarnation: Incarnation(1) }
}

/// As fast as the queue takes them, until the last one is durable.
pub fn append_all(handle: &JournalHandle, batches: Vec<Vec<Entry>>) {
    let (told, answers) = mpsc::channel();
    let mut open = 0;
    let wait = |open: &mut usize| {
        let result: AckResult = answers.recv().expect("an answer");
        assert!(result.is_ok(), "{result:?}");
        *open -= 1;
    };
    for batch in batches {
        let mut batch: Arc<[Entry]> = batch.into();
        let ack = || {
            let told = told.clone();
            Ack::Callback(Box::new(move |result| told.send(result).expect("somebody who waits")))
        };
        while let Err(refused) = handle.append(batch, ack()) {
            batch = refused.entries;
            wait(&mut open);
        }
        open += 1;
    }
    while open > 0 {
        wait(&mut open);
    }
}
