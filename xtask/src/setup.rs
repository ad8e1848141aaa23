//! What the tests need and this machine lacks → installed, after saying so. Debian and Ubuntu packages by apt; Python tools
//! from PyPI into `target/tools`, never into the system's Python.

use crate::shell::{as_root, in_path, must, output_of, root, tools_venv};
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    Ebpf,
    Tests,
}

/// How to see that a package is there.
enum Sign {
    Program(&'static str),
    File(&'static str),
}

struct Need {
    package: &'static str,
    sign: Sign,
    what_for: &'static str,
    ebpf: bool,
}

const fn need(package: &'static str, sign: Sign, what_for: &'static str, ebpf: bool) -> Need {
    Need { package, sign, what_for, ebpf }
}

/// One row a package.
const NEEDS: &[Need] = &[
    need("clang-14", Sign::Program("clang-14"), "compiles the BPF programs", true),
    need("llvm-14", Sign::Program("llvm-strip-14"), "strips their debug sections", true),
    need("libelf-dev", Sign::File("/usr/include/libelf.h"), "libbpf, which links the BPF objects", true),
    need("zlib1g-dev", Sign::File("/usr/include/zlib.h"), "libbpf, which links the BPF objects", true),
    need("libbpf-dev", Sign::File("/usr/include/bpf/bpf_helpers.h"), "headers of the BPF programs", true),
    need("gcc", Sign::Program("gcc"), "libbpf; the C workloads", true),
    need("make", Sign::Program("make"), "libbpf", true),
    need("pkg-config", Sign::Program("pkg-config"), "libbpf", true),
    need("python3", Sign::Program("python3"), "the Python workloads", false),
    need("python3-venv", Sign::File("/usr/lib/python3/dist-packages/pip-whl"), "virtual environments", false),
    need("curl", Sign::Program("curl"), "a workload follows redirects with it", false),
    need("wget", Sign::Program("wget"), "a workload asks through GnuTLS with it", false),
    need("openssl", Sign::Program("openssl"), "a workload makes its certificate with it", false),
    need("nginx-light", Sign::Program("nginx"), "a workload has it as a proxy", false),
    need("wrk", Sign::Program("wrk"), "puts a server under load in the benchmark", false),
    need("bpftool", Sign::Program("bpftool"), "shows that nothing of ours stays in the kernel", false),
    need("runc", Sign::Program("runc"), "runs containers in a live test", false),
    need("qemu-system-x86", Sign::Program("qemu-system-x86_64"), "runs other kernels", false),
    need("busybox-static", Sign::Program("busybox"), "the first process on other kernels", false),
    need("iproute2", Sign::Program("ip"), "makes network namespaces in live tests", false),
    need("nftables", Sign::Program("nft"), "translates addresses in a live test", false),
    need("postgresql", Sign::File("/usr/lib/postgresql"), "a database for the workloads", false),
    // The core packages: no service of theirs is started.
    need("mariadb-server-core", Sign::File("/usr/sbin/mariadbd"), "a database for the workloads", false),
    need("redis-server", Sign::Program("redis-server"), "a cache for the workloads", false),
    need("memcached", Sign::Program("memcached"), "a cache for the workloads", false),
    need("golang-go", Sign::Program("go"), "builds the Go workloads", false),
    need(
        "golang-google-grpc-dev",
        Sign::File("/usr/share/gocode/src/google.golang.org/grpc/server.go"),
        "gRPC for Go",
        false,
    ),
    need("openjdk-17-jdk-headless", Sign::Program("javac"), "compiles and runs the Java workload", false),
    need("libnetty-java", Sign::File("/usr/share/java/netty-transport.jar"), "an event loop of Java", false),
    need("maven", Sign::Program("mvn"), "an ordinary program: a Maven test", false),
    need(
        "libsurefire-java",
        Sign::File("/usr/share/maven-repo/org/apache/maven/plugins/maven-surefire-plugin"),
        "Maven's tests without a network",
        false,
    ),
    need(
        "libmaven-compiler-plugin-java",
        Sign::File("/usr/share/maven-repo/org/apache/maven/plugins/maven-compiler-plugin"),
        "Maven's compiler without a network",
        false,
    ),
    need(
        "libmaven-resources-plugin-java",
        Sign::File("/usr/share/maven-repo/org/apache/maven/plugins/maven-resources-plugin"),
        "what Maven asks for besides",
        false,
    ),
    need("junit4", Sign::File("/usr/share/java/junit4.jar"), "the library of a Maven test", false),
    need("socat", Sign::Program("socat"), "a proxy that only copies bytes", false),
    need("util-linux", Sign::Program("setpriv"), "runs perfmap without privilege", false),
];

/// From PyPI: pinned, as the workloads' own requirements are.
const PYTHON_TOOLS: &[(&str, &str, &str)] = &[
    ("uv", "uv==0.13.9", "the example runs under `uv run`"),
    ("yaml", "PyYAML==6.0.2", "check.py reads maps"),
    ("line_profiler", "line_profiler==5.1.0", "lines that are timed in the program"),
];

pub const CARGO_DENY: &str = "0.20.2";

/// clang and the rest where only the object is built; everything where the tests run.
pub fn setup(purpose: For) -> Result<()> {
    let missing: Vec<&Need> =
        NEEDS.iter().filter(|need| purpose == For::Tests || need.ebpf).filter(|need| !there(need)).collect();
    if !missing.is_empty() {
        eprintln!("will install with apt-get:");
        for need in &missing {
            eprintln!("  {:<14} {}", need.package, need.what_for);
        }
        apt(&missing)?;
    }
    if purpose == For::Tests {
        python_tools()?;
        cargo_deny()?;
    }
    Ok(())
}

fn there(need: &Need) -> bool {
    match need.sign {
        Sign::Program(name) => in_path(name),
        // Ubuntu and Debian name the directory of ensurepip's wheels differently; python says it itself.
        Sign::File(path) if need.package == "python3-venv" => {
            Path::new(path).exists() || output_of("python3", &["-c", "import ensurepip, venv"]).is_some()
        }
        Sign::File(path) => Path::new(path).exists(),
    }
}

fn apt(missing: &[&Need]) -> Result<()> {
    if !in_path("apt-get") {
        let names: Vec<&str> = missing.iter().map(|need| need.package).collect();
        bail!("no apt-get here: install what your system calls {}", names.join(", "));
    }
    let apt = Path::new("apt-get");
    must(as_root(apt).args(["update", "-q"]))?;
    let mut install = as_root(Path::new("env"));
    install.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends"]);
    install.args(missing.iter().map(|need| need.package));
    must(&mut install).context("install packages (clang-14 is in Debian 12 and Ubuntu 22.04 and 24.04)")
}

fn python_tools() -> Result<()> {
    let venv = tools_venv();
    let python = venv.join("bin/python");
    let lacks = |marker: &str| {
        let found = match marker {
            "uv" => venv.join("bin/uv").is_file(),
            module => output_of(&python.to_string_lossy(), &["-c", &format!("import {module}")]).is_some(),
        };
        !found
    };
    let missing: Vec<_> = PYTHON_TOOLS.iter().filter(|(marker, _, _)| lacks(marker)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("will install from PyPI into {}:", venv.display());
    for (_, package, what_for) in &missing {
        eprintln!("  {package:<14} {what_for}");
    }
    if !python.is_file() {
        must(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check"]);
    must(pip.args(missing.iter().map(|(_, package, _)| package)))
}

/// Where `cargo install` puts programs.
pub fn cargo_bin(program: &str) -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    home.unwrap_or_else(root).join("bin").join(program)
}

fn cargo_deny() -> Result<()> {
    let program = cargo_bin("cargo-deny");
    let version = output_of(&program.to_string_lossy(), &["--version"]).unwrap_or_default();
    if version.ends_with(CARGO_DENY) {
        return Ok(());
    }
    eprintln!("will install with cargo (some minutes, once): cargo-deny {CARGO_DENY}, checks licences and bans");
    must(crate::shell::cargo().args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY]))
}
