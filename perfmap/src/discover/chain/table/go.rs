//! Go's libraries. Goroutines wait without holding a thread, so nothing here blocks a loop.

use super::{
    Holds::Thread,
    Row,
    What::{Batch, Cache, Client, Does, Limiter, Opens, Syncs, TempFile},
};
use crate::recording::SourceKind::{
    CacheOp, DbQuery, FileIo, GrpcCall, HttpCall, LockWait, QueueOp, Sleep, Subprocess,
};

pub(super) const ROWS: &[Row] = &[
    // HTTP
    ("http.Get|Post|PostForm|Head", Does(HttpCall, Thread)),
    ("http.NewRequest|NewRequestWithContext", super::What::Nothing),
    ("http.Client|Transport", Client(Some(2))),
    ("http.**.Do|Get|Post|PostForm|Head|RoundTrip", Does(HttpCall, Thread)),
    ("resty.New", Client(None)),
    ("resty.**.Get|Post|Put|Delete|Patch|Execute", Does(HttpCall, Thread)),
    ("**.client|httpClient|http.Do", Does(HttpCall, Thread)),
    // gRPC
    ("grpc.Dial|DialContext|NewClient", Client(None)),
    ("*pb|pb.New*Client.*", Does(GrpcCall, Thread)),
    // Databases
    ("sql|sqlx|gorm|pgx|pgxpool|mongo.Open|Connect|New|NewWithConfig|MustConnect", Client(None)),
    ("**.SendBatch|CopyFrom|CreateInBatches|InsertMany|BulkWrite", Batch(DbQuery)),
    (
        "sql|sqlx|gorm|pgx|pgxpool|mongo.**.Query|QueryRow|Exec|QueryContext|QueryRowContext|ExecContext|Get|Select|NamedExec|Begin|BeginTx|Commit|Find|FindOne|First|Create|Save|Where|Take|Count|Update|Updates|Delete|InsertOne|UpdateOne|DeleteOne|Aggregate|Raw|Preload|Queryx",
        Does(DbQuery, Thread),
    ),
    (
        "**.db|DB|tx|conn|pool|database.Query|QueryRow|Exec|QueryContext|QueryRowContext|ExecContext|Select|Get|NamedExec|Begin|BeginTx|Find|First|Create|Save|Where|Raw|Queryx",
        Does(DbQuery, Thread),
    ),
    ("**.db|DB|tx.**.Find|First|Create|Save|Take|Count|Updates|Delete", Does(DbQuery, Thread)),
    ("**.collection|coll.FindOne|Find|InsertOne|UpdateOne|DeleteOne|Aggregate", Does(DbQuery, Thread)),
    // Caches
    ("redis.NewClient|NewClusterClient", Client(None)),
    ("redis.**.MGet|MSet|Pipeline|Pipelined|TxPipeline", Batch(CacheOp)),
    ("**.rdb|redis|cache.MGet|MSet|Pipeline|Pipelined", Batch(CacheOp)),
    (
        "redis.**.Get|Set|HGet|HSet|HGetAll|Incr|Expire|Del|Exists|LPush|RPush|SAdd|ZAdd|Publish|Do|SetEX|SetNX|Result|Val|Err",
        Does(CacheOp, Thread),
    ),
    ("**.rdb|redis|redisClient|cache|memcache.Get|Set|HGet|HSet|HGetAll|Incr|Expire|Del|Exists", Does(CacheOp, Thread)),
    ("lru|bigcache|ristretto|gocache.New|NewCache", Cache),
    // Queues
    ("amqp.Dial", Client(None)),
    ("kafka.NewWriter|NewReader", Client(None)),
    ("**.PublishWithContext|WriteMessages|ReadMessage|FetchMessage|SendMessage|ReceiveMessage", Does(QueueOp, Thread)),
    ("amqp|nats|sarama.**.Publish|Consume|Request", Does(QueueOp, Thread)),
    // Files
    ("os.Open|Create|OpenFile", Opens),
    ("net.Dial|DialTimeout", Opens),
    ("os.CreateTemp|MkdirTemp", TempFile),
    ("ioutil.TempFile|TempDir", TempFile),
    ("os.ReadFile|WriteFile|ReadDir|Stat|Remove|Rename|MkdirAll", Does(FileIo, Thread)),
    ("ioutil.ReadFile|WriteFile|ReadDir", Does(FileIo, Thread)),
    ("os.**.Sync", Syncs),
    ("**.f|file.Sync", Syncs),
    ("os.Open|Create|OpenFile.Read|Write|WriteString|ReadAt|WriteAt|Seek", Does(FileIo, Thread)),
    ("**.f|file.Read|Write|WriteString|ReadAt|WriteAt", Does(FileIo, Thread)),
    ("filepath.Walk|WalkDir|Glob", Does(FileIo, Thread)),
    // Locks, sleeps, processes
    ("sync.**.Lock|RLock|Wait", Does(LockWait, Thread)),
    ("**.mu|mutex|lock|mtx|wg.Lock|RLock|Wait", Does(LockWait, Thread)),
    ("time.Sleep", Does(Sleep, Thread)),
    ("time.After|Tick", Does(Sleep, Thread)),
    ("exec.Command|CommandContext.**.Run|Output|CombinedOutput|Start", Does(Subprocess, Thread)),
    ("exec.Command|CommandContext", super::What::Nothing),
    ("**.cmd.Run|Output|CombinedOutput|Start", Does(Subprocess, Thread)),
    ("rate.NewLimiter", Limiter),
    ("rate.**.Wait", Limiter),
    ("semaphore.NewWeighted", Limiter),
    ("**.limiter.Wait", Limiter),
    ("**.SetLimit", Limiter),
];
