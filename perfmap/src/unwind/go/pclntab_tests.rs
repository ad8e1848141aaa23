use super::*;
use proptest::prelude::*;

fn varint(mut value: u32, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Values, each up to an offset in the function.
fn values(stretches: &[(i64, u64)], table: &mut Vec<u8>) -> u32 {
    let at = table.len() as u32;
    let (mut value, mut end) = (-1, 0);
    for (next, until) in stretches {
        let change: i64 = next - value;
        varint(((change << 1) ^ (change >> 63)) as u32, table);
        varint((until - end) as u32, table);
        (value, end) = (*next, *until);
    }
    table.push(0);
    at
}

/// `main.outer` at 0x20..0x80 in a.go, with `main.inner` of b.go inlined at 0x30..0x40; `main.last` at 0x80..0x90.
fn written(form: Form) -> (Vec<u8>, Vec<u8>) {
    let names = b"\0main.outer\0main.inner\0main.last\0";
    let files = b"/w/a.go\0/w/b.go\0";
    let units: Vec<u8> = [0_u32, 8].iter().flat_map(|at| at.to_le_bytes()).collect();
    let mut table = vec![0];
    let pcfile = values(&[(0, 0x10), (1, 0x20), (0, 0x60)], &mut table);
    let pcln = values(&[(10, 0x10), (70, 0x20), (12, 0x60)], &mut table);
    let inlined = values(&[(-1, 0x10), (0, 0x20), (-1, 0x60)], &mut table);
    let last = values(&[(300, 0x10)], &mut table);
    let tree: Vec<u8> = if form == Form::V20 {
        [0_u32, 12, 8, 69].iter().flat_map(|word| word.to_le_bytes()).collect()
    } else {
        [0xffff_u32, 1, 11, 12, 8].iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    let width = if form == Form::V16 { 8 } else { 4 };
    let number = |value: u32, to: &mut Vec<u8>| to.extend(&u64::from(value).to_le_bytes()[..width]);
    let function = |entry: u32, fields: [u32; 4], start: u32, values: &[u32], data: &[u32]| {
        let mut bytes = Vec::new();
        number(entry, &mut bytes);
        let [name, pcfile, pcln, _] = fields;
        for word in [name, 0, 0, 0, pcfile, pcln, values.len() as u32, 0] {
            bytes.extend(word.to_le_bytes());
        }
        if form == Form::V20 {
            bytes.extend(start.to_le_bytes());
        }
        bytes.extend([0, 0, 0, data.len() as u8]);
        bytes.extend(values.iter().chain(data).flat_map(|word| word.to_le_bytes()));
        bytes
    };
    let outer = function(0x20, [1, pcfile, pcln, 0], 9, &[0, 0, inlined], &[NOTHING, NOTHING, NOTHING, 0]);
    let end = function(0x80, [23, last, last, 0], 299, &[], &[]);
    let list = 5 * width as u32;
    let mut entries = Vec::new();
    for value in [0x20, list, 0x80, list + outer.len() as u32, 0x90] {
        number(value, &mut entries);
    }
    entries.extend(outer);
    entries.extend(end);
    let magic: u32 = match form {
        Form::V16 => 0xffff_fffa,
        Form::V18 => 0xffff_fff0,
        Form::V20 => 0xffff_fff1,
    };
    let mut bytes = magic.to_le_bytes().to_vec();
    bytes.extend([0, 0, 1, 8]);
    let parts: [&[u8]; 5] = [names, &units, files, &table, &entries];
    let mut head = vec![2_u64, 2];
    if form != Form::V16 {
        head.push(0x40_1000);
    }
    let mut place = 8 + 8 * (head.len() as u64 + 5);
    for part in parts {
        head.push(place);
        place += part.len() as u64;
    }
    bytes.extend(head.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(parts.concat());
    (bytes, tree)
}

fn position(function: &str, file: Option<&str>, line: Option<u32>, first_line: Option<u32>) -> Position {
    Position { function: function.to_owned(), file: file.map(str::to_owned), line, first_line }
}

fn part(tree: &[u8], at: u32, size: usize) -> Option<Vec<u8>> {
    Some(tree.get(at as usize..)?.get(..size)?.to_vec())
}

#[test]
fn all_forms_name_functions_files_and_lines() {
    for form in [Form::V16, Form::V18, Form::V20] {
        let (bytes, tree) = written(form);
        let table = Table::new(bytes.into()).unwrap();
        assert_eq!((table.form, table.extent()), (form, Some((0x20, 0x90))));
        let at = |at: u64| table.at(at, &|at, size| part(&tree, at, size));
        let (a, b) = (Some("/w/a.go"), Some("/w/b.go"));
        let first = if form == Form::V20 { Some(9) } else { Some(10) };
        assert_eq!(at(0x20), [position("main.outer", a, Some(10), first)], "{form:?}");
        assert_eq!(at(0x7f), [position("main.outer", a, Some(12), first)], "{form:?}");
        let inner = match form {
            // What was inlined is not read: a line of another function would be told for this one's.
            Form::V16 => vec![position("main.outer", None, None, first)],
            Form::V18 => vec![position("main.inner", b, Some(70), None), position("main.outer", a, Some(10), first)],
            Form::V20 => {
                vec![position("main.inner", b, Some(70), Some(69)), position("main.outer", a, Some(10), first)]
            }
        };
        assert_eq!(at(0x35), inner, "{form:?}");
        assert_eq!(at(0x8f)[0].function, "main.last");
        assert_eq!((at(0x1f), at(0x90)), (Vec::new(), Vec::new()));
        assert_eq!(table.fits(&|at, size| part(&tree, at, size)), form != Form::V16);
        assert!(!table.fits(&|at, size| part(&tree, at + 4, size)) && !table.fits(&|_, _| None));
        assert_eq!((table.begins(0x20), table.begins(0x21)), (true, false));
        assert_eq!(table.at(0x35, &|_, _| None), [position("main.outer", None, None, first)], "{form:?}");
    }
}

#[test]
fn other_bytes_are_no_table() {
    let (bytes, _) = written(Form::V20);
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        Table::new(bytes.into()).is_none()
    };
    // Its form, the size of a pointer, more functions than there is room for.
    assert!(with(0, 0xf2) && with(7, 4) && with(15, 0x70) && with(8, 200));
    assert!(Table::new(bytes[..40].to_vec().into()).is_none());
    assert!(Table::new(Vec::new().into()).is_none());
}

#[test]
fn all_look_ups_together_are_bounded() {
    let (bytes, tree) = written(Form::V20);
    let table = Table::new(bytes.into()).unwrap();
    table.steps.set(3);
    let found = table.at(0x70, &|at, size| part(&tree, at, size));
    assert_eq!(found[0].function, "main.outer");
    assert_eq!((table.steps.get(), found[0].line), (0, None));
}

proptest! {
    /// Any damage is refused or read, and what was inlined into itself ends.
    #[test]
    fn total_on_damaged_tables(
        form in prop_oneof![Just(Form::V16), Just(Form::V18), Just(Form::V20)],
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..12),
        cut in any::<usize>(),
        asked in any::<u64>(),
    ) {
        let (mut bytes, mut tree) = written(form);
        let all = bytes.len() + tree.len();
        for (at, value) in changes {
            let at = at % all;
            match at.checked_sub(bytes.len()) {
                Some(at) => tree[at] = value,
                None => bytes[at] = value,
            }
        }
        if cut % 4 == 0 {
            bytes.truncate(cut % (bytes.len() + 1));
        }
        if let Some(table) = Table::new(bytes.into()) {
            for at in (0..0xa0).chain([asked, u64::MAX]) {
                let found = table.at(at, &|at, size| part(&tree, at, size));
                prop_assert!(found.len() <= MAX_DEPTH + 1);
            }
            let _ = (table.extent(), table.begins(asked), table.fits(&|at, size| part(&tree, at, size)));
        }
    }

    #[test]
    fn total_on_any_bytes(form in 0xf0_u8..0xfc, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let head = [form, 0xff, 0xff, 0xff, 0, 0, 1, 8];
        if let Some(table) = Table::new([&head[..], &bytes].concat().into()) {
            let _ = table.at(0, &|_, _| None);
        }
    }
}
