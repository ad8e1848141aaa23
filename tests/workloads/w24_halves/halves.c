// Half CPU, half sleep: each sleep lasts as long as the burn before it lasted.
#include "truth.h"
#include <errno.h>
#include <stdint.h>
#define NI __attribute__((noinline, noclone))
volatile uint64_t sink;
enum { BURN = __LINE__ + 1 };
NI static double burn_half(double seconds) {
  double w = wall(), end = tcpu() + seconds;
  do for (int i = 0; i < 5000; i++) sink = sink * 6364136223846793005ULL + 1; while (tcpu() < end);
  return wall() - w;
}
enum { REST = __LINE__ + 1 };
NI static void sleep_half(double seconds) {
  double end = wall() + seconds;
  struct timespec t = {(time_t)end, (long)((end - (time_t)end) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0) == EINTR) {}
}
int main(void) {
  double t0 = wall();
  char burn[32], rest[32];
  snprintf(burn, 32, "halves.c:%d", BURN), snprintf(rest, 32, "halves.c:%d", REST);
  struct tr t[2] = {{"burn_half", burn, 0, 0, 0}, {"sleep_half", rest, 0, 0, 0}};
  for (int i = 0; i < 20; i++) {
    double w = wall(), c = tcpu(), took = burn_half(0.1);
    t[0].w += wall() - w, t[0].c += tcpu() - c, t[0].calls++;
    w = wall(), c = tcpu();
    sleep_half(took);
    t[1].w += wall() - w, t[1].c += tcpu() - c, t[1].calls++;
  }
  truth_write("w24_halves", "c", t, 2, wall() - t0, "\"suspicions\":[]");
  return 0;
}
