/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Where a followed task is when the sampling clock of its CPU ticks. */
#include "stack.h"

/* struct bpf_perf_event_data by position. Not by name: the kernel's `cs` has two bytes, CO-RE would shrink the load to
 * them, and the verifier takes only whole words of this context. */
struct sample_context {
	unsigned long registers[21];
};
#define CS 17

SEC("perf_event")
int on_sample(struct sample_context *ctx) {
	struct task_struct *task = bpf_get_current_task_btf();
	if (!state_of(task))
		return 0;
	u32 pid = pid_of(task);
	u32 zero = 0;
	struct live_settings *now = bpf_map_lookup_elem(&live, &zero);
	struct scratch *scratch = scratch_of(CONTEXT_SAMPLE);
	if (!scratch || !now)
		return 0;
	u32 every = now->sample_every;
	if (every > 1 && scratch->ticks++ % every)
		return 0;
	struct sample_record *record = &scratch->record.sample;
	fill_header(&record->header, KIND_SAMPLE, pid, tid_of(task), bpf_ktime_get_ns());
	take_stack(&record->stack, CONTEXT_SAMPLE, pid);
	if (!(ctx->registers[CS] & 3)) { /* interrupted in the kernel */
		long bytes = bpf_get_stack(ctx, scratch->kernel, sizeof(scratch->kernel), 0);
		if (bytes > 0)
			record->stack.kernel = bytes / 8;
	}
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_SAMPLE, 0, 0, LOSS_RING_SAMPLE);
	return 0;
}
