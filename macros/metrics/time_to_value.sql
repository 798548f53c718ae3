{#- The steps from sign-up to value: [name, staging model, condition]. A tenant takes each when it first happens. -#}
{% macro steps_to_value() %}
    {{ return([
        ['signed_up', 'stg_platform__users', "event_type = 'user.signed_up'"],
        ['first_agent', 'stg_platform__agents', "event_type = 'agent.created'"],
        ['first_deploy', 'stg_platform__agents', "event_type = 'agent.deployed'"],
        ['first_conversation', 'stg_platform__conversations', "event_type = 'conversation.started'"],
        ['first_resolved', 'stg_platform__conversations', "event_type = 'conversation.ended' and resolved"],
    ]) }}
{% endmacro %}


{#- Hours from the sign-up to a step: DOUBLE, negative where the step came first, NULL where one of them is missing. -#}
{% macro hours_to(step) -%}
    {{ microseconds_between('signed_up_at', step ~ '_at') }} / 3600e6
{%- endmacro %}
