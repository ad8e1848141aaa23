//! Category and language → what to do about it, with a sketch before and after.

use super::types::{Category, Resource, WorkerKind};
use crate::analyze::suspicions::{Change, CodeLanguage as Language, Sharing};

pub(super) fn change(
    category: Category,
    kind: WorkerKind,
    workers: u64,
    file: Option<&str>,
    resource: Option<&Resource>,
) -> Option<Change> {
    let language = file.map_or(Language::Other, Language::of);
    let place = resource.and_then(|one| one.waiting.as_ref()).map_or("the step", |side| side.function.as_str());
    let hint = match category {
        Category::LockContention => {
            format!("Hold the lock of {place} for less, or for many items at once; or give each shard one of its own.")
        }
        Category::DatabaseWriteLock => {
            format!("Let {place} write many items in one transaction, and do nothing else while it is open.")
        }
        Category::PoolExhaustion if resource.is_some_and(|one| one.emptied) => {
            let by =
                resource.and_then(|one| one.holding.as_ref()).map_or("who empties it", |side| side.function.as_str());
            format!("Let {by} take many from the queue at once, or several do it; a longer queue fills up as well.")
        }
        Category::PoolExhaustion => {
            let places = resource.and_then(|one| one.places).map_or(String::new(), |places| format!(" of {places}"));
            format!("Give {place} a pool of {} places instead{places}: twice the workers.", workers.saturating_mul(2))
        }
        Category::RateLimiting => {
            format!("Ask for less in {place}: many items to a request, or a higher limit; more workers do not help.")
        }
        Category::GilContention => format!("Compute {place} in processes instead of threads."),
        Category::CpuContention => "Use no more workers than there are CPU cores, or more cores.".into(),
        Category::CpuThrottling => "Raise the CPU quota of the cgroup, or use fewer workers.".into(),
        Category::DiskContention => format!("Write in {place} less often and in larger pieces."),
        Category::SaturatedPeer => {
            let name = resource.map_or("the peer", |one| one.name.as_str());
            format!("Run {name} in several processes, or let it do less for each request.")
        }
        Category::Imbalance => "Hand out the items one by one from a common queue, the longest first.".into(),
        Category::Starvation => "Let whoever hands out the items do it faster, or ahead of time.".into(),
        Category::None => return None,
    };
    let (before, after) = match resource.is_some_and(|one| one.emptied && one.category == category) {
        true => emptying(language),
        false => sketch(category, kind, language),
    };
    Some(Change { hint, before: before.into(), after: after.into(), ungained: None })
}

fn emptying(language: Language) -> (&'static str, &'static str) {
    use Language::{Go, Java, JavaScript, Other, Python, Rust};
    match language {
        Python => (
            "while True:\n    save(queue.get())",
            "while True:\n    batch = [queue.get()]\n    while not queue.empty() and len(batch) < 100:\n        batch.append(queue.get())\n    save_all(batch)",
        ),
        Go => (
            "go func() { for item := range items { save(item) } }()",
            "for i := 0; i < writers; i++ {\n\tgo func() { for item := range items { save(item) } }()\n}",
        ),
        Rust | Java | JavaScript | Other => (
            "one takes item after item and saves it",
            "several take from the queue, or one takes many and saves them at once",
        ),
    }
}

fn sketch(category: Category, kind: WorkerKind, language: Language) -> (&'static str, &'static str) {
    use Language::{Go, Java, JavaScript, Other, Python, Rust};
    match (category, language) {
        (Category::LockContention, Python) => (
            "for item in items:\n    with lock:\n        write(item)",
            "batch.append(item)\nif len(batch) >= 10:\n    with lock:\n        write_all(batch)\n    batch.clear()",
        ),
        (Category::LockContention, Rust) => (
            "let mut all = shared.lock().unwrap();\nall.insert(key, compute(item));",
            "let value = compute(item); // outside of the lock\nshards[hash(&key) % shards.len()].lock().unwrap().insert(key, value);",
        ),
        (Category::LockContention, Go) => (
            "mu.Lock()\nall[key] = compute(item)\nmu.Unlock()",
            "value := compute(item) // outside of the lock\nshard := &shards[hash(key)%len(shards)]\nshard.mu.Lock()\nshard.all[key] = value\nshard.mu.Unlock()",
        ),
        (Category::LockContention, Java) => (
            "synchronized (all) { all.put(key, compute(item)); }",
            "var value = compute(item); // outside of the lock\nconcurrentMap.put(key, value); // ConcurrentHashMap",
        ),
        (Category::LockContention, JavaScript | Other) => {
            ("for each item: lock, write, unlock", "collect items; for each ten: lock, write all, unlock")
        }
        (Category::DatabaseWriteLock, Python) => (
            "for item in items:\n    with connection:  # a transaction for each\n        connection.execute(\"INSERT …\", item)",
            "with connection:  # one transaction for many\n    connection.executemany(\"INSERT …\", batch)",
        ),
        (Category::DatabaseWriteLock, JavaScript) => (
            "for (const item of items) await db.query('INSERT …', item)",
            "await db.query('INSERT … SELECT * FROM unnest($1::int[], $2::text[])', [ids, values])",
        ),
        (Category::DatabaseWriteLock, Go | Java | Rust | Other) => {
            ("for each item: BEGIN; INSERT …; COMMIT", "for many items: BEGIN; INSERT … of all; COMMIT")
        }
        (Category::PoolExhaustion, Python) => (
            "engine = create_engine(url)  # 5 places, 10 more for a while\nwith ThreadPoolExecutor(64) as workers: …",
            "engine = create_engine(url, pool_size=128, max_overflow=0)\nwith ThreadPoolExecutor(64) as workers: …",
        ),
        (Category::PoolExhaustion, JavaScript) => {
            ("new Pool({ max: 2 }) // 50 in flight", "new Pool({ max: 100 }) // 50 in flight")
        }
        (Category::PoolExhaustion, Go) => ("db.SetMaxOpenConns(4)", "db.SetMaxOpenConns(2 * workers)"),
        (Category::PoolExhaustion, Java) => {
            ("config.setMaximumPoolSize(4);", "config.setMaximumPoolSize(2 * workers);")
        }
        (Category::PoolExhaustion, Rust | Other) => {
            ("a pool of fewer places than workers", "a pool of twice as many places as workers, or fewer workers")
        }
        (Category::RateLimiting, Python) => (
            "for item in items:\n    limiter.acquire()\n    fetch(item)",
            "for some in batches(items, 50):\n    limiter.acquire()\n    fetch_all(some)",
        ),
        (Category::RateLimiting, JavaScript | Go | Java | Rust | Other) => {
            ("a request for each item", "a request for many items")
        }
        (Category::GilContention, language) => Sharing::Interpreter.sketch(language),
        (Category::CpuContention, Python) => ("Pool(64)", "Pool(os.cpu_count())"),
        (Category::CpuContention, language) => Sharing::Cpus.sketch(language),
        (Category::CpuThrottling, language) => Sharing::Quota.sketch(language),
        (Category::DiskContention, _) => ("for each item: write, sync", "write many items, sync once"),
        (Category::SaturatedPeer, Python) => ("uvicorn app:app", "uvicorn app:app --workers 4"),
        (Category::SaturatedPeer, JavaScript) => (
            "http.createServer(handler).listen(port)",
            "if (cluster.isPrimary) for (const _ of cpus()) cluster.fork()\nelse http.createServer(handler).listen(port)",
        ),
        (Category::SaturatedPeer, Go | Java | Rust | Other) => {
            ("one process answers all", "several processes behind one port")
        }
        (Category::Imbalance, Python) => match kind {
            WorkerKind::Processes | WorkerKind::Slots => {
                ("pool.map(work, items)  # split beforehand", "pool.imap_unordered(work, items, chunksize=1)")
            }
            WorkerKind::Threads | WorkerKind::Coroutines => {
                ("parts = split(items, workers)  # beforehand", "queue = Queue(); …  # each worker takes the next item")
            }
        },
        (Category::Imbalance, JavaScript | Go | Java | Rust | Other) => {
            ("each worker has its part of the items", "each worker takes the next item from a common queue")
        }
        (Category::Starvation, _) => {
            ("read an item, hand it out, read the next", "read ahead into a bounded queue, from several readers")
        }
        (Category::None, _) => ("", ""),
    }
}
