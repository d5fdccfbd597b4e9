"""SMs of one GPU kept for communication, the rest left to computation, and the evidence that they were.

`reserve.py` splits the SMs: by green contexts, by a persistent grid that owns its SMs through their shared memory, or not at
all. `sm_map.py` says which SM ran what, as blocks themselves wrote it down. `replay.py` keeps the launches of an exchange, so
that they can be started again beside computation. `arithmetic.py` is what is made of the times. Everything that needs a
driver or a GPU stands behind `driver.Driver` and `measuring.Machine`; both have an emulated twin, which runs everywhere.
"""
