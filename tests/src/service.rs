//! A service of `tests/workloads/w36_peers` that runs before perfmap does.

use crate::{places, trace::until, workload};
use anyhow::{Context, Result, ensure};
use std::process::{Child, Command, Stdio};

/// A service that a test starts by itself; it ends with this value.
#[derive(Debug)]
pub struct Service {
    pub child: Child,
    pub port: String,
    _dir: tempfile::TempDir,
}

impl Service {
    /// `w36_peers/server.py`.
    pub fn python(name: &str, words: &[&str]) -> Result<Self> {
        Self::start(&["python3", "server.py"], name, words)
    }

    /// `w36_peers/server.c`.
    pub fn native(name: &str) -> Result<Self> {
        Self::start(&["bin/server"], name, &[])
    }

    fn start(program: &[&str], name: &str, words: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory for the port")?;
        let file = dir.path().join("port");
        let mut command = Command::new(program.first().context("a program")?);
        command.args(&program[1..]).arg(name).arg(&file).args(words).current_dir(workload::ready("w36_peers")?);
        command.env("PATH", places::path()?).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("start {program:?}"))?;
        let mut service = Self { child, port: String::new(), _dir: dir };
        until("the service listens", || file.exists())?;
        service.port = std::fs::read_to_string(&file).context("read the port")?;
        Ok(service)
    }

    /// One request from the test itself.
    pub fn ask(&self, path: &str) -> Result<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port.parse()?)).context("connect")?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").context("ask")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("read the answer")?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        Ok(answer)
    }

    /// It runs, and answers.
    pub fn unharmed(&mut self) -> Result<()> {
        ensure!(self.child.try_wait().context("look at the service")?.is_none(), "the service has ended");
        self.ask("/hello").map(drop)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
