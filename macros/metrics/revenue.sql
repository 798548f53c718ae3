{#-
    The lifetime value of a customer, arpa_usd / customer_churn_rate = (closing MRR / customers) / (churned / opening customers),
    is `ltv_micros` / `ltv_divisor` micro-dollars: kept apart so that what depends on it is exact. NULL over 0. `revenue` is the
    relation with a dot, if its columns are to be qualified.
-#}
{% macro ltv_micros(revenue='') -%}
    {{ to_micros(revenue ~ 'closing_mrr_usd') }} * {{ revenue }}opening_customers
{%- endmacro %}


{% macro ltv_divisor(revenue='') -%}
    {{ revenue }}customers * {{ revenue }}churned_customers
{%- endmacro %}
