/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* When a followed task leaves and gets a CPU, and who made it runnable. Switches only stamp times: a block over the
 * threshold becomes a record at switch-in, a shorter one a sum; the stack is taken in the task's own context when its
 * system call returns (syscall.bpf.c), because a sleeping task's memory cannot be read here. */
#include "go_waits.h"
#include "lock.h"

#define PF_KTHREAD 0x00200000
/* Faults that block come in swarms (swap, a contended address space): one stack a millisecond tells where. */
#define FAULT_EVERY_NS 1000000

static __always_inline u32 wait_class(s32 call, u32 state) {
	if (state & 2)
		return WAIT_DISK;
	switch (call) {
	case 0: case 1: case 19: case 20: /* read write readv writev: pipes, mostly */
		return WAIT_PIPE;
	case 42: case 43: case 44: case 45: case 46: case 47: case 288: case 299: case 307:
		return WAIT_SOCKET;
	case 7: case 23: case 232: case 270: case 271: case 281: case 441:
		return WAIT_POLL;
	case 202:
		return WAIT_FUTEX;
	case 34: case 35: case 230:
		return WAIT_SLEEP;
	case 61: case 247:
		return WAIT_CHILD;
	}
	return WAIT_OTHER;
}

/* Whether the task's cgroup, or one above it, has used up its CPU quota for this period: since 6.18 a task is stopped by
 * itself on its way out of the kernel, before that with its whole run queue. No tracepoint tells. */
static __always_inline u32 is_throttled(struct task_struct *task) {
	if (bpf_core_field_exists(task->throttled))
		return task->throttled;
	if (bpf_core_field_exists(((struct cfs_rq *)0)->throttle_count) && bpf_core_field_exists(task->se.cfs_rq)) {
		struct cfs_rq *queue = task->se.cfs_rq;
		return queue && queue->throttle_count > 0;
	}
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(on_waking, struct task_struct *task) {
	struct task_state *state = state_of(task);
	/* A waker on another CPU may fire between the task's deactivation and its switch-out event: that stamp is kept, a
	 * later one replaces it. Who is woken is not woken again before it runs, so the last one is the one that counts. */
	if (!state)
		return 0;
	u64 now = bpf_ktime_get_ns(), off = state->off;
	state->woken_after_switch = off != 0;
	state->wake = now;
	state->throttled = is_throttled(task);
	/* Of a wait below the threshold only the length is kept. */
	state->waker_pid = 0;
	state->waker_tid = 0;
	state->waker_goroutine = 0;
	if (off && now - off < settings.wait_threshold_ns)
		return 0;
	struct task_struct *waker = bpf_get_current_task_btf();
	state->waker_pid = pid_of(waker);
	state->waker_tid = tid_of(waker);
	state->waker_syscall = -1;
	state->waker_descriptor = -1;
	state->waker_comm[0] = 0;
	if (waker->pid && !(waker->flags & PF_KTHREAD)) {
		struct pt_regs *regs = (void *)bpf_task_pt_regs(waker);
		state->waker_syscall = syscall_of(waker);
		state->waker_descriptor = regs->di;
	}
	if (!state_of(waker)) /* the names of followed tasks are known */
		bpf_get_current_comm(state->waker_comm, sizeof(state->waker_comm));
	else
		state->waker_goroutine = goroutine_that_wakes(state->waker_pid);
	return 0;
}

static __always_inline void leave(struct task_struct *task, struct task_state *state, u64 now, u32 why) {
	state->off = now;
	state->state = why;
	state->holder = 0;
	if (!why) {
		state->throttled = is_throttled(task);
		return;
	}
	u32 pid = pid_of(task);
	s32 call = syscall_of(task);
	state->call = call;
	if (call == SYS_FUTEX && !settings.counting_only)
		look_at_lock(task, state);
	look_at_goroutines(pid, call);
	/* Outside system calls no return will follow at which the stack could be taken: a page fault's is taken now. */
	if (call >= 0 || now - state->fault < FAULT_EVERY_NS)
		return;
	state->fault = now;
	struct scratch *scratch = scratch_of(CONTEXT_SWITCH);
	if (!scratch || task->flags & PF_KTHREAD)
		return;
	struct sample_record *record = &scratch->record.sample;
	fill_header(&record->header, KIND_FAULT_STACK, pid, tid_of(task), now);
	take_stack(&record->stack, scratch, CONTEXT_SWITCH, pid);
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_SWITCH, 0, 0, LOSS_RING_WAIT);
}

static __always_inline void enter(struct task_struct *task, struct task_state *state, u64 now) {
	u64 off = state->off, wake = state->wake;
	u32 zero = 0;
	struct live_settings *limits = bpf_map_lookup_elem(&live, &zero);
	if (!off || !limits)
		return;
	if (wake && wake < off)
		wake = off;
	if (now - off >= limits->wait_threshold_ns) {
		s32 call = state->state ? state->call : syscall_of(task);
		struct block_record record = {};
		fill_header(&record.header, KIND_BLOCK, pid_of(task), tid_of(task), now);
		record.off = off;
		record.wake = wake;
		record.state = state->state;
		record.syscall = call;
		record.waker_pid = state->waker_pid;
		record.waker_tid = state->waker_tid;
		record.waker_syscall = state->waker_syscall;
		record.waker_descriptor = state->waker_descriptor;
		__builtin_memcpy(record.waker_comm, state->waker_comm, sizeof(record.waker_comm));
		record.flags = state->state && wake && !state->woken_after_switch ? BLOCK_EARLY_WAKE : 0;
		if (state->throttled)
			record.flags |= BLOCK_THROTTLED;
		record.holder = state->holder;
		record.waker_goroutine = state->waker_goroutine;
		if (state->holder && state->holds_interpreter)
			record.flags |= BLOCK_INTERPRETER_LOCK;
		emit(&record, sizeof(record), LOSS_RING_WAIT);
		if (state->state && call >= 0)
			state->blocks++;
	} else {
		u64 blocked = !state->state ? 0 : wake ? wake - off : now - off;
		if (!state->short_count++)
			state->short_from = off;
		else if (now - state->short_from > settings.short_waits_every_ns)
			state->short_due = 1;
		state->short_run_queue += now - off - blocked;
		if (state->state) {
			u32 class = wait_class(state->call, state->state);
			if (class < WAIT_CLASSES)
				state->short_blocked[class] += blocked;
		}
	}
	state->off = 0;
	state->throttled = 0;
	state->wake = 0;
	state->woken_after_switch = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state) {
	u64 now = 0;
	struct task_state *state = prev->pid ? state_of(prev) : 0;
	if (state) {
		now = bpf_ktime_get_ns();
		leave(prev, state, now, preempt ? 0 : prev_state);
	}
	state = next->pid ? state_of(next) : 0;
	if (state)
		enter(next, state, now ? now : bpf_ktime_get_ns());
	return 0;
}
