//! Named stacks → the project's own functions on them, root first. Knows paths and names; no times.
//!
//! A function is its name and its file: closures of one definition are one function, and where it begins is the first
//! line that was seen for it.

use std::path::{Component, Path};

use rustc_hash::FxHashMap;

use super::{glob, go_library, model::Location};
use crate::{
    recording::{Meta, StackId},
    resolve::{Language, Place, PlaceId, Resolved},
};

/// Index into [`Project::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub u32);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub name: String,
    /// Relative to the project root where it lies in it; the mapped file where no source file is known.
    pub file: String,
    /// Where it begins: 0 where nothing tells.
    pub line: u32,
}

impl Function {
    pub(super) fn location(&self) -> Option<Location> {
        (self.line > 0).then(|| Location { file: self.file.clone(), line: self.line })
    }
}

#[derive(Debug, Default)]
pub(super) struct Project {
    pub functions: Vec<Function>,
    /// By `PlaceId`.
    of_place: Vec<Option<FunctionId>>,
    stacks: Vec<Box<[FunctionId]>>,
}

impl Project {
    pub(super) fn new(meta: &Meta, resolved: &Resolved) -> Self {
        let mut project = Self::default();
        let mut known: FxHashMap<(String, String), FunctionId> = FxHashMap::default();
        project.of_place = resolved
            .places
            .iter()
            .map(|place| {
                let (name, file) = (function_name(place), own_file(meta, place)?);
                let id = *known.entry((name.clone(), file.clone())).or_insert_with(|| {
                    project.functions.push(Function { name, file, line: 0 });
                    FunctionId(project.functions.len() as u32 - 1)
                });
                let line = if place.function == project.functions[id.0 as usize].name {
                    place.first_line.or(place.line)
                } else {
                    place.line // a comprehension: somewhere inside
                };
                let function = &mut project.functions[id.0 as usize];
                if let Some(line) = line.filter(|line| *line > 0 && (function.line == 0 || *line < function.line)) {
                    function.line = line;
                }
                Some(id)
            })
            .collect();
        project.stacks = resolved.stacks.iter().map(|stack| project.of(stack).into_boxed_slice()).collect();
        project
    }

    /// The project's functions among these places (innermost first), root first.
    pub(super) fn of(&self, places: &[PlaceId]) -> Vec<FunctionId> {
        let mut own: Vec<FunctionId> = Vec::new();
        for place in places.iter().rev() {
            if let Some(Some(id)) = self.of_place.get(place.0 as usize)
                && own.last() != Some(id)
            {
                own.push(*id);
            }
        }
        own
    }

    pub(super) fn stack(&self, id: Option<StackId>) -> &[FunctionId] {
        id.and_then(|id| self.stacks.get(id.0 as usize)).map_or(&[], |stack| stack)
    }

    pub(super) fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.0 as usize]
    }
}

/// Comprehensions and Rust's closures (async bodies are some) belong to the function that they are written in.
pub(super) fn function_name(place: &Place) -> String {
    if place.language == Language::Native {
        let mut name = place.function.as_str();
        while let Some(outer) = name.strip_suffix("::{{closure}}") {
            name = outer;
        }
        return name.into();
    }
    if place.language == Language::Python {
        for inner in ["<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"] {
            if let Some(outer) = place.function.strip_suffix(inner) {
                let outer = outer.strip_suffix('.').unwrap_or(outer);
                let outer = outer.strip_suffix(".<locals>").unwrap_or(outer);
                return if outer.is_empty() { "<module>".into() } else { outer.into() };
            }
        }
    }
    place.function.clone()
}

/// The file of a project's own function as the map shows it; None for all other places.
pub(super) fn own_file(meta: &Meta, place: &Place) -> Option<String> {
    match place.language {
        Language::Kernel => None,
        Language::Python | Language::Jit => own_path(meta, place.file.as_deref()?),
        Language::Native if go_library::is_library(&place.function, place.file.as_deref()) => None,
        Language::Native => match &place.file {
            // Libraries with installed debug information name their sources by relative paths.
            Some(file) if Path::new(file).is_absolute() => own_path(meta, file).or_else(|| {
                // A program of the project that was built elsewhere (in a container, say) from sources that are not
                // an installed library's.
                let built_elsewhere = !INSTALLED.iter().any(|directory| file.contains(directory));
                place.module.as_deref().filter(|_| built_elsewhere).and_then(|module| own_path(meta, module))?;
                Some(file.clone())
            }),
            Some(file) => place.module.as_deref().and_then(|module| own_path(meta, module)).and(own_path(meta, file)),
            // Without debug information the whole file counts, but for what its language's runtime brought into it.
            None if place.unnamed.is_some() || of_runtime(&place.function) => None,
            None => own_path(meta, place.module.as_deref()?),
        },
    }
}

/// Where the sources of other people's code lie that compilers build into a program.
const INSTALLED: [&str; 8] =
    ["/usr/", "/rustc/", "/.cargo/", "/.rustup/", "/nix/store/", "/go/pkg/mod/", "/site-packages/", "/sysdeps/"];

fn own_path(meta: &Meta, file: &str) -> Option<String> {
    // `<frozen …>`, `<string>`; `[vdso]`, `[heap]`: no files at all. Nor are the modules that Node brings (`node:net`).
    if file.starts_with(['<', '[']) || has_scheme(file) {
        return None;
    }
    let path = plain(&meta.working_directory.join(file));
    let below = meta.project_roots.iter().find_map(|root| path.strip_prefix(root).ok().map(Path::to_path_buf));
    if let Some(below) = &below
        && !foreign(below)
    {
        return Some(below.to_string_lossy().into_owned());
    }
    let text = path.to_string_lossy();
    let named = meta.app_globs.iter().any(|pattern| {
        glob::matches(pattern, &text)
            || glob::matches(&plain(&meta.working_directory.join(pattern)).to_string_lossy(), &text)
    });
    named.then(|| below.map_or_else(|| text.to_string(), |below| below.to_string_lossy().into_owned()))
}

/// `node:internal/timers`, `evalmachine:…`, `https://…`: the name of something that is not in the file system.
fn has_scheme(file: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    file.split_once(':').is_some_and(|(scheme, _)| word(scheme))
}

/// Without `.` and `..`, by text alone: the files may not exist here.
pub(super) fn plain(path: &Path) -> std::path::PathBuf {
    let mut found = std::path::PathBuf::new();
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

/// Installed, generated or vendored code inside the project root.
fn foreign(below: &Path) -> bool {
    let parts: Vec<&str> = below.iter().filter_map(|part| part.to_str()).collect();
    parts.iter().any(|part| {
        matches!(
            *part,
            ".venv"
                | "venv"
                | ".env"
                | "env"
                | "virtualenv"
                | "site-packages"
                | "dist-packages"
                | "__pypackages__"
                | "node_modules"
                | ".tox"
                | ".nox"
                | ".cargo"
                | ".rustup"
                | ".pyenv"
        )
    }) || parts.windows(2).any(|pair| pair[0] == "lib" && pair[1].starts_with("python3"))
        || parts.windows(3).any(|three| three[0] == "target" && three[2] == "build")
}

fn of_runtime(function: &str) -> bool {
    ["std::", "core::", "alloc::", "<std::", "<core::", "<alloc::", "__rust", "_rust", "__libc", "rust_"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
        || matches!(function, "_start" | "_init" | "_fini" | "lang_start" | "runtime.main" | "runtime.goexit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(function: &str, file: Option<&str>, language: Language) -> Place {
        Place {
            function: function.into(),
            file: file.map(Into::into),
            line: Some(7),
            first_line: Some(5),
            language,
            module: Some("/p/target/release/app".into()),
            inlined: false,
            unnamed: None,
        }
    }

    fn meta() -> Meta {
        Meta {
            working_directory: "/p/sub".into(),
            project_roots: vec!["/p".into()],
            app_globs: vec!["/opt/**/own/*.py".into()],
            ..Meta::default()
        }
    }

    #[test]
    fn own_code_is_below_the_root_and_not_installed() {
        use Language::{Kernel, Native, Python};
        for (file, language, expected) in [
            (Some("/p/app/a.py"), Python, Some("app/a.py")),
            (Some("b.py"), Python, Some("sub/b.py")),
            (Some("../c.py"), Python, Some("c.py")),
            (Some("/p/.venv/lib/python3.11/site-packages/x.py"), Python, None),
            (Some("/p/py/lib/python3.12/json/x.py"), Python, None),
            (Some("/p/node_modules/x.js"), Language::Jit, None),
            (Some("node:internal/timers"), Language::Jit, None),
            (Some("lib/c.js"), Language::Jit, Some("sub/lib/c.js")),
            (Some("/usr/lib/python3/x.py"), Python, None),
            (Some("/opt/a/b/own/x.py"), Python, Some("/opt/a/b/own/x.py")),
            (Some("<frozen importlib._bootstrap>"), Python, None),
            (Some("/rustc/abc/library/core/src/x.rs"), Native, None),
            (Some("/p/src/main.rs"), Native, Some("src/main.rs")),
            (Some("[vdso]"), Native, None),
            (None, Native, Some("target/release/app")),
            (None, Kernel, None),
        ] {
            assert_eq!(own_file(&meta(), &place("f", file, language)).as_deref(), expected, "{file:?}");
        }
        assert_eq!(own_file(&meta(), &place("core::fmt::write", None, Native)), None);
    }

    #[test]
    fn comprehensions_belong_to_their_function() {
        let name = |function| function_name(&place(function, None, Language::Python));
        assert_eq!(name("C.f.<locals>.<listcomp>"), "C.f");
        assert_eq!(name("<genexpr>"), "<module>");
        assert_eq!(name("f.<locals>.<lambda>"), "f.<locals>.<lambda>");
    }
}
