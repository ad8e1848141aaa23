/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The coroutines that asyncio is about to resume. A timer that ran out, or a worker's result, leaves no system call by
 * which the function that awaited it could be known; but between the poll that blocked and the resumption the loop polls
 * once more without waiting, and then the tasks to resume lie in its queue: loop._ready, a deque of handles. The chain of
 * coroutines that await one another from there on is what the poll was for. What they resume in turn shows in the rounds
 * after it. CPython 3.11 to 3.13; types are compared by
 * their names, so that nothing else is taken for a task. */
#ifndef PERFMAP_RESUMED_H
#define PERFMAP_RESUMED_H

#include "stack.h"

/* Frames above _run_once: the selector's. */
#define SELECTOR_FRAMES 3
/* Tasks that are looked at in one turn of a loop. */
#define MAX_RESUMED 16
/* Offset of a frame's locals, 3.11 .. 3.14. */
#define LOCALS(version) ((version) >= 0x030e ? 80 : 72)
/* A loop that never rests is looked at so often; and for what it runs, where more follows at once than rounds are. */
#define LOOK_EVERY_NS 200000
#define MAIN_EVERY_NS 2000000
/* struct block of a deque: a link, then so many items. */
#define DEQUE_BLOCK 64

static __always_inline bool polls(u32 call) {
	return call == 232 || call == 281 || call == 441; /* epoll_wait epoll_pwait epoll_pwait2 */
}

static __always_inline u64 word(u64 address) {
	u64 value = 0;
	if (address < 4096 || bpf_probe_read_user(&value, 8, (void *)address))
		return 0;
	return value;
}

/* Whether the object's type has the name, of which the first 8 bytes and the 8 at `second` are compared. */
static __always_inline bool is_a(u64 object, u64 first, u32 at, u64 second) {
	u64 name = word(word(object + 8) + 24); /* ob_type, tp_name */
	return name && word(name) == first && word(name + at) == second;
}

#define WORD(a, b, c, d, e, f, g, h)                                                                                   \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 | (u64)(f) << 40 | (u64)(g) << 48 | \
	 (u64)(h) << 56)

/* TaskStepMethWrapper: a task's first step. */
#define TASK_STEP WORD('T', 'a', 's', 'k', 'S', 't', 'e', 'p')
#define WRAPPER WORD('h', 'W', 'r', 'a', 'p', 'p', 'e', 'r')
/* _asyncio.Task, and _GatheringFuture: what asyncio.gather waits by. */
#define ASYNCIO WORD('_', 'a', 's', 'y', 'n', 'c', 'i', 'o')
#define TASK WORD('c', 'i', 'o', '.', 'T', 'a', 's', 'k')
#define GATHERING WORD('_', 'G', 'a', 't', 'h', 'e', 'r', 'i')
#define FUTURE WORD('n', 'g', 'F', 'u', 't', 'u', 'r', 'e')

/* The loop's queue: BaseEventLoop.__init__ assigns _ready as the fourth attribute, and the values of an object's
 * attributes lie in this order. */
static __always_inline u64 ready_of(u64 loop, u32 version) {
	u64 values = 0;
	if (version == 0x030b)
		values = word(loop - 32);
	else if (version == 0x030c)
		values = word(loop - 24) + 1; /* tagged by the lowest bit */
	else
		values = loop + 24; /* in the object itself */
	u64 queue = word(values + 3 * 8);
	return is_a(queue, WORD('c', 'o', 'l', 'l', 'e', 'c', 't', 'i'), 10, WORD('s', '.', 'd', 'e', 'q', 'u', 'e', 0))
		       ? queue
		       : 0;
}

struct look {
	u64 block;
	u32 from, count, round;
};

struct awaits {
	u64 type;
	u32 of_tasks;
};

static long await_one(u32 index, struct awaits *awaits) {
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch || index >= MAX_AWAITS)
		return 1;
	struct python_walk *walk = &scratch->walk;
	u64 frame = walk->frame;
	if (!frame || read_frame(walk, &scratch->python[index]))
		return 1;
	walk->count = index + 1;
	/* What a suspended coroutine awaits lies on top of its stack. */
	walk->frame = 0;
	u64 top = *(u64 *)((u8 *)walk->frame_words + 64);
	/* An index; from 3.14 on an address. */
	top = walk->layout.version >= 0x030e ? (top - frame - LOCALS(walk->layout.version)) / 8 : (u32)top;
	if (!top || top > 4096)
		return 1;
	u64 awaited = UNTAGGED(word(frame + LOCALS(walk->layout.version) + (top - 1) * 8));
	if (!awaited)
		return 1;
	if (word(awaited + 8) != awaits->type) {
		u64 future = word(awaited + 16); /* of _asyncio.FutureIter */
		awaits->of_tasks = is_a(future, ASYNCIO, 5, TASK) || is_a(future, GATHERING, 8, FUTURE);
		return 1;
	}
	walk->frame = awaited + walk->layout.generator_frame;
	return 0;
}

APART int emit_coroutine(u64 coroutine, u32 round) {
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch)
		return 0;
	struct python_walk *walk = &scratch->walk;
	/* What has not begun awaits nothing: its one frame. */
	struct awaits awaits = {.type = round == ROUND_STARTED ? 0 : word(coroutine + 8)};
	struct loop names = {.context = CONTEXT_CALL};
	struct resumed_record *record = &scratch->record.resumed;
	walk->count = 0;
	walk->frame = coroutine + walk->layout.generator_frame;
	bpf_loop(MAX_AWAITS, await_one, &awaits, 0);
	if (!walk->count)
		return 0;
	bpf_loop(walk->count, name_one, &names, 0);
	fill_header_current(&record->header, KIND_RESUMED, bpf_ktime_get_ns());
	record->coroutine = coroutine + walk->layout.generator_frame;
	u32 frames = walk->count;
	BOUND(frames, MAX_AWAITS);
	record->frames = frames;
	record->round = round;
	record->of_tasks = awaits.of_tasks;
	record->reserved = 0;
	struct bpf_dynptr to;
	if (bpf_ringbuf_reserve_dynptr(&events, sizeof(*record) + frames * sizeof(struct python_frame), 0, &to)) {
		bpf_ringbuf_discard_dynptr(&to, BPF_RB_NO_WAKEUP);
		lose(LOSS_RING_WAIT);
		return 1;
	}
	bpf_dynptr_write(&to, 0, record, sizeof(*record), 0);
	if (frames)
		bpf_dynptr_write(&to, sizeof(*record), scratch->python, frames * sizeof(struct python_frame), 0);
	bpf_ringbuf_submit_dynptr(&to, BPF_RB_NO_WAKEUP);
	return 1;
}

static __always_inline bool is_coroutine(u64 object) {
	return is_a(object, WORD('c', 'o', 'r', 'o', 'u', 't', 'i', 'n'), 2, WORD('r', 'o', 'u', 't', 'i', 'n', 'e', 0));
}

/* The coroutine of one of asyncio's tasks; 0: it is none. */
static __always_inline u64 coroutine_of(u64 task, struct python_layout *layout) {
	if (!is_a(task, ASYNCIO, 5, TASK))
		return 0;
	u64 coroutine = word(task + layout->future_coroutine);
	return is_coroutine(coroutine) ? coroutine : 0;
}

/* A task's step comes first, and again after each bare yield (asyncio.sleep(0)): by gi_frame_state, one byte in the word
 * before the frame. */
static __always_inline bool begins(u64 coroutine, struct python_layout *layout) {
	s32 state = (signed char)(word(coroutine + layout->generator_frame - 8) >> 24);
	return state == (layout->version >= 0x030d ? -3 : -2); /* FRAME_CREATED */
}

static long handle_one(u32 index, struct look *look) {
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!scratch || index >= look->count)
		return 1;
	u32 at = look->from + index;
	u64 block = look->block;
	if (at >= DEQUE_BLOCK) { /* in the next one, whose address lies behind the items */
		block = word(block + 8 + DEQUE_BLOCK * 8);
		at -= DEQUE_BLOCK;
	}
	u64 handle = word(block + 8 + (u64)at * 8);
	/* Handle._callback: the task's wake-up, a builtin method bound to it; of one that is to begin, a wrapper. */
	u64 callback = word(handle + 24);
	bool starts = is_a(callback, TASK_STEP, 11, WRAPPER);
	u64 coroutine = coroutine_of(word(callback + (starts ? 16 : 24)), &scratch->walk.layout);
	if (coroutine)
		emit_coroutine(coroutine, starts && begins(coroutine, &scratch->walk.layout) ? ROUND_STARTED : look->round);
	return 0;
}

/* The layout of the running interpreter, ready in the scratch; 0: its coroutines can not be told. */
static __always_inline struct python_walk *walk_of_loop(void) {
	u32 pid = current_pid();
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	struct python_layout *layout = bpf_map_lookup_elem(&python_processes, &pid);
	if (!scratch || !layout || !layout->generator_frame || settings.counting_only)
		return 0;
	scratch->walk.layout = *layout;
	scratch->walk.pid = pid;
	return &scratch->walk;
}

/* Writes a record for each task in the queue of the loop that just polled. Not 0: there is no loop. */
APART int resumed(u32 round) {
	struct python_walk *walk = walk_of_loop();
	if (!walk)
		return 1;
	u64 frame = frame_of(thread_state(&walk->layout), &walk->layout), queue = 0;
	for (u32 i = 0; i < SELECTOR_FRAMES && frame && !queue; i++) {
		queue = ready_of(UNTAGGED(word(frame + LOCALS(walk->layout.version))), walk->layout.version); /* the first local: self */
		frame = word(frame + walk->layout.frame_back);
	}
	if (!queue)
		return 1;
	struct look look = {.block = word(queue + 24), .from = word(queue + 40), .count = word(queue + 16), .round = round};
	if (look.from >= DEQUE_BLOCK || !look.block)
		return 0;
	if (look.count > MAX_RESUMED)
		look.count = MAX_RESUMED;
	bpf_loop(MAX_RESUMED, handle_one, &look, 0);
	return 0;
}

/* Writes a record of the task that the loop runs for, which waited for something while the loop polled: the second local
 * of run_until_complete, some frames below the selector's. uvloop has no such frames: there it is the second local of
 * asyncio's Runner.run, the coroutine itself. */
APART int awaited_by_main(void) {
	struct python_walk *walk = walk_of_loop();
	if (!walk)
		return 0;
	u64 frame = frame_of(thread_state(&walk->layout), &walk->layout), coroutine = 0;
	for (u32 i = 0; i < SELECTOR_FRAMES + 3 && frame && !coroutine; i++) {
		u64 local = UNTAGGED(word(frame + LOCALS(walk->layout.version) + 8));
		coroutine = is_coroutine(local) ? local : coroutine_of(local, &walk->layout);
		frame = word(frame + walk->layout.frame_back);
	}
	if (coroutine)
		emit_coroutine(coroutine, ROUND_MAIN);
	return 0;
}

/* At the return of a poll that did not block. One that would have waited opens a turn of the loop as well; the next ones
 * that would not show what it resumes. */
static __noinline int polled(struct task_state *state, s32 timeout) {
	if (!state)
		return 0;
	u64 now = bpf_ktime_get_ns();
	if (now - state->main_looked >= MAIN_EVERY_NS) {
		state->main_looked = now;
		awaited_by_main();
	}
	if (timeout) {
		if (now - state->looked < LOOK_EVERY_NS)
			return 0;
		state->looked = now;
		state->polled = RESUMED_ROUNDS;
	} else if (state->polled) {
		if (resumed(RESUMED_ROUNDS - state->polled))
			state->polled = 1;
		state->polled--;
	}
	return 0;
}

#endif
