//! What a foreign name does: the tables of known libraries, one a language, first row that fits.
//!
//! A pattern is a dotted name: `*` is one part or a piece of one, `**` any number of parts, `a|b` either.

mod csharp;
mod go;
mod java;
mod node;
mod python;
mod rust;
pub(super) mod settings;

use super::language::Language;
use crate::recording::SourceKind;

/// Whether the thread is held while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Thread,
    /// Its caller may go on: a coroutine, a promise, a future.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Does(SourceKind, Holds),
    /// A client with connections of its own, and how many it takes by default where that is a known bound.
    Client(Option<u32>),
    /// A file or socket that must be closed.
    Opens,
    /// A file that stays until it is removed.
    TempFile,
    /// Bounds how many run at once, or how often.
    Limiter,
    /// Several of one kind in one call.
    Batch(SourceKind),
    /// Remembers results.
    Cache,
    /// A write is made to reach the disk.
    Syncs,
    Nothing,
}

pub(super) type Row = (&'static str, What);

pub(super) fn rows(language: Language) -> &'static [Row] {
    match language {
        Language::Python => python::ROWS,
        Language::JavaScript | Language::TypeScript | Language::Tsx => node::ROWS,
        Language::Go => go::ROWS,
        Language::Java => java::ROWS,
        Language::Rust => rust::ROWS,
        Language::CSharp => csharp::ROWS,
    }
}

/// The method that does many at once, for one that does a single thing.
pub(super) fn batch_for(language: Language, kind: SourceKind, method: &str) -> Option<&'static str> {
    let queries = kind == SourceKind::DbQuery;
    let table: &[(&str, &str)] = match (language, queries) {
        (Language::Python, true) => &[
            ("execute", "executemany"),
            ("get", "in_bulk"),
            ("create", "bulk_create"),
            ("save", "bulk_create"),
            ("insert_one", "insert_many"),
            ("find_one", "find"),
        ],
        (Language::Python, false) => &[("get", "mget"), ("set", "mset"), ("hget", "hmget")],
        (Language::JavaScript | Language::TypeScript | Language::Tsx, true) => &[
            ("create", "createMany"),
            ("findUnique", "findMany"),
            ("findFirst", "findMany"),
            ("insertOne", "insertMany"),
            ("findOne", "find"),
            ("findByPk", "findAll"),
        ],
        (Language::JavaScript | Language::TypeScript | Language::Tsx, false) => &[("get", "mget"), ("set", "mset")],
        (Language::Go, true) => &[("InsertOne", "InsertMany"), ("FindOne", "Find"), ("Create", "CreateInBatches")],
        (Language::Go, false) => &[("Get", "MGet"), ("Set", "MSet"), ("Result", "MGet")],
        (Language::Java, true) => &[
            ("findById", "findAllById"),
            ("save", "saveAll"),
            ("deleteById", "deleteAllById"),
            ("update", "batchUpdate"),
            ("executeUpdate", "executeBatch"),
        ],
        (Language::Java, false) => &[("get", "mget"), ("set", "mset")],
        (Language::Rust, true) => &[("fetch_one", "fetch_all"), ("insert_one", "insert_many"), ("find_one", "find")],
        (Language::Rust, false) => &[("get", "mget"), ("set", "mset")],
        (Language::CSharp, true) => {
            &[("FindAsync", "Where"), ("AddAsync", "AddRangeAsync"), ("InsertOneAsync", "InsertManyAsync")]
        }
        (Language::CSharp, false) => {
            &[("StringGet", "StringGet of keys"), ("StringGetAsync", "StringGetAsync of keys")]
        }
    };
    table.iter().find(|(one, _)| *one == method).map(|(_, many)| *many)
}

pub(super) fn classify(language: Language, path: &[String]) -> Option<What> {
    let found = rows(language).iter().find(|(pattern, _)| matches(pattern, path)).map(|(_, what)| *what);
    found.filter(|what| *what != What::Nothing)
}

/// Both ends are bound; `**` in several places is tried in turn, which is bounded by the lengths.
pub(super) fn matches(pattern: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = pattern.split('.').collect();
    let path = path.get(path.len().saturating_sub(24)..).unwrap_or_default();
    // `open[i]`: the pattern from `i` on may fit the path from here on.
    let mut open = vec![false; parts.len() + 1];
    open[0] = true;
    skip(&parts, &mut open);
    for name in path {
        let mut next = vec![false; parts.len() + 1];
        for (i, part) in parts.iter().enumerate() {
            if open[i] && *part == "**" {
                next[i] = true;
            } else if open[i] && part.split('|').any(|one| piece(one, name)) {
                next[i + 1] = true;
            }
        }
        skip(&parts, &mut next);
        open = next;
    }
    open[parts.len()]
}

/// `**` may stand for nothing.
fn skip(parts: &[&str], open: &mut [bool]) {
    for (i, part) in parts.iter().enumerate() {
        if open[i] && *part == "**" {
            open[i + 1] = true;
        }
    }
}

fn piece(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(end), _) => name.ends_with(end),
        (None, Some(begin)) => name.starts_with(begin),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, fits) in [
            ("requests.get|post", "requests.get", true),
            ("requests.get|post", "requests.Session.get", false),
            ("requests.**", "requests.Session.get", true),
            ("**.cursor|cur.execute", "self.cur.execute", true),
            ("**.cursor.execute", "cursor.execute", true),
            ("**.*Stub.*", "users_pb2_grpc.UsersStub.GetUser", true),
            ("**.*Stub.*", "users_pb2_grpc.UsersStub", false),
            ("open", "webbrowser.open", false),
        ] {
            assert_eq!(matches(pattern, &path(name)), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn every_row_can_be_reached() {
        for language in Language::ALL {
            let rows = rows(language);
            for (at, (pattern, _)) in rows.iter().enumerate() {
                assert!(!rows[..at].iter().any(|(before, _)| before == pattern), "{language:?}: {pattern} twice");
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_is_judged(parts in proptest::collection::vec("[a-z*|]{0,8}", 0..40)) {
            for language in Language::ALL {
                let _ = classify(language, &parts);
            }
        }
    }
}
