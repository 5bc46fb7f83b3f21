#!/bin/sh
# Migrates Temporal's two databases. Safe to run at every start.
set -eu
update() {
    database=$1
    schema=/etc/temporal/schema/postgresql/v12/$2/versioned
    tool="temporal-sql-tool --plugin postgres12 --ep postgresql -u temporal -p 5432 --db $database"
    # Fails if the version table exists already.
    $tool setup-schema -v 0.0 || true
    $tool update-schema -d "$schema"
}
update temporal temporal
update temporal_visibility visibility
