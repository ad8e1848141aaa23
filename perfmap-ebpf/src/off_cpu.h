/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The end of an interval off the CPU: over the threshold it becomes a record; below it, or where the ring has no room for
 * the record, it is summed, so that nobody takes it for time on the CPU. Events of the scheduler
 * do not always reach us (interrupts in some stretches of the kernel's work go by untraced, also for other tracers): what is
 * missing is told by the scheduler's own times where it has them, and counted. */
#ifndef PERFMAP_OFF_CPU_H
#define PERFMAP_OFF_CPU_H

#include "emit.h"

/* A wake that was under way when the task blocked puts it into the run queue as soon as it has left the CPU. */
#define EARLY_NS 50000
/* What a task waits for uninterruptibly is the device that it last gave work to, if that was just before: plugged
 * requests go out when it blocks. */
#define DEVICE_NS 10000000

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

/* A time of the scheduler's in ours; 0: there is none. Its clock runs beside ours, so only the distance to now is taken. */
static __always_inline u64 by_clock_of(struct task_struct *task, u64 at, u64 now) {
	if (!bpf_core_field_exists(task->se.cfs_rq) || !bpf_core_field_exists(((struct cfs_rq *)0)->rq))
		return 0;
	u64 clock = BPF_CORE_READ(task, se.cfs_rq, rq, clock);
	return at && clock >= at && clock - at < now ? now - (clock - at) : 0;
}

/* When it became runnable, as the scheduler says. */
static __always_inline u64 queued_at(struct task_struct *task, u64 now) {
	if (!bpf_core_field_exists(task->sched_info.last_queued))
		return 0;
	return by_clock_of(task, task->sched_info.last_queued, now);
}

/* Every task is woken after it blocked, or in the moment between. Where our program did not see that (it does not run
 * inside itself), what stands here is of an earlier sleep that did not come to be. */
static __always_inline bool is_stale(struct task_state *state) {
	return state->state && !state->woken_after_switch && state->wake + EARLY_NS < state->off;
}

/* Two loads: a helper would cost as much as the rest of the note. */
static __always_inline void copy_name(char *name, struct task_struct *task) {
	u64 *from = (u64 *)&task->comm, *to = (u64 *)name;
	to[0] = from[0];
	to[1] = from[1];
}

/* A task got this CPU. */
static __always_inline void note_run(struct task_struct *task, bool followed, u64 now) {
	u32 zero = 0;
	struct runs *all = bpf_map_lookup_elem(&runs, &zero);
	if (!all)
		return;
	struct run *run = &all->last[all->count++ & (RUNS - 1)];
	run->from = now;
	run->pid = task->pid ? pid_of(task) : 0;
	run->tid = task->pid ? tid_of(task) : 0;
	if (followed || !task->pid)
		run->comm[0] = 0;
	else
		copy_name(run->comm, task);
}

#ifdef MAPS_ARE_HERE
struct rival {
	u64 ready, end, most, count;
	u32 longest, zero;
};

/* The run before the ones that were looked at. A callback is verified once, however many runs there are. */
static long look_at_run(u32 index, struct rival *rival) {
	u32 zero = 0, place = (rival->count - index - 1) & (RUNS - 1);
	struct runs *all = bpf_map_lookup_elem(&runs, &zero);
	if (!all || index >= rival->count)
		return 1;
	u64 from = all->last[place].from;
	u64 begin = from > rival->ready ? from : rival->ready;
	if (rival->end > begin && rival->end - begin > rival->most) {
		rival->most = rival->end - begin;
		rival->longest = place;
	}
	if (from < rival->end)
		rival->end = from;
	return from <= rival->ready;
}

/* Who had this CPU longest at a stretch while the task was ready. It may have been ready on another CPU before. */
static __noinline int name_rival(struct block_record *record, u64 ready, u64 now) {
	u32 zero = 0;
	struct runs *all = bpf_map_lookup_elem(&runs, &zero);
	if (!all || !record)
		return 0;
	struct rival rival = {.ready = ready, .end = now, .count = all->count, .longest = RUNS};
	bpf_loop(RUNS, look_at_run, &rival, 0);
	if (rival.longest >= RUNS)
		return 0;
	struct run *run = &all->last[rival.longest & (RUNS - 1)];
	record->before_pid = run->pid;
	record->before_tid = run->tid;
	__builtin_memcpy(record->before_comm, run->comm, sizeof(record->before_comm));
	return 0;
}

/* `ids`: process and thread. `queued`: when it became runnable, where the scheduler was asked. 0: it is not written. */
APART int write_block(struct task_state *state, u64 now, u64 ids, s32 call, u64 queued) {
	if (!state)
		return 0;
	u64 off = state->off, wake = state->wake;
	struct block_record record = {};
	fill_header(&record.header, KIND_BLOCK, ids >> 32, ids, now);
	record.off = off;
	record.state = state->state;
	record.syscall = call;
	if (!queued || queued > off + EARLY_NS) {
		lose(LOSS_WAKE_UNSEEN);
		wake = queued;
		record.waker_syscall = record.waker_descriptor = -1;
		record.flags = BLOCK_UNSEEN_WAKE;
	} else {
		record.waker_pid = state->waker_pid;
		record.waker_tid = state->waker_tid;
		record.waker_syscall = state->waker_syscall;
		record.waker_descriptor = state->waker_descriptor;
		__builtin_memcpy(record.waker_comm, state->waker_comm, sizeof(record.waker_comm));
		if (state->state && wake && !state->woken_after_switch)
			record.flags = BLOCK_EARLY_WAKE;
	}
	record.wake = wake && wake < off ? off : wake;
	if (state->throttled)
		record.flags |= BLOCK_THROTTLED;
	record.holder = state->holder;
	record.waker_goroutine = state->waker_goroutine;
	if (state->holder && state->holds_interpreter)
		record.flags |= BLOCK_INTERPRETER_LOCK;
	if (state->state & 2 && state->device_at && off - state->device_at < DEVICE_NS)
		record.device = state->device;
	u64 ready = state->state ? record.wake : off;
	if (ready)
		name_rival(&record, ready, now);
	if (!emit(&record, sizeof(record), LOSS_RING_WAIT))
		return 0;
	if (state->state && record.syscall >= 0)
		state->blocks++;
	return 1;
}
#else
extern int write_block(struct task_state *state, u64 now, u64 ids, s32 call, u64 queued);
#endif

/* A block over the threshold. 0: it is not written. */
static __always_inline int emit_block(struct task_struct *task, struct task_state *state, u64 now) {
	u64 ids = (u64)pid_of(task) << 32 | tid_of(task);
	u64 queued = is_stale(state) ? queued_at(task, now) : state->off;
	return write_block(state, now, ids, state->state ? state->call : syscall_of(task), queued);
}

static __always_inline void enter(struct task_struct *task, struct task_state *state, u64 now) {
	u64 off = state->off, wake = is_stale(state) ? 0 : state->wake;
	u32 zero = 0;
	struct live_settings *limits = bpf_map_lookup_elem(&live, &zero);
	if (!limits)
		return;
	if (!off) {
		lose(LOSS_SWITCH_UNSEEN);
		return;
	}
	if (now - off < limits->wait_threshold_ns || !emit_block(task, state, now)) {
		if (wake && wake < off)
			wake = off;
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

/* Off the CPU by what we saw, but it runs: this switch did not reach us. The scheduler knows when it was. */
static __always_inline void came_unseen(struct task_struct *task, struct task_state *state, u64 now) {
	u64 on = 0;
	if (bpf_core_field_exists(task->sched_info.last_arrival))
		on = by_clock_of(task, task->sched_info.last_arrival, now);
	if (on > state->off)
		enter(task, state, on);
	else
		lose(LOSS_SWITCH_UNSEEN);
	state->off = 0;
}

#endif
