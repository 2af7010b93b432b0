/*
 * Viewers whose links are as small as those of real ones: segments of 1,400 bytes, and not the 64 KiB of this machine's own, for
 * which the kernel would keep megabytes a socket. JavaScript cannot ask for that.
 *
 * Arguments: port, path, viewers. Opens so many WebSockets and prints "ready". All read what comes, until a line
 * "<stuck> <crawling>" on the input: so many then read nothing any more, and so many 1,000 bytes a second. All say a word now and then, so
 * that nobody is cut for silence. Prints "cut <n>" when a connection has ended, for the n-th of them.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SEGMENT = 1400, RECEIVED_BYTES_MAX = 1 << 14, CRAWL_BYTES = 1000, TURN_MS = 20, WORD_MS = 5000 };

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_viewer(int port, const char *path) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0), segment = SEGMENT, received = RECEIVED_BYTES_MAX, matched = 0;
  setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &received, sizeof received);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) return -1;
  dprintf(fd, "GET %s HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", path);
  for (char byte, first = 1; matched < 4; first = 0) {
    if (read(fd, &byte, 1) != 1 || (first && byte != 'H')) return -1;
    matched = byte == "\r\n\r\n"[matched] ? matched + 1 : byte == '\r';
  }
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int viewers = atoi(argv[3]), stuck = 0, crawling = 0, cut = 0;
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  struct pollfd *polled = calloc(viewers + 1, sizeof *polled);
  for (int i = 0; i < viewers; i++) {
    polled[i] = (struct pollfd){.fd = open_viewer(atoi(argv[1]), argv[2]), .events = POLLIN};
    if (polled[i].fd < 0) return 1;
  }
  polled[viewers] = (struct pollfd){.fd = 0, .events = POLLIN};
  printf("ready\n");
  fflush(stdout);

  long said = now_ms(), crawled = said;
  for (;;) {
    poll(polled, viewers + 1, TURN_MS);
    long now = now_ms();
    int crawls = now - crawled >= 1000, says = now - said >= WORD_MS;
    if (crawls) crawled = now;
    if (says) said = now;
    for (int i = 0; i < viewers; i++) {
      if (polled[i].fd < 0) continue;
      int is_over = polled[i].revents & (POLLERR | POLLHUP);
      ssize_t bytes = i < stuck ? 0 : i < stuck + crawling ? CRAWL_BYTES : 1 << 20;
      /* Thrown away by the kernel. */
      if (bytes > 0 && (i < stuck + crawling ? crawls : polled[i].revents & POLLIN)) {
        is_over |= recv(polled[i].fd, NULL, bytes, MSG_TRUNC | MSG_DONTWAIT) == 0;
      }
      /* An unsolicited pong, masked with zeros. */
      if (says && !is_over) is_over = send(polled[i].fd, "\x8a\x80\0\0\0\0", 6, MSG_NOSIGNAL | MSG_DONTWAIT) < 0;
      if (!is_over) continue;
      close(polled[i].fd);
      polled[i].fd = -1;
      printf("cut %d\n", ++cut);
      fflush(stdout);
    }
    if (polled[viewers].revents) {
      if (scanf("%d %d", &stuck, &crawling) != 2) return 0;
      for (int i = 0; i < viewers; i++) polled[i].events = i < stuck + crawling ? 0 : POLLIN;
    }
    /* Many small reads cost more than a few large ones. */
    usleep(5000);
  }
}
