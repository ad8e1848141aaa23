// Functions that allocate known amounts: kept, freed at once, freed by another thread, large, from a second thread. Each block is
// filled and looked at before the end: a block that was handed out wrongly would show.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MOST 40000
#define OWN __attribute__((noinline))

struct block { unsigned char *at; size_t size; unsigned char mark; };
static struct block kept[MOST];
static int used;
struct tally { const char *function; long blocks, bytes, alive; };
static struct tally tallies[] = {{"keep_small"}, {"churn"}, {"keep_large"}, {"in_thread"}, {"produce"}};
enum { KEEP_SMALL, CHURN, KEEP_LARGE, IN_THREAD, PRODUCE };

static void count(int who, long size, int stays) {
	tallies[who].blocks++;
	tallies[who].bytes += size;
	tallies[who].alive += stays ? size : 0;
}

static void keep(void *at, size_t size) {
	if (!at || used == MOST) abort();
	memset(at, used & 0xff, size);
	kept[used] = (struct block){at, size, used & 0xff};
	used++;
}

OWN static void keep_small(int n) {
	for (int i = 0; i < n; i++) {
		keep(malloc(1000), 1000);
		count(KEEP_SMALL, 1000, 1);
	}
}

OWN static void churn(int n) {
	for (int i = 0; i < n; i++) {
		char *at = malloc(300);
		memset(at, 7, 300);
		at = realloc(at, 900);
		if (at[299] != 7) abort();
		free(at);
		count(CHURN, 300, 0);
		count(CHURN, 900, 0);
	}
}

OWN static void keep_large(int n) {
	for (int i = 0; i < n; i++) {
		void *at = NULL;
		size_t size = (i + 1) << 18;
		switch (i % 3) {
		case 0: if (posix_memalign(&at, 4096, size)) abort(); break;
		case 1: at = aligned_alloc(64, size); break;
		case 2: at = calloc(size / 256, 256); break;
		}
		keep(at, size);
		count(KEEP_LARGE, size, 1);
	}
	// Never succeeds: no block of anybody's.
	if (malloc((size_t)1 << 60) || errno != ENOMEM) abort();
}

OWN static void in_thread(int n) {
	for (int i = 0; i < n; i++) {
		keep(calloc(4, 500), 2000);
		count(IN_THREAD, 2000, 1);
	}
}

static void *handed[4000];
OWN static void produce(int n) {
	for (int i = 0; i < n; i++) {
		handed[i] = malloc(2000);
		memset(handed[i], 1, 2000);
		count(PRODUCE, 2000, 0);
	}
}

static void *thread(void *nothing) {
	in_thread(4000);
	produce(4000);
	return nothing;
}

int main(void) {
	keep_small(8000);
	churn(8000);
	keep_large(12);
	pthread_t other;
	if (pthread_create(&other, NULL, thread, NULL) || pthread_join(other, NULL)) return 1;
	for (int i = 0; i < 4000; i++) free(handed[i]);
	for (int i = 0; i < used; i++)
		for (size_t k = 0; k < kept[i].size; k++)
			if (kept[i].at[k] != kept[i].mark) return 2;
	const char *directory = getenv("TRUTH_DIR");
	char path[512];
	snprintf(path, sizeof path, "%s/w85_allocations.c.json", directory ? directory : "truth");
	FILE *file = fopen(path, "w");
	if (!file) return 3;
	fprintf(file, "{\"workload\":\"w85_allocations\",\"variant\":\"c\",\"allocations\":[");
	for (int i = 0; i < 5; i++)
		fprintf(file, "%s{\"function\":\"%s\",\"blocks\":%ld,\"bytes\":%ld,\"alive\":%ld}", i ? "," : "", tallies[i].function,
			tallies[i].blocks, tallies[i].bytes, tallies[i].alive);
	fprintf(file, "]}\n");
	return fclose(file) != 0;
}
