use proptest::prelude::*;

use super::{Dialect::*, *};

fn postgres(text: &str) -> String {
    shape(text.as_bytes(), false, Postgres)
}

fn mysql(text: &str) -> String {
    shape(text.as_bytes(), false, Mysql)
}

#[test]
fn literals_go() {
    for (statement, expected) in [
        ("SELECT * FROM t WHERE id = 42", "SELECT * FROM t WHERE id = ?"),
        ("select  a,b\n\tfrom t -- why\nwhere x='it''s' and y=$1;", "select a, b from t where x=? and y=?"),
        ("SELECT 1.5e-3, .5, 0x1F, -7, +2 FROM t1", "SELECT ? FROM t1"),
        ("SELECT E'a\\'b', X'ff', B'01', U&'d\\0061t', N'x' FROM a", "SELECT ? FROM a"),
        ("SELECT $$it's$$, $tag$ $$ $tag$ FROM a", "SELECT ? FROM a"),
        ("SELECT \"Name\", count(*) FROM \"T x\"", "SELECT \"Name\", count(*) FROM \"T x\""),
        ("SELECT a /* x /* y */ 'z' */ - 5, b-3", "SELECT a - ?, b-?"),
        (
            "UPDATE t SET a = -1 WHERE b IN (1, 2,3) AND c = ANY(ARRAY[4,5])",
            "UPDATE t SET a = ? WHERE b IN (?) AND c = ANY(ARRAY[?])",
        ),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, NULL)", "INSERT INTO t (a, b) VALUES (?), (?, NULL)"),
        ("INSERT INTO t VALUES ($1,$2),($3,$4),($5,$6)", "INSERT INTO t VALUES (?)"),
        ("SELECT a::text, b->>'k', c ? 'k' FROM t", "SELECT a::text, b->>?, c ? ? FROM t"),
        ("select 1; select 2;", "select ?; select ?"),
        ("SET x TO 'secret", "SET x TO ? …"),
        // With standard_conforming_strings off, the string goes on.
        ("SELECT 'a\\' , secret", "SELECT ? …"),
        ("SELECT 'a\\\\', b", "SELECT ?, b"),
        ("DATE '2024-01-01'", "DATE ?"),
        ("", ""),
        ("  ;", ""),
    ] {
        assert_eq!(postgres(statement), expected, "{statement}");
    }
    for (statement, expected) in [
        ("SELECT `a b`, \"x\", 'it\\'s' # why\nFROM t", "SELECT `a b`, ? FROM t"),
        ("SELECT /*!40001 SQL_NO_CACHE */ * FROM `t` LIMIT 5, 10", "SELECT * FROM `t` LIMIT ?"),
        ("INSERT INTO t VALUES (_utf8'x', b'1', 0xFF)", "INSERT INTO t VALUES (_utf8 ?)"),
        ("SELECT @a, t.$x FROM 1st", "SELECT @a, t.$ x FROM ?"),
    ] {
        assert_eq!(mysql(statement), expected, "{statement}");
    }
}

#[test]
fn bounded_and_cut() {
    let long = format!("SELECT {} FROM t", vec!["column"; 200].join(", "));
    let found = postgres(&long);
    assert!(found.len() <= MAX_SHAPE && found.ends_with(" …"), "{found}");
    assert_eq!(shape(b"SELECT a, 'sec", true, Postgres), "SELECT a, ? …");
    assert_eq!(shape(b"INSERT INTO t VALUES (1, 2), (3,", true, Postgres), "INSERT INTO t VALUES (?), (?, …");
    let data = format!("SELECT \"{}\"", "x".repeat(500));
    assert_eq!(postgres(&data), "SELECT ?");
}

fn literal() -> impl Strategy<Value = String> {
    let text = "[a-z ,()]{0,4}SECRET[a-z ,()\"]{0,4}";
    prop_oneof![
        text.prop_map(|text| format!("'{text}'")),
        text.prop_map(|text| format!("'it''s {text}'")),
        text.prop_map(|text| format!("E'\\'{text}'")),
        text.prop_map(|text| format!("$q${text}$q$")),
        text.prop_map(|text| format!("/*{text}*/ 1")),
        text.prop_map(|text| format!("2 -- {text}\n")),
        Just("0xSECRET".to_owned()),
        Just("7SECRET".to_owned()),
    ]
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z_][a-z0-9_$]{0,5}",
        "[-+*/=<>(),;.?@:#\\[\\]$' \"`\n\\\\]",
        "[0-9]{1,4}",
        literal(),
        Just(" ".to_owned()),
        Just(", ".to_owned()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn total_and_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..600), cut in any::<bool>()) {
        for dialect in [Postgres, Mysql] {
            prop_assert!(shape(&bytes, cut, dialect).len() <= MAX_SHAPE);
        }
    }

    #[test]
    fn a_shape_is_its_own_shape(text in pieces()) {
        for dialect in [Postgres, Mysql] {
            let once = shape(text.as_bytes(), false, dialect);
            prop_assert_eq!(shape(once.as_bytes(), false, dialect), once);
        }
    }

    #[test]
    fn no_literal_survives(literals in proptest::collection::vec(literal(), 1..6), glue in "[ ,=(<]") {
        let text = format!("SELECT a FROM t WHERE b = {}", literals.join(&glue));
        let found = shape(text.as_bytes(), false, Postgres);
        prop_assert!(!found.contains("SECRET"), "{} → {}", text, found);
        for end in 0..text.len() {
            let found = shape(&text.as_bytes()[..end], true, Postgres);
            prop_assert!(!found.contains("SECRET"), "{} → {}", &text[..end], found);
        }
    }
}
