//! A script, a program of the project, a target of a task runner, an entry of a crontab → the command that runs all of it.

use super::{Entry, How, Repository};
use crate::{
    discover::{
        found::{Evidence, Language, Runnable},
        source::definitions::definitions,
        stacks::{self, CargoManifest, Package, interpreter},
        tree::{extension, join, name, parent, stem},
    },
    recording::{EntryKind, EntryPoint},
};

impl Repository<'_> {
    /// By its file, or by the name that a manifest gives it.
    pub(super) fn script(&self, typed: &str) -> Option<Entry> {
        let here = join(self.near, typed);
        let file = [here.as_str(), typed].into_iter().find(|path| self.tree.has(path));
        if let Some(run) = file.and_then(|file| self.run_file(file)) {
            return Some(self.of_file(file.unwrap_or_default(), run));
        }
        self.declared_script(typed).or_else(|| self.cron(typed))
    }

    fn run_file(&self, file: &str) -> Option<Runnable> {
        let stack = stacks::of_file(self.stacks, file);
        let directory = stack.map_or("", |stack| &stack.directory).to_owned();
        let inside = if directory.is_empty() { file } else { file.strip_prefix(&directory)?.trim_start_matches('/') };
        let program: Vec<String> = match (Language::of(file), stack) {
            (Some(Language::Python), Some(stack)) => interpreter(stack),
            (Some(Language::Python), None) => vec!["python3".to_owned()],
            (Some(Language::Node), _) if matches!(extension(file), "ts" | "mts" | "tsx") => {
                vec!["npx".into(), "tsx".into()]
            }
            (Some(Language::Node), _) => vec!["node".to_owned()],
            (Some(Language::Go), _) => {
                let package = match parent(inside) {
                    "" => ".".to_owned(),
                    package => format!("./{package}"),
                };
                return Some(Runnable { words: vec!["go".into(), "run".into(), package], directory });
            }
            (Some(Language::Ruby), _) => vec!["ruby".to_owned()],
            (Some(Language::Php), _) => vec!["php".to_owned()],
            (Some(Language::Rust | Language::Java | Language::DotNet), _) => return None,
            (None, _) => vec![shell_of(&self.tree.read(file)?)?],
        };
        Some(Runnable { words: program.into_iter().chain([inside.to_owned()]).collect(), directory })
    }

    fn of_file(&self, file: &str, run: Runnable) -> Entry {
        let text = self.tree.read(file).unwrap_or_default();
        let all = Language::of(file).map(|language| definitions(language, &text)).unwrap_or_default();
        let main = all.into_iter().find(|found| found.qualified == "main");
        let (line, function) =
            main.as_ref().map_or((1, stem(file).to_owned()), |found| (found.line, found.qualified.clone()));
        pipeline(Evidence::at(file, line), function, run)
    }

    fn declared_script(&self, typed: &str) -> Option<Entry> {
        let mut declared = self.declared_scripts().into_iter().filter(|(name, _, _)| name == typed);
        let mut best = declared.next()?;
        // The nearest of several packages.
        for other in declared {
            if self.distance(&other.1.file) < self.distance(&best.1.file) {
                best = other;
            }
        }
        let (name, evidence, run) = best;
        Some(pipeline(evidence, name, run))
    }

    pub(super) fn script_names(&self) -> Vec<String> {
        self.declared_scripts().into_iter().map(|(name, _, _)| name).collect()
    }

    fn declared_scripts(&self) -> Vec<(String, Evidence, Runnable)> {
        let mut found = Vec::new();
        for stack in self.stacks {
            let file = &stack.manifest.file;
            let run = |words: Vec<String>| Runnable { words, directory: stack.directory.clone() };
            let line = |word: &str| {
                let text = self.tree.read(file).unwrap_or_default();
                let quoted = format!("\"{word}\"");
                let sets = |line: &str| {
                    line.trim_start().strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with('='))
                };
                let named = |line: &str| line.contains(&quoted) || sets(line);
                text.lines().position(named).and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0)
            };
            match stack.language {
                Language::Node => {
                    for (name, _) in Package::read(self.tree, file).unwrap_or_default().scripts {
                        let words = vec![stack.manager.name.to_owned(), "run".into(), name.clone()];
                        found.push((name.clone(), Evidence::at(file.clone(), line(&name)), run(words)));
                    }
                }
                Language::Python => {
                    let manifest = join(&stack.directory, "pyproject.toml");
                    let table =
                        self.tree.read(&manifest).and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
                    let project = table.get("project").and_then(|project| project.get("scripts"));
                    let poetry = table.get("tool").and_then(|tool| tool.get("poetry")?.get("scripts"));
                    for (name, _) in project.or(poetry).and_then(|scripts| scripts.as_table()).into_iter().flatten() {
                        let mut words = interpreter(stack);
                        // The environment's own program: beside python, or in the manager's PATH.
                        if let Some(python) = words.last_mut() {
                            *python = match python.strip_suffix("python") {
                                Some(directory) if !directory.is_empty() => format!("{directory}{name}"),
                                Some(_) | None => name.clone(),
                            };
                        }
                        found.push((name.clone(), Evidence::at(manifest.clone(), line(name)), run(words)));
                    }
                }
                Language::Rust => {
                    let Some(read) = CargoManifest::read(self.tree, file) else { continue };
                    let own = stack.name.clone().filter(|_| self.tree.has(&join(&stack.directory, "src/main.rs")));
                    for name in read.bin.into_iter().filter_map(|bin| bin.name).chain(own) {
                        let words = ["cargo", "run", "--release", "--bin"].map(str::to_owned).to_vec();
                        let evidence = Evidence::at(file.clone(), line(&name));
                        found.push((name.clone(), evidence, run([words, vec![name]].concat())));
                    }
                }
                Language::Go | Language::Java | Language::DotNet | Language::Ruby | Language::Php => {}
            }
        }
        for file in self.tree.files().filter(|file| matches!(name(file), "Makefile" | "justfile")) {
            let program = if name(file) == "Makefile" { "make" } else { "just" };
            for (number, line) in (1_u32..).zip(self.tree.read(file).unwrap_or_default().lines()) {
                let Some((target, rest)) = line.split_once(':') else { continue };
                if !target.is_empty()
                    && !rest.starts_with('=')
                    && target.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                {
                    let words = vec![program.to_owned(), target.to_owned()];
                    let run = Runnable { words, directory: parent(file).to_owned() };
                    found.push((target.to_owned(), Evidence::at(file, number), run));
                }
            }
        }
        found
    }

    /// A line of a crontab whose command has the word.
    fn cron(&self, typed: &str) -> Option<Entry> {
        let is_table =
            |file: &&str| name(file) == "crontab" || extension(file) == "cron" || parent(file).ends_with("cron.d");
        self.tree.files().filter(is_table).find_map(|file| {
            let text = self.tree.read(file)?;
            (1_u32..).zip(text.lines()).find_map(|(number, line)| {
                let command = command_of_cron(line)?;
                let named =
                    command.split(|c: char| c.is_whitespace() || matches!(c, '/' | '.')).any(|word| word == typed);
                if !named && command != typed && line.trim() != typed {
                    return None;
                }
                let words = vec!["sh".to_owned(), "-c".to_owned(), command.to_owned()];
                let run = Runnable { words, directory: String::new() };
                let code = command.split_whitespace().find(|word| self.tree.has(word.trim_start_matches("./")));
                match code {
                    Some(code) => Some(self.of_file(code.trim_start_matches("./"), run)),
                    None => Some(pipeline(Evidence::at(file, number), typed.to_owned(), run)),
                }
            })
        })
    }

    /// A whole command: `python -m app.jobs --all`, `node scripts/import.js x`. It must name code of the project.
    pub(super) fn typed_command(&self, typed: &str) -> Option<Entry> {
        let words: Vec<&str> = typed.split_whitespace().collect();
        if words.len() < 2 || typed.contains(['"', '\'', '\\', '$', '`', '|', ';', '&', '<', '>']) {
            return None;
        }
        let module = words.iter().position(|word| *word == "-m").and_then(|at| words.get(at + 1));
        let module = module.map(|module| module.replace('.', "/"));
        let of_module = module.and_then(|path| {
            let places = [
                format!("{path}.py"),
                format!("{path}/__main__.py"),
                format!("src/{path}.py"),
                format!("src/{path}/__main__.py"),
            ];
            places.into_iter().map(|place| join(self.near, &place)).find(|place| self.tree.has(place))
        });
        let plain = words.iter().map(|word| join(self.near, word.trim_start_matches("./")));
        let file = of_module.or_else(|| plain.into_iter().find(|word| self.tree.has(word)))?;
        let run =
            Runnable { words: words.iter().map(|word| (*word).to_owned()).collect(), directory: self.near.to_owned() };
        Some(self.of_file(&file, run))
    }
}

fn pipeline(evidence: Evidence, function: String, run: Runnable) -> Entry {
    let Evidence { file, line } = evidence;
    let point = EntryPoint { kind: EntryKind::Pipeline, file, line, route: None, function };
    Entry { point, definition: None, how: How::Run(run), warnings: Vec::new() }
}

/// `#!/usr/bin/env bash` → `bash`; a script without one is for `sh`.
fn shell_of(text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or_default();
    let line = first.strip_prefix("#!")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let program = words.iter().find(|word| !word.ends_with("/env") && !word.starts_with('-'))?;
    Some(name(program).to_owned())
}

/// Behind the five fields, or `@daily`.
fn command_of_cron(line: &str) -> Option<&str> {
    let mut rest = line.trim();
    if rest.is_empty() || rest.starts_with('#') {
        return None;
    }
    let fields = if rest.starts_with('@') { 1 } else { 5 };
    for _ in 0..fields {
        let (field, after) = rest.split_once(char::is_whitespace)?;
        let time = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '/' | ',' | '-' | '@' | '?');
        if !field.chars().all(time) || field.contains('=') {
            return None;
        }
        rest = after.trim_start();
    }
    (!rest.is_empty()).then_some(rest)
}
