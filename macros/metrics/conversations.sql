{#- The topic of a conversation: its first start's, else its first end's, else 'unknown'. -#}
{% macro conversation_topic(started, ended) -%}
    coalesce({{ of_row(started, 'topic') }}, {{ of_row(ended, 'topic') }}, 'unknown')
{%- endmacro %}


{#-
    The days and topics (tenant_id, topic, date) whose measures newer events change: those of the conversations with a new
    event, as they were known before and as they are known now. From staging, not from int_conversations, whose rows are
    replaced already when its readers run.
-#}
{% macro conversation_days_of_new_events() -%}
    {%- set is_start, is_end = "event_type = 'conversation.started'", "event_type = 'conversation.ended'" -%}
    {%- set was_known = ' and load_id <= ' ~ model_state().loaded_through -%}
    with new_events as (
        {% for model_name in ['stg_platform__conversations', 'stg_platform__messages', 'stg_platform__feedback'] -%}
        select tenant_id, conversation_id, load_id, cast(occurred_at as date) as date from {{ ref(model_name) }}
        {{ 'union all' if not loop.last }}
        {% endfor %}
    ),

    new_conversations as (
        select distinct tenant_id, conversation_id from new_events
        where {{ is_new() }}
    ),

    conversations as (
        select
            events.tenant_id,
            {{ first_row(['occurred_at', 'topic'], is_start) }} as started,
            {{ first_row(['topic'], is_end) }} as ended,
            {{ first_row(['occurred_at', 'topic'], is_start ~ was_known) }} as started_before,
            {{ first_row(['topic'], is_end ~ was_known) }} as ended_before,
        from {{ ref('stg_platform__conversations') }} as events
        inner join new_conversations
            on events.tenant_id = new_conversations.tenant_id
            and events.conversation_id = new_conversations.conversation_id
        group by events.tenant_id, events.conversation_id
    ),

    starts as (
        {% for suffix in ['', '_before'] -%}
        select
            tenant_id,
            {{ of_row('started' ~ suffix, 'occurred_at') }} as occurred_at,
            {{ conversation_topic('started' ~ suffix, 'ended' ~ suffix) }} as topic,
        from conversations
        {{ 'union all' if not loop.last }}
        {% endfor %}
    )

    select starts.tenant_id, starts.topic, {{ local_date('starts') }} as date
    from starts
    {{ tenant_calendar('starts') }}
    where starts.occurred_at is not null
{%- endmacro %}
