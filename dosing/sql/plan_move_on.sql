-- Moves schedules on to the first occurrence that is not planned yet.
UPDATE schedules s SET next_due_at = p.next_due_at
FROM unnest(%s::uuid[], %s::timestamptz[]) AS p (id, next_due_at)
WHERE s.id = p.id
