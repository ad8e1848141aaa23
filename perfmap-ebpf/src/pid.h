/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Processes and threads as the PID namespace numbers them that perfmap runs in: elsewhere than in the machine's own a task
 * has a number in each namespace from there down to its own. 0: not in ours. */
#ifndef PERFMAP_PID_H
#define PERFMAP_PID_H

#include "state.h"

/* include/linux/pid_namespace.h */
#define PID_LEVELS 33

struct pid_namespace {
	struct ns_common ns;
} CORE;
struct upid {
	int nr;
	struct pid_namespace *ns;
} CORE;
struct pid {
	unsigned int level;
	struct upid numbers[];
} CORE;

static __noinline u32 number_in_ours(struct pid *pid) {
	u32 level = BPF_CORE_READ(pid, level);
	struct upid *at = (void *)pid + bpf_core_field_offset(struct pid, numbers);
	for (u32 i = 0; i < PID_LEVELS && i <= level; i++) {
		struct upid *number = (void *)at + i * 16;
		if (BPF_CORE_READ(number, ns, ns.inum) == settings.pid_namespace)
			return BPF_CORE_READ(number, nr);
	}
	return 0;
}

/* Both are one load where perfmap has the machine's own numbers: what is not taken is not even loaded. */
static __always_inline u32 pid_of(struct task_struct *task) {
	return settings.pid_namespace ? number_in_ours(BPF_CORE_READ(task, group_leader, thread_pid)) : task->tgid;
}

static __always_inline u32 tid_of(struct task_struct *task) {
	return settings.pid_namespace ? number_in_ours(BPF_CORE_READ(task, thread_pid)) : task->pid;
}

static __always_inline u32 parent_of(struct task_struct *task) {
	return settings.pid_namespace ? number_in_ours(BPF_CORE_READ(task, real_parent, group_leader, thread_pid))
				      : BPF_CORE_READ(task, real_parent, tgid);
}

static __always_inline u32 current_pid(void) {
	return settings.pid_namespace ? pid_of(bpf_get_current_task_btf()) : bpf_get_current_pid_tgid() >> 32;
}

static __always_inline u32 current_tid(void) {
	return settings.pid_namespace ? tid_of(bpf_get_current_task_btf()) : (u32)bpf_get_current_pid_tgid();
}

#endif
