//! Rust's libraries.

use super::{
    Holds::{Nothing, Thread},
    Row,
    What::{Batch, Cache, Client, Does, Limiter, Opens, Syncs, TempFile},
};
use crate::recording::SourceKind::{
    CacheOp, DbQuery, FileIo, GrpcCall, HttpCall, LockWait, QueueOp, Sleep, Subprocess,
};

pub(super) const ROWS: &[Row] = &[
    // HTTP
    ("reqwest.blocking.get", Does(HttpCall, Thread)),
    ("reqwest.get", Does(HttpCall, Nothing)),
    ("reqwest.blocking.Client.**.send|execute", Does(HttpCall, Thread)),
    ("reqwest.Client.**.send|execute", Does(HttpCall, Nothing)),
    ("reqwest.blocking.Client.new", Client(None)),
    ("reqwest.Client.new", Client(None)),
    ("reqwest.**.Client.builder.**.build", Client(None)),
    ("reqwest.Client.builder", super::What::Nothing),
    ("ureq.get|post|put|delete|patch|head.**.call|send*", Does(HttpCall, Thread)),
    ("ureq.agent|Agent", Client(None)),
    ("**.client|http|http_client.get|post|put|delete|patch|request.**.send", Does(HttpCall, Nothing)),
    ("hyper.**.request", Does(HttpCall, Nothing)),
    ("awc.Client.**.send", Does(HttpCall, Nothing)),
    // gRPC
    ("**.*Client.connect", Client(None)),
    ("**.*Client.connect.*", Does(GrpcCall, Nothing)),
    // Databases
    ("**.PgPool|MySqlPool|SqlitePool.connect", Client(Some(10))),
    ("**.PgPoolOptions|MySqlPoolOptions|SqlitePoolOptions.**.connect", Client(Some(10))),
    ("**.PgConnection|SqliteConnection|MysqlConnection.connect|establish", Client(None)),
    ("tokio_postgres.connect", Client(None)),
    ("**.query!|query_as!|query_scalar!.**", Does(DbQuery, Nothing)),
    ("sqlx.query|query_as|query_scalar.**.execute|fetch_one|fetch_all|fetch_optional|fetch", Does(DbQuery, Nothing)),
    ("**.fetch_one|fetch_all|fetch_optional", Does(DbQuery, Nothing)),
    ("**.load|get_result|get_results|first.conn", Does(DbQuery, Thread)),
    ("diesel.**.execute|load|get_result|get_results|first", Does(DbQuery, Thread)),
    ("rusqlite.Connection.open", Client(None)),
    ("rusqlite.**.execute|query_row|prepare|query_map|execute_batch", Does(DbQuery, Thread)),
    (
        "**.db|conn|pool|tx|client|connection.query|query_one|query_opt|query_row|execute|begin|commit",
        Does(DbQuery, Nothing),
    ),
    ("**.insert_many", Batch(DbQuery)),
    // Caches
    ("redis.Client.open", Client(None)),
    ("redis.**.get_connection|get_multiplexed_async_connection|get_async_connection", Client(None)),
    ("redis.pipe", Batch(CacheOp)),
    ("redis.**.get|set|hget|hset|incr|expire|del|exists|set_ex|query_async|query", Does(CacheOp, Nothing)),
    ("**.redis|cache|con|redis_conn.get|set|hget|hset|incr|expire|del|set_ex", Does(CacheOp, Nothing)),
    ("moka|lru|cached.**.new|builder", Cache),
    // Queues
    ("lapin.**.basic_publish|basic_consume", Does(QueueOp, Nothing)),
    ("rdkafka.**.send", Does(QueueOp, Nothing)),
    ("**.producer.send", Does(QueueOp, Nothing)),
    ("**.rx|receiver.recv", Does(QueueOp, Nothing)),
    // Files
    ("tokio.fs.**", Does(FileIo, Nothing)),
    ("async_std.fs.**", Does(FileIo, Nothing)),
    ("**.fs.read|read_to_string|write|read_dir|metadata|copy|create_dir_all|remove_file|rename", Does(FileIo, Thread)),
    ("**.File.open|create", Opens),
    ("**.OpenOptions.**.open", Opens),
    ("**.TcpStream.connect", Opens),
    ("**.sync_all|sync_data", Syncs),
    ("**.NamedTempFile.**.keep|persist", TempFile),
    ("**.File.open|create.**.read*|write*", Does(FileIo, Thread)),
    ("**.file|f.read*|write*", Does(FileIo, Thread)),
    // Locks, sleeps, processes
    ("tokio.sync.Mutex|RwLock.lock|read|write", Does(LockWait, Nothing)),
    ("std.sync.Mutex|RwLock.lock|read|write", Does(LockWait, Thread)),
    ("parking_lot.Mutex|RwLock.lock|read|write", Does(LockWait, Thread)),
    ("**.Mutex|mutex|lock.lock", Does(LockWait, Thread)),
    ("tokio.time.sleep", Does(Sleep, Nothing)),
    ("**.thread.sleep", Does(Sleep, Thread)),
    ("sleep", Does(Sleep, Nothing)),
    ("tokio.process.Command.**.output|status|spawn", Does(Subprocess, Nothing)),
    ("**.Command.**.output|status|spawn", Does(Subprocess, Thread)),
    ("tokio.sync.Semaphore.new", Limiter),
    ("**.Semaphore.new", Limiter),
    ("governor.**", Limiter),
    ("**.buffer_unordered|for_each_concurrent", Limiter),
];
