#!/usr/bin/env bash
# A fleet over ssh, by GNU parallel, pdsh or pssh: copies this ringbeat and a secret to each host, starts the server, then
# all load generators at once, fetches every folder and merges them. The hosts need sshd, a login without questions, and
# 64-bit Linux of this machine's architecture. The server's host is the first of the file, and is named there as the
# others reach it.
# Usage: parallel.sh parallel|pdsh|pssh HOSTS [flags for both serve and load; default: --connections 200k --for 60s]
#   HOSTS: a file with one host a line; needed beside the engine: ssh, scp
# SSH_OPTIONS, such as `-i key -l user`, are given to ssh and scp.
set -euo pipefail

usage() {
    sed -n '/^# Usage/,/^# SSH/s/^# //p' "$0" >&2
    exit 2
}

[ $# -ge 2 ] || usage
engine=$1 file=$2
shift 2
both=("$@")
[ ${#both[@]} -gt 0 ] || both=(--connections 200k --for 60s)
read -ra options <<<"${SSH_OPTIONS:-} -o BatchMode=yes"
mapfile -t hosts < <(grep -v '^[[:space:]]*\(#\|$\)' "$file")
server=${hosts[0]}
loads=("${hosts[@]:1}")
count=${#loads[@]}
[ "$count" -ge 1 ] || usage
program=$(command -v ringbeat)
out=ringbeat-$(date -u +%Y-%m-%dT%H%M%SZ)
mkdir "$out"

# One folder on each host, named for this run; it holds the program, the secret and what the host will leave.
there=$out
umask 077
scratch=$(mktemp -d)
token=$scratch/token
# shellcheck disable=SC2317 # the trap calls it
clean() {
    rm -rf "$scratch"
    for host in "${hosts[@]}"; do ssh -n "${options[@]}" "$host" "rm -rf './$there'" || true; done
}
trap clean EXIT
od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$token"
for host in "${hosts[@]}"; do
    ssh -n "${options[@]}" "$host" "mkdir -m 700 './$there'"
    scp -q "${options[@]}" "$program" "$host:$there/ringbeat"
    scp -q "${options[@]}" "$token" "$host:$there/token"
done

# The server's address as another host sees it; a host may know itself by 127.0.1.1.
address=$(ssh -n "${options[@]}" "${loads[0]}" "getent ahostsv4 '$server'" | awk 'NR == 1 { print $1 }')
shared="--rendezvous $address:7100 --token-file token --quiet $(printf '%q ' "${both[@]}")"
ssh -n "${options[@]}" "$server" \
    "cd './$there' && ./ringbeat serve --listen $address:7000 --shards $count --out server $shared" >/dev/null &
serving=$!

start="cd './$there' && ./ringbeat load --target $address:7000 --out load $shared"
code=0
case $engine in
    # The jobs are numbered by their arguments: 0 to N-1, a host each.
    parallel)
        export PARALLEL_SSH="ssh ${options[*]}" PARALLEL_HOME=$scratch
        seq 0 $((count - 1)) | parallel --will-cite --jobs 1 --line-buffer --tag \
            --sshlogin "$(IFS=, && echo "${loads[*]}")" "$start --shard {}/$count" >/dev/null || code=$?
        ;;
    # %n is the number of the host, which pdsh's module `exec` knows.
    pdsh)
        pdsh -R exec -S -f "$count" -w "$(IFS=, && echo "${loads[*]}")" \
            ssh -n "${options[@]}" %h "$start --shard %n/$count" >/dev/null || code=$?
        ;;
    # Sets PSSH_NODENUM and asks ssh to send it; where sshd does not accept it (AcceptEnv PSSH_NODENUM), `load` is told no
    # number, and refuses to run without.
    pssh)
        parallel-ssh --par "$count" --timeout 0 --inline --extra-args "${options[*]}" \
            --hosts <(printf '%s\n' "${loads[@]}") "RINGBEAT_SHARDS=$count; export RINGBEAT_SHARDS; $start >/dev/null" || code=$?
        ;;
    *) usage ;;
esac
wait "$serving" || code=$?

for host in "${loads[@]}"; do scp -qr "${options[@]}" "$host:$there/load-*" "$out/" || code=$?; done
scp -qr "${options[@]}" "$server:$there/server" "$out/" || code=$?
ringbeat merge "$out"/load-* "$out"/server --out "$out/merged" || code=$?
exit "$code"
