#!/bin/sh
# The namespace, with closed workflows kept for 30 days; may run again at every start.
set -eu
temporal operator namespace describe --namespace default ||
    temporal operator namespace create --namespace default --retention 30d
temporal operator namespace update --namespace default --retention 30d
