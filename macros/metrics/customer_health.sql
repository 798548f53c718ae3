{#- Whether the tenant was active on the day or the day before, as the number 1 or 0. -#}
{% macro is_recently_active() -%}
    case when days_since_last_activity <= 1 then 1 else 0 end
{%- endmacro %}


{#-
    40 x min(1, active_users_7d / 10) + 30 x stickiness + 20 x min(1, features_used_28d / 5) + 10 if active on the day or the
    day before: 0 to 100. A stickiness of NULL counts as 0.
-#}
{% macro engagement_score() -%}
    cast(4 * least(active_users_7d, 10) + 4 * least(features_used_28d, 5) + 10 * {{ is_recently_active() }} as double)
    + 30 * coalesce({{ rate('active_users_7d', 'active_users_28d') }}, 0)
{%- endmacro %}


{#-
    What speaks for a tenant's leaving, in the order in which it is told: name, risk points, condition. Shares are compared as
    whole numbers, so that exactly -20%, -50% and a score of 20 fall on their side: a change of -50% is
    2 x messages_7d = messages_previous_7d, and a score below 20 is one whose multiple by active_users_28d is.
-#}
{% macro churn_signals() -%}
    {{ return([
        ['usage_down_severe', 2, '2 * messages_7d < messages_previous_7d'],
        [
            'usage_down', 1,
            'messages_previous_7d > 0 and 2 * messages_7d >= messages_previous_7d '
            ~ 'and 5 * messages_7d <= 4 * messages_previous_7d',
        ],
        ['idle_long', 3, 'days_since_last_activity > 14'],
        ['idle', 1, 'days_since_last_activity between 7 and 14'],
        ['payment_failed', 2, 'failed_payments_28d > 0'],
        ['urgent_ticket', 1, 'urgent_tickets_28d > 0'],
        [
            'low_engagement', 1,
            '(4 * least(active_users_7d, 10) + 4 * least(features_used_28d, 5) + 10 * ' ~ is_recently_active() ~ ')\n'
            ~ '            * greatest(active_users_28d, 1) + 30 * active_users_7d < 20 * greatest(active_users_28d, 1)',
        ],
    ]) }}
{%- endmacro %}


{#- The sum of the risk points, over columns with the signals' names. -#}
{% macro churn_points() -%}
    {%- for name, points, _ in churn_signals() -%}
        case when {{ name }} then {{ points }} else 0 end{{ '\n        + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{#-
    Restricts a relation (tenant_id, date) to the days that `windows` names, those that the touched days look back on; nothing
    when the model is built whole.
-#}
{% macro in_windows(relation) -%}
    {%- if is_incremental() -%}
        inner join windows on {{ relation }}.tenant_id = windows.tenant_id and {{ relation }}.date = windows.date
    {%- endif -%}
{%- endmacro %}
