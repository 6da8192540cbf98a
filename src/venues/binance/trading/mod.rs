//! Trading at Binance and at what speaks like it, over HTTP and WebSocket: the venue port's shell. What decides is pure and beside it:
//! the weight budget, the order rate, the clock offset, the user stream. What is asked and read is the codec's.

pub mod account;
pub mod caller;
pub mod clock_offset;
pub mod lane;
pub mod link;
pub mod network;
pub mod orders;
pub mod rate;
pub mod setup;
pub mod snapshot;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod user_stream;
pub mod venue;
pub mod weight;
