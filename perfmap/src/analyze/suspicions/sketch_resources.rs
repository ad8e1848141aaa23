//! What to change about files, descriptors and processes: before and after, in the language of the step's file.

use super::{
    calls::OUTSIDE,
    sketch::{Language, doer},
    types::Change,
};
use crate::map::Location;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    KeepContent,
    AskForLess,
    Close,
    Remove,
    OneProcess,
    TimeOut,
    /// A peer refuses.
    SendLess,
    /// The program holds itself back.
    RaiseLimit,
    Forget,
    Stream,
}

pub(crate) fn change(pattern: Pattern, location: Option<&Location>, function: &str) -> Change {
    let language = location.map_or(Language::Other, |location| Language::of(&location.file));
    let (before, after) = sketch(pattern, language);
    let function = doer(function);
    let hint = match pattern {
        Pattern::KeepContent if function == doer(OUTSIDE) => "Read the file once and keep what it says.".to_owned(),
        Pattern::KeepContent => format!("Read the file once outside {function} and keep what it says."),
        Pattern::AskForLess => format!("Let {function} ask for what it reads: a range, a limit, fewer columns."),
        Pattern::Close => format!("Close what {function} opens where it is no longer needed."),
        Pattern::Remove => format!("Remove what {function} makes when it is done, also after a failure."),
        Pattern::OneProcess => format!("Let {function} start one process for many items, or do the work itself."),
        Pattern::TimeOut => {
            format!("Set the time-out of {function} to what the answer may take, and find who is slow.")
        }
        Pattern::SendLess => {
            format!("Let {function} send no faster than the peer lets through, and ask for several items at once.")
        }
        Pattern::RaiseLimit => {
            format!("Set the limit of {function} to what is behind it can take, or take fewer turns: more for each.")
        }
        Pattern::Forget => {
            format!("Bound what {function} keeps: remove what is done with, or keep the last ones alone.")
        }
        Pattern::Stream => format!("Let {function} work on a piece at a time instead of holding all at once."),
    };
    let ungained = match pattern {
        // Taken back by rules that can tell it.
        Pattern::KeepContent => "no sample is in the reads, or nobody waits for them",
        Pattern::OneProcess => "nobody waits for the processes",
        Pattern::AskForLess => "what a smaller answer would take was not measured",
        Pattern::Close => "what is open costs no time until a limit is reached",
        Pattern::Remove => "what is left costs space, not time",
        Pattern::Forget => "what is kept costs memory, and no time until that is short",
        Pattern::Stream => "what the pieces would take was not measured; less memory saves time where it is short",
        Pattern::TimeOut => "when the answer would have come was not measured",
        Pattern::SendLess => "what the peer would let through was not measured",
        Pattern::RaiseLimit => "how much faster the limit may let it go was not measured",
    };
    Change { hint, before: before.into(), after: after.into(), ungained: Some(ungained.into()) }
}

fn sketch(pattern: Pattern, language: Language) -> (&'static str, &'static str) {
    use Language::{Go, Java, JavaScript, Other, Python, Rust};
    match (pattern, language) {
        (Pattern::KeepContent, Python) => (
            "def rate(key):\n    return json.load(open(path))[key]",
            "@functools.cache\ndef rates():\n    with open(path) as file:\n        return json.load(file)",
        ),
        (Pattern::KeepContent, JavaScript) => (
            "const rate = key => JSON.parse(fs.readFileSync(path))[key]",
            "const rates = JSON.parse(fs.readFileSync(path)) // once\nconst rate = key => rates[key]",
        ),
        (Pattern::KeepContent, Go) => (
            "data, _ := os.ReadFile(path) // for each call",
            "var load = sync.OnceValues(func() ([]byte, error) { return os.ReadFile(path) })",
        ),
        (Pattern::KeepContent, Rust) => (
            "let text = fs::read_to_string(path)?; // for each call",
            "static TEXT: OnceLock<String> = OnceLock::new();",
        ),
        (Pattern::KeepContent, Java | Other) => ("read the file for each item", "read it once, keep the content"),
        (Pattern::AskForLess, Python) => (
            "response = requests.get(url, stream=True)\nfirst = next(response.iter_lines())",
            "response = requests.get(url, headers={\"Range\": \"bytes=0-1023\"})",
        ),
        (Pattern::AskForLess, JavaScript | Go | Java | Rust | Other) => (
            "ask for all, read the beginning, close",
            "ask for the part that is needed (Range, LIMIT, a page), read it whole",
        ),
        (Pattern::Close, Python) => ("file = open(path)\nuse(file)", "with open(path) as file:\n    use(file)"),
        (Pattern::Close, JavaScript) => (
            "const file = await fs.promises.open(path)\nawait use(file)",
            "const file = await fs.promises.open(path)\ntry { await use(file) } finally { await file.close() }",
        ),
        (Pattern::Close, Go) => ("file, err := os.Open(path)", "file, err := os.Open(path)\n…\ndefer file.Close()"),
        (Pattern::Close, Java) => {
            ("var in = new FileInputStream(path);", "try (var in = new FileInputStream(path)) { … }")
        }
        (Pattern::Close, Rust) => (
            "files.push(File::open(path)?); // kept",
            "let file = File::open(path)?; // closed when it goes out of scope",
        ),
        (Pattern::Close, Other) => ("open, use", "open, use, close: on every way out"),
        (Pattern::Remove, Python) => (
            "fd, path = tempfile.mkstemp()\nuse(path)",
            "with tempfile.NamedTemporaryFile() as file:\n    use(file.name)",
        ),
        (Pattern::Remove, JavaScript) => (
            "const dir = fs.mkdtempSync(prefix)\nuse(dir)",
            "const dir = fs.mkdtempSync(prefix)\ntry { use(dir) } finally { fs.rmSync(dir, { recursive: true }) }",
        ),
        (Pattern::Remove, Go) => (
            "file, err := os.CreateTemp(\"\", \"x\")",
            "file, err := os.CreateTemp(\"\", \"x\")\n…\ndefer os.Remove(file.Name())",
        ),
        (Pattern::Remove, Java) => (
            "Path path = Files.createTempFile(\"x\", null);\nuse(path);",
            "Path path = Files.createTempFile(\"x\", null);\ntry { use(path); } finally { Files.delete(path); }",
        ),
        (Pattern::Remove, Rust | Other) => ("make a file, use it", "make a file, use it, remove it: on every way out"),
        (Pattern::OneProcess, Python) => (
            "for path in paths:\n    subprocess.run([\"tool\", path])",
            "subprocess.run([\"tool\", *paths])  # or the library that the tool is made of",
        ),
        (Pattern::OneProcess, JavaScript | Go | Java | Rust | Other) => {
            ("for each item: start a process", "one process for all items (xargs, a worker that stays), or a library")
        }
        (Pattern::SendLess, Python) => (
            "while (answer := session.get(url)).status_code == 429:\n    time.sleep(0.1)",
            "limiter = AsyncLimiter(rate, 1)  # as many a second as the peer allows\nasync with limiter:\n    \
             answer = await client.get(url)  # 429: sleep for its Retry-After",
        ),
        (Pattern::SendLess, JavaScript) => (
            "while ((answer = await fetch(url)).status === 429) await sleep(100)",
            "const limit = pLimit(width) // as many at a time as the peer allows\n\
             const answer = await limit(() => fetch(url)) // 429: sleep for its Retry-After",
        ),
        (Pattern::SendLess, Go) => (
            "for answer.StatusCode == 429 { time.Sleep(pause); answer, err = client.Get(url) }",
            "limiter := rate.NewLimiter(perSecond, burst) // golang.org/x/time/rate\nlimiter.Wait(ctx)\n\
             answer, err := client.Get(url) // 429: sleep for its Retry-After",
        ),
        (Pattern::SendLess, Java | Rust | Other) => (
            "ask until it is not refused",
            "a limiter before the call with the peer's rate; of a refusal, sleep for its Retry-After; one call for many items",
        ),
        (Pattern::RaiseLimit, _) => (
            "limiter: N a second, one turn for each item",
            "the limit as a setting, measured against what is behind it; one turn for a batch of items",
        ),
        (Pattern::Forget, Python) => (
            "SEEN[key] = value  # nothing is ever removed",
            "@functools.lru_cache(maxsize=10_000)\ndef value_of(key): …  # or del SEEN[key] when it is done",
        ),
        (Pattern::Forget, JavaScript) => (
            "seen.set(key, value) // nothing is ever removed",
            "seen.set(key, value)\nif (seen.size > 10_000) seen.delete(seen.keys().next().value)",
        ),
        (Pattern::Forget, Go) => (
            "seen[key] = value // nothing is ever removed",
            "seen[key] = value\ndefer delete(seen, key) // or a cache with a bound",
        ),
        (Pattern::Forget, Java) => (
            "static final Map<K, V> SEEN = new HashMap<>(); // nothing is ever removed",
            "new LinkedHashMap<K, V>(16, 0.75f, true) {\n    protected boolean removeEldestEntry(Map.Entry<K, V> eldest) { return size() > 10_000; }\n}",
        ),
        (Pattern::Forget, Rust) => (
            "self.seen.insert(key, value); // nothing is ever removed",
            "self.seen.insert(key, value);\nif self.seen.len() > 10_000 { self.seen.pop_first(); } // BTreeMap",
        ),
        (Pattern::Forget, Other) => ("keep every item", "keep the last N items; free what is done with"),
        (Pattern::Stream, Python) => (
            "rows = list(read(path))\nreturn sum(cost(row) for row in rows)",
            "return sum(cost(row) for row in read(path))  # a generator: one row at a time",
        ),
        (Pattern::Stream, JavaScript) => (
            "const text = await fs.promises.readFile(path)\nfor (const line of text.toString().split('\\n')) use(line)",
            "for await (const line of readline.createInterface({ input: fs.createReadStream(path) })) use(line)",
        ),
        (Pattern::Stream, Go) => (
            "data, err := os.ReadFile(path)",
            "lines := bufio.NewScanner(file)\nfor lines.Scan() { use(lines.Bytes()) }",
        ),
        (Pattern::Stream, Java) => (
            "List<String> lines = Files.readAllLines(path);",
            "try (Stream<String> lines = Files.lines(path)) { lines.forEach(this::use); }",
        ),
        (Pattern::Stream, Rust) => (
            "let text = fs::read_to_string(path)?;",
            "for line in BufReader::new(File::open(path)?).lines() { use_it(&line?); }",
        ),
        (Pattern::Stream, Other) => ("read all, then work on it", "read a piece, work on it, use its room again"),
        (Pattern::TimeOut, _) => (
            "wait for the default time-out, try again",
            "a time-out of its own for this call; the error goes to the caller, or the call to another server",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_language_of_the_file() {
        let at = |file: &str| Location { file: file.into(), line: 1 };
        assert!(change(Pattern::Close, Some(&at("a.py")), "load").after.starts_with("with open"));
        assert!(change(Pattern::Close, Some(&at("a.go")), "load").after.contains("defer"));
        assert!(change(Pattern::TimeOut, None, "load").hint.contains("load"));
    }
}
