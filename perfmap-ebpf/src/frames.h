/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* HTTP/2: what its frames say without what they carry. The headers of all frames and the payloads of all but DATA are
 * taken from a transfer, wherever they lie in it, so that bodies of any size neither cost anything nor hide a frame. */
#ifndef PERFMAP_FRAMES_H
#define PERFMAP_FRAMES_H

#define FRAME_HEADER 9
#define PREFACE_BYTES 24
/* A frame, or a buffer, is one step or two. 64 KiB of frames of 100 bytes take 1,300. */
#define MAX_STEPS 2048
/* Largest frame that is believed; peers allow 16 KiB unless they say more. */
#define MAX_FRAME (1 << 20)
/* Before each piece that is taken: where it lies in the transfer, and its length. */
#define PIECE_HEAD 8

struct frames {
	/* The call's buffers; without an array of them the first one is all. */
	u64 vectors, count;
	u64 base, size, into;
	u64 at, length;
	/* Of the frame at hand: bytes of the payload that are to come, and whether they are taken. */
	u32 left, taken;
	u32 index, out;
	u32 lost, headers;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct frames);
} frame_walks SEC(".maps");

static __always_inline void put_number(u8 *to, u32 number) {
	to[0] = number;
	to[1] = number >> 8;
	to[2] = number >> 16;
	to[3] = number >> 24;
}

/* Not 0: there is no room, or the buffer cannot be read. */
static __always_inline int take(struct frames *frames, u64 bytes) {
	u32 zero = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &zero);
	u64 out = frames->out;
	if (!payload || out + PIECE_HEAD + bytes > MAX_PAYLOAD_BYTES)
		return 1;
	BOUND(out, MAX_PAYLOAD_BYTES - PIECE_HEAD);
	BOUND(bytes, MAX_PAYLOAD_BYTES);
	u8 *to = payload->bytes + out;
	put_number(to, frames->at);
	put_number(to + 4, bytes);
	if (bpf_probe_read_user(to + PIECE_HEAD, bytes, (void *)(frames->base + frames->into)))
		return 1;
	frames->out = out + PIECE_HEAD + bytes;
	return 0;
}

/* RFC 9113, 6: what a frame of each kind must be. */
static __always_inline int is_frame(u32 length, u8 kind, u32 stream) {
	switch (kind) {
	case 0: case 1: case 5: case 9: /* DATA HEADERS PUSH_PROMISE CONTINUATION */
		return stream && length <= MAX_FRAME;
	case 2: /* PRIORITY */
		return stream && length == 5;
	case 3: /* RST_STREAM */
		return stream && length == 4;
	case 4: /* SETTINGS */
		return !stream && length % 6 == 0 && length <= 4096;
	case 6: /* PING */
		return !stream && length == 8;
	case 7: /* GOAWAY */
		return !stream && length >= 8 && length <= MAX_FRAME;
	case 8: /* WINDOW_UPDATE */
		return length == 4;
	}
	return 0;
}

static long frame_step(u32 step, void *context) {
	u32 zero = 0;
	struct frames *frames = bpf_map_lookup_elem(&frame_walks, &zero);
	if (!frames || frames->at >= frames->length)
		return 1;
	if (frames->into >= frames->size) {
		struct iovec vector;
		if (frames->index >= frames->count ||
		    bpf_probe_read_user(&vector, sizeof(vector), (void *)(frames->vectors + frames->index * sizeof(vector))))
			goto lost;
		frames->index++;
		frames->base = vector.base;
		frames->size = vector.length;
		frames->into = 0;
		return 0;
	}
	u64 bytes = frames->size - frames->into;
	if (bytes > frames->length - frames->at)
		bytes = frames->length - frames->at;
	if (frames->left) {
		if (bytes > frames->left)
			bytes = frames->left;
		if (frames->taken && take(frames, bytes))
			goto lost;
		frames->left -= bytes;
	} else {
		u8 header[FRAME_HEADER] = {};
		if (bytes > FRAME_HEADER)
			bytes = FRAME_HEADER;
		if (take(frames, bytes))
			goto lost;
		/* In two buffers or two transfers. */
		if (bytes < FRAME_HEADER || bpf_probe_read_user(header, FRAME_HEADER, (void *)(frames->base + frames->into)))
			goto lost;
		u32 length = header[0] << 16 | header[1] << 8 | header[2];
		u32 stream = (header[5] & 0x7f) << 24 | header[6] << 16 | header[7] << 8 | header[8];
		if (!is_frame(length, header[3], stream))
			goto lost;
		frames->headers++;
		frames->left = length;
		frames->taken = header[3] != 0;
	}
	frames->into += bytes;
	frames->at += bytes;
	return 0;
lost:
	frames->lost = 1;
	return 1;
}

/* Pieces in `payloads`, and how many bytes they take. 0: the transfer does not begin with a frame, where one must be. */
__noinline u32 walk_frames(u64 length, u32 nth) {
	u32 zero = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &zero);
	struct reading *reading = bpf_map_lookup_elem(&readings, &zero);
	struct frames *frames = bpf_map_lookup_elem(&frame_walks, &zero);
	if (!payload || !reading || !frames)
		return 0;
	*reading = (struct reading){};
	find_buffers(reading, nth);
	frames->vectors = reading->vectors;
	frames->count = reading->count;
	frames->base = reading->base;
	frames->size = reading->base ? length : 0;
	frames->into = 0;
	frames->at = 0;
	frames->length = length;
	frames->index = frames->out = frames->lost = frames->headers = 0;
	u32 inside = frames->left;
	bpf_loop(MAX_STEPS, frame_step, 0, 0);
	if (frames->at < frames->length)
		frames->lost = 1;
	if (!inside && !frames->headers)
		return 0;
	if (frames->out)
		return frames->out;
	/* All of it lies in a body: one piece without bytes says so. */
	put_number(payload->bytes, 0);
	put_number(payload->bytes + 4, 0);
	return PIECE_HEAD;
}

static __always_inline u32 read_frames(struct socket_sums *sums, u64 length, u32 nth, u32 direction) {
	u32 zero = 0;
	struct frames *frames = bpf_map_lookup_elem(&frame_walks, &zero);
	if (!frames)
		return 0;
	frames->left = sums->frame_left[direction & 1];
	frames->taken = sums->frame_taken[direction & 1];
	u32 bytes = walk_frames(length, nth);
	/* Behind a gap the next frame is looked for where a transfer begins. */
	sums->frame_left[direction & 1] = frames->lost ? 0 : frames->left;
	sums->frame_taken[direction & 1] = frames->taken;
	return bytes;
}

#endif
