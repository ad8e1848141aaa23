//! Owned pieces of time → a tree of the project's functions, with what each of them did and waited for.
//!
//! A piece is owned by one node and counts once in each of its ancestors. A function that is on the path already (it
//! calls itself, or is nested through a wait) is not entered again: its time stays at the node that it was reached from.

use rustc_hash::FxHashMap;

use super::{
    model::{WaitCause, Waits},
    project::FunctionId,
};
use crate::recording::{Nanos, StackId};

/// Index into [`Tree::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(pub u32);

/// Time on the chain of waits in which no function of the project was on a stack.
pub(super) const OUTSIDE: NodeId = NodeId(0);
/// Parent of what ran beside the chain.
pub(super) const BESIDE: NodeId = NodeId(1);

/// Deeper paths end here, so that nothing made from the tree can overflow a stack.
const MAX_DEPTH: u32 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    Function(FunctionId),
    /// Index into [`Tree::commands`].
    Subprocess(u32),
    /// What a watched process was asked for. Index into [`Tree::requests`].
    Request(u32),
    /// Of a service without a function of the project: one of its program's.
    Inner(FunctionId),
    /// A service without a function of the project, as a whole. Index into [`Tree::commands`].
    Program(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub what: What,
    pub service: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cpu,
    Wait(WaitCause),
}

/// Times by kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Kinds {
    pub cpu: Nanos,
    pub waits: Waits,
}

impl Kinds {
    pub(super) fn add(&mut self, kind: Kind, length: Nanos) {
        match kind {
            Kind::Cpu => self.cpu = self.cpu.plus(length),
            Kind::Wait(cause) => self.waits.add(cause, length),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    /// None for the two roots.
    pub key: Option<Key>,
    pub parent: NodeId,
    pub depth: u32,
    pub wall: Nanos,
    pub all: Kinds,
    pub own_time: Nanos,
    pub own: Kinds,
    /// Sampled time of the chain in and below this node, whichever task spent it.
    pub sampled: Nanos,
    /// Of tasks that were inside it while nobody on the chain waited for them.
    pub beside_time: Nanos,
    pub beside_cpu: Nanos,
    /// Below [`BESIDE`]: when, for the union.
    pub intervals: Vec<(Nanos, Nanos)>,
    /// Indices into `Flows::round_trips`.
    pub round_trips: Vec<u32>,
    /// Before the window: to web services, to databases and caches.
    pub earlier: [u64; 2],
    pub failed: u64,
    /// Some of its time was waited for at a socket by the node above it.
    pub over_socket: bool,
    /// Some of its time was another task's, that the node above it waited for.
    pub awaited: bool,
    pub file_read: u64,
    pub file_written: u64,
    /// Bytes by which memory grew.
    pub memory: i64,
}

/// A task of the chain that waits: its nodes count the wait, not what the awaited task did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub depth: u32,
    pub cause: WaitCause,
}

#[derive(Debug)]
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub commands: Vec<String>,
    pub requests: Vec<String>,
    children: FxHashMap<(NodeId, What, u32), NodeId>,
    descended: FxHashMap<(NodeId, StackId, u32), NodeId>,
    /// First own function of a task's stacks → the node that it became on the chain.
    starts: FxHashMap<(FunctionId, u32), Vec<NodeId>>,
    /// A place on the chain with less time than this is no place for what ran off it: it would be folded away there.
    pub least_start: Nanos,
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            commands: Vec::new(),
            requests: Vec::new(),
            children: FxHashMap::default(),
            descended: FxHashMap::default(),
            starts: FxHashMap::default(),
            least_start: Nanos::ZERO,
        };
        tree.push(None, OUTSIDE, 0);
        tree.push(None, BESIDE, 0);
        tree
    }

    fn push(&mut self, key: Option<Key>, parent: NodeId, depth: u32) -> NodeId {
        self.nodes.push(Node {
            key,
            parent,
            depth,
            wall: Nanos::ZERO,
            all: Kinds::default(),
            own_time: Nanos::ZERO,
            own: Kinds::default(),
            sampled: Nanos::ZERO,
            beside_time: Nanos::ZERO,
            beside_cpu: Nanos::ZERO,
            intervals: Vec::new(),
            round_trips: Vec::new(),
            earlier: [0; 2],
            failed: 0,
            over_socket: false,
            awaited: false,
            file_read: 0,
            file_written: 0,
            memory: 0,
        });
        NodeId(self.nodes.len() as u32 - 1)
    }

    pub(super) fn node(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    pub(super) fn depth(&self, id: NodeId) -> u32 {
        self.nodes[id.0 as usize].depth
    }

    fn on_path(&self, mut at: NodeId, key: Key) -> bool {
        loop {
            let node = &self.nodes[at.0 as usize];
            match node.key {
                Some(known) if known == key => return true,
                Some(_) => at = node.parent,
                None => return false,
            }
        }
    }

    /// The child of `at`, made where there is none; `at` itself where the key is on its path.
    fn child(&mut self, at: NodeId, key: Key) -> NodeId {
        if let Some(known) = self.children.get(&(at, key.what, key.service)) {
            return *known;
        }
        let depth = self.depth(at);
        if depth >= MAX_DEPTH || self.on_path(at, key) {
            return at;
        }
        let made = self.push(Some(key), at, depth + 1);
        self.children.insert((at, key.what, key.service), made);
        made
    }

    pub(super) fn subprocess(&mut self, at: NodeId, command: &str, service: u32) -> NodeId {
        let what = What::Subprocess(self.command(command));
        self.child(at, Key { what, service })
    }

    pub(super) fn program(&mut self, at: NodeId, command: &str, service: u32) -> NodeId {
        let what = What::Program(self.command(command));
        self.child(at, Key { what, service })
    }

    fn command(&mut self, command: &str) -> u32 {
        let index = self.commands.iter().position(|known| known == command).unwrap_or_else(|| {
            self.commands.push(command.into());
            self.commands.len() - 1
        });
        index as u32
    }

    pub(super) fn request(&mut self, endpoint: &str, service: u32) -> NodeId {
        let index = self.requests.iter().position(|known| known == endpoint).unwrap_or_else(|| {
            self.requests.push(endpoint.into());
            self.requests.len() - 1
        });
        self.child(OUTSIDE, Key { what: What::Request(index as u32), service })
    }

    /// The node of a stack of own functions (root first) below `base`.
    pub(super) fn descend(
        &mut self,
        base: NodeId,
        stack: Option<StackId>,
        functions: &[FunctionId],
        service: u32,
    ) -> NodeId {
        let Some(stack) = stack else { return base };
        if let Some(known) = self.descended.get(&(base, stack, service)) {
            return *known;
        }
        let at = self.descend_path(base, functions, service);
        self.descended.insert((base, stack, service), at);
        at
    }

    /// The same for a path that is no whole stack's.
    pub(super) fn descend_path(&mut self, base: NodeId, functions: &[FunctionId], service: u32) -> NodeId {
        let mut at = base;
        for (index, function) in functions.iter().enumerate() {
            let next = self.child(at, Key { what: What::Function(*function), service });
            if index == 0 && base != BESIDE && next != base {
                let starts = self.starts.entry((*function, service)).or_default();
                if !starts.contains(&next) {
                    starts.push(next);
                }
            }
            at = next;
        }
        at
    }

    /// The node of a stack of a program's functions that are not the project's.
    pub(super) fn inner(
        &mut self,
        base: NodeId,
        stack: Option<StackId>,
        functions: &[FunctionId],
        service: u32,
    ) -> NodeId {
        let Some(stack) = stack else { return base };
        if let Some(known) = self.descended.get(&(base, stack, service)) {
            return *known;
        }
        let key = |function: &FunctionId| Key { what: What::Inner(*function), service };
        let at = functions.iter().fold(base, |at, function| self.child(at, key(function)));
        self.descended.insert((base, stack, service), at);
        at
    }

    /// Where tasks with such a stack were awaited longest: the parent of the first function's node.
    pub(super) fn base_for(&self, functions: &[FunctionId], service: u32) -> Option<NodeId> {
        let starts = self.starts.get(&(*functions.first()?, service))?;
        let node = |start: &NodeId| &self.nodes[start.0 as usize];
        let longest = starts.iter().map(node).reduce(|best, next| if next.wall > best.wall { next } else { best })?;
        (longest.wall >= self.least_start).then_some(longest.parent)
    }

    /// Deepest node that exists already for a stack below `base`.
    pub(super) fn existing(&self, base: NodeId, functions: &[FunctionId], service: u32) -> NodeId {
        let mut at = base;
        for function in functions {
            let key = Key { what: What::Function(*function), service };
            match self.children.get(&(at, key.what, service)) {
                Some(child) => at = *child,
                None if self.on_path(at, key) => {}
                None => break,
            }
        }
        at
    }

    /// A piece of the chain's time.
    pub(super) fn own(&mut self, id: NodeId, kind: Kind, length: Nanos, levels: &[Level], sampled: bool) {
        let mut at = id;
        let mut level = levels.len();
        loop {
            let node = &mut self.nodes[at.0 as usize];
            while level > 0 && levels[level - 1].depth >= node.depth {
                level -= 1;
            }
            // A node counts what the first task in it did; outside of all nodes only the last one tells something.
            let seen = match levels.get(level) {
                Some(level) if node.key.is_some() => Kind::Wait(level.cause),
                Some(_) | None => kind,
            };
            for level in levels.iter().filter(|level| level.depth + 1 == node.depth) {
                node.awaited = true;
                node.over_socket |= matches!(level.cause, WaitCause::Network | WaitCause::Db);
            }
            if at == id {
                // A child that executed nothing yet, or never will, is a part of its maker: what it did explains the time.
                let forked = levels.get(level).is_some_and(|level| level.cause == WaitCause::Child);
                node.own_time = node.own_time.plus(length);
                node.own.add(if forked { kind } else { seen }, length);
            }
            if sampled {
                node.sampled = node.sampled.plus(length);
            }
            node.wall = node.wall.plus(length);
            node.all.add(seen, length);
            if node.key.is_none() {
                return;
            }
            at = node.parent;
        }
    }

    /// A piece of a task that nobody on the chain waited for, in `id` and its ancestors above `base`.
    pub(super) fn beside(&mut self, base: NodeId, id: NodeId, kind: Kind, from: Nanos, to: Nanos) {
        let mut at = id;
        while at != base {
            let node = &mut self.nodes[at.0 as usize];
            if node.key.is_none() {
                return;
            }
            node.beside_time = node.beside_time.plus(to.since(from));
            if kind == Kind::Cpu {
                node.beside_cpu = node.beside_cpu.plus(to.since(from));
            }
            if base == BESIDE {
                node.all.add(kind, to.since(from));
                match node.intervals.last_mut() {
                    Some(last) if last.1 == from => last.1 = to,
                    _ => node.intervals.push((from, to)),
                }
            }
            at = node.parent;
        }
    }
}
