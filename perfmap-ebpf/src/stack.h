/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* A stack in three parts: Python frames, kernel addresses, and a copy of the user stack with the registers, which user
 * space unwinds with the binary's own tables (code without frame pointers). */
#ifndef PERFMAP_STACK_H
#define PERFMAP_STACK_H

#include "go.h"
#include "python.h"

/* The user's registers as they were at kernel entry; framehop's (DWARF) order. */
static __always_inline void read_registers(u64 *to) {
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	to[0] = regs->ax;
	to[1] = regs->dx;
	to[2] = regs->cx;
	to[3] = regs->bx;
	to[4] = regs->si;
	to[5] = regs->di;
	to[6] = regs->bp;
	to[7] = regs->sp;
	to[8] = regs->r8;
	to[9] = regs->r9;
	to[10] = regs->r10;
	to[11] = regs->r11;
	to[12] = regs->r12;
	to[13] = regs->r13;
	to[14] = regs->r14;
	to[15] = regs->r15;
	to[16] = regs->ip;
	/* An instruction under a probe of ours runs from a page of its own ([uprobes]): this is where it belongs. */
	struct task_struct *task = bpf_get_current_task_btf();
	if (!bpf_core_field_exists(task->utask) || !bpf_core_field_exists(((struct uprobe_task *)0)->active_uprobe))
		return;
	struct uprobe_task *probed = task->utask;
	if (probed && probed->active_uprobe)
		to[16] = probed->vaddr;
}

#define CHUNK 2048
#define SMALL_CHUNK 256

/* The limits in force now. The map has its one entry from the start: NULL is for the verifier alone. */
static __always_inline u32 stack_limit(void) {
	u32 zero = 0;
	struct live_settings *now = bpf_map_lookup_elem(&live, &zero);
	return now ? now->stack_bytes : 0;
}

/* Where the running thread's stack ends, if that is within reach: the first thread's at the program's arguments, those of
 * libc's threads at their control block, which fs points to. */
static __always_inline u64 top_of_stack(u64 sp, u32 limit) {
	struct task_struct *task = bpf_get_current_task_btf();
	u64 block = task->thread.fsbase, first = task->mm ? task->mm->start_stack : 0;
	if (block > sp && block - sp < limit)
		return block;
	return first > sp && first - sp < limit ? first : 0;
}

/* A read that meets a page which is not there fails as a whole, so the copy goes in chunks that lie in one page each.
 * Pages of a large array that nobody has written to yet are not there, in the middle of a stack: they stay zero, and
 * no return address lies in them. */
static __always_inline u32 copy_user_stack(u32 context, u64 sp, u32 limit) {
	struct user_stack *to = bpf_map_lookup_elem(&user_stacks, &context);
	if (!to)
		return 0;
	u64 top = top_of_stack(sp, limit);
	u32 end = top && top - sp + SMALL_CHUNK < limit ? top - sp + SMALL_CHUNK : limit;
	u32 at = -sp & (CHUNK - 1), copied = at;
	if (bpf_probe_read_user(to->bytes, at, (void *)sp))
		return 0;
	for (u32 i = 0; i < MAX_STACK_BYTES / CHUNK; i++) {
		barrier_var(at);
		if (at >= end || at > MAX_STACK_BYTES - CHUNK)
			break;
		if (!bpf_probe_read_user(&to->bytes[at], CHUNK, (void *)(sp + at)))
			copied = at + CHUNK;
		at += CHUNK;
	}
	/* What is left of the space is less than a chunk. */
	for (u32 i = 0; i < CHUNK / SMALL_CHUNK; i++) {
		barrier_var(at);
		if (at >= end || at > MAX_STACK_BYTES - SMALL_CHUNK)
			break;
		if (!bpf_probe_read_user(&to->bytes[at], SMALL_CHUNK, (void *)(sp + at)))
			copied = at + SMALL_CHUNK;
		at += SMALL_CHUNK;
	}
	return copied < end ? copied : end;
}

#ifdef MAPS_ARE_HERE
/* Everything but the kernel part. The scratch of `context` then holds the variable parts. */
APART int take_stack(struct stack_head *head, u32 context, u32 pid) {
	struct scratch *scratch = scratch_of(context);
	if (!head || !scratch)
		return 0;
	head->kernel = 0;
	read_registers(head->registers);
	head->python = walk_python(context, pid);
	head->flags = scratch->walk.flags;
	head->coroutine = scratch->walk.coroutine;
	u64 sp = head->registers[7], high = 0, goroutine = running_goroutine(pid, sp, &high);
	u32 limit = stack_limit(), room = limit;
	if (goroutine)
		head->coroutine = goroutine;
	if (high && high - sp < limit)
		room = high - sp;
	head->user = copy_user_stack(context, sp, room);
	if (head->user >= limit)
		head->flags |= STACK_USER_CUT;
	return 0;
}
#else
extern int take_stack(struct stack_head *head, u32 context, u32 pid);
#endif

/* `record` (whose last field is `head`), the stack's variable parts, and `extra` bytes of payload, as one ring entry.
 * Not 0: there was no room. */
static __always_inline int emit_with_stack(void *record, u32 record_size, struct stack_head *head,
					    struct scratch *scratch, u32 context, u8 *extra, u32 extra_bytes, u32 loss) {
	struct user_stack *stack = bpf_map_lookup_elem(&user_stacks, &context);
	if (!stack)
		return 1;
	u32 python = head->python, kernel = head->kernel, user = head->user;
	BOUND(python, MAX_PYTHON_FRAMES);
	BOUND(kernel, MAX_KERNEL_FRAMES);
	BOUND(user, MAX_STACK_BYTES);
	BOUND(extra_bytes, MAX_PAYLOAD_BYTES);
	u32 python_bytes = python * sizeof(struct python_frame), kernel_bytes = kernel * 8;
	struct bpf_dynptr to;
	if (bpf_ringbuf_reserve_dynptr(&events, record_size + python_bytes + kernel_bytes + user + extra_bytes, 0, &to)) {
		bpf_ringbuf_discard_dynptr(&to, BPF_RB_NO_WAKEUP);
		lose(loss);
		return 1;
	}
	u32 at = record_size;
	bpf_dynptr_write(&to, 0, record, record_size, 0);
	if (python_bytes)
		bpf_dynptr_write(&to, at, scratch->python, python_bytes, 0);
	at += python_bytes;
	if (kernel_bytes)
		bpf_dynptr_write(&to, at, scratch->kernel, kernel_bytes, 0);
	at += kernel_bytes;
	if (user)
		bpf_dynptr_write(&to, at, stack->bytes, user, 0);
	at += user;
	if (extra && extra_bytes)
		bpf_dynptr_write(&to, at, extra, extra_bytes, 0);
	bpf_ringbuf_submit_dynptr(&to, BPF_RB_NO_WAKEUP);
	return 0;
}

#endif
