#!/bin/bash
# Whether this container's own server answers well: `probe PORT PATH`. The image has no HTTP client, and needs no other.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$2" >&3
read -r status <&3
case "$status" in "HTTP/1."?" 200 "*) ;; *)
    echo "$2 answered: $status" >&2
    exit 1
    ;;
esac
