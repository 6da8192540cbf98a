//! Binance, spot and USD-M.

pub mod connection;
pub mod interval;
pub mod market;
pub mod rest;
