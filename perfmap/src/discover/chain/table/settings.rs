//! Where the source sets how many or how long: names of arguments and of setters, and the rule that asks about them.

/// A number that bounds connections at once.
const POOLS: &[&str] = &[
    "pool_size",
    "max_overflow",
    "max_connections",
    "maxconn",
    "maxsize",
    "max_size",
    "pool_maxsize",
    "pool_connections",
    "max_keepalive_connections",
    "limit_per_host",
    "connectionLimit",
    "maxSockets",
    "maxPoolSize",
    "poolSize",
    "MaxOpenConns",
    "MaxIdleConns",
    "MaxConnsPerHost",
    "MaxIdleConnsPerHost",
    "PoolSize",
    "MaxConns",
    "MaxConnectionsPerServer",
];
/// Names that say it only on a pool.
const POOLS_ON_A_POOL: &[&str] = &["max", "limit", "size", "min"];
const POOL_SETTERS: &[&str] = &[
    "SetMaxOpenConns",
    "SetMaxIdleConns",
    "setMaximumPoolSize",
    "max_connections",
    "pool_max_idle_per_host",
    "max_size",
    "setMaxTotal",
    "setMaxConnTotal",
    "setMaxConnPerRoute",
    "setMaxPerRoute",
    "setDefaultMaxPerRoute",
];
/// A number that bounds time or work at once.
const LIMITS: &[&str] = &[
    "timeout",
    "connect_timeout",
    "read_timeout",
    "socket_timeout",
    "pool_timeout",
    "command_timeout",
    "statement_timeout",
    "connectTimeout",
    "requestTimeout",
    "idleTimeoutMillis",
    "connectionTimeoutMillis",
    "Timeout",
    "ReadTimeout",
    "WriteTimeout",
    "DialTimeout",
    "IdleConnTimeout",
    "max_workers",
    "concurrency",
    "CommandTimeout",
];
const LIMIT_SETTERS: &[&str] = &[
    "timeout",
    "connect_timeout",
    "acquire_timeout",
    "setConnectTimeout",
    "setReadTimeout",
    "setConnectionTimeout",
    "setSoTimeout",
    "connectTimeout",
    "readTimeout",
    "SetDeadline",
    "SetConnMaxLifetime",
    "settimeout",
    "newFixedThreadPool",
    "Semaphore",
    "BoundedSemaphore",
    "SemaphoreSlim",
    "NewWeighted",
    "SetLimit",
    "ThreadPoolExecutor",
    "ProcessPoolExecutor",
    "buffer_unordered",
    "NewLimiter",
    "AsyncLimiter",
];

/// The rule of the catalogue that an argument of this name belongs to.
pub(in super::super) fn of_argument(name: &str, callee: &str) -> Option<&'static str> {
    let lower = callee.to_ascii_lowercase();
    if POOLS.contains(&name)
        || POOLS_ON_A_POOL.contains(&name) && (lower.contains("pool") || lower.contains("connector"))
    {
        Some("pool_exhaustion")
    } else if LIMITS.contains(&name) {
        Some("default_limit_reached")
    } else {
        None
    }
}

/// The same for a call whose first argument is the number.
pub(in super::super) fn of_setter(name: &str) -> Option<&'static str> {
    if POOL_SETTERS.contains(&name) {
        Some("pool_exhaustion")
    } else if LIMIT_SETTERS.contains(&name) {
        Some("default_limit_reached")
    } else {
        None
    }
}
