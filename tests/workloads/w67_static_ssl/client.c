// HTTPS requests over an OpenSSL that is linked into the program: twelve on one connection, three on connections of their own,
// a large answer.
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what) {
	fprintf(stderr, "failed to %s\n", what);
	exit(1);
}

static SSL *open_tls(SSL_CTX *context, int port) {
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int descriptor = socket(AF_INET, SOCK_STREAM, 0);
	if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&to, sizeof(to)))
		fail("connect");
	SSL *ssl = SSL_new(context);
	SSL_set_fd(ssl, descriptor);
	if (SSL_connect(ssl) != 1)
		fail("shake hands");
	return ssl;
}

static void close_tls(SSL *ssl) {
	int descriptor = SSL_get_fd(ssl);
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(descriptor);
}

__attribute__((noinline)) static long get(SSL *ssl, const char *path) {
	static char answer[400000];
	char request[200];
	int length = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	if (SSL_write(ssl, request, length) != length)
		fail("ask");
	for (int seen = 0;;) {
		int count = SSL_read(ssl, answer + seen, sizeof(answer) - 1 - seen);
		if (count <= 0)
			fail("read");
		seen += count;
		answer[seen] = 0;
		char *end = strstr(answer, "\r\n\r\n"), *field = strstr(answer, "Content-Length: ");
		if (end && field && seen >= end + 4 - answer + atol(field + 16))
			return atol(field + 16);
	}
}

int main(int argc, char **argv) {
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (argc < 3 || !SSL_CTX_load_verify_locations(context, argv[1], 0))
		fail("read the certificate");
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, 0);
	int port = atoi(argv[2]);
	SSL *kept = open_tls(context, port);
	char path[20];
	for (int number = 0; number < 12; number++) {
		snprintf(path, sizeof(path), "/s/%d", number);
		get(kept, path);
	}
	for (int number = 0; number < 3; number++) {
		SSL *own = open_tls(context, port);
		get(own, "/n");
		close_tls(own);
	}
	if (get(kept, "/big") != 300000)
		fail("read all");
	close_tls(kept);
}
