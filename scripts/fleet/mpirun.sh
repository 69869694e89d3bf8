#!/usr/bin/env bash
# Load generators started by OpenMPI over the hosts of a hostfile, one each, with `ringbeat` on the PATH of all of them.
# `load` takes its shard from OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE (of MPICH and Intel MPI from PMI_RANK and
# PMI_SIZE). First start the server on its own host, with as many --shards as there are lines in the hostfile:
#   export RINGBEAT_TOKEN=$(openssl rand -hex 16)     # the same here and there
#   ringbeat serve --listen 10.0.0.1:7000 --rendezvous 10.0.0.1:7100 --shards 4 --connections 200k --for 60s --out server
#   scripts/fleet/mpirun.sh HOSTFILE 10.0.0.1 --connections 200k --for 60s
# then bring all folders together, which a shared folder has done already:
#   ringbeat merge load-* server --out merged
# Usage: mpirun.sh HOSTFILE SERVER [flags of load]
set -euo pipefail

hostfile=$1 server=$2
shift 2
# --map-by ppr:1:node: one rank on each host, however many cores it has. --bind-to none: ringbeat pins its own threads.
# orte_abort_on_non_zero_status 0: a rank that fails does not take the others with it; they learn of it at the rendezvous,
# and keep what they have. mpirun then ends with 0 all the same: what counts is what the server and `merge` end with.
mpirun --hostfile "$hostfile" --map-by ppr:1:node --bind-to none --tag-output -x RINGBEAT_TOKEN \
    --mca orte_abort_on_non_zero_status 0 \
    ringbeat load --target "$server:7000" --rendezvous "$server:7100" --out load --quiet "$@"
