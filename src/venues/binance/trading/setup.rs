//! What an account must be before it trades: a key that cannot move money, the position mode, the margin and the leverage that the
//! settings say. What is to be changed is decided by a pure function; the shell asks, changes, and asks again. An account that
//! is not as it should be opens nothing.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::account::Account;
use super::caller::{Caller, answer};
use super::weight::Purpose;
use crate::domain::ids::Symbol;
use crate::venues::binance::codec::answers::{
    AccountModes, DoneAnswer, KeyPermissions, LeverageAnswer, MultiAssetsAnswer, PositionModeAnswer, SymbolSettings,
};
use crate::venues::binance::codec::outcome::{Failure, is_no_change};
use crate::venues::binance::codec::product::{Product, Unsupported};
use crate::venues::binance::codec::request::Request;
use crate::venues::binance::codec::snapshot::symbol_settings as symbol_settings_of;

/// What the settings say of an account beyond its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    pub hedge: bool,
    /// Of every symbol that it trades; `None` leaves what is set.
    pub leverage: Option<u8>,
    pub isolated: Option<bool>,
}

/// Whether an account may open something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Standing {
    #[default]
    Unchecked,
    Good,
    /// Not as it must be, or not known to be.
    Barred(String),
}

/// Why an account is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// The venue could not be asked: nothing is wrong yet.
    Unasked(String),
    /// A person must change something.
    Wrong(String),
}

/// What was found wrong is looked at again after so long: a person may have changed it.
pub const LOOK_AGAIN_WRONG: Duration = Duration::from_secs(60);
/// And what could not be asked.
pub const LOOK_AGAIN_UNASKED: Duration = Duration::from_secs(5);

/// A change that makes a symbol as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Margin { symbol: Symbol, isolated: bool },
    Leverage { symbol: Symbol, leverage: u8 },
}

/// Margin before leverage: the one may be refused while the other's is too high.
#[must_use]
pub fn changes(wanted: Wanted, found: &[SymbolSettings]) -> Vec<Change> {
    let margin = |found: &SymbolSettings| wanted.isolated.filter(|isolated| *isolated != found.isolated);
    let leverage = |found: &SymbolSettings| wanted.leverage.filter(|leverage| *leverage != found.leverage);
    let each = found.iter().flat_map(|found| {
        let symbol = found.symbol;
        let margin = margin(found).map(|isolated| Change::Margin { symbol, isolated });
        margin.into_iter().chain(leverage(found).map(|leverage| Change::Leverage { symbol, leverage }))
    });
    each.collect()
}

/// Whether a key may be used, and what is to be said about it.
///
/// # Errors
/// Why it may not.
pub fn judge_key(product: Product, may: &KeyPermissions) -> Result<Option<&'static str>, String> {
    if may.can_move_money() {
        let what =
            "expected a key that can only trade, found one that may withdraw or transfer money; make a new key without these permissions";
        return Err(what.to_owned());
    }
    if !may.can_trade(product) {
        return Err("expected a key that may trade here, found one that may not; allow trading, and futures where it is futures".to_owned());
    }
    Ok((!may.ip_restrict).then_some("the key is not bound to an address: whoever has it can trade with it from anywhere"))
}

/// Makes the account as it should be.
///
/// # Errors
/// Why it is not.
pub async fn prepare(account: &Account) -> Result<(), NotReady> {
    check_key(account).await?;
    if !account.host().product.capabilities().leverage {
        return Ok(());
    }
    check_modes(account).await?;
    let found = symbol_settings(account).await?;
    for change in changes(account.wanted, &found) {
        apply(account, change).await?;
    }
    let left = changes(account.wanted, &symbol_settings(account).await?);
    if left.is_empty() { Ok(()) } else { Err(NotReady::Wrong(format!("expected the venue to take over {left:?}, found it as before"))) }
}

async fn check_key(account: &Account) -> Result<(), NotReady> {
    let Some(keys) = &account.key_host else { return Ok(()) };
    let request = keys.product().key_permissions();
    if let Err(none) = &request {
        // Aster has no such question.
        tracing::warn!(target: "ringfence::venues", account = %account.id, %none, "what the key may do cannot be asked here");
        return Ok(());
    }
    let may: KeyPermissions = ask(keys, request).await?;
    if let Some(warning) = judge_key(account.host().product, &may).map_err(NotReady::Wrong)? {
        tracing::warn!(target: "ringfence::venues", account = %account.id, warning, "key checked");
    }
    Ok(())
}

async fn check_modes(account: &Account) -> Result<(), NotReady> {
    let (caller, product, hedge) = (&account.trading, account.host().product, account.wanted.hedge);
    let found = modes(caller).await?;
    // The books have one currency: with several as margin together, what is shown of a wallet is not that currency's.
    if found.multi_assets_margin {
        let what = "expected one margin asset, found multi-assets mode; switch it off at the venue, its positions closed";
        return Err(NotReady::Wrong(what.to_owned()));
    }
    if found.dual_side_position == hedge {
        return Ok(());
    }
    change::<DoneAnswer>(caller, product.set_position_mode(hedge), "position mode").await
}

async fn modes(caller: &Caller) -> Result<AccountModes, NotReady> {
    let product = caller.product();
    if product.account_config().is_ok() {
        return ask(caller, product.account_config()).await;
    }
    let MultiAssetsAnswer { multi_assets_margin } = ask(caller, product.multi_assets_mode()).await?;
    let PositionModeAnswer { dual_side_position } = ask(caller, product.position_mode()).await?;
    Ok(AccountModes { dual_side_position, multi_assets_margin })
}

async fn symbol_settings(account: &Account) -> Result<Vec<SymbolSettings>, NotReady> {
    if account.wanted.leverage.is_none() && account.wanted.isolated.is_none() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for instrument in account.instruments().iter() {
        found.push(settings_of(&account.trading, instrument.symbol).await?);
    }
    Ok(found)
}

async fn settings_of(caller: &Caller, symbol: Symbol) -> Result<SymbolSettings, NotReady> {
    let product = caller.product();
    let request = product.symbol_config(symbol).or_else(|_| product.positions(Some(symbol)));
    let request = request.map_err(|error| NotReady::Wrong(error.to_string()))?;
    let reply = caller.reply(Purpose::Account, &request).await.map_err(not_ready)?;
    let told = symbol_settings_of(product, answer(&reply)).map_err(not_ready)?;
    told.into_iter()
        .find(|told| told.symbol == symbol)
        .ok_or_else(|| NotReady::Wrong(format!("expected the venue to tell the leverage of {symbol}, found that it does not")))
}

async fn apply(account: &Account, wanted: Change) -> Result<(), NotReady> {
    let (caller, product) = (&account.trading, account.host().product);
    match wanted {
        Change::Margin { symbol, isolated } => change::<DoneAnswer>(caller, product.set_margin_type(symbol, isolated), "margin type").await,
        Change::Leverage { symbol, leverage } => change::<LeverageAnswer>(caller, product.set_leverage(symbol, leverage), "leverage").await,
    }
}

async fn change<T: DeserializeOwned>(caller: &Caller, request: Result<Request, Unsupported>, what: &str) -> Result<(), NotReady> {
    let request = request.map_err(|error| NotReady::Wrong(error.to_string()))?;
    match caller.ask::<T>(Purpose::Account, &request).await {
        Ok(_) => Ok(()),
        Err(Failure::Refused { code, .. }) if is_no_change(code) => Ok(()),
        Err(failure) => Err(match not_ready(failure) {
            NotReady::Wrong(why) => NotReady::Wrong(format!("{what}: {why}")),
            unasked => unasked,
        }),
    }
}

async fn ask<T: DeserializeOwned>(caller: &Caller, request: Result<Request, Unsupported>) -> Result<T, NotReady> {
    let request = request.map_err(|error| NotReady::Wrong(error.to_string()))?;
    caller.ask(Purpose::Account, &request).await.map_err(not_ready)
}

fn not_ready(failure: Failure) -> NotReady {
    match failure {
        Failure::Refused { .. } => NotReady::Wrong(failure.to_string()),
        _ => NotReady::Unasked(failure.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(symbol: &str, leverage: u8, isolated: bool) -> SymbolSettings {
        SymbolSettings { symbol: Symbol::new(symbol).unwrap(), leverage, isolated }
    }

    #[test]
    fn only_what_differs_is_changed_and_margin_before_leverage() {
        let (btc, eth) = (found("BTCUSDT", 20, false), found("ETHUSDT", 5, true));
        let wanted = Wanted { hedge: false, leverage: Some(5), isolated: Some(true) };
        let expected = [Change::Margin { symbol: btc.symbol, isolated: true }, Change::Leverage { symbol: btc.symbol, leverage: 5 }];
        assert_eq!(changes(wanted, &[btc.clone(), eth.clone()]), expected);
        assert_eq!(changes(Wanted::default(), &[btc, eth]), [], "what the settings do not say stays as it is");
    }

    #[test]
    fn a_key_that_can_move_money_is_refused_and_one_that_anybody_may_use_is_warned_of() {
        let may = KeyPermissions { enable_futures: true, ip_restrict: true, ..KeyPermissions::default() };
        assert_eq!(judge_key(Product::BinanceUsdm, &may), Ok(None));
        assert!(judge_key(Product::BinanceSpot, &may).unwrap_err().contains("may trade"));
        assert!(judge_key(Product::BinanceUsdm, &KeyPermissions { ip_restrict: false, ..may }).unwrap().unwrap().contains("address"));
        for moves in [
            KeyPermissions { enable_withdrawals: true, ..may },
            KeyPermissions { enable_internal_transfer: true, ..may },
            KeyPermissions { permits_universal_transfer: true, ..may },
        ] {
            assert!(judge_key(Product::BinanceUsdm, &moves).unwrap_err().contains("withdraw or transfer"));
        }
    }
}
