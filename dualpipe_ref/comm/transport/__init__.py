"""How a kernel reaches a peer: emulated on the CPU, on one GPU, by CUDA IPC between processes, by NVSHMEM between nodes."""
