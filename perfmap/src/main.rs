//! See [`perfmap::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(perfmap::cli::main())
}
