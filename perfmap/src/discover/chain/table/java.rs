//! Java's libraries.

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
    (
        "**.RestTemplate|TestRestTemplate.getFor*|postFor*|put|delete|exchange|patchFor*|headFor*|execute",
        Does(HttpCall, Thread),
    ),
    ("**.restTemplate|rest.getFor*|postFor*|put|delete|exchange", Does(HttpCall, Thread)),
    ("**.WebClient.**.retrieve|exchange|exchangeToMono|bodyToMono|block", Does(HttpCall, Nothing)),
    ("**.RestClient.**.retrieve|exchange|body|toEntity", Does(HttpCall, Thread)),
    ("**.HttpClient.newHttpClient|newBuilder", Client(None)),
    ("**.HttpClient.**.send", Does(HttpCall, Thread)),
    ("**.HttpClient.**.sendAsync", Does(HttpCall, Nothing)),
    ("**.httpClient|client.send", Does(HttpCall, Thread)),
    ("**.RestTemplate", Client(None)),
    ("**.OkHttpClient", Client(Some(5))),
    ("**.OkHttpClient.**.execute", Does(HttpCall, Thread)),
    ("**.HttpClients.createDefault|custom", Client(Some(2))),
    ("**.openConnection", Does(HttpCall, Thread)),
    ("**.MockMvc|mockMvc|mvc.perform", Does(HttpCall, Thread)),
    // gRPC
    ("**.ManagedChannelBuilder.**", Client(None)),
    ("**.*Stub|*BlockingStub|stub|blockingStub.*", Does(GrpcCall, Thread)),
    // Databases
    ("**.DriverManager.getConnection", Client(None)),
    ("**.HikariDataSource", Client(Some(10))),
    ("**.saveAll|saveAllAndFlush|findAllById|deleteAllInBatch|batchUpdate|executeBatch|addBatch", Batch(DbQuery)),
    ("**.JdbcTemplate|jdbcTemplate|jdbc|NamedParameterJdbcTemplate.query*|update|execute", Does(DbQuery, Thread)),
    (
        "**.*Repository|*Repo|*Dao|repository.find*|save*|delete*|count*|exists*|get*|query*|update*",
        Does(DbQuery, Thread),
    ),
    (
        "**.EntityManager|entityManager|em|session|Session.find|persist|merge|remove|createQuery|createNativeQuery|flush|get|save",
        Does(DbQuery, Thread),
    ),
    ("**.executeQuery|executeUpdate|getResultList|getSingleResult", Does(DbQuery, Thread)),
    ("**.DataSource|dataSource.getConnection", Does(DbQuery, Thread)),
    ("**.MongoTemplate|mongoTemplate.find*|save|insert|update*|remove", Does(DbQuery, Thread)),
    // Caches
    ("**.Jedis", Client(None)),
    ("**.Jedis|jedis.mget|mset|pipelined", Batch(CacheOp)),
    ("**.opsForValue.multiGet|multiSet", Batch(CacheOp)),
    ("**.Jedis|jedis.get|set|hget|hset|hgetAll|incr|expire|del|exists|setex", Does(CacheOp, Thread)),
    (
        "**.RedisTemplate|StringRedisTemplate|redisTemplate|redis.**.get|set|put|increment|delete|hasKey|entries",
        Does(CacheOp, Thread),
    ),
    ("**.cacheManager|CacheManager.**", Does(CacheOp, Thread)),
    ("**.Caffeine.newBuilder", Cache),
    // Queues
    ("**.KafkaTemplate|kafkaTemplate|KafkaProducer|producer.send", Does(QueueOp, Nothing)),
    ("**.RabbitTemplate|rabbitTemplate|JmsTemplate|jmsTemplate.convertAndSend|send|receive*", Does(QueueOp, Thread)),
    ("**.KafkaConsumer|consumer.poll", Does(QueueOp, Thread)),
    ("**.*Queue|queue.take|put", Does(QueueOp, Thread)),
    // Files
    ("**.FileInputStream|FileOutputStream|FileReader|FileWriter|RandomAccessFile|Socket", Opens),
    ("**.Files.newInputStream|newOutputStream|newBufferedReader|newBufferedWriter|lines", Opens),
    ("**.Files.createTempFile|createTempDirectory", TempFile),
    ("**.File.createTempFile", TempFile),
    ("**.Files.*", Does(FileIo, Thread)),
    ("**.force|sync", Syncs),
    ("**.BufferedReader|FileInputStream|FileReader|RandomAccessFile|InputStream.read*", Does(FileIo, Thread)),
    ("**.BufferedWriter|FileOutputStream|FileWriter|RandomAccessFile.write*", Does(FileIo, Thread)),
    // Locks, sleeps, processes
    ("**.ReentrantLock|lock|Lock|mutex.lock|tryLock", Does(LockWait, Thread)),
    ("**.CountDownLatch|latch.await", Does(LockWait, Thread)),
    ("**.Semaphore|semaphore.acquire", Does(LockWait, Thread)),
    ("**.Thread.sleep", Does(Sleep, Thread)),
    ("**.TimeUnit.**.sleep", Does(Sleep, Thread)),
    ("**.ProcessBuilder.**.start", Does(Subprocess, Thread)),
    ("**.pb|processBuilder.start", Does(Subprocess, Thread)),
    ("**.Runtime.getRuntime.exec", Does(Subprocess, Thread)),
    ("**.RateLimiter.create|acquire", Limiter),
    ("**.rateLimiter|limiter.acquire", Limiter),
    ("**.Executors.newFixedThreadPool", Limiter),
    ("**.Semaphore", Limiter),
];
