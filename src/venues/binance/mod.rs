//! Binance, spot and USD-M.

pub mod codec;
pub mod connection;
pub mod feeds;
pub mod handover;
pub mod interval;
pub mod market;
pub mod rest;
pub mod sign;
pub mod trading;
