//! A request → the handler in this repository that answers it, where there is one.

use super::{
    super::{
        facts::Call,
        index::At,
        url::{self, Url},
    },
    Around, Follower, MOST_SERVICES,
    effect::method_of,
};
use crate::recording::{SourceKind, SourceStep};

enum Peer {
    Service(usize),
    /// Only the route can say: the host is put in at run time, or is this machine.
    Unknown,
    Foreign,
}

impl Follower<'_> {
    pub(super) fn remote(&mut self, at: At, call: &Call, url: &Url, id: &str, around: Around) {
        let service = match self.peer(url) {
            Peer::Service(service) => Some(service),
            Peer::Unknown => None,
            // Its code is not here; that it is called is in the chain.
            Peer::Foreign => return,
        };
        let method = method_of(call);
        let route = self.index.route(method.as_deref(), &url.path, service).cloned();
        let Some(route) = route else {
            let whose = service.and_then(|service| self.index.services.get(service));
            match whose {
                Some(whose) => {
                    let why = format!("service {} has no route {}", whose.name, url.path);
                    self.unresolved_at(at, call, &why);
                }
                None => self.unresolved_at(at, call, &format!("no route {} in this repository", url.path)),
            }
            return;
        };
        if service.is_none() && self.several(method.as_deref(), &url.path) {
            self.unresolved_at(at, call, &format!("several services have a route {}", url.path));
            return;
        }
        if around.services >= MOST_SERVICES {
            self.unresolved_at(at, call, &format!("truncated after {MOST_SERVICES} services"));
            return;
        }
        let to = route.handler;
        let child = format!("{id}.1");
        let line = self.index.function(to).map_or(1, |function| function.line);
        self.out.chain.push(SourceStep {
            id: child.clone(),
            function: self.name_of(to),
            file: self.path_of(to.file),
            line,
            service: self.index.service_name(to.file),
            kind: SourceKind::FunctionCall,
            target: Some(route.shown()),
            in_loop: false,
            awaited: false,
        });
        let together = call.concurrent || self.later(at, call);
        let around = Around {
            depth: 0,
            services: around.services + 1,
            repeated: around.repeated || call.in_loop && !together,
            concurrent: around.concurrent || together,
            on_loop: false,
            elsewhere: false,
        };
        self.descend(at, call, to, &child, around);
    }

    fn peer(&self, url: &Url) -> Peer {
        let services = &self.index.services;
        let local =
            |host: &str| matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "testserver" | "test");
        let by_port = || {
            let port = url.port?;
            let mut with = services.iter().enumerate().filter(|(_, service)| service.ports.contains(&port));
            let first = with.next().map(|(at, _)| at);
            if with.next().is_none() { first } else { None }
        };
        match url.host.as_deref() {
            Some(host) if !local(host) => {
                // `jobs`, `jobs.default.svc.cluster.local`
                let label = host.split('.').next().unwrap_or(host);
                let inside = host == label || host.ends_with(".local") || host.ends_with(".internal");
                let named = services.iter().position(|service| {
                    let name = service.name.to_ascii_lowercase();
                    name == host || inside && name == label
                });
                named.map_or(Peer::Foreign, Peer::Service)
            }
            Some(_) | None => by_port().map_or(Peer::Unknown, Peer::Service),
        }
    }

    /// More than one service serves it equally well.
    fn several(&self, method: Option<&str>, path: &str) -> bool {
        let mut services: Vec<_> = self
            .index
            .routes
            .iter()
            .filter(|route| url::fits(&route.path, path))
            .filter(|route| route.method.is_none() || method.is_none() || route.method.as_deref() == method)
            .map(|route| route.service)
            .collect();
        services.sort_unstable();
        services.dedup();
        services.len() > 1
    }
}
