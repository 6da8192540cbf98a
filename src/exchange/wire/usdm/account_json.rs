//! The account and its positions as USD-M shows them, in the shapes of its three versions. Pure functions of what the engine
//! shows.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::ids::{Asset, Symbol};
use crate::domain::order::PositionSide;
use crate::domain::time::Timestamp;
use crate::exchange::core::margin::{AccountMargin, AssetMargin, PositionRisk};

use super::text::{Fixed, Plain, Scales, money};

/// Which version of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Every symbol, with leverage and margin type.
    Two,
    /// Only symbols that have something.
    Three,
}

/// `/account`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountJson {
    #[serde(flatten)]
    permissions: Option<Permissions>,
    total_initial_margin: Fixed,
    total_maint_margin: Fixed,
    total_wallet_balance: Fixed,
    total_unrealized_profit: Fixed,
    total_margin_balance: Fixed,
    total_position_initial_margin: Fixed,
    total_open_order_initial_margin: Fixed,
    total_cross_wallet_balance: Fixed,
    total_cross_un_pnl: Fixed,
    available_balance: Fixed,
    max_withdraw_amount: Fixed,
    assets: Vec<AssetJson>,
    positions: Vec<HeldJson>,
}

/// What version two says beside the numbers; `/accountConfig` says the same.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    fee_tier: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee_burn: Option<bool>,
    can_trade: bool,
    can_deposit: bool,
    can_withdraw: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dual_side_position: Option<bool>,
    update_time: i64,
    multi_assets_margin: bool,
    trade_group_id: i8,
}

impl Permissions {
    /// As `/v2/account` says it.
    #[must_use]
    pub const fn of_account(multi_assets: bool, fee_burn: bool) -> Self {
        Self { fee_burn: Some(fee_burn), dual_side_position: None, ..Self::of(multi_assets) }
    }

    /// As `/accountConfig` says it.
    #[must_use]
    pub const fn of_config(multi_assets: bool, hedge: bool) -> Self {
        Self { dual_side_position: Some(hedge), ..Self::of(multi_assets) }
    }

    const fn of(multi_assets: bool) -> Self {
        Self {
            fee_tier: 0,
            fee_burn: None,
            can_trade: true,
            can_deposit: true,
            can_withdraw: true,
            dual_side_position: None,
            // "Reserved property, please ignore."
            update_time: 0,
            multi_assets_margin: multi_assets,
            trade_group_id: -1,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssetJson {
    asset: Asset,
    wallet_balance: Fixed,
    unrealized_profit: Fixed,
    margin_balance: Fixed,
    maint_margin: Fixed,
    initial_margin: Fixed,
    position_initial_margin: Fixed,
    open_order_initial_margin: Fixed,
    cross_wallet_balance: Fixed,
    cross_un_pnl: Fixed,
    available_balance: Fixed,
    max_withdraw_amount: Fixed,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin_available: Option<bool>,
    update_time: i64,
}

impl AssetJson {
    fn of(asset: &AssetMargin, version: Version, opened: Timestamp) -> Self {
        Self {
            asset: asset.asset,
            wallet_balance: money(asset.wallet.0),
            unrealized_profit: money(asset.unrealized.0),
            margin_balance: money(asset.margin_balance.0),
            maint_margin: money(asset.maintenance.0),
            initial_margin: money(asset.initial.0),
            position_initial_margin: money(asset.position_initial.0),
            open_order_initial_margin: money(asset.open_order_initial.0),
            cross_wallet_balance: money(asset.cross_wallet.0),
            cross_un_pnl: money(asset.cross_unrealized.0),
            available_balance: money(asset.available.0),
            max_withdraw_amount: money(asset.withdrawable.0),
            margin_available: (version == Version::Two).then_some(true),
            update_time: changed_at(asset, opened),
        }
    }
}

/// Clients take a zero for an asset that the account does not have.
fn changed_at(asset: &AssetMargin, opened: Timestamp) -> i64 {
    if asset.updated_at == Timestamp::ZERO { opened.as_millis() } else { asset.updated_at.as_millis() }
}

/// One position in `/account`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldJson {
    symbol: Symbol,
    position_side: PositionSide,
    position_amt: Fixed,
    unrealized_profit: Fixed,
    isolated_margin: Fixed,
    notional: Plain,
    isolated_wallet: Plain,
    initial_margin: Plain,
    maint_margin: Plain,
    #[serde(flatten)]
    more: Option<HeldMore>,
    update_time: i64,
}

/// What version two says of a position.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldMore {
    position_initial_margin: Plain,
    open_order_initial_margin: Plain,
    leverage: String,
    isolated: bool,
    entry_price: Plain,
    break_even_price: Plain,
    max_notional: Plain,
    bid_notional: Plain,
    ask_notional: Plain,
}

impl HeldJson {
    fn of(position: &PositionRisk, scales: Scales, version: Version) -> Self {
        let more = HeldMore {
            position_initial_margin: Plain(position.position_initial.0),
            open_order_initial_margin: Plain(position.open_order_initial.0),
            leverage: position.leverage.to_string(),
            isolated: position.isolated,
            entry_price: Plain(position.entry_price.0),
            break_even_price: Plain(position.break_even_price.0),
            max_notional: Plain(position.notional_max.0),
            bid_notional: Plain(position.bid_notional.0),
            ask_notional: Plain(position.ask_notional.0),
        };
        Self {
            symbol: position.symbol,
            position_side: position.position_side,
            position_amt: scales.quantity(position.quantity.0),
            unrealized_profit: money(position.unrealized.0),
            isolated_margin: money(position.isolated_margin.0),
            notional: Plain(position.notional.0),
            isolated_wallet: Plain(position.isolated_wallet.0),
            initial_margin: Plain(position.initial.0),
            maint_margin: Plain(position.maintenance.0),
            more: (version == Version::Two).then_some(more),
            update_time: position.updated_at.as_millis(),
        }
    }
}

impl AccountJson {
    /// `opened` dates what has never moved; `digits` knows each symbol's.
    #[must_use]
    pub fn of(account: &AccountMargin, version: Version, fee_burn: bool, opened: Timestamp, digits: impl Fn(Symbol) -> Scales) -> Self {
        // Outside of multi-assets mode the totals are those of the margin asset, which is the first.
        let total = |part: fn(&AssetMargin) -> Decimal| money(account.assets.first().map_or(Decimal::ZERO, part));
        let shown = |position: &&PositionRisk| version == Version::Two || position.is_active;
        let positions = account.positions.iter().filter(shown);
        Self {
            permissions: (version == Version::Two).then(|| Permissions::of_account(account.multi_assets, fee_burn)),
            total_initial_margin: total(|asset| asset.initial.0),
            total_maint_margin: total(|asset| asset.maintenance.0),
            total_wallet_balance: total(|asset| asset.wallet.0),
            total_unrealized_profit: total(|asset| asset.unrealized.0),
            total_margin_balance: total(|asset| asset.margin_balance.0),
            total_position_initial_margin: total(|asset| asset.position_initial.0),
            total_open_order_initial_margin: total(|asset| asset.open_order_initial.0),
            total_cross_wallet_balance: total(|asset| asset.cross_wallet.0),
            total_cross_un_pnl: total(|asset| asset.cross_unrealized.0),
            available_balance: total(|asset| asset.available.0),
            max_withdraw_amount: total(|asset| asset.withdrawable.0),
            assets: account.assets.iter().map(|asset| AssetJson::of(asset, version, opened)).collect(),
            positions: positions.map(|position| HeldJson::of(position, digits(position.symbol), version)).collect(),
        }
    }
}

/// One row of `/balance`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BalanceJson<'a> {
    account_alias: &'a str,
    asset: Asset,
    balance: Fixed,
    cross_wallet_balance: Fixed,
    cross_un_pnl: Fixed,
    available_balance: Fixed,
    max_withdraw_amount: Fixed,
    margin_available: bool,
    update_time: i64,
}

impl<'a> BalanceJson<'a> {
    #[must_use]
    pub fn of(asset: &AssetMargin, account_alias: &'a str, opened: Timestamp) -> Self {
        Self {
            account_alias,
            asset: asset.asset,
            balance: money(asset.wallet.0),
            cross_wallet_balance: money(asset.cross_wallet.0),
            cross_un_pnl: money(asset.cross_unrealized.0),
            available_balance: money(asset.available.0),
            max_withdraw_amount: money(asset.withdrawable.0),
            margin_available: true,
            update_time: changed_at(asset, opened),
        }
    }
}

/// One row of `/positionRisk`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskJson {
    symbol: Symbol,
    position_side: PositionSide,
    position_amt: Fixed,
    entry_price: Plain,
    break_even_price: Plain,
    mark_price: Fixed,
    un_realized_profit: Fixed,
    liquidation_price: Plain,
    isolated_margin: Fixed,
    notional: Plain,
    isolated_wallet: Plain,
    #[serde(flatten)]
    rest: RiskRest,
    update_time: i64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RiskRest {
    Two(RiskTwo),
    Three(RiskThree),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RiskTwo {
    leverage: String,
    max_notional_value: Plain,
    margin_type: &'static str,
    is_auto_add_margin: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RiskThree {
    margin_asset: Asset,
    initial_margin: Plain,
    maint_margin: Plain,
    position_initial_margin: Plain,
    open_order_initial_margin: Plain,
    adl: u8,
    bid_notional: Plain,
    ask_notional: Plain,
}

impl RiskJson {
    #[must_use]
    pub fn of(position: &PositionRisk, scales: Scales, version: Version) -> Self {
        let rest = match version {
            Version::Two => RiskRest::Two(RiskTwo {
                leverage: position.leverage.to_string(),
                max_notional_value: Plain(position.notional_max.0),
                margin_type: if position.isolated { "isolated" } else { "cross" },
                is_auto_add_margin: "false",
            }),
            Version::Three => RiskRest::Three(RiskThree {
                margin_asset: position.margin_asset,
                initial_margin: Plain(position.initial.0),
                maint_margin: Plain(position.maintenance.0),
                position_initial_margin: Plain(position.position_initial.0),
                open_order_initial_margin: Plain(position.open_order_initial.0),
                adl: position.adl_quantile,
                bid_notional: Plain(position.bid_notional.0),
                ask_notional: Plain(position.ask_notional.0),
            }),
        };
        Self {
            symbol: position.symbol,
            position_side: position.position_side,
            position_amt: scales.quantity(position.quantity.0),
            entry_price: Plain(position.entry_price.0),
            break_even_price: Plain(position.break_even_price.0),
            mark_price: money(position.mark_price.0),
            un_realized_profit: money(position.unrealized.0),
            liquidation_price: Plain(position.liquidation_price.0),
            isolated_margin: money(position.isolated_margin.0),
            notional: Plain(position.notional.0),
            isolated_wallet: Plain(position.isolated_wallet.0),
            rest,
            update_time: position.updated_at.as_millis(),
        }
    }
}
