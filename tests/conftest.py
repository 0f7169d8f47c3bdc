"""Settings shared by all tests."""

import signal

from hypothesis import settings

settings.register_profile("minipg", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("minipg")

# a shell script that starts pytest in the background makes it ignore Ctrl-C, which some tests send to themselves
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
