"""The kernels on a GPU: `make gpu`. Without one all of it is skipped; GPU_TESTS=emulated rehearses it in the emulator."""
