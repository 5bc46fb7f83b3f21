-- The rule of the match: the resource that a cost line is a charge for.
-- Applied by crates/store/src/invoices/matching.rs, through the view at the end.
--
-- match_rule, by precedence:
--   operator    an operator's override (cloud_cost_line_overrides)
--   uuid        the uuid in DigitalOcean's item of the line is the id of a resource: of one of the
--               identified_kind, else of any kind that was ever listed
--   id          the number in the item is the id of a resource of the identified_kind: a number is
--               unique within a kind only
--   account     the product cannot have a resource: shared costs
--   name        the only resource with the name and the identified_kind of the line that fits it
--   group       the same, if the group of the line has the name
--   project     of several that fit, the only one that was in the project on the line
--   ambiguous   several fit, and the project does not decide
--   historic    DigitalOcean's id is of a resource that the mirror has not observed: usually one
--               that was deleted before the first sync
--   unmatched   no resource fits
-- match_note explains why a line is not matched, and how to fix it if that is known.
--
-- A resource fits a line if all of these are true. An unknown value, of the resource or of the
-- line, fits:
-- - Its lifetime overlaps the charge period: DigitalOcean's created_at is not after the end, and
--   the last sighting of a deleted resource is not before the start.
-- - Its region is that of the line. Former regions do not count.
-- - Its size_slug, the current or a former one, is that of the line.
--
-- name, group: a name is used only if the item has no id; except that of a Kubernetes cluster in
-- the group, because DigitalOcean does not document which resource the items of a cluster name. A
-- number without a known kind is not used as an id: it could be of any kind.
-- A resource has the name if it had it at the end of the charge period. If none of these fits,
-- those that lost it during the period qualify: DigitalOcean does not document which of the names
-- an invoice has.
--
-- project: the candidate was in a project of that name at some moment of the charge period. As in
-- the attribution (crates/domain/src/costs/attribution.rs), the first membership of a resource and
-- the first name of a project also apply to the time before, because they begin with the first
-- observation. If a candidate has no known membership, the project does not decide.

-- Parses a time in DigitalOcean's format. Null for invalid text.
create function provider_time(text) returns timestamptz language plpgsql stable as $$
begin
    return $1::timestamptz;
exception when others then
    return null;
end
$$;

create function cost_line_match(
    identified_kind text, is_named_by_group boolean, wanted_name text, wanted_region text, wanted_size text,
    item_id text, item_uuid text, is_for_account boolean, project_name text, starts timestamptz, ends timestamptz
) returns table (resource_id uuid, match_rule text, match_note text, match_candidates uuid[])
    language sql stable
as $$
    select
        coalesce(item.by_uuid, item.by_id, case when named.fitting = 1 then named.ids[1] end,
            case when placed.is_decided then placed.id end),
        case
            when item.by_uuid is not null then 'uuid'
            when item.by_id is not null then 'id'
            when is_for_account then 'account'
            when named.fitting = 1 then case when is_named_by_group then 'group' else 'name' end
            when placed.is_decided then 'project'
            when named.fitting > 1 then 'ambiguous'
            when item.has_id then 'historic'
            else 'unmatched'
        end,
        case
            when item.by_uuid is not null or item.by_id is not null or is_for_account or named.fitting = 1 then null
            when placed.is_decided and placed.first_known_at is null then
                format('%s of this name existed in the charge period, and only this one was in the project %s then',
                    named.fitting, project_name)
            when placed.is_decided then
                format('%s of this name existed in the charge period, and only this one was in the project %s, as first known on %s',
                    named.fitting, project_name, to_char(placed.first_known_at at time zone 'UTC', 'YYYY-MM-DD'))
            when placed.inside > 1 then
                format('%s of this name existed in the charge period, %s of them in the project %s',
                    named.fitting, placed.inside, project_name)
            when placed.inside = 0 and placed.of_unknown_place = 0 then
                format('%s of this name existed in the charge period, none of them in the project %s', named.fitting, project_name)
            when named.fitting > 1 then format('%s of this name existed in the charge period', named.fitting)
            when item.has_id then format('DigitalOcean names %s %s, which this mirror has never seen',
                coalesce(identified_kind, 'the resource'), coalesce(item_uuid, item_id))
            when identified_kind is null and item_id is not null then
                format('the product is not known here, and DigitalOcean''s id %s could be of any kind', item_id)
            when identified_kind is null then 'the product is not known here'
            when wanted_name is null then 'the line names no resource'
            when named.found = 0
                and not exists (
                    select from cloud_resources r where r.kind = identified_kind and fold_case(r.name) = fold_case(wanted_name))
                and not exists (
                    select from cloud_resource_events e
                    join cloud_resources r on r.id = e.resource_id
                    where e.event in ('updated', 'restored') and e.changes ? 'name'
                      and fold_case(e.changes #>> '{name,before}') = fold_case(wanted_name) and r.kind = identified_kind)
            then format('no %s of this name is known%s', identified_kind, coalesce(
                (select ': ' || partial_reason from cloud_kind_freshness
                 where provider = 'digitalocean' and kind = identified_kind),
                -- Also before the first listing, and for a bucket that was deleted before it.
                case when identified_kind = 'spaces_bucket' then ': if the bucket still exists, set SPACES_ACCESS_KEY_ID and '
                    || 'SPACES_SECRET_ACCESS_KEY for the worker to a key with access to all buckets of the team' end))
            when named.lived = 0 then format('no %s of this name existed in the charge period', identified_kind)
            when named.placed = 0 then format('no %s of this name is in the region %s', identified_kind, wanted_region)
            else format('no %s of this name has, or is known to have had, the size %s', identified_kind, wanted_size)
        end,
        case when item.by_uuid is null and item.by_id is null and not is_for_account and named.fitting > 1 then named.ids end
    from (
        select
            case when item_uuid is not null then coalesce(
                (select r.id from cloud_resources r
                 where r.provider = 'digitalocean' and r.kind = identified_kind and r.provider_id = item_uuid),
                (select min(r.id::text)::uuid from cloud_kind_freshness known
                 join cloud_resources r on r.provider = 'digitalocean' and r.kind = known.kind and r.provider_id = item_uuid))
            end as by_uuid,
            case when item_id is not null then
                (select r.id from cloud_resources r
                 where r.provider = 'digitalocean' and r.kind = identified_kind and r.provider_id = item_id)
            end as by_id,
            item_uuid is not null or (item_id is not null and identified_kind is not null) as has_id
        -- "offset 0" keeps the planner from repeating the lookups at each use.
        offset 0
    ) item
    left join lateral (
        select
            count(*) as found,
            count(*) filter (where fit.lived) as lived,
            count(*) filter (where fit.lived and fit.placed) as placed,
            coalesce(nullif(count(*) filter (where fit.is_good and not candidate.is_former), 0), count(*) filter (where fit.is_good))
                as fitting,
            coalesce(array_agg(candidate.id order by candidate.id) filter (where fit.is_good and not candidate.is_former),
                array_agg(candidate.id order by candidate.id) filter (where fit.is_good)) as ids
        from (
            -- Resources that have the name and had it at the end of the charge period.
            select r.id, r.region, r.attrs, r.deleted_at, r.last_seen_at, false as is_former from cloud_resources r
            where r.kind = identified_kind and fold_case(r.name) = fold_case(wanted_name)
              and not exists (
                  select 1 from cloud_resource_events e
                  where e.resource_id = r.id and e.event in ('updated', 'restored') and e.changes ? 'name' and e.occurred_at >= ends)
            union all
            -- Resources that had it then and have another now.
            select r.id, r.region, r.attrs, r.deleted_at, r.last_seen_at, false
            from cloud_resource_events e
            join cloud_resources r on r.id = e.resource_id
            where e.event in ('updated', 'restored') and e.changes ? 'name'
              and fold_case(e.changes #>> '{name,before}') = fold_case(wanted_name)
              and r.kind = identified_kind and e.occurred_at >= ends
              and not exists (
                  select 1 from cloud_resource_events earlier
                  where earlier.resource_id = e.resource_id and earlier.event in ('updated', 'restored') and earlier.changes ? 'name'
                    and earlier.occurred_at >= ends and earlier.id < e.id)
            union all
            -- Resources that lost it during the charge period.
            select r.id, r.region, r.attrs, r.deleted_at, r.last_seen_at, true
            from cloud_resources r
            where r.kind = identified_kind and r.id in (
                select e.resource_id from cloud_resource_events e
                where e.event in ('updated', 'restored') and e.changes ? 'name'
                  and fold_case(e.changes #>> '{name,before}') = fold_case(wanted_name)
                  and e.occurred_at >= starts and e.occurred_at < ends)
        ) candidate
        cross join lateral (
            select
                coalesce(provider_time(candidate.attrs ->> 'created_at') <= ends, true)
                    and (candidate.deleted_at is null or candidate.last_seen_at >= starts) as lived,
                coalesce(fold_case(candidate.region) = fold_case(wanted_region), true) as placed,
                coalesce(candidate.attrs ->> 'size_slug' = wanted_size, true)
                    or exists (
                        select 1 from cloud_resource_events e
                        where e.resource_id = candidate.id and e.event in ('updated', 'restored')
                          and e.changes #>> '{attrs.size_slug,before}' = wanted_size) as sized
            offset 0
        ) checked
        cross join lateral (
            select checked.lived, checked.placed, checked.lived and checked.placed and checked.sized as is_good
        ) fit
    ) named
        on item.by_uuid is null and item.by_id is null and not is_for_account and wanted_name is not null
       -- The item of a database names the database. The documentation does not state the
       -- resource that the items of a Kubernetes cluster name.
       and (not item.has_id or (is_named_by_group and identified_kind = 'kubernetes_cluster'))
    left join lateral (
        select
            place.inside,
            place.of_unknown_place,
            place.inside = 1 and place.of_unknown_place = 0 as is_decided,
            place.id,
            place.first_known_at
        from (
            select
                count(*) filter (where member.is_inside) as inside,
                count(*) filter (where not member.is_known) as of_unknown_place,
                (array_agg(member.id) filter (where member.is_inside))[1] as id,
                -- Null where the membership was seen at the time itself.
                min(member.first_known_at) filter (where member.is_inside) as first_known_at
            from (
                select
                    candidate.id,
                    exists (select from cloud_project_memberships m where m.resource_id = candidate.id) as is_known,
                    inside.cloud_project_id is not null as is_inside,
                    case when not inside.is_dated then inside.valid_from end as first_known_at
                from unnest(named.ids) as candidate (id)
                left join lateral (
                    select stay.cloud_project_id, stay.valid_from, stay.valid_from < period.ends as is_dated
                    from (
                        select m.cloud_project_id, m.valid_from, coalesce(m.valid_to, 'infinity') as valid_to,
                            case when row_number() over (order by m.valid_from) = 1 then '-infinity' else m.valid_from end as counts_from
                        from cloud_project_memberships m where m.resource_id = candidate.id
                    ) stay
                    join (
                        select n.cloud_project_id, coalesce(n.valid_to, 'infinity') as valid_to,
                            case when exists (
                                select from cloud_project_names earlier
                                where earlier.cloud_project_id = n.cloud_project_id and earlier.valid_from < n.valid_from
                            ) then n.valid_from else '-infinity' end as counts_from
                        from cloud_project_names n where fold_case(n.name) = fold_case(project_name)
                    ) called on called.cloud_project_id = stay.cloud_project_id
                    -- A charge period of no length is the moment of its start.
                    cross join (select greatest(ends, starts + interval '1 microsecond') as ends) period
                    where greatest(stay.counts_from, called.counts_from, starts) < least(stay.valid_to, called.valid_to, period.ends)
                    order by stay.valid_from
                    limit 1
                ) inside on true
            ) member
        ) place
    ) placed on named.fitting > 1 and project_name <> ''
$$;

-- The matches of stored lines: by an override, else by the rule.
create view cloud_cost_line_matches as
select
    line.id as line_id,
    case when override.line_id is null then found.resource_id else override.resource_id end as resource_id,
    case when override.line_id is null then found.match_rule else 'operator' end as match_rule,
    case when override.line_id is null then found.match_note else override.reason end as match_note,
    case when override.line_id is null then found.match_candidates end as match_candidates,
    case when override.line_id is null then found.match_rule = 'account' else override.resource_id is null end as is_shared
from cloud_cost_lines line
left join cloud_cost_line_overrides override on override.line_id = line.id
cross join lateral cost_line_match(
    line.identified_kind, line.is_named_by_group, line.resource_name, line.described_region, line.described_size,
    line.item_resource_id, line.item_resource_uuid, line.is_for_account, line.project_name,
    coalesce(line.start_at, line.bill_period::timestamp at time zone 'UTC'),
    charge_ends(line.start_at, line.end_at, line.bill_period)) found;
