{#-
    The goals, in their order: whose number it is, its unit, the mart that shows it in detail, the relation of goal_kpis in
    which it is measured, and the KPI whose thresholds judge it. A goal has a KPI where both measure the same thing in the same
    unit, whatever the window and the scope: a fallback rate is one, of an hour or of 30 days, of a world or of all. A goal
    without one has the status 'none'.
-#}
{% macro goals() -%}
    {%- set found = [] -%}
    {%- for goal, family, unit, source_mart, measured_in, kpi in [
        ['messages', 'platform_usage', 'count', 'platform_metrics_daily', 'messages', none],
        ['unique_users', 'platform_usage', 'count', 'platform_metrics_daily', 'users', none],
        ['spend_usd', 'provider_costs', 'usd', 'provider_calls_daily', 'spend', none],
        ['execution_success_rate', 'provider_costs', 'rate', 'execution_rollup_hourly', 'executions', 'success_rate'],
        ['routing_savings_usd', 'provider_costs', 'usd', 'routing_savings_daily', 'savings', none],
        ['mrr_usd', 'revenue', 'usd', 'revenue_monthly', 'revenue', none],
        ['net_revenue_retention', 'revenue', 'rate', 'revenue_monthly', 'revenue', none],
        ['customers_at_high_risk', 'customer_health', 'count', 'customer_health_daily', 'health', none],
        ['activation_rate', 'funnels', 'rate', 'activation_funnel_weekly', 'activation', none],
        ['crc_completions', 'crc', 'count', 'crc_throughput_daily', 'cycles', none],
        ['deployments', 'delivery', 'count', 'deployment_frequency_daily', 'delivery', none],
        ['change_failure_rate', 'delivery', 'rate', 'delivery_performance_monthly', 'delivery', none],
        ['efficiency_ratio', 'swarm', 'rate', 'agent_efficiency_daily', 'swarm', 'efficiency_ratio'],
        ['mttr_minutes', 'swarm', 'minutes', 'agent_efficiency_daily', 'swarm', none],
        ['notebook_cadence_per_hour', 'notebooks', 'per_hour', 'notebook_update_cadence_daily', 'runs', 'cadence_per_hour'],
        ['notebook_coverage', 'notebooks', 'rate', 'notebook_adoption', 'workspaces', none],
        ['pattern_success_rate', 'patterns', 'rate', 'pattern_metrics_daily', 'patterns', none],
        ['game_completion_rate', 'game', 'rate', 'game_kpis_daily', 'adventures', none],
        ['game_fallback_rate', 'game', 'rate', 'game_rollup_daily', 'turns', 'fallback_rate'],
        ['game_stuck_rate', 'game', 'rate', 'game_rollup_daily', 'turns', 'stuck_rate'],
        ['significant_experiments', 'experiments', 'count', 'experiment_readouts', 'experiments', none],
    ] -%}
        {%- do found.append({
            'goal': goal, 'family': family, 'unit': unit, 'source_mart': source_mart, 'measured_in': measured_in, 'kpi': kpi,
        }) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#-
    What a goal is measured over, now (periods_back 0) and before (1): 30 complete UTC days, the newest complete month, and the
    newest week whose members have all had the time that the activation funnel gives them.
-#}
{% macro goal_periods() -%}
    {%- set days_to_activate = activation_funnel()['window'][0] -%}
    {%- for back in [0, 1] %}
    select
        {{ back }} as periods_back,
        {{ add_days(clock_day(), -30 * (back + 1)) }} as first_date,
        {{ add_days(clock_day(), -30 * back) }} as end_date,
        cast({{ dbt.dateadd('month', -(back + 1), month_of(as_of())) }} as date) as month,
        {{ add_days(week_of(add_days(clock_day(), -7 - days_to_activate)), -7 * back) }} as week
    {{- ' union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#- Joins the days of a relation to the period of `goal_periods` that they lie in. The literal lets the engine skip older days. -#}
{% macro of_period(relation, date='date') -%}
    on {{ relation }}.{{ date }} >= {{ add_days(clock_day(), -60) }}
        and {{ relation }}.{{ date }} >= periods.first_date
        and {{ relation }}.{{ date }} < periods.end_date
{%- endmacro %}
