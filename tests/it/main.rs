//! One binary for all integration tests, one file per behaviour: links stay few.

mod recorded_market;
mod exchange_recording;
