//! Two routes → do they mean the same, whatever their frameworks call a parameter?

/// How well a declared route fits the wanted one; the least is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fit {
    /// 0: it is the whole route; 1: what is missing in front are known prefixes; 2: nobody says what is in front.
    pub rank: u8,
    /// Segments that a parameter stands for.
    pub parameters: usize,
    /// Segments that it does not have.
    pub missing: usize,
}

/// `/a/{id}` → `a`, `{}`. Queries, hosts and the ends of regular expressions are cut off.
pub fn segments(path: &str) -> Vec<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_start_matches('^').trim_end_matches('$');
    let whole = |part: &str| if is_parameter(part) { "{}".to_owned() } else { part.to_owned() };
    path.split('/').filter(|part| !part.is_empty()).map(whole).collect()
}

fn is_parameter(part: &str) -> bool {
    part.starts_with([':', '{', '<', '[', '*', '(']) || part.contains("${") || part.contains('{') || part.contains('%')
}

/// Segment by segment; a parameter of the template stands for anything, one of the other side only for a parameter.
fn covers(template: &[String], other: &[String]) -> Option<usize> {
    if template.len() != other.len() {
        return None;
    }
    let mut parameters = 0;
    for (own, other) in template.iter().zip(other) {
        match own.as_str() {
            "{}" => parameters += 1,
            own if own == other => {}
            _ => return None,
        }
    }
    Some(parameters)
}

/// `own`: as declared; `prefixes`: all that are put before routes anywhere.
pub fn fit(own: &str, prefixes: &[String], wanted: &str) -> Option<Fit> {
    let (own, wanted) = (segments(own), segments(wanted));
    let missing = wanted.len().checked_sub(own.len())?;
    let (front, back) = wanted.split_at_checked(missing)?;
    let parameters = covers(&own, back)?;
    let known = |part: &String| prefixes.iter().any(|prefix| segments(prefix).contains(part));
    let rank = match front {
        [] => 0,
        front if front.iter().all(known) => 1,
        // `/{id}` alone would fit everything.
        _ if own.iter().any(|part| part != "{}") => 2,
        _ => return None,
    };
    Some(Fit { rank, parameters, missing })
}

/// Does a string in a test call this route? `text`: `/x/7?a=b`, `http://host:1/x/7`, `{BASE}/x/{id}`.
pub fn same_route(route: &str, text: &str) -> bool {
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| rest.get(at..).unwrap_or_default()),
        None => text,
    };
    // A name in front stands for the server: `${BASE}/x`.
    let path = match path.split_once('}') {
        Some((front, rest)) if front.starts_with(['{', '$', '%']) && rest.starts_with('/') => rest,
        Some(_) | None => path,
    };
    let (route, called) = (segments(route), segments(path));
    path.starts_with('/') && !path.contains(char::is_whitespace) && (covers(&route, &called).is_some())
}
