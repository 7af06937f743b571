#!/usr/bin/env bash
# emulate.sh KERNEL [PACKAGE:PATTERN...]: runs tests of model/kernel and model/nn on a
# processor with AVX-512 that Bochs emulates, and prints what they print. PATTERN is
# that of go test -run. docs/performance.md says what to install and how to make KERNEL,
# a Linux bzImage. BOCHS (bochs), BIOS and VGABIOS name the emulator and its two images.
set -euo pipefail
kernel=$(realpath "${1:?usage: emulate.sh KERNEL [PACKAGE:PATTERN...]}"); shift
[ $# -gt 0 ] || set -- kernel:./avx512 nn:./avx512 'nn:TestPathsAgree|TestTrainedWeightsAgree'
command -v "${BOCHS:=bochs}" > /dev/null || { echo "emulate.sh: no $BOCHS: install it or set BOCHS to it" >&2; exit 1; }
cd "$(dirname "$0")"
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
mkdir -p "$w"/root/{dev,proc,tmp} "$w"/iso/isolinux
export CGO_ENABLED=0 GOOS=linux GOARCH=amd64
go build -o "$w/root/init" .
for p in kernel nn; do
  mkdir "$w/root/$p"
  go test -c -ldflags='-s -w' -o "$w/root/$p/test" "../../../$p"
  [ ! -d "../../../$p/testdata" ] || cp -r "../../../$p/testdata" "$w/root/$p/"
done
for job; do echo "/${job%%:*} ./test -test.v -test.short -test.timeout=0 -test.run=${job#*:}"; done > "$w/root/jobs"
(cd "$w/root" && find . | cpio -o -H newc --quiet) > "$w/iso/initrd"
cp "$kernel" "$w/iso/linux"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$w/iso/isolinux/"
cat > "$w/iso/isolinux/isolinux.cfg" <<X
DEFAULT linux
LABEL linux
 KERNEL /linux
 INITRD /initrd
 APPEND console=ttyS0 quiet noapic idle=halt mitigations=off tsc=reliable
X
xorriso -as mkisofs -quiet -o "$w/iso.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
  -no-emul-boot -boot-load-size 4 -boot-info-table "$w/iso" 2> "$w/xorriso"
cat > "$w/bochsrc" <<X
display_library: nogui
memory: guest=1024, host=1024
romimage: file=${BIOS:-/usr/share/bochs/BIOS-bochs-latest}
vgaromimage: file=${VGABIOS:-/usr/share/vgabios/vgabios.stdvga.bin}
cpu: model=corei7_skylake_x, ips=50000000, reset_on_triple_fault=0
clock: sync=none
ata0-master: type=cdrom, path=$w/iso.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$w/serial
log: $w/log
panic: action=fatal
X
: > "$w/serial"
"$BOCHS" -q -f "$w/bochsrc" > "$w/out" 2>&1 < /dev/null &
tail -n +1 -f --pid=$! "$w/serial" &
wait %1 || true # Bochs ends with an error when it is told to
wait
grep -q '^emulated: .* 0 failed' "$w/serial" || { tail -n 5 "$w/out" "$w/log"; exit 1; }
