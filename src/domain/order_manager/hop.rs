//! The last hop (C22): what risk approved is held once more against what is true where it leaves, when it is taken in and right
//! before its bytes go.

use super::super::ids::{ClientOrderId, Incarnation};
use super::super::mode::Mode;
use super::super::mutants::{self, Mutant};
use super::super::order::{NewOrder, OrderIntent, OrderStatus};
use super::super::risk::{BUILD, controls};
use super::OrderManager;

impl OrderManager {
    pub(super) fn last_hop(&self, intent: &OrderIntent, incarnation: Incarnation, build: &str) -> Result<(), String> {
        if intent.account != self.account {
            return Err(format!("approved for account {}, found executor of {}", intent.account, self.account));
        }
        if build != BUILD {
            return Err(format!("approved by a risk manager built from {build}, expected {BUILD}: one daemon, one build"));
        }
        if incarnation != self.risk && !mutants::on(Mutant::OldApprovalTaken) {
            return Err(format!("approved by risk manager {incarnation}, expected {}: approvals of a dead one are void", self.risk));
        }
        if !self.is_ready() && !mutants::on(Mutant::SentUnreconciled) {
            return Err(format!("the account is {}: it is being reconciled", self.mode()));
        }
        self.admits(intent)
    }

    fn admits(&self, intent: &OrderIntent) -> Result<(), String> {
        let (mode, scope) = self.modes.effective(self.account, Some(intent.strategy), intent.symbol);
        let stopped = mode > Mode::ReduceOnly || (mode == Mode::ReduceOnly && !intent.reduce_only);
        if stopped && !mutants::on(Mutant::LastHopSkipped) {
            return Err(format!("{scope} is {mode}"));
        }
        let rests = intent.kind.may_rest(intent.time_in_force);
        if rests && self.modes.is_barred(self.account, intent.symbol, intent.side) {
            let OrderIntent { side, symbol, .. } = intent;
            return Err(format!("{}: a position of the same owner is being closed against a {side} on {symbol}", controls::OWN_CROSS));
        }
        Ok(())
    }

    /// Asked by the driver right before an order's bytes leave, which is a journal's commit after it was submitted: modes may
    /// have changed meanwhile, and somebody may want it cancelled already.
    ///
    /// # Errors
    /// Why it must not leave.
    pub fn may_leave(&self, id: ClientOrderId) -> Result<(), String> {
        let order = self.orders.get(&id).filter(|order| order.status == OrderStatus::Persisting);
        let order = order.ok_or_else(|| "it is not waiting to be sent".to_owned())?;
        if order.cancel_wanted {
            return Err("cancelled before it left".to_owned());
        }
        if !self.is_ready() && !mutants::on(Mutant::SentUnreconciled) {
            return Err(format!("the account is {}: it is being reconciled", self.mode()));
        }
        let Some(intent) = &order.intent else { return Ok(()) };
        is_what_was_approved(&order.order, intent)?;
        self.admits(intent)
    }
}

/// The child never exceeds its approval, whatever happened to it between the approval and here (C22).
fn is_what_was_approved(order: &NewOrder, intent: &OrderIntent) -> Result<(), String> {
    let same = order.symbol == intent.symbol && order.side == intent.side && order.kind == intent.kind;
    let reduces = order.reduce_only || !intent.reduce_only;
    if same && reduces && order.quantity.is_positive() && order.quantity <= intent.quantity {
        return Ok(());
    }
    let NewOrder { side, quantity, symbol, .. } = order;
    Err(format!(
        "expected at most what was approved, {} {} {}, found {side} {quantity} {symbol}",
        intent.side, intent.quantity, intent.symbol
    ))
}
