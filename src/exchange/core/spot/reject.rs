//! What only spot refuses, in the venue's numbers and words.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpotReject {
    IcebergParts,
    IcebergTooLarge,
    MarketLotSize,
    TrailingDelta,
    MaxPosition,
    MaxLists,
    MaxAmends,
    /// `newQty` is not below the quantity.
    AmendIncrease,
    AmendNothing,
    AmendUnknown,
    /// `newQty` leaves nothing to trade.
    AmendTooFar,
    PreventionNotAllowed,
    UnsupportedCombination,
    BadPairPrices,
    DuplicateList,
    /// Nobody to trade a quote quantity with.
    NoLiquidity,
    LiquidityBelowLot,
    CancelRestricted,
    /// The order id is another client id's.
    NamesDiffer,
    NoSuchOrder,
    /// USD-M's business.
    NotSpot,
    /// None, negative, or more than anybody has.
    BadAmount,
}

impl SpotReject {
    #[must_use]
    pub const fn words(self) -> (i32, &'static str) {
        match self {
            Self::IcebergParts => (-1013, "Filter failure: ICEBERG_PARTS"),
            Self::IcebergTooLarge => (-2010, "IcebergQty exceeds QTY."),
            Self::MarketLotSize => (-1013, "Filter failure: MARKET_LOT_SIZE"),
            Self::TrailingDelta => (-1013, "Filter failure: TRAILING_DELTA"),
            Self::MaxPosition => (-1013, "Filter failure: MAX_POSITION"),
            Self::MaxLists => (-1013, "Filter failure: MAX_NUM_ORDER_LISTS"),
            Self::MaxAmends => (-2038, "Filter failure: MAX_NUM_ORDER_AMENDS"),
            Self::AmendIncrease => (-2038, "Order amend (quantity increase) is not supported."),
            Self::AmendNothing => (-2038, "The requested action would change no state; rejecting."),
            Self::AmendUnknown => (-2038, "Unknown order sent."),
            Self::AmendTooFar => (-2038, "Unsupported order combination"),
            Self::PreventionNotAllowed => (-1013, "This symbol does not allow the specified self-trade prevention mode."),
            Self::UnsupportedCombination => (-1014, "Unsupported order combination."),
            Self::BadPairPrices => (-2010, "The relationship of the prices for the orders is not correct."),
            Self::DuplicateList => (-2010, "Duplicate order sent."),
            Self::NoLiquidity => (-2010, "Order book liquidity is less than symbol minimum quantity."),
            Self::LiquidityBelowLot => (-2010, "Order book liquidity is less than `LOT_SIZE` filter minimum quantity."),
            Self::CancelRestricted => (-2011, "Order was not canceled due to cancel restrictions."),
            Self::NamesDiffer => (-2039, "Client order ID is not correct for this order ID."),
            Self::NoSuchOrder => (-2013, "Order does not exist."),
            Self::NotSpot => (-1020, "This operation is not supported."),
            Self::BadAmount => (-1102, "Mandatory parameter 'amount' was not sent, was empty/null, or malformed."),
        }
    }
}
