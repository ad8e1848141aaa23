//! A type as written → the name of the class that calls on it go to.

use super::super::facts::Parts;

/// Types that stand for what is in them.
const WRAPPERS: &[&str] = &[
    "Arc",
    "Rc",
    "Box",
    "Option",
    "Optional",
    "Mutex",
    "RwLock",
    "Data",
    "State",
    "Extension",
    "Annotated",
    "Final",
    "ClassVar",
    "Lazy",
    "Provider",
    "ObjectProvider",
    "Promise",
    "Task",
    "ValueTask",
    "Result",
    "Mono",
    "Awaitable",
    "AsyncIterator",
    "Iterator",
    "Generator",
    "AsyncGenerator",
    "LazyLock",
    "OnceCell",
    "OnceLock",
    "Nullable",
];
const MOST: usize = 200;

/// `Option<Arc<db::Store>>` → db, Store; `*store.Store` → store, Store.
pub(super) fn parts_of(text: &str) -> Parts {
    let mut rest = text.trim();
    if rest.len() > MOST {
        return Parts::new();
    }
    for _ in 0..6 {
        if let Some(lifetime) = rest.strip_prefix("&'") {
            rest = lifetime.split_once(' ').map_or("", |(_, rest)| rest);
        }
        rest = rest.trim_start_matches([':', '&', '*', '?', ' ', '(', '"', '\'', '[', ']']);
        for word in ["mut ", "dyn ", "impl ", "readonly ", "final ", "const "] {
            rest = rest.strip_prefix(word).unwrap_or(rest).trim_start();
        }
        let head: &str =
            rest.split(['<', '[', ',', ')', '|', '?', '"', '\'', '{', '(', ' ', '>', ']']).next().unwrap_or("");
        let inner = rest.get(head.len()..).and_then(|tail| tail.strip_prefix(['<', '[', '(']));
        let last = head.rsplit(['.', ':']).next().unwrap_or(head);
        match inner {
            Some(inner) if WRAPPERS.contains(&last) || head.is_empty() => rest = inner,
            _ => {
                return head.split(['.', ':']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
            }
        }
    }
    Parts::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wraps_a_type_is_taken_off() {
        for (text, want) in [
            ("Session", "Session"),
            (": UserService", "UserService"),
            ("Optional[repo.Users]", "repo.Users"),
            ("web::Data<Arc<crate::db::Store>>", "crate.db.Store"),
            ("&'a mut Store", "Store"),
            ("*store.Store", "store.Store"),
            ("Annotated[AsyncSession, Depends(get_db)]", "AsyncSession"),
            ("'Later'", "Later"),
            ("Promise<void>", "void"),
            ("User | None", "User"),
            ("", ""),
        ] {
            assert_eq!(parts_of(text).join("."), want, "{text}");
        }
    }
}
