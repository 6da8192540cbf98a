//! Binance, spot and USD-M.

pub mod market;
