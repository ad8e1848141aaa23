//! The project's own commands: what was typed → one function. Every command says what it will do before it does it.

mod bench;
mod build_ebpf;
mod checks;
mod demo;
mod fuzz;
mod gains;
mod margins;
mod setup;
mod shell;
mod tally;
mod test;
mod vmtest;

const USAGE: &str = "\
cargo xtask COMMAND

  demo                    build perfmap and trace the built-in example: api, tikal, mt-engine (sudo where not root)
  test [--unit]           install what is missing, run every check and test; --unit needs nothing but Rust
  setup                   install what the tests need, and only what is missing
  build-ebpf [--check]    make perfmap-ebpf/perfmap.bpf.o again; --check compares it with the committed one
  bench [--load|--scale|--means] [--pairs N]
                          overhead beside perf, py-spy and strace, of 64 workers, and under load; writes
                          docs/benchmarks.md (--load, --scale: that part alone); --means: the means of collecting
                          beside py-spy and samply, writes the table of docs/backends.md
  gains [--runs N] [RULE…]
                          what hints promise beside what their fixes save; writes the table of docs/gains.md (of some
                          rules: prints it)
  margins DIR             how far twins' figures are from what decides, from the results below DIR (RULE.bad/…, RULE.good/…,
                          made with --format json); writes the table of docs/classification.md
  fuzz [--seconds N] [TARGET…]
                          run every fuzz target for 60 s each (nightly Rust, cargo-fuzz); fails on a finding
  vmtest [--bin FILE] [SERIES…]
                          load every program and check answers on Debian's kernels 6.1 and 6.12, emulated by QEMU
";

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo"] => demo::demo(),
        ["test"] => test::all(),
        ["test", "--unit"] => test::unit(),
        ["setup"] => setup::setup(setup::For::Tests),
        ["build-ebpf"] => build_ebpf::run(build_ebpf::Mode::Write),
        ["build-ebpf", "--check"] => build_ebpf::run(build_ebpf::Mode::Check),
        ["bench", rest @ ..] => {
            let (what, rest) = match rest {
                ["--load", rest @ ..] => (bench::What::Load, rest),
                ["--scale", rest @ ..] => (bench::What::Scale, rest),
                ["--means", rest @ ..] => (bench::What::Means, rest),
                rest => (bench::What::All, rest),
            };
            match rest {
                [] => bench::bench(what, bench::DEFAULT_PAIRS),
                ["--pairs", n] => match n.parse() {
                    Ok(n) => bench::bench(what, n),
                    Err(_) => Err(anyhow::anyhow!("--pairs wants a number, not {n:?}")),
                },
                other => Err(anyhow::anyhow!("bench does not know {other:?}")),
            }
        }
        ["gains", "--runs", n, only @ ..] => match n.parse() {
            Ok(n) => gains::gains(n, only),
            Err(_) => Err(anyhow::anyhow!("--runs wants a number, not {n:?}")),
        },
        ["gains", only @ ..] => gains::gains(gains::DEFAULT_RUNS, only),
        ["margins", directory] => margins::margins(directory),
        ["fuzz", "--seconds", n, targets @ ..] => match n.parse() {
            Ok(n) => fuzz::fuzz(n, targets),
            Err(_) => Err(anyhow::anyhow!("--seconds wants a number, not {n:?}")),
        },
        ["fuzz", targets @ ..] => fuzz::fuzz(fuzz::DEFAULT_SECONDS, targets),
        ["vmtest", "--bin", file, only @ ..] => vmtest::vmtest(only, Some(file)),
        ["vmtest", only @ ..] => vmtest::vmtest(only, None),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return std::process::ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
