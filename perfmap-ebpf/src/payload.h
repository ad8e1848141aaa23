/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The first bytes of a transfer, copied from the buffers that its system call names. */
#ifndef PERFMAP_PAYLOAD_H
#define PERFMAP_PAYLOAD_H

#include "stack.h"

struct payload {
	u8 bytes[2 * MAX_PAYLOAD_BYTES]; /* the second half is slack for the verifier */
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct payload);
} payloads SEC(".maps");

#define SENDMMSG 307
#define RECVMMSG 299
/* Buffers of one transfer that are looked at: gRPC writes the parts of its frames from a dozen or more. */
#define MAX_VECTORS 64

struct iovec {
	u64 base, length;
};

/* Where the copy of a transfer's first bytes is. */
struct reading {
	u64 vectors, count; /* struct iovec[] */
	u64 base;           /* the only buffer, where there are no vectors */
	u64 left;           /* bytes of the transfer that are not copied */
	u32 have, limit;
};
/* In a map and not on the stack: there the verifier would follow every value from buffer to buffer. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct reading);
} readings SEC(".maps");

/* 0: the rest is not to be had. */
static __always_inline bool add_payload(struct payload *payload, struct reading *reading, u64 base, u64 length) {
	u64 offset = reading->have, bytes = length < reading->left ? length : reading->left, limit = reading->limit;
	u64 wanted = bytes;
	BOUND(limit, MAX_PAYLOAD_BYTES);
	barrier_var(offset);
	if (offset >= limit)
		return 0;
	if (bytes > limit - offset)
		bytes = limit - offset;
	BOUND(bytes, MAX_PAYLOAD_BYTES);
	if (bytes == 0)
		return 1;
	if (offset >= MAX_PAYLOAD_BYTES)
		return 0;
	if (bpf_probe_read_user(payload->bytes + offset, bytes, (void *)base)) {
		lose(LOSS_PAYLOAD_UNREADABLE);
		return 0;
	}
	reading->have = offset + bytes;
	reading->left -= bytes;
	return bytes == wanted;
}

static long add_vector(u32 index, void *unused) {
	u32 zero = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &zero);
	struct reading *reading = bpf_map_lookup_elem(&readings, &zero);
	struct iovec vector;
	if (!payload || !reading || index >= reading->count || !reading->left ||
	    bpf_probe_read_user(&vector, sizeof(vector), (void *)(reading->vectors + index * sizeof(vector))))
		return 1;
	return !add_payload(payload, reading, vector.base, vector.length);
}

/* The buffers that the system call names. `nth`: transfers of the same call before this one. */
static __always_inline void find_buffers(struct reading *reading, u32 nth) {
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	u64 second = regs->si;
	switch (syscall_of(task)) {
	case 0: case 1: case 44: case 45: /* read write sendto recvfrom */
		reading->base = second;
		break;
	case 19: case 20: /* readv writev */
		reading->vectors = second;
		reading->count = regs->dx;
		break;
	case SENDMMSG: case RECVMMSG: /* an array of struct mmsghdr */
		second += (u64)nth * 64;
		/* fall through */
	case 46: case 47: /* sendmsg recvmsg: struct user_msghdr, msg_iov at 16, msg_iovlen at 24 */
		bpf_probe_read_user(&reading->vectors, 8, (void *)(second + 16));
		bpf_probe_read_user(&reading->count, 8, (void *)(second + 24));
		break;
	}
}

/* The first bytes of the transfer, up to `limit`. Global, as the next ones: the verifier looks at it once, not on each way
 * through the caller. */
__noinline u32 read_payload(u64 length, u32 limit, u32 nth) {
	u32 zero = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &zero);
	struct reading *reading = bpf_map_lookup_elem(&readings, &zero);
	if (!payload || !reading)
		return 0;
	*reading = (struct reading){.left = length, .limit = limit};
	find_buffers(reading, nth);
	if (reading->base)
		add_payload(payload, reading, reading->base, length);
	else
		bpf_loop(MAX_VECTORS, add_vector, 0, 0);
	return reading->have;
}

#endif
