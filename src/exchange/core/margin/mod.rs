//! What only perpetuals have: maintenance brackets, cross and isolated margin, position modes, funding, liquidation, the
//! income ledger, the algo service, and the clock that moves them. Pure like the rest of the engine. Spot exchanges never
//! come here: there is no perpetual in them.

mod account;
mod clock;
mod deleverage;
mod events;
mod funding;
mod income;
mod mark;
mod reject;
mod rules;
mod settings;
mod views;

pub use account::{MarginRow, MarginState};
pub use income::{IncomeKind, IncomeRow};
pub use mark::{FundingPoint, Perpetual, PremiumIndex};
pub use reject::UsdmReject;
pub use rules::{Bracket, PerpetualRules};
pub use settings::{MarginAdjustment, MarginType};
pub use views::{AccountMargin, AssetMargin, PositionRisk, SymbolSettings};
