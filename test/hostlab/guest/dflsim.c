/*
 * The hardware of a DFL card, played from user space: it lives in the memory BAR of QEMU's
 * bochs-display and answers the upstream drivers.
 *   dflsim <resource0> init <ports>   writes the device feature list
 *   dflsim <resource0> run <ports>    acknowledges resets and programs until it is killed
 *   dflsim <resource0> next <word>    the next program ends as if its last word were this one
 * The card sees only the last 32-bit word of an image. The AFU it then shows ends in that word:
 *   aaaa0000bbbb0000f0000000<word>
 * Words that go wrong: deadbeef CRC error, deadc0de incompatible image, deaddead never ends;
 * 510wNNNN (bits 16-31 = 0510) takes NNNN * 10 ms.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define R(offset) (*(volatile uint64_t *)(bar + (offset)))
#define NOTHING (~0ull)

enum { FME = 0, PR = 0x1000, NEXT = 0x3000, PORT_STEP = 0x100000, FIRST_PORT = 0x40000, AFU = 0x40000 };

static volatile uint8_t *bar;

static uint64_t port(int index) { return FIRST_PORT + (uint64_t)index * PORT_STEP; }

static void init(int ports) {
  memset((void *)bar, 0, FIRST_PORT + (size_t)ports * PORT_STEP);
  R(FME) = (4ull << 60) | ((uint64_t)PR << 16);
  R(FME + 0x08) = 0x82fd6b44a2a03f10ull;
  R(FME + 0x10) = 0xbfaf2ae94a5246e3ull;
  R(FME + 0x30) = ((uint64_t)ports << 17) | (1ull << 12);
  for (int i = 0; i < ports; i++) R(FME + 0x38 + 8 * i) = (1ull << 60) | port(i);
  R(FME + 0x60) = 0x123000200000185ull;
  R(FME + 0x68) = 0x1811091ull;
  R(PR) = (3ull << 60) | (1ull << 40) | 0x5;
  R(PR + 0x10) = 0x1ff;
  R(PR + 0xA8) = 0x9926ab6d6c925a68ull;
  R(PR + 0xB0) = 0x69528db6eb31577aull;
  for (int i = 0; i < ports; i++) {
    uint64_t p = port(i);
    R(p) = (4ull << 60) | (1ull << 40) | 1;
    R(p + 0x08) = 1;
    R(p + 0x10) = 2;
    R(p + 0x18) = AFU;
    R(p + 0x30) = (256ull << 8) | (uint64_t)i;
    R(p + AFU) = (1ull << 60) | (1ull << 40) | 0xff;
    R(p + AFU + 0x08) = 0xf89e433683f9040bull;
    R(p + AFU + 0x10) = 0xd8424dc4a4a3c413ull;
  }
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A bit the driver sets is acknowledged by another, and both go together. */
static void acknowledge(uint64_t offset, uint64_t ask, uint64_t answer) {
  uint64_t x = R(offset);
  if (x == NOTHING) return;
  if ((x & ask) && !(x & answer)) R(offset) = x | answer;
  else if (!(x & ask) && (x & answer)) R(offset) = x & ~answer;
}

static void answer_program(void) {
  static uint64_t started;
  uint64_t control = R(PR + 0x08);
  const uint64_t start = 1ull << 12, complete = 1ull << 13, busy = 1ull << 16;
  if (control == NOTHING) return;
  if (!(control & start) || !(control & complete)) {
    started = 0;
    if ((R(PR + 0x10) & busy) && R(PR + 0x20) == 0) R(PR + 0x10) &= ~busy;
    return;
  }
  if (!started) started = now_ms();
  uint32_t word = (uint32_t)(R(NEXT) ? R(NEXT) : R(PR + 0x18));
  if (word == 0xdeaddead) return;
  if ((word >> 16) == 0x0510 && now_ms() - started < (word & 0xffff) * 10ull) return;
  started = 0;
  R(NEXT) = 0;
  uint64_t error = word == 0xdeadbeef ? 2 : word == 0xdeadc0de ? 4 : 0;
  R(PR + 0x20) = error;
  if (error) R(PR + 0x10) |= busy;
  else {
    uint64_t p = port((control >> 7) & 7);
    R(PR + 0x10) &= ~busy;
    R(p + AFU + 0x08) = 0xf000000000000000ull | word;
    R(p + AFU + 0x10) = 0xaaaa0000bbbb0000ull;
  }
  R(PR + 0x08) = R(PR + 0x08) & ~(start | complete);
}

static void reset_engine(void) {
  uint64_t x = R(PR + 0x08);
  if (x == NOTHING) return;
  if ((x & 1) && !(x & 16)) {
    R(PR + 0x20) = 0;
    R(PR + 0x10) &= ~(1ull << 16);
  }
  acknowledge(PR + 0x08, 1, 16);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int ports = atoi(argv[3]);
  int fd = open(argv[1], O_RDWR | O_SYNC);
  if (fd < 0) { perror(argv[1]); return 1; }
  bar = mmap(0, 16 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bar == MAP_FAILED) { perror("mmap"); return 1; }
  if (!strcmp(argv[2], "init")) { init(ports); return 0; }
  if (!strcmp(argv[2], "next")) { R(NEXT) = strtoul(argv[3], 0, 16); return 0; }
  for (;;) {
    for (int i = 0; i < ports; i++) acknowledge(port(i) + 0x38, 1, 16);
    reset_engine();
    answer_program();
    usleep(200);
  }
}
