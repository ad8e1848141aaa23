/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* What goes over sockets: the transfers' heads of connections that speak (or may speak) a protocol that can be read,
 * sums of all others. sock_send_length and sock_recv_length fire for every kind of transfer (write, send*, sendfile,
 * read, recv*, …) on sockets alone, with a trusted socket; the user's buffer is found in the call's registers. */
#include "stack.h"
#include "classify.h"
#include "far_ends.h"

/* TCP connections, until they are given up. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct socket_sums);
} sockets SEC(".maps");
/* Sockets whose end nothing tells (Unix, datagrams): apart, so that they cannot fill the table of connections. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct socket_sums);
} endless_sockets SEC(".maps");

/* What user space, which sees more than the first bytes, says of a connection. LRU: what is forgotten is judged anew. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} verdicts SEC(".maps");

#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000 /* notices about sent data, no data */
#define RECEIVED 0
#define SENT 1
/* A connection that shows no known protocol within this many transfers has none: a MySQL client that reads each
 * packet's header by itself has had its eighth when its first command comes. */
#define UNDECIDED_MESSAGES 16
/* Transfers after which user space is asked again what it makes of the connection; a power of two. */
#define ASK_MESSAGES 64
/* Of larger transfers the framing is not kept anyway, so that as much as a head is enough. */
#define HEAD_BYTES 4096
#define DNS_PORT 53
/* Transfers on an opaque socket after which a task adds them to the socket's sums. */
#define SETTLE_MESSAGES 64

#include "frames.h"

static __always_inline void describe(struct socket_seen_record *record, struct sock *sk, u64 cookie) {
	struct sock_common *common = &sk->__sk_common;
	record->socket = cookie;
	record->kernel = (u64)sk;
	record->family = common->skc_family;
	record->state = common->skc_state;
	record->kind = sk->sk_type;
	record->protocol = sk->sk_protocol;
	record->netns = BPF_CORE_READ(common, skc_net.net, ns.inum);
	if (record->family == AF_UNIX) {
		record->peer = (u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
		return;
	}
	record->local_port = common->skc_num;
	record->remote_port = __builtin_bswap16(common->skc_dport);
	if (record->family == AF_INET) { /* as ::ffff:a.b.c.d, so that it matches the other end of a dual-stack server */
		record->local_ip[10] = record->local_ip[11] = record->remote_ip[10] = record->remote_ip[11] = 0xff;
		u32 local = common->skc_rcv_saddr, remote = common->skc_daddr;
		__builtin_memcpy(record->local_ip + 12, &local, 4);
		__builtin_memcpy(record->remote_ip + 12, &remote, 4);
	} else if (record->family == AF_INET6) {
		bpf_probe_read_kernel(record->local_ip, 16, &common->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(record->remote_ip, 16, &common->skc_v6_daddr);
	}
}

/* Connections that followed tasks are opening: the port is not chosen yet when they begin. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} opening SEC(".maps");

static __always_inline struct socket_sums *find(bool connection, u64 *cookie) {
	if (connection)
		return bpf_map_lookup_elem(&sockets, cookie);
	return bpf_map_lookup_elem(&endless_sockets, cookie);
}

/* Adds what a task has not yet added to the sums of the opaque socket that it used last. */
static __always_inline void settle(struct task_state *state) {
	struct socket_sums *sums = bpf_map_lookup_elem(&endless_sockets, &state->opaque_socket);
	for (u32 direction = 0; direction < 2; direction++) {
		if (sums) {
			__sync_fetch_and_add(&sums->skipped_messages[direction], state->opaque_messages[direction]);
			__sync_fetch_and_add(&sums->skipped_bytes[direction], state->opaque_bytes[direction]);
		}
		state->opaque_messages[direction] = 0;
		state->opaque_bytes[direction] = 0;
	}
}

/* One transfer to user space, with the stack where `flags` ask for it. */
__noinline int send_message(u64 cookie, u64 length, u32 captured, u32 flags) {
	u32 zero = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &zero);
	struct scratch *scratch = scratch_of(CONTEXT_CALL);
	if (!payload || !scratch)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	struct message_record *record = &scratch->record.message;
	u32 pid = pid_of(task);
	u64 high = 0;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, KIND_MESSAGE, pid, tid_of(task), bpf_ktime_get_ns());
	BOUND(captured, MAX_PAYLOAD_BYTES);
	record->socket = cookie;
	record->bytes = length;
	record->syscall = syscall_of(task);
	record->descriptor = regs->di;
	record->flags = flags;
	record->captured = captured;
	if (flags & MESSAGE_STACK)
		take_stack(&record->stack, CONTEXT_CALL, pid);
	else
		record->stack.coroutine = running_goroutine(pid, regs->sp, &high);
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, CONTEXT_CALL, payload->bytes, captured, LOSS_RING_MESSAGE);
	return 0;
}

/* Go keeps the running goroutine below the thread's base. Wherever else something else lies, it is no call's key. */
#define GO_G 8
static __always_inline void of_goroutine(struct task_struct *task, u64 cookie) {
	u32 zero = 0, *seen = bpf_map_lookup_elem(&go_seen, &zero);
	if (!seen || !*seen)
		return;
	struct goroutine goroutine = {.pid = pid_of(task)};
	if (bpf_probe_read_user(&goroutine.address, 8, (void *)(task->thread.fsbase - GO_G)))
		return;
	struct tls_call *call = bpf_map_lookup_elem(&go_calls, &goroutine);
	if (call)
		call->socket = cookie;
}

/* Frames of their own: kernels before 6.13 give a program and all that it calls 512 bytes of stack together. */
static __noinline int first_seen(struct task_struct *task, struct sock *sk, u64 cookie, bool connection) {
	if (!task || !sk)
		return 0;
	struct socket_sums fresh = {.pid = pid_of(task), .tid = tid_of(task)};
	u16 family = sk->__sk_common.skc_family;
	if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
		fresh.protocol = PROTOCOL_OPAQUE;
	else if (family != AF_UNIX && (sk->__sk_common.skc_num == DNS_PORT ||
				       sk->__sk_common.skc_dport == __builtin_bswap16(DNS_PORT)))
		fresh.protocol = PROTOCOL_CALLS;
	else if (!connection) { /* may have been known, and forgotten */
		u32 *verdict = bpf_map_lookup_elem(&verdicts, &cookie);
		fresh.protocol = verdict ? *verdict : PROTOCOL_UNDECIDED;
	}
	/* Two threads may be here at once: the first one's entry stays. */
	if (connection)
		bpf_map_update_elem(&sockets, &cookie, &fresh, BPF_NOEXIST);
	else
		bpf_map_update_elem(&endless_sockets, &cookie, &fresh, BPF_NOEXIST);
	return 0;
}

static __noinline int tell_seen(struct task_struct *task, struct sock *sk, u64 cookie) {
	if (!task || !sk)
		return 0;
	struct socket_seen_record seen = {};
	fill_header(&seen.header, KIND_SOCKET_SEEN, pid_of(task), tid_of(task), bpf_ktime_get_ns());
	describe(&seen, sk, cookie);
	emit(&seen, sizeof(seen), LOSS_RING_MESSAGE);
	return 0;
}

static __always_inline int transfer(struct task_struct *task, struct task_state *state, struct sock *sk, int length,
				    u32 direction, u64 cookie) {
	if (length < 0)
		return 0;
	u32 nth = state->on_socket++;
	state->tls.socket = cookie;
	of_goroutine(task, cookie);
	if (cookie == state->opaque_socket) {
		state->opaque_messages[direction & 1]++;
		state->opaque_bytes[direction & 1] += length;
		/* Settled now and then, for those who read the sums while the task goes on. */
		if (state->opaque_messages[direction & 1] >= SETTLE_MESSAGES)
			settle(state);
		return 0;
	}
	bool connection = sk->sk_type == SOCK_STREAM && sk->__sk_common.skc_family != AF_UNIX;
	struct socket_sums *sums = find(connection, &cookie);
	if (!sums) {
		first_seen(task, sk, cookie, connection);
		sums = find(connection, &cookie);
		if (!sums) {
			lose(LOSS_RING_MESSAGE);
			return 0;
		}
		tell_seen(task, sk, cookie);
		if (settings.follow)
			expect_named(sk);
	}
	if (sums->protocol == PROTOCOL_OPAQUE) {
		__sync_fetch_and_add(&sums->skipped_messages[direction & 1], 1);
		__sync_fetch_and_add(&sums->skipped_bytes[direction & 1], length);
		/* Nothing tells of a Unix socket's end but the ends of its tasks, so their sums can wait for these. */
		if (sk->__sk_common.skc_family == AF_UNIX) {
			if (state->opaque_socket)
				settle(state);
			state->opaque_socket = cookie;
		}
		return 0;
	}
	if (sums->protocol == PROTOCOL_UNDECIDED || (sums->messages & (ASK_MESSAGES - 1)) == ASK_MESSAGES - 1) {
		u32 *verdict = bpf_map_lookup_elem(&verdicts, &cookie);
		if (verdict && *verdict != PROTOCOL_UNDECIDED)
			sums->protocol = *verdict;
	}
	u32 limit = HEAD_BYTES;
	if (sums->protocol != PROTOCOL_HTTP1 && sums->protocol != PROTOCOL_TLS && length <= MAX_PAYLOAD_BYTES)
		limit = MAX_PAYLOAD_BYTES;
	u32 only = 0;
	struct live_settings *limits = bpf_map_lookup_elem(&live, &only);
	u32 most = limits ? limits->payload_bytes : limit;
	/* Thinned too: how many answers a transfer has is known from all of them, and a pipeline's are short. */
	if (sums->protocol == PROTOCOL_CALLS && most < HEAD_BYTES)
		most = HEAD_BYTES;
	if (limit > most)
		limit = most;
	u32 captured = 0, pieces = 0;
	if (sums->protocol == PROTOCOL_HTTP2 && length > 0)
		pieces = read_frames(sums, length, nth, direction);
	if (!pieces && length > 0)
		captured = read_payload(length, limit, nth);
	u32 flags = direction == SENT ? MESSAGE_SENT : 0;
	sums->messages++;
	if (sums->protocol == PROTOCOL_UNDECIDED && length > 0) {
		sums->protocol = classify(captured, length);
		if (sums->protocol == PROTOCOL_UNDECIDED && sums->messages >= UNDECIDED_MESSAGES) {
			sums->protocol = PROTOCOL_OPAQUE;
			flags |= MESSAGE_OPAQUE;
		}
		if (sums->protocol == PROTOCOL_HTTP2) {
			sums->frame_left[direction & 1] = PREFACE_BYTES;
			sums->frame_taken[direction & 1] = 1;
			pieces = read_frames(sums, length, nth, direction);
		}
	}
	if (pieces) {
		captured = pieces;
		flags |= MESSAGE_PIECES;
	}
	bool turn = direction == SENT && sums->last != SENT + 1;
	if (length > 0)
		sums->last = direction + 1;
	if (turn && limits && limits->turn_every > 1)
		turn = sums->turns++ % limits->turn_every == 0;
	if (turn && !settings.counting_only)
		flags |= MESSAGE_STACK;
	send_message(cookie, length, captured, flags);
	return 0;
}

/* Asking for a cookie gives the socket one; from then on it lies in it. */
static __always_inline u64 cookie_of(struct sock *sk) {
	u64 cookie = sk->__sk_common.skc_cookie.counter;
	return cookie ? cookie : bpf_get_socket_cookie(sk);
}

static __always_inline int sent(struct sock *sk, int length) {
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = user_of(task, sk);
	return state ? transfer(task, state, sk, length, SENT, cookie_of(sk)) : 0;
}

static __always_inline int received(struct sock *sk, int length, int flags) {
	if (flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = user_of(task, sk);
	return state ? transfer(task, state, sk, length, RECEIVED, cookie_of(sk)) : 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, struct sock *sk, int length, int flags) {
	return sent(sk, length);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_receive, struct sock *sk, int length, int flags) {
	return received(sk, length, flags);
}

/* Where the kernel has no such tracepoints (before 6.3): the returns of the functions that have them later. */
SEC("fexit/sock_sendmsg")
int BPF_PROG(on_sent, struct socket *socket, void *message, int length) {
	struct sock *sk = socket->sk;
	return sk ? sent(sk, length) : 0;
}

SEC("fexit/sock_recvmsg")
int BPF_PROG(on_received, struct socket *socket, void *message, int flags, int length) {
	struct sock *sk = socket->sk;
	return sk ? received(sk, length, flags) : 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit_sockets, struct task_struct *task) {
	struct task_state *state = state_of(task);
	if (state && state->opaque_socket)
		settle(state);
	return 0;
}

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE 7

/* Whether a followed task opens the connection: the answer comes in an interrupt, inside any task. Its far end is asked
 * for as soon as both ports are known. */
static __always_inline bool follow_opening(struct task_struct *task, struct sock *sk, u64 cookie, int from, int to) {
	u32 pid = pid_of(task), one = 1;
	if (to == TCP_SYN_SENT) {
		u32 *verdict = settings.follow ? bpf_map_lookup_elem(&outsiders, &pid) : 0;
		if (!state_of(task) && !(verdict && *verdict == VERDICT_FOLLOWED))
			return 0;
		bpf_map_update_elem(&opening, &cookie, &one, BPF_ANY);
		return 1;
	}
	if (from != TCP_SYN_SENT || !bpf_map_lookup_elem(&opening, &cookie))
		return 0;
	if (settings.follow && to == TCP_ESTABLISHED)
		expect(sk);
	bpf_map_delete_elem(&opening, &cookie);
	return 1;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_socket_state, struct sock *sk, int from, int to) {
	/* Runs in whatever context moved the socket, the peer's included: user space keeps what belongs to a known socket
	 * or to a followed task. */
	struct task_struct *task = bpf_get_current_task_btf();
	u64 cookie = bpf_get_socket_cookie(sk);
	bool opens = follow_opening(task, sk, cookie, from, to);
	struct socket_sums *sums = bpf_map_lookup_elem(&sockets, &cookie);
	if (!opens && !sums && !state_of(task))
		return 0;
	struct socket_state_record record = {};
	u64 now = bpf_ktime_get_ns();
	fill_header(&record.seen.header, KIND_SOCKET_STATE, pid_of(task), tid_of(task), now);
	describe(&record.seen, sk, cookie);
	record.from = from;
	record.to = to;
	emit(&record, sizeof(record), LOSS_RING_MESSAGE);
	return 0;
}

/* Nobody can read from the connection any more. TCP_CLOSE comes earlier where the other side reset it or a half was
 * shut down: the task then still holds the descriptor, and maybe unread bytes. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(on_socket_end, struct sock *sk) {
	struct task_struct *task = bpf_get_current_task_btf();
	u64 cookie = bpf_get_socket_cookie(sk), now = bpf_ktime_get_ns();
	struct socket_sums *sums = bpf_map_lookup_elem(&sockets, &cookie);
	if (!sums && !state_of(task))
		return 0;
	/* The sums first: the change from CLOSE to CLOSE ends the socket in user space. */
	for (u32 direction = 0; sums && direction < 2; direction++) {
		struct message_record last = {};
		if (!sums->skipped_messages[direction])
			continue;
		fill_header(&last.header, KIND_MESSAGE, sums->pid, sums->tid, now);
		last.socket = cookie;
		last.skipped_messages = sums->skipped_messages[direction];
		last.skipped_bytes = sums->skipped_bytes[direction];
		last.flags = MESSAGE_CLOSED | (direction == SENT ? MESSAGE_SENT : 0);
		emit(&last, sizeof(last), LOSS_RING_MESSAGE);
	}
	bpf_map_delete_elem(&sockets, &cookie);
	struct socket_state_record record = {};
	fill_header(&record.seen.header, KIND_SOCKET_STATE, pid_of(task), tid_of(task), now);
	describe(&record.seen, sk, cookie);
	record.from = record.to = TCP_CLOSE;
	emit(&record, sizeof(record), LOSS_RING_MESSAGE);
	return 0;
}

/* The end of the recording: what tasks that live on have not added to their sockets' sums. */
SEC("iter/task")
int on_end_sockets(struct bpf_iter__task *context) {
	struct task_struct *task = context->task;
	struct task_state *state = task ? state_of(task) : 0;
	if (state && state->opaque_socket)
		settle(state);
	return 0;
}
