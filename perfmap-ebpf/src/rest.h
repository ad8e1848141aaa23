/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The program at the return of system calls rests for most of a storm of calls (live_settings.rests is odd then): being
 * called costs more than what it does. What a task read and wrote meanwhile is known from the kernel's own counters, and
 * told when its next return is seen, or at its end. */
#ifndef PERFMAP_REST_H
#define PERFMAP_REST_H

#include "counters.h"
#include "file_sum.h"

/* The part of `count` that files have, as it was while returns were watched. */
static __always_inline u64 of_files(struct task_state *state, u32 operation, u64 seen, u64 count) {
	u64 others = state->others[operation & 1];
	if (!others)
		return count;
	return others < seen ? count - (count / seen * others + count % seen * others / seen) : 0;
}

/* Not 0: returns went by unwatched since the task's last one. */
static __always_inline int rested(struct task_state *state, struct live_settings *now) {
	return now && (now->rests & 1 || state->rests != now->rests);
}

static __noinline int tell_unwatched(struct task_struct *task, struct task_state *state, u32 rests) {
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!task || !state || !scratch)
		return 0;
	u64 before[2] = {state->chars[READ], state->chars[WRITE]}, calls[2] = {state->calls[READ], state->calls[WRITE]};
	u64 now = bpf_ktime_get_ns();
	struct file_io_record *record = &scratch->record.file_io;
	read_counters(task, state);
	for (u32 operation = READ; operation <= WRITE; operation++) {
		struct file_sum *sum = operation == READ ? &state->io[READ] : &state->io[WRITE];
		u64 seen = before[operation] - state->watched_from[operation];
		__builtin_memset(record, 0, sizeof(*record));
		/* What was watched comes first: it says whose the rest is. */
		if (sum->calls) {
			fill_file_io(record, operation, sum);
			record->header.pid = task->tgid;
			record->header.tid = task->pid;
			if (!bpf_ringbuf_output(&events, record, sizeof(*record), BPF_RB_NO_WAKEUP))
				sum->calls = sum->bytes = 0;
		}
		fill_header(&record->header, KIND_FILE_IO, task->tgid, task->pid, now);
		record->bytes = of_files(state, operation, seen, state->chars[operation] - before[operation]);
		record->calls = of_files(state, operation, seen, state->calls[operation] - calls[operation]);
		record->first = sum->last ? sum->last : now;
		record->site = 0;
		record->operation = operation;
		record->has_stack = UNWATCHED;
		/* Also where nothing was read: waits in calls whose return nobody saw are over. */
		if (record->bytes || (operation == READ && state->blocks))
			emit(record, sizeof(*record), LOSS_RING_FILE);
		/* The struct file may be another's by now. */
		sum->file = sum->unchecked = 0;
		state->watched_from[operation] = state->chars[operation];
		state->others[operation] = 0;
	}
	state->rests = rests;
	state->blocks = state->polled = state->on_socket = 0;
	return 0;
}

#endif
