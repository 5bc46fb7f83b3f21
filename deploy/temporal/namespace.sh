#!/bin/sh
# Creates or updates the namespace, which keeps closed workflows for 30 days. Safe to run at every start.
set -eu
temporal operator namespace describe --namespace default ||
    temporal operator namespace create --namespace default --retention 30d
temporal operator namespace update --namespace default --retention 30d
