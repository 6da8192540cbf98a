//! Refusals that only USD-M knows, in the venue's numbers and words. No logic.

/// Why the exchange refuses a setting or a USD-M order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsdmReject {
    /// `-2027`: the position and its orders would be worth more than this leverage carries.
    MaxNotional,
    /// `-2028`: a lower leverage needs more margin than there is.
    LeverageTooLow,
    InvalidLeverage,
    PriceTooHighForFilter,
    PriceTooLowForFilter,
    SameMarginType,
    MarginTypeWithOrders,
    MarginTypeWithPosition,
    MarginNotIsolated,
    CrossBalance,
    IsolatedBalance,
    MarginWithoutPosition,
    AmountNotPositive,
    SamePositionMode,
    PositionModeWithOrders,
    PositionModeWithPosition,
    ActivationPrice,
    QuantityWithClosePosition,
    /// `GTE_GTC` where there is nothing to reduce.
    WithoutPosition,
    /// A conditional order's limit too far from its own trigger.
    PriceTooHighForTrigger,
    PriceTooLowForTrigger,
    TriggerTooHigh,
    AmountTooLarge,
    IsolatedLeverageReduction,
    MultiAssetsWithIsolated,
    IsolatedWithMultiAssets,
    MultiAssetsWithOrders,
    SameMultiAssets,
    ModifySide,
    ModifyNotLimit,
    ModifyTooOften,
    ModifySame,
    BalanceTooSmall,
}

impl UsdmReject {
    /// Code and message of the venue.
    #[must_use]
    pub const fn words(self) -> (i32, &'static str) {
        match self {
            Self::MaxNotional => (-2027, "Exceeded the maximum allowable position at current leverage."),
            Self::LeverageTooLow => (-2028, "Leverage is smaller than permitted: insufficient margin balance."),
            Self::InvalidLeverage => (-4028, "Invalid leverage"),
            Self::PriceTooHighForFilter => (-4002, "Price greater than max price."),
            Self::PriceTooLowForFilter => (-4013, "Price less than min price."),
            Self::SameMarginType => (-4046, "No need to change margin type."),
            Self::MarginTypeWithOrders => (-4047, "Margin type cannot be changed if there exists open orders."),
            Self::MarginTypeWithPosition => (-4048, "Margin type cannot be changed if there exists position."),
            Self::MarginNotIsolated => (-4049, "Add margin only support for isolated position."),
            Self::CrossBalance => (-4050, "Cross balance insufficient."),
            Self::IsolatedBalance => (-4051, "Isolated balance insufficient."),
            Self::MarginWithoutPosition => (-4054, "Cannot add position margin: position is 0."),
            Self::AmountNotPositive => (-4055, "Amount must be positive."),
            Self::SamePositionMode => (-4059, "No need to change position side."),
            Self::PositionModeWithOrders => (-4067, "Position side cannot be changed if there exists open orders."),
            Self::PositionModeWithPosition => (-4068, "Position side cannot be changed if there exists position."),
            Self::ActivationPrice => (-4135, "Invalid activation price"),
            Self::QuantityWithClosePosition => (-4137, "Quantity must be zero with closePosition equals true"),
            Self::WithoutPosition => {
                (-4509, "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.")
            }
            Self::PriceTooHighForTrigger => (-4183, "Price is higher than stop price multiplier cap."),
            Self::PriceTooLowForTrigger => (-4184, "Price is lower than stop price multiplier floor."),
            Self::TriggerTooHigh => (-4007, "Stop price greater than max price."),
            Self::AmountTooLarge => (-1111, "Precision is over the maximum defined for this asset."),
            Self::IsolatedLeverageReduction => (-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions"),
            Self::MultiAssetsWithIsolated => {
                (-4167, "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode.")
            }
            Self::IsolatedWithMultiAssets => (-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode."),
            Self::MultiAssetsWithOrders => (-4170, "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures."),
            Self::SameMultiAssets => (-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly."),
            Self::ModifySide => (-1117, "Invalid side."),
            Self::ModifyNotLimit => (-5025, "Only limit order is supported."),
            Self::ModifyTooOften => (-5026, "Exceed maximum modify order limit."),
            Self::ModifySame => (-5027, "No need to modify the order."),
            Self::BalanceTooSmall => (-2018, "Balance is insufficient."),
        }
    }
}
