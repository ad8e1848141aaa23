//! Clients made per call, descriptors that nobody closes, temporary files that stay.

use super::{Findings, Seen};
use crate::discover::chain::{language::Language, table::What};

/// Functions that run once: what they make is made once.
const ONCE: &[&str] = &[
    "__init__",
    "constructor",
    "main",
    "<module>",
    "lifespan",
    "startup",
    "on_startup",
    "init",
    "setup",
    "configure",
    "Main",
    "onModuleInit",
    "create_app",
];
/// Attributes that keep what a function makes.
const KEPT: &[&str] = &[
    "lru_cache",
    "cache",
    "cached_property",
    "Bean",
    "fixture",
    "on_event",
    "asynccontextmanager",
    "Singleton",
    "PostConstruct",
];

pub(super) fn find(seen: &Seen<'_>, findings: &mut Findings<'_>) {
    let function = seen.function;
    let once = ONCE.contains(&function.name.as_str())
        || function.owner.as_ref() == Some(&function.name)
        || function.attributes.iter().any(|attribute| KEPT.contains(&attribute.last()));
    for effect in &seen.effects {
        let call = &effect.call;
        match effect.what {
            What::Client(_) => {
                // `self.client = …`, or a global that is filled when first needed.
                let kept = call
                    .bound
                    .as_ref()
                    .is_some_and(|bound| bound.contains('.') || bound.starts_with('_') || !local(seen, bound));
                if !once && !kept {
                    let place =
                        if effect.call.in_loop || effect.repeated { "inside a loop" } else { "inside a function" };
                    findings.add("connection_per_request", seen.at, call.line, format!("{}() {place}", effect.short()));
                }
            }
            What::Opens => {
                let kept = call.bound.as_ref().is_none_or(|bound| bound.contains('.'));
                let closed = |name: &str| {
                    function.calls.iter().any(|other| {
                        let own = other.path.first().is_some_and(|first| first == name);
                        let closes = matches!(
                            other.last(),
                            "close" | "Close" | "closeSync" | "closing" | "Dispose" | "end" | "destroy"
                        );
                        let given = other.args.iter().any(|arg| super::mentions(&arg.value, name));
                        closes && (own || given) || given && matches!(other.last(), "fdopen" | "pipeline")
                    })
                };
                // Rust closes at the end of the scope.
                let dropped = seen.language == Language::Rust;
                let open = call.bound.as_ref().is_some_and(|bound| !closed(bound));
                if !call.scoped
                    && !dropped
                    && (open || call.bound.is_none() && chained_open(seen, call))
                    && !(kept && call.bound.is_some())
                {
                    findings.add(
                        "leaked_descriptors",
                        seen.at,
                        call.line,
                        format!("{}() without a close in its function", effect.short()),
                    );
                }
            }
            What::TempFile => {
                let removed = function.calls.iter().any(|other| {
                    matches!(
                        other.last(),
                        "unlink"
                            | "remove"
                            | "Remove"
                            | "RemoveAll"
                            | "rmtree"
                            | "delete"
                            | "deleteIfExists"
                            | "rm"
                            | "rmSync"
                            | "unlinkSync"
                            | "Delete"
                            | "deleteOnExit"
                    )
                });
                let own = call.scoped && call.named("delete").is_none();
                let deletes = call.last() == "NamedTemporaryFile" && call.named("delete").is_none();
                if !removed && !own && !deletes {
                    findings.add(
                        "leftover_temp_files",
                        seen.at,
                        call.line,
                        format!("{}() and nothing that removes it", effect.short()),
                    );
                }
            }
            What::Does(..) | What::Limiter | What::Batch(_) | What::Cache | What::Syncs | What::Nothing => {}
        }
    }
}

/// `open(p).read()`: only Python's garbage collector closes it, and not everywhere.
fn chained_open(seen: &Seen<'_>, call: &super::Call) -> bool {
    seen.language == Language::Python && call.receiver_of.is_some() && call.last() == "open"
}

/// Declared in this function, not assigned to a name from outside.
fn local(seen: &Seen<'_>, name: &str) -> bool {
    match seen.language {
        // An assignment without `const` or `:=` keeps the outer name.
        Language::JavaScript | Language::TypeScript | Language::Tsx | Language::Go => {
            let top = seen.function.outer == 0;
            !top || seen.function.bindings.iter().any(|binding| binding.name == name)
        }
        Language::Python | Language::Java | Language::Rust | Language::CSharp => true,
    }
}
