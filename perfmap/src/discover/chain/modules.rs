//! An import's module → the files of the repository that it names; none for what comes from outside.

use super::{
    index::{File, Index},
    language::Language,
};

const NODE_ENDS: &[&str] =
    &["", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", "/index.ts", "/index.js", "/index.tsx"];

pub(super) fn files(index: &Index, file: usize, module: &str) -> Vec<usize> {
    let Some(one) = index.files.get(file) else { return Vec::new() };
    match one.language {
        Some(Language::Python) => python(index, one, module).into_iter().collect(),
        Some(Language::JavaScript | Language::TypeScript | Language::Tsx) => {
            node(index, one, module).into_iter().collect()
        }
        Some(Language::Go) => go(index, module),
        Some(Language::Java) => java(index, module),
        Some(Language::Rust) => rust(index, one, module).into_iter().collect(),
        // A namespace is in no one file: classes are found by their names.
        Some(Language::CSharp) | None => Vec::new(),
    }
}

/// A module in a module, as the language writes it.
pub(super) fn join(file: &File, module: &str, item: &str) -> String {
    match file.language {
        Some(Language::Rust) => format!("{module}::{item}"),
        Some(Language::Python) if module.ends_with('.') => format!("{module}{item}"),
        Some(Language::JavaScript | Language::TypeScript | Language::Tsx) => format!("{module}/{item}"),
        Some(Language::Python | Language::Go | Language::Java | Language::CSharp) | None => format!("{module}.{item}"),
    }
}

/// The directory and those above it, nearest first.
fn upwards(dir: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(dir), |dir| {
        if dir.is_empty() { None } else { Some(dir.rsplit_once('/').map_or("", |(above, _)| above)) }
    })
}

fn below(dir: &str, rest: &str) -> String {
    if dir.is_empty() { rest.to_owned() } else { format!("{dir}/{rest}") }
}

fn python(index: &Index, file: &File, module: &str) -> Option<usize> {
    let find = |base: &str, rest: &str| {
        let path = below(base, &rest.replace('.', "/"));
        let path = path.trim_end_matches('/');
        let direct = index.by_path.get(&format!("{path}.py"));
        direct.or_else(|| index.by_path.get(&below(path, "__init__.py"))).copied()
    };
    let dots = module.bytes().take_while(|byte| *byte == b'.').count();
    if dots > 0 {
        let base = upwards(file.dir()).nth(dots - 1)?;
        return find(base, module.get(dots..)?);
    }
    upwards(file.dir()).find_map(|dir| find(dir, module).or_else(|| find(&below(dir, "src"), module)))
}

fn node(index: &Index, file: &File, module: &str) -> Option<usize> {
    let find = |path: &str| {
        let path = normal(path)?;
        // TypeScript writes `./x.js` for `x.ts`.
        let bare = path.strip_suffix(".js").map(str::to_owned);
        let all = [Some(path.clone()), bare].into_iter().flatten();
        all.flat_map(|path| NODE_ENDS.iter().map(move |end| format!("{path}{end}")))
            .find_map(|path| index.by_path.get(&path).copied())
    };
    if module.starts_with('.') {
        return find(&below(file.dir(), module));
    }
    // `@/x` and `~/x` are the project's own source in most set-ups; `src/x` is Nest's.
    let rest =
        module.strip_prefix("@/").or_else(|| module.strip_prefix("~/")).or_else(|| module.strip_prefix("src/"))?;
    upwards(file.dir()).find_map(|dir| find(&below(dir, &format!("src/{rest}"))).or_else(|| find(&below(dir, rest))))
}

/// Without `.` and `..`; `None` where it leaves the root.
fn normal(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn go(index: &Index, module: &str) -> Vec<usize> {
    let inside =
        |name: &str| module.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(str::len);
    let known = index.go_modules.iter().filter_map(|(name, dir)| Some((inside(name)?, dir)));
    let Some((rest, dir)) = known.min_by_key(|(rest, _)| *rest) else { return Vec::new() };
    let rest = module.get(module.len() - rest..).unwrap_or_default().trim_start_matches('/');
    let path = if rest.is_empty() { dir.clone() } else { below(dir, rest) };
    let test = |file: &usize| index.files.get(*file).is_some_and(|file| !file.path.ends_with("_test.go"));
    index.by_dir.get(&path).into_iter().flatten().copied().filter(test).collect()
}

fn java(index: &Index, module: &str) -> Vec<usize> {
    let end = module.replace('.', "/");
    let mut dirs: Vec<&String> =
        index.by_dir.keys().filter(|dir| **dir == end || dir.ends_with(&format!("/{end}"))).collect();
    dirs.sort();
    dirs.into_iter().filter_map(|dir| index.by_dir.get(dir)).flatten().copied().collect()
}

fn rust(index: &Index, file: &File, module: &str) -> Option<usize> {
    let mut parts: Vec<&str> = module.split("::").collect();
    let source = |dir: &str| upwards(dir).find(|dir| *dir == "src" || dir.ends_with("/src")).map(str::to_owned);
    // What `mod x;` in this file would name.
    let own = match file.stem() {
        "mod" | "lib" | "main" => file.dir().to_owned(),
        stem => below(file.dir(), stem),
    };
    let mut base = match parts.first().copied()? {
        "crate" => source(file.dir())?,
        "self" => own,
        "super" => {
            let mut base = own;
            while parts.first() == Some(&"super") {
                parts.remove(0);
                base = base.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_owned());
            }
            return rust_file(index, &base, &parts);
        }
        first => {
            let near = rust_file(index, &own, &parts).or_else(|| rust_file(index, file.dir(), &parts));
            if near.is_some() {
                return near;
            }
            // A crate of the same workspace.
            let dash = first.replace('_', "-");
            let mut crates: Vec<&String> = index
                .by_dir
                .keys()
                .filter(|dir| {
                    let above = dir.strip_suffix("/src").map(|above| above.rsplit('/').next().unwrap_or(above));
                    above.is_some_and(|name| name == first || name == dash)
                })
                .collect();
            crates.sort();
            (*crates.first()?).clone()
        }
    };
    parts.remove(0);
    let found = rust_file(index, &base, &parts);
    found.or_else(|| {
        // `crate::store::Store`: the last part is a name in the module.
        parts.pop();
        base = base.clone();
        rust_file(index, &base, &parts)
    })
}

fn rust_file(index: &Index, base: &str, parts: &[&str]) -> Option<usize> {
    if parts.is_empty() {
        let inside = ["lib.rs", "main.rs", "mod.rs"].iter().find_map(|name| index.by_path.get(&below(base, name)));
        return inside.or_else(|| index.by_path.get(&format!("{base}.rs"))).copied();
    }
    let path = below(base, &parts.join("/"));
    index.by_path.get(&format!("{path}.rs")).or_else(|| index.by_path.get(&below(&path, "mod.rs"))).copied()
}
