//! Counts words.

use std::collections::BTreeMap;

pub fn counted(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    counts
}

pub fn most(text: &str) -> Option<(String, usize)> {
    counted(text).into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_without_case() {
        assert_eq!(counted("A word, a word.").get("word"), Some(&2));
    }

    #[test]
    fn most_is_the_first_of_equals() {
        assert_eq!(most("b a b a"), Some(("a".into(), 2)));
        assert_eq!(most(""), None);
    }

    #[test]
    fn a_long_text() {
        let text = "the quick brown fox jumps over the lazy dog ".repeat(500);
        assert_eq!(most(&text), Some(("the".into(), 1000)));
    }
}
