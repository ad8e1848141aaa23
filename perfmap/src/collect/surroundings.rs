//! /proc/PID/ns and /proc/PID/cgroup → namespaces, systemd unit and container id of a process. The names of control
//! groups are bytes that a container's root may have chosen: they are bounded and checked before they are used.

use std::{fs::File, io::Read};

use crate::recording::Namespaces;

/// A v1 system has some twelve lines, each with one path.
const GROUP_BYTES: u64 = 16 << 10;
const NAME_BYTES: usize = 128;
const RUNTIMES: [&str; 6] =
    ["containerd.service", "docker.service", "crio.service", "kubelet.service", "k3s.service", "podman.service"];

/// What tells one process's surroundings from another's, as read at its execve.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Whereabouts {
    pub namespaces: Namespaces,
    pub unit: Option<String>,
    pub container: Option<String>,
}

pub fn read(pid: u32) -> Whereabouts {
    let inode = |name: &str| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        link.and_then(|link| namespace(link.to_str()?)).unwrap_or(0)
    };
    let namespaces = Namespaces { pid: inode("pid"), mount: inode("mnt"), network: inode("net") };
    let mut groups = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/cgroup")) {
        let _ = file.take(GROUP_BYTES).read_to_end(&mut groups); // a process that ends midway leaves what was read
    }
    let groups = String::from_utf8_lossy(&groups);
    let mut paths: Vec<&str> = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    // systemd's own hierarchy (or the only one) has unit and container; the longest path knows most.
    paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
    let container = paths.iter().find_map(|path| container(path));
    // What started a container is not what runs in it.
    let unit = paths
        .iter()
        .find_map(|path| unit(path))
        .filter(|unit| container.is_none() || !RUNTIMES.contains(&unit.as_str()));
    Whereabouts { namespaces, unit, container }
}

/// `net:[4026531840]`
fn namespace(link: &str) -> Option<u32> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// The innermost service of a control group's path. The manager of a user's session is not what runs in it.
fn unit(path: &str) -> Option<String> {
    let is_service = |part: &&str| part.ends_with(".service") && part.len() <= NAME_BYTES && !part.starts_with("user@");
    path.rsplit('/').find(is_service).map(unescaped).filter(|unit| is_name(unit))
}

/// systemd writes bytes that a file name may not have as `\xNN`.
fn unescaped(part: &str) -> String {
    part.replace("\\x2d", "-").replace("\\x40", "@").replace("\\x5f", "_")
}

/// The container that a control group's path belongs to: docker's, containerd's, CRI-O's, podman's and LXC's ways of
/// naming it.
fn container(path: &str) -> Option<String> {
    path.rsplit('/').filter(|part| part.len() <= NAME_BYTES).find_map(|part| {
        if let Some(id) = part.strip_prefix("lxc.payload.").or_else(|| part.strip_prefix("machine-")) {
            let id = unescaped(id.strip_suffix(".scope").unwrap_or(id));
            return is_name(&id).then_some(id);
        }
        // `docker-<id>.scope`, `cri-containerd-<id>.scope`, `cri-containerd:<id>`, `<id>`.
        let part = part.strip_suffix(".scope").unwrap_or(part);
        let id = part.rsplit(['-', ':']).next().unwrap_or(part);
        is_long_id(id).then(|| id.to_owned())
    })
}

fn is_long_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Fit to be part of a path: no separators, nothing hidden, nothing that leads upwards.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-@:+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "4c01db0b339c4b0f4b0f4c01db0b339c4c01db0b339c4b0f4b0f4c01db0b339c";

    #[test]
    fn control_groups_name_units_and_containers() {
        for (path, unit_name, container_id) in [
            ("/system.slice/nginx.service", Some("nginx.service"), None),
            ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service"), None),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service", Some("shop.service"), None),
            ("/user.slice/user-1000.slice/user@1000.service/init.scope", None, None),
            ("/user.slice/user-1000.slice/session-3.scope", None, None),
            (&format!("/system.slice/docker-{ID}.scope"), None, Some(ID)),
            (&format!("/docker/{ID}"), None, Some(ID)),
            (&format!("/docker/{ID}/init.scope"), None, Some(ID)),
            (&format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"), None, Some(ID)),
            (&format!("/kubepods/burstable/pod7f/{ID}"), None, Some(ID)),
            (
                &format!("/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:{ID}"),
                Some("containerd.service"),
                Some(ID),
            ),
            (&format!("/machine.slice/libpod-{ID}.scope/container"), None, Some(ID)),
            ("/lxc.payload.web1/system.slice", None, Some("web1")),
            ("/machine.slice/machine-my\\x2dbox.scope", None, Some("my-box")),
            ("/docker/../../etc", None, None),
            ("/lxc.payload...", None, None),
            ("/", None, None),
        ] {
            assert_eq!(unit(path).as_deref(), unit_name, "{path}");
            assert_eq!(container(path).as_deref(), container_id, "{path}");
        }
    }

    #[test]
    fn reads_our_own_and_nothing_of_the_dead() {
        let own = read(std::process::id()).namespaces;
        assert!(own.pid != 0 && own.mount != 0 && own.network != 0);
        assert_eq!(read(u32::MAX), Whereabouts::default());
        assert_eq!(namespace("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(namespace("net:[]"), None);
    }

    proptest! {
        #[test]
        fn what_is_found_is_fit_to_be_a_file_name(path in "[ -~]{0,200}") {
            for found in [unit(&path), container(&path)].into_iter().flatten() {
                prop_assert!(is_name(&found) && !found.contains('/'));
            }
        }
    }
}
