/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Descriptors that may be forgotten. Numbers are given lowest first, so that one from WATCHED_FROM on says that so many
 * are open: programs that have no more open at a time cost nothing here. */
#ifndef PERFMAP_WATCHED_H
#define PERFMAP_WATCHED_H

#include "emit.h"

#define WATCHED_FROM 24

struct watched {
	u64 file; /* address of the struct file: who has the number now may be another one */
	u64 site, since;
	u32 object, opened; /* how many that site had opened by then */
};
/* Key: process and descriptor. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, u64);
	__type(value, struct watched);
} watched_descriptors SHARED;

static __always_inline u64 watched_key(u32 pid, u32 descriptor) {
	return (u64)pid << 32 | descriptor;
}

static __always_inline void emit_closed(struct watched *known, u32 pid, u32 tid, u32 descriptor, u32 left) {
	struct closed_record record = {};
	fill_header(&record.header, KIND_CLOSED, pid, tid, bpf_ktime_get_ns());
	record.since = known->since;
	record.site = known->site;
	record.descriptor = descriptor;
	record.object = known->object;
	record.opened = known->opened;
	record.left = left;
	emit(&record, sizeof(record), LOSS_RING_FILE);
}

#endif
