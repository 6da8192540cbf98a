//! The binary: the command line with the strategies that come with Ringfence.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringfence::app::main_with(ringfence::strategies::registry())
}
