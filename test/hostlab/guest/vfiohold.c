/* Holds a VFIO device as a virtual machine does: vfiohold GROUP BDF SECONDS */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHECK(x) do { if ((x) < 0) { printf("%s: %s\n", #x, strerror(errno)); return 2; } } while (0)

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  char path[64];
  int container, group;
  snprintf(path, sizeof path, "/dev/vfio/%s", argv[1]);
  CHECK(container = open("/dev/vfio/vfio", O_RDWR));
  CHECK(group = open(path, O_RDWR));
  CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
  CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU));
  CHECK(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]));
  printf("held\n");
  fflush(stdout);
  sleep(atoi(argv[3]));
  return 0;
}
