"""A Python function waits for a C child, directly and through a shell: the child's functions belong under it."""
import os, subprocess
import selftime
from selftime import sect

HERE = os.path.dirname(os.path.abspath(__file__))
TIMES = {"burn_left": [0, 0, 0], "burn_right": [0, 0, 0]}


def _take(out):
    for line in out.decode().splitlines():
        name, wall, cpu = line.split()
        r = TIMES[name]
        r[0] += 1
        r[1] += int(float(wall) * 1e6)
        r[2] += int(float(cpu) * 1e6)


def run_burner():
    with sect("run_burner"):
        _take(subprocess.run([os.path.join(HERE, "bin", "burn")], stdout=subprocess.PIPE, check=True).stdout)


def run_by_shell():
    with sect("run_by_shell"):
        # Two commands, so that no shell replaces itself by the child.
        _take(subprocess.run("bin/burn; true", shell=True, cwd=HERE, stdout=subprocess.PIPE, check=True).stdout)


if __name__ == "__main__":
    run_burner()
    run_by_shell()
    selftime.ACC.update(TIMES)
    c = os.path.join(HERE, "burn.c")
    selftime.finish("w26_children", "nest",
                    functions=[selftime.fn("run_burner"), selftime.fn("run_by_shell"), selftime.fn("burn_left", c), selftime.fn("burn_right", c)],
                    edges=[["run_burner", "burn_left"], ["run_burner", "burn_right"], ["run_by_shell", "burn_left"]],
                    suspicions=[])
