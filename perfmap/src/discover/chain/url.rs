//! Routes and URLs as the source writes them → one form in which both can be compared.
//!
//! What varies is `{}`; queries, user names and passwords are dropped here, so they get nowhere.

/// A route's parameter in any framework's way of writing → `{}`; a rest of the path → `{*}`.
pub(super) fn template(path: &str) -> String {
    // Django's patterns hold `(?P<id>…)`: there the mark of a query is none.
    let query = path.char_indices().find(|(at, c)| *c == '#' || *c == '?' && !path[..*at].ends_with('('));
    let path = query.map_or(path, |(at, _)| &path[..at]);
    let mut out = String::new();
    for part in path.split('/').take(32) {
        let part = part.trim_start_matches('^').trim_end_matches('$');
        if part.is_empty() {
            continue;
        }
        out.push('/');
        let rest = part.starts_with('*')
            || part.starts_with("{*")
            || part.contains(":path")
            || part.contains("path:")
            || part.ends_with("...}")
            || part.ends_with("*}");
        let hole = part.starts_with(':')
            || part.contains('{')
            || part.starts_with('<')
            || part.starts_with("(?P")
            || part.starts_with('[');
        out.push_str(if rest {
            "{*}"
        } else if hole {
            "{}"
        } else {
            part
        });
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

/// A concrete path or another template fits a template.
pub(super) fn fits(template: &str, path: &str) -> bool {
    let mut path = path.split('/').filter(|part| !part.is_empty());
    for want in template.split('/').filter(|part| !part.is_empty()) {
        if want == "{*}" {
            return true;
        }
        match path.next() {
            Some(part) if want == "{}" || part == want => {}
            // A name that the source only knows at run time stands for parameters alone.
            _ => return false,
        }
    }
    path.next().is_none()
}

/// How many parts agree by their words: of two templates that fit, the one with more is meant.
pub(super) fn words(template: &str) -> usize {
    template.split('/').filter(|part| !part.is_empty() && !part.contains('{')).count()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// `None` where it is put in at run time.
    pub host: Option<String>,
    pub port: Option<u16>,
    /// As by [`template`].
    pub path: String,
}

/// `http://jobs:8001/jobs/{id}`, `{base}/jobs/{id}`, `/jobs/1`; `None` for what is no URL.
pub(super) fn parse(text: &str) -> Option<Url> {
    let text = text.trim();
    let plain = |rest: &str| Url { host: None, port: None, path: template(rest) };
    if let Some((scheme, rest)) = text.split_once("://") {
        let known =
            scheme.is_empty() || scheme.contains('{') || matches!(scheme, "http" | "https" | "grpc" | "ws" | "wss");
        if !known {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (authority, None),
        };
        let host = (!host.contains('{') && !host.is_empty()).then(|| host.to_ascii_lowercase());
        return Some(Url { host, port, path: template(path) });
    }
    if text.starts_with('/') {
        return Some(plain(text));
    }
    // `{base}/jobs` and `{base}{path}`: what comes first is the place.
    let rest = text.strip_prefix('{')?;
    let (_, rest) = rest.split_once('}')?;
    (rest.starts_with('/')).then(|| plain(rest))
}

/// What may be shown and kept: no query, no user, names of variables as `{}`.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host.as_deref().unwrap_or("");
    let port = url.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{host}{port}{}", url.path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_frameworks_parameters_become_one() {
        for (given, want) in [
            ("/jobs/{job_id}", "/jobs/{}"),
            ("/jobs/<int:id>/", "/jobs/{}"),
            ("/jobs/:id", "/jobs/{}"),
            ("jobs/{id:[0-9]+}", "/jobs/{}"),
            ("^jobs/(?P<id>[0-9]+)$", "/jobs/{}"),
            ("/files/*path", "/files/{*}"),
            ("/files/{path:path}", "/files/{*}"),
            ("/files/{p...}", "/files/{*}"),
            ("", "/"),
        ] {
            assert_eq!(template(given), want, "{given}");
        }
    }

    #[test]
    fn a_url_gives_its_host_and_nothing_secret() {
        let url = parse("https://user:pass@Jobs:8001/jobs/{id}?token=x").unwrap();
        assert_eq!(shown(&url), "jobs:8001/jobs/{}");
        assert_eq!(shown(&parse("{BASE}/jobs/{id}").unwrap()), "/jobs/{}");
        assert_eq!(shown(&parse("http://{host}/x").unwrap()), "/x");
        assert_eq!(parse("SELECT 1"), None);
        assert_eq!(parse("ftp://x/y"), None);
    }

    #[test]
    fn a_route_takes_what_fits_it() {
        assert!(fits("/jobs/{}", "/jobs/{}") && fits("/jobs/{}", "/jobs/7") && fits("/f/{*}", "/f/a/b"));
        assert!(!fits("/jobs/{}", "/jobs") && !fits("/jobs", "/jobs/7") && !fits("/jobs/list", "/jobs/{}"));
    }

    proptest! {
        #[test]
        fn a_template_is_its_own_template_and_fits_itself(text in ".{0,80}") {
            let once = template(&text);
            prop_assert_eq!(template(&once), once.clone());
            prop_assert!(fits(&once, &once));
            let _ = parse(&text).map(|url| shown(&url));
        }
    }
}
