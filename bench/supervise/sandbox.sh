#!/bin/sh
# Boots the system's own systemd as pid 1: sandbox.sh DIR SHARED
#
# It runs in fresh pid, mount, uts, ipc and cgroup namespaces. Everything below is
# mounted in the namespace of this process alone and goes with it: the machine's files
# are the lower layer of an overlay, and only SHARED, where the sockets are, is the
# same directory inside and out. Of the units only DIR/units and what every
# installation starts are left.
set -e
dir=$1 shared=$2 root=$1/root

mount -t tmpfs -o mode=755 layers "$dir/root"
mkdir "$root/up" "$root/tmp" "$root/all"
mount -t overlay -o "lowerdir=/,upperdir=$root/up,workdir=$root/tmp" all "$root/all"
root=$root/all

# Nothing that this machine has enabled, and nothing that wants hardware.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/user/*.wants "$root"/etc/init.d/* "$root"/etc/rc?.d/*
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-networkd.service \
	systemd-resolved.service systemd-timesyncd.service systemd-firstboot.service \
	systemd-update-utmp.service systemd-journald-audit.socket getty.target \
	console-getty.service e2scrub_reap.service proc-sys-fs-binfmt_misc.automount; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
cp "$dir"/units/* "$root/etc/systemd/system/"
ln -s "../$(cat "$dir/wanted")" "$root/etc/systemd/system/multi-user.target.wants/"

mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mkdir -p "$root$shared"
mount --bind "$shared" "$root$shared"

cd "$root"
mkdir -p mnt/old
pivot_root . mnt/old
umount -l /mnt/old
exec env -i container=bench PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=warning --show-status=0
