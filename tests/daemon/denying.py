"""Executes the rest of its arguments under a filter that denies some system calls, as a container's profile may:
    denying.py NUMBER[,NUMBER...] PROGRAM [ARG...]
"""
import ctypes
import os
import struct
import sys

SECCOMP, LANDLOCK_CREATE_RULESET = {"x86_64": (317, 444), "aarch64": (277, 444)}[os.uname().machine]
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
_ERRNO_EPERM, _ALLOW = 0x00050001, 0x7fff0000
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2


def denying(*calls):
    """A wrapper of a command."""
    return [sys.executable, __file__, ",".join(map(str, calls))]


def main(calls, *command):
    program = [(_LOAD, 0, 0, 0)]
    for call in map(int, calls.split(",")):
        program += [(_EQUAL, 0, 1, call), (_RETURN, 0, 0, _ERRNO_EPERM)]
    program.append((_RETURN, 0, 0, _ALLOW))
    text = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    whole = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(text)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and prctl(_SET_SECCOMP, _FILTER, whole, 0, 0) == 0, os.strerror(ctypes.get_errno())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
