/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Writing out the sums of one task's file I/O: while it goes on, when its call site changes, and when the task ends. */
#ifndef PERFMAP_FILE_SUM_H
#define PERFMAP_FILE_SUM_H

#include "emit.h"

#define READ 0
#define WRITE 1

static __always_inline void fill_file_io(struct file_io_record *record, u32 operation, struct file_sum *sum) {
	fill_header_current(&record->header, KIND_FILE_IO, sum->last);
	record->first = sum->first;
	record->bytes = sum->bytes;
	record->calls = sum->calls;
	record->site = sum->site;
	record->operation = operation;
	record->inode = sum->inode;
	record->size = sum->size;
	record->device = sum->device;
}

/* Filled in the ring, in a frame of its own: kernels before 6.13 give a program and all that it calls 512 bytes of stack
 * together. */
#ifdef MAPS_ARE_HERE
APART int flush_sum(u32 operation, struct file_sum *sum) {
	if (!sum || !sum->calls)
		return 0;
	struct file_io_record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record)
		return 0; /* kept: it goes out with a later record */
	__builtin_memset(record, 0, sizeof(*record));
	fill_file_io(record, operation, sum);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	sum->unchecked = 0;
	sum->calls = 0;
	sum->bytes = 0;
	return 0;
}
#else
extern int flush_sum(u32 operation, struct file_sum *sum);
#endif

#endif
