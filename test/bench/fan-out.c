/*
 * The floor of the fan-out benchmark: a loop of send() and nothing else.
 *
 * Arguments: sockets, bytes. Prints its port; accepts the sockets; prints "ready"; then for each line
 * "<frames> <pause in ms>" on its input sends so many frames to each socket and prints the CPU
 * microseconds that the sending took.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static double cpu_micros(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int sockets = atoi(argv[1]), bytes = atoi(argv[2]), frames, pause_ms;
  int *fds = calloc(sockets, sizeof *fds);
  char *frame = calloc(bytes, 1);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 511)) return 1;
  getsockname(listener, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (int i = 0; i < sockets; i++)
    if ((fds[i] = accept(listener, NULL, NULL)) < 0) return 1;
  printf("ready\n");
  fflush(stdout);

  while (scanf("%d %d", &frames, &pause_ms) == 2) {
    double micros = 0;
    for (int frame_number = 0; frame_number < frames; frame_number++) {
      double start = cpu_micros();
      memset(frame, frame_number, bytes);
      for (int i = 0; i < sockets; i++)
        if (send(fds[i], frame, bytes, MSG_NOSIGNAL) != bytes) return 1;
      micros += cpu_micros() - start;
      usleep(pause_ms * 1000);
    }
    printf("%.0f\n", micros);
    fflush(stdout);
  }
  return 0;
}
