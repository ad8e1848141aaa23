//! Stacks by hand: `E` is the evaluation loop, small letters are other native functions, `P…!` an entry frame.

use proptest::prelude::*;

use crate::recording::*;
use crate::resolve::{Language, Resolved, resolve};

fn symbol(names: &[&str]) -> Symbol {
    let function = |name: &&str| SymbolFunction { name: name.to_string(), file: None, line: None, first_line: None };
    Symbol { functions: names.iter().map(function).collect(), unnamed: None }
}

fn recording(native: &[&str], python: &[&str]) -> Recording {
    let mut recording = Recording::default();
    recording.modules.push(Module { path: "/lib/libx.so.1".into(), build_id: String::new() });
    recording.kernel_symbols.push("schedule".into());
    recording.frames.push(Frame::Kernel(KernelSymbolId(0)));
    recording.symbols.push(Symbol { functions: Vec::new(), unnamed: Some(Unnamed::NotLookedUp) });
    for (at, name) in native.iter().enumerate() {
        recording.frames.push(Frame::Native { module: ModuleId(0), offset: at as u64 });
        recording.symbols.push(match *name {
            "E" => symbol(&["_PyEval_EvalFrameDefault"]),
            "Ec" => symbol(&["inlined_into_loop", "_PyEval_EvalFrameDefault.cold"]),
            "?" => Symbol { functions: Vec::new(), unnamed: Some(Unnamed::NoSymbol) },
            name => symbol(&[name]),
        });
    }
    for (at, name) in python.iter().enumerate() {
        let code = Code { name: name.trim_end_matches('!').into(), file: "/a.py".into(), first_line: 1 };
        recording.codes.push(code);
        let frame = PythonFrame { code: CodeId(at as u32), line: 7, entry: name.ends_with('!') };
        recording.python_frames.push(frame);
    }
    recording.stacks.push(Stack {
        kernel: [FrameId(0)].into(),
        native: (1..=native.len() as u32).map(FrameId).collect(),
        python: (0..python.len() as u32).map(PythonFrameId).collect(),
        end: StackEnd::Complete,
    });
    recording
}

fn names(resolved: &Resolved) -> String {
    let stack = resolved.stack(StackId(0));
    stack.iter().map(|id| resolved.place(*id).function.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn python_frames_take_the_place_of_their_loop() {
    for (native, python, expected) in [
        (&["read", "E", "call", "E", "main"][..], &["P1", "P2!", "P3!"][..], "schedule read P1 P2 call P3 main"),
        // The compiler's split-off part counts, and wrappers do not.
        (
            &["Ec", "PyEval_EvalFrameEx", "_PyEval_EvalFrame", "main"],
            &["P1!"],
            "schedule P1 PyEval_EvalFrameEx _PyEval_EvalFrame main",
        ),
        // Native part cut: the rest follows towards the root.
        (&["read", "E", "call"], &["P1!", "P2", "P3!"], "schedule read P1 call P2 P3"),
        (&[], &["P1!", "P2"], "schedule P1 P2"),
        // More loops than frames: they stay.
        (&["E", "E"], &["P1!"], "schedule P1 _PyEval_EvalFrameDefault"),
        (&["?", "E"], &[], "schedule libx.so.1+0x0 _PyEval_EvalFrameDefault"),
    ] {
        assert_eq!(names(&resolve(&recording(native, python))), expected);
    }
}

#[test]
fn places_say_what_they_are() {
    let mut recording = recording(&["?", "x"], &["P"]);
    recording.symbols[2] = symbol(&["inner", "outer"]);
    let resolved = resolve(&recording);
    let place = |name: &str| resolved.places.iter().find(|place| place.function == name).unwrap();
    assert_eq!(place("schedule").language, Language::Kernel);
    assert_eq!(place("libx.so.1+0x0").unnamed, Some(Unnamed::NoSymbol));
    assert!(place("inner").inlined && !place("outer").inlined);
    let python = place("P");
    assert_eq!((python.line, python.first_line, python.file.as_deref()), (Some(7), Some(1), Some("/a.py")));
    recording.symbols.clear();
    assert_eq!(resolve(&recording).places[1].unnamed, Some(Unnamed::NotLookedUp));
}

proptest! {
    /// Each Python frame appears exactly once and in order, and so does each native frame that is not a loop.
    #[test]
    fn nothing_is_lost_or_reordered(native in proptest::collection::vec(any::<bool>(), 0..12),
                                    python in proptest::collection::vec(any::<bool>(), 0..12)) {
        let native_names: Vec<String> =
            native.iter().enumerate().map(|(at, eval)| if *eval { "E".into() } else { format!("n{at}") }).collect();
        let python_names: Vec<String> =
            python.iter().enumerate().map(|(at, entry)| format!("p{at}{}", if *entry { "!" } else { "" })).collect();
        let native_names: Vec<&str> = native_names.iter().map(String::as_str).collect();
        let python_names: Vec<&str> = python_names.iter().map(String::as_str).collect();
        let recording = recording(&native_names, &python_names);
        let resolved = resolve(&recording);
        let merged = names(&resolved);
        let of = |letter: char| merged.split(' ').filter(|name| name.starts_with(letter)).collect::<Vec<_>>();
        let expected: Vec<_> = python_names.iter().map(|name| name.trim_end_matches('!')).collect();
        prop_assert_eq!(of('p'), expected);
        prop_assert_eq!(of('n'), native_names.iter().copied().filter(|name| *name != "E").collect::<Vec<_>>());
        prop_assert_eq!(&resolve(&recording).places, &resolved.places);
    }
}
