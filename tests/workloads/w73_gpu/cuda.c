/* Stands in for NVIDIA's driver where there is no device: the calls of its public interface that matter here, each of
 * which takes a known time in a known way. */
#include <time.h>

static volatile unsigned long turns;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* As with CU_CTX_SCHED_BLOCKING_SYNC: the thread sleeps. */
int cuCtxSynchronize(void) {
    struct timespec t = {0, 400000000};
    nanosleep(&t, 0);
    return 0;
}

/* As by default: the thread asks again and again. */
int cuStreamSynchronize(void *stream) {
    (void)stream;
    for (double end = now() + 0.3; now() < end;)
        turns++;
    return 0;
}

/* Work of the CPU inside the driver. */
int cuLaunchKernel(void) {
    for (double end = now() + 0.2; now() < end;)
        turns++;
    return 0;
}
