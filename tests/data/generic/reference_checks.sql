{% test not_negative(model, column_name) %}
select *, '{{ column_name }} is negative' as problem
from {{ model }}
where {{ column_name }} < 0
{% endtest %}


{% test known_time_zone(model, column_name) %}
select *, 'no such IANA time zone: ' || {{ column_name }} as problem
from {{ model }}
where not {{ is_time_zone(column_name) }}
{% endtest %}


{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as row_count, 'more than one row for the same {{ columns | join(", ") }}' as problem
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
