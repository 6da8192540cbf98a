//! What all seeds of a run share: the daemon's settings, read as a file would be, the instruments and the strategies. Built once;
//! a seed copies what it changes.

use std::sync::Arc;

use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind, Ticks};
use crate::domain::risk::limits::RiskLimits;
use crate::domain::time::Timestamp;
use crate::exchange::sources::synthetic::SyntheticSymbol;
use crate::exchange::{AccountSetup, instruments};
use crate::settings::Settings;
use crate::strategies::{Kind, Registry};

use super::restless::Restless;
use super::venue::VenueSetup;

/// The world's time zero: noon of some day, so that no day ends by itself within a run.
pub const START: Timestamp = Timestamp(1_767_182_400_000_000_000);

/// The file of the simulated daemon: three accounts of one owner, one of which closes its positions when it is killed, and a
/// strategy for each way of sharing them.
const SETTINGS: &str = r#"
[[accounts]]
id = "alpha"
starting_funds = "100000"

[[accounts]]
id = "beta"
starting_funds = "50000"
on_kill = "flatten"

[[accounts]]
id = "gamma"
starting_funds = "25000"

[[symbols]]
name = "BTCUSDT"

[[symbols]]
name = "ETHUSDT"

[risk]
max_order_value = "5000"
max_position_value = "20000"
max_daily_loss = "2500"
max_capital = "90000"

[risk.symbols.BTCUSDT]
max_order_quantity = "0.5"

[risk.symbols.ETHUSDT]
max_order_quantity = "5"

[[strategies]]
id = "both"
kind = "restless"
accounts = ["*"]
symbols = ["*"]
interval = "1s"
settings = { seed = 1, every_ms = 700 }

[[strategies]]
id = "bitcoin"
kind = "restless"
accounts = ["alpha", "beta"]
symbols = ["BTCUSDT"]
interval = "1s"
settings = { seed = 2, every_ms = 900 }

[[strategies]]
id = "ether"
kind = "restless"
accounts = ["gamma"]
symbols = ["ETHUSDT"]
interval = "1s"
settings = { seed = 3, every_ms = 1100 }
"#;

#[derive(Debug, Clone)]
pub struct Scene {
    pub settings: Settings,
    pub registry: Registry,
    pub instruments: Vec<Instrument>,
    pub accounts: Vec<AccountId>,
    pub symbols: Vec<Symbol>,
    pub strategies: Vec<StrategyId>,
    pub limits: RiskLimits,
}

impl Scene {
    /// # Errors
    /// When its own settings are refused: the settings' rules changed and this file was not changed with them.
    pub fn new() -> Result<Self, String> {
        let registry = Registry::default().with(Kind::of::<Restless>());
        let source = crate::settings::SourceText::new("simulation.toml", SETTINGS);
        let validator = |kind: &str, settings: &serde_json::Value| registry.validate(kind, settings);
        let settings = Settings::read(Some(&source), std::iter::empty(), &validator)
            .map_err(|problems| format!("the simulation's settings expected to be valid, found: {problems}"))?;
        let listed: Vec<Instrument> = settings
            .enabled_symbols()
            .filter_map(|spec| Some(spec.instrument.apply(instruments::bundled(InstrumentKind::Perpetual, spec.name)?)))
            .collect();
        Ok(Self {
            accounts: settings.enabled_accounts().map(|account| account.id).collect(),
            symbols: listed.iter().map(|instrument| instrument.symbol).collect(),
            strategies: settings.enabled_strategies().map(|spec| spec.id).collect(),
            limits: settings.risk_limits(&listed),
            instruments: listed,
            registry,
            settings,
        })
    }

    #[must_use]
    pub fn venue(&self) -> VenueSetup {
        let opens = |instrument: &Instrument| {
            let price = SyntheticSymbol::named(InstrumentKind::Perpetual, instrument.symbol).opens_at;
            instrument.ticks(instrument.price_down(price)).unwrap_or(Ticks(10_000))
        };
        let account = |spec: &crate::settings::AccountSpec| {
            (spec.id, AccountSetup { deposit: spec.starting_funds, owner: 0, hedge: spec.hedge_mode })
        };
        VenueSetup {
            start: START,
            instruments: self.instruments.iter().map(|instrument| (instrument.clone(), opens(instrument))).collect(),
            accounts: self.settings.enabled_accounts().map(account).collect(),
            recv_window: self.accounts.first().map_or_else(Default::default, |account| self.settings.recv_window(*account)),
        }
    }

    /// Shared by all threads of a run.
    ///
    /// # Errors
    /// As `new`.
    pub fn shared() -> Result<Arc<Self>, String> {
        Self::new().map(Arc::new)
    }
}
