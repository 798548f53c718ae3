{#-
    When the events of every source happened, from all of its staging models: those events that fulfil a condition.

    A file of its own: when a file has macros that call each other, dbt's partial parser misses that a changed one refers to
    other models.
-#}
{% macro source_events(condition) -%}
    {%- set staged = {
        'platform': [
            'agents', 'api_calls', 'conversations', 'dashboard_views', 'documents', 'exports', 'feature_uses', 'feedback',
            'messages', 'searches', 'users', 'workflows',
        ],
        'provider': ['calls', 'errors', 'executions', 'rate_limits', 'starts'],
        'billing': ['budgets', 'payments', 'subscriptions'],
        'crm': ['acquisitions', 'marketing_spend', 'tickets'],
        'crc': ['tasks'],
        'delivery': ['deployments', 'failures', 'restorations'],
        'swarm': ['assignments', 'escalations', 'policy_checks', 'resolutions'],
        'notebooks': ['runs'],
        'patterns': ['executions'],
        'game': [
            'arcs', 'boss_fights', 'choices', 'completions', 'crafts', 'dialogues', 'loot', 'party', 'quest_nodes', 'romances',
            'sessions', 'turns', 'vendor_visits', 'world_events', 'world_ticks',
        ],
        'experiments': ['exposures'],
    } -%}
    {%- for source_name, names in staged.items() %}
    {%- set last = loop.last %}
    {%- for name in names %}
    select '{{ source_name }}' as source, occurred_at, load_id from {{ ref('stg_' ~ source_name ~ '__' ~ name) }}
    where {{ condition }}
    {{- '\n    union all' if not (last and loop.last) }}
    {%- endfor %}
    {%- endfor %}
{%- endmacro %}
