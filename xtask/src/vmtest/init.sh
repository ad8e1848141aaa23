#!/bin/busybox sh
# The guest's first process: mounts what perfmap reads (no tracefs, no securityfs), runs each workload under it, prints
# what it wrote between marks, says DONE and turns the machine off.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin HOME=/ NO_COLOR=1 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
cd /work
dmesg -n 1

run() {
    name=$1
    shift
    perfmap trace --no-baseline --no-escalate --format json --out "/tmp/$name" "$@" >/tmp/words 2>&1
    echo "VMTEST-CODE $name $?"
    cat /tmp/words
    for part in performance_map.json truth.json; do
        echo "VMTEST-FILE $name $part"
        cat "/tmp/$name/$part" "/tmp/$part" 2>/dev/null | tr -d '\n'
        echo
        echo "VMTEST-END"
    done
    rm -f /tmp/truth.json
}

echo "VMTEST-FILE doctor table"
perfmap doctor
echo "VMTEST-END"
run answers -- python3 work.py answers
echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/slow
echo "20000 100000" >/sys/fs/cgroup/slow/cpu.max
run throttled -- sh -c 'echo $$ >/sys/fs/cgroup/slow/cgroup.procs; exec python3 work.py throttled'
echo "VMTEST-DONE"
sync
poweroff -f
