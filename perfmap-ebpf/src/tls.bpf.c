/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* Plaintext where a TLS library takes it or hands it over. The entry of a call is remembered, its arguments are used at the
 * return, when it is known how much was moved: a call that has to be repeated moves nothing. The returns are the functions'
 * own `ret` instructions, found by user space, not return probes: these replace the return address on the stack, and no
 * unwinder gets past that while the task waits in the call. At a `ret` the stack pointer is what it was at the entry, so
 * an entry whose return was missed is never taken for another one's. */
#include "probe_slot.h"
#include "stack.h"

/* Direction of the last transfer plus 1, as `last` of struct socket_sums. */
struct connection_key {
	u64 connection;
	u32 pid, zero;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct connection_key);
	__type(value, u32);
} tls_turns SEC(".maps");

struct plaintext {
	u8 bytes[MAX_PAYLOAD_BYTES];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROBE_CONTEXTS);
	__type(key, u32);
	__type(value, struct plaintext);
} plaintexts SEC(".maps");

static __always_inline bool sends(u64 function) {
	return function == TLS_SSL_WRITE || function == TLS_SSL_WRITE_EX || function == TLS_GNUTLS_SEND ||
	       function == TLS_GO_WRITE || function == TLS_RUSTLS_WRITE;
}

static __always_inline void enter(struct pt_regs *ctx, struct task_state *state, u64 function) {
	struct tls_call *call = &state->tls;
	/* One TLS inside another: the inner call, which is nearer to the wire, wins. */
	call->connection = ctx->di;
	call->buffer = ctx->si;
	call->length = ctx->dx;
	call->moved = ctx->cx;
	call->sp = ctx->sp;
	call->began = bpf_ktime_get_ns();
	call->socket = 0;
	call->function = function;
}

/* Reader::read(&mut self, buffer, length): the reader's first word leads to a part of the connection's object. */
static __always_inline void enter_rustls_read(struct pt_regs *ctx, struct task_state *state) {
	enter(ctx, state, TLS_RUSTLS_READ);
	if (bpf_probe_read_user(&state->tls.connection, sizeof(state->tls.connection), (void *)ctx->di))
		state->tls.connection = 0;
}

/* CommonState::buffer_plaintext(&mut self, &payload, …): a payload is one slice (0, address, length, length), or a slice of
 * slices with a range (address, count, from, to). Of several the first is taken: a head is not split. */
static __always_inline void enter_rustls_write(struct pt_regs *ctx, struct task_state *state) {
	struct {
		u64 slices, address, length, end;
	} payload;
	struct {
		u64 address, length;
	} first;
	if (bpf_probe_read_user(&payload, sizeof(payload), (void *)ctx->si))
		return;
	enter(ctx, state, TLS_RUSTLS_WRITE);
	state->tls.buffer = payload.address;
	state->tls.length = payload.length;
	if (!payload.slices)
		return;
	state->tls.length = 0;
	if (payload.length || bpf_probe_read_user(&first, sizeof(first), (void *)payload.slices))
		return; /* from the middle of what another call began */
	state->tls.buffer = first.address;
	state->tls.length = first.length;
}

/* Bytes that the call moved; 0: none, or it has to be repeated. */
static __always_inline u64 moved(struct tls_call *call, u64 result) {
	u64 bytes = 0;
	switch (call->function) {
	case TLS_SSL_READ:
	case TLS_SSL_WRITE:
		return (s32)result > 0 ? (u32)result : 0;
	case TLS_SSL_READ_EX:
	case TLS_SSL_WRITE_EX:
		if ((s32)result <= 0 || bpf_probe_read_user(&bytes, sizeof(bytes), (void *)call->moved))
			return 0;
		return bytes;
	case TLS_GNUTLS_RECV:
	case TLS_GNUTLS_SEND:
	case TLS_GO_READ:
	case TLS_GO_WRITE:
	case TLS_RUSTLS_READ:
	case TLS_RUSTLS_WRITE:
		return (s64)result > 0 ? result : 0;
	}
	return 0;
}

static __always_inline void emit_plaintext(struct tls_call *call, u32 slot, u64 bytes) {
	u32 context = CONTEXT_PROBE + slot;
	struct scratch *scratch = scratch_of(context);
	struct plaintext *head = bpf_map_lookup_elem(&plaintexts, &slot);
	if (!scratch || !head)
		return;
	u32 pid = current_pid();
	bool sent = sends(call->function);
	struct plaintext_record *record = &scratch->record.plaintext;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, KIND_PLAINTEXT, pid, current_tid(), bpf_ktime_get_ns());
	record->connection = call->connection;
	record->socket = call->socket;
	record->bytes = bytes;
	record->began = call->began;
	record->flags = sent ? PLAINTEXT_SENT : 0;
	u64 captured = bytes;
	if (call->function == TLS_RUSTLS_READ || call->function == TLS_RUSTLS_WRITE)
		record->flags |= PLAINTEXT_RUSTLS;
	if (call->function == TLS_RUSTLS_WRITE && captured > call->length)
		captured = call->length;
	BOUND(captured, MAX_PAYLOAD_BYTES);
	if (bpf_probe_read_user(head->bytes, captured, (void *)call->buffer)) {
		lose(LOSS_PAYLOAD_UNREADABLE);
		captured = 0;
	}
	record->captured = captured;
	struct connection_key key = {.connection = call->connection, .pid = pid};
	u32 now = sent + 1, *last = bpf_map_lookup_elem(&tls_turns, &key);
	bool turn = sent && (!last || *last != now);
	if (!last || *last != now)
		bpf_map_update_elem(&tls_turns, &key, &now, BPF_ANY);
	if (turn && !settings.counting_only) {
		record->flags |= PLAINTEXT_STACK;
		take_stack(&record->stack, context, pid);
	}
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, context, head->bytes, captured, LOSS_RING_MESSAGE);
}

/* The call returned. */
static __always_inline void returned(struct tls_call *call, u64 result) {
	u64 bytes = moved(call, result);
	u32 zero = 0;
	struct probe_slots *slots = bytes ? bpf_map_lookup_elem(&probe_slots, &zero) : 0;
	if (!slots)
		return;
	u32 slot = take_slot(slots);
	if (slot >= PROBE_CONTEXTS) {
		lose(LOSS_RING_MESSAGE);
		return;
	}
	emit_plaintext(call, slot, bytes);
	slots->taken[slot] = 0;
}

static __always_inline void leave(struct pt_regs *ctx, struct task_state *state) {
	if (!state->tls.connection || state->tls.sp != ctx->sp)
		return;
	u64 result = ctx->ax;
	/* Result<usize>: an error, or the number in the second register. */
	if (state->tls.function == TLS_RUSTLS_READ)
		result = result & 1 ? 0 : ctx->dx;
	returned(&state->tls, result);
	state->tls.connection = 0;
}

/* Go's register ABI: arguments in rax, rbx, rcx, the goroutine in r14. The first instruction is run again after the stack was
 * moved to a larger place; nothing has happened by then. */
static __always_inline void enter_go(struct pt_regs *ctx, u64 function) {
	struct goroutine goroutine = {.address = ctx->r14, .pid = current_pid()};
	struct tls_call call = {
		.connection = ctx->ax,
		.buffer = ctx->bx,
		.length = ctx->cx,
		.began = bpf_ktime_get_ns(),
		.function = function,
	};
	u32 zero = 0, one = 1, *seen = bpf_map_lookup_elem(&go_seen, &zero);
	if (seen && !*seen)
		*seen = one;
	bpf_map_update_elem(&go_calls, &goroutine, &call, BPF_ANY);
}

static __always_inline void leave_go(struct pt_regs *ctx) {
	struct goroutine goroutine = {.address = ctx->r14, .pid = current_pid()};
	struct tls_call *call = bpf_map_lookup_elem(&go_calls, &goroutine);
	if (!call)
		return;
	returned(call, ctx->ax);
	bpf_map_delete_elem(&go_calls, &goroutine);
}

/* net/http hands a request over to a goroutine of its own, that of the connection. Who asks, with its stack, at the entry of
 * (*persistConn).roundTrip; and who writes for that connection, at the entry of persistConnWriter.Write. Both have the
 * connection as their first argument, and no other one tells two requests apart that are under way together. Of HTTP/2 it
 * is the request, the second argument of both; of gRPC what is put into the connection's queue. */
static __always_inline void handed_over(struct pt_regs *ctx, u32 what, u64 between) {
	u32 zero = 0;
	struct probe_slots *slots = bpf_map_lookup_elem(&probe_slots, &zero);
	u64 high = 0;
	u32 pid = current_pid();
	u64 goroutine = running_goroutine(pid, ctx->sp, &high);
	if (!slots || !goroutine)
		return;
	u32 slot = take_slot(slots);
	if (slot >= PROBE_CONTEXTS) {
		lose(LOSS_RING_MESSAGE);
		return;
	}
	u32 context = CONTEXT_PROBE + slot;
	struct scratch *scratch = scratch_of(context);
	if (scratch) {
		struct goroutine_record *record = &scratch->record.goroutine;
		fill_goroutine(record, goroutine, what);
		record->connection = between;
		if (what == GOROUTINE_ASKS)
			take_stack(&record->stack, context, pid);
		emit_with_stack(record, sizeof(*record), &record->stack, scratch, context, 0, 0, LOSS_RING_MESSAGE);
	}
	slots->taken[slot] = 0;
}

/* Shorter timers than this are no wait that anybody looks for, and a program may set thousands of them. */
#define LEAST_TIMER_MS 4

static __always_inline void emit_ask(u32 slot, u32 what, u64 handle, u64 wrap, u64 due) {
	u32 context = CONTEXT_PROBE + slot;
	struct scratch *scratch = scratch_of(context);
	struct plaintext *object = bpf_map_lookup_elem(&plaintexts, &slot);
	if (!scratch || !object)
		return;
	u64 id = bpf_get_current_pid_tgid();
	struct ask_record *record = &scratch->record.ask;
	__builtin_memset(record, 0, sizeof(*record));
	fill_header(&record->header, KIND_ASK, id >> 32, (u32)id, bpf_ktime_get_ns());
	record->handle = handle;
	record->wrap = wrap;
	record->due = due;
	record->what = what;
	if (what != ASK_CONNECTS) {
		record->has_stack = 1;
		take_stack(&record->stack, context, id >> 32);
	}
	/* Over TLS that is another object than the handle's. */
	if (what == ASK_REUSED && !bpf_probe_read_user(object->bytes, WRAP_BYTES, (void *)wrap))
		record->captured = WRAP_BYTES;
	emit_with_stack(record, sizeof(*record), &record->stack, scratch, context, object->bytes, record->captured, LOSS_RING_MESSAGE);
}

/* Until when each future of Tokio's sleeps, as it was told: it is polled whenever its task is. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct goroutine);
	__type(value, u64);
} sleeps SEC(".maps");

/* Words of tokio's Sleep that are looked at: in all releases from 1.0 on its deadline is among them, two words in an
 * order that the compiler chose for the whole. */
#define SLEEP_WORDS 14
#define MAX_SLEEP_S 86400

/* The instant of the monotonic clock that lies in the object, where it is still to come and was not told before; else 0. */
static __noinline u64 deadline_in(u64 object) {
	u64 words[SLEEP_WORDS] = {}, now = bpf_ktime_get_ns(), second = now / 1000000000;
	struct goroutine key = {.address = object, .pid = current_pid()};
	if (object < 4096 || bpf_probe_read_user(words, sizeof(words), (void *)object))
		return 0;
	for (u32 i = 0; i < SLEEP_WORDS - 1; i++) {
		u32 rest = words[i + 1];
		if (words[i] < second || words[i] > second + MAX_SLEEP_S || rest >= 1000000000)
			continue;
		u64 due = words[i] * 1000000000 + rest;
		if (due < now + LEAST_TIMER_MS * 1000000)
			continue;
		u64 *told = bpf_map_lookup_elem(&sleeps, &key);
		if (told && *told == due)
			return 0;
		bpf_map_update_elem(&sleeps, &key, &due, BPF_ANY);
		return due;
	}
	return 0;
}

/* libuv's functions, which make a connection, open it, or set a timer; and Node's, which gives a connection that is open
 * to another request. What is asked for happens in a later turn of the loop, with nobody of the program's on the stack. */
static __always_inline void ask(struct pt_regs *ctx, struct task_state *state, u64 function) {
	u64 handle = 0, wrap = 0, due = 0;
	if (settings.counting_only)
		return;
	switch (function) {
	case ASK_MADE: /* uv_tcp_init(loop, handle) */
		if (state->accepted) { /* for the connection that was accepted just now */
			state->accepted = 0;
			return;
		}
		handle = ctx->si;
		bpf_probe_read_user(&wrap, sizeof(wrap), (void *)handle); /* its first field: whose it is */
		break;
	case ASK_CONNECTS: /* uv_tcp_connect(request, handle, …) */
		handle = ctx->si;
		break;
	case ASK_REUSED:
		wrap = ctx->di;
		break;
	case ASK_TIMER: /* uv_timer_start(handle, callback, milliseconds, …) */
		handle = ctx->di;
		if (ctx->dx < LEAST_TIMER_MS || ctx->dx > 1ull << 40)
			return;
		due = bpf_ktime_get_ns() + ctx->dx * 1000000;
		break;
	case ASK_SLEEPS: /* tokio's Sleep::poll(self, …) */
		handle = ctx->di;
		due = deadline_in(handle);
		if (!due)
			return;
		break;
	}
	u32 zero = 0;
	struct probe_slots *slots = bpf_map_lookup_elem(&probe_slots, &zero);
	if (!slots)
		return;
	u32 slot = take_slot(slots);
	if (slot >= PROBE_CONTEXTS) {
		lose(LOSS_RING_MESSAGE);
		return;
	}
	emit_ask(slot, function, handle, wrap, due);
	slots->taken[slot] = 0;
}

/* One program for all, so that all probes of a library are one link. The cookie: which function begins, or that one
 * returns. */
SEC("uprobe")
int on_tls(struct pt_regs *ctx) {
	struct task_state *state = state_of(bpf_get_current_task_btf());
	if (!state)
		return 0;
	u64 function = bpf_get_attach_cookie(ctx);
	switch (function) {
	case 0:
		leave(ctx, state);
		break;
	case TLS_GO_READ:
	case TLS_GO_WRITE:
		enter_go(ctx, function);
		break;
	case TLS_GO_RETURN:
		leave_go(ctx);
		break;
	case GO_ASKS:
		handed_over(ctx, GOROUTINE_ASKS, ctx->ax);
		break;
	case GO_WRITES:
		handed_over(ctx, GOROUTINE_WRITES, ctx->ax);
		break;
	case GO_ASKS_STREAM:
		handed_over(ctx, GOROUTINE_ASKS, ctx->bx);
		break;
	case GO_WRITES_STREAM:
		handed_over(ctx, GOROUTINE_WRITES, ctx->bx);
		break;
	case GO_PUTS_HEADER:
		handed_over(ctx, GOROUTINE_ASKS, ctx->di);
		break;
	case TLS_RUSTLS_READ:
		enter_rustls_read(ctx, state);
		break;
	case TLS_RUSTLS_WRITE:
		enter_rustls_write(ctx, state);
		break;
	case ASK_MADE:
	case ASK_CONNECTS:
	case ASK_REUSED:
	case ASK_TIMER:
	case ASK_SLEEPS:
		ask(ctx, state, function);
		break;
	default:
		enter(ctx, state, function);
	}
	return 0;
}
