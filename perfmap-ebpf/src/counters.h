/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What the kernel itself has counted for a task: bytes and calls of read and write. */
#ifndef PERFMAP_COUNTERS_H
#define PERFMAP_COUNTERS_H

#include "file_sum.h"

static __always_inline void read_counters(struct task_struct *task, struct task_state *state) {
	if (!bpf_core_field_exists(task->ioac.rchar))
		return;
	state->chars[READ] = task->ioac.rchar;
	state->chars[WRITE] = task->ioac.wchar;
	state->calls[READ] = task->ioac.syscr;
	state->calls[WRITE] = task->ioac.syscw;
}

/* A task's state from its birth, or from its adoption, on. */
static __always_inline void begin_counters(struct task_struct *task, struct task_state *state) {
	u32 zero = 0;
	struct live_settings *now = bpf_map_lookup_elem(&live, &zero);
	state->rests = now ? now->rests : 0;
	read_counters(task, state);
	state->watched_from[READ] = state->chars[READ];
	state->watched_from[WRITE] = state->chars[WRITE];
}

#endif
