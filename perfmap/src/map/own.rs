//! Stacks → the project's own function that is innermost on each, as the map calls it, with the line it was at.
//! For those who look into a step's samples: the map itself holds times, not stacks.

use super::project::{function_name, own_file};
use crate::{
    recording::Recording,
    resolve::{Place, Resolved},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Innermost {
    /// As in `Step::function`.
    pub function: String,
    /// As in `Location::file`.
    pub file: String,
    /// Of the function itself, where it called something too; None where its frames carry no lines.
    pub line: Option<u32>,
    /// Below it Python imports a module.
    pub importing: bool,
}

/// By `StackId`; None where nothing of the project is on the stack.
pub fn innermost(recording: &Recording, resolved: &Resolved) -> Vec<Option<Innermost>> {
    let of_place = |place: &Place| Some((function_name(place), own_file(&recording.meta, place)?));
    resolved
        .stacks
        .iter()
        .map(|stack| {
            let mut importing = false;
            for place in stack.iter().filter_map(|id| resolved.places.get(id.0 as usize)) {
                if let Some((function, file)) = of_place(place) {
                    let line = place.line.filter(|line| *line > 0);
                    return Some(Innermost { function, file, line, importing });
                }
                importing |= place.file.as_deref().is_some_and(|file| file.starts_with("<frozen importlib."));
            }
            None
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        recording::Meta,
        resolve::{Language, PlaceId},
    };

    fn place(function: &str, file: &str, line: u32) -> Place {
        Place {
            function: function.into(),
            file: Some(file.into()),
            line: Some(line),
            first_line: Some(1),
            language: Language::Python,
            module: None,
            inlined: false,
            unnamed: None,
        }
    }

    #[test]
    fn the_innermost_own_function_and_whether_it_imports() {
        let meta = Meta { project_roots: vec!["/p".into()], working_directory: "/p".into(), ..Meta::default() };
        let recording = Recording { meta, ..Recording::default() };
        let places = vec![
            place("loads", "/usr/lib/python3.11/json/__init__.py", 7),
            place("parse", "/p/app.py", 12),
            place("<module>", "/p/app.py", 40),
            place("_find_and_load", "<frozen importlib._bootstrap>", 1),
        ];
        let stack = |ids: &[u32]| ids.iter().map(|id| PlaceId(*id)).collect();
        let resolved = Resolved { places, stacks: vec![stack(&[0, 1, 2]), stack(&[0, 3, 2]), stack(&[0])] };
        let own = |function: &str, line, importing| {
            Some(Innermost { function: function.into(), file: "app.py".into(), line: Some(line), importing })
        };
        assert_eq!(innermost(&recording, &resolved), [own("parse", 12, false), own("<module>", 40, true), None]);
    }
}
