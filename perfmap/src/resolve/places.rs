//! Single frames → interned places, and which native frames are the interpreter's evaluation loop.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use super::{Language, Place, PlaceId, jit};
use crate::recording::{Frame, FrameId, ModuleId, PythonFrameId, Recording, SymbolFunction, Unnamed};

/// Places in the order in which they are first met: the same recording gives the same numbers.
pub struct Places<'a> {
    recording: &'a Recording,
    interned: IndexSet<Place, FxBuildHasher>,
    /// By frame: its places, innermost inlined function first. Each frame is in many stacks.
    frames: Vec<Option<Box<[PlaceId]>>>,
}

impl<'a> Places<'a> {
    pub fn new(recording: &'a Recording) -> Places<'a> {
        let frames = vec![None; recording.frames.len()];
        Places { recording, interned: IndexSet::default(), frames }
    }

    pub fn into_inner(self) -> Vec<Place> {
        self.interned.into_iter().collect()
    }

    /// Append a frame's places; nothing for a number that is not in the recording.
    pub fn add_frame(&mut self, id: FrameId, to: &mut Vec<PlaceId>) {
        let at = id.0 as usize;
        let Some(frame) = self.recording.frames.get(at) else { return };
        if let Some(Some(known)) = self.frames.get(at) {
            to.extend_from_slice(known);
            return;
        }
        let ids: Box<[PlaceId]> = self.of_frame(at, frame).into_iter().map(|place| self.intern(place)).collect();
        to.extend_from_slice(&ids);
        self.frames[at] = Some(ids);
    }

    pub fn add_python(&mut self, id: PythonFrameId, to: &mut Vec<PlaceId>) {
        let Some(frame) = self.recording.python_frames.get(id.0 as usize) else { return };
        let Some(code) = self.recording.codes.get(frame.code.0 as usize) else { return };
        let place = Place {
            function: code.name.clone(),
            file: Some(code.file.clone()).filter(|file| !file.is_empty()),
            line: Some(frame.line).filter(|line| *line > 0),
            first_line: Some(code.first_line).filter(|line| *line > 0),
            language: Language::Python,
            module: None,
            inlined: false,
            unnamed: None,
        };
        to.push(self.intern(place));
    }

    pub fn is_entry(&self, id: PythonFrameId) -> bool {
        self.recording.python_frames.get(id.0 as usize).is_some_and(|frame| frame.entry)
    }

    /// The loop itself, also its parts that the compiler split off; not the functions that only call it.
    pub fn is_evaluation_loop(&self, id: FrameId) -> bool {
        const LOOP: &str = "_PyEval_EvalFrameDefault";
        let symbol = self.recording.symbols.get(id.0 as usize);
        // The last function is the real one, around those that were inlined into it.
        symbol.and_then(|symbol| symbol.functions.last()).is_some_and(|function| {
            function.name.strip_prefix(LOOP).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    fn intern(&mut self, place: Place) -> PlaceId {
        PlaceId(self.interned.insert_full(place).0 as u32)
    }

    fn of_frame(&self, at: usize, frame: &Frame) -> Vec<Place> {
        match frame {
            Frame::Native { module, offset } => self.of_native(at, *module, *offset),
            // Where the machine's names do not tell the file, it may have been found.
            Frame::Jit { .. } if self.recording.symbols.get(at).is_some_and(|symbol| !symbol.functions.is_empty()) => {
                let functions = self.recording.symbols.get(at).map_or(&[][..], |symbol| &symbol.functions);
                let place = |function: &SymbolFunction| Place {
                    file: function.file.clone(),
                    line: function.line,
                    first_line: function.first_line,
                    ..named(function.name.clone(), Language::Jit)
                };
                functions.iter().map(place).collect()
            }
            Frame::Jit { name, place } => {
                let jit::JitName { function, file, first_line } = jit::parse(name);
                // Where the name tells the file, as V8's do, the lines beside it are counted from another beginning.
                let place = place.as_ref().filter(|_| file.is_none());
                let line = place.map(|place| place.line);
                let file = file.or(place.map(|place| place.file.as_str())).map(str::to_owned);
                vec![Place { file, line, first_line, ..named(function.to_owned(), Language::Jit) }]
            }
            Frame::Kernel(symbol) => match self.recording.kernel_symbols.get(symbol.0 as usize) {
                Some(name) => vec![named(name.clone(), Language::Kernel)],
                None => Vec::new(),
            },
            Frame::Unmapped { address } => {
                let unnamed = Some(Unnamed::NoFile);
                vec![Place { unnamed, ..named(format!("[unmapped]+{address:#x}"), Language::Native) }]
            }
        }
    }

    fn of_native(&self, at: usize, module: ModuleId, offset: u64) -> Vec<Place> {
        let module = self.recording.modules.get(module.0 as usize).map(|module| module.path.clone());
        let symbol = self.recording.symbols.get(at);
        let functions = symbol.map_or(&[][..], |symbol| &symbol.functions);
        let Some(outermost) = functions.len().checked_sub(1) else {
            let path = module.as_deref().unwrap_or("?");
            let file = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
            let function = format!("{file}+{offset:#x}");
            let unnamed = symbol.and_then(|symbol| symbol.unnamed).or(Some(Unnamed::NotLookedUp));
            return vec![Place { module, unnamed, ..named(function, Language::Native) }];
        };
        let place = |(depth, function): (usize, &SymbolFunction)| Place {
            file: function.file.clone(),
            line: function.line,
            first_line: function.first_line,
            module: module.clone(),
            inlined: depth < outermost,
            ..named(function.name.clone(), Language::Native)
        };
        functions.iter().enumerate().map(place).collect()
    }
}

fn named(function: String, language: Language) -> Place {
    Place { function, file: None, line: None, first_line: None, language, module: None, inlined: false, unnamed: None }
}
