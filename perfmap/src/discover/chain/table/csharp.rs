//! .NET's libraries.

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
    ("**.HttpClient", Client(None)),
    ("**.CreateClient", super::What::Nothing),
    (
        "**.HttpClient|httpClient|_httpClient|http|_http|client|_client.GetAsync|PostAsync|PutAsync|DeleteAsync|PatchAsync|SendAsync|GetStringAsync|GetFromJsonAsync|PostAsJsonAsync|PutAsJsonAsync|GetStreamAsync|GetByteArrayAsync",
        Does(HttpCall, Nothing),
    ),
    ("**.GetFromJsonAsync|PostAsJsonAsync|GetStringAsync|PutAsJsonAsync", Does(HttpCall, Nothing)),
    ("**.WebClient.Download*|Upload*", Does(HttpCall, Thread)),
    ("**.HttpClient|httpClient|_httpClient.Send", Does(HttpCall, Thread)),
    // gRPC
    ("**.GrpcChannel.ForAddress", Client(None)),
    ("**.*ServiceClient|grpcClient|_grpcClient.*", Does(GrpcCall, Nothing)),
    // Databases
    ("**.SqlConnection|NpgsqlConnection|MySqlConnection|SqliteConnection", Client(Some(100))),
    ("**.MongoClient", Client(Some(100))),
    ("**.AddRange|AddRangeAsync|BulkInsert*|InsertManyAsync|ExecuteUpdateAsync|ExecuteDeleteAsync", Batch(DbQuery)),
    (
        "**.SaveChangesAsync|ToListAsync|FirstAsync|FirstOrDefaultAsync|SingleAsync|SingleOrDefaultAsync|CountAsync|AnyAsync|FindAsync|ToArrayAsync|ExecuteReaderAsync|ExecuteNonQueryAsync|ExecuteScalarAsync|QueryAsync|QueryFirstAsync|QuerySingleAsync|QueryFirstOrDefaultAsync|QuerySingleOrDefaultAsync|ExecuteAsync|OpenAsync|InsertOneAsync|ReplaceOneAsync",
        Does(DbQuery, Nothing),
    ),
    ("**.SaveChanges|ExecuteReader|ExecuteNonQuery|ExecuteScalar", Does(DbQuery, Thread)),
    (
        "**.context|_context|db|_db|dbContext|_dbContext.**.ToList|First|FirstOrDefault|Single|SingleOrDefault|Count|Any|Find",
        Does(DbQuery, Thread),
    ),
    ("**.connection|_connection|conn.Query*|Execute*|Open", Does(DbQuery, Thread)),
    // Caches
    ("**.ConnectionMultiplexer.Connect|ConnectAsync", Client(None)),
    ("**.CreateBatch", Batch(CacheOp)),
    (
        "**.StringGetAsync|StringSetAsync|HashGetAsync|HashSetAsync|KeyDeleteAsync|GetStringAsync|SetStringAsync",
        Does(CacheOp, Nothing),
    ),
    ("**.StringGet|StringSet|HashGet|HashSet|KeyDelete", Does(CacheOp, Thread)),
    ("**.cache|_cache.GetAsync|SetAsync|GetOrCreateAsync", Does(CacheOp, Nothing)),
    ("**.cache|_cache|IMemoryCache.TryGetValue|GetOrCreate|Set|Get", Cache),
    ("**.MemoryCache", Cache),
    // Queues
    (
        "**.BasicPublish|BasicPublishAsync|ProduceAsync|SendMessageAsync|PublishAsync|ReceiveMessageAsync",
        Does(QueueOp, Nothing),
    ),
    // Files
    ("**.File.Open|OpenRead|OpenWrite|Create|OpenText|CreateText", Opens),
    ("**.FileStream|StreamReader|StreamWriter|TcpClient", Opens),
    ("**.Path.GetTempFileName", TempFile),
    ("**.File.*Async", Does(FileIo, Nothing)),
    ("**.File|Directory.*", Does(FileIo, Thread)),
    (
        "**.StreamReader|StreamWriter|FileStream|reader|writer.ReadLine|ReadToEnd|Read|Write|WriteLine",
        Does(FileIo, Thread),
    ),
    ("**.FileStream|stream.Flush", Syncs),
    // Locks, sleeps, processes
    ("**.Monitor.Enter|Wait", Does(LockWait, Thread)),
    ("**.semaphore|_semaphore|SemaphoreSlim.Wait", Does(LockWait, Thread)),
    ("**.semaphore|_semaphore|SemaphoreSlim.WaitAsync", Does(LockWait, Nothing)),
    ("**.Thread.Sleep", Does(Sleep, Thread)),
    ("**.Task.Delay", Does(Sleep, Nothing)),
    ("**.Process.Start", Does(Subprocess, Thread)),
    ("**.SemaphoreSlim", Limiter),
    ("**.*RateLimiter", Limiter),
];
