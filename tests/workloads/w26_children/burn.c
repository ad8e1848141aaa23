// A child that burns CPU in two functions and says on its standard output what it measured: name wall_ms cpu_ms.
#include "truth.h"
#include <stdint.h>
#define NI __attribute__((noinline, noclone))
volatile uint64_t sink;
NI static void burn_left(double ms) {
  double end = tcpu() + ms * 1e-3;
  do for (int i = 0; i < 5000; i++) sink = sink * 6364136223846793005ULL + 1; while (tcpu() < end);
}
NI static void burn_right(double ms) {
  double end = tcpu() + ms * 1e-3;
  do for (int i = 0; i < 5000; i++) sink ^= (sink << 13) ^ (sink >> 7) ^ 5; while (tcpu() < end);
}
int main(void) {
  double w = wall(), c = tcpu();
  burn_left(300);
  printf("burn_left %f %f\n", (wall() - w) * 1e3, (tcpu() - c) * 1e3);
  w = wall(), c = tcpu();
  burn_right(150);
  printf("burn_right %f %f\n", (wall() - w) * 1e3, (tcpu() - c) * 1e3);
  return 0;
}
