// Two of the pairs of twins.py in C: hot_function and lock.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t shared = PTHREAD_MUTEX_INITIALIZER;
static int bad;
static volatile unsigned long sink;

static long cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define WORK(name, ms) \
    __attribute__((noinline)) static void name(void) { \
        long end = cpu_ms() + (ms); \
        while (cpu_ms() < end) \
            for (int i = 0; i < 20000; i++) \
                sink = sink * 1103515245 + 12345; \
    }

WORK(parse_all, 800)
WORK(part_0, 100)
WORK(part_1, 100)
WORK(part_2, 100)
WORK(part_3, 100)
WORK(part_4, 100)
WORK(part_5, 100)
WORK(part_6, 100)
WORK(part_7, 100)

static void hot_function(void) {
    if (bad) {
        parse_all();
        return;
    }
    part_0(), part_1(), part_2(), part_3(), part_4(), part_5(), part_6(), part_7();
}

static void *work(void *unused) {
    for (int i = 0; i < 20; i++) {
        if (!bad)
            usleep(40000);
        pthread_mutex_lock(&shared);
        if (bad)
            usleep(10000);
        pthread_mutex_unlock(&shared);
    }
    return unused;
}

static void lock(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    bad = strstr(argv[1], ".bad") != NULL;
    if (strncmp(argv[1], "lock", 4) == 0)
        lock();
    else
        hot_function();
    return 0;
}
