//! What was typed → a plan with every decision taken and checked → the other rooms, in order; console, exit codes.
//!
//! All text of perfmap's own goes to standard error; standard output has data only where it was asked for.

mod allocations;
mod args;
mod attach;
mod capture;
mod closer;
mod completions;
mod console;
mod container_roots;
mod diff;
mod discover;
mod discovered;
mod doctor;
mod errors;
mod fail_on;
mod instrument;
mod java_names;
mod norms;
mod own_profiles;
mod pipeline;
mod plan;
mod play;
mod progress;
mod read;
mod replay;
mod runner;
mod sample;
mod scale;
mod scale_args;
mod services;
mod sweep;
mod trace;
mod work;
mod workers;

use clap::Parser;

use args::{Args, Subcommand};
use console::Console;
use errors::Failure;

/// Everything that `main` does; gives the exit code.
pub fn main() -> u8 {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // clap's own: help and version to standard output with 0, mistakes to standard error with 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    // Before anything of another's is read or started.
    crate::collect::drop_needless_capabilities();
    let console = Console::new(args.quiet, args.verbose, args.no_color);
    match dispatch(args.command, &console) {
        Ok(code) => code,
        Err(failure) => {
            console.failure(&failure);
            failure.exit_code()
        }
    }
}

fn dispatch(command: Subcommand, console: &Console) -> Result<u8, Failure> {
    match command {
        Subcommand::Trace(typed) => trace::trace(&typed, console),
        Subcommand::Scale(typed) => scale::scale(&typed, console),
        Subcommand::Attach(typed) => attach::attach(&typed, console),
        Subcommand::Discover(typed) => discover::discover(&typed, console),
        Subcommand::Report(typed) => replay::replay(&typed, console),
        Subcommand::Diff(typed) => diff::diff(&typed, console),
        Subcommand::Doctor => doctor::doctor(console),
        Subcommand::Completions { shell } => completions::completions(shell),
        Subcommand::Man => completions::man(),
        Subcommand::ReadInterpreters => Ok(crate::collect::read_interpreters()),
        Subcommand::Play { arguments } => Ok(play::play(&arguments)?),
    }
}
