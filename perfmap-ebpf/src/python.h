/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The Python frames of the running thread, walked in the interpreter's own structures. User space finds the layout of
 * the interpreter at execve (python_processes); here only addresses and identities are read, and each code object's
 * names and line table once, at first sight, because a short process is gone before anybody could read them. */
#ifndef PERFMAP_PYTHON_H
#define PERFMAP_PYTHON_H

#include "emit.h"

/* glibc keeps the first 32 pthread keys in struct pthread itself: specific_1stblock at 0x310, 16 bytes a key, the value
 * second (glibc 2.3 .. 2.41, x86-64). */
#define SPECIFIC_1STBLOCK 0x310
#define FIRST_BLOCK_KEYS 32

struct loop {
	u32 context;
};

/* Owner of the frames that lie in a generator or coroutine object (FRAME_OWNED_BY_GENERATOR). */
#define OWNED_BY_GENERATOR 1
#define CO_COROUTINE 0x80
/* Offset of co_flags in a code object, 3.11 .. 3.14. */
#define CODE_FLAGS 48
/* From 3.14 on a reference that lies in a frame has two bits of its own at its low end (Py_TAG_BITS). */
#define UNTAGGED(reference) ((reference) & ~3ULL)
/* Owners of frames that run nothing of Python's from this one on, 3.14 (FRAME_OWNED_BY_INTERPRETER). */
#define OWNED_BY_INTERPRETER 3

/* Reads the frame at walk->frame to `out`, and moves on to the one below it. Not 0: it can not be read. */
static __always_inline long read_frame(struct python_walk *walk, struct python_frame *out) {
	u64 here = walk->frame;
	u8 *frame = (u8 *)walk->frame_words, *fields = (u8 *)walk->code_words;
	/* Before 3.11 the fields lie further out; later frames end at 80, maybe at the end of their memory. */
	if (walk->layout.version < 0x030b ? bpf_probe_read_user(frame, FRAME_BYTES, (void *)walk->frame)
					  : bpf_probe_read_user(frame, 80, (void *)walk->frame)) {
		walk->flags |= STACK_PYTHON_CUT;
		return 1;
	}
	u32 at_code = walk->layout.frame_code, at_back = walk->layout.frame_back,
	    at_instruction = walk->layout.frame_instruction;
	BOUND(at_code, FRAME_BYTES - 8);
	BOUND(at_back, FRAME_BYTES - 8);
	BOUND(at_instruction, FRAME_BYTES - 8);
	u64 code = UNTAGGED(*(u64 *)(frame + at_code));
	bool is_314 = walk->layout.version >= 0x030e;
	/* The same byte of the word as before. */
	out->owner = is_314 ? *(u32 *)(frame + 72) : *(u32 *)(frame + 68);
	if (is_314 && frame[74] >= OWNED_BY_INTERPRETER)
		code = 0; /* None */
	out->code = code;
	out->instruction = *(u64 *)(frame + at_instruction);
	out->name = 0;
	out->first_line = 0;
	walk->frame = *(u64 *)(frame + at_back);
	/* No code: the entry shim of 3.13 and later. Unreadable: kept without identity, user space counts it. */
	if (!code || bpf_probe_read_user(fields, CODE_BYTES, (void *)(code + CODE_FROM)))
		return 0;
	u32 at_name = walk->layout.code_name - CODE_FROM, at_line = walk->layout.code_first_line - CODE_FROM;
	BOUND(at_name, CODE_BYTES - 8);
	BOUND(at_line, CODE_BYTES - 8);
	out->name = *(u64 *)(fields + at_name);
	out->first_line = *(u32 *)(fields + at_line);
	u32 at_owner = walk->layout.frame_owner;
	BOUND(at_owner, FRAME_BYTES - 8);
	/* The outermost one stays: an event loop runs a task by its coroutine. */
	if (at_owner && frame[at_owner] == OWNED_BY_GENERATOR && *(u32 *)(fields + CODE_FLAGS - CODE_FROM) & CO_COROUTINE)
		walk->coroutine = here;
	return 0;
}

#ifdef MAPS_ARE_HERE
static long walk_one(u32 index, struct loop *loop) {
	struct scratch *scratch = scratch_of(loop->context);
	if (!scratch || index >= MAX_PYTHON_FRAMES)
		return 1;
	struct python_walk *walk = &scratch->walk;
	if (!walk->frame || read_frame(walk, &scratch->python[index]))
		return 1;
	walk->count = index + 1;
	return 0;
}
#endif

/* The characters of the str object at `address` to `to`, raw; their width in *width. Bytes copied, at most
 * MAX_STRING_BYTES. */
static __always_inline u32 read_str(u8 *to, u64 address, struct python_layout *layout, u32 *width) {
	u64 length = 0;
	u32 state = 0;
	*width = 1;
	if (!address || bpf_probe_read_user(&length, 8, (void *)(address + 16)) || bpf_probe_read_user(&state, 4, (void *)(address + 32)))
		return 0;
	u32 kind = (state >> 2) & 7, compact = (state >> 5) & 1, ascii = (state >> 6) & 1;
	if (!compact || (kind != 1 && kind != 2 && kind != 4))
		return 0;
	*width = kind;
	u64 bytes = length > MAX_STRING_BYTES ? MAX_STRING_BYTES : length * kind;
	BOUND(bytes, MAX_STRING_BYTES);
	u64 from = address + (ascii ? layout->str_ascii : layout->str_compact);
	return bpf_probe_read_user(to, bytes, (void *)from) ? 0 : bytes;
}

/* Of the frame at `index`. Not 0: there was no room. */
#ifdef MAPS_ARE_HERE
APART int emit_code(u32 context, u32 index) {
	struct code_text *text = bpf_map_lookup_elem(&code_texts, &context);
	struct scratch *scratch = scratch_of(context);
	if (!text || !scratch || index >= MAX_PYTHON_FRAMES)
		return 0;
	struct python_frame *frame = &scratch->python[index];
	struct python_layout *layout = &scratch->walk.layout;
	struct python_code_record *record = &scratch->walk.code;
	u64 file = 0, table = 0, bytes = 0;
	u32 width = 1;
	fill_header_current(&record->header, KIND_PYTHON_CODE, bpf_ktime_get_ns());
	record->code = frame->code;
	record->name_address = frame->name;
	record->first_line = frame->first_line;
	record->table_length = 0;
	u32 name_bytes = read_str(text->name, frame->name, layout, &width);
	record->name_width = width;
	bpf_probe_read_user(&file, 8, (void *)(frame->code + layout->code_file));
	u32 file_bytes = read_str(text->file, file, layout, &width);
	record->file_width = width;
	bpf_probe_read_user(&table, 8, (void *)(frame->code + layout->code_table));
	if (table && !bpf_probe_read_user(&bytes, 8, (void *)(table + 16))) { /* bytes object: ob_size at 16, data at 32 */
		record->table_length = bytes;
		BOUND(bytes, MAX_LINE_TABLE_BYTES);
		if (bpf_probe_read_user(text->table, bytes, (void *)(table + 32)))
			bytes = 0;
	}
	u32 table_bytes = bytes;
	if (!name_bytes) {
		lose(LOSS_PYTHON_UNREADABLE);
		return 0;
	}
	BOUND(name_bytes, MAX_STRING_BYTES);
	BOUND(file_bytes, MAX_STRING_BYTES);
	BOUND(table_bytes, MAX_LINE_TABLE_BYTES);
	record->name_bytes = name_bytes;
	record->file_bytes = file_bytes;
	record->table_bytes = table_bytes;
	struct bpf_dynptr to;
	u32 size = sizeof(*record) + name_bytes + file_bytes + table_bytes;
	if (bpf_ringbuf_reserve_dynptr(&events, size, 0, &to)) {
		bpf_ringbuf_discard_dynptr(&to, BPF_RB_NO_WAKEUP);
		lose(LOSS_RING_PYTHON);
		return 1;
	}
	bpf_dynptr_write(&to, 0, record, sizeof(*record), 0);
	bpf_dynptr_write(&to, sizeof(*record), text->name, name_bytes, 0);
	bpf_dynptr_write(&to, sizeof(*record) + name_bytes, text->file, file_bytes, 0);
	bpf_dynptr_write(&to, sizeof(*record) + name_bytes + file_bytes, text->table, table_bytes, 0);
	bpf_ringbuf_submit_dynptr(&to, BPF_RB_NO_WAKEUP);
	return 0;
}
#else
extern int emit_code(u32 context, u32 index);
#endif

__attribute__((unused)) static long name_one(u32 index, struct loop *loop) {
	struct scratch *scratch = scratch_of(loop->context);
	if (!scratch || index >= MAX_PYTHON_FRAMES)
		return 1;
	struct python_frame *frame = &scratch->python[index];
	if (!frame->name)
		return 0;
	struct code_identity identity = {
		.code = frame->code, .name = frame->name, .pid = scratch->walk.pid, .first_line = frame->first_line};
	if (bpf_map_lookup_elem(&seen_codes, &identity))
		return 0;
	u32 one = 1;
	bpf_map_update_elem(&seen_codes, &identity, &one, BPF_ANY);
	if (emit_code(loop->context, index))
		bpf_map_delete_elem(&seen_codes, &identity); /* no room: sent at its next sight */
	return 0;
}

/* The interpreter's state of the running thread; 0: it has none. */
static __always_inline u64 thread_state(struct python_layout *layout) {
	struct task_struct *task = bpf_get_current_task_btf();
	u64 thread = 0;
	u32 key = FIRST_BLOCK_KEYS;
	bpf_probe_read_user(&key, 4, (void *)(layout->runtime + layout->tss_key));
	if (key >= FIRST_BLOCK_KEYS ||
	    bpf_probe_read_user(&thread, 8, (void *)(task->thread.fsbase + SPECIFIC_1STBLOCK + key * 16 + 8)))
		return 0;
	return thread;
}

/* Its innermost frame. */
static __always_inline u64 frame_of(u64 thread, struct python_layout *layout) {
	u64 frame = 0;
	if (!thread || bpf_probe_read_user(&frame, 8, (void *)(thread + layout->thread_frame)) ||
	    (layout->has_cframe && bpf_probe_read_user(&frame, 8, (void *)(frame + layout->cframe_current))))
		return 0;
	return frame;
}

/* Fills the context's scratch->python; returns the number of frames, leaf first. */
#ifdef MAPS_ARE_HERE
APART int walk_python(u32 context, u32 pid) {
	struct scratch *scratch = scratch_of(context);
	if (!scratch)
		return 0;
	struct python_walk *walk = &scratch->walk;
	walk->flags = 0;
	walk->count = 0;
	walk->thread = 0;
	walk->coroutine = 0;
	struct python_layout *layout = bpf_map_lookup_elem(&python_processes, &pid);
	if (!layout)
		return 0;
	walk->pid = pid;
	walk->layout = *layout;
	u64 thread = thread_state(layout), frame = frame_of(thread, layout);
	if (!thread || !frame) {
		walk->flags |= STACK_NO_THREAD_STATE;
		return 0;
	}
	walk->frame = frame;
	walk->thread = thread;
	struct loop loop = {.context = context};
	bpf_loop(MAX_PYTHON_FRAMES, walk_one, &loop, 0);
	if (walk->count == MAX_PYTHON_FRAMES && walk->frame)
		walk->flags |= STACK_PYTHON_CUT;
	bpf_loop(walk->count, name_one, &loop, 0);
	return walk->count;
}
#else
extern int walk_python(u32 context, u32 pid);
#endif

#endif
