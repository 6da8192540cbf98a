//! What a user stream says, typed, of spot and of futures: the frame around an event, the answers that come over the same socket, and
//! the events. Nothing is decided here; `translate` says what an event means for an order.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::outcome::{Failure, refusal_of};
use super::product::Product;
use super::read::{MaybeId, MaybeNumber, Number, Text};

/// What of a frame that cannot be read is kept (F23).
const RAW_BYTES_MAX: usize = 2_048;

/// Why a frame is not understood. Its outcome is unknown: whoever listens reconciles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user event expected {expected}, found {raw:?}: {why}")]
pub struct FrameError {
    pub expected: String,
    pub why: String,
    /// The beginning of it, as it came.
    pub raw: String,
}

/// One frame of a user stream's socket.
#[derive(Debug)]
pub enum Frame<'a> {
    /// `subscription` tells accounts apart that share a connection (spot); `key` does on a combined stream of listen keys.
    Event { subscription: Option<u64>, key: Option<Text<'a>>, event: UserEvent<'a> },
    /// The answer to a request that was sent over the same socket.
    Answer(FrameAnswer<'a>),
}

/// The answer to a WebSocket-API request.
#[derive(Debug, Clone, Deserialize)]
pub struct FrameAnswer<'a> {
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    #[serde(default)]
    pub status: u16,
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub error: Option<FrameProblem<'a>>,
    #[serde(borrow, default, rename = "rateLimits")]
    pub rate_limits: Vec<RateLimitAnswer<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct FrameProblem<'a> {
    pub code: i64,
    #[serde(borrow, default)]
    pub msg: Text<'a>,
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// A limit and how much of it is used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitAnswer<'a> {
    #[serde(borrow)]
    pub rate_limit_type: Text<'a>,
    #[serde(borrow)]
    pub interval: Text<'a>,
    #[serde(default)]
    pub interval_num: u32,
    #[serde(default)]
    pub limit: u32,
    #[serde(default)]
    pub count: Option<u32>,
}

impl<'a> FrameAnswer<'a> {
    /// The id that the request was sent with.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.map_or("", |id| id.get().trim_matches('"'))
    }

    /// # Errors
    /// When it was not done, or that is not known.
    pub fn read<T: Deserialize<'a>>(&self, product: Product) -> Result<T, Failure> {
        if let Some(problem) = &self.error {
            return Err(match (self.status, refusal_of(product, problem.code, problem.msg.as_str())) {
                // The engine's own trouble, as 5xx over HTTP.
                (500.., failure) if failure.is_definite() && product.capabilities().server_errors_unknown => {
                    Failure::silence(format!("status {}: {failure}", self.status))
                }
                (418, Failure::RateLimited { code, message, retry_after, .. }) => {
                    Failure::RateLimited { code, message, retry_after, banned: true }
                }
                (_, failure) => failure,
            });
        }
        let body = self.result.map_or("null", RawValue::get);
        let unknown = |error: serde_json::Error| Failure::Unknown {
            why: format!("status {} with what is no answer: {error}", self.status),
            raw: excerpt(body).into_bytes(),
        };
        serde_json::from_str(body).map_err(unknown)
    }
}

/// What befell an account.
#[derive(Debug)]
pub enum UserEvent<'a> {
    SpotOrder(Box<SpotOrder<'a>>),
    SpotPosition(SpotPosition<'a>),
    SpotBalance(SpotBalance<'a>),
    SpotList(SpotList<'a>),
    SpotLock(SpotBalance<'a>),
    StreamTerminated,
    Order(Box<FuturesOrderEvent<'a>>),
    Account(AccountEvent<'a>),
    Algo(Box<AlgoEvent<'a>>),
    Trade(TradeLite<'a>),
    Config(ConfigEvent<'a>),
    MarginCall(MarginCall<'a>),
    TriggerRejected(TriggerRejected<'a>),
    ListenKeyExpired,
    ServerShutdown,
    /// One that nothing here needs: `GRID_UPDATE`, `STRATEGY_UPDATE`, announcements, what is new.
    Other(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    e: Option<Text<'a>>,
    #[serde(default, rename = "subscriptionId")]
    subscription: Option<u64>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stream: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Reads one frame of a user stream.
///
/// # Errors
/// When it is neither an event nor an answer.
pub fn read_frame(text: &str) -> Result<Frame<'_>, FrameError> {
    let envelope: Envelope<'_> = parse("a frame", text)?;
    let inside = envelope.event.or(envelope.data);
    if let Some(inside) = inside {
        let tag: Envelope<'_> = parse("an event", inside.get())?;
        let name = tag.e.ok_or_else(|| missing(inside.get()))?;
        let event = read_event(name.as_str(), inside.get())?;
        return Ok(Frame::Event { subscription: envelope.subscription, key: envelope.stream, event });
    }
    match envelope.e {
        Some(name) => Ok(Frame::Event { subscription: None, key: None, event: read_event(name.as_str(), text)? }),
        // A control answer of a market socket has an id and no status.
        None if envelope.status.is_some() || envelope.id.is_some() => Ok(Frame::Answer(parse("an answer", text)?)),
        None => Err(missing(text)),
    }
}

fn read_event<'a>(name: &str, text: &'a str) -> Result<UserEvent<'a>, FrameError> {
    Ok(match name {
        "executionReport" => UserEvent::SpotOrder(Box::new(parse(name, text)?)),
        "outboundAccountPosition" => UserEvent::SpotPosition(parse(name, text)?),
        "balanceUpdate" => UserEvent::SpotBalance(parse(name, text)?),
        "externalLockUpdate" => UserEvent::SpotLock(parse(name, text)?),
        "listStatus" => UserEvent::SpotList(parse(name, text)?),
        "eventStreamTerminated" => UserEvent::StreamTerminated,
        "ORDER_TRADE_UPDATE" => UserEvent::Order(Box::new(parse(name, text)?)),
        "ACCOUNT_UPDATE" => UserEvent::Account(parse(name, text)?),
        "ALGO_UPDATE" => UserEvent::Algo(Box::new(parse(name, text)?)),
        "TRADE_LITE" => UserEvent::Trade(parse(name, text)?),
        "ACCOUNT_CONFIG_UPDATE" => UserEvent::Config(parse(name, text)?),
        "MARGIN_CALL" => UserEvent::MarginCall(parse(name, text)?),
        "CONDITIONAL_ORDER_TRIGGER_REJECT" => UserEvent::TriggerRejected(parse(name, text)?),
        "listenKeyExpired" => UserEvent::ListenKeyExpired,
        "serverShutdown" => UserEvent::ServerShutdown,
        other => UserEvent::Other(other.chars().take(40).collect()),
    })
}

fn parse<'a, T: Deserialize<'a>>(expected: &str, text: &'a str) -> Result<T, FrameError> {
    serde_json::from_str(text).map_err(|error| FrameError { expected: expected.to_owned(), why: error.to_string(), raw: excerpt(text) })
}

fn missing(text: &str) -> FrameError {
    FrameError { expected: "a frame".to_owned(), why: "it has neither a name nor an id".to_owned(), raw: excerpt(text) }
}

fn excerpt(text: &str) -> String {
    let mut end = text.len().min(RAW_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// `executionReport`: one change of one spot order.
#[derive(Debug, Clone, Deserialize)]
pub struct SpotOrder<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    /// The order's id, or of a cancel the cancel's own.
    #[serde(borrow, rename = "c")]
    pub client_order_id: Text<'a>,
    /// Of a cancel or an amendment: the order's id.
    #[serde(borrow, default, rename = "C")]
    pub original_client_order_id: Option<Text<'a>>,
    #[serde(borrow, rename = "S")]
    pub side: Text<'a>,
    #[serde(borrow, rename = "x")]
    pub execution: Text<'a>,
    #[serde(borrow, rename = "X")]
    pub status: Text<'a>,
    #[serde(borrow, default, rename = "r")]
    pub reject_reason: Text<'a>,
    #[serde(rename = "i")]
    pub order_id: u64,
    #[serde(default, rename = "l")]
    pub last_quantity: MaybeNumber,
    #[serde(default, rename = "z")]
    pub filled: MaybeNumber,
    #[serde(default, rename = "L")]
    pub last_price: MaybeNumber,
    #[serde(default, rename = "n")]
    pub commission: MaybeNumber,
    #[serde(borrow, default, rename = "N")]
    pub commission_asset: Option<Text<'a>>,
    #[serde(rename = "T")]
    pub at: i64,
    /// -1 without a trade.
    #[serde(default, rename = "t")]
    pub trade_id: MaybeId,
    /// Of an allocation, which has no trade id.
    #[serde(default, rename = "a")]
    pub allocation_id: MaybeId,
    #[serde(default, rename = "m")]
    pub maker: bool,
}

/// `outboundAccountPosition`: the assets that may have changed.
#[derive(Debug, Clone, Deserialize)]
pub struct SpotPosition<'a> {
    #[serde(rename = "u")]
    pub at: i64,
    #[serde(borrow, rename = "B")]
    pub balances: Vec<SpotAmount<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SpotAmount<'a> {
    #[serde(borrow, rename = "a")]
    pub asset: Text<'a>,
    #[serde(rename = "f")]
    pub free: Number,
    #[serde(rename = "l")]
    pub locked: Number,
}

/// `balanceUpdate` and `externalLockUpdate`: money that came, went or was locked from outside.
#[derive(Debug, Clone, Deserialize)]
pub struct SpotBalance<'a> {
    #[serde(borrow, rename = "a")]
    pub asset: Text<'a>,
    #[serde(rename = "d")]
    pub delta: Number,
    #[serde(rename = "T")]
    pub at: i64,
}

/// `listStatus`: an order list as a whole; its orders have events of their own.
#[derive(Debug, Clone, Deserialize)]
pub struct SpotList<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(rename = "g")]
    pub list_id: i64,
    #[serde(borrow, rename = "l")]
    pub status: Text<'a>,
    #[serde(borrow, rename = "L")]
    pub order_status: Text<'a>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct FuturesOrderEvent<'a> {
    #[serde(borrow, rename = "o")]
    pub order: FuturesOrder<'a>,
}

/// `ORDER_TRADE_UPDATE`: one change of one futures order.
#[derive(Debug, Clone, Deserialize)]
pub struct FuturesOrder<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(borrow, rename = "c")]
    pub client_order_id: Text<'a>,
    #[serde(borrow, rename = "S")]
    pub side: Text<'a>,
    #[serde(borrow, default, rename = "ps")]
    pub position_side: Text<'a>,
    #[serde(borrow, rename = "x")]
    pub execution: Text<'a>,
    #[serde(borrow, rename = "X")]
    pub status: Text<'a>,
    #[serde(rename = "i")]
    pub order_id: u64,
    #[serde(default, rename = "l")]
    pub last_quantity: MaybeNumber,
    #[serde(default, rename = "z")]
    pub filled: MaybeNumber,
    #[serde(default, rename = "L")]
    pub last_price: MaybeNumber,
    #[serde(default, rename = "n")]
    pub commission: MaybeNumber,
    #[serde(borrow, default, rename = "N")]
    pub commission_asset: Option<Text<'a>>,
    #[serde(rename = "T")]
    pub at: i64,
    /// 0 without a trade.
    #[serde(default, rename = "t")]
    pub trade_id: MaybeId,
    #[serde(default, rename = "m")]
    pub maker: bool,
}

/// `ACCOUNT_UPDATE`: balances and positions that changed, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct AccountEvent<'a> {
    #[serde(default, rename = "T")]
    pub at: i64,
    #[serde(borrow, rename = "a")]
    pub change: AccountChange<'a>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AccountChange<'a> {
    #[serde(borrow, rename = "m")]
    pub reason: Text<'a>,
    #[serde(borrow, default, rename = "B")]
    pub balances: Vec<WalletChange<'a>>,
    #[serde(borrow, default, rename = "P")]
    pub positions: Vec<PositionChange<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct WalletChange<'a> {
    #[serde(borrow, rename = "a")]
    pub asset: Text<'a>,
    #[serde(rename = "wb")]
    pub wallet: Number,
    /// What changed it other than profit and commission.
    #[serde(default, rename = "bc")]
    pub change: MaybeNumber,
}

#[derive(Debug, Clone, Deserialize)]
pub struct PositionChange<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(borrow, default, rename = "ps")]
    pub position_side: Text<'a>,
    #[serde(rename = "pa")]
    pub quantity: Number,
    #[serde(rename = "ep")]
    pub entry_price: Number,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AlgoEvent<'a> {
    #[serde(default, rename = "T")]
    pub at: i64,
    #[serde(borrow, rename = "o")]
    pub order: AlgoOrder<'a>,
}

/// `ALGO_UPDATE`: one change of one conditional order.
#[derive(Debug, Clone, Deserialize)]
pub struct AlgoOrder<'a> {
    #[serde(borrow, rename = "caid")]
    pub client_algo_id: Text<'a>,
    #[serde(rename = "aid")]
    pub algo_id: u64,
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(borrow, rename = "X")]
    pub status: Text<'a>,
    /// The order that its trigger made.
    #[serde(default, rename = "ai")]
    pub actual_order_id: MaybeId,
    #[serde(default, rename = "aq")]
    pub actual_quantity: MaybeNumber,
    #[serde(borrow, default, rename = "rm")]
    pub reject_reason: Option<Text<'a>>,
}

/// `TRADE_LITE`: a trade before its order's event, without its fee: it says nothing that the other does not say better.
#[derive(Debug, Clone, Deserialize)]
pub struct TradeLite<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(borrow, rename = "c")]
    pub client_order_id: Text<'a>,
    #[serde(rename = "i")]
    pub order_id: u64,
    #[serde(rename = "t")]
    pub trade_id: u64,
}

/// `ACCOUNT_CONFIG_UPDATE`: leverage of a symbol, or the account's modes.
#[derive(Debug, Clone, Deserialize)]
pub struct ConfigEvent<'a> {
    #[serde(borrow, default, rename = "ac")]
    pub symbol: Option<LeverageChange<'a>>,
    #[serde(default, rename = "ai")]
    pub account: Option<ModesChange>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct LeverageChange<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(rename = "l")]
    pub leverage: u8,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ModesChange {
    #[serde(default, rename = "j")]
    pub multi_assets: bool,
    /// Aster.
    #[serde(default, rename = "d")]
    pub hedge: Option<bool>,
}

/// `MARGIN_CALL`: positions near liquidation.
#[derive(Debug, Clone, Deserialize)]
pub struct MarginCall<'a> {
    #[serde(borrow, default, rename = "p")]
    pub positions: Vec<CalledPosition<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct CalledPosition<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(default, rename = "pa")]
    pub quantity: MaybeNumber,
    #[serde(default, rename = "mm")]
    pub maintenance: MaybeNumber,
}

#[derive(Debug, Clone, Deserialize)]
pub struct TriggerRejected<'a> {
    #[serde(borrow, rename = "or")]
    pub order: RejectedTrigger<'a>,
}

/// `CONDITIONAL_ORDER_TRIGGER_REJECT`: a triggered order that the engine did not take.
#[derive(Debug, Clone, Deserialize)]
pub struct RejectedTrigger<'a> {
    #[serde(borrow, rename = "s")]
    pub symbol: Text<'a>,
    #[serde(rename = "i")]
    pub order_id: u64,
    #[serde(borrow, default, rename = "r")]
    pub reason: Text<'a>,
}
