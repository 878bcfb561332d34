/* An open-loop HTTP/1.1 load generator: requests leave by the clock, whether or not earlier ones were answered, and
 * latency counts from the planned moment (so that a server that stalls cannot hide it).
 *
 *     load PORT RATE SECONDS CONNECTIONS REQUESTS OUT
 *
 * REQUESTS holds whole requests, each behind its length (uint32, little endian); they are sent in a circle. RATE 0 is a
 * closed loop: every connection asks again as soon as it was answered. OUT gets one line of 16 bytes per request:
 * planned (uint64, ns of CLOCK_MONOTONIC), latency (uint32, microseconds), status (uint32; 0: no answer).
 * Prints "sent answered reconnects". Loopback only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 1024, HEAD = 16384, GRACE_SECONDS = 10 };

struct sample { uint64_t planned; uint32_t micros, status; };

struct connection {
    int fd;
    uint64_t planned;     /* of the request in flight; 0: idle */
    size_t request;       /* its number in the circle */
    size_t sent;          /* bytes of it */
    char head[HEAD];      /* the answer's head, until it is whole */
    size_t held;
    long missing;         /* bytes of body still to come; -1: the head is not whole */
    uint32_t status;
};

static const char **requests;
static uint32_t *lengths;
static size_t request_count, turn;
static struct connection connections[MOST_CONNECTIONS];
static struct pollfd polls[MOST_CONNECTIONS];
static struct sample *samples;
static size_t sample_count, sample_room;
static unsigned long reconnects;
static int port;

static void die(const char *what) { perror(what); exit(1); }

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void load_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    uint32_t length;
    size_t room = 0;
    while (fread(&length, 4, 1, file) == 1) {
        if (request_count == room) {
            room = room ? room * 2 : 1024;
            requests = realloc(requests, room * sizeof *requests);
            lengths = realloc(lengths, room * sizeof *lengths);
        }
        char *body = malloc(length);
        if (!requests || !lengths || !body || fread(body, 1, length, file) != length) die("requests");
        requests[request_count] = body;
        lengths[request_count++] = length;
    }
    fclose(file);
    if (!request_count) { fputs("no requests\n", stderr); exit(1); }
}

static void keep(uint64_t planned, uint32_t status) {
    if (sample_count == sample_room) {
        sample_room = sample_room ? sample_room * 2 : 65536;
        samples = realloc(samples, sample_room * sizeof *samples);
        if (!samples) die("memory");
    }
    samples[sample_count++] = (struct sample){planned, (uint32_t)((now() - planned) / 1000), status};
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->planned = 0;
}

static void send_rest(struct connection *c) {
    while (c->sent < lengths[c->request]) {
        ssize_t n = send(c->fd, requests[c->request] + c->sent, lengths[c->request] - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return; /* poll says when there is room, or that the peer has closed */
        c->sent += (size_t)n;
    }
}

static void start(struct connection *c, uint64_t planned, size_t request) {
    c->planned = planned;
    c->request = request;
    c->sent = c->held = 0;
    c->missing = -1;
    send_rest(c);
}

/* The server closed the connection: what had no byte of an answer yet is sent again on a new one. */
static void lost(struct connection *c) {
    close(c->fd);
    reconnects++;
    uint64_t planned = c->planned;
    size_t request = c->request;
    int again = planned && c->missing < 0 && c->held == 0;
    if (planned && !again) keep(planned, 0);
    open_connection(c);
    if (again) start(c, planned, request);
}

static void parse_head(struct connection *c) {
    char *end = memmem(c->head, c->held, "\r\n\r\n", 4);
    if (!end) {
        if (c->held >= HEAD - 1) { fputs("a head of more than 16 KiB\n", stderr); exit(1); }
        return;
    }
    c->status = c->held > 12 ? (uint32_t)strtoul(c->head + 9, NULL, 10) : 0;
    c->missing = 0;
    for (char *line = c->head; line < end; line = (char *)memmem(line, (size_t)(end + 2 - line), "\r\n", 2) + 2)
        if (!strncasecmp(line, "content-length:", 15)) c->missing = strtol(line + 15, NULL, 10);
    c->missing -= (long)(c->held - (size_t)(end + 4 - c->head));
}

static void read_answer(struct connection *c) {
    char scratch[65536];
    int in_head = c->missing < 0;
    ssize_t n = in_head ? recv(c->fd, c->head + c->held, HEAD - 1 - c->held, MSG_DONTWAIT)
                        : recv(c->fd, scratch, sizeof scratch, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0 || !c->planned) { lost(c); return; }
    if (in_head) {
        c->held += (size_t)n;
        c->head[c->held] = 0;
        parse_head(c);
    } else {
        c->missing -= n;
    }
    if (c->missing == 0) {
        keep(c->planned, c->status);
        c->planned = 0;
    }
}

static void wait_for_answers(int count, uint64_t until) {
    uint64_t t = now();
    uint64_t left = until > t ? until - t : 0;
    struct timespec timeout = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        polls[i].fd = c->fd;
        polls[i].events = (short)(POLLIN | (c->planned && c->sent < lengths[c->request] ? POLLOUT : 0));
    }
    if (ppoll(polls, (nfds_t)count, &timeout, NULL) <= 0) return;
    for (int i = 0; i < count; i++) {
        if (polls[i].revents & POLLOUT) send_rest(&connections[i]);
        if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) read_answer(&connections[i]);
    }
}

int main(int argc, char **argv) {
    if (argc != 7) { fputs("load PORT RATE SECONDS CONNECTIONS REQUESTS OUT\n", stderr); return 2; }
    port = atoi(argv[1]);
    double rate = atof(argv[2]), seconds = atof(argv[3]);
    int count = atoi(argv[4]);
    if (count < 1 || count > MOST_CONNECTIONS) { fputs("1 to 1024 connections\n", stderr); return 2; }
    load_requests(argv[5]);
    for (int i = 0; i < count; i++) open_connection(&connections[i]);
    uint64_t begin = now(), end = begin + (uint64_t)(seconds * 1e9), planned_count = 0;
    int next = 0, busy = 0;
    for (;;) {
        uint64_t t = now(), due = rate > 0 ? begin + (uint64_t)((double)planned_count * 1e9 / rate) : t;
        /* whatever is due goes to an idle connection; if all are busy it waits, and its latency grows */
        for (int tried = 0; tried < count && due <= t && due < end; tried++) {
            struct connection *c = &connections[next];
            next = (next + 1) % count;
            if (c->planned) continue;
            start(c, due, turn++ % request_count);
            planned_count++;
            tried = -1;
            if (rate > 0) due = begin + (uint64_t)((double)planned_count * 1e9 / rate);
        }
        busy = 0;
        for (int i = 0; i < count; i++) busy += connections[i].planned != 0;
        t = now();
        int over = due >= end;
        if ((over && !busy) || t >= end + (uint64_t)GRACE_SECONDS * 1000000000u) break;
        int all_busy = busy == count;
        wait_for_answers(count, over || all_busy || rate <= 0 ? t + 20000000u : due);
    }
    uint64_t unsent = 0;
    if (rate > 0)
        for (uint64_t due; (due = begin + (uint64_t)((double)planned_count * 1e9 / rate)) < end; planned_count++, unsent++)
            keep(due, 0);
    for (int i = 0; i < count; i++)
        if (connections[i].planned) keep(connections[i].planned, 0);
    FILE *out = fopen(argv[6], "wb");
    if (!out || fwrite(samples, sizeof *samples, sample_count, out) != sample_count || fclose(out)) die(argv[6]);
    printf("%llu %zu %lu\n", (unsigned long long)(planned_count - unsent), sample_count, reconnects);
    return 0;
}
