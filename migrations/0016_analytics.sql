-- Views for analysts and their tools, such as Grafana and Metabase (docs/analysts.md). Names and
-- columns are stable: a change of the tables changes the views, not their columns. A role that may
-- read these views needs no right on the tables, which contain more than the views show.
create schema analytics;

-- The lines of the bills, one row for each line, and one for each share of a line that several
-- tenants share by time. The amounts of an invoice total it.
create view analytics.cost_lines as
select
    line.bill_period as month,
    invoice.invoice_uuid,
    invoice.version as invoice_version,
    coalesce(invoice.is_final, false) as is_final,
    line.estimate_id is not null as is_estimate,
    line.line_no,
    line.id as line_id,
    line.product,
    line.description,
    line.kind,
    line.resource_id,
    coalesce(resource.name, line.resource_name) as resource_name,
    resource.region,
    nullif(line.project_name, '') as project_name,
    coalesce(share.tenant_id, line.tenant_id) as tenant_id,
    -- Shared lines have no tenant: the allocation rule of the month allocates their total.
    line.is_shared,
    line.match_rule,
    line.hours,
    line.start_at,
    line.end_at,
    coalesce(share.amount, line.amount) as amount_usd
from cloud_cost_lines line
left join cloud_cost_line_shares share on share.line_id = line.id and line.is_split
left join cloud_invoices invoice on invoice.id = line.invoice_id
left join cloud_resource_rows resource on resource.id = line.resource_id;

-- The costs of each month, from maintained totals, so that years are read in milliseconds.
create view analytics.costs_by_month as
select
    period as month,
    is_estimate,
    tenant_id,
    is_shared,
    nullif(project_name, '') as project_name,
    kind,
    product,
    sum(amount) as amount_usd,
    sum(line_and_share_count)::bigint as lines
from cloud_cost_totals
group by period, is_estimate, tenant_id, is_shared, project_name, kind, product;

-- The number of live resources at the end of each day (UTC), of today until now. Each day in the
-- condition costs as much as a list of all resources as of a time. Days of which the events are
-- detached are omitted.
create view analytics.daily_inventory as
select
    moment.day,
    state.kind,
    state.tenant_id,
    state.region,
    count(*) as resources
from (
    -- Without time zones, because steps of a day depend on the time zone of the session.
    select day::date as day, least((day + interval '1 day') at time zone 'UTC', now()) as at
    from generate_series(
        date_trunc('day', (
            select greatest(min(first_seen_at), (select starts_at from history_floors where table_name = 'cloud_resource_events'))
            from cloud_resource_rows) at time zone 'UTC'),
        now() at time zone 'UTC', interval '1 day') day
) moment
cross join lateral (
    select
        r.kind,
        case when tenant.resource_id is null then r.tenant_id else tenant.value end as tenant_id,
        case when region.resource_id is null then r.region else region.value end as region
    from cloud_resource_rows r
    left join cloud_resource_past_values deleted
        on deleted.field = 'deleted_at' and deleted.resource_id = r.id and deleted.valid_from <= moment.at and deleted.valid_to > moment.at
    left join cloud_resource_past_values tenant
        on tenant.field = 'tenant_id' and tenant.resource_id = r.id and tenant.valid_from <= moment.at and tenant.valid_to > moment.at
    left join cloud_resource_past_values region
        on region.field = 'region' and region.resource_id = r.id and region.valid_from <= moment.at and region.valid_to > moment.at
    where r.first_seen_at <= moment.at
      and case when deleted.resource_id is null then r.deleted_at is null else deleted.value is null end
) state
group by 1, 2, 3, 4;

-- The live resources under the names of the tables of Steampipe's DigitalOcean plugin, so that its
-- queries run. Columns without a source in the mirror are omitted.

-- The columns that all of them have.
create view analytics.live_resources as
select
    r.id as resource_id,
    r.kind,
    r.provider_id,
    r.name,
    r.region as region_slug,
    r.status,
    r.attrs,
    to_jsonb(r.tags) as tags_src,
    (select coalesce(jsonb_object_agg(tag, true), '{}') from unnest(r.tags) tag) as tags,
    (r.attrs ->> 'created_at')::timestamptz as created_at,
    r.tenant_id,
    project.name as project_name
from cloud_resource_rows r
left join cloud_project_rows project on project.id = r.cloud_project_id
where r.deleted_at is null;

create view analytics.digitalocean_droplet as
select
    provider_id::bigint as id,
    name,
    created_at,
    (attrs ->> 'disk')::integer as disk,
    attrs -> 'features' as features,
    attrs -> 'image' as image,
    attrs -> 'kernel' as kernel,
    (attrs ->> 'locked')::boolean as locked,
    (attrs ->> 'memory')::integer as memory,
    attrs -> 'networks' as networks,
    (select (network ->> 'ip_address')::inet from jsonb_array_elements(attrs -> 'networks' -> 'v4') network
     where network ->> 'type' = 'private' limit 1) as private_ipv4,
    (select (network ->> 'ip_address')::inet from jsonb_array_elements(attrs -> 'networks' -> 'v4') network
     where network ->> 'type' = 'public' limit 1) as public_ipv4,
    (select (network ->> 'ip_address')::inet from jsonb_array_elements(attrs -> 'networks' -> 'v6') network
     where network ->> 'type' = 'public' limit 1) as public_ipv6,
    jsonb_build_object('slug', region_slug) as region,
    region_slug,
    attrs -> 'size' as size,
    attrs ->> 'size_slug' as size_slug,
    status,
    tags_src,
    'do:droplet:' || provider_id as urn,
    (attrs ->> 'vcpus')::integer as vcpus,
    attrs -> 'volume_ids' as volume_ids,
    attrs ->> 'vpc_uuid' as vpc_uuid,
    tags,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'droplet';

create view analytics.digitalocean_volume as
select
    provider_id as id,
    name,
    created_at,
    attrs ->> 'description' as description,
    attrs -> 'droplet_ids' as droplet_ids,
    attrs ->> 'filesystem_label' as filesystem_label,
    attrs ->> 'filesystem_type' as filesystem_type,
    region_slug,
    (attrs ->> 'size_gigabytes')::integer as size_gigabytes,
    tags_src,
    'do:volume:' || provider_id as urn,
    tags,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'volume';

create view analytics.digitalocean_snapshot as
select
    provider_id as id,
    name,
    created_at,
    (attrs ->> 'min_disk_size')::integer as min_disk_size,
    attrs -> 'regions' as regions,
    attrs ->> 'resource_id' as resource_id,
    attrs ->> 'resource_type' as resource_type,
    (attrs ->> 'size_gigabytes')::numeric as size_gigabytes,
    tags_src,
    tags,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'snapshot';

create view analytics.digitalocean_load_balancer as
select
    provider_id as id,
    name,
    attrs ->> 'algorithm' as algorithm,
    created_at,
    attrs -> 'droplet_ids' as droplet_ids,
    attrs -> 'forwarding_rules' as forwarding_rules,
    nullif(attrs ->> 'ip', '')::inet as ip,
    (attrs ->> 'redirect_http_to_https')::boolean as redirect_http_to_https,
    region_slug,
    attrs ->> 'size' as size_slug,
    status,
    'do:loadbalancer:' || provider_id as urn,
    attrs ->> 'vpc_uuid' as vpc_uuid,
    tags,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'load_balancer';

create view analytics.digitalocean_vpc as
select
    provider_id as id,
    name,
    created_at,
    attrs ->> 'description' as description,
    (attrs ->> 'ip_range')::cidr as ip_range,
    (attrs ->> 'default')::boolean as is_default,
    region_slug,
    'do:vpc:' || provider_id as urn,
    tags,
    name as title
from analytics.live_resources where kind = 'vpc';

create view analytics.digitalocean_firewall as
select
    provider_id as id,
    name,
    created_at,
    status,
    'do:firewall:' || provider_id as urn,
    attrs -> 'droplet_ids' as droplet_ids,
    attrs -> 'inbound_rules' as inbound_rules,
    attrs -> 'outbound_rules' as outbound_rules,
    attrs -> 'pending_changes' as pending_changes,
    tags,
    name as title
from analytics.live_resources where kind = 'firewall';

create view analytics.digitalocean_kubernetes_cluster as
select
    provider_id as id,
    name,
    status,
    created_at,
    (attrs ->> 'auto_upgrade')::boolean as auto_upgrade,
    attrs ->> 'cluster_subnet' as cluster_subnet,
    attrs ->> 'endpoint' as endpoint,
    region_slug,
    attrs ->> 'service_subnet' as service_subnet,
    (attrs ->> 'surge_upgrade')::boolean as surge_upgrade,
    'do:kubernetes:' || provider_id as urn,
    attrs ->> 'version' as version_slug,
    attrs ->> 'vpc_uuid' as vpc_uuid,
    attrs -> 'node_pools' as node_pools,
    tags,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'kubernetes_cluster';

create view analytics.digitalocean_database as
select
    provider_id as id,
    name,
    attrs ->> 'engine' as engine,
    attrs ->> 'version' as version,
    created_at,
    attrs -> 'db_names' as db_names,
    attrs #>> '{maintenance_window,day}' as maintenance_window_day,
    attrs #>> '{maintenance_window,hour}' as maintenance_window_hour,
    (attrs ->> 'num_nodes')::integer as num_nodes,
    attrs ->> 'private_network_uuid' as private_network_uuid,
    region_slug,
    attrs ->> 'size' as size_slug,
    status,
    tags_src,
    'do:dbaas:' || provider_id as urn,
    tags,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'database_cluster';

create view analytics.digitalocean_domain as
select
    name,
    (attrs ->> 'ttl')::integer as ttl,
    'do:domain:' || name as urn,
    name as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'dns_zone';

create view analytics.digitalocean_floating_ip as
select
    provider_id::inet as ip,
    (attrs #>> '{droplet,id}')::bigint as droplet_id,
    region_slug,
    'do:floatingip:' || provider_id as urn,
    provider_id as title,
    tenant_id,
    project_name
from analytics.live_resources where kind = 'reserved_ip';

create view analytics.digitalocean_project as
select
    provider_id as id,
    name,
    (attrs ->> 'created_at')::timestamptz as created_at,
    description,
    environment,
    is_default,
    attrs ->> 'owner_uuid' as owner_uuid,
    attrs ->> 'purpose' as purpose,
    (attrs ->> 'updated_at')::timestamptz as updated_at,
    name as title,
    tenant_id
from cloud_project_rows where deleted_at is null;

create view analytics.digitalocean_bill as
select
    date,
    amount::text as amount,
    description,
    invoice_number as invoice_id,
    invoice_uuid::text as invoice_uuid,
    entry_type as type
from cloud_billing_entries where missing_since is null;

create view analytics.digitalocean_balance as
select
    account_balance,
    generated_at,
    month_to_date_balance,
    month_to_date_usage
from cloud_latest_balance;
