{#- How far tenants get from their first sign-up to a subscription, within 30 days. -#}
{% macro activation_funnel() %}
    {{ return({
        'entity': ['tenant_id'],
        'steps': [
            ['signup', 'stg_platform__users', "event_type = 'user.signed_up'"],
            ['agent', 'stg_platform__agents', "event_type = 'agent.created'"],
            ['deploy', 'stg_platform__agents', "event_type = 'agent.deployed'"],
            ['conversation', 'stg_platform__conversations', "event_type = 'conversation.started'"],
            ['workflow', 'stg_platform__workflows', "event_type = 'workflow.executed'"],
            ['subscription', 'stg_billing__subscriptions', "event_type = 'subscription.created'"],
        ],
        'grain': 'week',
        'window': [30, 'day'],
    }) }}
{% endmacro %}
