//! `perfmap attach`: running services → watched for a while → the same outputs as a traced command.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    args::AttachArgs,
    console::Console,
    container_roots,
    errors::Failure,
    norms::norms,
    own_profiles::{self, ProfileSource, Reader},
    pipeline::{self, Destination},
    plan::{OutputPlan, WAIT_THRESHOLD, check_followed, detail, follow_peers, output_plan},
    services::named_services,
    trace::{add_projects, recording_file},
};
use crate::{
    collect::{self, Control, Mode, Outcome, Peers},
    recording::{NamedService, Recording, ServiceSelector, Work},
    report::{self, files},
    resolve,
    target::{self, Invocation, SelectError, Selector, Signals},
};

struct AttachPlan {
    pids: Vec<u32>,
    duration: Option<Duration>,
    out: PathBuf,
    owner: Option<files::Owner>,
    /// Roots and patterns of `--app`.
    project: target::Project,
    /// The names that the user gave, the strongest first.
    services: Vec<NamedService>,
    norms: Vec<String>,
    collect: collect::Plan,
    own_profiles: Vec<ProfileSource>,
    output: OutputPlan,
    /// As it would be typed.
    words: Vec<String>,
    working_directory: PathBuf,
}

pub fn attach(typed: &AttachArgs, console: &Console) -> Result<u8, Failure> {
    attach_with(typed, Work::default(), console)
}

/// `work`: what is said about what they do.
pub fn attach_with(typed: &AttachArgs, work: Work, console: &Console) -> Result<u8, Failure> {
    let working_directory =
        std::env::current_dir().map_err(|error| Failure::Input { path: "the working directory".into(), error })?;
    let invocation = Invocation::of_this_process(false)?;
    let plan = attach_plan(typed, &working_directory, &invocation)?;
    files::check_writable(&plan.out)?;
    let outcome = watch(&plan, console)?;
    let recording = Recording { work, ..complete(&plan, outcome) };
    collect::drop_all_but_writing();
    let raw = vec![recording_file(&recording)?];
    let products = pipeline::products(&recording, &plan.output);
    let to = Destination { directory: &plan.out, owner: plan.owner };
    pipeline::deliver(&recording, products, raw, &plan.output, to, console)?;
    Ok(0)
}

fn attach_plan(typed: &AttachArgs, here: &Path, invocation: &Invocation) -> Result<AttachPlan, Failure> {
    let output = output_plan(typed.format, typed.print.as_deref(), typed.min_share)?;
    let pids = typed.pid.iter().map(|pid| Selector::Pid(*pid));
    let containers = typed.container.iter().cloned().map(Selector::Container);
    let selectors: Vec<Selector> =
        pids.chain(containers).chain(typed.unit.iter().cloned().map(Selector::Unit)).collect();
    let pids = selected(&selectors)?;
    let words = words(&selectors);
    let home = invocation.identity.as_ref().map(|identity| identity.home.as_path());
    let mut project = target::discover_project(here, home, &[], &typed.app);
    let owner = invocation.owner.map(|(uid, gid)| files::Owner { uid, gid });
    let services = named_services(&typed.service, here, project.main.as_deref(), owner)?;
    let norms = norms(None, project.main.as_deref(), owner)?;
    let follow = follow_peers(&typed.follow_peers, &services)?;
    check_followed(&follow)?;
    if let Some(main) = &project.main {
        // What is watched has nothing to do with the directory that it is watched from.
        project.roots.retain(|root| root != main);
    }
    Ok(AttachPlan {
        duration: typed.duration,
        out: match &typed.out {
            Some(directory) => here.join(directory),
            None => here.join(".optimization").join(report::slug(&words.join(" "))),
        },
        owner,
        project,
        services,
        norms,
        collect: collect::Plan {
            mode: Mode::Profile,
            sample_hz: typed.freq,
            wait_threshold: WAIT_THRESHOLD,
            stack_bytes: typed.stack_bytes,
            peers: Peers { follow, known: Vec::new(), watched: pids.clone() },
            tls_libraries: Vec::new(),
            single_probes: false,
            lose_arrivals: 0,
            detail: detail(typed.detail_memory),
            allocations: None,
            python: typed.python.into(),
        },
        own_profiles: own_profiles::sources(&typed.pprof, here)?,
        pids,
        output,
        words,
        working_directory: here.to_owned(),
    })
}

/// Sorted. Control groups tell ids; what a container is called, only its runtime's files.
fn selected(selectors: &[Selector]) -> Result<Vec<u32>, SelectError> {
    let mut found = BTreeSet::new();
    for selector in selectors {
        match target::select(std::slice::from_ref(selector)) {
            Ok(pids) => found.extend(pids),
            Err(SelectError::NoContainer(name)) => {
                let named = collect::running(&[ServiceSelector::Container(name.clone())]);
                if named.is_empty() {
                    return Err(SelectError::NoContainer(name));
                }
                found.extend(named.iter().map(|peer| peer.pid));
            }
            Err(other) => return Err(other),
        }
    }
    Ok(found.into_iter().collect())
}

fn words(selectors: &[Selector]) -> Vec<String> {
    let of = |selector: &Selector| match selector {
        Selector::Pid(pid) => ["--pid".to_owned(), pid.to_string()],
        Selector::Container(id) => ["--container".to_owned(), id.clone()],
        Selector::Unit(name) => ["--unit".to_owned(), name.clone()],
    };
    std::iter::once("attach".to_owned()).chain(selectors.iter().flat_map(of)).collect()
}

/// Ctrl-C and the like end the watching, not the watched.
fn watch(plan: &AttachPlan, console: &Console) -> Result<Outcome, Failure> {
    let signals =
        Signals::install().map_err(|error| Failure::Internal { what: format!("signal handlers: {error}") })?;
    let mut began = None;
    let mut own = None;
    let mut stopped = false;
    let mut outcome = collect::attach(&plan.collect, &mut |_progress| {
        // Asked for the first time when all is attached.
        let began = *began.get_or_insert_with(|| {
            console.line(&announcement(plan));
            if !plan.own_profiles.is_empty() {
                own = Some(Reader::begin(&plan.own_profiles, plan.owner));
            }
            Instant::now()
        });
        stopped |= signals.take().into_iter().any(ends);
        let over = plan.duration.is_some_and(|duration| began.elapsed() >= duration);
        if stopped || over { Control::Abort } else { Control::Continue }
    })?;
    if let Some(own) = own {
        own.finish(outcome.origin, &mut outcome.recording);
    }
    Ok(outcome)
}

fn announcement(plan: &AttachPlan) -> String {
    let processes = match plan.pids.as_slice() {
        [only] => format!("process {only}"),
        several => format!("{} processes", several.len()),
    };
    match plan.duration {
        Some(duration) => format!("watching   {processes} for {duration:?}; Ctrl-C ends it earlier"),
        None => format!("watching   {processes} until Ctrl-C"),
    }
}

fn ends(signal: i32) -> bool {
    matches!(signal, libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT)
}

fn complete(plan: &AttachPlan, outcome: Outcome) -> Recording {
    let Outcome { mut recording, origin: _, files, memory: _, peers: _, tls_libraries: _, allocations: _ } = outcome;
    let meta = &mut recording.meta;
    meta.command.clone_from(&plan.words);
    meta.working_directory.clone_from(&plan.working_directory);
    meta.project_roots.clone_from(&plan.project.roots);
    meta.app_globs.clone_from(&plan.project.app_globs);
    meta.services.clone_from(&plan.services);
    meta.norms.clone_from(&plan.norms);
    let gone = plan.pids.iter().filter(|pid| {
        let of_pid = |process: &&crate::recording::Process| process.pid == **pid;
        recording.processes.iter().find(of_pid).is_none_or(|process| process.died.is_some())
    });
    let gone: Vec<String> = gone.map(u32::to_string).collect();
    if !gone.is_empty() {
        recording.meta.notes.push(format!("ended while it was watched: process {}", gone.join(", ")));
    }
    add_projects(&mut recording, |_| true);
    container_roots::add(&mut recording);
    resolve::native::symbolize(&mut recording, &files);
    recording
}
