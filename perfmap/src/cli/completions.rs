//! The command line's description → shell completions and the manual page, on standard output.

use std::io::Write;

use clap::CommandFactory;

use super::{args::Args, errors::Failure};

pub fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "perfmap", &mut text);
    print(&text)
}

/// One page: the main one, then each subcommand's.
pub fn man() -> Result<u8, Failure> {
    let mut text = Vec::new();
    let mut command = Args::command();
    command.build();
    let rendered = clap_mangen::Man::new(command.clone()).render(&mut text).and_then(|()| {
        let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
        visible.cloned().try_for_each(|sub| {
            let page = clap_mangen::Man::new(sub);
            page.render_name_section(&mut text)?;
            page.render_synopsis_section(&mut text)?;
            page.render_options_section(&mut text)?;
            page.render_extra_section(&mut text)
        })
    });
    rendered.map_err(|error| Failure::Internal { what: format!("the manual page: {error}") })?;
    print(&text)
}

/// A closed pipe (`| head`) is no error.
pub fn print(bytes: &[u8]) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::Output { path: "standard output".into(), error }),
    }
}
