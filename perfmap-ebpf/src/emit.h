/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The only way out of the kernel: a record goes to the ring, or its loss is counted. Readers poll every 10 ms, so
 * nobody is woken from inside a probe: a wake-up costs over a microsecond (self-IPI). */
#ifndef PERFMAP_EMIT_H
#define PERFMAP_EMIT_H

#include "pid.h"

static __always_inline void fill_header(struct header *header, u32 kind, u32 pid, u32 tid, u64 at) {
	header->kind = kind;
	header->pid = pid;
	header->tid = tid;
	header->cpu = bpf_get_smp_processor_id();
	header->at = at;
}

static __always_inline void fill_header_current(struct header *header, u32 kind, u64 at) {
	fill_header(header, kind, current_pid(), current_tid(), at);
}

/* 0 where there was no room. */
static __always_inline int emit(void *record, u32 size, u32 loss) {
	if (!bpf_ringbuf_output(&events, record, size, BPF_RB_NO_WAKEUP))
		return 1;
	lose(loss);
	return 0;
}

#endif
