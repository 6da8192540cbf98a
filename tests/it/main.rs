//! One binary for all integration tests, one file per behaviour: links stay few.

mod supervision;
