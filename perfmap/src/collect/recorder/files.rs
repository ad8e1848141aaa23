//! Sums of file I/O with the file that they were on; what was opened, made, closed and left.

use perfmap_common as wire;

use super::Recorder;
use crate::{
    collect::{decode::RawStack, opened::By},
    recording::{Event, FileIo, FileOperation, Unread},
};

impl Recorder {
    pub(super) fn file_io(&mut self, io: &wire::FileIo, raw: Option<&RawStack<'_>>) {
        let Some(task) = self.tree.task(io.header.tid) else { return self.unknown_task() };
        if let Some(raw) = raw {
            let stack = self.stack(&io.header, raw);
            self.sites.insert(io.site, stack);
        }
        let file = self.opened.file(io.device, io.inode, io.size);
        self.event(Event::FileIo(FileIo {
            task,
            operation: if io.operation == 0 { FileOperation::Read } else { FileOperation::Write },
            first: self.at(io.first),
            last: self.at(io.header.at),
            calls: io.calls,
            bytes: io.bytes,
            stack: self.sites.get(&io.site).copied(),
            file,
        }));
    }

    pub(super) fn opened(&mut self, opened: &wire::Opened, raw: Option<&RawStack<'_>>, path: &[u8]) {
        let header = &opened.header;
        if let Some(raw) = raw {
            let stack = self.stack(header, raw);
            self.sites.insert(opened.site, stack);
        }
        if opened.flags & wire::OPENED_NAMED != 0
            && let Some(file) = self.opened.file(opened.device, opened.inode, opened.size)
        {
            self.opened.named(file, path);
        }
        if opened.flags & wire::OPENED_CREATED != 0 {
            let Some(by) = self.by(header, opened.site) else { return self.unknown_task() };
            let place = self.tree.surroundings(header.pid).and_then(|id| self.habitats.known(id));
            let own = self.habitats.known(self.habitats.own());
            let foreign =
                place.is_none_or(|place| own.is_none_or(|own| own.namespaces.mount != place.namespaces.mount));
            self.opened.created(by, path, foreign);
        }
    }

    pub(super) fn closed(&mut self, closed: &wire::Closed) {
        let Some(by) = self.by(&closed.header, closed.site) else { return self.unknown_task() };
        let (from, to) = (self.at(closed.since), self.at(closed.header.at));
        self.opened.closed(by, closed, from, to);
    }

    pub(super) fn unread(&mut self, unread: &wire::Unread) {
        let Some(task) = self.tree.task(unread.header.tid) else { return self.unknown_task() };
        // One that was never read from or written to is not known.
        if let Some(socket) = self.sockets.with_cookie(unread.socket) {
            let at = self.at(unread.header.at);
            self.opened.unread(Unread { at, task, socket, bytes: unread.bytes });
        }
    }

    fn by(&self, header: &wire::Header, site: u64) -> Option<By> {
        let (process, task) = (self.tree.process(header.pid)?, self.tree.task(header.tid)?);
        Some(By { process, task, site, stack: self.sites.get(&site).copied() })
    }
}
