//! A call of a foreign name → what it does, as a step of the chain and for the rules.

use super::{
    super::{
        facts::{Call, Facts, Value},
        index::At,
        table::What,
        url::{self, Url},
    },
    Around, Follower,
};
use crate::recording::SourceKind;

/// One call that does something outside the program's own code.
#[derive(Debug, Clone)]
pub(in super::super) struct Effect {
    pub at: At,
    /// Position in the function's calls.
    pub call: Call,
    pub what: What,
    /// As full as imports and types make it.
    pub name: String,
    pub target: Option<String>,
    /// A caller repeats it, one after the other.
    pub repeated: bool,
    pub concurrent: bool,
    /// In the thread of an event loop, as far as the callers show.
    pub on_loop: bool,
}

impl Follower<'_> {
    #[expect(clippy::too_many_arguments, reason = "where a call stands is all of these")]
    pub(super) fn foreign(
        &mut self,
        at: At,
        facts: &Facts,
        call: &Call,
        parts: &[String],
        id: &str,
        number: &mut usize,
        around: Around,
    ) {
        // What a variable is called counts where nothing is known of what it holds.
        let Some(what) = self.what(at, facts, call) else { return };
        let name = parts.join(".");
        let url = self.url_of(at, facts, call);
        // Only what a variable is called says that it is a client: then an address must say it too.
        let guessed = parts.len() == 2 && parts.first().is_some_and(|first| first.ends_with("client"));
        if guessed && url.is_none() && matches!(what, What::Does(SourceKind::HttpCall, _)) {
            return;
        }
        let kind = match what {
            What::Does(kind, _) | What::Batch(kind) => Some(kind),
            What::Opens | What::Syncs | What::TempFile => Some(SourceKind::FileIo),
            What::Client(_) | What::Limiter | What::Cache | What::Nothing => None,
        };
        let target = match kind {
            Some(SourceKind::HttpCall) => url.as_ref().map(|url| with_method(call, url)),
            Some(SourceKind::DbQuery) => self.text_in(at, facts, call).map(|text| statement(&text)),
            Some(SourceKind::Subprocess) => call.text().and_then(|text| text.split(' ').next().map(str::to_owned)),
            Some(SourceKind::GrpcCall) => call.path.last().cloned(),
            Some(
                SourceKind::FunctionCall
                | SourceKind::CacheOp
                | SourceKind::QueueOp
                | SourceKind::FileIo
                | SourceKind::LockWait
                | SourceKind::Sleep
                | SourceKind::Gpu,
            )
            | None => None,
        };
        self.effects.push(Effect {
            at,
            call: call.clone(),
            what,
            name: name.clone(),
            target: target.clone(),
            repeated: around.repeated && !around.concurrent,
            concurrent: around.concurrent || call.concurrent,
            on_loop: around.on_loop || facts.functions.get(at.function).is_some_and(|function| function.is_async),
        });
        let Some(kind) = kind else { return };
        let Some(child) = self.step(at, call, kind, name, target, id, number) else { return };
        if kind == SourceKind::HttpCall {
            match url {
                Some(url) => self.remote(at, call, &url, &child, around),
                None => self.unresolved_at(at, call, "its URL is not in the source"),
            }
        }
    }

    /// The URL among a call's arguments, with the base of its client or variable before it.
    fn url_of(&self, at: At, facts: &Facts, call: &Call) -> Option<Url> {
        let text = call.args.iter().find_map(|arg| match &arg.value {
            Value::Text(text) => url::parse(text).map(|_| text.clone()),
            Value::Name(parts) => self.text_behind(at, facts, parts).filter(|text| url::parse(text).is_some()),
            // `mockMvc.perform(get("/x"))`
            Value::Call(_, Some(last)) => match last.as_ref() {
                Value::Text(text) => url::parse(text).map(|_| text.clone()),
                _ => None,
            },
            Value::Call(_, None) | Value::Number(_) | Value::Function(_) | Value::Other => None,
        });
        // Rust and some clients of Java say the URL earlier in the chain.
        let text = text.or_else(|| {
            let function = facts.functions.get(at.function)?;
            let near = function
                .calls
                .iter()
                .filter(|other| other.line.abs_diff(call.line) <= 8 && other.path.len() <= call.path.len());
            let mut near = near.filter(|other| call.path.starts_with(&other.path) && other.path.len() > 1);
            near.find_map(|other| other.text().filter(|text| url::parse(text).is_some()).map(str::to_owned)).or_else(
                || {
                    let requests = function.calls.iter().filter(|other| other.line <= call.line);
                    let requests = requests
                        .filter(|other| matches!(other.last(), "NewRequest" | "NewRequestWithContext" | "uri" | "url"));
                    requests.rev().find_map(|other| {
                        other.args.iter().find_map(|arg| match &arg.value {
                            Value::Text(text) => url::parse(text).map(|_| text.clone()),
                            Value::Name(parts) => self.text_behind(at, facts, parts),
                            Value::Call(..) | Value::Number(_) | Value::Function(_) | Value::Other => None,
                        })
                    })
                },
            )
        })?;
        let mut found = url::parse(&text)?;
        if found.host.is_none() {
            let base = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let base = base.and_then(|(name, _)| {
                let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
                self.text_behind(at, facts, &parts)
            });
            let client = || self.text_behind(at, facts, call.path.get(..call.path.len().saturating_sub(1))?);
            if let Some(base) = base.or_else(client).and_then(|base| url::parse(&base)) {
                let path = if base.path == "/" { found.path } else { format!("{}{}", base.path, found.path) };
                found = Url { path, ..base };
            }
        }
        Some(found)
    }

    /// The statement of a query: in place, or in a constant.
    fn text_in(&self, at: At, facts: &Facts, call: &Call) -> Option<String> {
        let like = |text: &str| {
            let first = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "BEGIN", "CREATE", "MERGE", "CALL", "PRAGMA"]
                .contains(&first.as_str())
        };
        call.args.iter().find_map(|arg| match &arg.value {
            Value::Text(text) => Some(text.clone()).filter(|text| like(text)),
            Value::Call(_, Some(last)) => match last.as_ref() {
                Value::Text(text) => Some(text.clone()).filter(|text| like(text)),
                _ => None,
            },
            Value::Name(parts) => self.text_behind(at, facts, parts).filter(|text| like(text)),
            Value::Call(_, None) | Value::Number(_) | Value::Function(_) | Value::Other => None,
        })
    }

    /// The text that a name stands for: in its function, its class, its file, or the file that it is imported from.
    fn text_behind(&self, at: At, facts: &Facts, parts: &[String]) -> Option<String> {
        let (head, rest) = parts.split_first()?;
        let mut around = at.function;
        let own =
            matches!(head.as_str(), "self" | "this") || facts.functions.get(around)?.receiver.as_ref() == Some(head);
        let field = if own { rest.first() } else { Some(head).filter(|_| rest.is_empty()) };
        for _ in 0..16 {
            let function = facts.functions.get(around)?;
            let bound = function.bindings.iter().rev().find(|binding| binding.name == *head && binding.text.is_some());
            if let Some(bound) = bound.filter(|_| !own) {
                return bound.text.clone();
            }
            if let (Some(owner), Some(field)) = (&function.owner, field) {
                let class = facts.classes.iter().find(|class| class.name == *owner);
                let found =
                    class.and_then(|class| class.fields.iter().find(|one| one.name == *field && one.text.is_some()));
                if let Some(found) = found {
                    return found.text.clone();
                }
            }
            if around == 0 {
                break;
            }
            around = function.outer;
        }
        let import = facts.imports.iter().find(|import| import.local == *head)?;
        let wanted = import.item.as_ref().filter(|_| rest.is_empty()).or_else(|| rest.first()).unwrap_or(head);
        let files = super::super::modules::files(self.index, at.file, &import.module);
        let tops = files.iter().filter_map(|file| self.index.files.get(*file)?.facts.functions.first());
        tops.flat_map(|top| &top.bindings)
            .find(|binding| binding.name == *wanted)
            .and_then(|binding| binding.text.clone())
    }
}

/// `GET`, where a call or its arguments say so.
pub(super) fn method_of(call: &Call) -> Option<String> {
    let known = |text: &str| {
        let upper = text.to_ascii_uppercase();
        ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"].contains(&upper.as_str()).then_some(upper)
    };
    let argument = call.args.iter().find_map(|arg| match &arg.value {
        Value::Text(text) => known(text).filter(|_| arg.name.as_deref().is_none_or(|name| name == "method")),
        Value::Name(parts) => parts.last().and_then(|last| known(last.trim_start_matches("Method"))),
        Value::Call(parts, Some(_)) => parts.last().and_then(|last| known(last)),
        Value::Call(_, None) | Value::Number(_) | Value::Function(_) | Value::Other => None,
    });
    argument.or_else(|| {
        call.path.iter().rev().find_map(|part| {
            let begin = ["getFor", "postFor", "GetAsync", "PostAsync", "PutAsync", "DeleteAsync", "PatchAsync"];
            let long = begin.iter().find(|begin| part.starts_with(**begin)).or_else(|| {
                ["GetFromJson", "GetString", "PostAsJson", "PutAsJson", "PostForm"]
                    .iter()
                    .find(|begin| part.starts_with(**begin))
            });
            known(part).or_else(|| {
                let verb: String = long?
                    .chars()
                    .enumerate()
                    .take_while(|(at, c)| *at == 0 || c.is_lowercase())
                    .map(|(_, c)| c)
                    .collect();
                known(&verb)
            })
        })
    })
}

fn with_method(call: &Call, url: &Url) -> String {
    match method_of(call) {
        Some(method) => format!("{method} {}", url::shown(url)),
        None => url::shown(url),
    }
}

/// Without the values: they may be secret, and equal statements should look equal.
fn statement(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        if c == '\'' {
            while chars.next().is_some_and(|c| c != '\'') {}
            out.push('?');
        } else if c == '{' {
            while chars.next().is_some_and(|c| c != '}') {}
            out.push('?');
        } else if c.is_ascii_digit() && !before.is_alphanumeric() && !matches!(before, '_' | '$' | ':') {
            while chars.peek().is_some_and(|c| c.is_ascii_digit() || *c == '.') {
                chars.next();
            }
            out.push('?');
        } else if c.is_whitespace() {
            if !out.ends_with(' ') && !out.is_empty() {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
        before = c;
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_keeps_its_shape_and_no_value() {
        assert_eq!(
            statement("SELECT *\n  FROM t1 WHERE a = 'secret' AND b=42 AND c = $1"),
            "SELECT * FROM t1 WHERE a = ? AND b=? AND c = $1"
        );
        assert_eq!(statement("DELETE FROM {table} WHERE id = {id}"), "DELETE FROM ? WHERE id = ?");
        assert_eq!(statement("SELECT 'it''s"), "SELECT ??");
    }
}
