"""Reference tables, time zones, prices and exact arithmetic, as the bare SQL uses them."""

# Whole numbers (micro-dollars, billionths of a dollar) keep money exact.
REFERENCE = """
create temp macro micros(money) as (money::decimal(38, 6) * 1000000)::hugeint;
create temp macro half_up(n, d) as
    ((2 * n + d) // (2 * nullif(d, 0)) - ((2 * n + d) < 0 and (2 * n + d) % (2 * d) <> 0)::int);
create temp macro dollars(micros) as (micros::decimal(18, 0) * 0.000001::decimal(7, 6))::decimal(18, 6);
create temp macro nanos(tokens_in, tokens_cached, tokens_out, completions, p) as
    (tokens_in - coalesce(tokens_cached, 0)) * p.tokens_in + coalesce(tokens_cached, 0) * p.tokens_cached
    + tokens_out * p.tokens_out + completions * p.completion * 1000;

create temp table tenants as
select tenant_id, timezone, plan from read_csv('{seeds}/tenants.csv', all_varchar = true);

create temp table plan_tiers as
select
    plan, tier_rank as rank, micros(monthly_price_usd) as price, included_executions, included_tokens,
    micros(overage_usd_per_execution) as per_execution, micros(overage_usd_per_1k_tokens) as per_1k
from read_csv('{seeds}/plan_tiers.csv', types = {{
    'monthly_price_usd': 'decimal(18,6)', 'overage_usd_per_execution': 'decimal(18,6)',
    'overage_usd_per_1k_tokens': 'decimal(18,6)'
}});

create temp table days as
select unnest(range({first_day}::date::timestamp - interval 2 days, {last_day}::date::timestamp + interval 2 days,
    interval 1 day))::date as day;

create temp table zone_days as
select timezone, day, starts as offset_seconds, starts <> ends as has_transition
from (
    select
        timezone, day,
        date_diff('second', day::timestamp, timezone(timezone, timezone('UTC', day::timestamp))) as starts,
        date_diff('second', day::timestamp + interval 86399 seconds,
            timezone(timezone, timezone('UTC', day::timestamp + interval 86399 seconds))) as ends
    from days, (select distinct timezone from tenants)
);

create temp macro local_time(moment, timezone, z) as case
    when timezone is null then moment
    when z.has_transition then timezone(timezone, timezone('UTC', moment))
    else moment + to_seconds(z.offset_seconds)
end;

create temp macro local_day(moment, timezone, z) as local_time(moment, timezone, z)::date;

create temp table blueprints as from read_csv('{seeds}/blueprints.csv', all_varchar = true);
create temp table workspaces as from read_csv('{seeds}/workspaces.csv', all_varchar = true);
create temp table notebook_policies as from read_csv('{seeds}/notebook_policies.csv', types = {{'scope': 'varchar'}});
create temp table resource_prices as
select resource, usd from read_csv('{seeds}/resource_prices.csv', types = {{'usd': 'decimal(18,6)'}});

create temp table clock as
select tenant_id, coalesce(timezone('' || timezone, timezone('UTC', {as_of})), {as_of})::date as today from tenants;

create temp table prices as
select
    provider, model, valid_from,
    lead(valid_from, 1, date '9999-12-31') over (partition by provider, model order by valid_from) as valid_to,
    {{
        'tokens_in': (usd_per_1k_tokens_in * 1000000)::bigint,
        'tokens_cached': (usd_per_1k_tokens_cached * 1000000)::bigint,
        'tokens_out': (usd_per_1k_tokens_out * 1000000)::bigint,
        'completion': (usd_per_completion * 1000000)::bigint
    }} as price
from read_csv('{seeds}/provider_prices.csv', types = {{
    'valid_from': 'date', 'usd_per_1k_tokens_in': 'decimal(18,6)', 'usd_per_1k_tokens_cached': 'decimal(18,6)',
    'usd_per_1k_tokens_out': 'decimal(18,6)', 'usd_per_completion': 'decimal(18,6)'
}});

create temp table price_days as
select day, provider, model, price from prices, days where day >= valid_from and day < valid_to;

create temp table defaults as
select day, list(price) as prices from price_days where model = '*' group by day;
"""
