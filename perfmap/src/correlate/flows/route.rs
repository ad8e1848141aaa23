//! A request's target → its route: path segments that look like ids become `{id}`.

/// Shortest run of hexadecimal digits that is taken for an id: an abbreviated commit. Words of the language are shorter
/// or have no digit.
const HEX: usize = 8;
/// Shortest mixture of letters and digits that nobody writes by hand: ULIDs have 26 characters, nanoids 21, Mongo's ids 24.
const TOKEN: usize = 16;
/// A year behind a word is one run of digits.
const TOKEN_RUNS: usize = 3;
/// Shortest number behind a word and a dash that is taken for a running one: steps, versions and halves of a year are shorter.
const NUMBER: usize = 3;
/// Years, as in `report-2024`.
const YEARS: std::ops::Range<u32> = 1900..2100;
/// What has such numbers as parts of its names: standards, encodings, algorithms, answers.
const NUMBERED: [&str; 16] = [
    "aes", "cp", "crc", "error", "http", "https", "ibm", "ieee", "iso", "rfc", "rsa", "sha", "shake", "status", "utf",
    "windows",
];

pub(super) fn template(target: &str) -> String {
    target.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// An id may have an extension (`17.json`) or an action (`17:cancel`) behind it; parameters of a segment, which may be
/// anybody's session, go.
fn segment(text: &str) -> String {
    let text = text.split(';').next().unwrap_or_default();
    let stem = text.find(['.', ':']).unwrap_or(text.len());
    let (stem, rest) = text.split_at(stem);
    match (is_id(text), is_id(stem)) {
        (true, _) => "{id}".to_owned(),
        (false, true) => {
            format!("{{id}}{}", if rest[1..].bytes().all(|byte| byte.is_ascii_alphabetic()) { rest } else { "" })
        }
        (false, false) => text.to_owned(),
    }
}

fn is_id(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let runs = text.split(|letter: char| !letter.is_ascii_digit()).filter(|run| !run.is_empty()).count();
    let all = |of: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| of(&byte));
    let number = digits > 0 && text.bytes().all(|byte| byte.is_ascii_digit() || b"-.,+".contains(&byte));
    number
        || (all(u8::is_ascii_hexdigit) && digits > 0 && text.len() >= HEX)
        || (all(u8::is_ascii_alphanumeric) && runs >= TOKEN_RUNS && text.len() >= TOKEN)
        || is_uuid(text)
        || is_numbered(text)
}

/// `ii-107919`, `order_4711`: a word and a running number.
fn is_numbered(text: &str) -> bool {
    let Some((word, number)) = text.split_once(['-', '_']) else { return false };
    let year = number.len() == 4 && number.parse().is_ok_and(|year: u32| YEARS.contains(&year));
    !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && number.len() >= NUMBER
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && !year
        && !NUMBERED.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::template;

    #[test]
    fn ids_become_one_route() {
        for (target, route) in [
            ("/item/17", "/item/{id}"),
            ("/item/17/parts/4", "/item/{id}/parts/{id}"),
            ("/u/123e4567-e89b-12d3-a456-426614174000/", "/u/{id}/"),
            ("/blob/9f86d081884c7d659a2feaa0c55ad015", "/blob/{id}"),
            ("/commit/9f86d081", "/commit/{id}"),
            ("/order/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/order/{id}"),
            ("/day/2024-01-31", "/day/{id}"),
            ("/at/52.5,-13.4", "/at/{id}"),
            ("/item/17.json", "/item/{id}.json"),
            ("/item/17:cancel", "/item/{id}:cancel"),
            ("/cart;jsessionid=1234567890ABCDEF/x", "/cart/x"),
            ("/items/ii-107919", "/items/{id}"),
            ("/orders/ORD_00417.json", "/orders/{id}.json"),
            ("/users/user-104/posts", "/users/{id}/posts"),
            ("/v1/api2/face", "/v1/api2/face"),
            ("/api/v1/ipv4/utf-8/step-2", "/api/v1/ipv4/utf-8/step-2"),
            ("/digest/sha-256/SHA-512/iso-8859", "/digest/sha-256/SHA-512/iso-8859"),
            ("/reports/report-2024/error-404", "/reports/report-2024/error-404"),
            ("/iso-8859-1/area-51/catch-22", "/iso-8859-1/area-51/catch-22"),
            ("/-123/a-/x-12a4/-", "/{id}/a-/x-12a4/-"),
            ("/deadbeef/effaced", "/deadbeef/effaced"),
            ("/static/app.min.js", "/static/app.min.js"),
            ("/internationalisation2024", "/internationalisation2024"),
            ("/", "/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(template(target), route);
        }
    }
}
