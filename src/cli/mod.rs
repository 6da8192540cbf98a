//! The command line: one file per command. A command reads its arguments and settings, asks a part of the program, and
//! prints; what is decided is decided there. Tables and JSON go to stdout, everything else to stderr.
//!
//! Exit codes: 0 done, 1 failed, 2 bad usage or configuration.

mod alerts;
mod audit;
mod audit_controls;
mod audit_row;
mod backtest;
mod cancel;
mod check;
mod client;
mod data;
pub mod data_features;
pub mod data_inspect;
mod exchange;
mod failure;
mod flatten;
mod halt;
mod inject;
mod kill;
pub(crate) mod output;
mod override_limits;
mod restart;
mod resume;
mod run;
pub mod screen;
mod simulate;
mod status;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::StrategyValidator;

pub use backtest::BacktestOptions;
pub use failure::Failure;
pub use kill::{AccountKilled, KillOptions, KillReport};
pub use run::RunOptions;

/// What the commands hand over to: the parts of the program that lie above them.
pub struct Parts<'p> {
    pub run: &'p dyn Fn(RunOptions) -> Result<(), Failure>,
    pub backtest: &'p dyn Fn(BacktestOptions) -> Result<(), Failure>,
    /// Empties accounts at their venues.
    pub kill: &'p dyn Fn(&KillOptions) -> Result<KillReport, Failure>,
    /// Judges a strategy's kind and settings.
    pub validator: &'p StrategyValidator<'p>,
}

#[derive(Debug, Parser)]
#[command(name = "ringfence", version, about = "Trades many accounts on crypto exchanges and keeps each of them ring-fenced")]
#[command(after_help = "Without a command it is `ringfence run`: the daemon with its built-in settings.\n\n\
    Example: ringfence run\n\n\
    Exit codes: 0 done, 1 failed, 2 bad usage or configuration.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Status(status::Arguments),
    Halt(halt::Arguments),
    Resume(resume::Arguments),
    Override(override_limits::Arguments),
    Cancel(cancel::Arguments),
    Flatten(flatten::Arguments),
    Kill(kill::Arguments),
    Restart(restart::Arguments),
    Inject(inject::Arguments),
    Alerts(alerts::Arguments),
    Backtest(backtest::Arguments),
    Simulate(simulate::Arguments),
    Audit(audit::Arguments),
    Data(data::Arguments),
    Exchange(exchange::Arguments),
}

impl Command {
    /// What is meant when nothing is said.
    fn daemon() -> Self {
        Self::Run(run::Arguments::default())
    }
}

/// Does what the command line asks and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>, parts: &Parts<'_>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to stdout; a closed pipe is nobody's failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(cli.command.unwrap_or_else(Command::daemon), parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn execute(command: Command, parts: &Parts<'_>) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => run::execute(arguments, parts),
        Command::Check(arguments) => check::execute(arguments, parts),
        Command::Status(arguments) => status::execute(arguments),
        Command::Alerts(arguments) => alerts::execute(arguments),
        Command::Halt(arguments) => halt::execute(arguments),
        Command::Resume(arguments) => resume::execute(arguments),
        Command::Override(arguments) => override_limits::execute(arguments),
        Command::Cancel(arguments) => cancel::execute(arguments),
        Command::Flatten(arguments) => flatten::execute(arguments),
        Command::Kill(arguments) => kill::execute(arguments, parts),
        Command::Restart(arguments) => restart::execute(arguments),
        Command::Inject(arguments) => inject::execute(arguments),
        Command::Backtest(arguments) => backtest::execute(arguments, parts),
        Command::Simulate(arguments) => simulate::execute(&arguments),
        Command::Audit(arguments) => audit::execute(arguments),
        Command::Data(arguments) => data::execute(arguments),
        Command::Exchange(arguments) => exchange::execute(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn each(command: &clap::Command, path: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            visit(&path, sub);
            each(sub, &path, visit);
        }
    }

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        each(&command, "ringfence", &mut |path, sub| {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example: ringfence ") || sub.has_subcommands(), "{path} shows no example");
            assert!(sub.get_about().is_some(), "{path} does not say what it does");
        });
    }
    #[test]
    fn without_a_command_the_daemon_runs_with_its_built_in_settings() {
        let ran = std::cell::RefCell::new(Vec::new());
        let run = |options: RunOptions| {
            ran.borrow_mut().push((options.source.file, options.source.data_dir, options.plain));
            Ok(())
        };
        let parts = Parts { run: &run, backtest: &|_| Ok(()), kill: &|_| Err(Failure::failed("not asked for")), validator: &|_, _| Ok(()) };
        for arguments in [&["ringfence"][..], &["ringfence", "run"]] {
            main(arguments.iter().map(OsString::from), &parts);
        }
        assert_eq!(*ran.borrow(), [(None, None, false), (None, None, false)]);
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("Without a command it is `ringfence run`"), "{help}");
    }
}
