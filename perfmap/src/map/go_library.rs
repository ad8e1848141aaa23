//! A function's name and source → whether it is of Go's standard library or of a downloaded module: both are compiled into
//! each program, from wherever Go is installed.

/// First elements of the standard library's packages; a project's own package of that name lies elsewhere.
const STANDARD: [&str; 50] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "debug",
    "embed",
    "encoding",
    "errors",
    "expvar",
    "flag",
    "fmt",
    "go",
    "hash",
    "html",
    "image",
    "index",
    "internal",
    "io",
    "iter",
    "log",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "plugin",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "structs",
    "sync",
    "syscall",
    "testing",
    "text",
    "time",
    "unicode",
    "unique",
    "unsafe",
    "vendor",
    "weak",
];

/// Behind a dot C's compilers say what they made of a function.
const CLONES: [&str; 6] = ["cold", "part", "constprop", "isra", "lto_priv", "llvm"];

pub(super) fn is_library(function: &str, file: Option<&str>) -> bool {
    // `net/http.(*Client).Do`, `slices.Sort[go.shape.int]`: the package ends at the first dot behind its last slash.
    let head = function.split(['(', '[']).next().unwrap_or(function);
    let name = head.rfind('/').map_or(0, |slash| slash + 1);
    let Some(dot) = head[name..].find('.') else { return false };
    let package = &head[..name + dot];
    let standard = package.split('/').next().is_some_and(|first| STANDARD.contains(&first));
    match file {
        None => {
            standard
                && !function.contains("::")
                && !CLONES.iter().any(|clone| head[name + dot + 1..].starts_with(clone))
        }
        Some(file) if !file.ends_with(".go") && !file.ends_with(".s") => false,
        // Paths that were trimmed begin with the package, those of modules with the module and its version.
        Some(file) => {
            // The runtime has functions of other packages (`time.Sleep`).
            let within =
                |package: &str| file.contains(&format!("/src/{package}/")) || file.starts_with(&format!("{package}/"));
            standard && (within(package) || within("runtime")) || file.split('/').any(|part| part.contains("@v"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_library;

    #[test]
    fn packages_of_go_and_of_the_project() {
        for (function, file, library) in [
            ("net/http.(*Transport).RoundTrip", Some("/opt/go1.24/src/net/http/transport.go"), true),
            ("runtime.gopark", Some("/home/u/sdk/go1.22.10/src/runtime/proc.go"), true),
            ("internal/sync.(*Mutex).lockSlow", Some("internal/sync/mutex.go"), true),
            ("runtime.memmove", Some("runtime/memmove_amd64.s"), true),
            ("slices.SortFunc[go.shape.struct { net/url.x }]", Some("/opt/go/src/slices/sort.go"), true),
            ("github.com/x/y.(*Z).F", Some("github.com/x/y@v1.2.3/z.go"), true),
            ("time.Sleep", Some("/opt/go/src/runtime/time.go"), true),
            ("main.main", Some("/w/app/main.go"), false),
            ("app/net.Dial", Some("/w/app/net/dial.go"), false),
            // A project's package that is named as one of Go's.
            ("log.Write", Some("/w/app/log/write.go"), false),
            ("net/http.(*Client).Do", None, true),
            ("main.fetch", None, false),
            ("time::sleep", None, false),
            ("main", None, false),
            ("log.part.0", None, false),
            ("run.cold", Some("/w/app/src/run/run.c"), false),
        ] {
            assert_eq!(is_library(function, file), library, "{function} {file:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn total_on_any_names(function in ".{0,40}", file in ".{0,40}") {
            let _ = (is_library(&function, None), is_library(&function, Some(&file)));
        }
    }
}
