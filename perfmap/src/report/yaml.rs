//! The map as YAML that YAML 1.1 and 1.2 readers take for the same. The only file that knows YAML.
//!
//! The usual emitters write YAML 1.2: a test called `no`, `12:30:45` or `<<` comes out of a 1.1 reader (PyYAML, Ruby,
//! go-yaml 2) as a boolean, a number or an error. So strings are written plainly only where they are harmless words
//! under every schema, and else in double quotes with escapes that both versions know. JSON's surrogate pairs are not
//! among these.

use std::fmt::Write;

use serde::Serialize;
use serde_yaml::Value;

use super::text::is_hidden;

/// Scalars of mappings longer than this are no simple keys for some readers (the limit is 1024 characters).
const LONGEST_SIMPLE_KEY: usize = 512;

#[derive(Debug, thiserror::Error)]
#[error("the map has no YAML form: {0}")]
pub struct YamlError(#[from] serde_yaml::Error);

pub fn to_string(document: &impl Serialize) -> Result<String, YamlError> {
    let mut text = String::new();
    block(&mut text, &serde_yaml::to_value(document)?, 0);
    Ok(text)
}

/// A value on lines of its own, each indented by `depth` levels. The maps written here are as deep as their call
/// trees, which are bounded.
fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                indent(text, depth);
                entry(text, key, value, depth);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                indent(text, depth);
                text.push('-');
                self::item(text, item, depth);
            }
        }
        scalar => {
            indent(text, depth);
            text.push_str(&inline(scalar));
            text.push('\n');
        }
    }
}

/// Behind "-": a mapping begins on the same line.
fn item(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Mapping(entries) if !entries.is_empty() => {
            for (position, (key, value)) in entries.iter().enumerate() {
                if position > 0 {
                    indent(text, depth + 1);
                } else {
                    text.push(' ');
                }
                entry(text, key, value, depth + 1);
            }
        }
        Value::Sequence(items) if !items.is_empty() => {
            text.push('\n');
            block(text, value, depth + 1);
        }
        scalar => {
            text.push(' ');
            text.push_str(&inline(scalar));
            text.push('\n');
        }
    }
}

/// A key and its value; the indentation of the first line is written.
fn entry(text: &mut String, key: &Value, value: &Value, depth: usize) {
    let key = inline(key);
    if key.len() > LONGEST_SIMPLE_KEY {
        text.push_str("? ");
        text.push_str(&key);
        text.push('\n');
        indent(text, depth);
    } else {
        text.push_str(&key);
    }
    match value {
        Value::Mapping(entries) if !entries.is_empty() && !is_short(value) => {
            text.push_str(":\n");
            block(text, value, depth + 1);
        }
        Value::Sequence(items) if !items.is_empty() => {
            text.push_str(":\n");
            block(text, value, depth + 1);
        }
        scalar => {
            text.push_str(": ");
            text.push_str(&inline(scalar));
            text.push('\n');
        }
    }
}

/// A few numbers with plain names, as in `{min: 1, max: 2}`: on one line.
fn is_short(value: &Value) -> bool {
    let Value::Mapping(entries) = value else { return false };
    entries.len() <= 6
        && entries.iter().all(|(key, value)| {
            matches!(value, Value::Number(_)) && key.as_str().is_some_and(|key| key.len() <= 32 && is_plain(key))
        })
}

fn indent(text: &mut String, depth: usize) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(true) => "true".into(),
        Value::Bool(false) => "false".into(),
        Value::Number(number) => self::number(number),
        Value::String(string) => self::string(string),
        // The structs written here have no tagged values; the value alone is what a plain reader would see.
        Value::Tagged(tagged) => inline(&tagged.value),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Mapping(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", inline(key), inline(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Never with an exponent: PyYAML reads `1e21` as a string. Reals beyond the integers that all readers take keep
/// their point.
fn number(number: &serde_yaml::Number) -> String {
    if let Some(whole) = number.as_u64() {
        whole.to_string()
    } else if let Some(whole) = number.as_i64() {
        whole.to_string()
    } else {
        match number.as_f64() {
            Some(real) if real.is_finite() && real.fract() == 0.0 && real.abs() >= 1e15 => format!("{real:.1}"),
            Some(real) if real.is_finite() => real.to_string(),
            Some(_) | None => "null".into(),
        }
    }
}

fn string(string: &str) -> String {
    if is_plain(string) { string.to_owned() } else { quoted(string) }
}

/// A word that begins with a letter, has no character with a meaning, and is none of the words that some version
/// reads as a boolean or as nothing.
fn is_plain(string: &str) -> bool {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity"];
    let mut characters = string.chars();
    string.len() <= 256
        && characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !WORDS.iter().any(|word| string.eq_ignore_ascii_case(word))
}

fn quoted(string: &str) -> String {
    let mut text = String::with_capacity(string.len() + 2);
    text.push('"');
    for character in string.chars() {
        let code = u32::from(character);
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            plain if !is_hidden(plain) && code < 0x1_0000 => text.push(plain),
            _ => {
                // Writing to a String does not fail.
                let _ = match code {
                    0..=0xff => write!(text, "\\x{code:02x}"),
                    0x100..=0xffff => write!(text, "\\u{code:04x}"),
                    _ => write!(text, "\\U{code:08x}"),
                };
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
