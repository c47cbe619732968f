#!/bin/bash
# One training on SLURM: N GPUs of M machines, that goes on by itself after the time limit.
#
#   sbatch scripts/slurm.sh data=image_folder data.root=PHOTOS model=gan max_images=20000000 out=RUN
#   sbatch --nodes=2 --time=12:00:00 scripts/slurm.sh …
#
# All machines must see the data and RUN under one path. Give out=: a job that is queued again finds
# its run by it. Change the lines below to what your cluster calls its GPUs and partitions.

#SBATCH --job-name=synthgen
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00

# Two minutes before the limit: more than a step and writing a state take. Without "B:" the signal
# goes to the tasks that srun starts, all of them, and not to this shell, which would die of it.
#SBATCH --signal=USR1@120

# The same job is queued again, and its log goes on.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out

export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

# "exec": srun takes this shell's place, so what SLURM sends to the script reaches the tasks too.
# A task that dies takes the others along.
exec srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    synthgen train "$@" \
    trainer.devices="${SLURM_NTASKS_PER_NODE:-1}" trainer.num_nodes="${SLURM_JOB_NUM_NODES:-1}"
