-- Moves schedules on to the first occurrence that is not planned yet.
UPDATE schedules s SET planned_until = p.planned_until
FROM unnest(%s::uuid[], %s::timestamptz[]) AS p (id, planned_until)
WHERE s.id = p.id
