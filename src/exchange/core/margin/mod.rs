//! What only perpetuals have: maintenance brackets, cross and isolated margin, position modes, funding, liquidation, the
//! income ledger, the algo service, and the clock that moves them. Pure like the rest of the engine. Spot exchanges never
//! come here: there is no perpetual in them.

mod account;
mod admission;
mod algo;
mod clock;
mod deleverage;
mod events;
mod firing;
mod funding;
mod income;
mod liquidation;
mod mark;
mod modify;
mod reject;
mod rules;
mod settings;
mod trailing;
mod views;

pub use account::{MarginRow, MarginState};
pub(super) use admission::{check_price_range, check_quantity_given, check_size, closes_leg};
pub use algo::{ALGOS_MAX, ActualOrder, AlgoId, AlgoStatus, AlgoView, FIRST_ALGO_ID};
pub use income::{IncomeKind, IncomeRow};
pub use liquidation::ForcedOrder;
pub use mark::{FundingPoint, Perpetual, PremiumIndex};
pub use modify::{Modification, OrderAmendment};
pub use reject::UsdmReject;
pub use rules::{Bracket, PerpetualRules};
pub use settings::{MarginAdjustment, MarginType};
pub use trailing::{Follow, TriggerPrices};
pub use views::{AccountMargin, AssetMargin, PositionRisk, SymbolSettings};
