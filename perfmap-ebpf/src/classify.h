/* SPDX-License-Identifier: (MIT OR Apache-2.0) AND GPL-2.0 */
/* The first bytes of a transfer → the protocol that its connection speaks. */
#ifndef PERFMAP_CLASSIFY_H
#define PERFMAP_CLASSIFY_H

#include "payload.h"

/* What the first bytes of a transfer say of its connection. A look at a few bytes: user space decides for good. */
__noinline u32 classify(u32 bytes, u64 length) {
	u32 zero = 0;
	struct payload *payload = bpf_map_lookup_elem(&payloads, &zero);
	if (!payload || bytes < 4)
		return PROTOCOL_UNDECIDED;
	const u8 *head = payload->bytes;
	/* Redis: *3\r\n… */
	if (head[0] == '*' && head[1] >= '1' && head[1] <= '9' && (head[2] == '\r' || (head[2] >= '0' && head[2] <= '9')))
		return PROTOCOL_CALLS;
	if (bytes >= 8) {
		/* PostgreSQL: a length below 64 KiB, then version 3, or a request for TLS, GSS or a cancel. */
		if (head[0] == 0 && head[1] == 0 &&
		    ((head[4] == 0 && head[5] == 3) || (head[4] == 0x04 && head[5] == 0xd2 && head[6] == 0x16)))
			return PROTOCOL_CALLS;
		/* MySQL: the server's greeting, or a command that is all of the transfer; both are number 0. */
		u64 packet = head[0] | head[1] << 8 | head[2] << 16;
		if (head[3] == 0 && packet + 4 == length && (head[4] == 10 || (head[4] >= 1 && head[4] <= 0x1f)))
			return PROTOCOL_CALLS;
	}
	if (bytes >= 24 && head[0] == 0x80 && head[1] < 0x40 && head[5] == 0) { /* memcached's binary protocol */
		u64 body = (u64)head[8] << 24 | head[9] << 16 | head[10] << 8 | head[11];
		if (body + 24 <= length)
			return PROTOCOL_CALLS;
	}
	if (head[0] >= 0x14 && head[0] <= 0x18 && head[1] == 3 && head[2] <= 4)
		return PROTOCOL_TLS;
	u32 word = head[0] | head[1] << 8 | head[2] << 16 | (u32)head[3] << 24;
	switch (word) {
	case 'H' | 'T' << 8 | 'T' << 16 | 'P' << 24:
	case 'G' | 'E' << 8 | 'T' << 16 | ' ' << 24:
	case 'P' | 'O' << 8 | 'S' << 16 | 'T' << 24:
	case 'P' | 'U' << 8 | 'T' << 16 | ' ' << 24:
	case 'H' | 'E' << 8 | 'A' << 16 | 'D' << 24:
	case 'D' | 'E' << 8 | 'L' << 16 | 'E' << 24:
	case 'P' | 'A' << 8 | 'T' << 16 | 'C' << 24:
	case 'O' | 'P' << 8 | 'T' << 16 | 'I' << 24:
	case 'C' | 'O' << 8 | 'N' << 16 | 'N' << 24:
	case 'T' | 'R' << 8 | 'A' << 16 | 'C' << 24:
	case 'P' | 'R' << 8 | 'O' << 16 | 'P' << 24:
		return PROTOCOL_HTTP1;
	case 'P' | 'R' << 8 | 'I' << 16 | ' ' << 24:
		return PROTOCOL_HTTP2;
	case 'P' | 'I' << 8 | 'N' << 16 | 'G' << 24: /* Redis */
	case 'g' | 'e' << 8 | 't' << 16 | ' ' << 24: /* memcached */
	case 'g' | 'e' << 8 | 't' << 16 | 's' << 24:
	case 'g' | 'a' << 8 | 't' << 16 | ' ' << 24:
	case 's' | 'e' << 8 | 't' << 16 | ' ' << 24:
	case 'a' | 'd' << 8 | 'd' << 16 | ' ' << 24:
	case 'c' | 'a' << 8 | 's' << 16 | ' ' << 24:
	case 'i' | 'n' << 8 | 'c' << 16 | 'r' << 24:
	case 'd' | 'e' << 8 | 'c' << 16 | 'r' << 24:
	case 'd' | 'e' << 8 | 'l' << 16 | 'e' << 24:
	case 't' | 'o' << 8 | 'u' << 16 | 'c' << 24:
	case 'v' | 'e' << 8 | 'r' << 16 | 's' << 24:
	case 's' | 't' << 8 | 'a' << 16 | 't' << 24:
	case 'f' | 'l' << 8 | 'u' << 16 | 's' << 24:
		return PROTOCOL_CALLS;
	}
	return PROTOCOL_UNDECIDED;
}

#endif
