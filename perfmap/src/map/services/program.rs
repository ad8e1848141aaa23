//! A program image → what a person calls it: the script or module that an interpreter runs, else the binary; and where
//! that lies.

use std::path::{Path, PathBuf};

use crate::{map::project::plain, recording::Image};

/// What an interpreter was told to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script<'a> {
    File(&'a str),
    Module(&'a str),
}

/// What a person calls the program: the module or script that an interpreter runs, else the binary.
pub fn program(image: &Image) -> String {
    match application(image) {
        Some(Script::File(path)) => stem(path),
        Some(Script::Module(module)) => module.into(),
        None => binary(image).into(),
    }
}

/// Where the program lies, by text alone: its binary, its script, the directory and file of its module.
pub(super) fn paths(image: &Image) -> Vec<PathBuf> {
    let within = |path: &str| plain(&Path::new(&image.working_directory).join(path));
    let mut paths = vec![PathBuf::from(&image.executable)];
    paths.extend(image.arguments.first().filter(|first| first.contains('/')).map(|first| within(first)));
    for script in [script(image).map(|(script, _)| script), application(image)].into_iter().flatten() {
        paths.push(match script {
            Script::File(path) => within(path),
            Script::Module(module) => within(&module.replace('.', "/")),
        });
    }
    paths.retain(|path| path.is_absolute());
    paths
}

fn binary(image: &Image) -> &str {
    let first = image.arguments.first().filter(|first| !first.is_empty()).unwrap_or(&image.executable);
    // Servers write what they do over their arguments: `nginx: worker process`, `postgres: writer`.
    // What is left of the longer line that was there before are empty arguments.
    let title = *first != image.executable && image.arguments.iter().skip(1).all(String::is_empty);
    let first = first.split_once(": ").map_or(first.as_str(), |(name, _)| name);
    // And `redis-server 127.0.0.1:6379`.
    let first = first.split_once(' ').filter(|_| title).map_or(first, |(name, _)| name);
    let binary = base(first).trim_start_matches('-');
    if binary.is_empty() { &image.comm } else { binary }
}

/// The script; and for servers that are given the application (`uvicorn app.main:app`), that.
fn application(image: &Image) -> Option<Script<'_>> {
    let argv = &image.arguments;
    let found = script(image);
    let (name, next) = match found {
        Some((Script::File(path), next)) => (base(path), next),
        Some((Script::Module(module), next)) => (module, next),
        None => (binary(image), 1),
    };
    let given = match name {
        "uvicorn" | "gunicorn" | "hypercorn" | "daphne" | "granian" => argv
            .iter()
            .skip(next)
            .filter(|argument| !argument.contains('/'))
            .filter_map(|argument| argument.split_once(':').map(|(module, _)| module))
            .find(|module| module.starts_with(|first: char| first.is_alphabetic() || first == '_')),
        _ => None,
    };
    given.map(Script::Module).or(found.map(|(script, _)| script))
}

/// And the index of the first argument after it.
fn script(image: &Image) -> Option<(Script<'_>, usize)> {
    let argv = &image.arguments;
    match binary(image) {
        binary if binary.starts_with("python") || binary.starts_with("pypy") => python(argv),
        "node" | "nodejs" | "ruby" | "perl" | "php" | "sh" | "bash" | "dash" | "zsh" | "bun" | "deno" => {
            argv.get(1).filter(|first| !first.starts_with('-')).map(|script| (Script::File(script), 2))
        }
        _ => None,
    }
}

fn python(argv: &[String]) -> Option<(Script<'_>, usize)> {
    let module = |name| Script::Module(str::trim_end_matches(name, ".__main__"));
    let mut index = 1;
    while let Some(argument) = argv.get(index) {
        match argument.as_str() {
            "-m" => return argv.get(index + 1).map(|name| (module(name), index + 2)),
            "-c" | "-" => return None,
            "-W" | "-X" | "-Q" => index += 2,
            flag if flag.starts_with("-m") => return Some((module(&flag[2..]), index + 1)),
            flag if flag.starts_with('-') => index += 1,
            script => return Some((Script::File(script), index + 1)),
        }
    }
    None
}

/// An interpreter with something to run: two such processes are one program only where that is the same.
pub(super) fn is_script(image: &Image) -> bool {
    script(image).is_some()
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn stem(script: &str) -> String {
    let file = base(script);
    let file = if file == "__main__.py" { base(script.trim_end_matches("/__main__.py")) } else { file };
    let cut = [".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".sh", ".php"]
        .iter()
        .find_map(|extension| file.strip_suffix(extension));
    cut.filter(|cut| !cut.is_empty()).unwrap_or(file).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Nanos;

    fn image(line: &str) -> Image {
        Image {
            at: Nanos::ZERO,
            comm: "c".into(),
            executable: "/e".into(),
            // A hard space stands for one within an argument.
            arguments: line.split(' ').map(|argument| argument.replace('\u{a0}', " ")).collect(),
            working_directory: "/srv/shop".into(),
            service_name: None,
            surroundings: None,
        }
    }

    #[test]
    fn programs_lie_where_their_scripts_and_modules_do() {
        for (line, expected) in [
            ("python3 api/x.py --flag=/y.py", "/srv/shop/api/x.py"),
            ("python3 ../other/./x.py", "/srv/other/x.py"),
            ("python -m app.serve", "/srv/shop/app/serve"),
            ("python /v/bin/uvicorn app.main:app", "/srv/shop/app/main"),
            ("python /v/bin/uvicorn app.main:app", "/v/bin/uvicorn"),
            ("./bin/server", "/srv/shop/bin/server"),
            ("server", "/e"),
        ] {
            assert!(paths(&image(line)).contains(&expected.into()), "{line}: {:?}", paths(&image(line)));
        }
        assert_eq!(paths(&image("vim api/x.py")), [PathBuf::from("/e")]);
    }

    #[test]
    fn programs_are_called_by_what_they_run() {
        for (line, expected) in [
            ("python3 x.py --flag", "x"),
            ("/v/bin/python -m app.serve 8000", "app.serve"),
            ("python -W ignore -u tool.py", "tool"),
            ("/v/bin/python /v/bin/pytest tests", "pytest"),
            ("python /v/bin/uvicorn --port 80 app.main:app", "app.main"),
            ("python -m gunicorn -b 127.0.0.1:80 wsgi:app", "wsgi"),
            ("python pkg/__main__.py", "pkg"),
            ("python -c pass", "python"),
            ("python", "python"),
            ("sh -c true", "sh"),
            ("bash ./run.sh", "run"),
            ("node server.js", "server"),
            ("curl -s -L http://x", "curl"),
            ("/usr/bin/redis-server *:6379", "redis-server"),
            ("/usr/bin/redis-server\u{a0}127.0.0.1:6379", "redis-server"),
            ("redis-server\u{a0}127.0.0.1:6379  ", "redis-server"),
            ("nginx:\u{a0}master\u{a0}process\u{a0}/usr/sbin/nginx\u{a0}-e\u{a0}/tmp/error.log", "nginx"),
        ] {
            assert_eq!(program(&image(line)), expected, "{line}");
        }
    }
}
