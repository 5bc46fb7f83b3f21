-- The audit: the acts of people. Each act has one entry, written in the transaction of the act: an
-- act that is rolled back leaves none, and no act commits without its entry. Effects outside this
-- database (runs, schedules) are entered before they are requested.
-- Entries contain no token, code or secret of a session. Dry runs, reads and acts that change
-- nothing have none.
-- Bound: one row per act of a person. Kept forever, because a question about a change may arise
-- years later; a thousand acts a day are about 350 MB a year.
create table audit_entries (
    -- 1, 2, 3 ... without gaps.
    number bigint primary key,
    occurred_at timestamptz not null,
    -- The name of the access token; for a command the user of the operating system; for an update
    -- of a workflow the name that it states.
    actor text not null check (actor <> ''),
    -- Null for commands and for updates of workflows.
    token_id uuid references api_tokens,
    -- web_sessions.id of an act on a page. Sessions are removed, entries are not.
    session_id uuid,
    -- api: a request with a token. page: a request with a session. command: the arcadia program.
    -- temporal: an update of a workflow.
    channel text not null check (channel in ('api', 'page', 'command', 'temporal')),
    action text not null check (action in (
        'logged_in', 'logged_out',
        'token_created', 'token_rotated', 'token_revoked', 'login_link_created',
        'project_changed', 'resource_override_changed',
        'cost_line_match_overridden', 'cost_line_match_withdrawn',
        'orphaned_override_applied', 'orphaned_override_dismissed', 'allocation_rule_set',
        'held_deletion_approved', 'held_deletion_rejected',
        'run_requested', 'run_started', 'schedules_apply_requested', 'secret_purged',
        'month_closed', 'month_reopened', 'correction_accepted')),
    object_type text not null check (object_type in (
        'session', 'token', 'project', 'resource', 'cost_line', 'allocation_rule', 'held_deletion',
        'invoice', 'kind', 'schedule', 'run', 'namespace', 'inventory', 'month')),
    -- The id in this system; for an allocation rule its first month, for a month YYYY-MM, for a run
    -- WORKFLOW_ID/RUN_ID.
    object_id text not null,
    -- The name at the time of the act; null for objects without one.
    object_name text,
    -- The state of the object before and after the act; null if there was none.
    before jsonb,
    after jsonb,
    -- As the person stated it.
    reason text,
    -- The x-request-id of a request; for an update of a workflow the id of the run.
    request_id text,
    -- The address of the caller; for a command the address from which it is connected to the
    -- database, null through a Unix socket.
    address inet,
    -- The hash of the entry before; null for the first.
    previous_hash bytea,
    -- SHA-256 of all other columns; see audit_entry_hash.
    hash bytea not null check (octet_length(hash) = 32),
    check ((number = 1) = (previous_hash is null)),
    check ((channel in ('api', 'page')) = (token_id is not null)),
    check ((channel = 'page') = (session_id is not null))
);
create index audit_entries_by_time on audit_entries (occurred_at);
create index audit_entries_of_actor on audit_entries (actor, number);
create index audit_entries_of_token on audit_entries (token_id, number);
create index audit_entries_of_action on audit_entries (action, number);
create index audit_entries_of_object on audit_entries (object_type, object_id, number);

-- The hash of an entry: SHA-256 of the text of a JSON object with its columns by name, followed by
-- `[before, after]`. Null columns are not part of the object, so that a column that is added later
-- does not change the hashes of older entries. previous_hash is among the columns: the entries form
-- a chain, in which a removed or changed entry shows.
create function audit_entry_hash(entry audit_entries) returns bytea
language sql stable set timezone = 'UTC' set bytea_output = 'hex' as $$
    select sha256(convert_to(
        jsonb_strip_nulls(to_jsonb(entry) - '{hash,before,after}'::text[])::text
            || jsonb_build_array(entry.before, entry.after)::text, 'UTF8'))
$$;

-- Appends an entry to the chain. Writers hold an advisory lock, so that each sees the last entry;
-- without it, the second of two concurrent entries violates the primary key.
create function chain_audit_entry() returns trigger language plpgsql as $$
declare
    last record;
begin
    select number, hash into last from audit_entries order by number desc limit 1;
    new.number := coalesce(last.number, 0) + 1;
    new.previous_hash := last.hash;
    new.hash := audit_entry_hash(new);
    return new;
end
$$;
create trigger audit_entries_are_chained
    before insert on audit_entries
    for each row execute function chain_audit_entry();
create trigger audit_entries_are_append_only
    before update or delete or truncate on audit_entries
    for each statement execute function refuse_change();
