#!/bin/bash
# Builds the guest of the lab from Debian packages, once for each kernel and each change of its
# parts: build.sh FOLDER. The kernel's own sources are compiled here and never kept in the repository.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
work=$(realpath -m "$1")
kernel=$(apt-cache depends linux-image-amd64 | awk '/Depends:/{sub("linux-image-", "", $2); print $2; exit}')
key=$({ echo "$kernel"; cat "$0" "$here"/guest/*; } | sha256sum | cut -c1-16)
if [ "$(cat "$work/key" 2>/dev/null)" = "$key" ]; then exit 0; fi
echo "hostlab: building the guest with kernel $kernel (once, about half a minute)"
rm -rf "$work"
mkdir -p "$work"/{deb,mod,bin}
cd "$work"
series=$(echo "$kernel" | cut -d. -f1,2)
(cd deb && apt-get download -q -o APT::Sandbox::User=root "linux-source-$series" "linux-image-$kernel" "linux-headers-$kernel" \
  "linux-headers-${kernel%-amd64}-common" "linux-kbuild-$series" >/dev/null)
dpkg-deb -x deb/linux-image-*.deb image
for deb in deb/linux-headers-*.deb deb/linux-kbuild-*.deb; do dpkg-deb -x "$deb" headers; done
dpkg-deb -x deb/linux-source-*.deb source
mkdir tree
tar -C tree -xf "source/usr/src/linux-source-$series.tar.xz" --strip-components=1 --wildcards \
  '*/drivers/fpga' '*/samples/vfio-mdev'
build=$work/headers/usr/src/linux-headers-$kernel
sed -i "s#include /usr/src/#include $work/headers/usr/src/#" "$build/Makefile"

cp -r tree/drivers/fpga mod/fpga
# The one change: a card played from user space cannot acknowledge a reset within a millisecond.
sed -i 's/#define RST_POLL_TIMEOUT 1000 .*/#define RST_POLL_TIMEOUT 2000000/' mod/fpga/dfl-afu-main.c
cat > mod/fpga/Makefile <<'EOM'
obj-m += fpga-mgr.o fpga-bridge.o fpga-region.o dfl.o dfl-fme-mgr.o dfl-fme-br.o dfl-fme-region.o dfl-fme.o dfl-afu.o dfl-pci.o
dfl-fme-objs := dfl-fme-main.o dfl-fme-pr.o dfl-fme-error.o dfl-fme-perf.o
dfl-afu-objs := dfl-afu-main.o dfl-afu-region.o dfl-afu-dma-region.o dfl-afu-error.o
EOM
mkdir mod/mdev
cp tree/samples/vfio-mdev/mtty.c mod/mdev/
echo 'obj-m += mtty.o' > mod/mdev/Makefile
for module in fpga mdev; do
  make -s -j"$(nproc)" -C "$build" M="$work/mod/$module" modules 2>&1 | grep -vE 'BTF|Entering|Leaving|dmi' || true
done
for program in dflsim guestd vfiohold; do gcc -O1 -static -o "bin/$program" "$here/guest/$program.c"; done
as --32 -o bin/ejector.o "$here/guest/ejector.S"
ld -m elf_i386 -Ttext 0 --oformat binary -o bin/ejector.bin bin/ejector.o
rm bin/ejector.o

mkdir -p "ird/bin" "ird/lib/modules/$kernel/extra"
cp "$(command -v busybox)" bin/* ird/bin/
cp "$here/guest/init" ird/init
chmod +x ird/init
(cd "image/lib/modules/$kernel"
 find . -name '*.ko' | grep -E '/(irqbypass|vfio|vfio-pci|vfio-pci-core|vfio_iommu_type1|vfio_virqfd|mdev|nvme|nvme-core|t10-pi|crc64|crc64-rocksoft|crc64-rocksoft_generic|9p|9pnet|9pnet_virtio|fscache|netfs|virtio|virtio_ring|virtio_pci|virtio_pci_modern_dev|virtio_pci_legacy_dev|virtio_net|net_failover|failover|pci-stub|pci-pf-stub|crc-t10dif|crct10dif_common|crct10dif_generic)\.ko$' |
   cpio -pdm "$work/ird/lib/modules/$kernel" 2>/dev/null
 cp modules.builtin modules.builtin.modinfo modules.order "$work/ird/lib/modules/$kernel/")
cp mod/fpga/*.ko mod/mdev/*.ko "ird/lib/modules/$kernel/extra/"
depmod -b ird "$kernel"
(cd ird && find . | cpio -o -H newc 2>/dev/null | gzip -1 > ../initrd.gz)
cp "image/boot/vmlinuz-$kernel" vmlinuz
rm -rf deb image headers source tree mod ird
echo "$key" > key
