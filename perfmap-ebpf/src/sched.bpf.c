/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* When a followed task leaves and gets a CPU, and who made it runnable. Switches only stamp times: a block over the
 * threshold becomes a record at switch-in, a shorter one a sum; the stack is taken in the task's own context when its
 * system call returns (syscall.bpf.c), because a sleeping task's memory cannot be read here. */
#include "go_waits.h"
#include "lock.h"
#include "off_cpu.h"

#define PF_KTHREAD 0x00200000
/* Faults that block come in swarms (swap, a contended address space): one stack a millisecond tells where. */
#define FAULT_EVERY_NS 1000000

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
		look_at_lock(state);
	if (rests_in(call))
		look_at_goroutines(pid);
	/* Outside system calls no return will follow at which the stack could be taken: a page fault's is taken now. */
	if (call >= 0 || now - state->fault < FAULT_EVERY_NS)
		return;
	state->fault = now;
	struct scratch *scratch = scratch_of(CONTEXT_SWITCH);
	if (!scratch || task->flags & PF_KTHREAD)
		return;
	struct sample_record *record = &scratch->record.sample;
	fill_header(&record->header, KIND_FAULT_STACK, pid, tid_of(task), now);
	take_stack(&record->stack, CONTEXT_SWITCH, pid);
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_SWITCH, 0, 0, LOSS_RING_WAIT);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state) {
	u64 now = bpf_ktime_get_ns();
	struct task_state *state = prev->pid ? state_of(prev) : 0;
	if (state) {
		if (state->off)
			came_unseen(prev, state, now);
		/* With a signal pending it does not block after all, which kernels before 6.16 do not tell in prev_state. */
		leave(prev, state, now, preempt || !prev->__state ? 0 : prev_state);
	}
	state = next->pid ? state_of(next) : 0;
	/* Some of these events do not reach us: tests lose more of them. */
	if (state && !(settings.lose_arrivals && bpf_get_prandom_u32() % settings.lose_arrivals == 0))
		enter(next, state, now);
	note_run(next, state != 0, now);
	return 0;
}
