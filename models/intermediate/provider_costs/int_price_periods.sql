{{ config(materialized='table') }}

with

prices as (
    select * from {{ ref('provider_prices') }}
)

select
    provider,
    model,
    valid_from,
    coalesce(
        lead(valid_from) over (partition by provider, model order by valid_from), cast('9999-12-31' as date)
    ) as valid_to,
    cast({{ to_nanos('usd_per_1k_tokens_in') }} as bigint) as nanos_per_1k_tokens_in,
    cast({{ to_nanos('usd_per_1k_tokens_cached') }} as bigint) as nanos_per_1k_tokens_cached,
    cast({{ to_nanos('usd_per_1k_tokens_out') }} as bigint) as nanos_per_1k_tokens_out,
    cast({{ to_nanos('usd_per_completion') }} as bigint) as nanos_per_completion,
from prices
