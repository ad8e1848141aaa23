//! The static call chain on its own, and how long it takes. A figure, never a test.
//!
//! `cargo bench -p perfmap --bench call_chain -- --generate 10000` measures a tree of that many files of six languages,
//! about 170 lines each; `… -- ROOT "GET /route"` prints the chain in a repository.

use perfmap::{
    discover::{
        chain::{Index, Wanted},
        topology::Topology,
    },
    recording::EntryPoint,
};
use std::{error::Error, fmt::Write as _, path::Path, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--generate", count] => {
            let dir = tempfile::tempdir()?;
            let bytes = generate(dir.path(), count.parse()?)?;
            println!("{:.1} MB generated: {:.2} s of CPU", bytes as f64 / 1e6, spent());
            let (begun, before) = (Instant::now(), spent());
            let index = Index::build(dir.path(), &Topology::default());
            println!(
                "{} files: index {:.2} s, {:.2} s of CPU",
                index.files(),
                begun.elapsed().as_secs_f64(),
                spent() - before
            );
            let begun = Instant::now();
            let entry = index.entry(&route("GET /python/0/7")?)?;
            let followed = index.follow(&entry);
            println!("{} steps: entry and chain {:.3} s", followed.chain.len(), begun.elapsed().as_secs_f64());
        }
        [root, wanted] => {
            let begun = Instant::now();
            let index = Index::build(Path::new(root), &Topology::default());
            println!("{} files: index {:.2} s", index.files(), begun.elapsed().as_secs_f64());
            index.notes().iter().for_each(|note| println!("note: {note}"));
            let wanted = if wanted.contains('/') { route(wanted)? } else { function(wanted) };
            match index.entry(&wanted) {
                Ok(entry) => print_chain(&index, &entry),
                Err(missing) => println!("{missing}; nearest: {}", missing.nearest.join(", ")),
            }
        }
        // `cargo bench` without a word for this one.
        [] => return Ok(()),
        _ => return Err("usage: call_chain --generate N | call_chain ROOT \"METHOD /route\"|NAME".into()),
    }
    Ok(())
}

/// CPU seconds of all threads so far: the wall time says little on a machine that others use.
fn spent() -> f64 {
    let spent = nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID);
    spent.map_or(0.0, |spent| spent.tv_sec() as f64 + spent.tv_nsec() as f64 / 1e9)
}

fn route(text: &str) -> Result<Wanted, Box<dyn Error>> {
    let (method, path) = text.split_once(' ').ok_or("a route is written \"GET /path\"")?;
    Ok(Wanted::Route { method: Some(method.to_owned()), path: path.to_owned() })
}

fn function(name: &str) -> Wanted {
    match name.split_once("::") {
        Some((file, name)) if file.contains('.') => {
            Wanted::Function { file: Some(file.to_owned()), module: None, name: name.to_owned() }
        }
        _ => Wanted::Function { file: None, module: None, name: name.to_owned() },
    }
}

fn print_chain(index: &Index, entry: &EntryPoint) {
    let begun = Instant::now();
    let followed = index.follow(entry);
    println!("{} at {}:{} ({:.3} s)", entry.function, entry.file, entry.line, begun.elapsed().as_secs_f64());
    for step in &followed.chain {
        let indent = "  ".repeat(step.id.matches('.').count());
        let target = step.target.as_deref().unwrap_or_default();
        println!("{indent}{} {:?} {} {target} {}:{}", step.id, step.kind, step.function, step.file, step.line);
    }
    for one in &followed.findings {
        println!("{} {}:{} {}: {}", one.rule, one.file, one.line, one.function, one.what);
    }
    followed.unresolved.iter().for_each(|one| println!("? {one}"));
}

/// The same program in six languages, over and over, a folder for each hundred files.
fn generate(root: &Path, count: usize) -> std::io::Result<usize> {
    let mut bytes = 0;
    for number in 0..count {
        let (extension, text) = match number % 6 {
            0 => ("py", python(number)),
            1 => ("js", node(number)),
            2 => ("go", go(number)),
            3 => ("java", java(number)),
            4 => ("rs", rust(number)),
            _ => ("ts", node(number)),
        };
        let dir = root.join(format!("part{}", number / 100));
        std::fs::create_dir_all(&dir)?;
        bytes += text.len();
        std::fs::write(dir.join(format!("file{number}.{extension}")), text)?;
    }
    Ok(bytes)
}

const FUNCTIONS: usize = 16;

fn python(number: usize) -> String {
    let mut out = format!(
        "import json\nimport requests\nfrom fastapi import APIRouter\nfrom .file{} import task_1\n\nrouter = APIRouter()\n\n\
         @router.get(\"/python/{number}/{{item}}\")\nasync def show_{number}(item: int):\n    return task_0(item)\n\n",
        number + 6
    );
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            out,
            "\ndef task_{function}(item):\n    \"\"\"Does some work on the item.\"\"\"\n    total = 0\n    for n in range(item):\n        \
             if n % 2 == 0:\n            total += len(json.dumps({{\"n\": n, \"item\": item}}))\n        else:\n            \
             total -= requests.get(f\"http://other/{{n}}\", timeout=5).status_code\n    return task_{}(total)\n",
            function + 1
        );
    }
    out
}

fn node(number: usize) -> String {
    let mut out =
        String::from("import express from 'express';\nimport axios from 'axios';\nconst router = express.Router();\n");
    let _ =
        writeln!(out, "router.get('/node/{number}/:id', async (req, res) => res.json(await task0(req.params.id)));");
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            out,
            "\nasync function task{function}(item) {{\n  let total = 0;\n  for (const n of item.parts) {{\n    if (n > 2) {{\n      \
             const answer = await axios.get(`http://other/${{n}}`);\n      total += answer.data.length;\n    }} else {{\n      \
             total -= JSON.stringify({{ n, item }}).length;\n    }}\n  }}\n  return task{}(total);\n}}",
            function + 1
        );
    }
    out.push_str("\nexport default router;\n");
    out
}

fn go(number: usize) -> String {
    let mut out = format!("package part{}\n\nimport (\n\t\"net/http\"\n\t\"strconv\"\n)\n", number / 100);
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            out,
            "\nfunc task{number}x{function}(item int) (int, error) {{\n\ttotal := 0\n\tfor n := 0; n < item; n++ {{\n\t\t\
             if n%2 == 0 {{\n\t\t\ttotal += len(strconv.Itoa(n))\n\t\t\tcontinue\n\t\t}}\n\t\t\
             resp, err := http.Get(\"http://other/\" + strconv.Itoa(n))\n\t\tif err != nil {{\n\t\t\treturn 0, err\n\t\t}}\n\t\t\
             resp.Body.Close()\n\t}}\n\treturn task{number}x{}(total)\n}}",
            function + 1
        );
    }
    out
}

fn java(number: usize) -> String {
    let mut out = format!("package part{};\n\nimport java.util.List;\n\npublic class File{number} {{\n", number / 100);
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            out,
            "\n    public int task{function}(List<Integer> items) {{\n        int total = 0;\n        for (Integer item : items) {{\n            \
             if (item % 2 == 0) {{\n                total += String.valueOf(item).length();\n            }} else {{\n                \
             total -= repository.findById(item).orElseThrow().size();\n            }}\n        }}\n        return task{}(List.of(total));\n    }}",
            function + 1
        );
    }
    out.push_str("}\n");
    out
}

fn rust(number: usize) -> String {
    let mut out =
        format!("use std::fs;\n\npub struct File{number} {{\n    total: usize,\n}}\n\nimpl File{number} {{\n");
    for function in 0..FUNCTIONS {
        let _ = writeln!(
            out,
            "\n    pub fn task{function}(&self, item: usize) -> Result<usize, std::io::Error> {{\n        let mut total = self.total;\n        \
             for n in 0..item {{\n            if n % 2 == 0 {{\n                total += n.to_string().len();\n            }} else {{\n                \
             total -= fs::read_to_string(format!(\"part{{n}}\"))?.len();\n            }}\n        }}\n        self.task{}(total)\n    }}",
            function + 1
        );
    }
    out.push_str("}\n");
    out
}
