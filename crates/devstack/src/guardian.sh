# guardian STOP_SIGNAL FORCE_SIGNAL PATIENCE PID_FILE REMOVE_AFTERWARDS PROGRAM [ARGUMENT...]
stop_signal=$1 force_signal=$2 patience=$3 pid_file=$4 remove_afterwards=$5
shift 5

# A background command's standard input is /dev/null: the lifeline has to be handed on by name.
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
[ -z "$pid_file" ] || echo "$server" >"$pid_file"

asked_to_stop=
trap 'asked_to_stop=yes' USR1
(
    cat <&3 >/dev/null
    kill -s USR1 "$$"
    kill -s "$stop_signal" "$server"
    while [ "$patience" -gt 0 ] && kill -0 "$server"; do
        sleep 1
        patience=$((patience - 1))
    done
    kill -s "$force_signal" "$server"
) 2>/dev/null &
watcher=$!

wait "$server"
status=$?
# The USR1 above ends a wait before the server has ended.
while kill -0 "$server" 2>/dev/null; do
    wait "$server"
    status=$?
done
kill "$watcher" 2>/dev/null
[ -z "$pid_file" ] || rm -f "$pid_file"
# A server that ended by itself may be started again, and its files are needed to see why it did.
[ -z "$asked_to_stop" ] || [ -z "$remove_afterwards" ] || rm -rf "$remove_afterwards"
exit "$status"
