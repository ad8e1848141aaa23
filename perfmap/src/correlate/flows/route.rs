//! A request's target → its route: path segments that look like ids become `{id}`.

/// Shortest run of hexadecimal digits that is taken for an id: half of a 128-bit one.
const LONG_HEX: usize = 16;

pub(super) fn template(target: &str) -> String {
    target.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn segment(text: &str) -> &str {
    if is_id(text) { "{id}" } else { text }
}

fn is_id(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = digits > 0 && digits == text.len();
    number || (hex && digits > 0 && text.len() >= LONG_HEX) || is_uuid(text)
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
            ("/v1/api2/face", "/v1/api2/face"),
            ("/", "/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(template(target), route);
        }
    }
}
