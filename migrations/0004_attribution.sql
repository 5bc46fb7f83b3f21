-- The rule of attribution: the project and tenant of each resource, and their source.
-- Applied by crates/store/src/inventory/attribution.rs (stored resources) and
-- crates/store/src/inventory/rows.rs (new staged ones).
--
-- provider_project_id, the project without overrides, is the first of these that applies:
--   node        the project of the live cluster of which the resource is a node
--   made        the project of the cluster that created the resource, unless a user moved it, so
--               that a project other than the default one lists it
--   membership  the project that lists the resource, with any status of the membership
--   body        the project in the body of the resource
--   part        the project of the parent of the resource
--   claimed     the project of the droplet that lists the resource as a backup
--   fallback    the internal project, for kinds that always have a project (listed below), if a
--               complete pass over the projects that began after the resource was first observed
--               lists it nowhere
-- A membership counts until three passes lack it and its row is deleted.
--
-- parent_id, the resource with overrides that also apply: the cluster by the rules node and made,
-- even if it has no project; else, if neither membership nor body determines a project, the parent
-- in the body or the droplet that lists the backup. A deleted parent still counts, except the
-- cluster of a node.
--
-- Overrides take precedence, those of the nearest resource first: the resource itself, its parent,
-- the parent of its parent ... The project is that of the nearest override of the project. The
-- tenant is that of the nearest override of either: its tenant, or else the tenant of its project.
-- So an override of the tenant alone leaves the resource in the project to which an ancestor was
-- moved. crates/domain/src/costs/attribution.rs has the same rule for the tenant of a charge.
--
-- The view reads the stored project and overrides of the parent, so attribution.rs applies it up to
-- four times, until no row changes.
--
-- listing is null for a stored resource. Of the staged resources only new ones are read: a changed
-- one is attributed when it is stored. A condition on the id reads only the rows of that resource:
-- only the time of the latest pass is aggregated, which does not depend on the resource.
create view cloud_resource_attribution as
select
    subject.id,
    subject.listing,
    subject.kind,
    decided.provider_project_id,
    decided.parent_id,
    override.resource_id as overridden_by,
    case
        when own.cloud_project_id is not null then own.resource_id
        when of_parent.cloud_project_id is not null then of_parent.resource_id
        else above_project.resource_id
    end as project_overridden_by,
    effective.id as cloud_project_id,
    coalesce(override.tenant_id, effective.tenant_id) as tenant_id,
    case
        when override.resource_id = subject.id then 'operator'
        when override.resource_id is not null or decided.choice in ('node', 'made', 'part', 'claimed') then 'parent'
        else decided.choice
    end as attribution
from (
    select r.id, null::uuid as listing, r.kind, r.provider_id, r.body_project_id, r.first_seen_at,
        own.relation as owner_relation, own.other_kind as owner_kind, own.other_provider_id as owner_provider_id
    from cloud_resource_rows r
    left join cloud_resource_relations own on own.stated_by = r.id and own.is_owner
    where r.provider = 'digitalocean' and r.deleted_at is null
    union all
    select id, listing, kind, provider_id, body_project_id, null, owner_relation, owner_kind, owner_provider_id
    from cloud_staged_resources
) subject
left join cloud_project_members member
    on member.provider = 'digitalocean' and member.kind = subject.kind and member.provider_id = subject.provider_id
left join cloud_project_rows member_project on member_project.id = member.cloud_project_id
left join cloud_project_rows named on named.provider = 'digitalocean' and named.provider_id = subject.body_project_id
-- A droplet is a node of one cluster. If two clusters claim it, the smaller id makes the choice
-- stable.
left join (
    select s.other_kind, s.other_provider_id, s.stated_by as cluster_id
    from cloud_resource_relations s
    join cloud_resource_rows stating on stating.id = s.stated_by and stating.deleted_at is null
    where s.relation = 'node_of' and s.direction = 'from_other'
      and not exists (
          select from cloud_resource_relations other
          join cloud_resource_rows first on first.id = other.stated_by and first.deleted_at is null
          where other.relation = 'node_of' and other.direction = 'from_other' and other.other_kind = s.other_kind
            and other.other_provider_id = s.other_provider_id and other.stated_by < s.stated_by)
) node on node.other_kind = subject.kind and node.other_provider_id = subject.provider_id
left join cloud_resource_rows cluster on cluster.id = node.cluster_id
-- The body of a backup does not name its droplet; the body of the droplet names its backups.
left join (
    select s.other_kind, s.other_provider_id, s.stated_by as claimant_id
    from cloud_resource_relations s
    where s.relation = 'backup_of' and s.direction = 'from_other'
      and not exists (
          select from cloud_resource_relations other
          where other.relation = 'backup_of' and other.direction = 'from_other' and other.other_kind = s.other_kind
            and other.other_provider_id = s.other_provider_id and other.stated_by < s.stated_by)
) claim on claim.other_kind = subject.kind and claim.other_provider_id = subject.provider_id
left join cloud_resource_rows claimant on claimant.id = claim.claimant_id
left join cloud_resource_rows owner
    on owner.provider = 'digitalocean' and owner.kind = subject.owner_kind and owner.provider_id = subject.owner_provider_id
left join (
    -- Not from cloud_listings: a failed attempt replaces the row of a complete one of its run.
    select last_complete_at as started_at from cloud_kind_freshness where provider = 'digitalocean' and kind = 'project_member'
) last_pass on subject.first_seen_at < last_pass.started_at
left join (
    select id from cloud_project_rows
    where provider = 'digitalocean' and is_internal and deleted_at is null
    order by first_seen_at limit 1
) internal
    on last_pass.started_at is not null
   and subject.kind in ('app', 'database_cluster', 'droplet', 'kubernetes_cluster', 'load_balancer', 'reserved_ip', 'spaces_bucket',
       'volume')
cross join lateral (
    select
        subject.owner_relation = 'made_by_kubernetes' and owner.id is not null and coalesce(
            member_project.is_default or member.cloud_project_id is not distinct from owner.provider_project_id, true) as is_made
) made
cross join lateral (
    select
        case
            when cluster.provider_project_id is not null then 'node'
            when made.is_made and owner.provider_project_id is not null then 'made'
            when member.cloud_project_id is not null then 'membership'
            when named.id is not null then 'body'
            when owner.provider_project_id is not null then 'part'
            when claimant.provider_project_id is not null then 'claimed'
            when internal.id is not null then 'fallback'
        end as choice
) chosen
cross join lateral (
    select
        chosen.choice,
        case chosen.choice
            when 'node' then cluster.provider_project_id
            when 'made' then owner.provider_project_id
            when 'membership' then member.cloud_project_id
            when 'body' then named.id
            when 'part' then owner.provider_project_id
            when 'claimed' then claimant.provider_project_id
            when 'fallback' then internal.id
        end as provider_project_id,
        case
            when cluster.id is not null then cluster.id
            when made.is_made then owner.id
            when member.cloud_project_id is null and named.id is null then coalesce(owner.id, claimant.id)
        end as parent_id
) decided
left join cloud_current_overrides own on own.resource_id = subject.id
left join cloud_current_overrides of_parent on of_parent.resource_id = decided.parent_id
left join cloud_current_overrides above
    on above.resource_id = case decided.parent_id
       when cluster.id then cluster.overridden_by when owner.id then owner.overridden_by when claimant.id then claimant.overridden_by end
left join cloud_current_overrides above_project
    on above_project.resource_id = case decided.parent_id
       when cluster.id then cluster.project_overridden_by
       when owner.id then owner.project_overridden_by
       when claimant.id then claimant.project_overridden_by
       end
left join cloud_current_overrides override
    on override.resource_id = coalesce(own.resource_id, of_parent.resource_id, above.resource_id)
left join cloud_project_rows effective
    on effective.id = coalesce(own.cloud_project_id, of_parent.cloud_project_id, above_project.cloud_project_id, decided.provider_project_id);
