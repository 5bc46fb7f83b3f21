-- What version 0005 keeps beside: a listing that was broken off after its first page.
insert into cloud_begun_listings (listing, run_id, kinds, started_at)
values ('60000000-0000-0000-0000-000000000005', 'run-broken-off', '{droplet}', now());
insert into cloud_taken_pages (listing, path, number, total, has_next, item_ids, kinds, provider_ids)
values ('60000000-0000-0000-0000-000000000005', '/v2/droplets', 1, 2, true, '{1}', '{droplet}', '{1}');
