//! What was typed and what there is → the nearest names, for the message that it was not found.

const MOST: usize = 3;
/// More names than these cost time and help nobody.
const LOOKED_AT: usize = 50_000;
const LONGEST: usize = 128;

/// Three at most, the nearest first: one edit for each three letters, or one contains the other.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let typed: String = typed.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let allowed = (typed.chars().count() / 3).clamp(1, 6);
    let mut scored: Vec<(usize, &str)> = names
        .into_iter()
        .take(LOOKED_AT)
        .filter(|name| !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control))
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let contained =
                typed.len() >= 4 && (lower.contains(&typed) || (lower.len() >= 4 && typed.contains(&lower)));
            let near = lower.len().abs_diff(typed.len()) <= allowed * 4;
            let distance = if near { strsim::osa_distance(&typed, &lower) } else { usize::MAX };
            (distance <= allowed).then_some(distance).or(contained.then_some(allowed + 1)).map(|score| (score, name))
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first() {
        let names = ["create_order", "create_orders", "delete_order", "main", "crate_order"];
        assert_eq!(nearest("craete_order", names), ["crate_order", "create_order", "create_orders"]);
        assert_eq!(nearest("zzzzzzzz", names), Vec::<String>::new());
        assert_eq!(nearest("order", ["create_order"]), ["create_order"]);
        assert_eq!(nearest("", names), Vec::<String>::new());
    }
}
