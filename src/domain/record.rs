//! The rows of the journal: every fact that a restart needs or an auditor asks for. Plain data with a stable JSON form;
//! hashing, ordering and durability belong to `store`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::alerts::{AlertEvent, AlertKind, Severity};
use super::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use super::mode::{FaultClass, Mode, Scope};
use super::money::{Money, Quantity};
use super::order::{EquityPeaks, Fill, FundsMoved, NewOrder, OrderIntent, OrderStatus, VenuePosition};
use super::risk::overrides::Override;
use super::time::Timestamp;

/// One fact. `kind()` names it in the journal's index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Record {
    /// The daemon opened this journal. The epoch grows by one each time.
    DaemonStarted {
        epoch: Epoch,
        version: String,
        config_hash: String,
    },
    /// The daemon closed it in order.
    DaemonStopped {
        epoch: Epoch,
        reason: String,
    },
    /// An approved order, durable before it is sent.
    OrderIntended {
        intent: Arc<OrderIntent>,
        order: NewOrder,
        risk_incarnation: Incarnation,
    },
    /// Risk said no. Kept for the audit; a replay ignores it.
    OrderRefused {
        intent: Arc<OrderIntent>,
        control: String,
        limit: String,
        value: String,
    },
    OrderChanged {
        account: AccountId,
        client_order_id: ClientOrderId,
        intent: IntentId,
        status: OrderStatus,
        filled: Quantity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        venue_order_id: Option<u64>,
        /// Somebody wants it cancelled, though it may be too early for that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cancel_wanted: bool,
        /// What of `filled` is the venue's word alone: its trades may still come.
        #[serde(default, skip_serializing_if = "is_nothing")]
        assumed: Quantity,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    Filled {
        fill: Fill,
        intent: Option<IntentId>,
        strategy: Option<StrategyId>,
    },
    /// The venue's own figures that day's profit and loss is counted from.
    DayOpened {
        account: AccountId,
        utc_day: i64,
        equity: Money,
    },
    /// What reconciliation found and took over from the venue: its wallet, and the positions that differed from ours.
    Reconciled {
        account: AccountId,
        findings: Vec<String>,
        wallet: Money,
        /// When the venue's wallet was last taken over: its ledger from before is in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        adopted: Vec<VenuePosition>,
        /// By the venue's clock: up to when trades are in what was taken over, if something was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        covered_until: Option<Timestamp>,
        /// The account was met by it: what was found was there before us.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        first: bool,
    },
    /// Money moved without a trade: entries of the venue's ledger, told once each.
    FundsMoved {
        account: AccountId,
        moved: Vec<FundsMoved>,
    },
    ModeChanged {
        scope: Scope,
        from: Mode,
        to: Mode,
        cause: String,
        by: Option<String>,
        reason: Option<String>,
    },
    OperatorCommand {
        verb: String,
        scope: Scope,
        by: String,
        reason: String,
        outcome: String,
    },
    /// A named person lets one order past named limits.
    OverrideGranted {
        #[serde(rename = "override")]
        granted: Override,
    },
    /// It was: in the journal before the order is.
    OverrideUsed {
        id: u64,
        intent: IntentId,
        account: AccountId,
        symbol: Symbol,
        /// Those of its controls that would have refused.
        controls: Vec<String>,
    },
    /// The highest that an account's equity was; written when it has risen enough to matter.
    EquityPeaked {
        account: AccountId,
        peaks: EquityPeaks,
        /// Why it was set lower again: a person raised the account after its drawdown, or funds were taken out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
    ConfigChanged {
        changes: Vec<String>,
        config_hash: String,
    },
    Supervision {
        child: String,
        incarnation: Incarnation,
        event: String,
        class: Option<FaultClass>,
        detail: String,
    },
    KillSwitch {
        scope: Scope,
        event: String,
        detail: String,
    },
    /// What a person must hear of was told, again, louder, or was acknowledged. What is true of the alert then is all in it.
    Alert {
        id: u64,
        event: AlertEvent,
        alarm: AlertKind,
        severity: Severity,
        subject: String,
        text: String,
        times: u64,
        level: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_nothing(quantity: &Quantity) -> bool {
    quantity.is_zero()
}

impl Record {
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.into()
    }

    /// The account that the row is about, for the journal's index.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::OrderIntended { intent, .. } | Self::OrderRefused { intent, .. } => Some(intent.account),
            Self::OrderChanged { account, .. }
            | Self::DayOpened { account, .. }
            | Self::Reconciled { account, .. }
            | Self::EquityPeaked { account, .. }
            | Self::OverrideUsed { account, .. }
            | Self::FundsMoved { account, .. } => Some(*account),
            Self::Filled { fill, .. } => Some(fill.account),
            Self::OverrideGranted { granted } => Some(granted.account),
            Self::ModeChanged { scope, .. } | Self::OperatorCommand { scope, .. } | Self::KillSwitch { scope, .. } => match scope {
                Scope::Account(account) => Some(*account),
                _ => None,
            },
            _ => None,
        }
    }

    /// The order that the row is about, for the journal's index.
    #[must_use]
    pub fn client_order_id(&self) -> Option<ClientOrderId> {
        match self {
            Self::OrderIntended { order, .. } => Some(order.client_order_id),
            Self::OrderChanged { client_order_id, .. } => Some(*client_order_id),
            Self::Filled { fill, .. } => Some(fill.client_order_id),
            _ => None,
        }
    }
}

/// A fact and when it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub record: Record,
}
