//! What spot tells its accounts: execution reports with their own numbers, lists, and what an operation leaves to do at its end.

use std::sync::Arc;

use crate::domain::ids::{AccountId, ClientOrderId};
use crate::domain::time::Timestamp;
use crate::exchange::core::report::{AccountReason, ExecutionType, OrderView, TradeView, UserEvent};
use crate::exchange::core::{Exchange, ExchangeOutput, Reject};

use super::state::{Prevention, SpotExecution};

/// One execution report, apart from the order that it is of.
pub(super) struct Told {
    pub execution: ExecutionType,
    pub trade: Option<TradeView>,
    pub request_id: Option<ClientOrderId>,
    pub prevention: Option<Prevention>,
    pub refusal: Option<Reject>,
}

impl Told {
    pub(super) const fn of(execution: ExecutionType) -> Self {
        Self { execution, trade: None, request_id: None, prevention: None, refusal: None }
    }
}

impl Exchange {
    /// Tells an account of its order; the report's number, zero while nobody listens.
    pub(super) fn tell_order(&mut self, now: Timestamp, account: AccountId, order: OrderView, told: Told) -> u64 {
        if !self.reports.is_on() {
            return 0;
        }
        let id = self.spot.counters.next_execution_id;
        self.spot.counters.next_execution_id += 1;
        let Told { execution, trade, request_id, prevention, refusal } = told;
        let spot = Some(SpotExecution { id, prevention, refusal });
        let event = UserEvent::Order { execution, order: Arc::new(order), trade: trade.map(Box::new), request_id, spot };
        self.reports.add(now, account, || event);
        id
    }

    /// An operation is over: what it set free goes on, then balances are told.
    pub(in crate::exchange::core) fn settle_spot(&mut self, now: Timestamp, out: &mut Vec<ExchangeOutput>) {
        while let Some(list) = self.spot.ready.pop_front() {
            self.activate(now, list, out);
        }
        self.tell_balances(now, AccountReason::Order);
    }

    /// A client order id for a caller that gave none: 22 letters and digits, like the venue's, never the same twice.
    pub fn fresh_name(&mut self) -> ClientOrderId {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let number = self.spot.counters.next_name;
        self.spot.counters.next_name += 1;
        // The upper half is one to one with the counter, so no name comes twice.
        let mut rest = (u128::from(mixed(number)) << 64) | u128::from(mixed(mixed(number) ^ number));
        let mut name = String::with_capacity(22);
        for _ in 0..22 {
            name.push(char::from(ALPHABET[(rest % 62) as usize]));
            rest /= 62;
        }
        // Invariant: 22 letters and digits are a client order id.
        ClientOrderId::new(&name).expect("invariant: letters and digits are a client order id")
    }
}

/// SplitMix64's finisher: one to one.
const fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
