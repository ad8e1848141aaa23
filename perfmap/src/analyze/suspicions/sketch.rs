//! A pattern → what to do about it, as a sketch before and after in the language of the step's file. A sketch names
//! no library that the program need not have; what it cannot know it leaves as `…`.

use super::{calls::OUTSIDE, sharing::Sharing, types::Change};
use crate::map::Location;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    KeepConnection,
    /// The peer closes them first.
    KeepOpen,
    ResumeSession,
    KeepName,
    Overlap,
    Gather,
    OneQuery,
    Batch,
    KeepAnswer,
    UseCache,
    OffTheLoop,
    Buffer,
    SyncOnce,
    OneWrite,
    LargerPool,
    Sharing(Sharing),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
    Go,
    Java,
    Rust,
    Other,
}

impl Language {
    pub fn of(file: &str) -> Language {
        match file.rsplit_once('.').map(|(_, end)| end) {
            Some("py") => Language::Python,
            Some("js" | "mjs" | "cjs" | "ts" | "tsx" | "jsx") => Language::JavaScript,
            Some("go") => Language::Go,
            Some("java" | "kt") => Language::Java,
            Some("rs") => Language::Rust,
            Some(_) | None => Language::Other,
        }
    }
}

pub(crate) fn change(pattern: Pattern, location: Option<&Location>, function: &str) -> Change {
    let language = location.map_or(Language::Other, |location| Language::of(&location.file));
    let (before, after) = sketch(pattern, language);
    Change { hint: hint(pattern, function), before: before.into(), after: after.into(), ungained: None }
}

/// A function's name in a sentence; where none of the project's was, the program as a whole.
pub(crate) fn doer(function: &str) -> &str {
    if function == OUTSIDE { "the program" } else { function }
}

fn hint(pattern: Pattern, function: &str) -> String {
    let function = doer(function);
    match pattern {
        Pattern::KeepConnection if function == doer(OUTSIDE) => {
            "Make one client and use it for all requests.".to_owned()
        }
        Pattern::KeepConnection => format!("Make one client outside {function} and use it for all requests."),
        Pattern::KeepOpen => format!(
            "Let the service that {function} asks keep connections open, and one client use them for all requests: the \
             service closes each first, by its own settings or because it is asked to."
        ),
        Pattern::ResumeSession => format!("Resume the TLS sessions of {function}'s connections, or keep these open."),
        Pattern::KeepName => format!("Keep the connections or the resolved addresses that {function} uses."),
        Pattern::Overlap => format!("Let the calls of {function} be under way together."),
        Pattern::Gather => format!("Start what {function} awaits before it awaits the first."),
        Pattern::OneQuery => format!("Ask once for all that {function} asks for one by one."),
        Pattern::Batch => format!("Use the batch call that the client of {function} has."),
        Pattern::KeepAnswer => format!("Keep the first answer in {function} and use it again."),
        Pattern::UseCache => format!("Ask the cache that the program has before {function} asks again."),
        Pattern::OffTheLoop => format!("Take what blocks in {function} off the event loop's thread."),
        Pattern::Buffer => format!("Let {function} read and write in larger pieces."),
        Pattern::SyncOnce => format!("Let {function} write all, then sync once."),
        Pattern::OneWrite => format!("Let {function} send a request in one write, or set TCP_NODELAY."),
        Pattern::LargerPool => format!("Give the pool that {function} takes from as many places as there are users."),
        Pattern::Sharing(sharing) => sharing.hint(function),
    }
}

fn sketch(pattern: Pattern, language: Language) -> (&'static str, &'static str) {
    use Language::{Go, Java, JavaScript, Other, Python, Rust};
    match (pattern, language) {
        (Pattern::KeepConnection, Python) => (
            "for item in items:\n    requests.get(url(item))",
            "session = requests.Session()\nfor item in items:\n    session.get(url(item))",
        ),
        (Pattern::KeepConnection, JavaScript) => (
            "for (const item of items)\n  await get(url(item), { agent: new http.Agent() })",
            "const agent = new http.Agent({ keepAlive: true })\nfor (const item of items)\n  await get(url(item), { agent })",
        ),
        (Pattern::KeepConnection, Go) => (
            "client := &http.Client{Transport: &http.Transport{}} // for each call",
            "var client = &http.Client{} // one for the program\nio.Copy(io.Discard, response.Body)\nresponse.Body.Close()",
        ),
        (Pattern::KeepConnection, Java) => (
            "HttpClient.newHttpClient().send(request, handler); // for each call",
            "static final HttpClient CLIENT = HttpClient.newHttpClient();\nCLIENT.send(request, handler);",
        ),
        (Pattern::KeepConnection, Rust) => (
            "reqwest::Client::new().get(url).send() // for each call",
            "let client = reqwest::Client::new(); // one for the program\nclient.get(url).send()",
        ),
        (Pattern::KeepConnection, Other) => ("open, ask, close: for each request", "open once; ask, ask, …; close"),
        (Pattern::KeepOpen, _) => (
            "HTTP/1.0, or Connection: close",
            "the service: HTTP/1.1, keep-alive longer than the pause between two requests\nthe client: one for the program, without Connection: close",
        ),
        (Pattern::ResumeSession, Python) => (
            "tls.wrap_socket(s, server_hostname=host)",
            "tls.wrap_socket(s, server_hostname=host, session=last.session)",
        ),
        (Pattern::ResumeSession, _) => {
            ("a new TLS context for each connection", "one TLS context that keeps its sessions")
        }
        (Pattern::KeepName, _) => ("look up, connect, ask: for each request", "look up and connect once; ask, ask, …"),
        (Pattern::Overlap, Python) => (
            "results = [call(item) for item in items]",
            "with ThreadPoolExecutor(max_workers=8) as pool:\n    results = list(pool.map(call, items))",
        ),
        (Pattern::Overlap, JavaScript) => (
            "for (const item of items) results.push(await call(item))",
            "const results = await Promise.all(items.map(call))",
        ),
        (Pattern::Overlap, Go) => (
            "for i, item := range items { results[i] = call(item) }",
            "group.SetLimit(8) // errgroup.Group\nfor i, item := range items {\n    group.Go(func() error { results[i] = call(item); return nil })\n}\ngroup.Wait()",
        ),
        (Pattern::Overlap, Java) => (
            "for (var item : items) results.add(call(item));",
            "var pool = Executors.newFixedThreadPool(8);\nvar futures = pool.invokeAll(items.stream().map(item -> (Callable<R>) () -> call(item)).toList());",
        ),
        (Pattern::Overlap, Rust) => (
            "for item in items { results.push(call(item).await?); }",
            "let results: Vec<_> = stream::iter(items).map(call).buffered(8).try_collect().await?;",
        ),
        (Pattern::Overlap, Other) => ("call, wait, call, wait, …", "call, call, …; wait for all"),
        (Pattern::Gather, Python) => {
            ("a = await first()\nb = await second()", "a, b = await asyncio.gather(first(), second())")
        }
        (Pattern::Gather, JavaScript) => (
            "const a = await first()\nconst b = await second()",
            "const [a, b] = await Promise.all([first(), second()])",
        ),
        (Pattern::Gather, Rust) => {
            ("let a = first().await?;\nlet b = second().await?;", "let (a, b) = tokio::try_join!(first(), second())?;")
        }
        (Pattern::Gather, Go | Java | Other) => {
            ("wait for the first, then start the second", "start both, then wait for both")
        }
        (Pattern::OneQuery | Pattern::Batch, Python) => (
            "for id in ids:\n    cursor.execute(\"SELECT … WHERE id = %s\", (id,))",
            "cursor.execute(\"SELECT … WHERE id = ANY(%s)\", (ids,))",
        ),
        (Pattern::OneQuery | Pattern::Batch, JavaScript) => (
            "for (const id of ids) await db.query('SELECT … WHERE id = $1', [id])",
            "await db.query('SELECT … WHERE id = ANY($1)', [ids])",
        ),
        (Pattern::OneQuery | Pattern::Batch, Go | Java | Rust | Other) => {
            ("for each id: SELECT … WHERE id = ?", "once: SELECT … WHERE id IN (…), a join, or a batch of statements")
        }
        (Pattern::KeepAnswer, Python) => {
            ("for item in items:\n    rates = fetch_rates()", "rates = fetch_rates()\nfor item in items:\n    …")
        }
        (Pattern::KeepAnswer, JavaScript) => (
            "for (const item of items) { const rates = await fetchRates(); … }",
            "const rates = await fetchRates()\nfor (const item of items) { … }",
        ),
        (Pattern::KeepAnswer, Go | Java | Rust | Other) => {
            ("ask inside the loop", "ask before the loop, keep the answer")
        }
        (Pattern::UseCache, _) => {
            ("ask the origin each time", "ask the cache; on a miss the origin, and store the answer")
        }
        (Pattern::OffTheLoop, Python) => {
            ("async def handle():\n    work()", "async def handle():\n    await asyncio.to_thread(work)")
        }
        (Pattern::OffTheLoop, JavaScript) => {
            ("fs.readFileSync(path)", "await fs.promises.readFile(path) // computing: a worker thread")
        }
        (Pattern::OffTheLoop, Rust) => ("work();", "tokio::task::spawn_blocking(work).await?;"),
        (Pattern::OffTheLoop, Go | Java | Other) => {
            ("block on the loop's thread", "hand the work to a pool, go on when it is done")
        }
        (Pattern::Buffer, Python) => (
            "os.write(fd, line)  # for each line",
            "with open(path, \"w\", buffering=1 << 16) as file:\n    file.write(line)",
        ),
        (Pattern::Buffer, JavaScript) => {
            ("fs.writeSync(fd, line) // for each line", "const out = fs.createWriteStream(path)\nout.write(line)")
        }
        (Pattern::Buffer, Go) => {
            ("file.Write(line) // for each line", "out := bufio.NewWriter(file)\ndefer out.Flush()\nout.Write(line)")
        }
        (Pattern::Buffer, Java) => (
            "new FileOutputStream(path).write(line);",
            "new BufferedOutputStream(new FileOutputStream(path)).write(line);",
        ),
        (Pattern::Buffer, Rust) => {
            ("file.write_all(line)?; // for each line", "let mut out = BufWriter::new(file);\nout.write_all(line)?;")
        }
        (Pattern::Buffer, Other) => ("a system call for each line", "a buffer of 64 KiB"),
        (Pattern::SyncOnce, Python) => (
            "for row in rows:\n    file.write(row)\n    os.fsync(file.fileno())",
            "for row in rows:\n    file.write(row)\nos.fsync(file.fileno())",
        ),
        (Pattern::SyncOnce, _) => ("for each row: write, sync", "write all rows, sync once"),
        (Pattern::OneWrite, _) => ("send(head); send(body); receive()", "send(head + body); receive()"),
        (Pattern::LargerPool, _) => {
            ("pool of fewer places than users", "pool of as many places as users, or fewer users")
        }
        (Pattern::Sharing(sharing), language) => sharing.sketch(language),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_language_of_the_file() {
        let at = |file: &str| Location { file: file.into(), line: 1 };
        let python = change(Pattern::Overlap, Some(&at("app/jobs.py")), "load");
        assert!(python.after.contains("ThreadPoolExecutor"));
        assert!(python.hint.contains("load"));
        let nowhere = [Pattern::KeepConnection, Pattern::Overlap].map(|pattern| change(pattern, None, OUTSIDE).hint);
        let said =
            ["Make one client and use it for all requests.", "Let the calls of the program be under way together."];
        assert_eq!(nowhere, said);
        assert!(change(Pattern::Overlap, Some(&at("src/jobs.ts")), "load").after.contains("Promise.all"));
        assert_eq!(change(Pattern::Overlap, None, "load").after, "call, call, …; wait for all");
    }
}
