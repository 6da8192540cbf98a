//! The two legs of a pair, as an OCO has them and as an OTOCO has pending: an order above the market and one below it, of which
//! one is a stop and the other takes profit.

use rust_decimal::Decimal;

use crate::domain::ids::Symbol;
use crate::domain::order::{SelfTradePrevention, Side};
use crate::exchange::wire::{Parameters, Problem};

use super::parse::{self, Common, Draft, Names, Type};

const NOT_SUPPORTED: Problem = Problem::of(-1158, "Order type not supported in OCO.");

/// What both legs have.
#[derive(Debug, Clone, Copy)]
pub struct Shared {
    pub symbol: Symbol,
    pub side: Side,
    pub quantity: Decimal,
    pub prevention: SelfTradePrevention,
}

impl Shared {
    pub const fn of(self, r#type: Type) -> Common {
        Common { symbol: self.symbol, side: self.side, r#type, quantity: Some(self.quantity), prevention: self.prevention }
    }
}

/// Both legs, the stop first as the venue shows them. `prefix` stands before `aboveType` and so on.
pub fn above_and_below(parameters: &Parameters, prefix: &str, shared: Shared) -> Result<Vec<Draft>, Problem> {
    let name =
        |word: &str| if prefix.is_empty() { word.to_owned() } else { format!("{prefix}{}{}", word[..1].to_ascii_uppercase(), &word[1..]) };
    let (above, below) = (name("above"), name("below"));
    let r#type = |leg: &str| parameters.required(&format!("{leg}Type"))?.parse::<Type>().map_err(|_| NOT_SUPPORTED);
    let types = (r#type(&above)?, r#type(&below)?);
    check_types(shared.side, types.0, types.1)?;
    let leg = |prefix: &str, r#type| parse::order(parameters, &Names::prefixed(prefix), shared.of(r#type));
    let (first, second) = (leg(&above, types.0)?, leg(&below, types.1)?);
    Ok(if types.0.is_stop() { vec![first, second] } else { vec![second, first] })
}

/// One stop and one that takes profit, each on its side of the market.
fn check_types(side: Side, above: Type, below: Type) -> Result<(), Problem> {
    let pairs = |leg: Type| leg.has_trigger() || leg == Type::LimitMaker;
    if !pairs(above) || !pairs(below) {
        return Err(NOT_SUPPORTED);
    }
    if !above.has_trigger() && !below.has_trigger() {
        return Err(Problem::of(-1168, "At least one OCO order must be contingent."));
    }
    let wrong = |leg: Type, is_above: bool| match (side, leg) {
        (Side::Buy, Type::LimitMaker) if is_above => Some(Problem::of(-1165, "A limit order in a buy OCO must be below.")),
        (Side::Sell, Type::LimitMaker) if !is_above => Some(Problem::of(-1166, "A limit order in a sell OCO must be above.")),
        (Side::Buy, leg) if leg.is_stop() && !is_above => Some(Problem::of(-1196, "A stop loss order in a buy OCO must be above.")),
        (Side::Sell, leg) if leg.is_stop() && is_above => Some(Problem::of(-1197, "A stop loss order in a sell OCO must be below.")),
        (Side::Buy, leg) if leg.is_take_profit() && is_above => Some(Problem::of(-1198, "A take profit order in a buy OCO must be below.")),
        (Side::Sell, leg) if leg.is_take_profit() && !is_above => {
            Some(Problem::of(-1199, "A take profit order in a sell OCO must be above."))
        }
        _ => None,
    };
    wrong(above, true).or_else(|| wrong(below, false)).map_or(Ok(()), Err)
}

/// The legs of the old `order/oco`: a limit that makes, and a stop with or without a limit.
pub fn old(parameters: &Parameters, shared: Shared) -> Result<Vec<Draft>, Problem> {
    let limited = parameters.has("stopLimitPrice");
    let stop = Names {
        client: "stopClientOrderId".to_owned(),
        price: "stopLimitPrice".to_owned(),
        stop: "stopPrice".to_owned(),
        trailing: "trailingDelta".to_owned(),
        iceberg: "stopIcebergQty".to_owned(),
        time_in_force: "stopLimitTimeInForce".to_owned(),
        strategy_id: "stopStrategyId".to_owned(),
        strategy_type: "stopStrategyType".to_owned(),
        pegs: Vec::new(),
    };
    let limit = Names {
        client: "limitClientOrderId".to_owned(),
        price: "price".to_owned(),
        stop: "limitStopPrice".to_owned(),
        trailing: "limitTrailingDelta".to_owned(),
        iceberg: "limitIcebergQty".to_owned(),
        time_in_force: "limitTimeInForce".to_owned(),
        strategy_id: "limitStrategyId".to_owned(),
        strategy_type: "limitStrategyType".to_owned(),
        pegs: Vec::new(),
    };
    let stop_type = if limited { Type::StopLossLimit } else { Type::StopLoss };
    Ok(vec![parse::order(parameters, &stop, shared.of(stop_type))?, parse::order(parameters, &limit, shared.of(Type::LimitMaker))?])
}
