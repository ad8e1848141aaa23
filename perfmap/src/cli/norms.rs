//! `--norms FILE` and the `[norms]` table of `perfmap.toml` → what goes into the recording, checked here.

use std::path::Path;

use super::{errors::Failure, read::read_bounded};
use crate::{analyze::Norms, report::files::Owner};

const PROJECT_FILE: &str = "perfmap.toml";
const FILE_LIMIT: u64 = 1 << 20;

/// The project's first, so that the file that was named comes over it.
pub fn norms(named: Option<&Path>, root: Option<&Path>, owner: Option<Owner>) -> Result<Vec<String>, Failure> {
    let mut found = vec![];
    if let Some(root) = root {
        found.extend(of_project(&root.join(PROJECT_FILE), owner)?);
    }
    if let Some(path) = named {
        found.push(checked(path, read_bounded(path, owner, FILE_LIMIT)?)?);
    }
    Ok(found)
}

/// The table alone; other tables of the file are others' to check.
fn of_project(path: &Path, owner: Option<Owner>) -> Result<Option<String>, Failure> {
    let bytes = match read_bounded(path, owner, FILE_LIMIT) {
        Ok(bytes) => bytes,
        Err(Failure::NotFound { .. }) => return Ok(None),
        Err(other) => return Err(other),
    };
    let text = String::from_utf8(bytes).map_err(|_| refused(path, "it is not text (UTF-8)"))?;
    let file: toml::Table = toml::from_str(&text).map_err(|error| refused(path, error.message()))?;
    let Some(table) = file.get("norms") else { return Ok(None) };
    let table = table.as_table().ok_or_else(|| refused(path, "norms is no table"))?;
    let mut text = String::from("[norms]\n");
    for (operation, range) in table {
        let is_word = operation.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let limits: Option<Vec<f64>> = range.as_array().and_then(|all| all.iter().map(number).collect());
        match limits.as_deref() {
            Some([from, to]) if is_word => text += &format!("{operation} = [{from:?}, {to:?}]\n"),
            Some(_) | None => {
                return Err(refused(path, &format!("norms.{operation} is no range of two numbers of milliseconds")));
            }
        }
    }
    checked(path, text.into_bytes()).map(Some)
}

fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn checked(path: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    let text = String::from_utf8(bytes).map_err(|_| refused(path, "it is not text (UTF-8)"))?;
    Norms::parse(&text).map_err(|error| refused(path, error.to_string().lines().next_back().unwrap_or_default()))?;
    Ok(text)
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::Usage {
        what: format!("{}: {why}", path.display()),
        hint: Some("norms are lines like: http_host = [1, 50], in milliseconds, below [norms]".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_comes_over_the_project_s() {
        let root = tempfile::tempdir().expect("directory");
        std::fs::write(root.path().join("perfmap.toml"), "[services]\n[norms]\ncache = [0.1, 3]\n").expect("written");
        let named = root.path().join("n.toml");
        std::fs::write(&named, "[norms]\ncache = [0.1, 9]\n").expect("written");
        let found = norms(Some(&named), Some(root.path()), None).expect("norms");
        assert_eq!(found, ["[norms]\ncache = [0.1, 3.0]\n", "[norms]\ncache = [0.1, 9]\n"]);
        assert_eq!(norms(None, None, None).expect("none"), [] as [&str; 0]);
    }

    #[test]
    fn what_is_no_norm_is_refused_before_anything_runs() {
        let root = tempfile::tempdir().expect("directory");
        for wrong in ["[norms]\ncache = [3, 1]", "[norms]\nx = [1, 2]", "[norms]\ncache = 'a'", "norms = 3", "["] {
            std::fs::write(root.path().join("perfmap.toml"), wrong).expect("written");
            assert_eq!(norms(None, Some(root.path()), None).expect_err(wrong).exit_code(), 2);
        }
        assert_eq!(norms(Some(&root.path().join("none.toml")), None, None).expect_err("none").exit_code(), 2);
    }
}
