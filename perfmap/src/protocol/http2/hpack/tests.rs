use super::*;

/// RFC 7541, C.4: three requests over one table, strings in Huffman's code.
#[test]
fn requests_of_the_specification() {
    let mut table = Table::default();
    let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let fields = table.read(first, false);
    let get = Fields {
        method: Some("GET".into()),
        path: Some("/".into()),
        authority: Some("www.example.com".into()),
        ..Fields::default()
    };
    assert_eq!(fields, get);
    assert_eq!(table.read(b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf", false), get);
    let third = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";
    assert_eq!(table.read(third, false), Fields { path: Some("/index.html".into()), ..get });
}

/// RFC 7541, C.5.1 and C.5.2: the second answer's status replaces the first one's in the table.
#[test]
fn answers_of_the_specification() {
    let mut table = Table::default();
    let first = b"\x48\x03302\x58\x07private\x61\x1dMon, 21 Oct 2013 20:13:21 GMT\x6e\x17https://www.example.com";
    let status = |status| Fields { status: Some(status), ..Fields::default() };
    assert_eq!(table.read(first, false), status(302));
    assert_eq!(table.read(b"\x48\x03307\xc1\xc0\xbf", false), status(307));
    assert_eq!(table.read(b"\xbe", false), status(307));
}

#[test]
fn what_was_made_before_is_not_known_and_what_follows_is() {
    let mut table = Table::joined();
    let unseen = Fields { unseen: true, ..Fields::default() };
    assert_eq!(table.read(b"\xc0", false), unseen);
    // A name in such an entry, with a value that nobody can place.
    assert_eq!(table.read(b"\x7e\x01/", false), unseen);
    assert_eq!(table.read(b"\x44\x02/a\xbe\xbf", false), Fields { path: Some("/a".into()), ..unseen.clone() });
    // A block that was missed moves all entries.
    table.forget();
    assert_eq!(table.read(b"\xbe", false), unseen);
}

#[test]
fn a_size_of_zero_empties_the_table() {
    let mut table = Table::default();
    table.read(b"\x44\x02/a", false);
    assert_eq!(table.read(b"\x20\x3f\xe1\x1f\xbe", false), Fields { unseen: true, ..Fields::default() });
}

#[test]
fn tables_stay_small() {
    let mut table = Table::default();
    let path = [&b"\x44\x7f\x81\x01/"[..], &[b'p'; 255]].concat();
    // Its largest size, as far as an encoder can ask for one.
    assert!(!table.read(b"\x3f\xff\xff\xff\xff\x0f", false).cut);
    for _ in 0..10_000 {
        assert_eq!(table.read(&path, false).path.map(|path| path.len()), Some(256));
        table.read(b"\x40\x01x\x00", false);
    }
    assert!(table.size <= MAX_SIZE && table.entries.len() <= MAX_SIZE / 32);
}

#[test]
fn what_is_no_block_is_cut() {
    // The index 0, a number without an end, a string beyond the block.
    for block in [&b"\x82\x80\x84"[..], b"\x82\xff\xff\xff\xff\xff\xff\x01", b"\x82\x44\x05/a", b"\x82\x44"] {
        let fields = Table::default().read(block, false);
        assert!(fields.cut && fields.method.as_deref() == Some("GET") && fields.path.is_none(), "{fields:?}");
    }
}

/// Queries are no part of a path, user information none of an authority; what is not text is nothing.
#[test]
fn values_are_trimmed() {
    let literal = |name: &str, value: &str| {
        [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    let read = |name, value| Table::default().read(&literal(name, value), false);
    assert_eq!(read(":path", "/a?token=1#x").path.as_deref(), Some("/a"));
    assert_eq!(read(":authority", "user:secret@host:1").authority.as_deref(), Some("host:1"));
    assert_eq!(read(":path", "/a b").path, None);
    assert_eq!(read(":status", "2x0").status, None);
    assert_eq!(read(":status", "99999").status, None);
    assert!(read("content-type", "application/GRPC-web+proto").grpc && !read("content-type", "text/plain").grpc);
    assert_eq!(read("grpc-status", "14").grpc_status, Some(14));
}
