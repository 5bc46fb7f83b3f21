-- What version 0004 keeps beside: the request budgets.
insert into cloud_request_budgets (token_sha256, told_limit, told_left, told_reset_at, told_at)
values (sha256('token'), 5000, 4321, now() + interval '10 minutes', now());
insert into cloud_request_purposes (purpose, token_sha256)
select purpose, sha256('token') from unnest(array['cloud-sync-full', 'cloud-sync-fast', 'cloud-billing']) purpose;
