"""What can go wrong around a run, done to it, again and again: nothing is lost, and nothing wrong is taken for right.

    test_killed            kill -9 at fifty moments of prepare, distill, export, evaluate, publish and download
    test_full_disk         a real disk that is full at each write of each of them, and one that is read-only
    test_two_processes     two commands on one folder, and the lock of one that is dead
    test_changed_bytes     one flipped byte in each file that something is made from; a set that changed after a run began
    test_clock             a clock that goes backwards, and jumps
    test_decoders          decoders that crash, hang, fork, print and eat memory

    processes, commands    processes and their descendants; every command on the smallest sets
    planted                decoders that do harm

Elsewhere: writes of single files that fail, tests/cli/test_bad_input.py; whatever a crash leaves of a set in the making,
tests/test_prepared.py; Ctrl-C, tests/stages/test_distill.py and test_prepare.py; ranks that end, tests/stages/test_ranks.py;
files that are hostile, tests/video/test_hostile.py; connections that break, tests/stages/test_download.py and test_publish.py.
"""
