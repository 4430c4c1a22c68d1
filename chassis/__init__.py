"""The transport: what every service needs and none owns."""

import gc

# At the threshold of 700 that Python has, a third of a service's start-up goes into looking for garbage that
# imports do not make; at run time nearly everything a call leaves behind is freed by counting alone.
gc.set_threshold(50_000, 20, 100)
