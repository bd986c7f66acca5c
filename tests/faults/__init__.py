"""What can go wrong around a run, done to it, again and again: nothing is lost, and nothing wrong is taken for right.

    test_killed            kill -9 at fifty moments of prepare, distill, export, evaluate, publish and download
    test_full_disk         a real disk that is full at each write of five of them, and one that is read-only
    test_two_processes     two commands on one folder, and the lock of one that is dead
    test_changed_bytes     one flipped byte in each file that something is made from; a set that changed under a run
    test_clock             a clock that goes backwards, and jumps
    test_decoders          decoders that crash, hang, fork, print and eat memory

    processes              the command line as a process, and all that runs for it
    filled                 a command on a small disk of its own
    planted                decoders that do harm

Elsewhere, beside what they are about:

    tests/cli/test_bad_input.py                  writes of single files that fail
    tests/test_prepared.py                       whatever a crash leaves of a set in the making
    tests/stages/test_distill.py, test_prepare.py    Ctrl-C
    tests/stages/test_ranks.py                   ranks that end
    tests/stages/test_download.py, test_publish.py   connections that break
    tests/video/test_hostile.py                  files that are hostile
"""
