// Puts itself into a cgroup with a fifth of a CPU and computes for 200 ms there. The kernel's own count says how long it
// was held back. Where it may make no cgroup, the truth says so.
#include "truth.h"
#include <errno.h>
#include <stdint.h>
#define NI __attribute__((noinline, noclone))
volatile uint64_t sink;
static struct tr t = {"burn", "throttled.c:11", 0, 0, 1};
static char group[256];

NI static void burn(void) {
  double w = wall(), c = tcpu();
  uint64_t x = 1;
  do for (int i = 0; i < 5000; i++) x = x * 6364136223846793005ULL + 1442695040888963407ULL; while (tcpu() - c < 0.2);
  sink = x;
  t.w = wall() - w, t.c = tcpu() - c;
}

static int put(const char *dir, const char *file, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  FILE *f = fopen(path, "w");
  if (!f) return -1;
  int failed = fputs(text, f) < 0;
  return fclose(f) || failed ? -1 : 0;
}

// Version 1's hierarchy of CPU limits, else version 2's.
static const char *enter(void) {
  const char *roots[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
  for (int i = 0; i < 4; i++) {
    snprintf(group, sizeof group, "%s/w56_throttled_%d", roots[i], getpid());
    if (mkdir(group, 0755)) continue;
    int limited = i < 2 ? put(group, "cpu.cfs_period_us", "100000") || put(group, "cpu.cfs_quota_us", "20000")
                        : put(group, "cpu.max", "20000 100000");
    if (!limited && !put(group, "cgroup.procs", "0")) return roots[i];
    rmdir(group);
  }
  return 0;
}

static double throttled_ms(void) {
  char path[512], line[128];
  double found = -1, value;
  snprintf(path, sizeof path, "%s/cpu.stat", group);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f)) {
    if (sscanf(line, "throttled_time %lf", &value) == 1) found = value / 1e6;
    if (sscanf(line, "throttled_usec %lf", &value) == 1) found = value / 1e3;
  }
  if (f) fclose(f);
  return found;
}

int main(void) {
  double t0 = wall();
  char extra[200];
  const char *root = enter();
  if (root) {
    burn();
    put(root, "cgroup.procs", "0");
    snprintf(extra, sizeof extra, "\"throttled_ms\":%.2f", throttled_ms());
    rmdir(group);
  } else {
    snprintf(extra, sizeof extra, "\"skipped\":\"no cgroup can be made: %s\"", strerror(errno));
  }
  truth_write("w56_throttled", "default", &t, 1, wall() - t0, extra);
  return 0;
}
