/*
 * The lab's hand in the guest.
 *   guestd shell PORT               a shell for each connection
 *   guestd relay PORT ADDRESS TO    127.0.0.1:PORT goes to ADDRESS:TO
 *   guestd kill-when-gone PID PATH, guestd kill-when-there PID PATH
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listen_on(const char *address, int number) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(number)};
  inet_aton(address, &at.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&at, sizeof at) < 0 || listen(fd, 64) < 0) { perror("listen"); exit(1); }
  return fd;
}

static int dial(const char *address, int number) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(number)};
  inet_aton(address, &to.sin_addr);
  return connect(fd, (void *)&to, sizeof to) < 0 ? -1 : fd;
}

static int copy(int from, int to) {
  char bytes[65536];
  ssize_t got = read(from, bytes, sizeof bytes);
  if (got <= 0) { shutdown(to, SHUT_WR); return 0; }
  for (ssize_t sent = 0; sent < got;) {
    ssize_t more = write(to, bytes + sent, got - sent);
    if (more <= 0) return 0;
    sent += more;
  }
  return 1;
}

static void pump(int a, int b) {
  struct pollfd ends[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    if (poll(ends, 2, -1) < 0) return;
    if (ends[0].fd >= 0 && ends[0].revents && !copy(a, b)) ends[0].fd = -1;
    if (ends[1].fd >= 0 && ends[1].revents && !copy(b, a)) ends[1].fd = -1;
  }
}

/* Looks without a pause, before all others: what it waits for may last less than a millisecond. */
static int kill_when(int gone, pid_t pid, const char *path) {
  struct sched_param first = {.sched_priority = 50};
  sched_setscheduler(0, SCHED_FIFO, &first);
  while ((access(path, F_OK) == 0) == gone)
    if (kill(pid, 0) < 0) { puts("the process is gone"); return 1; }
  kill(pid, SIGKILL);
  puts("killed");
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  if (!strcmp(argv[1], "kill-when-gone")) return kill_when(1, atoi(argv[2]), argv[3]);
  if (!strcmp(argv[1], "kill-when-there")) return kill_when(0, atoi(argv[2]), argv[3]);
  int shell = !strcmp(argv[1], "shell");
  signal(SIGCHLD, SIG_IGN);
  int fd = listen_on(shell ? "0.0.0.0" : "127.0.0.1", atoi(argv[2]));
  if (shell) { printf("LAB READY\n"); fflush(stdout); }
  for (;;) {
    int one = accept(fd, 0, 0);
    if (one < 0 || fork()) { close(one); continue; }
    close(fd);
    if (!shell) {
      int other = dial(argv[3], atoi(argv[4]));
      if (other >= 0) pump(one, other);
      _exit(0);
    }
    signal(SIGCHLD, SIG_DFL);
    dup2(one, 0); dup2(one, 1); dup2(one, 2);
    close(one);
    execl("/bin/sh", "sh", (char *)0);
    _exit(127);
  }
}
