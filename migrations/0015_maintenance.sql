-- Maintenance: the partitions of the append-only histories, the time before which they are
-- exported, the purge of a secret, and the result of the daily workflow `Maintain`.

-- The partitions of cloud_resource_events and cloud_cost_line_changes: one for each month (UTC),
-- TABLE_YYYY_MM, and TABLE_default. The default partition contains the rows of months that have no
-- partition yet, and the copied rows of detached months (detach_history). Partitions are in a
-- separate schema, because no query reads them directly. Detached ones stay there until they are
-- exported and dropped.
create schema history;

-- The start of the history: the months before it are detached, so that past states before it cannot
-- be reconstructed. No row while all months are attached.
-- Bound: one row per partitioned table.
create table history_floors (
    table_name text primary key check (table_name in ('cloud_resource_events', 'cloud_cost_line_changes')),
    starts_at timestamptz not null,
    detached_at timestamptz not null default clock_timestamp()
);

-- The column by which a table is partitioned. Fails for other tables.
create function history_time_column(parent text) returns text language plpgsql immutable as $$
begin
    if parent = 'cloud_resource_events' then
        return 'occurred_at';
    elsif parent = 'cloud_cost_line_changes' then
        return 'changed_at';
    end if;
    raise exception '% has no partitions: use cloud_resource_events or cloud_cost_line_changes', parent;
end
$$;

-- Adds the partition of a month, and moves the rows of that month out of the default partition.
-- Returns false if the partition exists. The new table is attached, not created as a partition, so
-- that readers of other partitions are not blocked. month is any day of the month.
create function add_history_partition(parent text, month date) returns boolean language plpgsql as $$
declare
    key text := history_time_column(parent);
    child text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
    starts timestamptz := date_trunc('month', month::timestamp) at time zone 'UTC';
    ends timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC';
    -- The exceptions of the trigger: purge_secret changes events only.
    exceptions text := case parent when 'cloud_resource_events' then quote_literal('purge') else '' end;
    previous text := coalesce(current_setting('arcadia.change', true), '');
begin
    if to_regclass('history.' || child) is not null then
        return false;
    end if;
    execute format('create table history.%I (like public.%I including all excluding identity)', child, parent);
    -- No row is added to the default partition before the rows of the month are moved.
    execute format('lock table history.%I in access exclusive mode', parent || '_default');
    execute format('insert into history.%I select * from history.%I where %I >= $1 and %I < $2',
        child, parent || '_default', key, key) using starts, ends;
    perform set_config('arcadia.change', 'move', true);
    execute format('delete from history.%I where %I >= $1 and %I < $2', parent || '_default', key, key) using starts, ends;
    perform set_config('arcadia.change', previous, true);
    execute format('create trigger %I before update or delete or truncate on history.%I
        for each statement execute function refuse_change(%s)', parent || '_are_append_only', child, exceptions);
    execute format('alter table public.%I attach partition history.%I for values from (%L) to (%L)', parent, child, starts, ends);
    return true;
end
$$;

-- Adds the partitions of this month and of the next three, and of earlier months with rows in the
-- default partition, in which rows are stored if this was not called in time. Returns their number.
-- Safe under concurrency: one caller waits for the other.
create function add_history_partitions() returns bigint language plpgsql as $$
declare
    parent text;
    floor timestamptz;
    month date;
    added bigint := 0;
begin
    perform pg_advisory_xact_lock(hashtext('history partitions'));
    foreach parent in array array['cloud_resource_events', 'cloud_cost_line_changes'] loop
        select starts_at into floor from history_floors where table_name = parent;
        for month in execute format(
            'select date_trunc(''month'', at)::date as month from (
                 select now() at time zone ''UTC'' + make_interval(months => ahead) as at from generate_series(0, 3) ahead
                 union all
                 select %1$I at time zone ''UTC'' from history.%2$I where %1$I >= coalesce($1, ''-infinity'')
             ) needed group by 1 order by 1', history_time_column(parent), parent || '_default') using floor
        loop
            if add_history_partition(parent, month) then
                added := added + 1;
            end if;
        end loop;
    end loop;
    return added;
end
$$;

create table history.cloud_resource_events_default partition of cloud_resource_events default;
create trigger cloud_resource_events_are_append_only
    before update or delete or truncate on history.cloud_resource_events_default
    for each statement execute function refuse_change('purge', 'move');
create table history.cloud_cost_line_changes_default partition of cloud_cost_line_changes default;
create trigger cloud_cost_line_changes_are_append_only
    before update or delete or truncate on history.cloud_cost_line_changes_default
    for each statement execute function refuse_change('move');
select add_history_partitions();

-- Detaches the partition of a month and of all months before it, and returns their names, to be
-- exported and dropped (docs/backup-and-restore.md). The current month and the three before it stay
-- attached.
--
-- The rows of detached months by which cost lines are matched, changes of names and sizes, are
-- copied to the default partition, so that a rematch of an old line has the same result. Past
-- states at or after the end of the month stay exact: they are reconstructed backwards from the
-- present.
create function detach_history(parent text, last_month date) returns setof text language plpgsql as $$
declare
    key text := history_time_column(parent);
    ends timestamptz := (date_trunc('month', last_month) + interval '1 month')::timestamp at time zone 'UTC';
    child text;
begin
    if ends > date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' - interval '3 months' then
        raise exception 'the current month and the three before it stay attached: choose an earlier month than %', last_month;
    end if;
    perform pg_advisory_xact_lock(hashtext('history partitions'));
    for child in
        select relation.relname from pg_inherits
        join pg_class relation on relation.oid = inhrelid
        where inhparent = format('public.%I', parent)::regclass
          and relation.relname ~ '_[0-9]{4}_[0-9]{2}$'
          and right(relation.relname, 7) <= to_char(last_month, 'YYYY_MM')
        order by 1
    loop
        execute format('alter table public.%I detach partition history.%I', parent, child);
        if parent = 'cloud_resource_events' then
            execute format('insert into history.cloud_resource_events_default overriding system value select * from history.%I
                where event in (''updated'', ''restored'') and (changes ? ''name'' or changes ? ''attrs.size_slug'')', child);
        end if;
        return next child;
    end loop;
    if parent = 'cloud_resource_events' then
        delete from cloud_resource_past_values where valid_to <= ends;
        -- The first remaining value applies to the time of the detached ones, too.
        update cloud_resource_past_values set valid_from = '-infinity' where valid_from > '-infinity' and valid_from <= ends;
    end if;
    insert into history_floors as f (table_name, starts_at) values (parent, ends)
    on conflict (table_name) do update set starts_at = greatest(f.starts_at, excluded.starts_at), detached_at = clock_timestamp();
end
$$;

-- Returns a JSON value with [purged] instead of a secret, in strings and in keys. A number with the
-- digits of a secret stays: it is an id or a size, and with a replaced part it is not valid JSON.
create function purged(value jsonb, secret text) returns jsonb language plpgsql immutable as $$
begin
    return case jsonb_typeof(value)
        when 'string' then to_jsonb(replace(value #>> '{}', secret, '[purged]'))
        when 'array' then coalesce(
            (select jsonb_agg(purged(element, secret) order by place) from jsonb_array_elements(value) with ordinality e (element, place)),
            '[]')
        when 'object' then coalesce(
            (select jsonb_object_agg(replace(key, secret, '[purged]'), purged(field, secret)) from jsonb_each(value) f (key, field)),
            '{}')
        else value
    end;
end
$$;

-- Replaces a secret that was stored with the inventory, in all texts of resources and in their
-- events, also in detached months, and returns the number of changed rows. Ids are not replaced.
-- Fingerprints stay, so that an unchanged body does not restore the secret. Called by
-- `arcadia purge`, which records the act.
create function purge_secret(secret text) returns bigint language plpgsql as $$
declare
    -- As it is written in JSON. Most rows lack it, and only the others are compared with purged().
    escaped text := substr(to_jsonb(secret)::text, 2, length(to_jsonb(secret)::text) - 2);
    child text;
    changed bigint;
    total bigint := 0;
begin
    if length(secret) < 8 then
        raise exception 'the secret has fewer than 8 characters: other texts would be replaced too'
            using errcode = 'invalid_parameter_value';
    end if;
    perform set_config('arcadia.change', 'purge', true);
    for child in
        select relname from pg_class
        where relnamespace = 'history'::regnamespace and relkind = 'r' and relname like 'cloud\_resource\_events\_%'
    loop
        execute format('update history.%I set changes = purged(changes, $1)
            where case when strpos(changes::text, $2) > 0 then purged(changes, $1) <> changes end', child) using secret, escaped;
        get diagnostics changed = row_count;
        total := total + changed;
    end loop;
    update cloud_resource_rows set
        name = replace(name, secret, '[purged]'),
        region = replace(region, secret, '[purged]'),
        status = replace(status, secret, '[purged]'),
        tags = array(select replace(tag, secret, '[purged]') from unnest(tags) with ordinality tag (tag, place) order by place),
        attrs = purged(attrs, secret)
    where strpos(name, secret) > 0 or strpos(region, secret) > 0 or strpos(status, secret) > 0
       or strpos(array_to_string(tags, ' '), secret) > 0
       or case when strpos(attrs::text, escaped) > 0 then purged(attrs, secret) <> attrs end;
    get diagnostics changed = row_count;
    total := total + changed;
    -- Past tags are in lower case.
    update cloud_resource_past_values set value = replace(replace(value, secret, '[purged]'), lower(secret), '[purged]')
    where strpos(value, secret) > 0 or strpos(value, lower(secret)) > 0;
    get diagnostics changed = row_count;
    total := total + changed;
    -- Their listing is repeated.
    delete from cloud_staged_resources
    where strpos(name, secret) > 0 or strpos(region, secret) > 0 or strpos(status, secret) > 0
       or strpos(array_to_string(tags, ' '), secret) > 0
       or case when strpos(attrs::text, escaped) > 0 then purged(attrs, secret) <> attrs end
       or case when strpos(relations::text, escaped) > 0 then purged(relations, secret) <> relations end;
    get diagnostics changed = row_count;
    perform set_config('arcadia.change', '', true);
    return total + changed;
end
$$;

-- The result of the last complete run of `Maintain`.
-- Bound: one row.
create table maintenance_results (
    only_row boolean primary key default true check (only_row),
    completed_at timestamptz not null,
    -- {"rule": number of removed rows, or of added partitions}
    counts jsonb not null
);
