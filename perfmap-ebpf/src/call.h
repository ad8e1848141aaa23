/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The record of a system call in which waits lay, with the stack: at its return, or where the task ends in it. */
#ifndef PERFMAP_CALL_H
#define PERFMAP_CALL_H

#include "stack.h"
#include "descriptor.h"

/* Of the running task. */
#ifdef MAPS_ARE_HERE
APART int emit_call(s64 result) {
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	u32 pid = current_pid(), call = regs->orig_ax;
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch)
		return 0;
	struct call_record *record = &scratch->record.call;
	fill_header_current(&record->header, KIND_CALL, bpf_ktime_get_ns());
	record->result = result;
	record->arguments[0] = regs->di;
	record->arguments[1] = regs->si;
	record->arguments[2] = regs->dx;
	record->identity = 0;
	record->syscall = call;
	record->object = OBJECT_NONE;
	switch (call) { /* the calls whose first argument is a descriptor that can block */
	case 0: case 1: case 17: case 18: case 19: case 20: case 42: case 43: case 44: case 45: case 46: case 47: case 72:
	case 73: case 74: case 75: case 232: case 281: case 288: case 295: case 296: case 299: case 307: case 441: {
		struct file *file = file_of(regs->di);
		if (file)
			record->object = object_of(file, &record->identity);
	}
	}
	take_stack(&record->stack, CONTEXT_CALL, pid);
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_CALL, 0, 0, LOSS_RING_WAIT);
	return 0;
}
#else
extern int emit_call(s64 result);
#endif

#endif
