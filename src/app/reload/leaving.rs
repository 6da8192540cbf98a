//! The end of what a reload took out. Orders that no configured strategy stands behind any more are cancelled, and only
//! then an account's executor goes, because only it can book their ends. Positions stay, with nobody to look after them:
//! they are named.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::tree::{self, Plan};
use crate::actors::names;
use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::order::OrderReport;
use crate::domain::restart::ChildName;
use crate::messages::{ExecutorMessage, Post};
use crate::simulation::assemble;
use crate::telemetry::events::AccountLeft;

/// A venue cancels within a second; what takes longer is left to a person, by name.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);
/// A guard is stopped within five seconds or killed.
const GONE_WITHIN: Duration = Duration::from_secs(7);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Looks in a row without an order to cancel before none is believed: the first may see a standing from before, and an
/// intent of the strategy's last moment may still be on its way through risk.
const CLEAN_LOOKS: u32 = 3;

/// Whoever has to go.
pub struct Leaving {
    pub strategies: Vec<StrategyId>,
    pub accounts: Vec<AccountId>,
    pub symbols: Vec<Symbol>,
}

impl Leaving {
    pub fn is_empty(&self) -> bool {
        self.strategies.is_empty() && self.accounts.is_empty() && self.symbols.is_empty()
    }

    /// Says what a person must know of it.
    pub async fn see_out(&self, plan: &Plan) -> Vec<String> {
        let around = &plan.around;
        let strategies = self.strategies.iter().map(|id| names::strategy(*id));
        until_gone(plan, strategies.chain(self.symbols.iter().map(|symbol| names::market(*symbol)))).await;
        for id in &self.strategies {
            // One that was killed has not taken its leave.
            around.wires.unsubscribe(*id);
            around.views.forget_strategy(*id);
        }
        for symbol in &self.symbols {
            // Its last word may have come after it was forgotten.
            around.board.forget(*symbol);
        }
        // What is left is named below, account by account, or found by the executor's next reconciliation.
        let all_cancelled = timeout(CANCELLED_WITHIN, self.cancel(plan)).await.is_ok();
        let mut told = Vec::new();
        if !all_cancelled {
            let left = self.orphans(plan);
            let left: Vec<String> = left.iter().map(|order| format!("{} of {}", order.client_order_id, order.account)).collect();
            tracing::error!(target: "ringfence::orders", orders = left.join(", "), "not cancelled in time after a reload: cancel them by hand");
            told.push(format!("expected every order of what was removed cancelled within {CANCELLED_WITHIN:?}, found {}", left.join(", ")));
        }
        for account in &self.accounts {
            told.push(close(plan, *account).await);
        }
        told
    }

    async fn cancel(&self, plan: &Plan) {
        let around = &plan.around;
        let mut clean = 0;
        while clean < CLEAN_LOOKS {
            let open = self.orphans(plan);
            clean = if open.is_empty() { clean + 1 } else { 0 };
            for order in open {
                let reason = "its account, strategy or symbol was taken out of the configuration".to_owned();
                let message = ExecutorMessage::Cancel { symbol: order.symbol, client_order_id: order.client_order_id, reason };
                Post::new(&around.directory, &names::executor(order.account)).tell(message);
            }
            for account in &around.roster.get().accounts {
                // At its tick an executor publishes its standing.
                Post::new(&around.directory, &names::executor(*account)).tell(ExecutorMessage::Tick);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Open orders of strategies that no longer trade there. Orders that were not made here are nobody's business.
    fn orphans(&self, plan: &Plan) -> Vec<OrderReport> {
        let (settings, available, roster) = (plan.settings.load(), plan.traded(), plan.around.roster.get());
        let trades = |order: &OrderReport, id: StrategyId| {
            let accounts = roster.strategies.get(&id).is_some_and(|accounts| accounts.contains(&order.account));
            let spec = settings.strategies.iter().find(|spec| spec.id == id);
            let instruments = spec.and_then(|spec| assemble::instruments_of(spec, &available).ok()).unwrap_or_default();
            accounts && !self.accounts.contains(&order.account) && instruments.iter().any(|instrument| instrument.symbol == order.symbol)
        };
        let standings = plan.around.views.accounts();
        let open = standings.values().flat_map(|standing| &standing.open);
        open.filter(|order| order.strategy.is_some_and(|id| !trades(order, id))).cloned().collect()
    }
}

/// Takes an account's executor out and says what is left behind.
async fn close(plan: &Plan, account: AccountId) -> String {
    let around = &plan.around;
    let standing = around.views.accounts().get(&account).cloned();
    around.roster.update(|roster| roster.accounts.retain(|other| *other != account));
    tree::take_out(&around.directory, "execution", &names::executor(account));
    until_gone(plan, [names::executor(account)].into_iter()).await;
    around.views.forget_account(account);
    let held = standing.iter().flat_map(|standing| &standing.view.positions).filter(|position| !position.quantity.is_zero());
    let positions = held.map(|position| format!("{} {}", position.quantity, position.symbol)).collect::<Vec<_>>().join(", ");
    let open_orders = standing.as_ref().map_or(0, |standing| standing.open.len());
    AccountLeft { account, open_orders, positions: &positions }.emit();
    let positions = if positions.is_empty() { "no position is left".to_owned() } else { format!("its positions stay: {positions}") };
    format!("account {account} is no longer traded; {positions}")
}

async fn until_gone(plan: &Plan, children: impl Iterator<Item = ChildName>) {
    let guards: Vec<ChildName> = children.map(|child| names::guard(&child)).collect();
    let directory = &plan.around.directory;
    let gone = async {
        while guards.iter().any(|guard| directory.child(guard.as_str()).is_some()) {
            sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(GONE_WITHIN, gone).await.is_err() {
        tracing::error!(target: "ringfence::supervision", "a child that was taken out is still there: it is killed by its supervisor");
    }
}
