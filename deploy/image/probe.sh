#!/bin/bash
# Succeeds if this container's server responds with 200: `probe PORT PATH`. Replaces an HTTP client, which the image lacks.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET %s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' "$2" >&3
read -r status <&3
case "$status" in "HTTP/1."?" 200 "*) ;; *)
    echo "$2: expected status 200, got: $status" >&2
    exit 1
    ;;
esac
