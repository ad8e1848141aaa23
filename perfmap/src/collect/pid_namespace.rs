//! Whose process numbers perfmap lives with: the machine's, or those of a PID namespace of its own, which the kernel side is
//! then told to use.

/// PROC_PID_INIT_INO of include/linux/proc_ns.h
const INITIAL: u32 = 0xefff_fffc;

/// For the kernel side: the namespace's number; 0 where it is the machine's own.
pub fn setting() -> u32 {
    let number = super::surroundings::read(std::process::id()).namespaces.pid;
    if number == INITIAL { 0 } else { number }
}

/// /proc is of another namespace: what it tells of a number is not what we mean by it.
pub fn is_proc_foreign() -> bool {
    let own = std::fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse::<u32>().ok());
    own != Some(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_run_where_proc_is_their_own() {
        assert!(!is_proc_foreign());
        let link = std::fs::read_link("/proc/self/ns/pid").expect("a link");
        let initial = link.to_str() == Some(&format!("pid:[{INITIAL}]"));
        assert_eq!(setting() == 0, initial, "{link:?}");
    }
}
