//! `--service NAME=SELECTOR` and the `[services]` table of `perfmap.toml` → the names that the user gave, the command
//! line's first.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use super::{errors::Failure, read::read_bounded};
use crate::{
    recording::{NamedService, ServiceSelector},
    report::files::Owner,
};

const FILE_NAME: &str = "perfmap.toml";
const FILE_LIMIT: u64 = 1 << 20;
const NAME_CHARACTERS: usize = 128;
/// More names than that are a mistake, and each costs time for every process.
const MOST: usize = 1024;
const FORMS: &str = "pid:N, port:N, container:ID, unit:NAME, or the path of a program, script or directory";

/// perfmap.toml. What is not known is refused: a misspelt table would do nothing, and say nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    services: BTreeMap<String, String>,
    /// `discover` reads and checks these two.
    #[serde(default, rename = "commands")]
    _commands: Option<toml::Value>,
    #[serde(default, rename = "targets")]
    _targets: Option<toml::Value>,
    /// Of `norms`, which checks it.
    #[serde(default, rename = "norms")]
    _norms: Option<toml::Value>,
}

/// `root`: of the project that the working directory lies in.
pub fn named_services(
    typed: &[String],
    working_directory: &Path,
    root: Option<&Path>,
    owner: Option<Owner>,
) -> Result<Vec<NamedService>, Failure> {
    let mut services = Vec::new();
    for text in typed {
        let (name, selector) = text.split_once('=').ok_or_else(|| {
            refused(format!("--service {text} has no ="), &format!("it is NAME=WHICH, where WHICH is {FORMS}"))
        })?;
        add(&mut services, name, selector, working_directory).map_err(|why| refused_at("--service", text, &why))?;
    }
    if let Some(root) = root {
        from_file(&mut services, root, owner)?;
    }
    if services.len() > MOST {
        return Err(refused(format!("{} services are named; {MOST} is the most", services.len()), ""));
    }
    Ok(services)
}

fn from_file(services: &mut Vec<NamedService>, root: &Path, owner: Option<Owner>) -> Result<(), Failure> {
    let path = root.join(FILE_NAME);
    let bytes = match read_bounded(&path, owner, FILE_LIMIT) {
        Ok(bytes) => bytes,
        Err(Failure::NotFound { .. }) => return Ok(()),
        Err(other) => return Err(other),
    };
    let at = path.display().to_string();
    let text = std::str::from_utf8(&bytes).map_err(|_| refused(format!("{at} is not text (UTF-8)"), ""))?;
    let Settings { services: table, _commands, _targets, _norms } = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or(text).matches('\n').count()) + 1;
        refused(
            format!("{at}, line {line}: {}", error.message()),
            "it holds [services], with lines like: api = \"port:8001\"; [commands] and [targets] (docs/discovery.md), [norms]",
        )
    })?;
    for (name, selector) in &table {
        add(services, name, selector, root)
            .map_err(|why| refused_at(&at, &format!("{name} = \"{selector}\""), &why))?;
    }
    Ok(())
}

fn add(services: &mut Vec<NamedService>, name: &str, selector: &str, base: &Path) -> Result<(), String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("it has no name".into());
    }
    if name.chars().count() > NAME_CHARACTERS || name.chars().any(char::is_control) {
        return Err(format!("a name is one line of {NAME_CHARACTERS} characters at most"));
    }
    let mut push = |is| services.push(NamedService { name: name.to_owned(), is });
    match selector.trim().split_once(':') {
        Some(("pid", pid)) => push(ServiceSelector::Pid(number(pid, "pid")?)),
        Some(("port", port)) => push(ServiceSelector::Port(number(port, "port")?)),
        Some(("container", id)) => push(ServiceSelector::Container(word(id, "container")?)),
        Some(("unit", unit)) => push(ServiceSelector::Unit(word(unit, "unit")?)),
        Some(_) | None => {
            let path = word(selector, "program")?;
            let path = lexical(&base.join(path));
            if !path.exists() {
                return Err(format!("{} is not there; WHICH is {FORMS}", path.display()));
            }
            // The kernel names programs by their real path, command lines as they were typed.
            let real = path.canonicalize().ok().filter(|real| *real != path);
            for path in [Some(path), real].into_iter().flatten() {
                push(ServiceSelector::Path(path.to_string_lossy().into_owned()));
            }
        }
    }
    Ok(())
}

fn number<T: std::str::FromStr + PartialEq + Default>(text: &str, what: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| format!("{text:?} is no {what}"))
}

fn word(text: &str, what: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err(format!("the {what} is missing")) } else { Ok(text.to_owned()) }
}

/// Without `.` and `..`: processes are compared by text.
fn lexical(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                found.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => found.push(component),
        }
    }
    found
}

fn refused_at(place: &str, text: &str, why: &str) -> Failure {
    refused(format!("{place} {text}: {why}"), &format!("NAME=WHICH, where WHICH is {FORMS}"))
}

fn refused(what: String, hint: &str) -> Failure {
    Failure::Usage { what, hint: (!hint.is_empty()).then(|| hint.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(file: Option<&str>) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("api")).expect("a directory");
        if let Some(text) = file {
            std::fs::write(directory.path().join(FILE_NAME), text).expect("a file");
        }
        directory
    }

    fn read(typed: &[&str], file: Option<&str>) -> Result<Vec<NamedService>, Failure> {
        let project = project(file);
        let typed: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
        named_services(&typed, project.path(), Some(project.path()), None)
    }

    fn text(found: &[NamedService]) -> Vec<String> {
        found.iter().map(|service| format!("{} {:?}", service.name, service.is)).collect()
    }

    #[test]
    fn the_command_line_comes_before_the_file() {
        let typed = ["a=pid:7", "b=port:8001", "c=container:web1", "d=unit:nginx"];
        let found = read(&typed, Some("[services]\nb = \"port:9\"\na = \"unit:x.service\"\n")).expect("services");
        assert_eq!(
            text(&found),
            [
                "a Pid(7)",
                "b Port(8001)",
                "c Container(\"web1\")",
                "d Unit(\"nginx\")",
                "a Unit(\"x.service\")",
                "b Port(9)"
            ]
        );
        assert!(read(&[], None).expect("nothing").is_empty());
        assert!(read(&[], Some("")).expect("nothing").is_empty());
    }

    #[test]
    fn paths_are_absolute_and_exist() {
        let directory = project(None);
        let root = directory.path().canonicalize().expect("it exists");
        let found = named_services(&["api=./api/../api".into()], &root, None, None).expect("a service");
        assert_eq!(text(&found), [format!("api Path({:?})", root.join("api"))]);
        assert!(matches!(named_services(&["x=nowhere".into()], &root, None, None), Err(Failure::Usage { .. })));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for typed in ["api", "=port:1", "a=port:0", "a=port:65536", "a=pid:x", "a=unit:", "a=", "a\nb=pid:1"] {
            let failure = read(&[typed], None).expect_err(typed);
            assert_eq!(failure.exit_code(), 2, "{typed}");
        }
        for file in ["[service]\na = \"port:1\"", "services = 3", "[services]\na = 8001", "[services\n", "x = 1"] {
            let failure = read(&[], Some(file)).expect_err(file);
            assert_eq!(failure.exit_code(), 2, "{file}");
            assert!(failure.to_string().contains("perfmap.toml, line "), "{failure}");
        }
        assert_eq!(read(&[], Some("[services]\na = \"port:x\"")).expect_err("no port").exit_code(), 2);
    }
}
