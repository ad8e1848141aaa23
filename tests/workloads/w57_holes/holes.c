// Functions with an array on the stack of which most pages are never touched, in the first thread and in another one:
// what they call computes. Each measures its own time.
#include "truth.h"
#include <pthread.h>
#include <stdint.h>
#define NI __attribute__((noinline, noclone))
static volatile uint64_t sink;
static struct tr truth[] = {{"in_main", "holes.c", 0, 0, 0}, {"in_thread", "holes.c", 0, 0, 0}};
NI static void burn(double s) {
  double end = tcpu() + s;
  do
    for (int i = 0; i < 5000; i++) sink = sink * 6364136223846793005ULL + 1;
  while (tcpu() < end);
}
// The array lies between the caller's return address and what is called from here.
#define WITH_HOLES(T)                           \
  volatile char array[20000];                   \
  array[0] = 1;                                 \
  double w = wall(), c = tcpu();                \
  burn(0.25);                                   \
  (T).w += wall() - w;                          \
  (T).c += tcpu() - c;                          \
  (T).calls++;                                  \
  array[sizeof array - 1] = array[0];
NI static void in_main(void) { WITH_HOLES(truth[0]) }
NI static void *in_thread(void *unused) {
  (void)unused;
  WITH_HOLES(truth[1])
  return 0;
}
int main(void) {
  double t0 = wall();
  pthread_t id;
  in_main();
  pthread_create(&id, 0, in_thread, 0);
  pthread_join(id, 0);
  truth_write("w57_holes", "default", truth, 2, wall() - t0, "");
  return 0;
}
