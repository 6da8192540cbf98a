//! What really happened, out of the exchange's own reports: each order taken once, each trade, each end, and what was nobody's of
//! ours. It tells whoever keeps the score, and nobody else.

use std::collections::{BTreeMap, BTreeSet};

use super::VenueFact;
use crate::domain::ids::{AccountId, ClientOrderId};
use crate::domain::order::{EndReason, FundsKind, FundsMoved, NewOrder};
use crate::exchange::Exchange;
use crate::exchange::core::margin::{AlgoStatus, AlgoView, IncomeKind, IncomeRow};
use crate::exchange::core::report::{AccountReason, ExecutionType, UserEvent, UserReport};

#[derive(Default)]
pub struct Facts {
    /// The newest entry of each account's ledger that was told.
    booked: BTreeMap<AccountId, u64>,
    taken: BTreeSet<(AccountId, ClientOrderId)>,
}

impl Facts {
    /// What a report says, given the orders that were handed to the adapter.
    pub fn note(&mut self, report: &UserReport, ours: &BTreeMap<ClientOrderId, NewOrder>, out: &mut Vec<VenueFact>) {
        let account = report.account;
        match &report.event {
            UserEvent::Order { execution, order, trade, .. } => {
                let id = order.order.client_order_id;
                self.take(account, id, ours, out);
                if let Some(trade) = trade {
                    out.push(VenueFact::Traded(trade.fill.clone()));
                }
                let reason = match execution {
                    ExecutionType::Canceled => EndReason::Canceled,
                    ExecutionType::Expired => EndReason::Expired,
                    ExecutionType::TradePrevention => EndReason::SelfTradePrevented,
                    _ => return,
                };
                out.push(VenueFact::Ended { account, id, reason });
            }
            UserEvent::Algo(view) => self.algo(account, view, ours, out),
            UserEvent::Margin { reason, wallets, .. } if *reason != AccountReason::Order => {
                let moved: Vec<String> = wallets.iter().map(|wallet| format!("{} {}", wallet.change, wallet.asset)).collect();
                out.push(VenueFact::FromOutside { account, what: format!("{reason} {}", moved.join(", ")) });
            }
            _ => {}
        }
    }

    /// What is new in an account's ledger, as far as it is no trade's.
    pub fn ledger(&mut self, desk: &Exchange, account: AccountId) -> Vec<VenueFact> {
        let booked = self.booked.entry(account).or_default();
        let mut rows: Vec<&IncomeRow> = desk.income(account).collect();
        rows.retain(|row| row.transaction_id > *booked);
        *booked = rows.last().map_or(*booked, |row| row.transaction_id);
        let moved = rows.into_iter().filter_map(|row| {
            let kind = match row.kind {
                IncomeKind::RealizedPnl | IncomeKind::Commission => return None,
                IncomeKind::FundingFee => FundsKind::Funding,
                IncomeKind::InsuranceClear => FundsKind::Insurance,
                IncomeKind::Transfer => FundsKind::Transfer,
            };
            let moved = FundsMoved { kind, id: row.transaction_id, amount: row.amount, symbol: row.symbol, at: row.at };
            Some(VenueFact::Funds { account, moved })
        });
        moved.collect()
    }

    fn algo(&mut self, account: AccountId, view: &AlgoView, ours: &BTreeMap<ClientOrderId, NewOrder>, out: &mut Vec<VenueFact>) {
        let id = view.client_algo_id();
        match view.status {
            AlgoStatus::New => self.take(account, id, ours, out),
            AlgoStatus::Canceled => out.push(VenueFact::Ended { account, id, reason: EndReason::Canceled }),
            AlgoStatus::Rejected | AlgoStatus::Expired => out.push(VenueFact::Ended { account, id, reason: EndReason::Expired }),
            AlgoStatus::Triggering | AlgoStatus::Triggered | AlgoStatus::Finished => {}
        }
    }

    fn take(&mut self, account: AccountId, id: ClientOrderId, ours: &BTreeMap<ClientOrderId, NewOrder>, out: &mut Vec<VenueFact>) {
        if !self.taken.insert((account, id)) {
            return;
        }
        out.push(match ours.get(&id) {
            Some(order) => VenueFact::Taken { account, order: order.clone() },
            None => VenueFact::FromOutside { account, what: format!("order {id}") },
        });
    }
}
