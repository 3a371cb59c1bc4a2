create or replace function library.wilson(share float8, n bigint, out low float8, out high float8)
language sql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
  select greatest(0, centre - half), least(1, centre + half)
    from (select z2 / nullif(n, 0) as q from (values (1.959963984540054 ^ 2)) v (z2)) a,
         lateral (select (share + q / 2) / (1 + q) as centre,
                         sqrt(q * greatest(0, share * (1 - share)) + q * q / 4) / (1 + q) as half) b
   where n > 0
$$;
comment on function library.wilson(float8, bigint) is
  'The 95% score interval of a share of n (Wilson 1927); wider than need be for means of values between 0 and 1.';
grant execute on function library.wilson(float8, bigint) to analyst, guidealign_reviewer, guidealign_app;
