//! The map as JSON, pure ASCII: every reader takes it for the same, and no name of the target reaches a terminal raw.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

pub fn to_string(document: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut bytes = vec![];
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii(PrettyFormatter::new()));
    document.serialize(&mut serializer)?;
    bytes.push(b'\n');
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Escapes everything outside printable ASCII; the layout is serde_json's.
struct Ascii(PrettyFormatter<'static>);

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii_graphic() || character == ' ' {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{output::Document, result::ResultDocument};

    proptest! {
        #[test]
        fn any_text_survives_and_only_ascii_is_written(names in prop::collection::vec(any::<String>(), 0..8)) {
            let text = to_string(&names).expect("JSON");
            prop_assert!(text.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)), "{}", text);
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&text).expect("JSON"), names);
        }
    }

    fn is_up_to_date(name: &str, schema: &schemars::Schema) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let mut schema = serde_json::to_string_pretty(schema).expect("a schema");
        schema.push('\n');
        if std::env::var_os("PERFMAP_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("docs/");
            std::fs::write(&path, &schema).expect("the schema is written");
        }
        let written = std::fs::read_to_string(&path).expect("the schema is there");
        assert!(written == schema, "docs/{name} is not what the structs give: run with PERFMAP_BLESS=1");
    }

    /// `PERFMAP_BLESS=1 cargo test -p perfmap schema` writes them anew.
    #[test]
    fn the_schemas_in_docs_are_up_to_date() {
        is_up_to_date("performance_map.schema.json", &schemars::schema_for!(Document));
        is_up_to_date("profile_result.schema.json", &schemars::schema_for!(ResultDocument));
    }
}
