"""The kernels of dispatch and combine, in Numba CUDA; written once, run by every transport.

A kernel is plain Python that names `cuda`, `ptx`, `link` and `element`, which `machine.bind` gives it: Numba's and inline
PTX on a GPU, the emulator's on a CPU. So nothing here imports Numba but `ptx` and `compiled`, and nothing is compiled at import.
"""
