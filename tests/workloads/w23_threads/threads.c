// Four threads, each in its own function, started together and joined: main waits, the threads own the time.
#include "truth.h"
#include <pthread.h>
#include <stdint.h>
#define NI __attribute__((noinline, noclone))
volatile uint64_t sinks[4];
static struct tr t[4];
static pthread_barrier_t gate;
#define WORKER(NAME, K, MS, STEP)                                                                       \
  NI static void NAME(void) {                                                                           \
    double w = wall(), c = tcpu(), end = c + MS * 1e-3;                                                  \
    uint64_t x = K + 1;                                                                                  \
    do for (int i = 0; i < 5000; i++) x STEP; while (tcpu() < end);                                      \
    sinks[K] = x;                                                                                        \
    t[K].w = wall() - w, t[K].c = tcpu() - c, t[K].calls = 1;                                            \
  }                                                                                                      \
  static void *start_##NAME(void *p) { pthread_barrier_wait(&gate); NAME(); return p; }
enum { LINE = __LINE__ + 1 };
WORKER(work_alpha, 0, 400, = x * 6364136223846793005ULL + 1442695040888963407ULL)
WORKER(work_beta, 1, 300, ^= (x << 13) ^ (x >> 7))
WORKER(work_gamma, 2, 200, = (x | 1) * 0xff51afd7ed558ccdULL)
WORKER(work_delta, 3, 100, += (x >> 3) * 0x9E3779B97F4A7C15ULL + 1)
NI static void join_all(pthread_t *id) {
  for (int i = 0; i < 4; i++) pthread_join(id[i], 0);
}
int main(void) {
  double t0 = wall();
  void *(*start[4])(void *) = {start_work_alpha, start_work_beta, start_work_gamma, start_work_delta};
  const char *name[4] = {"work_alpha", "work_beta", "work_gamma", "work_delta"};
  char loc[4][32];
  pthread_t id[4];
  pthread_barrier_init(&gate, 0, 4);
  for (int i = 0; i < 4; i++) {
    snprintf(loc[i], sizeof loc[i], "threads.c:%d", LINE + i);
    t[i].fn = name[i], t[i].loc = loc[i];
    pthread_create(&id[i], 0, start[i], 0);
  }
  join_all(id);
  truth_write("w23_threads", "c", t, 4, wall() - t0,
              "\"bottleneck\":{\"classification\":\"CPU\",\"accept\":[\"CPU\"],\"top_function\":\"work_alpha\"},\"suspicions\":[]");
  return 0;
}
