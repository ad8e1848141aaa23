/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The records of perfmap-common/src, which documents them, in C. The sizes are asserted on both sides. */
#ifndef PERFMAP_WIRE_H
#define PERFMAP_WIRE_H

#define MAX_PYTHON_FRAMES 128
#define MAX_KERNEL_FRAMES 48
#define MAX_STACK_BYTES (32 * 1024)
#define MAX_PAYLOAD_BYTES 16384
#define MAX_LINE_TABLE_BYTES 8192
#define MAX_STRING_BYTES 512
#define WAIT_CLASSES 8
#define MAX_AWAITS 32
#define WRAP_BYTES 512
#define RESUMED_ROUNDS 10
#define ROUND_STARTED 254
#define ROUND_MAIN 255

enum kind {
	KIND_FORK = 1,
	KIND_EXEC,
	KIND_EXIT,
	KIND_RENAME,
	KIND_SAMPLE,
	KIND_BLOCK,
	KIND_CALL,
	KIND_SHORT_WAITS,
	KIND_SOCKET_SEEN,
	KIND_SOCKET_STATE,
	KIND_MESSAGE,
	KIND_FILE_IO,
	KIND_PYTHON_CODE,
	KIND_FAULT_STACK,
	KIND_ADOPT,
	KIND_PEER,
	KIND_RESUMED,
	KIND_PLAINTEXT = 20,
	KIND_MEMORY = 21,
	KIND_ASK = 22,
	KIND_GOROUTINE = 24,
	KIND_OPENED = 40,
	KIND_CLOSED = 41,
	KIND_UNREAD = 42,
};
enum loss {
	LOSS_RING_SAMPLE,
	LOSS_RING_WAIT,
	LOSS_RING_MESSAGE,
	LOSS_RING_TASK,
	LOSS_RING_FILE,
	LOSS_RING_PYTHON,
	LOSS_TASK_STORAGE,
	LOSS_PYTHON_UNREADABLE,
	LOSS_SITE_TABLE,
	LOSS_PAYLOAD_UNREADABLE,
	LOSS_RING_MEMORY,
	LOSS_WAKE_UNSEEN,
	LOSS_SWITCH_UNSEEN,
	LOSS_SLOTS,
};
enum goroutine_what {
	GOROUTINE_WAITS = 1,
	GOROUTINE_GOES_ON,
	GOROUTINE_ENDED,
	GOROUTINE_ASKS,
	GOROUTINE_WRITES,
	GOROUTINE_WAITS_AGAIN,
};
enum object {
	OBJECT_NONE,
	OBJECT_SOCKET,
	OBJECT_PIPE,
	OBJECT_FILE,
	OBJECT_ANONYMOUS,
	OBJECT_OTHER,
};
enum wait_class {
	WAIT_SOCKET,
	WAIT_PIPE,
	WAIT_POLL,
	WAIT_FUTEX,
	WAIT_SLEEP,
	WAIT_CHILD,
	WAIT_DISK,
	WAIT_OTHER,
};
enum {
	STACK_PYTHON_CUT = 1,
	STACK_NO_THREAD_STATE = 2,
	STACK_USER_CUT = 4,
};
enum {
	MESSAGE_SENT = 1,
	MESSAGE_OPAQUE = 2,
	MESSAGE_STACK = 4,
	MESSAGE_CLOSED = 8,
	MESSAGE_PIECES = 16,
};
enum {
	PLAINTEXT_SENT = 1,
	PLAINTEXT_STACK = 2,
	PLAINTEXT_RUSTLS = 4,
};
/* Cookies of the probes: how a function takes its arguments and says what it moved. */
enum tls_function {
	TLS_SSL_READ = 1,
	TLS_SSL_WRITE,
	TLS_SSL_READ_EX,
	TLS_SSL_WRITE_EX,
	TLS_GNUTLS_RECV,
	TLS_GNUTLS_SEND,
	TLS_GO_READ,
	TLS_GO_WRITE,
	TLS_GO_RETURN,
	TLS_RUSTLS_READ,
	TLS_RUSTLS_WRITE,
	GO_ASKS,
	GO_WRITES,
	GO_ASKS_STREAM,
	GO_WRITES_STREAM,
	GO_PUTS_HEADER,
};
/* The same of functions in which somebody asks for what an event loop does later. */
enum ask {
	ASK_MADE = 32,
	ASK_CONNECTS,
	ASK_REUSED,
	ASK_TIMER,
	ASK_SLEEPS,
};
enum {
	BLOCK_EARLY_WAKE = 1,
	BLOCK_UNFINISHED = 2,
	BLOCK_INTERPRETER_LOCK = 4,
	BLOCK_THROTTLED = 8,
	BLOCK_UNSEEN_WAKE = 16,
};
enum follow {
	FOLLOW_NONE,
	FOLLOW_ANNOUNCE,
	FOLLOW_LEARN,
	FOLLOW_ADOPT,
};
enum verdict {
	VERDICT_ANNOUNCED = 1,
	VERDICT_FOLLOWED,
	VERDICT_NEVER,
};
enum protocol {
	PROTOCOL_UNDECIDED,
	PROTOCOL_HTTP1,
	PROTOCOL_TLS,
	PROTOCOL_OPAQUE,
	PROTOCOL_CALLS, /* framed: databases, caches, DNS */
	PROTOCOL_HTTP2,
};

struct header {
	u32 kind, pid, tid, cpu;
	u64 at;
};
struct fork_record {
	struct header header;
	u32 child_pid, child_tid;
	char comm[16];
};
struct named_record {
	struct header header;
	u64 value;
	char comm[16];
};
struct exit_record {
	struct header header;
	u32 code, alive;
	u64 cpu_ns;
	char comm[16];
};
struct adopt_record {
	struct header header;
	u32 parent, reserved;
	u64 cpu_ns;
	char comm[16];
};
struct stack_head {
	u64 registers[17];
	u64 coroutine;
	u32 python, kernel, user, flags;
};
struct python_frame {
	u64 code, instruction, name;
	u32 first_line, owner;
};
struct sample_record {
	struct header header;
	struct stack_head stack;
};
struct memory_record {
	struct header header;
	s64 change, resident;
	struct stack_head stack;
};
struct block_record {
	struct header header;
	u64 off, wake;
	u32 state;
	s32 syscall;
	u32 waker_pid, waker_tid;
	s32 waker_syscall, waker_descriptor;
	char waker_comm[16];
	u32 flags, holder;
	u32 before_pid, before_tid;
	char before_comm[16];
	u32 device, reserved;
	u64 waker_goroutine;
};
struct call_record {
	struct header header;
	s64 result;
	u64 arguments[3];
	u64 identity;
	u32 syscall, object;
	struct stack_head stack;
};
struct short_waits_record {
	struct header header;
	u64 from, run_queue;
	u64 blocked[WAIT_CLASSES];
	u64 count;
	struct stack_head stack;
};
struct socket_seen_record {
	struct header header;
	u64 socket, kernel, peer;
	u32 netns;
	u16 family, kind, local_port, remote_port, state, protocol;
	u8 local_ip[16], remote_ip[16];
};
struct socket_state_record {
	struct socket_seen_record seen;
	u32 from, to;
};
struct message_record {
	struct header header;
	u64 socket, bytes, skipped_messages, skipped_bytes;
	u32 syscall;
	s32 descriptor;
	u32 captured, flags;
	struct stack_head stack;
};
struct plaintext_record {
	struct header header;
	u64 connection, socket, bytes, began;
	u32 captured, flags;
	struct stack_head stack;
};
struct ask_record {
	struct header header;
	u64 handle, wrap, due;
	u32 what, has_stack, captured, reserved;
	struct stack_head stack;
};
struct file_io_record {
	struct header header;
	u64 first, bytes, calls, site, inode, size;
	u32 operation, has_stack, device, reserved;
	struct stack_head stack;
};
enum {
	OPENED_NAMED = 1,
	OPENED_CREATED = 2,
	OPENED_WATCHED = 4,
	OPENED_DIRECTORY = 8,
	OPENED_STACK = 16,
};
/* Then the stack's parts and the path. */
struct opened_record {
	struct header header;
	u64 inode, size, site;
	u32 device, flags;
	s32 descriptor;
	u32 object, path_bytes, reserved;
	struct stack_head stack;
};
struct closed_record {
	struct header header;
	u64 since, site;
	s32 descriptor;
	u32 object, left, opened;
};
struct unread_record {
	struct header header;
	u64 socket, bytes;
};
struct python_code_record {
	struct header header;
	u64 code, name_address;
	u32 first_line, name_bytes, name_width, file_bytes, file_width, table_bytes;
	u64 table_length;
};
struct resumed_record {
	struct header header;
	u64 coroutine;
	u32 frames, round, of_tasks, reserved;
};
struct goroutine_record {
	struct header header;
	u64 goroutine, connection;
	u32 what, reason;
	struct stack_head stack;
};
struct go_layout {
	u64 goroutines;
	s64 thread_local_g;
	u32 g_status, g_id, g_reason, g_frame;
	u64 looked;
	u32 from, g_runs;
	u32 m_running, reserved;
};
struct python_layout {
	u64 runtime;
	u32 version, tss_key, thread_frame, has_cframe, cframe_current;
	u32 frame_code, frame_back, frame_instruction;
	u32 code_file, code_name, code_first_line, code_table;
	u32 str_ascii, str_compact;
	u32 thread_pthread, frame_owner, generator_frame, future_coroutine;
};
struct socket_sums {
	u64 skipped_messages[2], skipped_bytes[2];
	u32 messages, protocol, last, pid, tid, turns;
	u32 frame_left[2], frame_taken[2];
};
struct settings {
	u64 wait_threshold_ns, short_waits_every_ns, file_io_every_ns;
	u32 counting_only, follow, pid_namespace, lose_arrivals;
};
struct live_settings {
	u64 wait_threshold_ns;
	u32 payload_bytes, stack_bytes, turn_every, sample_every;
};
struct far_end {
	u8 local_ip[16], remote_ip[16];
	u64 socket;
	u16 local_port, remote_port;
	u32 reserved;
};

#define SIZE(record, bytes) _Static_assert(sizeof(struct record) == (bytes), #record)
SIZE(header, 24);
SIZE(fork_record, 48);
SIZE(named_record, 48);
SIZE(exit_record, 56);
SIZE(stack_head, 160);
SIZE(python_frame, 32);
SIZE(sample_record, 184);
SIZE(memory_record, 200);
SIZE(block_record, 128);
SIZE(call_record, 232);
SIZE(short_waits_record, 272);
SIZE(socket_seen_record, 96);
SIZE(socket_state_record, 104);
SIZE(message_record, 232);
SIZE(plaintext_record, 224);
SIZE(ask_record, 224);
SIZE(file_io_record, 248);
SIZE(opened_record, 232);
SIZE(closed_record, 56);
SIZE(unread_record, 40);
SIZE(python_code_record, 72);
SIZE(resumed_record, 48);
SIZE(goroutine_record, 208);
SIZE(go_layout, 56);
SIZE(python_layout, 80);
SIZE(socket_sums, 72);
SIZE(settings, 40);
SIZE(live_settings, 24);
SIZE(adopt_record, 56);
SIZE(far_end, 48);

#endif
