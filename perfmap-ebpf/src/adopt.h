/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Processes that ran already: who is to be followed, and how one of their threads comes to be. The far ends of
 * connections that followed tasks opened are remembered; who uses one is a peer. */
#ifndef PERFMAP_ADOPT_H
#define PERFMAP_ADOPT_H

#include "emit.h"

#define PF_EXITING 0x4
#ifndef PF_KTHREAD
#define PF_KTHREAD 0x00200000
#endif

/* enum verdict, key tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u32);
	__type(value, u32);
} outsiders SHARED;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct far_end);
	__type(value, u32);
} far_ends SHARED;

/* True for a process whose threads are yet to be adopted. While only learning nobody is; but a child of one whose
 * connections are looked at is one as well. */
static __always_inline bool follows_children(struct task_struct *parent, struct task_struct *child) {
	if (!settings.follow)
		return 0;
	u32 from = pid_of(parent), to = pid_of(child);
	u32 *verdict = bpf_map_lookup_elem(&outsiders, &from);
	if (!verdict || *verdict != VERDICT_FOLLOWED)
		return 0;
	if (!settings.counting_only)
		return 1;
	if (from != to) {
		u32 followed = VERDICT_FOLLOWED;
		bpf_map_update_elem(&outsiders, &to, &followed, BPF_ANY);
	}
	return 0;
}

/* The record first: whatever the task does next is recorded after it. */
static __always_inline struct task_state *adopt(struct task_struct *task) {
	u64 now = bpf_ktime_get_ns();
	struct adopt_record record = {};
	fill_header(&record.header, KIND_ADOPT, pid_of(task), tid_of(task), now);
	record.parent = parent_of(task);
	record.cpu_ns = task->se.sum_exec_runtime;
	bpf_probe_read_kernel_str(record.comm, sizeof(record.comm), &task->comm);
	emit(&record, sizeof(record), LOSS_RING_TASK);
	struct task_state *state = bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		lose(LOSS_TASK_STORAGE);
		return 0;
	}
	/* Asleep, or waiting for a CPU: since when nobody knows. One that gets a CPU right now only loses this wait. */
	if (!task->on_cpu && !state->off) {
		state->state = task->__state;
		state->call = syscall_of(task);
		state->off = now;
	}
	return state;
}

#endif
