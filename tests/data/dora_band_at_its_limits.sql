-- The limits of each measure, with the others at their best: each side of a limit, and the limit itself.
with

cases as (
    select * from (
        values
        ('more than one a day', 32, 31, 0, 1, 0.5, 'elite'),
        ('exactly one a day', 31, 31, 0, 1, 0.5, 'high'),
        ('exactly one in 7 days', 4, 28, 0, 1, 0.5, 'high'),
        ('less than one in 7 days', 4, 29, 0, 1, 0.5, 'medium'),
        ('one in the month', 1, 31, 0, null, null, 'medium'),
        ('a lead time below a day', 100, 30, 0, 23.99, null, 'elite'),
        ('a lead time of a day', 100, 30, 0, 24, null, 'high'),
        ('a lead time of a week', 100, 30, 0, 168, null, 'high'),
        ('a lead time above a week', 100, 30, 0, 168.01, null, 'medium'),
        ('a lead time of 30 days', 100, 30, 0, 720, null, 'medium'),
        ('a lead time above 30 days', 100, 30, 0, 720.01, null, 'low'),
        ('nothing known but counts', 100, 30, 0, null, null, 'elite'),
        ('5% failed', 100, 30, 5, null, null, 'elite'),
        ('6% failed', 100, 30, 6, null, null, 'high'),
        ('10% failed', 100, 30, 10, null, null, 'high'),
        ('11% failed', 100, 30, 11, null, null, 'medium'),
        ('15% failed', 100, 30, 15, null, null, 'medium'),
        ('16% failed', 100, 30, 16, null, null, 'low'),
        ('restored within the hour', 100, 30, 1, 1, 0.99, 'elite'),
        ('restored in an hour', 100, 30, 1, 1, 1, 'high'),
        ('restored in a day', 100, 30, 1, 1, 24, 'medium'),
        ('restored in a week', 100, 30, 1, 1, 168, 'medium'),
        ('restored after a week', 100, 30, 1, 1, 168.01, 'low'),
        ('the worst counts', 100, 30, 16, 1, 0.5, 'low')
    ) as listed (what, deployments, days, failed_deployments, lead_time_hours, restore_hours, expected)
),

banded as (
    select
        what,
        expected,
        {{ dora_band('deployments', 'days', 'failed_deployments', 'lead_time_hours', 'restore_hours') }} as found,
    from cases
)

select
    what,
    expected,
    found,
from banded
where found <> expected
