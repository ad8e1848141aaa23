#!/bin/busybox sh
# The guest's first process: mounts what perfmap reads (no tracefs; securityfs at last), runs each workload under it, prints
# what it wrote between marks, says DONE and turns the machine off.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin HOME=/ NO_COLOR=1 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
ip link set lo up
cd /work
dmesg -n 1

file() {
    echo
    echo "VMTEST-FILE $1 $2"
    cat
    echo
    echo "VMTEST-END"
}

doctor() {
    perfmap doctor 2>&1 | file "$1" doctor
}

run() {
    name=$1
    shift
    perfmap trace --no-baseline --no-escalate --format json --out "/tmp/$name" "$@" >/tmp/words 2>&1
    echo "exit code $?" >>/tmp/words
    file "$name" words </tmp/words
    tr -d '\n' <"/tmp/$name/performance_map.json" | file "$name" performance_map.json
    tr -d '\n' </tmp/truth.json | file "$name" truth.json
    rm -f /tmp/truth.json
}

# Moves this shell into the group first: what it becomes is throttled.
inside='echo $$ >"$0/cgroup.procs"; exec python3 work.py throttled'

# A controller that the old hierarchy had does not come to the new one while anything of it is left, which can be for good:
# one of the two in each guest.
case $(uname -r) in
6.1.*)
    mount -t cgroup -o cpu none /sys/fs/cgroup
    mkdir /sys/fs/cgroup/slow
    echo 100000 >/sys/fs/cgroup/slow/cpu.cfs_period_us
    echo 20000 >/sys/fs/cgroup/slow/cpu.cfs_quota_us
    ;;
*)
    mount -t cgroup2 none /sys/fs/cgroup
    echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/slow
    echo "20000 100000" >/sys/fs/cgroup/slow/cpu.max
    ;;
esac
run quota -- sh -c "$inside" /sys/fs/cgroup/slow
doctor plain
run answers -- python3 work.py answers

# A kernel that does not tell its types.
mount -t tmpfs none /sys/kernel/btf
run typeless -- python3 work.py little
umount /sys/kernel/btf

# Lockdown can only be made stricter.
mount -t securityfs none /sys/kernel/security
for mode in integrity confidentiality; do
    echo $mode >/sys/kernel/security/lockdown
    doctor $mode
    run $mode -- python3 work.py little
done
echo "VMTEST-DONE"
sync
poweroff -f
