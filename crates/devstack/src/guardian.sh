# Runs a server and stops it when standard input, a pipe from the owner, closes.
# guardian STOP_SIGNAL FORCE_SIGNAL GRACE_PERIOD PID_FILE REMOVE_AFTERWARDS PROGRAM [ARGUMENT...]
stop_signal=$1 force_signal=$2 grace_period=$3 pid_file=$4 remove_afterwards=$5
shift 5

# The standard input of a background command is /dev/null, so the pipe gets another descriptor.
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
[ -z "$pid_file" ] || echo "$server" >"$pid_file"

stop_requested=
trap 'stop_requested=yes' USR1
(
    cat <&3 >/dev/null
    kill -s USR1 "$$"
    kill -s "$stop_signal" "$server"
    while [ "$grace_period" -gt 0 ] && kill -0 "$server"; do
        sleep 1
        grace_period=$((grace_period - 1))
    done
    kill -s "$force_signal" "$server"
) 2>/dev/null &
watcher=$!

wait "$server"
status=$?
# The signal USR1 interrupts a wait before the server has ended.
while kill -0 "$server" 2>/dev/null; do
    wait "$server"
    status=$?
done
kill "$watcher" 2>/dev/null
[ -z "$pid_file" ] || rm -f "$pid_file"
# The files of a server that ended unexpectedly are kept for a restart and to find the reason.
[ -z "$stop_requested" ] || [ -z "$remove_afterwards" ] || rm -rf "$remove_afterwards"
exit "$status"
