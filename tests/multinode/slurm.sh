#!/bin/bash
# NOT RUN BY US: written from the manuals of Slurm and torchrun; we had no cluster. What we ran is the same workers on
# two network namespaces of one machine (test_link.py), and worker_kernels without its kernels (test_kernels.py).
#
# sbatch tests/multinode/slurm.sh MODULE ARGUMENT ...      from the root of a checkout, with its environment active
# PROCESSES=8 sbatch --nodes=2 --gpus-per-node=8 tests/multinode/slurm.sh tests.multinode.worker_kernels queues
#
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=00:10:00
set -euo pipefail

if [ $# -eq 0 ]; then
    set -- tests.multinode.worker_alltoall 4 9
fi
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR
export MASTER_PORT=${MASTER_PORT:-29500}
export PROCESSES=${PROCESSES:-1}
export OMP_NUM_THREADS=1
# The interface that gloo takes; without it, the one that the node's own name leads to.
if [ -n "${INTERFACE:-}" ]; then
    export GLOO_SOCKET_IFNAME=$INTERFACE
fi

# The single quotes are meant: each node has its own SLURM_NODEID.
# shellcheck disable=SC2016
srun --kill-on-bad-exit=1 bash -c '
    exec python -m torch.distributed.run --nnodes "$SLURM_NNODES" --node-rank "$SLURM_NODEID" \
        --nproc-per-node "$PROCESSES" --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT" \
        --max-restarts 0 -m tests.multinode.pinned "$@"' worker "$@"
