/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Who holds the lock that a task goes to sleep on, read from the lock itself in the sleeper's own context. Only the
 * running task's memory can be read here, and nobody knows better later: the waker need not be who held it. What is
 * read may be no lock at all; user space believes only a thread of the same process. */
#ifndef PERFMAP_LOCK_H
#define PERFMAP_LOCK_H

#include "pid.h"

#define SYS_FUTEX 202
/* linux/futex.h */
#define FUTEX_COMMAND 127
#define FUTEX_WAIT 0
#define FUTEX_LOCK_PI 6
#define FUTEX_WAIT_BITSET 9
#define FUTEX_LOCK_PI2 13
#define FUTEX_TID 0x3fffffff

/* struct _gil_runtime_state of CPython 3.8 to 3.13: interval in microseconds, last_holder, locked, switch_number, and
 * from 32 on the condition variable, in which glibc's two words to sleep on lie at 40 and 44. */
#define GIL_BEFORE_FUTEX 72
struct interpreter_lock {
	u64 interval, last_holder;
	u32 locked;
};
/* struct pthread of glibc 2.3 .. 2.41, x86-64. */
#define PTHREAD_TID 0x2d0

static __always_inline u32 interpreter_s_holder(u32 pid, u64 address) {
	struct python_layout *layout = bpf_map_lookup_elem(&python_processes, &pid);
	struct interpreter_lock lock = {};
	u64 thread = 0;
	u32 tid = 0;
	if (!layout || !layout->thread_pthread ||
	    bpf_probe_read_user(&lock, sizeof(lock), (void *)((address & ~7ull) - GIL_BEFORE_FUTEX)))
		return 0;
	/* A condition variable of something else has other words before it. */
	if (lock.locked != 1 || !lock.interval || lock.interval >> 32 || !lock.last_holder)
		return 0;
	if (bpf_probe_read_user(&thread, 8, (void *)(lock.last_holder + layout->thread_pthread)) ||
	    bpf_probe_read_user(&tid, 4, (void *)(thread + PTHREAD_TID)))
		return 0;
	return tid;
}

/* Of the running task, which goes to sleep. */
APART int look_at_lock(struct task_state *state) {
	struct task_struct *task = bpf_get_current_task_btf();
	if (!state)
		return 0;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	u64 address = regs->di;
	u32 command = regs->si & FUTEX_COMMAND, words[3] = {};
	state->holds_interpreter = 0;
	switch (command) {
	case FUTEX_WAIT_BITSET:
		state->holder = interpreter_s_holder(pid_of(task), address);
		if (state->holder) {
			state->holds_interpreter = 1;
			return 0;
		}
		/* A lock with a time-out. */
	case FUTEX_WAIT:
		/* glibc's mutex: the futex, a count, the owner. */
		if (!bpf_probe_read_user(words, sizeof(words), (void *)address))
			state->holder = words[2];
		return 0;
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		if (!bpf_probe_read_user(words, 4, (void *)address))
			state->holder = words[0] & FUTEX_TID;
		return 0;
	}
	return 0;
}

#endif
