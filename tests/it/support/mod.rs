//! What several integration tests need.

pub mod daemon;
pub mod exchange;
pub mod inside;
pub mod io_faults;
pub mod ledger;
pub mod otlp;
pub mod skip;
pub mod stage;

/// Five mistakes of five kinds: an unknown key, a float for money, a value out of range, an unknown account, a time without
/// a unit.
pub const FIVE_MISTAKES: &str = r#"[daemon]
data_dri = "./elsewhere"

[risk]
max_order_value = 5000.50
price_collar = "1.5"

[[strategies]]
id = "trend"
kind = "ema_cross"
accounts = ["alhpa"]
symbols = ["BTCUSDT"]
interval = 5
"#;
