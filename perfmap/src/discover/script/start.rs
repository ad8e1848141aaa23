//! How a service is started: as the repository says it, else as its framework's own documentation would.

use super::Known;
use crate::discover::{
    entry::Entry,
    found::{CommandKind, CommandSource, FoundCommand, Language, Stack},
    services,
    source::word_before,
    stacks::{self, Package, interpreter, module_of},
    tree::{join, name, parent},
};

/// What a file that makes the application calls.
const FASTAPI: [&str; 2] = ["FastAPI(", "Starlette("];
const FLASK: [&str; 1] = ["Flask("];

#[derive(Debug)]
pub enum Start<'a> {
    Said(&'a FoundCommand),
    /// Line, and what it rests on.
    Guessed(String, String),
    Unknown,
}

pub fn start<'a>(known: &'a Known<'_>, entry: &Entry) -> Start<'a> {
    let file = entry.point.file.as_str();
    let stack = stacks::of_file(known.repository.stacks, file);
    let directory = stack.map_or("", |stack| stack.directory.as_str());
    let plain = |command: &&FoundCommand| {
        command.kind == CommandKind::Start
            && command.source != CommandSource::Compose
            && !command.line.contains("docker")
            && !["&", "|", ">", "<"].iter().any(|mark| command.line.contains(mark))
            // These answer no requests.
            && !["celery", "worker", "rq ", "dramatiq", "sidekiq"].iter().any(|word| command.line.contains(word))
    };
    if let Some(said) = known.commands.iter().filter(plain).find(|command| command.directory == directory) {
        return Start::Said(said);
    }
    // Where compose publishes it, it is looked for, and so it is started there.
    let port = services::of_file(known.topology, file).and_then(|service| service.ports.first().copied());
    match stack.and_then(|stack| guess(known, stack, port)) {
        Some((line, why)) => Start::Guessed(line, why),
        None => Start::Unknown,
    }
}

fn guess(known: &Known<'_>, stack: &Stack, port: Option<u16>) -> Option<(String, String)> {
    let tree = known.repository.tree;
    let own = |inside: &str| Some(join(&stack.directory, inside)).filter(|file| tree.has(file));
    match stack.language {
        Language::Python => {
            let python = interpreter(stack).join(" ");
            if own("manage.py").is_some() {
                return Some((
                    format!("{python} manage.py runserver --noreload {}", port.unwrap_or(8000)),
                    "Django's own server".to_owned(),
                ));
            }
            if let Some((file, variable)) = made_by(known, stack, &FASTAPI) {
                let module = module_of(stack, &file);
                return Some((
                    format!("{python} -m uvicorn {module}:{variable} --port {}", port.unwrap_or(8000)),
                    format!("{file} makes the application"),
                ));
            }
            let (file, _) = made_by(known, stack, &FLASK)?;
            Some((
                format!("{python} -m flask --app {} run --port {}", module_of(stack, &file), port.unwrap_or(5000)),
                format!("{file} makes the application"),
            ))
        }
        Language::Node => {
            let package = Package::read(tree, &stack.manifest.file)?;
            let main = package.main.unwrap_or_else(|| "index.js".to_owned());
            let file = own(main.trim_start_matches("./"))?;
            Some((
                format!("node {}", super::shell::quoted(main.trim_start_matches("./"))),
                format!("{file} is the package's main file"),
            ))
        }
        Language::Go => {
            let mains = tree.below(&stack.directory).filter(|file| name(file) == "main.go");
            let file = mains.min_by_key(|file| file.len())?;
            let inside =
                parent(file).strip_prefix(stack.directory.as_str()).unwrap_or(parent(file)).trim_start_matches('/');
            let package = if inside.is_empty() { ".".to_owned() } else { format!("./{inside}") };
            Some((format!("go run {}", super::shell::quoted(&package)), format!("{file} is a program")))
        }
        Language::Rust => {
            let file = own("src/main.rs")?;
            Some(("cargo run --release".to_owned(), format!("{file} is a program")))
        }
        Language::Java if stack.frameworks.iter().any(|framework| framework.name == "spring") => {
            let maven = stack.manager.name == "maven";
            let wrapper = own(if maven { "mvnw" } else { "gradlew" }).is_some();
            let line = match (maven, wrapper) {
                (true, true) => "./mvnw -q spring-boot:run",
                (true, false) => "mvn -q spring-boot:run",
                (false, true) => "./gradlew -q bootRun",
                (false, false) => "gradle -q bootRun",
            };
            Some((line.to_owned(), "Spring Boot's own task".to_owned()))
        }
        Language::Java | Language::DotNet | Language::Ruby | Language::Php => None,
    }
}

/// `app = FastAPI(`: the file nearest to the package's root, and the variable.
fn made_by(known: &Known<'_>, stack: &Stack, makers: &[&str]) -> Option<(String, String)> {
    let tree = known.repository.tree;
    let sources = tree.below(&stack.directory).filter(|file| file.ends_with(".py") && !stacks::is_test_file(file));
    let made = sources.filter_map(|file| {
        let text = tree.read(file)?;
        let line = text.lines().find(|line| makers.iter().any(|maker| line.contains(maker)))?;
        let left = line.split_once('=')?.0.trim_end();
        // Made inside a function it is no variable of the module; flask finds `create_app` by itself.
        let inside = line.starts_with(char::is_whitespace) && makers != FLASK;
        Some((file.to_owned(), word_before(left, left.len()).to_owned())).filter(|_| !inside)
    });
    made.min_by_key(|(file, _)| (file.matches('/').count(), file.clone()))
}
