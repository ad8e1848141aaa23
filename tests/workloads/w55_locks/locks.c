// Mutexes with known holders. known: `keep_it` sleeps with the lock 10 x 40 ms, `want_it` asks for it meanwhile.
// convoy: 4 threads in one function take turns of 5 ms. Every thread measures how long it waited for the lock, without what it
// waited for a CPU once it could have had it, and how long it held it.
#include "truth.h"
#include <pthread.h>
#define NI __attribute__((noinline, noclone))
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t gate;
static __thread double waited, held;
static double all_waited, all_held;
static pthread_mutex_t sums = PTHREAD_MUTEX_INITIALIZER;
// What this thread waited for a CPU, as the kernel counts it.
static double queued(void) {
  double on = 0, ready = 0;
  FILE *f = fopen("/proc/thread-self/schedstat", "r");
  if (!f || fscanf(f, "%lf %lf", &on, &ready) != 2) perror("schedstat"), exit(1);
  fclose(f);
  return ready * 1e-9;
}
// Macros, so that the functions that wait and hold are the ones that are named.
#define REST(S) nanosleep(&(struct timespec){0, (S) * 1e9}, 0)
#define TAKE                                 \
  double queue = queued(), asked = wall();   \
  pthread_mutex_lock(&lock);                 \
  double got = wall();                       \
  waited += got - asked - (queued() - queue);
#define GIVE              \
  held += wall() - got;   \
  pthread_mutex_unlock(&lock);
NI static void keep_it(void) {
  for (int i = 0; i < 10; i++) {
    TAKE
    REST(0.04);
    GIVE
    REST(0.02);
  }
}
NI static void want_it(void) {
  for (int i = 0; i < 10; i++) {
    REST(0.022);
    TAKE
    GIVE
  }
}
NI static void take_turns(void) {
  for (int i = 0; i < 20; i++) {
    TAKE
    REST(0.005);
    GIVE
    REST(0.001); // or who lets go would have it again before anybody woken runs
  }
}
static void *start(void *f) {
  pthread_barrier_wait(&gate);
  ((void (*)(void))f)();
  pthread_mutex_lock(&sums);
  all_waited += waited;
  all_held += held;
  pthread_mutex_unlock(&sums);
  return 0;
}
int main(int n, char **words) {
  int convoy = n > 1 && !strcmp(words[1], "convoy"), threads = convoy ? 4 : 2;
  double t0 = wall();
  pthread_t id[4];
  pthread_barrier_init(&gate, 0, threads);
  for (int i = 0; i < threads; i++) pthread_create(&id[i], 0, start, convoy ? take_turns : i ? want_it : keep_it);
  for (int i = 0; i < threads; i++) pthread_join(id[i], 0);
  char extra[200];
  snprintf(extra, sizeof extra, "\"waited_ms\":%.2f,\"held_ms\":%.2f,\"address\":\"%p\"", all_waited * 1e3, all_held * 1e3, (void *)&lock);
  truth_write("w55_locks", convoy ? "convoy" : "known", 0, 0, wall() - t0, extra);
  return 0;
}
