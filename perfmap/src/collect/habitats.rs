//! Whereabouts → the recording's table of surroundings; asks the container runtimes' files where a process has entered
//! other namespaces or another control group than its maker's.

use indexmap::IndexSet;

use super::{
    containers::Runtimes,
    surroundings::{self, Whereabouts},
};
use crate::{
    recording::{Container, Surroundings, SurroundingsId},
    unwind::Root,
};

/// Most different ones; a build that puts each of its steps into namespaces of its own has thousands.
const MOST: usize = 16_384;

#[derive(Debug)]
pub struct Habitats {
    runtimes: Runtimes,
    own: Whereabouts,
    root: Option<Root>,
    known: IndexSet<Surroundings>,
}

impl Habitats {
    pub fn new(runtimes: Runtimes) -> Habitats {
        let own = surroundings::read(std::process::id());
        let first = Surroundings {
            namespaces: own.namespaces,
            unit: own.unit.clone(),
            container: own.container.as_deref().map(bare),
        };
        Habitats { runtimes, own, root: Root::of(std::process::id()), known: IndexSet::from([first]) }
    }

    /// perfmap's own.
    pub fn own(&self) -> SurroundingsId {
        SurroundingsId(0)
    }

    /// `before`: those of the same process before its execve, which its maker's were. Numbers of namespaces are used
    /// again when the last process is gone, so nothing older is trusted.
    pub fn of(&mut self, seen: &Whereabouts, before: Option<SurroundingsId>) -> Option<SurroundingsId> {
        if *seen == Whereabouts::default() {
            return before; // it was gone
        }
        if *seen == self.own {
            return Some(self.own());
        }
        if let Some(before) = before
            && self.known.get_index(before.0 as usize).is_some_and(|known| is_same(known, seen))
        {
            return Some(before);
        }
        let Whereabouts { namespaces, unit, container } = seen;
        let entered = namespaces.pid != self.own.namespaces.pid || namespaces.mount != self.own.namespaces.mount;
        let container = if self.own.container.is_some() && *container == self.own.container {
            container.as_deref().map(bare)
        } else if container.is_some() || entered {
            self.runtimes.container(container.as_deref(), *namespaces)
        } else {
            None
        };
        let surroundings = Surroundings { namespaces: *namespaces, unit: unit.clone(), container };
        if self.known.len() >= MOST && !self.known.contains(&surroundings) {
            return None;
        }
        Some(SurroundingsId(self.known.insert_full(surroundings).0 as u32))
    }

    /// A root directory that is another than ours.
    pub fn foreign(&self, seen: &Whereabouts, root: Option<Root>) -> Option<Root> {
        let own = self.root.as_ref().map(|root| root.identity);
        root.filter(|root| seen.namespaces.mount != self.own.namespaces.mount || Some(root.identity) != own)
    }

    pub fn into_known(self) -> Vec<Surroundings> {
        self.known.into_iter().collect()
    }
}

fn bare(id: &str) -> Container {
    Container { id: id.to_owned(), ..Container::default() }
}

fn is_same(known: &Surroundings, seen: &Whereabouts) -> bool {
    let Surroundings { namespaces, unit, container } = known;
    *namespaces == seen.namespaces
        && *unit == seen.unit
        && seen.container.as_ref().is_none_or(|id| container.as_ref().is_some_and(|container| container.id == *id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Namespaces;

    #[test]
    fn what_entered_nothing_is_where_we_are() {
        let mut habitats = Habitats::new(Runtimes::default());
        let own = surroundings::read(std::process::id());
        assert_eq!(habitats.of(&own, None), Some(habitats.own()));
        assert_eq!(habitats.of(&Whereabouts::default(), None), None);
        assert_eq!(habitats.of(&Whereabouts::default(), Some(SurroundingsId(3))), Some(SurroundingsId(3)));
        let inside = Whereabouts { namespaces: Namespaces { pid: 1, mount: 2, network: 3 }, ..own.clone() };
        let first = habitats.of(&inside, Some(habitats.own())).unwrap();
        assert_eq!(habitats.of(&inside, Some(first)), Some(first));
        assert_eq!(habitats.of(&inside, None), Some(first));
        let unit = Whereabouts { unit: Some("shop.service".into()), ..own };
        let unit = habitats.of(&unit, Some(habitats.own())).unwrap();
        let known = habitats.into_known();
        assert_eq!(known[first.0 as usize].namespaces.mount, 2);
        assert_eq!(known[unit.0 as usize].unit.as_deref(), Some("shop.service"));
    }
}
