//! A route → requests with curl, and their times; the service is started first where nothing answers and it is known how.

use super::{
    Draft, Known, shell,
    start::{Start, start},
};
use crate::discover::{entry::Entry, found::Script, services, source::routes::segments, stacks};

const REQUESTS: u32 = 20;

const BODY: &str = r#"up() { curl -s -o /dev/null --max-time 5 "$BASE/"; }
if ! up; then
  [ -n "$START" ] || { echo "nothing answers at $BASE: start the service first, or set BASE_URL" >&2; exit 1; }
  sh -c "exec $START" >"$here/service.log" 2>&1 &
  server=$!
  trap 'kill "$server" 2>/dev/null || :; wait "$server" 2>/dev/null || :' EXIT
  tries=0
  until up; do
    kill -0 "$server" 2>/dev/null || { cat "$here/service.log" >&2; echo "the service ended while it started: $START" >&2; exit 1; }
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { echo "nothing answers at $BASE after 60 s: $START" >&2; exit 1; }
    sleep 0.1
  done
fi

failed=0 n=0
while [ "$n" -lt "$REQUESTS" ]; do
  n=$((n + 1))
  if [ -n "$DATA" ]; then
    said=$(curl -sS -o /dev/null -w '%{http_code} %{time_total}' -X "$METHOD" -H 'content-type: application/json' --data "$DATA" "$BASE$ROUTE")
  else
    said=$(curl -sS -o /dev/null -w '%{http_code} %{time_total}' -X "$METHOD" "$BASE$ROUTE")
  fi
  echo "$METHOD $ROUTE: $said s"
  case $said in [23]*) ;; *) failed=$((failed + 1)) ;; esac
done
[ "$failed" -eq 0 ] || { echo "$failed of $REQUESTS requests failed: see the lines marked '# guessed' in $0" >&2; exit 1; }
"#;

pub fn script(known: &Known<'_>, entry: &Entry, base: Option<&str>) -> Script {
    let route = entry.point.route.as_deref().unwrap_or("/");
    let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
    let stack = stacks::of_file(known.repository.stacks, &entry.point.file);
    let directory = stack.map_or("", |stack| &stack.directory);
    let mut draft = Draft::new(known, &format!("times {REQUESTS} requests with curl"), directory);
    let start = start(known, entry);
    let started_by = match &start {
        Start::Said(command) => {
            draft.line(&format!("# {}", shell::comment(&command.evidence.to_string())));
            draft.line(&format!("START={}", shell::quoted(&command.line)));
            Some(command.line.as_str())
        }
        Start::Guessed(line, why) => {
            draft.guess(&format!("START={}", shell::quoted(line)), &format!("how it is started; {why}"));
            Some(line.as_str())
        }
        Start::Unknown => {
            draft.guess("START=''", "the repository does not say how the service is started; put the command here");
            None
        }
    };
    let port = port_of(known, entry, started_by);
    match (base, port) {
        (Some(base), _) => draft.line(&format!("BASE=${{BASE_URL:-{}}}", shell::quoted(base))),
        (None, Port::Said(port, by)) => {
            draft.line(&format!("# {}", shell::comment(&by)));
            draft.line(&format!("BASE=${{BASE_URL:-http://127.0.0.1:{port}}}"));
        }
        (None, Port::Usual(port, of)) => {
            draft.guess(&format!("BASE=${{BASE_URL:-http://127.0.0.1:{port}}}"), &format!("the usual port of {of}"));
        }
    }
    draft.line(&format!("METHOD={}", shell::quoted(method)));
    let filled: String =
        segments(path).iter().map(|part| format!("/{}", if part == "{}" { "1" } else { part })).collect();
    let filled = if filled.is_empty() { "/".to_owned() } else { filled };
    // Some frameworks answer a missing slash at the end with a redirect.
    let filled = if path.len() > 1 && path.ends_with('/') { format!("{filled}/") } else { filled };
    if segments(path).iter().any(|part| part == "{}") {
        draft.guess(&format!("ROUTE={}", shell::quoted(&filled)), &format!("the parameters of {path}"));
    } else {
        draft.line(&format!("ROUTE={}", shell::quoted(&filled)));
    }
    if matches!(method, "POST" | "PUT" | "PATCH") {
        draft.guess("DATA='{}'", "the body of the request");
    } else {
        draft.line("DATA=''");
    }
    draft.line(&format!("REQUESTS={REQUESTS}\n"));
    draft.text += BODY;
    draft.done(Vec::new())
}

enum Port {
    Said(u16, String),
    Usual(u16, &'static str),
}

fn port_of(known: &Known<'_>, entry: &Entry, start: Option<&str>) -> Port {
    let words: Vec<String> = start.map(|line| line.split_whitespace().map(str::to_owned).collect()).unwrap_or_default();
    if let Some(port) = services::port_of_command(&words) {
        return Port::Said(port, start.unwrap_or_default().to_owned());
    }
    if let Some((service, port)) = services::of_file(known.topology, &entry.point.file)
        .and_then(|service| Some((service, *service.ports.first()?)))
    {
        return Port::Said(port, service.evidence.clone());
    }
    let frameworks = stacks::of_file(known.repository.stacks, &entry.point.file).map(|stack| &stack.frameworks);
    let usual = [
        ("fastapi", 8000),
        ("django", 8000),
        ("starlette", 8000),
        ("flask", 5000),
        ("express", 3000),
        ("@nestjs/core", 3000),
        ("fastify", 3000),
        ("koa", 3000),
        ("spring", 8080),
        ("gin", 8080),
        ("axum", 3000),
        ("actix-web", 8080),
        ("rocket", 8000),
    ];
    let found = usual.into_iter().find(|(name, _)| {
        frameworks.is_some_and(|frameworks| frameworks.iter().any(|framework| framework.name == *name))
    });
    let (name, port) = found.unwrap_or(("servers", 8080));
    Port::Usual(port, name)
}
