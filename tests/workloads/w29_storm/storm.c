// Storms that a profiler cannot follow at full depth: HTTP round trips as fast as two processes can make them, each from
// the bottom of a deep stack; then plain work on the CPU, whose share must be right whatever was given up before.
#define _GNU_SOURCE
#include "truth.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#define NI __attribute__((noinline, noclone))
enum { ANSWER = 3000, DEEP = 20 * 1024 };
static struct tr t[2];
static long trips;
static char answer[ANSWER + 200];
static int answer_length;
static void die(const char *what) { perror(what); exit(1); }
static void all(int fd, char *to, int length) {
  for (int have = 0; have < length;) {
    ssize_t got = recv(fd, to + have, length - have, 0);
    if (got <= 0) die("recv");
    have += got;
  }
}
static void serve(int listener) {
  char request[4096];
  int fd = accept(listener, 0, 0), one = 1;
  if (fd < 0) die("accept");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (;;) {
    ssize_t got = recv(fd, request, sizeof request, 0);
    if (got <= 0) exit(got ? 1 : 0);
    if (send(fd, answer, answer_length, 0) != answer_length) die("send");
  }
}
NI static void one_trip(int fd, double number) {
  volatile char deep[DEEP];
  char request[400], got[sizeof answer];
  deep[0] = deep[DEEP - 1] = 1;
  int length = snprintf(request, sizeof request, "GET /item/%.0f HTTP/1.1\r\nHost: storm\r\nX-Filler: %0200d\r\n\r\n", number, 0);
  if (send(fd, request, length, 0) != length) die("send");
  all(fd, got, answer_length);
  if (memcmp(got, answer, answer_length)) { fprintf(stderr, "another answer\n"); exit(1); }
  if (deep[0] != deep[DEEP - 1]) exit(1);
}
NI static void message_storm(int fd, double seconds) {
  double until = wall() + seconds;
  while (wall() < until) { one_trip(fd, trips); trips++; }
}
NI static unsigned long plain_work(double seconds) {
  unsigned long x = 1;
  double until = wall() + seconds;
  while (wall() < until) for (int i = 0; i < 20000; i++) x = x * 6364136223846793005ul + 1442695040888963407ul;
  return x;
}
int main(int argc, char **argv) {
  int calm = argc > 1 && !strcmp(argv[1], "calm");
  double start = wall();
  answer_length = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", ANSWER);
  memset(answer + answer_length, 'x', ANSWER);
  answer_length += ANSWER;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, status;
  if (listener < 0 || fd < 0 || bind(listener, (void *)&at, size) || listen(listener, 8) || getsockname(listener, (void *)&at, &size)) die("listen");
  pid_t server = fork();
  if (server < 0) die("fork");
  if (!server) {
    close(fd);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    serve(listener);
  }
  if (connect(fd, (void *)&at, size)) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  double w = wall(), c = tcpu();
  if (calm) for (; trips < 50; trips++) one_trip(fd, trips);
  else message_storm(fd, 4);
  t[0] = (struct tr){calm ? "one_trip" : "message_storm", "storm.c", wall() - w, tcpu() - c, trips};
  close(fd);
  if (waitpid(server, &status, 0) != server || status) { fprintf(stderr, "the server ended with %d\n", status); return 1; }
  w = wall(), c = tcpu();
  plain_work(calm ? 2 : 1.5);
  t[1] = (struct tr){"plain_work", "storm.c", wall() - w, tcpu() - c, 1};
  char extra[300];
  snprintf(extra, sizeof extra, "\"http\":{\"peers\":[{\"service\":\"storm\",\"port\":%d,\"round_trips\":%ld,\"failed\":0,\"connections\":1}]}", ntohs(at.sin_port), trips);
  truth_write("w29_storm", calm ? "calm" : "messages", t, 2, wall() - start, extra);
  return 0;
}
