"""Runs a program with the system calls that a unit of systemd allows.

usage: confined.py UNIT PROGRAM [ARGUMENT...]

The filter is that of SystemCallFilter= and MemoryDenyWriteExecute= in the unit. A system call
that it does not allow fails with EPERM.
"""

import errno
import os
import subprocess
import sys

import seccomp

PROT_WRITE, PROT_EXEC = 2, 4


def settings(unit, name):
    with open(unit) as file:
        lines = file.read().splitlines()
    return [line.split("=", 1)[1] for line in lines if line.startswith(name + "=")]


def calls(name):
    """Returns the names of the system calls in a set of systemd."""
    if not name.startswith("@"):
        return {name}
    command = ["systemd-analyze", "syscall-filter", "--no-pager", name]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    members = [line.strip() for line in lines.splitlines()[1:]]
    members = [member for member in members if member and not member.startswith("#")]
    return set().union(*map(calls, members))


def main():
    unit, program = sys.argv[1], sys.argv[2:]
    allowed = set()
    for value in settings(unit, "SystemCallFilter"):
        named = set().union(*map(calls, value.lstrip("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    is_denied = settings(unit, "MemoryDenyWriteExecute") == ["yes"]
    for call in sorted(allowed):
        # As systemd, this passes over a call that this architecture does not have.
        if seccomp.resolve_syscall(seccomp.Arch(), call) < 0:
            continue
        if is_denied and call in ("mprotect", "pkey_mprotect"):
            rules.add_rule(seccomp.ALLOW, call, seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
        elif is_denied and call == "mmap":
            for flag in (PROT_WRITE, PROT_EXEC):
                other = seccomp.Arg(2, seccomp.MASKED_EQ, flag, 0)
                rules.add_rule(seccomp.ALLOW, call, other)
        else:
            rules.add_rule(seccomp.ALLOW, call)
    rules.load()
    os.execv(program[0], program)


main()
