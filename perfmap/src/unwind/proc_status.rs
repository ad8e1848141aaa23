//! `/proc/PID/status` → the three numbers that opening a target's files needs. Not a general reader.

/// Who a process is, as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Effective user id, in our user namespace.
    pub user: Option<u32>,
    /// Its pid in the innermost PID namespace that it is in.
    pub inner_pid: Option<u32>,
}

pub fn read(pid: u32) -> Status {
    std::fs::read_to_string(format!("/proc/{pid}/status")).map(|text| parse(&text)).unwrap_or_default()
}

fn parse(text: &str) -> Status {
    let field = |name: &str, index: Option<usize>| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut words = line.split_ascii_whitespace();
        let word = match index {
            Some(index) => words.nth(index),
            None => words.next_back(),
        };
        word?.parse().ok()
    };
    Status { user: field("Uid:", Some(1)), inner_pid: field("NSpid:", None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_effective_user_and_the_innermost_pid() {
        let text = "Name:\tx\nUid:\t1000\t1001\t1000\t1000\nNSpid:\t4711\t12\t1\n";
        assert_eq!(parse(text), Status { user: Some(1001), inner_pid: Some(1) });
        assert_eq!(parse("Uid:\nNSpid:"), Status::default());
    }

    #[test]
    fn reads_our_own() {
        assert_eq!(read(std::process::id()).user, Some(nix::unistd::geteuid().as_raw()));
    }
}
