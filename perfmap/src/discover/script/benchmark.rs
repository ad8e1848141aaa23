//! A function → a benchmark in its language's own idiom: timeit, performance.now, testing.B, a release build with
//! black_box, a warmed-up loop.

use super::{Draft, Known, arguments::arguments, shell};
use crate::discover::{
    entry::Entry,
    found::{Language, NoBenchmark, Script, Stack},
    source::definitions::{Definition, Kind},
    stacks::{self, interpreter, module_of},
    tree::{extension, join, parent},
};

pub fn script(known: &Known<'_>, entry: &Entry) -> Result<Script, NoBenchmark> {
    let file = entry.point.file.as_str();
    let language = Language::of(file).ok_or(NoBenchmark::Language)?;
    let definition = entry.definition.as_ref().ok_or(NoBenchmark::Method)?;
    let stack = stacks::of_file(known.repository.stacks, file).ok_or(NoBenchmark::Language)?;
    let of = Of { known, stack, file, definition };
    match language {
        Language::Python => of.python(),
        Language::Node => of.node(),
        Language::Go => of.go(),
        Language::Rust => of.rust(),
        Language::Java => of.java(),
        Language::DotNet | Language::Ruby | Language::Php => Err(NoBenchmark::Language),
    }
}

struct Of<'a> {
    known: &'a Known<'a>,
    stack: &'a Stack,
    file: &'a str,
    definition: &'a Definition,
}

impl Of<'_> {
    fn draft(&self, how: &str) -> Draft {
        Draft::new(self.known, how, &self.stack.directory)
    }

    /// `f(a, b)` with a line for each guessed argument.
    fn guessed(&self, language: Language, draft: &mut Draft, mark: &str) -> (Vec<String>, Vec<String>) {
        let all = arguments(language, &self.definition.parameters);
        let lines = all.iter().map(|argument| {
            draft.guessed.push(format!("{} of {}", argument.name, self.definition.qualified));
            format!("{},  {mark} guessed: {}", argument.value, shell::comment(&argument.name))
        });
        (lines.collect(), all.iter().map(|argument| argument.name.clone()).collect())
    }

    /// Of a function within another nobody has a hold; of a method its object must be made.
    fn owner(&self, draft: &mut Draft) -> Result<Option<&str>, NoBenchmark> {
        match (self.definition.kind, self.definition.qualified.rsplit_once('.')) {
            (Kind::Container, _) => Err(NoBenchmark::Method),
            (Kind::Function, None) => Ok(None),
            (Kind::Function, Some(_)) => Err(NoBenchmark::Private),
            (Kind::Method, Some((owner, _))) => {
                draft.guessed.push(format!("how {owner} is made"));
                Ok(Some(owner))
            }
            (Kind::Method, None) => Err(NoBenchmark::Method),
        }
    }

    fn python(&self) -> Result<Script, NoBenchmark> {
        let mut draft = self.draft("times its calls with timeit");
        let owner = self.owner(&mut draft)?;
        let (lines, _) = self.guessed(Language::Python, &mut draft, "#");
        let by_name = arguments(Language::Python, &self.definition.parameters);
        let lines: String =
            by_name.iter().zip(lines).map(|(argument, line)| format!("    {:?}: {line}\n", argument.name)).collect();
        let module = module_of(self.stack, self.file);
        let object = owner.map_or(String::new(), |owner| {
            let path: String = owner.split('.').map(|part| format!(".{part}")).collect();
            format!("{path}()")
        });
        let guess = if owner.is_some() { "  # guessed: how the object is made" } else { "" };
        let call = if self.definition.is_async {
            "loop = asyncio.new_event_loop()\ncall = lambda: loop.run_until_complete(function(**arguments))"
        } else {
            "call = lambda: function(**arguments)"
        };
        let text = format!(
            "import asyncio\nimport importlib\nimport sys\nimport timeit\n\nsys.path[:0] = [\".\", \"src\"]\n\
             module = importlib.import_module({module:?})\nfunction = module{object}.{}{guess}\narguments = {{\n{lines}}}\n{call}\n\
             timer = timeit.Timer(call)\ncount, first = timer.autorange()\nbest = min([first, *timer.repeat(repeat=2, number=count)])\n\
             print(f\"{{count}} calls, {{best / count * 1e6:.3f}} us each\")\n",
            self.definition.name
        );
        let program: Vec<String> = interpreter(self.stack).iter().map(|word| shell::quoted(word)).collect();
        draft.line(&format!("exec {} \"$here/profile_bench.py\"", program.join(" ")));
        Ok(draft.done(vec![("profile_bench.py".into(), text)]))
    }

    fn node(&self) -> Result<Script, NoBenchmark> {
        let mut draft = self.draft("times its calls with performance.now");
        let owner = self.owner(&mut draft)?;
        let (lines, _) = self.guessed(Language::Node, &mut draft, "//");
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        let path = format!("{}/{}", self.known.root, self.file);
        let pick = |name: &str| format!("(module[{name:?}] ?? module.default?.[{name:?}] ?? module.default)");
        let name = &self.definition.name;
        let function = match owner {
            Some(owner) => format!(
                "const object = new ({})(); // guessed: how the object is made\nconst call = () => object[{name:?}](...given);",
                pick(owner)
            ),
            None => format!("const call = () => {}(...given);", pick(name)),
        };
        let text = format!(
            "import {{ pathToFileURL }} from \"node:url\";\n\nconst module = await import(pathToFileURL({path:?}).href);\nconst given = [\n{lines}];\n{function}\n\
             const until = performance.now() + 1000;\nlet count = 0;\nlet begun = performance.now();\nwhile (performance.now() < until) {{\n  await call();\n  count += 1;\n}}\n\
             console.log(`${{count}} calls, ${{(((performance.now() - begun) / count) * 1000).toFixed(3)}} us each`);\nprocess.exit(0);\n"
        );
        let program = if matches!(extension(self.file), "ts" | "mts" | "tsx") { "npx tsx" } else { "node" };
        draft.line(&format!("exec {program} \"$here/profile_bench.mjs\""));
        Ok(draft.done(vec![("profile_bench.mjs".into(), text)]))
    }

    /// Beside the package's own tests without being written there: as an overlay of its directory, of which `go vet`
    /// does not know.
    fn go(&self) -> Result<Script, NoBenchmark> {
        let text = self.known.repository.tree.read(self.file).unwrap_or_default();
        let package = text.lines().find_map(|line| line.strip_prefix("package ")).map(|name| name.trim().to_owned());
        let package = package.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'));
        let package = package.ok_or(NoBenchmark::Language)?;
        let mut draft = self.draft("runs a benchmark of the function");
        let owner = self.owner(&mut draft)?;
        let (lines, _) = self.guessed(Language::Go, &mut draft, "//");
        let lines: String = lines.iter().map(|line| format!("\t\t\t{line}\n")).collect();
        let context = if lines.contains("context.") { "import \"context\"\n" } else { "" };
        let receiver =
            owner.map_or(String::new(), |owner| format!("\tvar object {owner} // guessed: how it is made\n"));
        let function = owner.map_or(self.definition.name.clone(), |_| format!("object.{}", self.definition.name));
        let bench = format!(
            "package {package}\n\nimport \"testing\"\n{context}\nfunc BenchmarkPerfmapTarget(b *testing.B) {{\n{receiver}\tfor i := 0; i < b.N; i++ {{\n\t\t{function}(\n{lines}\t\t)\n\t}}\n}}\n"
        );
        let place = format!("{}/{}", self.known.root, join(parent(self.file), "perfmap_target_test.go"));
        let overlay = serde_json::json!({ "Replace": { place: "HERE/profile_bench_test.go" } }).to_string();
        draft.line(&format!(
            "printf '%s\\n' {} | sed \"s|HERE|$here|\" > \"$here/overlay.json\"",
            shell::quoted(&overlay)
        ));
        let package =
            match parent(self.file.strip_prefix(&self.stack.directory).unwrap_or(self.file).trim_start_matches('/')) {
                "" => ".".to_owned(),
                directory => format!("./{directory}"),
            };
        draft.line(&format!(
            "exec go test -vet=off -overlay=\"$here/overlay.json\" -run='^$' -bench='^BenchmarkPerfmapTarget$' {}",
            shell::quoted(&package)
        ));
        Ok(draft.done(vec![("profile_bench_test.go".into(), bench)]))
    }

    /// A package of its own that depends on this one, so it sees what is public.
    fn rust(&self) -> Result<Script, NoBenchmark> {
        let tree = self.known.repository.tree;
        let package = self.stack.name.clone().ok_or(NoBenchmark::Private)?;
        let library = tree.has(&join(&self.stack.directory, "src/lib.rs"));
        let inside = self.file.strip_prefix(&self.stack.directory).unwrap_or(self.file).trim_start_matches('/');
        let module =
            inside.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")).ok_or(NoBenchmark::Private)?;
        if !library || module == "main" || self.definition.before.split_whitespace().next() != Some("pub") {
            return Err(NoBenchmark::Private);
        }
        if self.definition.kind != Kind::Function || self.definition.is_async {
            return Err(NoBenchmark::Method);
        }
        let module: String =
            module.split('/').filter(|part| !matches!(*part, "lib" | "mod")).map(|part| format!("::{part}")).collect();
        let mut draft = self.draft("times its calls in a release build");
        let (lines, _) = self.guessed(Language::Rust, &mut draft, "//");
        let lines: String = lines.iter().map(|line| format!("            {line}\n")).collect();
        let main = format!(
            "//! The path of the function is guessed from its file: modules that are not public, or named otherwise, need an edit.\nuse std::{{hint::black_box, time::{{Duration, Instant}}}};\n\nfn main() {{\n    let begun = Instant::now();\n    let mut count = 0_u64;\n    while begun.elapsed() < Duration::from_secs(1) {{\n        let _ = black_box(target::{}{}(\n{lines}        ));\n        count += 1;\n    }}\n    println!(\"{{count}} calls, {{:.3}} us each\", begun.elapsed().as_secs_f64() * 1e6 / count as f64);\n}}\n",
            module.trim_start_matches("::").to_owned() + if module.is_empty() { "" } else { "::" },
            self.definition.name
        );
        let place = if self.stack.directory.is_empty() {
            self.known.root.to_owned()
        } else {
            format!("{}/{}", self.known.root, self.stack.directory)
        };
        let manifest = format!(
            "[package]\nname = \"perfmap-target\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[[bin]]\nname = \"perfmap-target\"\npath = \"profile_bench.rs\"\n\n[dependencies]\ntarget = {{ package = {package:?}, path = {place:?} }}\n\n[profile.release]\ndebug = \"line-tables-only\"\n\n[workspace]\n"
        );
        draft.line(
            "exec cargo run --quiet --release --manifest-path \"$here/Cargo.toml\" --target-dir \"$here/target\"",
        );
        Ok(draft.done(vec![("Cargo.toml".into(), manifest), ("profile_bench.rs".into(), main)]))
    }

    fn java(&self) -> Result<Script, NoBenchmark> {
        let text = self.known.repository.tree.read(self.file).unwrap_or_default();
        let package = text.lines().find_map(|line| line.trim().strip_prefix("package ")).unwrap_or_default();
        let package = package.trim().trim_end_matches(';');
        if !self.definition.before.contains("public") {
            return Err(NoBenchmark::Private);
        }
        let mut draft = self.draft("times its calls, warmed up");
        let owner = self.owner(&mut draft)?.unwrap_or_default();
        let class = if package.is_empty() { owner.to_owned() } else { format!("{package}.{owner}") };
        let object = if self.definition.before.contains("static") {
            draft.guessed.pop();
            class
        } else {
            format!("new {class}() /* guessed: how it is made */")
        };
        let (mut lines, _) = self.guessed(Language::Java, &mut draft, "//");
        if let Some(last) = lines.last_mut() {
            *last = last.replacen(",  //", "  //", 1);
        }
        let lines: String = lines.iter().map(|line| format!("                {line}\n")).collect();
        let name = &self.definition.name;
        let source = format!(
            "public class ProfileBench {{\n    public static void main(String[] words) throws Throwable {{\n        var target = (Callable) () -> {object}.{name}(\n{lines}            );\n        for (int round = 0; round < 2; round++) {{\n            long begun = System.nanoTime(), count = 0;\n            while (System.nanoTime() - begun < 1_000_000_000L) {{ target.call(); count++; }}\n            System.out.printf(\"%d calls, %.3f us each%n\", count, (System.nanoTime() - begun) / 1e3 / count);\n        }}\n    }}\n    interface Callable {{ void call() throws Throwable; }}\n}}\n"
        );
        let maven = self.stack.manager.name == "maven";
        let tree = self.known.repository.tree;
        let (program, wrapper, task, classes) = if maven {
            ("mvn", "mvnw", "compile", "target/classes")
        } else {
            ("gradle", "gradlew", "classes", "build/classes/java/main")
        };
        let above = self.stack.directory.split('/').filter(|part| !part.is_empty()).count();
        let mut places =
            (0..=above).map(|up| (up, self.stack.directory.rsplitn(up + 1, '/').nth(up).unwrap_or_default()));
        let found = places.find(|(_, directory)| tree.has(&join(directory, wrapper)));
        let program = found.map_or(program.to_owned(), |(up, _)| match up {
            0 => format!("./{wrapper}"),
            up => format!("{}{wrapper}", "../".repeat(up)),
        });
        draft.line(&format!("{program} -q {task}"));
        draft.guess(&format!("CLASSES={classes}"), "libraries that the class needs are to be added here");
        draft.line("exec java -cp \"$CLASSES\" \"$here/ProfileBench.java\"");
        Ok(draft.done(vec![("ProfileBench.java".into(), source)]))
    }
}
