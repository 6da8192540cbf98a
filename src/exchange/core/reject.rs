//! The exchange's definite refusals, in Binance's numbers and words: USD-M has a number for each, spot says most of them
//! under -1013 and -2010.

use super::margin::UsdmReject;
use super::spot::SpotReject;

/// Why the exchange refuses an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    UnknownSymbol,
    UnknownAccount,
    UnknownOrder,
    DuplicateClientOrderId,
    QuantityNotPositive,
    QuantityTooSmall,
    QuantityTooLarge,
    QuantityOffGrid,
    PriceNotPositive,
    PriceOffGrid,
    TriggerNotPositive,
    PriceTooHigh,
    PriceTooLow,
    MarketOutsideBand,
    NoMarket,
    NotionalTooSmall,
    PositionSideMismatch,
    ReduceOnly,
    WouldTrigger,
    WouldTake,
    CannotFillWhole,
    TooManyOrders,
    TooManyStops,
    Margin,
    /// What only spot refuses.
    Spot(SpotReject),
    /// What only USD-M refuses.
    Usdm(UsdmReject),
}

impl From<UsdmReject> for Reject {
    fn from(reject: UsdmReject) -> Self {
        Self::Usdm(reject)
    }
}

pub const UNKNOWN_ORDER: i32 = -2011;
pub const UNKNOWN_ORDER_TEXT: &str = "Unknown order sent.";

impl Reject {
    /// Code and message of the venue: USD-M's, or spot's.
    #[must_use]
    pub const fn words(self, spot: bool) -> (i32, &'static str) {
        if spot { self.spot() } else { self.usdm() }
    }

    const fn usdm(self) -> (i32, &'static str) {
        match self {
            Self::UnknownSymbol => (-1121, "Invalid symbol."),
            Self::UnknownAccount => (-2015, "Invalid API-key, IP, or permissions for action."),
            Self::UnknownOrder => (UNKNOWN_ORDER, UNKNOWN_ORDER_TEXT),
            Self::DuplicateClientOrderId => (-4116, "ClientOrderId is duplicated."),
            Self::QuantityNotPositive => (-4003, "Quantity less than or equal to zero."),
            Self::QuantityTooSmall => (-4004, "Quantity less than min quantity."),
            Self::QuantityTooLarge => (-4005, "Quantity greater than max quantity."),
            Self::QuantityOffGrid => (-4023, "Qty not increased by step size."),
            Self::PriceNotPositive => (-4001, "Price less than 0."),
            Self::PriceOffGrid => (-4014, "Price not increased by tick size."),
            Self::TriggerNotPositive => (-4006, "Stop price less than zero."),
            Self::PriceTooHigh => (-4016, "Price is higher than mark price multiplier cap."),
            Self::PriceTooLow => (-4024, "Price is lower than mark price multiplier floor."),
            Self::MarketOutsideBand => (-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."),
            Self::NoMarket => (-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit: there is no price yet."),
            Self::NotionalTooSmall => (-4164, "Order's notional must be no smaller than the minimum (unless you choose reduce only)."),
            Self::PositionSideMismatch => (-4061, "Order's position side does not match user's setting."),
            Self::ReduceOnly => (-2022, "ReduceOnly Order is rejected."),
            Self::WouldTrigger => (-2021, "Order would immediately trigger."),
            Self::WouldTake => (-5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."),
            Self::CannotFillWhole => (-5021, "Due to the order could not be filled immediately, the FOK order has been rejected."),
            Self::TooManyOrders => (-2025, "Reach max open order limit."),
            Self::TooManyStops => (-4045, "Reach max stop order limit."),
            Self::Margin => (-2019, "Margin is insufficient."),
            Self::Spot(reject) => reject.words(),
            Self::Usdm(reject) => reject.words(),
        }
    }

    const fn spot(self) -> (i32, &'static str) {
        match self {
            Self::DuplicateClientOrderId => (-2010, "Duplicate order sent."),
            Self::QuantityNotPositive | Self::QuantityTooSmall | Self::QuantityTooLarge | Self::QuantityOffGrid => {
                (-1013, "Filter failure: LOT_SIZE")
            }
            Self::PriceNotPositive | Self::PriceOffGrid | Self::TriggerNotPositive => (-1013, "Filter failure: PRICE_FILTER"),
            Self::PriceTooHigh | Self::PriceTooLow | Self::MarketOutsideBand | Self::NoMarket => {
                (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")
            }
            Self::NotionalTooSmall => (-1013, "Filter failure: NOTIONAL"),
            Self::TooManyOrders => (-1013, "Filter failure: MAX_NUM_ORDERS"),
            Self::TooManyStops => (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"),
            Self::WouldTrigger => (-2010, "Order would trigger immediately."),
            Self::WouldTake => (-2010, "Order would immediately match and take."),
            Self::Margin => (-2010, "Account has insufficient balance for requested action."),
            Self::ReduceOnly | Self::PositionSideMismatch => (-1106, "Parameter 'reduceOnly' or 'positionSide' sent when not required."),
            Self::UnknownSymbol | Self::UnknownAccount | Self::UnknownOrder | Self::CannotFillWhole | Self::Spot(_) | Self::Usdm(_) => {
                self.usdm()
            }
        }
    }
}
