// A known split over four functions, -O2, no frame pointers, inlined code, recursion 40. tree_left and tree_right call the same
// recursive walk: only a stack unwound through all 40 frames tells them apart.
#include "truth.h"
#include <stdint.h>
#define NI __attribute__((noinline, noclone))
volatile uint64_t sink;
static uint32_t tab[256];
enum { CRC = __LINE__ + 1 };
NI static uint32_t crc_pass(const unsigned char *b, size_t n) {
  uint32_t c = ~0u;
  for (size_t i = 0; i < n; i++) c = tab[(c ^ b[i]) & 255] ^ (c >> 8);
  return ~c;
}
NI static uint64_t leaf_work(uint64_t x) {
  for (int i = 0; i < 3000; i++) x = x * 6364136223846793005ULL + 1442695040888963407ULL;
  return x;
}
NI static uint64_t walk_tree(int depth, uint64_t x) {
  if (!depth) return leaf_work(x);
  uint64_t r = walk_tree(depth - 1, x ^ depth);
  __asm__ volatile("" ::"r"(r) : "memory");
  return r + depth;
}
enum { LEFT = __LINE__ + 1 };
NI static uint64_t tree_left(int n) {
  uint64_t s = 1;
  for (int i = 0; i < n; i++) s += walk_tree(40, i);
  return s;
}
enum { RIGHT = __LINE__ + 1 };
NI static uint64_t tree_right(int n) {
  uint64_t s = 7;
  for (int i = 0; i < n; i++) s ^= walk_tree(40, i + 3);
  return s;
}
static inline __attribute__((always_inline)) uint64_t inlined_mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  return x ^ (x >> 33);
}
enum { MIX = __LINE__ + 1 };
NI static uint64_t mix_all(int n, uint64_t x) {
  for (int i = 0; i < n; i++) x = inlined_mix(x + i);
  return x;
}
int main(void) {
  double t0 = wall();
  unsigned char *b = malloc(1 << 16);
  for (int i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320 ^ (c >> 1) : c >> 1;
    tab[i] = c;
  }
  for (int i = 0; i < 1 << 16; i++) b[i] = i * 7;
  char loc[4][32];
  int line[4] = {CRC, LEFT, RIGHT, MIX};
  const char *name[4] = {"crc_pass", "tree_left", "tree_right", "mix_all"};
  struct tr t[4];
  for (int k = 0; k < 4; k++) {
    snprintf(loc[k], sizeof loc[k], "native.c:%d", line[k]);
    t[k] = (struct tr){name[k], loc[k], 0, 0, 0};
  }
  // Shares of CPU time in percent, reached by asking the clock: the same on every machine.
  const double share[4] = {40, 10, 30, 20};
  for (int round = 0; round < 10; round++)
    for (int k = 0; k < 4; k++) {
      double w = wall(), c = tcpu(), end = c + share[k] * 0.004;
      do switch (k) {
          case 0: sink += crc_pass(b, 1 << 16); break;
          case 1: sink += tree_left(50); break;
          case 2: sink += tree_right(50); break;
          case 3: sink += mix_all(100000, sink);
        }
      while (t[k].calls++, tcpu() < end);
      t[k].w += wall() - w;
      t[k].c += tcpu() - c;
    }
  truth_write("w21_native", "c", t, 4, wall() - t0,
              "\"bottleneck\":{\"classification\":\"CPU\",\"accept\":[\"CPU\"],\"top_function\":\"crc_pass\"},\"suspicions\":[]");
  return 0;
}
