#!/bin/sh
# Brings Temporal's two databases up to date; may run again at every start.
set -eu
update() {
    database=$1
    schema=/etc/temporal/schema/postgresql/v12/$2/versioned
    tool="temporal-sql-tool --plugin postgres12 --ep postgresql -u temporal -p 5432 --db $database"
    # Refused where the version table is there already.
    $tool setup-schema -v 0.0 || true
    $tool update-schema -d "$schema"
}
update temporal temporal
update temporal_visibility visibility
