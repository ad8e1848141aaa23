// server.py in C: a thread for each connection. server NAME PORTFILE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define NI __attribute__((noinline, noclone))
volatile uint64_t sink;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
NI static void burn(double ms) {
  double end = now(CLOCK_THREAD_CPUTIME_ID) + ms;
  do
    for (int i = 0; i < 5000; i++) sink = sink * 6364136223846793005ULL + 1;
  while (now(CLOCK_THREAD_CPUTIME_ID) < end);
}
NI static void doze(double ms) {
  struct timespec t = {0, (long)(ms * 1e6)};
  nanosleep(&t, 0);
}
NI static void handle(const char *path) {
  if (!strncmp(path, "/cpu", 4)) burn(60);
  if (!strncmp(path, "/nap", 4)) doze(50);
  sink++;
}
static void *serve(void *arg) {
  int s = (int)(intptr_t)arg, have = 0;
  char in[8192], body[128], out[512];
  for (;;) {
    int n = read(s, in + have, sizeof(in) - 1 - have);
    if (n <= 0) break;
    have += n;
    in[have] = 0;
    if (!strstr(in, "\r\n\r\n")) continue;
    double t = now(CLOCK_MONOTONIC);
    char *path = strchr(in, ' ');
    handle(path ? path + 1 : "/");
    snprintf(body, sizeof(body), "{\"ms\": %.4f, \"pid\": %d}", now(CLOCK_MONOTONIC) - t, getpid());
    int length = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    if (write(s, out, length) != length) break;
    if (strstr(in, "Connection: close")) break;
    have = 0;
  }
  close(s);
  return 0;
}
int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(a);
  if (bind(l, (void *)&a, size) || listen(l, 128) || getsockname(l, (void *)&a, &size)) return 1;
  char name[4096];
  snprintf(name, sizeof(name), "%s.tmp", argv[2]);
  FILE *f = fopen(name, "w");
  if (!f) return 1;
  fprintf(f, "%d", ntohs(a.sin_port));
  fclose(f);
  if (rename(name, argv[2])) return 1;
  for (;;) {
    int s = accept(l, 0, 0);
    pthread_t thread;
    if (s < 0) return 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (pthread_create(&thread, 0, serve, (void *)(intptr_t)s)) return 1;
    pthread_detach(thread);
  }
}
