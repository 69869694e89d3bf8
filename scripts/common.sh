# Sourced by the scripts that measure: a clean tree, a quiet machine, a folder under results/ that is never overwritten.
# With --try among the arguments a script measures what is checked out, changes and all, into target/try.

try=false
arguments=()
for argument in "$@"; do
    if [ "$argument" = --try ]; then try=true; else arguments+=("$argument"); fi
done
set -- "${arguments[@]}"

# prepare NAME: builds, sets `folder`, and puts the program on the PATH by its name alone, for a record keeps the
# command as it was typed.
prepare() {
    local name=$1
    if ! $try && [ -n "$(git status --porcelain -- . ':!results')" ]; then
        echo "$name: the work tree has changes; a kept result names a commit, so commit or stash them first (--try measures all the same, into target/try)" >&2
        exit 3
    fi
    cargo build --release --locked --quiet
    PATH=$(cd "${CARGO_TARGET_DIR:-target}/release" && pwd):$PATH
    local base=results/$(date -u +%Y-%m-%d)-$name number=1
    if $try; then base=target/try/$name; fi
    folder=$base
    while [ -e "$folder" ]; do
        number=$((number + 1))
        folder=$base.$number
    done
    mkdir -p "$folder"
    sockets_before=$(sockets)
}

sockets() { awk '/^TCP:/ { for (i = 1; i < NF; i++) if ($i == "alloc") print $(i + 1) }' /proc/net/sockstat; }

# The sockets of a run go asynchronously; the next one must not inherit them, nor their memory.
drained() {
    for _ in $(seq 600); do
        if [ "$(sockets)" -le $((sockets_before + 100)) ]; then
            # A moment for the machine to come to rest.
            sleep 5
            return 0
        fi
        sleep 0.5
    done
    echo "$(sockets) TCP sockets are still there after five minutes; is something else running?" >&2
    return 1
}

# measure STEP COMMAND...: one ringbeat command whose folder is $folder/STEP. A run whose checks failed (exit 1) is
# kept, and told by the return value.
measure() {
    local step=$1 code=0
    shift
    drained
    echo "== $step: $*"
    "$@" --out "$folder/$step" || code=$?
    if [ "$code" -gt 1 ]; then exit "$code"; fi
    return "$code"
}
