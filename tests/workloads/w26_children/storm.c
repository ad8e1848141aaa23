// 1,000 short-lived children, one after the other or eight at a time, by posix_spawn or by fork and exec. WL_N changes the count.
#define _GNU_SOURCE
#include "truth.h"
#include <spawn.h>
#include <sys/wait.h>
#define NI __attribute__((noinline, noclone))
extern char **environ;
static char *argv_true[] = {"/bin/true", 0};
enum { START = __LINE__ + 1 };
NI static pid_t start_child(int how) {
  pid_t pid = -1;
  if (how == 's') return posix_spawn(&pid, argv_true[0], 0, 0, argv_true, environ) ? -1 : pid;
  pid = fork();
  if (pid == 0) {
    if (how == 'e') execv(argv_true[0], argv_true);
    _exit(how == 'e' ? 127 : 0);
  }
  return pid;
}
enum { REAP = __LINE__ + 1 };
NI static int reap_child(void) {
  int status = 0;
  return waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
int main(int argc, char **argv) {
  double t0 = wall();
  const char *variant = argc > 1 ? argv[1] : "spawn";   // spawn, exec (fork + exec), fork (no exec)
  int how = variant[0], wide = argc > 2 ? atoi(argv[2]) : 1;
  int want = getenv("WL_N") ? atoi(getenv("WL_N")) : 1000, started = 0, reaped = 0, running = 0;
  if (how == 'f') how = '-';
  char start[32], reap[32];
  snprintf(start, 32, "storm.c:%d", START), snprintf(reap, 32, "storm.c:%d", REAP);
  struct tr t[2] = {{"start_child", start, 0, 0, 0}, {"reap_child", reap, 0, 0, 0}};
  while (reaped < want) {
    int k = started < want && running < wide ? 0 : 1;
    double w = wall(), c = tcpu();
    if (k == 0) {
      if (start_child(how) < 0) { perror("start"); return 1; }
      started++, running++;
    } else {
      if (!reap_child()) { fprintf(stderr, "a child failed\n"); return 1; }
      reaped++, running--;
    }
    t[k].w += wall() - w, t[k].c += tcpu() - c, t[k].calls++;
  }
  char extra[200];
  snprintf(extra, sizeof extra, "\"children\":{\"started\":%d,\"reaped\":%d,\"executable\":\"%s\"},\"suspicions\":[]", started, reaped,
           how == '-' ? "" : "/bin/true");
  truth_write("w26_children", variant, t, 2, wall() - t0, extra);
  return 0;
}
