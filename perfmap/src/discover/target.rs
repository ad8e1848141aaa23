//! What was typed → which kind of target is meant. By its form alone; whether it is there, `entry` finds out.

use super::{found::Language, source::routes::VERBS};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `path/file.py::function`, `tests/test_x.py::TestY::test_z`
    Function { file: String, function: String },
    /// `path/file.py:45`
    Line { file: String, line: u32 },
    /// `/api/v1/route`, `POST /route`, a URL; method in upper case
    Route { method: Option<String>, base: Option<String>, route: String },
    /// `package.module:function`
    Qualified { module: String, function: String },
    /// A script, a command, a test, a function without its file.
    Name(String),
}

pub fn parse(typed: &str) -> Target {
    let typed = typed.trim();
    let (method, rest) = match typed.split_once(char::is_whitespace) {
        Some((word, rest)) if VERBS.contains(&word.to_ascii_lowercase().as_str()) => {
            (Some(word.to_ascii_uppercase()), rest.trim())
        }
        Some(_) | None => (None, typed),
    };
    if let Some((base, route)) = url(rest) {
        return Target::Route { method, base: Some(base), route };
    }
    if rest.starts_with('/') && !rest.contains("::") && (method.is_some() || Language::of(without_line(rest)).is_none())
    {
        return Target::Route { method, base: None, route: rest.to_owned() };
    }
    if let Some((file, function)) = typed.split_once("::") {
        if Language::of(file).is_some() && !function.is_empty() {
            return Target::Function { file: plain(file), function: function.to_owned() };
        }
        return Target::Name(typed.to_owned());
    }
    if let Some((left, right)) = typed.rsplit_once(':') {
        if let (Some(_), Ok(line)) = (Language::of(left), right.parse()) {
            return Target::Line { file: plain(left), line };
        }
        let module = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '@'))
        };
        let function =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '$'));
        // `test:e2e` is the name of a script more often than a function of a module; names are looked for first.
        if module(left) && function(right) && !left.contains(':') {
            return Target::Qualified { module: left.to_owned(), function: right.to_owned() };
        }
    }
    Target::Name(plain(typed))
}

/// Does this look like a target, and like no program? Used where both may be typed.
pub fn is_unmistakable(typed: &str) -> bool {
    match parse(typed) {
        Target::Function { .. } | Target::Line { .. } => true,
        Target::Route { method, base, route } => method.is_some() || base.is_some() || route.len() > 1,
        Target::Qualified { .. } | Target::Name(_) => false,
    }
}

fn without_line(path: &str) -> &str {
    match path.rsplit_once(':') {
        Some((path, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => path,
        Some(_) | None => path,
    }
}

fn plain(path: &str) -> String {
    path.trim_start_matches("./").to_owned()
}

/// `https://host:1/x?y` → `https://host:1` and `/x`; also `localhost:8000/x`.
fn url(text: &str) -> Option<(String, String)> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return None,
        None => {
            let (host, _) = text.split_once('/')?;
            let (_, port) = host.split_once(':')?;
            port.parse::<u16>().ok()?;
            ("http", text)
        }
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(at)?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some((format!("{scheme}://{host}"), if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Option<&str>, base: Option<&str>, route: &str) -> Target {
        Target::Route { method: method.map(Into::into), base: base.map(Into::into), route: route.into() }
    }

    #[test]
    fn forms() {
        let function = |file: &str, function: &str| Target::Function { file: file.into(), function: function.into() };
        let cases = [
            ("app/a.py::f", function("app/a.py", "f")),
            ("./t/test_a.py::TestX::test_y[1]", function("t/test_a.py", "TestX::test_y[1]")),
            ("app/a.py:45", Target::Line { file: "app/a.py".into(), line: 45 }),
            ("/srv/app/a.py:45", Target::Line { file: "/srv/app/a.py".into(), line: 45 }),
            ("/api/v1/orders/{id}", route(None, None, "/api/v1/orders/{id}")),
            ("post  /orders", route(Some("POST"), None, "/orders")),
            ("https://x.example:1/a?b=c", route(None, Some("https://x.example:1"), "/a")),
            ("GET localhost:8000/a/b", route(Some("GET"), Some("http://localhost:8000"), "/a/b")),
            ("app.main:create_app", Target::Qualified { module: "app.main".into(), function: "create_app".into() }),
            ("orders::tests::pays", Target::Name("orders::tests::pays".into())),
            ("./scripts/import.sh", Target::Name("scripts/import.sh".into())),
            ("adds two numbers", Target::Name("adds two numbers".into())),
        ];
        for (typed, expected) in cases {
            assert_eq!(parse(typed), expected, "{typed}");
        }
        for typed in ["a.py::f", "a.go:3", "/api/x", "GET /"] {
            assert!(is_unmistakable(typed), "{typed}");
        }
        for typed in ["sh", "./a.out", "npm", "test:e2e", "python3"] {
            assert!(!is_unmistakable(typed), "{typed}");
        }
    }
}
