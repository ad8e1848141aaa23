//! What is shared and fought for (locks, transactions, an interpreter, CPUs), and code that computes → what to do about it, as a
//! sketch before and after in the language of the step's file.

use super::sketch::Language;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    Lock,
    Transaction,
    Interpreter,
    Cpus,
    /// Others' programs have them.
    Machine,
    Quota,
    HotCode,
    /// A program that is not the project's own code.
    HotProgram,
    Service,
}

impl Sharing {
    pub fn hint(self, function: &str) -> String {
        match self {
            Sharing::Lock => {
                format!("Hold {function}'s lock for less work, or give each part of the data a lock of its own.")
            }
            Sharing::Transaction => {
                format!("Do the work of {function} before its transaction begins, and commit at once.")
            }
            Sharing::Interpreter => format!("Let {function} compute in processes instead of threads."),
            Sharing::Cpus => {
                format!("Start no more computing work from {function} than there are CPUs, or give it more CPUs.")
            }
            Sharing::Machine => {
                format!("Let {function} run where other programs leave it the CPUs: they had most of them meanwhile.")
            }
            Sharing::Quota => "Raise the CPU quota of the cgroup, or compute less within it.".to_owned(),
            Sharing::HotCode => format!("Do less in {function}: its lines with most samples first."),
            Sharing::HotProgram => format!("Give {function} less to do, or let it work on several parts at one time."),
            Sharing::Service => format!("Ask {function} for less, or make it compute less for an answer."),
        }
    }

    pub fn sketch(self, language: Language) -> (&'static str, &'static str) {
        use Language::{Go, Java, JavaScript, Other, Python, Rust};
        match (self, language) {
            (Sharing::Lock, Python) => (
                "with lock:\n    value = work(key)\n    table[key] = value",
                "value = work(key)\nwith locks[hash(key) % len(locks)]:\n    table[key] = value",
            ),
            (Sharing::Lock, Go) => (
                "mu.Lock()\ntable[key] = work(key)\nmu.Unlock()",
                "value := work(key)\nshard := &shards[hash(key)%len(shards)]\nshard.mu.Lock()\nshard.table[key] = value\nshard.mu.Unlock()",
            ),
            (Sharing::Lock, Java) => (
                "synchronized (this) { table.put(key, work(key)); }",
                "var value = work(key);\ntable.put(key, value); // a ConcurrentHashMap: locked by parts",
            ),
            (Sharing::Lock, Rust) => (
                "let mut table = table.lock()?;\ntable.insert(key, work(key));",
                "let value = work(key);\nshards[hash(key) % shards.len()].lock()?.insert(key, value);",
            ),
            (Sharing::Lock, JavaScript | Other) => {
                ("lock; work; store; unlock", "work; lock the part that the key is in; store; unlock")
            }
            (Sharing::Transaction, Python) => (
                "connection.execute(\"BEGIN IMMEDIATE\")\nrow = work(item)\nconnection.execute(\"INSERT …\", row)\nconnection.commit()",
                "rows = [work(item) for item in items]\nconnection.execute(\"BEGIN IMMEDIATE\")\nconnection.executemany(\"INSERT …\", rows)\nconnection.commit()",
            ),
            (Sharing::Transaction, Go) => (
                "tx, _ := db.Begin()\nrow := work(item)\ntx.Exec(\"INSERT …\", row)\ntx.Commit()",
                "row := work(item)\ntx, _ := db.Begin()\ntx.Exec(\"INSERT …\", row)\ntx.Commit()",
            ),
            (Sharing::Transaction, JavaScript | Java | Rust | Other) => {
                ("BEGIN; work; INSERT …; COMMIT", "work; BEGIN; INSERT … of many rows; COMMIT")
            }
            (Sharing::Interpreter, Python) => (
                "with ThreadPoolExecutor() as pool:\n    results = list(pool.map(work, items))",
                "with ProcessPoolExecutor() as pool:\n    results = list(pool.map(work, items))",
            ),
            (Sharing::Interpreter, Go | Java | JavaScript | Rust | Other) => {
                ("threads that share one interpreter", "a process for each CPU")
            }
            (Sharing::Cpus, Python) => (
                "children = [subprocess.Popen(command(item)) for item in items]",
                "with ThreadPoolExecutor(os.process_cpu_count()) as pool:\n    list(pool.map(lambda item: subprocess.run(command(item)), items))",
            ),
            (Sharing::Cpus, Go) => (
                "for _, item := range items { go work(item) }",
                "group.SetLimit(runtime.GOMAXPROCS(0)) // errgroup.Group\nfor _, item := range items { group.Go(func() error { return work(item) }) }",
            ),
            (Sharing::Cpus, JavaScript | Java | Rust | Other) => {
                ("more threads that compute than CPUs", "as many threads that compute as CPUs")
            }
            (Sharing::Machine, Python | JavaScript | Go | Java | Rust | Other) => {
                ("beside builds, backups, other services", "at another time, or with CPUs of its own (cpuset, nice)")
            }
            (Sharing::Quota, Python | JavaScript | Go | Java | Rust | Other) => (
                "cpu.max: less than the program computes with",
                "cpu.max: as many CPUs as it computes with at one time",
            ),
            (Sharing::HotCode, Python) => (
                "for item in items:\n    total += price(item, table())",
                "known = table()\ntotal = sum(map(partial(price, table=known), items))  # or an array library's call for the loop",
            ),
            (Sharing::HotCode, JavaScript | Go | Java | Rust | Other) => {
                ("in the loop: what is the same for each turn", "before the loop, or kept from the last call")
            }
            (Sharing::HotProgram, Python | JavaScript | Go | Java | Rust | Other) => {
                ("all of the data, by one process", "what has changed; or parts of the data, a process for each CPU")
            }
            (Sharing::Service, Python | JavaScript | Go | Java | Rust | Other) => (
                "the service computes each answer anew",
                "it keeps answers, computes for several requests at once, or computes less",
            ),
        }
    }
}
