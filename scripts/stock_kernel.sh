#!/usr/bin/env bash
# Runs a command on a stock Debian kernel: this machine's own files and programs, in a virtual machine.
#   scripts/stock_kernel.sh [-s SUITE] [-p PACKAGE]... [-c DIR] COMMAND [ARGUMENT]...
#     -s SUITE     of Debian, whose kernel it is: bookworm (default), bookworm-backports, trixie, ...
#     -p PACKAGE   of that suite, to be there instead of this machine's; what it depends on does not come
#     -c DIR       keeps what was fetched, for the next time (100 MB a suite)
# The command runs as root in this directory, without a network or a terminal. Whatever it writes is gone
# at the end, except in lab-report/. The exit status is the command's, 125 if there is none. Without
# /dev/kvm the processor is emulated, and many times slower.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'stock_kernel: %s\n' "$*" >&2; }
die() { say "$@"; exit 125; }
usage() { die "use: scripts/stock_kernel.sh [-s SUITE] [-p PACKAGE]... [-c DIR] COMMAND [ARGUMENT]..."; }

suite=bookworm packages=() keep=
while getopts :s:p:c: option; do
  case $option in
    s) suite=$OPTARG ;;
    p) packages+=("$OPTARG") ;;
    c) keep=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

architecture=$(dpkg --print-architecture 2>/dev/null) || die "this machine has no dpkg: it works on Debian and Ubuntu"
[ "$architecture" = amd64 ] || die "it works on amd64, and this is $architecture"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
while read -r file package; do
  command -v "$file" >/dev/null || [ -e "$file" ] ||
    die "no $file: sudo apt-get install --no-install-recommends $package"
done <<<"qemu-system-x86_64 qemu-system-x86
/bin/busybox busybox-static
$keyring debian-archive-keyring"
! ldd /bin/busybox >/dev/null 2>&1 || die "/bin/busybox is not static: sudo apt-get install busybox-static"

scratch=$(mktemp -d -t stock-kernel.XXXXXX)
qemu=
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
debs=${keep:-$scratch/debs}/$suite
mkdir -p "$debs/lists/partial"
debs=$(realpath "$debs")

# apt with that one suite and lists of its own; this machine's are neither read nor changed
apt() {
  local program=$1
  shift
  "$program" -qq -o Dir::Etc::SourceList="$debs/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$debs/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$scratch" -o APT::Sandbox::User="$(id -un)" "$@"
}
if [ ! -s "$debs/kernel" ]; then
  echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" >"$debs/sources.list"
  apt apt-get update -o APT::Update::Error-Mode=any || die "cannot fetch the list of Debian's packages in $suite"
  apt apt-cache show --no-all-versions linux-image-amd64 |
    sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' >"$debs/kernel"
  [ -s "$debs/kernel" ] || die "Debian has no linux-image-amd64 in $suite"
fi
kernel=$(<"$debs/kernel")
top=$scratch/top # lies over this machine's files in the virtual one
for package in "$kernel" "${packages[@]}"; do
  compgen -G "$debs/${package}_*.deb" >/dev/null || (cd "$debs" && apt apt-get download "$package") ||
    die "Debian has no package $package in $suite"
  dpkg -x "$debs/${package}"_*.deb "$top"
done
# Debian's own are merged into /usr, packages of before may have them beside it
for directory in bin sbin lib; do
  [ -d "$top/$directory" ] || continue
  mkdir -p "$top/usr/$directory"
  cp -a "$top/$directory/." "$top/usr/$directory"
  rm -r "${top:?}/$directory"
done
version=${kernel#linux-image-}
modules=lib/modules/$version
/bin/busybox depmod -b "$top/usr" "$version"
mkdir -p "$top/usr/sbin" "$top/shared" lab-report
[ -e /sbin/modprobe ] || ln -s /bin/busybox "$top/usr/sbin/modprobe" # the kernel calls it

# What runs there first, from memory: it finds the files
first=$scratch/first
mkdir -p "$first"/{bin,proc,sys,host,shared,memory,new}
cp /bin/busybox "$first/bin"
for directory in drivers/virtio net/9p fs/9p fs/netfs fs/fscache fs/overlayfs; do
  [ ! -d "$top/usr/$modules/kernel/$directory" ] ||
    { mkdir -p "$first/$modules/kernel/$directory" && cp "$top/usr/$modules/kernel/$directory"/*.ko* "$first/$modules/kernel/$directory"; }
done
cp "$top/usr/$modules"/modules.{builtin,order} "$first/$modules"
/bin/busybox depmod -b "$first" "$version"
cat >"$first/init" <<'END'
#!/bin/busybox sh
set -e
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
modprobe -a virtio_pci 9pnet_virtio 9p overlay
share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=500000,$3" "$1" "$2"; }
share host /host ro,cache=loose
share shared /shared rw
mount -t tmpfs memory /memory
mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/shared/top:/host,upperdir=/memory/upper,workdir=/memory/work files /new
mount --move /dev /new/dev
mount --move /shared /new/shared
exec switch_root /new /bin/bash /shared/then
END
chmod 755 "$first/init"
(cd "$first" && find . | /bin/busybox cpio -o -H newc 2>/dev/null) >"$scratch/initrd"

# and then, with them
printf -v command '%q ' "$@"
cat >"$scratch/then" <<END
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for directory in /dev/shm /run; do mount -t tmpfs -o mode=1777 tmpfs \$directory; done
mkdir -p /run/lock
mount -t 9p -o trans=virtio,version=9p2000.L,msize=500000 report $(printf %q "$PWD")/lab-report
ip link set dev lo up
cd $(printf %q "$PWD")
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin COLUMNS=${COLUMNS:-130} LANG=C.UTF-8
$command </dev/null 2>&1 | cat >/dev/ttyS0
echo \${PIPESTATUS[0]} >/shared/status
sync
/bin/busybox poweroff -f
END

folder() { echo "-fsdev local,id=$1,path=$2,security_model=none,multidevs=remap$3 -device virtio-9p-pci,fsdev=$1,mount_tag=$1"; }
IFS=' ' read -ra folders <<<"$(folder host / ,readonly=on) $(folder shared "$scratch" '') $(folder report "$PWD/lab-report" '')"
# Emulated, an instruction takes a nanosecond of the time that the machine sees, so that time-outs and
# delays mean what they say however slow that is, and whatever else runs here.
accelerator=tcg,thread=single clock=(-icount "shift=0,sleep=on") processors=1
if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
  accelerator=kvm clock=() processors=2
else
  say "no KVM here that may be used, so the processor is emulated"
fi
qemu-system-x86_64 -accel "$accelerator" "${clock[@]}" -cpu max,arch-capabilities=off -smp "$processors" -m "${MEMORY:-3G}" -nic none -display none -no-reboot \
  -kernel "$top/boot/vmlinuz-$version" -initrd "$scratch/initrd" -append "console=ttyS0 loglevel=3 panic=-1" \
  "${folders[@]}" -serial stdio </dev/null &
qemu=$!
wait "$qemu" || die "the virtual machine ended with exit status $?"
qemu=
[ -s "$scratch/status" ] || die "the virtual machine ended before the command: see above"
exit "$(<"$scratch/status")"
