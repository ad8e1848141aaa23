/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The process tree, without a gap: fork runs in the maker's context before the child can run, so a child of a followed
 * process is followed from its first instruction on. */
#define MAPS_ARE_HERE
#include "call.h"
#include "file_sum.h"
#include "off_cpu.h"
#include "adopt.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define SYS_PRCTL 157
#define SYS_WRITE 1
#define EINTR 4

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child) {
	if (!state_of(parent) && !follows_children(parent, child))
		return 0;
	u64 now = bpf_ktime_get_ns();
	struct task_state *state = bpf_task_storage_get(&tasks, child, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!state) {
		lose(LOSS_TASK_STORAGE);
		return 0;
	}
	state->off = now; /* a new task waits for its first turn on a CPU */
	u32 from = pid_of(parent), to = pid_of(child);
	if (from != to) {
		struct python_layout *layout = bpf_map_lookup_elem(&python_processes, &from);
		if (layout) {
			struct python_layout copy = *layout;
			bpf_map_update_elem(&python_processes, &to, &copy, BPF_ANY);
		}
	}
	struct fork_record record = {};
	fill_header(&record.header, KIND_FORK, pid_of(parent), tid_of(parent), now);
	record.child_pid = to;
	record.child_tid = tid_of(child);
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	emit(&record, sizeof(record), LOSS_RING_TASK);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_tid, struct linux_binprm *program) {
	u32 pid = pid_of(task);
	if (!state_of(task)) {
		if (!bpf_map_lookup_elem(&roots, &pid))
			return 0;
		if (!bpf_task_storage_get(&tasks, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE)) {
			lose(LOSS_TASK_STORAGE);
			return 0;
		}
	}
	bpf_map_delete_elem(&python_processes, &pid);
	bpf_map_delete_elem(&go_processes, &pid);
	struct named_record record = {};
	fill_header(&record.header, KIND_EXEC, pid, tid_of(task), bpf_ktime_get_ns());
	record.value = old_tid;
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	emit(&record, sizeof(record), LOSS_RING_TASK);
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *task, const char *comm) {
	if (!state_of(task))
		return 0;
	/* execve renames as well, before its own event: only names that a program gives itself count. */
	s32 call = syscall_of(bpf_get_current_task_btf());
	if (call != SYS_PRCTL && call != SYS_WRITE)
		return 0;
	struct named_record record = {};
	fill_header(&record.header, KIND_RENAME, pid_of(task), tid_of(task), bpf_ktime_get_ns());
	record.value = call;
	bpf_probe_read_kernel_str(record.comm, sizeof(record.comm), comm);
	emit(&record, sizeof(record), LOSS_RING_TASK);
	return 0;
}

/* The last sums, without a stack. */
static __always_inline void flush_short_waits(struct task_struct *task, struct task_state *state) {
	if (!state->short_count)
		return;
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch)
		return;
	struct short_waits_record *record = &scratch->record.short_waits;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, KIND_SHORT_WAITS, pid_of(task), tid_of(task), bpf_ktime_get_ns());
	record->from = state->short_from;
	record->run_queue = state->short_run_queue;
	record->count = state->short_count;
	for (u32 i = 0; i < WAIT_CLASSES; i++)
		record->blocked[i] = state->short_blocked[i];
	emit(record, sizeof(*record), LOSS_RING_WAIT);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task) {
	struct task_state *state = state_of(task);
	u32 pid = pid_of(task);
	/* Its number may soon be another's. */
	if (settings.follow && task->signal->live.counter == 0)
		bpf_map_delete_elem(&outsiders, &pid);
	if (!state)
		return 0;
	flush_sum(READ, &state->io[0]);
	flush_sum(WRITE, &state->io[1]);
	if (state->io[READ].calls || state->io[WRITE].calls)
		lose(LOSS_RING_FILE);
	flush_short_waits(task, state);
	/* Killed in a system call: it does not return. Since 6.16 this event comes before the memory is given up; on older
	 * kernels the stack is empty. */
	if (state->blocks && syscall_of(task) >= 0)
		emit_call(-EINTR);
	struct exit_record record = {};
	fill_header(&record.header, KIND_EXIT, pid, tid_of(task), bpf_ktime_get_ns());
	record.code = task->exit_code;
	record.alive = task->signal->live.counter;
	record.cpu_ns = task->se.sum_exec_runtime;
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	emit(&record, sizeof(record), LOSS_RING_TASK);
	if (record.alive == 0) {
		bpf_map_delete_elem(&python_processes, &pid);
		bpf_map_delete_elem(&go_processes, &pid);
	}
	return 0;
}

/* Over all tasks, whenever user space has marked more processes as followed. */
SEC("iter/task")
int on_adopt(struct bpf_iter__task *context) {
	struct task_struct *task = context->task;
	if (!task)
		return 0;
	u32 pid = pid_of(task);
	u32 *verdict = bpf_map_lookup_elem(&outsiders, &pid);
	if (!verdict || *verdict != VERDICT_FOLLOWED || state_of(task) || task->flags & PF_EXITING)
		return 0;
	adopt(task);
	return 0;
}

/* The end of the recording: what tasks that live on have not written out. */
SEC("iter/task")
int on_end(struct bpf_iter__task *context) {
	struct task_struct *task = context->task;
	struct task_state *state = task ? state_of(task) : 0;
	if (!state)
		return 0;
	for (u32 operation = READ; operation <= WRITE; operation++) {
		struct file_sum *sum = operation == READ ? &state->io[READ] : &state->io[WRITE];
		struct file_io_record record = {};
		if (!sum->calls)
			continue;
		fill_file_io(&record, operation, sum);
		record.header.pid = pid_of(task);
		record.header.tid = tid_of(task);
		emit(&record, sizeof(record), LOSS_RING_FILE);
	}
	flush_short_waits(task, state);
	if (!state->off)
		return 0;
	struct block_record block = {};
	fill_header(&block.header, KIND_BLOCK, pid_of(task), tid_of(task), bpf_ktime_get_ns());
	block.off = state->off;
	block.state = state->state;
	block.syscall = syscall_of(task);
	block.flags = BLOCK_UNFINISHED;
	block.holder = state->holder;
	if (state->holder && state->holds_interpreter)
		block.flags |= BLOCK_INTERPRETER_LOCK;
	if (state->state & 2)
		block.device = state->device;
	emit(&block, sizeof(block), LOSS_RING_WAIT);
	return 0;
}
