/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Where a followed process's resident memory grows and shrinks: the tracepoint fires whenever the kernel's counters of an
 * address space change (a page is touched first, a range is unmapped). A stack is taken whenever half a MiB, or 1/256 of
 * what is resident, has come together since the last one, so that a storm of faults costs three loads and a look-up
 * each. */
#include "stack.h"

#define PAGE_BYTES 4096
#define STEP_PAGES 128
#define STEP_SHIFT 8
/* mm_counter_type: file pages, anonymous pages, swap entries, shared memory. All but swap are resident. */
#define COUNTERS 4

struct percpu_counter {
	s64 count;
} CORE;
struct mm_struct___counted {
	struct percpu_counter rss_stat[COUNTERS];
} CORE;
/* Before 6.2. */
struct mm_rss_stat {
	struct {
		s64 counter;
	} count[COUNTERS];
} CORE;
struct mm_struct___summed {
	struct mm_rss_stat rss_stat;
} CORE;

/* What was reported of an address space, and whose it was: its address is used again. */
struct resident {
	u64 pid;
	s64 pages;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct resident);
} residents SEC(".maps");

/* Of a counter that is kept per CPU, what has been brought together: each CPU holds back up to 32 pages, or twice as many
 * as there are CPUs (percpu_counter_batch). */
static __always_inline s64 pages_of(struct mm_struct *mm) {
	s64 pages = 0;
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		struct mm_struct___summed *summed = (void *)mm;
		pages += BPF_CORE_READ(summed, rss_stat.count[0].counter);
		pages += BPF_CORE_READ(summed, rss_stat.count[1].counter);
		pages += BPF_CORE_READ(summed, rss_stat.count[3].counter);
	} else {
		struct mm_struct___counted *counted = (void *)mm;
		pages += BPF_CORE_READ(counted, rss_stat[0].count);
		pages += BPF_CORE_READ(counted, rss_stat[1].count);
		pages += BPF_CORE_READ(counted, rss_stat[3].count);
	}
	return pages;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(on_memory, struct mm_struct *mm) {
	struct task_struct *task = bpf_get_current_task_btf();
	/* fork and the reclaim of memory change another one's counters. */
	if (task->mm != mm || !state_of(task))
		return 0;
	u64 key = (u64)mm;
	u32 pid = pid_of(task);
	s64 pages = pages_of(mm);
	struct resident *known = bpf_map_lookup_elem(&residents, &key);
	if (!known || known->pid != pid) {
		/* What a process has inherited, or had when it was met, grew elsewhere. */
		struct resident first = {.pid = pid, .pages = pages};
		bpf_map_update_elem(&residents, &key, &first, BPF_ANY);
		return 0;
	}
	s64 change = pages - known->pages, step = pages >> STEP_SHIFT;
	if (step < STEP_PAGES)
		step = STEP_PAGES;
	if (change < step && change > -step)
		return 0;
	struct scratch *scratch = scratch_of(CONTEXT_MEMORY);
	if (!scratch)
		return 0;
	struct memory_record *record = &scratch->record.memory;
	fill_header(&record->header, KIND_MEMORY, pid, tid_of(task), bpf_ktime_get_ns());
	record->change = change * PAGE_BYTES;
	record->resident = pages * PAGE_BYTES;
	take_stack(&record->stack, CONTEXT_MEMORY, pid);
	/* Without room in the ring the bytes are not lost: the next record tells them, where that is taken. */
	if (!emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_MEMORY, 0, 0, LOSS_RING_MEMORY))
		known->pages = pages;
	return 0;
}
