#!/bin/sh
# Creates the databases of the application and of Temporal, each with its role. Runs once, when the server's data directory is created.
set -eu
: "${ARCADIA_DATABASE_PASSWORD:?is empty: set it in .env}" "${TEMPORAL_DATABASE_PASSWORD:?is empty: set it in .env}"
psql --set ON_ERROR_STOP=1 --username postgres <<'SQL'
\getenv arcadia_password ARCADIA_DATABASE_PASSWORD
\getenv temporal_password TEMPORAL_DATABASE_PASSWORD
create role arcadia login password :'arcadia_password';
create database arcadia owner arcadia;
create role temporal login password :'temporal_password';
create database temporal owner temporal;
create database temporal_visibility owner temporal;
SQL
