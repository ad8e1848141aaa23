/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Whose transfers count: those of followed tasks, and of whoever is at the other end of one of their connections. */
#ifndef PERFMAP_FAR_ENDS_H
#define PERFMAP_FAR_ENDS_H

#include "adopt.h"
#include "stack.h"

#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* `sk`'s own end, or its far end. False: it has none that could be told from others. */
static __always_inline bool end_of(struct far_end *end, struct sock *sk, bool far) {
	struct sock_common *common = &sk->__sk_common;
	u16 family = common->skc_family, own = common->skc_num, other = __builtin_bswap16(common->skc_dport);
	u8 *local = far ? end->remote_ip : end->local_ip, *remote = far ? end->local_ip : end->remote_ip;
	if (family == AF_UNIX) {
		struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
		end->socket = far ? (u64)peer : (u64)sk;
		return end->socket != 0;
	}
	if (!own || !other)
		return 0;
	if (family == AF_INET) {
		u32 from = common->skc_rcv_saddr, to = common->skc_daddr;
		local[10] = local[11] = remote[10] = remote[11] = 0xff;
		__builtin_memcpy(local + 12, &from, 4);
		__builtin_memcpy(remote + 12, &to, 4);
	} else if (family == AF_INET6) {
		bpf_probe_read_kernel(local, 16, &common->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(remote, 16, &common->skc_v6_daddr);
	} else {
		return 0;
	}
	end->local_port = far ? other : own;
	end->remote_port = far ? own : other;
	return 1;
}

/* Makes an IPv4 end one that only its far side names: where the address that a client asked is rewritten on the way (a
 * container's published port), the server sees the client's address all the same. Loopback's are the same everywhere. */
static __always_inline bool anonymous(struct far_end *end) {
	if (!end->remote_port || end->remote_ip[10] != 0xff || end->remote_ip[12] == 127)
		return 0;
	__builtin_memset(end->local_ip, 0, sizeof(end->local_ip));
	end->local_port = 0;
	return 1;
}

/* Whoever uses the other end of `sk` is a peer. */
static __always_inline void expect(struct sock *sk) {
	struct far_end end = {};
	u32 one = 1;
	if (!end_of(&end, sk, 1))
		return;
	bpf_map_update_elem(&far_ends, &end, &one, BPF_ANY);
	if (anonymous(&end))
		bpf_map_update_elem(&far_ends, &end, &one, BPF_ANY);
}

/* A Unix connection to a name: the other end has one, as its listener, and this end has none. */
static __always_inline void expect_named(struct sock *sk) {
	if (sk->__sk_common.skc_family != AF_UNIX || sk->sk_type == SOCK_DGRAM)
		return;
	struct unix_sock *own = (struct unix_sock *)sk;
	struct unix_sock *other = (struct unix_sock *)BPF_CORE_READ(own, peer);
	if (other && !BPF_CORE_READ(own, addr) && BPF_CORE_READ(other, addr))
		expect(sk);
}

/* A transfer by a task that is not followed. Its state where it is from now on. */
static __noinline struct task_state *stranger(struct task_struct *task, struct sock *sk) {
	u32 pid = pid_of(task);
	if (pid <= 1 || task->flags & PF_KTHREAD)
		return 0;
	u32 *known = bpf_map_lookup_elem(&outsiders, &pid), verdict = known ? *known : 0;
	if (verdict == VERDICT_NEVER || verdict == VERDICT_ANNOUNCED)
		return 0;
	if (verdict == VERDICT_FOLLOWED) {
		if (!settings.counting_only)
			return adopt(task);
		expect_named(sk);
		return 0;
	}
	struct far_end end = {};
	if (!end_of(&end, sk, 0))
		return 0;
	if (!bpf_map_lookup_elem(&far_ends, &end) && (!anonymous(&end) || !bpf_map_lookup_elem(&far_ends, &end)))
		return 0;
	verdict = settings.follow == FOLLOW_ANNOUNCE ? VERDICT_ANNOUNCED : VERDICT_FOLLOWED;
	bpf_map_update_elem(&outsiders, &pid, &verdict, BPF_ANY);
	if (settings.follow == FOLLOW_ADOPT)
		return adopt(task);
	struct named_record record = {};
	fill_header(&record.header, KIND_PEER, pid, tid_of(task), bpf_ktime_get_ns());
	bpf_get_current_comm(record.comm, sizeof(record.comm));
	emit(&record, sizeof(record), LOSS_RING_TASK);
	return 0;
}

static __always_inline struct task_state *user_of(struct task_struct *task, struct sock *sk) {
	struct task_state *state = state_of(task);
	return !state && settings.follow ? stranger(task, sk) : state;
}

#endif
