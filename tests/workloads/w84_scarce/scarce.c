// Waits for what there is not enough of. threads: the first thread and another share one CPU. alone: it shares the CPU
// with whoever was started there before (outsider). disk: writes that are brought to the disk one by one; the truth names
// the device, and the ones that it lies on.
#define _GNU_SOURCE
#include "truth.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#define NI __attribute__((noinline, noclone))
#define SYNCS 60
volatile uint64_t sink;
static volatile int done;
static struct tr t = {"burn", "scarce.c:41", 0, 0, 1};

// The same one in each run.
static int last_cpu(void) {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all)) return 0;
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
    if (CPU_ISSET(cpu, &all)) return cpu;
  return 0;
}

static void stay(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

static uint64_t turn(uint64_t x) {
  for (int i = 0; i < 5000; i++) x = x * 6364136223846793005ULL + 1442695040888963407ULL;
  return x;
}

NI static void burn(double seconds) {
  double w = wall(), c = tcpu();
  uint64_t x = 1;
  do x = turn(x); while (tcpu() - c < seconds);
  sink = x;
  t.w = wall() - w, t.c = tcpu() - c;
}

NI static void hog(void) {
  uint64_t x = 2;
  while (!done) x = turn(x);
  sink = x;
}

static void *other(void *cpu) {
  prctl(PR_SET_NAME, "w84-hog");
  stay(*(int *)cpu);
  hog();
  return 0;
}

// How long this thread was ready without a CPU.
static double run_delay_ms(void) {
  unsigned long long on, delay = 0;
  FILE *f = fopen("/proc/thread-self/schedstat", "r");
  if (!f || fscanf(f, "%llu %llu", &on, &delay) != 2) delay = 0;
  if (f) fclose(f);
  return delay / 1e6;
}

static void compute(const char *variant) {
  int cpu = last_cpu();
  pthread_t thread;
  double t0 = wall();
  char extra[128];
  int threads = !strcmp(variant, "threads");
  if (threads) pthread_create(&thread, 0, other, &cpu);
  stay(cpu);
  double before = run_delay_ms();
  burn(0.3);
  done = 1;
  snprintf(extra, sizeof extra, "\"ready_ms\":%.2f", run_delay_ms() - before);
  if (threads) pthread_join(thread, 0);
  truth_write("w84_scarce", variant, &t, 1, wall() - t0, extra);
}

// The name of a device, and of those below it.
static void add_names(const char *device, char *to, size_t room, int depth) {
  size_t used = strlen(to);
  snprintf(to + used, room - used, "%s\"%s\"", used ? "," : "", device);
  char path[PATH_MAX];
  snprintf(path, sizeof path, "/sys/class/block/%s/slaves", device);
  DIR *d = opendir(path);
  for (struct dirent *e; d && depth < 4 && (e = readdir(d));)
    if (e->d_name[0] != '.') add_names(e->d_name, to, room, depth + 1);
  if (d) closedir(d);
}

NI static double save(int fd) {
  static char block[65536];
  double w = wall();
  if (write(fd, block, sizeof block) < 0 || fsync(fd)) perror("save");
  return wall() - w;
}

static void disk(void) {
  const char *dir = getenv("TRUTH_DIR");
  char path[PATH_MAX], link[64], target[PATH_MAX] = "", names[1024] = "", extra[1400];
  double t0 = wall(), took = 0;
  snprintf(path, sizeof path, "%s/w84_scarce.data", dir ? dir : "truth");
  int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  struct stat of;
  if (fd < 0 || fstat(fd, &of)) {
    perror(path);
    exit(1);
  }
  snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(of.st_dev), minor(of.st_dev));
  if (readlink(link, target, sizeof target - 1) < 0) {
    truth_write("w84_scarce", "disk", &t, 1, wall() - t0, "\"skipped\":\"the file lies on no block device of its own\"");
    unlink(path);
    return;
  }
  add_names(strrchr(target, '/') + 1, names, sizeof names, 0);
  for (int i = 0; i < SYNCS; i++) took += save(fd);
  unlink(path);
  snprintf(extra, sizeof extra, "\"devices\":[%s],\"save_ms\":%.2f,\"syncs\":%d", names, took * 1e3, SYNCS);
  t.w = took;
  truth_write("w84_scarce", "disk", &t, 1, wall() - t0, extra);
}

int main(int count, char **words) {
  const char *variant = count > 1 ? words[1] : "threads";
  if (!strcmp(variant, "outsider")) {
    // Ends by itself where nobody ends it.
    alarm(60);
    prctl(PR_SET_NAME, "w84-outsider");
    stay(last_cpu());
    hog();
  } else if (!strcmp(variant, "disk")) {
    disk();
  } else {
    compute(variant);
  }
}
