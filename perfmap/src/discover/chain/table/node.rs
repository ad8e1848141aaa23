//! Node's libraries.

use super::{
    Holds::{Nothing, Thread},
    Row,
    What::{Batch, Cache, Client, Does, Limiter, Opens, TempFile},
};
use crate::recording::SourceKind::{
    CacheOp, DbQuery, FileIo, Gpu, GrpcCall, HttpCall, LockWait, QueueOp, Sleep, Subprocess,
};

pub(super) const ROWS: &[Row] = &[
    // HTTP
    ("fetch", Does(HttpCall, Nothing)),
    ("node-fetch|undici|cross-fetch.**", Does(HttpCall, Nothing)),
    ("node-fetch|cross-fetch", Does(HttpCall, Nothing)),
    ("axios.create", Client(None)),
    ("axios", Does(HttpCall, Nothing)),
    ("axios.**.get|post|put|delete|patch|head|request", Does(HttpCall, Nothing)),
    ("got|ky|superagent|request|needle", Does(HttpCall, Nothing)),
    ("got|ky|superagent|request|needle.**.get|post|put|delete|patch|head", Does(HttpCall, Nothing)),
    ("http|https.Agent", Client(None)),
    ("http|https.get|request", Does(HttpCall, Nothing)),
    (
        "**.http|httpService|HttpService|axios|axiosRef|httpClient|apiClient.get|post|put|delete|patch|request",
        Does(HttpCall, Nothing),
    ),
    ("supertest.**.get|post|put|delete|patch", Does(HttpCall, Nothing)),
    ("sync-request|sync-fetch", Does(HttpCall, Thread)),
    // gRPC
    ("@grpc/grpc-js.**", Does(GrpcCall, Nothing)),
    ("**.grpcClient|stub.*", Does(GrpcCall, Nothing)),
    // Databases
    ("pg.Client", Client(None)),
    ("pg.Pool", Client(Some(10))),
    ("mysql2|mysql2/promise|mysql.createConnection", Client(None)),
    ("mysql2|mysql2/promise|mysql.createPool", Client(Some(10))),
    ("mongodb.MongoClient", Client(Some(100))),
    ("mongodb.MongoClient.connect", Client(Some(100))),
    ("@prisma/client.PrismaClient", Client(None)),
    ("sequelize.Sequelize", Client(Some(5))),
    ("knex|better-sqlite3|sqlite3", Client(None)),
    ("sqlite3.Database", Client(None)),
    ("mongoose.connect|createConnection", Client(Some(100))),
    ("**.insertMany|bulkWrite|bulkCreate|createMany|updateMany|batchInsert", Batch(DbQuery)),
    ("better-sqlite3.**.run|get|all|exec|iterate", Does(DbQuery, Thread)),
    ("pg|mysql2|mysql2/promise|mysql.**.query|execute|connect", Does(DbQuery, Nothing)),
    (
        "@prisma/client.PrismaClient.**.findMany|findUnique|findFirst|create|update|upsert|delete|count|aggregate|findUniqueOrThrow",
        Does(DbQuery, Nothing),
    ),
    ("**.prisma.**.findMany|findUnique|findFirst|create|update|upsert|delete|count|aggregate", Does(DbQuery, Nothing)),
    ("**.prisma|*Prisma*.$queryRaw|$executeRaw|$transaction", Does(DbQuery, Nothing)),
    (
        "**.findOne|findAll|findByPk|findById|findAndCountAll|findOneBy|findBy|findOneOrFail|insertOne|updateOne|deleteOne|findOneAndUpdate|findByIdAndUpdate|countDocuments|aggregate",
        Does(DbQuery, Nothing),
    ),
    ("**.*Repository|*Repo|repository|repo.find|save|insert|update|delete|count|remove|query", Does(DbQuery, Nothing)),
    ("knex.**", Does(DbQuery, Nothing)),
    ("**.db|pool|client|conn|connection|database|knex.query|execute|raw", Does(DbQuery, Nothing)),
    ("**.db|database.run|all|each|exec", Does(DbQuery, Nothing)),
    // Caches
    ("ioredis|ioredis.Redis", Client(None)),
    ("redis.createClient", Client(None)),
    ("ioredis|redis.**.mget|mset|mGet|mSet|pipeline|multi|hmget", Batch(CacheOp)),
    ("**.redis|cache|redisClient.mget|mset|mGet|pipeline|multi", Batch(CacheOp)),
    ("ioredis|redis.**", Does(CacheOp, Nothing)),
    (
        "**.redis|redisClient|cache|cacheManager|memcached.get|set|del|hget|hset|hgetall|incr|expire|setex|wrap",
        Does(CacheOp, Nothing),
    ),
    ("lru-cache|node-cache|memoizee|lodash.memoize", Cache),
    ("lru-cache.LRUCache", Cache),
    // Queues
    ("amqplib.connect", Client(None)),
    ("kafkajs.Kafka", Client(None)),
    ("**.sendToQueue|publish|consume|assertQueue", Does(QueueOp, Nothing)),
    ("**.producer|queue.send|add|sendMessage", Does(QueueOp, Nothing)),
    ("bullmq|bull.**.add|process", Does(QueueOp, Nothing)),
    // Files
    ("fs.openSync", Opens),
    ("fs.open", Opens),
    ("fs/promises|fs.promises.open", Opens),
    ("fs.createReadStream|createWriteStream", Opens),
    ("fs.mkdtempSync|mkdtemp", TempFile),
    ("fs.*Sync", Does(FileIo, Thread)),
    ("fs.**", Does(FileIo, Nothing)),
    ("fs/promises|fs-extra.**", Does(FileIo, Nothing)),
    // Locks, sleeps, processes
    ("**.mutex|lock|semaphore.acquire|runExclusive", Does(LockWait, Nothing)),
    ("Atomics.wait", Does(LockWait, Thread)),
    ("setTimeout", Does(Sleep, Nothing)),
    ("timers/promises.setTimeout", Does(Sleep, Nothing)),
    ("sleep|delay|wait", Does(Sleep, Nothing)),
    ("child_process.execSync|spawnSync|execFileSync", Does(Subprocess, Thread)),
    ("child_process.exec|spawn|execFile|fork", Does(Subprocess, Nothing)),
    ("execa|execa.*", Does(Subprocess, Nothing)),
    ("p-limit|p-queue|bottleneck|p-throttle", Limiter),
    ("**.Bottleneck|Semaphore", Limiter),
    ("@tensorflow/tfjs-node-gpu.**", Does(Gpu, Nothing)),
];
