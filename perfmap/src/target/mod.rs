//! The command to be measured → a process that is held until everything is attached, then runs as it would have run
//! without us: the user's identity, environment, terminal and signals.
//!
//! Does not know what is measured, nor why. [`Held`] is a process that has not executed anything yet, [`Running`] one
//! that was let go, [`Remote`] a handle that can signal it from anywhere without ever hitting a reused pid.

pub mod capabilities;
mod command;
mod environment;
mod fork;
mod held;
mod identity;
mod names;
mod output;
mod program;
mod programs;
mod project;
mod running;
mod selected;
mod signals;
mod terminal;

pub use capabilities::{Capabilities, Capability};
pub use command::Command;
pub use environment::Source as EnvironmentSource;
pub use held::{Held, LaunchError};
pub use identity::{Identity, IdentityError, Invocation};
pub use names::{Asked, Runtime, ask, asked_of, runtime_of};
pub use output::{Ends, Listener, Relay};
pub use program::{NotFound, find as find_program};
pub use programs::programs;
pub use project::{Project, add_root, discover as discover_project, of_process as project_of_process};
pub use running::{Remote, Running};
pub use selected::{SelectError, Selector, select};
pub use signals::{Escalation, Pending, Signals, Step, name as signal_name};

#[cfg(test)]
mod tests;
