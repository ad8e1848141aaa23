/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What followed processes allocate, on request: a sample of the calls of malloc and its like, with stacks, and when what was
 * sampled is freed. Of each thread's bytes one in ALLOCATION_MEAN is drawn, at distances that no pattern of the program's
 * can fall in step with; blocks that are larger are all told. What a call returns is looked at only where it was drawn: the
 * kernel (6.13) arms the return for these alone. */
#include "probe_slot.h"
#include "stack.h"

/* No machine has it: the call fails. */
#define MOST_BYTES (1ull << 46)
/* How far below a function of an allocator another one of it begins, which it calls. */
#define NEAR_BYTES 4096
#define MOST_POINTS 64

/* One thread's. */
struct allocating {
	u64 gap; /* bytes until the next one that is drawn; 0: not drawn yet */
	/* the last call: which function's, its stack pointer, and where it returns to */
	u64 function, outer, caller;
	/* the call that was drawn and has not returned; sp 0: none */
	u64 sp, size, into;
	u32 way, points;
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct allocating);
} allocating SEC(".maps");

/* Blocks that were drawn and are not freed yet. */
struct block_key {
	u64 address;
	u32 pid, zero;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct block_key);
	__type(value, u32);
} blocks_drawn SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct allocation_totals);
} allocation_totals SEC(".maps");

/* Nearly exponential, with the mean ALLOCATION_MEAN to the byte: an octave of a random number is taken as a straight line,
 * which makes the mean of the logarithm 3/2. */
static __always_inline u64 next_gap(void) {
	u32 random = bpf_get_prandom_u32() | 1, part = bpf_get_prandom_u32() & 0xffff;
	u64 octave = 1;
	if (!(random >> 16)) {
		random <<= 16;
		octave += 16;
	}
	if (!(random >> 24)) {
		random <<= 8;
		octave += 8;
	}
	if (!(random >> 28)) {
		random <<= 4;
		octave += 4;
	}
	if (!(random >> 30)) {
		random <<= 2;
		octave += 2;
	}
	if (!(random >> 31))
		octave += 1;
	u64 gap = (((octave << 16) - part) * ALLOCATION_MEAN * 2 / 3) >> 16;
	return gap ? gap : 1;
}

/* Points that fall into a block of `size` bytes. */
static __always_inline u32 drawn(struct allocating *own, u64 size) {
	u32 points = 0;
	if (!own->gap)
		own->gap = next_gap();
	for (u32 i = 0; i < MOST_POINTS; i++) {
		if (own->gap > size)
			break;
		size -= own->gap;
		own->gap = next_gap();
		points++;
	}
	own->gap = own->gap > size ? own->gap - size : 1;
	return points;
}

static __always_inline struct allocation_totals *totals(void) {
	u32 zero = 0;
	return bpf_map_lookup_elem(&allocation_totals, &zero);
}

static __always_inline void freed(u64 address) {
	struct block_key key = {.address = address, .pid = current_pid()};
	struct allocation_totals *sums = totals();
	if (!sums || !address)
		return;
	__sync_fetch_and_add(&sums->frees, 1);
	if (bpf_map_delete_elem(&blocks_drawn, &key))
		return;
	struct freed_record record = {.address = address};
	fill_header_current(&record.header, KIND_FREED, bpf_ktime_get_ns());
	if (bpf_ringbuf_output(&events, &record, sizeof(record), BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&sums->lost_frees, 1);
}

/* `address`: 0 where it is not known. Not 0: it could not be told. */
static __always_inline int tell(struct allocating *own, u64 address) {
	u32 zero = 0, one = 1, pid = current_pid();
	struct probe_slots *slots = bpf_map_lookup_elem(&probe_slots, &zero);
	if (!slots)
		return 1;
	u32 slot = take_slot(slots);
	if (slot >= PROBE_CONTEXTS)
		return 1;
	u32 context = CONTEXT_PROBE + slot;
	struct scratch *scratch = scratch_of(context);
	int failed = 1;
	if (scratch) {
		struct allocation_record *record = &scratch->record.allocation;
		struct block_key key = {.address = address, .pid = pid};
		fill_header(&record->header, KIND_ALLOCATION, pid, current_tid(), bpf_ktime_get_ns());
		record->address = address;
		record->size = own->size;
		record->points = own->points;
		record->flags = !address || bpf_map_update_elem(&blocks_drawn, &key, &one, BPF_ANY) ? ALLOCATION_UNTRACKED : 0;
		take_stack(&record->stack, context, pid);
		failed = emit_with_stack(record, sizeof(*record), &record->stack, scratch, context, 0, 0, LOSS_RING_MEMORY);
		if (failed && address)
			bpf_map_delete_elem(&blocks_drawn, &key);
	}
	slots->taken[slot] = 0;
	return failed;
}

static __always_inline void got(struct pt_regs *ctx, struct allocating *own) {
	u64 address = ctx->ax;
	if (own->way == ALLOCATES_INTO && ((u32)ctx->ax || bpf_probe_read_user(&address, sizeof(address), (void *)own->into)))
		address = 0;
	struct allocation_totals *sums = totals();
	/* It failed. */
	if (!address || !sums)
		return;
	if (tell(own, address))
		__sync_fetch_and_add(&sums->lost, 1);
}

/* Whether a function of the allocator calls this one: it is in it as long as its return address lies where it lay. */
static __always_inline u32 is_inner(struct pt_regs *ctx, struct allocating *own, u64 function) {
	u64 there = 0;
	if (!own->function || own->function == function || ctx->sp > own->outer || own->outer - ctx->sp > NEAR_BYTES)
		return 0;
	return !bpf_probe_read_user(&there, sizeof(there), (void *)own->outer) && there == own->caller;
}

static __always_inline u64 bytes_asked(struct pt_regs *ctx, u32 way) {
	switch (way) {
	case ALLOCATES_FIRST:
	case ALLOCATES_OR_THROWS:
		return ctx->di;
	case ALLOCATES_PRODUCT:
		return ctx->si && ctx->di <= MOST_BYTES / ctx->si ? ctx->di * ctx->si : 0;
	case ALLOCATES_SECOND:
	case ALLOCATES_AGAIN:
		return ctx->si;
	case ALLOCATES_INTO:
		return ctx->dx;
	}
	return 0;
}

/* The cookie: what the function does with which argument, its number, and how the probe is attached. The result of a program
 * of a session: 1 where the kernel need not come back at the call's return. */
SEC("uprobe")
int on_allocation(struct pt_regs *ctx) {
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 way = cookie & 0xff, function = cookie & 0xffff, done = (cookie & ALLOCATOR_SESSION) != 0;
	struct task_struct *task = bpf_get_current_task_btf();
	if (!state_of(task))
		return done;
	if (way == ALLOCATOR_FREES) {
		if (!(cookie & ALLOCATOR_RETURN))
			freed(ctx->di);
		return done;
	}
	struct allocating *own = bpf_task_storage_get(&allocating, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct allocation_totals *sums = totals();
	if (!own || !sums)
		return done;
	if (own->sp) {
		if (own->sp + 8 == ctx->sp) {
			got(ctx, own);
			own->sp = 0;
			return 0;
		}
		if (ctx->sp <= own->sp)
			return done; /* what the call that was drawn calls */
		own->sp = 0; /* it was left by a jump */
	}
	if (cookie & ALLOCATOR_RETURN)
		return 0;
	u64 size = bytes_asked(ctx, way);
	if (is_inner(ctx, own, function))
		return done;
	own->function = function;
	own->outer = ctx->sp;
	if (bpf_probe_read_user(&own->caller, sizeof(own->caller), (void *)ctx->sp))
		own->function = 0;
	if (way == ALLOCATES_AGAIN)
		freed(ctx->di);
	if (!size || size > MOST_BYTES)
		return done;
	__sync_fetch_and_add(&sums->calls, 1);
	__sync_fetch_and_add(&sums->bytes, size);
	u32 points = 0;
	if (size < ALLOCATION_MEAN) {
		points = drawn(own, size);
		if (!points)
			return done;
	}
	own->size = size;
	own->points = points;
	own->way = way;
	own->into = ctx->di;
	if (way == ALLOCATES_OR_THROWS) {
		/* An exception does not get past a return that the kernel waits for. */
		if (tell(own, 0))
			__sync_fetch_and_add(&sums->lost, 1);
		return done;
	}
	own->sp = ctx->sp;
	return 0;
}
