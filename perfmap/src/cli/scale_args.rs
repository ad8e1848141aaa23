//! What `perfmap scale` adds to a trace, and what both say about the amount of work.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::args::{TraceArgs, duration};

pub const SCALE_EXAMPLES: &str = "\
Examples:
  sudo perfmap scale --workers 64 --items 500 -- python3 backfill.py       how fast, and why not 64 times as fast as one
  sudo perfmap scale --progress 'done (\\d+)/(\\d+)' -- ./import.sh          items from the command's own output
  sudo perfmap scale --sweep 1,2,4,8 --workers-env WORKERS -- make load    the rate at each number of workers
  sudo perfmap scale --sweep 1,2,4,8,16 --workers-arg '--workers {}' --runs 5 -- ./crawl --all
  sudo perfmap scale --sample 30s --progress '(\\d+) of (\\d+)' -- ./backfill    30 s of a long run, and when it will end
  sudo perfmap scale --sample 30s --pid 4711                               the same of one that runs already

Runs, collects and writes what perfmap trace does, and in addition says how many workers there are, how fast they are
together and alone, what they wait for, and how fast they would be without it. With --sweep the command runs --runs times
more with each number of workers, without probes, the numbers in turn; scaling.svg shows the curve and its law.
With --progress the command's output passes through perfmap unchanged (a terminal stays one, a pipe stays one).

Exit codes: as for trace; the command's own with --sample too. 130: Ctrl-C; what was measured by then is kept.";

const SWEEP: &str = "Numbers of workers";
const SAMPLE: &str = "A part of a long run";

/// The amount of work.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Amount of work")]
pub struct WorkArgs {
    /// Items that one run of the command works through
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub items: Option<u64>,
    /// Items of the whole job, for the time to its end
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub total: Option<u64>,
    /// A regular expression for lines of the command's output: one capture is how many items are done, a second one of
    /// how many
    #[arg(long, value_name = "REGEX")]
    pub progress: Option<String>,
    /// How many workers there are; otherwise they are recognised by what they do
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub workers: Option<u32>,
}

#[derive(Debug, Clone, ClapArgs)]
pub struct ScaleArgs {
    /// Run the command with each of these numbers of workers too, --runs times each, without probes
    #[arg(long, help_heading = SWEEP, value_name = "N,N,...", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub sweep: Vec<u32>,
    /// The environment variable that tells the command how many workers to have
    #[arg(long, help_heading = SWEEP, value_name = "NAME")]
    pub workers_env: Option<String>,
    /// The option that tells it, {} being the number: replaced where the command has it, else put at its end
    #[arg(long, help_heading = SWEEP, value_name = "'--workers {}'", conflicts_with = "workers_env", allow_hyphen_values = true)]
    pub workers_arg: Option<String>,
    /// No further run of the sweep is started after this time
    #[arg(long, help_heading = SWEEP, value_name = "TIME", default_value = "1h", value_parser = duration, requires = "sweep")]
    pub sweep_limit: Duration,
    /// Profile only so long a part of a long run, which goes on afterwards: 30s, 5m
    #[arg(long, help_heading = SAMPLE, value_name = "TIME", value_parser = duration, conflicts_with = "sweep")]
    pub sample: Option<Duration>,
    /// How long the command runs before the sample begins
    #[arg(long, help_heading = SAMPLE, value_name = "TIME", default_value = "2s", value_parser = duration, requires = "sample")]
    pub after: Duration,
    /// Sample this running process, with its threads and children, instead of running a command
    #[arg(long, help_heading = SAMPLE, value_name = "N", requires = "sample", conflicts_with_all = ["after", "command", "progress"])]
    pub pid: Option<u32>,
    #[command(flatten)]
    pub trace: TraceArgs,
}
