{#- How far sessions get from their start to the end of their adventure, by what they play. -#}
{% macro game_funnel() %}
    {{ return({
        'entity': ['tenant_id', 'session_id'],
        'steps': [
            ['start', 'stg_game__sessions', "event_type = 'session.started'"],
            ['choice', 'stg_game__choices', "event_type = 'choice.made'"],
            ['npc', 'stg_game__party', "event_type = 'npc.joined'"],
            ['craft', 'stg_game__crafts', "event_type = 'craft.attempted'"],
            ['vendor', 'stg_game__vendor_visits', "event_type = 'vendor.visited'"],
            ['boss', 'stg_game__boss_fights', "event_type = 'boss.fought'"],
            ['completion', 'stg_game__completions', "event_type = 'adventure.completed'"],
        ],
        'grain': 'day',
        'breakdown': {
            'world': 'world',
            'adventure': 'adventure',
            'experiment': "coalesce(experiment, 'none')",
            'variation': "coalesce(variation, 'none')",
        },
        'count_any': true,
        'time_unit': 'seconds',
    }) }}
{% endmacro %}
