"""The transport: what every service needs and none owns."""

import gc
import os

# At the threshold of 700 that Python has, a start looks 290 times for garbage that imports do not make,
# 0.16 s of processor time; at run time nearly all that a call leaves behind is freed by counting alone.
# The rest, some twenty objects an order, waits for the threshold: at 50,000 that was ten minutes, 10 MiB.
gc.set_threshold(10_000, 20, 100)

# gRPC's own handlers around a fork crash the child now and then (SIGSEGV before it runs another program), and
# end connections of the parent. Nobody here forks for anything but another program. Read when gRPC begins.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
